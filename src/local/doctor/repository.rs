//! Habits of a repository that bite later: models kept in git, in its history too, and training that leaves no run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Finding, git, notebooks};
use crate::base::show;

/// Endings of files that hold models.
const MODELS: &[&str] = &[
    "pkl",
    "pickle",
    "joblib",
    "skops",
    "onnx",
    "pt",
    "pth",
    "ckpt",
    "safetensors",
    "h5",
    "keras",
    "tflite",
    "pb",
    "bst",
    "ubj",
    "cbm",
    "gguf",
    "mar",
    "pmml",
    "caffemodel",
    "npz",
];
/// Smaller ones are fixtures of tests as a rule, bytes.
const BYTES_MIN: u64 = 10 << 10;
/// Files looked at where there is no git.
const FILES_MAX: usize = 200_000;

/// What was found in the repository that holds a folder, or in the folder alone where there is none.
pub struct Repository {
    /// `None`: the folder is in no repository, or git is not installed.
    pub root: Option<PathBuf>,
    pub files: usize,
    pub findings: Vec<Finding>,
}

/// Looks at a repository. It reads names and sizes of its history, and the notebooks of today.
pub fn repository(folder: &Path) -> Repository {
    let Some((root, files)) =
        git::root(folder).and_then(|root| Some((git::tracked(&root)?, root))).map(|(f, r)| (r, f))
    else {
        let files = walk(folder);
        let findings = training(folder, &files).into_iter().collect();
        return Repository { root: None, files: files.len(), findings };
    };
    let findings = [training(&root, &files), models(&root, &files)].into_iter().flatten().collect();
    Repository { root: Some(root), files: files.len(), findings }
}

fn training(root: &Path, files: &[PathBuf]) -> Option<Finding> {
    let is_notebook = |p: &&PathBuf| p.extension().is_some_and(|e| e == "ipynb");
    let untracked = files.iter().filter(is_notebook).filter(|p| notebooks::trains_untracked(&root.join(p)));
    Finding::of(
        "notebooks train models and tell no tracker",
        untracked.map(|p| p.display().to_string()).collect(),
        "add `mlflow.autolog()` as the first line, with MLFLOW_TRACKING_URI from `opsroom connect mlflow`",
    )
}

fn models(root: &Path, files: &[PathBuf]) -> Option<Finding> {
    let blobs = git::blobs(root, is_model)?;
    // A path may have had many contents; all of them are kept, and cloned, for ever.
    let mut paths: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for blob in blobs.iter().filter(|b| b.bytes >= BYTES_MIN) {
        let (bytes, times) = paths.entry(&blob.path).or_default();
        *bytes += blob.bytes;
        *times += 1;
    }
    let today: std::collections::BTreeSet<_> = files.iter().map(|f| f.to_string_lossy()).collect();
    let total: u64 = paths.values().map(|(bytes, _)| bytes).sum();
    let mut places: Vec<_> = paths.into_iter().collect();
    places.sort_by_key(|(path, (bytes, _))| (std::cmp::Reverse(*bytes), *path));
    let told = places.iter().map(|(path, (bytes, times))| {
        let versions = if *times > 1 { format!(", {times} contents") } else { String::new() };
        let gone = if today.contains(*path) { "" } else { ", in the history only" };
        format!("{path} ({}{versions}{gone})", show::bytes(*bytes))
    });
    Finding::of(
        format!("git keeps {} of model files, in every clone", show::bytes(total)),
        told.collect(),
        "log them as models (`mlflow.sklearn.log_model`), register the version, and add their ending to .gitignore",
    )
}

fn is_model(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    ending.is_some_and(|e| MODELS.contains(&e.as_str()))
}

/// Files below a folder, hidden ones and what package managers put there apart.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&at)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let skipped = text.starts_with('.') || matches!(&*text, "node_modules" | "target" | "__pycache__" | "venv");
            match entry.file_type() {
                _ if skipped || files.len() >= FILES_MAX => {}
                Ok(kind) if kind.is_dir() => folders.push(at.join(&name)),
                Ok(kind) if kind.is_file() => files.push(at.join(&name)),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(folder: &Path, args: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").arg("-C").arg(folder).args(identity).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    #[test]
    fn models_are_found_in_the_history_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        run(at, &["init", "-q"]);
        std::fs::write(at.join("a.pkl"), vec![1; 20 << 10]).unwrap();
        std::fs::write(at.join("tiny.pkl"), b"x").unwrap();
        std::fs::write(at.join("train.ipynb"), r#"{"cells":[{"cell_type":"code","source":["m.fit(x)"]}]}"#).unwrap();
        run(at, &["add", "."]);
        run(at, &["commit", "-qm", "one"]);
        std::fs::write(at.join("a.pkl"), vec![2; 30 << 10]).unwrap();
        run(at, &["commit", "-qam", "two"]);
        run(at, &["rm", "-q", "a.pkl"]);
        run(at, &["commit", "-qm", "three"]);
        let found = repository(at);
        assert_eq!(found.files, 2);
        let [notebooks, models] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
        assert_eq!(notebooks.places, ["train.ipynb"]);
        assert_eq!(models.what, "git keeps 50.0 KiB of model files, in every clone");
        assert_eq!(models.places, ["a.pkl (50.0 KiB, 2 contents, in the history only)"]);
    }

    #[test]
    fn a_folder_without_git_is_looked_at_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "x").unwrap();
        let found = repository(folder.path());
        // A folder for temporary files may itself be in a repository.
        assert!(found.root.is_some() || found.files == 1);
        assert!(found.findings.is_empty());
    }
}
