//! What a run stood on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::tracking::compare::{Section, Surroundings};

/// Everything that was captured of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Capture {
    /// Of this form of capture.
    pub capture: u32,
    pub program: Program,
    /// `None`: the folder is in no git repository.
    #[serde(default)]
    pub source: Option<Source>,
    /// Allow-listed variables as they were; what is not here was not set or is not captured.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(default)]
    pub interpreter: Option<Interpreter>,
    /// By name.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// Lock files that lay beside the source.
    #[serde(default)]
    pub locks: Vec<LockFile>,
    #[serde(default)]
    pub datasets: Vec<PinnedData>,
    pub hardware: Hardware,
    /// Places that stood in for the original's: the source in a worktree, packages in an environment of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
    /// How it ended; `None` while it runs.
    #[serde(default)]
    pub ended: Option<Ended>,
}

/// A folder that stood in for another in a repetition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StandIn {
    pub now: String,
    pub then: String,
}

impl Capture {
    /// What a comparison of runs holds against another run's: code beyond its commit, interpreter, packages, variables.
    pub fn surroundings(&self) -> Surroundings {
        let mut all = Surroundings::new();
        let mut put = |section, key: String, value: &str| {
            all.push((section, key, value.to_owned()));
        };
        put(Section::Code, "command".to_owned(), &self.program.command.join(" "));
        for (file, digest) in &self.program.files {
            put(Section::Code, format!("file {file}"), short(digest));
        }
        if let Some(source) = &self.source {
            put(Section::Code, "uncommitted".to_owned(), source.patch.as_deref().map_or("nothing", short));
        }
        if let Some(interpreter) = &self.interpreter {
            put(Section::Environment, "interpreter".to_owned(), &interpreter.version);
        }
        for package in &self.packages {
            put(Section::Environment, package.name.clone(), &package.version);
        }
        for lock in &self.locks {
            put(Section::Environment, format!("lock {}", lock.path), short(&lock.digest));
        }
        for (name, value) in &self.environment {
            put(Section::Environment, name.clone(), value);
        }
        all
    }

    /// As if it had been taken where the original was.
    #[must_use]
    pub fn as_at_the_original(mut self) -> Self {
        for value in self.environment.values_mut() {
            for place in &self.stand_ins {
                *value = value.replace(&place.now, &place.then);
            }
        }
        self
    }
}

/// As much of a digest as tells two apart on a screen.
fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("blake3:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

pub const FORM: u32 = 1;

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Program {
    /// The command as it was given; secrets in it are masked.
    pub command: Vec<String>,
    /// The program's file.
    pub path: String,
    /// The folder that it ran in.
    pub folder: String,
    /// Files that the command names, with their BLAKE3 digests: a script without a repository is known by them.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Whether a secret was masked, so that the command cannot be given again.
    #[serde(default)]
    pub masked: bool,
}

/// The state of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its root on that machine.
    pub root: String,
    pub commit: String,
    #[serde(default)]
    pub branch: String,
    /// Without user name and password.
    #[serde(default)]
    pub remote: String,
    /// BLAKE3 of the patch that makes the commit what was run; `None` when nothing was changed.
    #[serde(default)]
    pub patch: Option<String>,
    /// Untracked files that the patch leaves out, for their size or because they look like secrets.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// The interpreter of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interpreter {
    pub path: String,
    pub version: String,
    /// Compiler and build of it.
    pub build: String,
    /// The interpreter that a virtual environment stands on; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// SHA-256 over its list of files with their hashes, where the installer wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where it came from when it was no package index: a URL, as an installer takes it (PEP 610).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    /// Below the folder of the command, or of the repository.
    pub path: String,
    /// BLAKE3.
    pub digest: String,
}

/// A dataset's version that the run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedData {
    pub dataset: String,
    pub version: u32,
    pub digest: String,
    /// Where it lay.
    pub path: String,
    pub one_file: bool,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hardware {
    pub host: String,
    pub system: String,
    pub cpu: String,
    /// Instruction sets that change how numbers are added up.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    pub cores: u64,
    pub memory_bytes: u64,
    #[serde(default)]
    pub gpus: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Exit status; 128 and the signal's number when one ended it.
    pub status: u8,
    pub seconds: u64,
}
