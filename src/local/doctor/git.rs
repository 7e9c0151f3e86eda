//! Asking git, whose answers have one form whatever the user has set up.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub fn git(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(args);
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The root of the repository that holds a folder; `None` when none does, or git is not there.
pub fn root(folder: &Path) -> Option<PathBuf> {
    let output = git(folder, &["rev-parse", "--show-toplevel"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n')))
}

/// Paths that git keeps now, relative to the root.
pub fn tracked(root: &Path) -> Option<Vec<PathBuf>> {
    use std::os::unix::ffi::OsStringExt;
    let output = git(root, &["ls-files", "-z"]).output().ok()?;
    let names = output.stdout.split(|b| *b == 0).filter(|n| !n.is_empty());
    output.status.success().then(|| names.map(|n| std::ffi::OsString::from_vec(n.to_vec()).into()).collect())
}

/// One file that any commit holds.
pub struct Blob {
    pub id: String,
    pub path: String,
    pub bytes: u64,
}

/// Files of the whole history whose path is of interest, with their sizes.
pub fn blobs(root: &Path, of_interest: impl Fn(&str) -> bool) -> Option<Vec<Blob>> {
    let mut listing = git(root, &["rev-list", "--objects", "--all"]).spawn().ok()?;
    let mut found = Vec::new();
    for line in BufReader::new(listing.stdout.take()?).split(b'\n') {
        let line = line.ok()?;
        let line = String::from_utf8_lossy(&line);
        // Commits have no path; a folder is of no interest by its ending.
        if let Some((id, path)) = line.split_once(' ')
            && of_interest(path)
        {
            found.push(Blob { id: id.to_owned(), path: path.to_owned(), bytes: 0 });
        }
    }
    if !listing.wait().ok()?.success() {
        return None;
    }
    measure(root, &mut found)?;
    Some(found)
}

/// Asks for all sizes in one call.
fn measure(root: &Path, blobs: &mut Vec<Blob>) -> Option<()> {
    if blobs.is_empty() {
        return Some(());
    }
    let ask: String = blobs.iter().map(|b| format!("{}\n", b.id)).collect();
    let mut child: Child =
        git(root, &["cat-file", "--batch-check=%(objecttype) %(objectsize)"]).stdin(Stdio::piped()).spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    // Written beside the reading: both pipes are of bounded size.
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, ask.as_bytes()));
    let mut answer = String::new();
    child.stdout.take()?.read_to_string(&mut answer).ok()?;
    let _ = writer.join();
    if !child.wait().ok()?.success() {
        return None;
    }
    let sizes = answer.lines().map(|l| l.strip_prefix("blob ").and_then(|n| n.parse().ok()));
    for (blob, bytes) in blobs.iter_mut().zip(sizes) {
        blob.bytes = bytes.unwrap_or_default();
    }
    blobs.retain(|b| b.bytes > 0);
    Some(())
}
