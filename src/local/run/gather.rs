//! What a command will stand on: collected before it starts. What cannot be found out is left out; nothing of it keeps
//! a command from running.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::capability::training::environment::{is_kept, masked, without_password};
use crate::capability::training::{Hardware, Interpreter, LockFile, Package, Program};

/// Files that the command names are digested up to this size, bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
const LOCKS: &[&str] = &[
    "Cargo.lock",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "requirements.txt",
    "requirements.lock",
    "environment.yml",
    "conda-lock.yml",
    "pixi.lock",
    "package-lock.json",
    "renv.lock",
];

/// Asked of the interpreter itself: its version and build, and every installed package with the digest of its list of
/// files and hashes, and where it came from. Links to the environment itself are no part of a package.
const ASK_PYTHON: &str = r#"
import hashlib, importlib.metadata as m, json, platform, sys
found = {}
for d in m.distributions():
    name = (d.metadata["Name"] or "").lower().replace("_", "-")
    record = d.read_text("RECORD")
    own = ("../", "INSTALLER", "direct_url.json", "REQUESTED", "uv_cache.json", "RECORD")
    lines = [l for l in (record or "").splitlines() if ",sha256=" in l and "__pycache__" not in l]
    lines = sorted(l for l in lines if not l.startswith("../") and not l.split(",")[0].endswith(own[1:]))
    origin = json.loads(d.read_text("direct_url.json") or "{}")
    url, vcs = origin.get("url"), origin.get("vcs_info", {})
    if url and vcs:
        url = "%s+%s@%s" % (vcs.get("vcs"), url, vcs.get("commit_id"))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else None
    if name and name not in found:
        found[name] = {"name": name, "version": d.version, "hash": digest, "from": url}
build = " ".join([platform.python_implementation(), *platform.python_build(), platform.python_compiler()])
base = getattr(sys, "_base_executable", None) or ""
out = {"version": platform.python_version(), "build": build, "base": base, "packages": [found[k] for k in sorted(found)]}
sys.stdout.write(json.dumps(out))
"#;

#[derive(Deserialize)]
struct Python {
    version: String,
    build: String,
    base: String,
    packages: Vec<Package>,
}

/// The command, its program's file, and the files that it names.
pub fn program(command: &[String], path: &Path, folder: &Path) -> Program {
    let mut told = Vec::with_capacity(command.len());
    let mut hidden = false;
    for (nth, word) in command.iter().enumerate() {
        let previous = nth.checked_sub(1).map(|i| command[i].as_str());
        let mask = masked(previous, word);
        hidden |= mask.is_some();
        told.push(mask.unwrap_or_else(|| word.clone()));
    }
    let mut files = BTreeMap::new();
    for word in command.iter().skip(1) {
        let at = folder.join(word);
        if std::fs::metadata(&at).is_ok_and(|m| m.is_file() && m.len() <= FILE_BYTES_MAX)
            && let Ok(bytes) = std::fs::read(&at)
        {
            files.insert(word.clone(), blake3::hash(&bytes).to_hex().to_string());
        }
    }
    Program {
        command: told,
        path: path.display().to_string(),
        folder: folder.display().to_string(),
        files,
        masked: hidden,
    }
}

/// Those of the variables that are captured; passwords in URLs are masked.
pub fn environment(all: &BTreeMap<String, String>, further: &[String]) -> BTreeMap<String, String> {
    let kept = all.iter().filter(|(name, _)| is_kept(name, further));
    kept.map(|(name, value)| (name.clone(), without_password(value).unwrap_or_else(|| value.clone()))).collect()
}

/// The Python that will run: the program itself, that of its first line, or that of the virtual environment (which
/// launchers such as uv and poetry keep in the folder).
pub fn interpreter(
    program: &Path,
    folder: &Path,
    variables: &BTreeMap<String, String>,
) -> (Option<Interpreter>, Vec<Package>) {
    let is_python = |p: &Path| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python"));
    let launcher = program
        .file_stem()
        .is_some_and(|n| matches!(&*n.to_string_lossy(), "uv" | "poetry" | "pdm" | "hatch" | "pipenv"));
    let python = if is_python(program) {
        Some(program.to_owned())
    } else {
        let named = first_line(program).filter(|p| is_python(p) && !launcher);
        let active = variables.get("VIRTUAL_ENV").map(|v| PathBuf::from(v).join("bin/python"));
        named.or(active).or_else(|| Some(folder.join(".venv/bin/python")).filter(|p| p.exists()))
    };
    match python.and_then(|python| ask(&python, variables)) {
        Some((interpreter, packages)) => (Some(interpreter), packages),
        None => (None, Vec::new()),
    }
}

/// What an interpreter says of itself; `None` when it cannot be run.
pub fn ask(python: &Path, variables: &BTreeMap<String, String>) -> Option<(Interpreter, Vec<Package>)> {
    let mut command = Command::new(python);
    command.args(["-c", ASK_PYTHON]).stdin(Stdio::null()).stderr(Stdio::null()).envs(variables);
    let mut answer: Python = command.output().ok().and_then(|o| serde_json::from_slice(&o.stdout).ok())?;
    for package in &mut answer.packages {
        package.from = package.from.take().map(|url| without_password(&url).unwrap_or(url));
    }
    let path = python.display().to_string();
    let interpreter = Interpreter { path, version: answer.version, build: answer.build, base: answer.base };
    Some((interpreter, answer.packages))
}

/// The interpreter that a script's first line names.
fn first_line(script: &Path) -> Option<PathBuf> {
    use std::io::Read;
    let mut head = [0; 256];
    let read = std::fs::File::open(script).ok()?.read(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head[..read]).into_owned();
    let line = text.lines().next()?.strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if first.ends_with("/env") {
        return super::find_program(words.find(|w| !w.starts_with('-'))?, Path::new("/")).ok();
    }
    Some(PathBuf::from(first))
}

/// Lock files in the folder and at the repository's root, with their bytes.
pub fn locks(folder: &Path, root: Option<&Path>) -> Vec<(LockFile, Vec<u8>)> {
    let mut found: Vec<(LockFile, Vec<u8>)> = Vec::new();
    for place in std::iter::once(folder).chain(root.filter(|r| *r != folder)) {
        for name in LOCKS {
            if found.iter().any(|(l, _)| l.path == *name) {
                continue;
            }
            if let Ok(bytes) = std::fs::read(place.join(name)) {
                let digest = blake3::hash(&bytes).to_hex().to_string();
                found.push((LockFile { path: (*name).to_owned(), digest }, bytes));
            }
        }
    }
    found
}

/// The machine, as far as it tells.
pub fn hardware() -> Hardware {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = about.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))?;
        line.split_once(':').map(|(_, v)| v.trim().to_owned())
    };
    let telling = ["avx", "avx2", "avx512f", "avx512_vnni", "amx_bf16", "fma", "sve", "asimd"];
    let flags = field("flags").or_else(|| field("Features")).unwrap_or_default();
    let has = |f: &str| flags.split_whitespace().any(|known| known == f);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let uname = rustix::system::uname();
    let word = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    Hardware {
        host: word(uname.nodename()),
        system: format!("{} {} {}", word(uname.sysname()), word(uname.release()), word(uname.machine())),
        cpu: field("model name").unwrap_or_else(|| word(uname.machine())),
        cpu_features: telling.iter().filter(|f| has(f)).map(ToString::to_string).collect(),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        memory_bytes: kilobytes.unwrap_or(0) * 1024,
        gpus: super::sample::gpus(),
    }
}
