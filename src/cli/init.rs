//! `opsroom init`: files to start from. What is there already is left as it is.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{Fault, fault::Result};

/// Write a configuration, a suite, gates and a CI workflow to start from
#[derive(Debug, Args)]
pub struct Init {
    /// Folder of the repository
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Registered model that the files speak of
    #[arg(long, value_name = "NAME", default_value = "my-model")]
    model: String,
}

/// Path below the repository, and text.
const FILES: [(&str, &str); 4] = [
    ("opsroom.toml", include_str!("../../config/opsroom.toml")),
    ("opsroom/model.toml", include_str!("../../config/init/model.toml")),
    ("opsroom/predict.py", include_str!("../../config/init/predict.py")),
    (".github/workflows/opsroom.yml", include_str!("../../config/init/workflow.yml")),
];

#[derive(serde::Serialize)]
struct Written {
    path: PathBuf,
    written: bool,
}

/// # Errors
/// `Invalid` for a name that no model can have, `Unavailable` when a file cannot be written.
pub fn run(session: &Session, asked: &Init) -> Result<Exit> {
    session.check_writable()?;
    if asked.model.is_empty() || !asked.model.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c)) {
        return Err(Fault::invalid(format!("{:?} cannot stand in the files", asked.model))
            .why("letters, digits, spaces and - _ . can")
            .next("write the name into the files yourself"));
    }
    let mut done = Vec::new();
    for (path, text) in FILES {
        let path = asked.path.join(path);
        let written = write_new(&path, &text.replace("MODEL_NAME", &asked.model))?;
        done.push(Written { path, written });
    }
    print::answer(session.format, &done, |done| {
        let mut table = Table::new(&["FILE", ""]);
        for file in done {
            let what = if file.written { "written" } else { "kept as it is" };
            table.row([file.path.display().to_string(), what.to_owned()]);
        }
        Page::default()
            .table(table)
            .line("next: mend the suite's data and label, then `opsroom apply opsroom/model.toml`")
    })?;
    Ok(Exit::Done)
}

/// False when the file is there already.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    let problem = |e: std::io::Error| {
        Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string()).next("name another folder")
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(problem),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(problem(e)),
    }
}
