//! What git knows of a folder: the commit, and a patch that makes it what lies there. The index and the objects of the
//! repository are left as they are.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::base::{Fault, fault::Result};
use crate::capability::training::Source;
use crate::capability::training::environment::without_password;

/// Untracked files beyond this are left out of a patch, bytes.
const UNTRACKED_BYTES_MAX: u64 = 10 << 20;

/// A repository's state, and the patch.
pub struct State {
    pub source: Source,
    pub patch: Vec<u8>,
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    // Whatever the user has set up, the answers have one form, and nobody is asked for anything.
    command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// What git answers; `None` when it refuses or is not there.
fn ask<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Option<String> {
    let output = git(folder).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| text(&output))
}

fn tell<S: AsRef<OsStr>>(folder: &Path, args: &[S], input: &[u8]) -> Result<()> {
    let problem = |why: String| Fault::unavailable("git refused").why(why);
    let mut command = git(folder);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| problem(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends early says why itself.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(|e| problem(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(problem(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// The state of the repository that holds a folder; `None` when none does, or it has no commit.
pub fn look(folder: &Path) -> Option<State> {
    let root = PathBuf::from(ask(folder, &["rev-parse", "--show-toplevel"])?);
    let commit = ask(&root, &["rev-parse", "--verify", "HEAD^{commit}"])?;
    let remote = ask(&root, &["config", "--get", "remote.origin.url"]).unwrap_or_default();
    let (patch, left_out) = patch(&root).unwrap_or_default();
    let digest = (!patch.is_empty()).then(|| blake3::hash(&patch).to_hex().to_string());
    let source = Source {
        root: root.display().to_string(),
        commit,
        branch: ask(&root, &["rev-parse", "--abbrev-ref", "HEAD"]).unwrap_or_default(),
        remote: without_password(&remote).unwrap_or(remote),
        patch: digest,
        left_out,
    };
    Some(State { source, patch })
}

/// Everything that differs from the commit, untracked files too, made with an index and objects of its own.
fn patch(root: &Path) -> Option<(Vec<u8>, Vec<String>)> {
    let untracked = git(root).args(["ls-files", "--others", "--exclude-standard", "-z"]).output().ok()?;
    let names: Vec<&[u8]> = untracked.stdout.split(|b| *b == 0).filter(|n| !n.is_empty()).collect();
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    for name in names {
        use std::os::unix::ffi::OsStrExt;
        let path = root.join(OsStr::from_bytes(name));
        let small = std::fs::metadata(&path).is_ok_and(|m| m.len() <= UNTRACKED_BYTES_MAX);
        if small && !looks_secret(&path) {
            taken.extend_from_slice(name);
            taken.push(0);
        } else {
            left_out.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    let own = std::env::temp_dir().join(format!("opsroom-git-{:032x}", crate::base::id::random_u128()));
    std::fs::create_dir_all(own.join("objects")).ok()?;
    let made = patch_in(root, &own, &taken);
    let _ = std::fs::remove_dir_all(&own);
    Some((made?, left_out))
}

fn patch_in(root: &Path, own: &Path, untracked: &[u8]) -> Option<Vec<u8>> {
    let index = root.join(ask(root, &["rev-parse", "--git-path", "index"])?);
    let objects = root.join(ask(root, &["rev-parse", "--git-path", "objects"])?);
    // The copy keeps what git knows of unchanged files.
    let _ = std::fs::copy(index, own.join("index"));
    let with = |args: &[&str]| {
        let mut command = git(root);
        command.args(args).env("GIT_INDEX_FILE", own.join("index"));
        command.env("GIT_OBJECT_DIRECTORY", own.join("objects"));
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects);
        command
    };
    with(&["add", "-u", "."]).output().ok()?;
    if !untracked.is_empty() {
        let list = own.join("untracked");
        std::fs::write(&list, untracked).ok()?;
        let from = format!("--pathspec-from-file={}", list.display());
        with(&["add", &from, "--pathspec-file-nul"]).output().ok()?;
    }
    let diff =
        with(&["diff", "--cached", "--binary", "--no-color", "--no-ext-diff", "--no-renames", "HEAD"]).output().ok()?;
    diff.status.success().then_some(diff.stdout)
}

fn looks_secret(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with(".env")
        || name.starts_with("id_")
        || name.contains("credential")
        || name.contains("secret")
        || matches!(name.as_str(), ".netrc" | ".pypirc" | ".pgpass")
        || matches!(ending.as_str(), "pem" | "key" | "p12" | "pfx" | "keystore")
}

pub fn has_commit(root: &Path, commit: &str) -> bool {
    ask(root, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_some()
}

/// The repository's root that holds a folder.
pub fn root_of(folder: &Path) -> Option<PathBuf> {
    ask(folder, &["rev-parse", "--show-toplevel"]).map(PathBuf::from)
}

/// Checks a commit out beside the repository, with the patch on top.
///
/// # Errors
/// `Unavailable` with git's words.
pub fn worktree(root: &Path, commit: &str, patch: &[u8], at: &Path) -> Result<()> {
    // What a killed repetition left in git's list.
    let _ = tell(root, &["worktree", "prune"], b"");
    let at_text = at.as_os_str();
    tell(root, &["worktree".as_ref(), "add".as_ref(), "--detach".as_ref(), at_text, commit.as_ref()], b"")?;
    if patch.is_empty() {
        return Ok(());
    }
    tell(at, &["apply", "--binary", "--whitespace=nowarn", "-"], patch)
}

/// Takes a worktree away again.
pub fn remove(root: &Path, at: &Path) {
    let forgotten = tell(root, &["worktree".as_ref(), "remove".as_ref(), "--force".as_ref(), at.as_os_str()], b"");
    if forgotten.is_err() {
        let _ = std::fs::remove_dir_all(at);
        let _ = tell(root, &["worktree", "prune"], b"");
    }
}
