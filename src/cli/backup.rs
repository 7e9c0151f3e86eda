//! `opsroom backup` asks the agent for a backup. And the flags and the answer of `opsroom restore`, which needs none.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::print::Page;
use super::{Exit, Session, print};
use crate::base::{Fault, fault::Result, show};
use crate::capability::wire::{BackupStep, Restored};

/// Backs store and artifacts up while they are written to.
#[derive(Debug, Clone, Args)]
pub struct Backup {
    /// An empty or new folder on the agent's host
    #[arg(value_name = "DEST")]
    to: PathBuf,
}

/// Fills an empty store and an empty artifact place from a backup.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The folder that `opsroom backup` has filled
    #[arg(value_name = "SRC")]
    pub from: PathBuf,
    /// Where the store is to be: a path or postgres://… of an empty database
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Where the artifacts are to be: a folder or s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    artifacts: Option<String>,
}

impl Restore {
    /// Those flags that are settings: name without dashes, and text.
    pub fn flags(&self) -> Vec<(String, String)> {
        let given = [("store", &self.store), ("artifacts", &self.artifacts)];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect()
    }
}

#[derive(Serialize)]
struct Made<'a> {
    backup: &'a str,
    files: u64,
    bytes: u64,
    digest: &'a str,
}

/// # Errors
/// `Exists` when the folder is not empty, `Denied`, `Unavailable`.
pub(super) async fn make(session: &Session, backup: &Backup) -> Result<Exit> {
    session.check_writable()?;
    let to = std::path::absolute(&backup.to)
        .map_err(|e| Fault::invalid(format!("not a path: {}", backup.to.display())).why(e.to_string()))?;
    let to = to.to_string_lossy();
    let bar = Bar::default();
    let done = session.client().await?.backup(&to, |step| match step {
        BackupStep::Artifacts { done, of } => bar.show("artifacts", *done, *of),
        _ => bar.show("store", 0, 0),
    });
    let done = done.await;
    bar.clear();
    let BackupStep::Done { files, bytes, digest } = done? else {
        return Err(Fault::bug("the backup ended without its last word"));
    };
    print::answer(session.format, &Made { backup: &to, files, bytes, digest: &digest }, |made| {
        Page::default().pairs([
            ("backup", show::line(made.backup)),
            ("artifacts", made.files.to_string()),
            ("bytes", made.bytes.to_string()),
            ("store", made.digest.to_owned()),
        ])
    })?;
    Ok(Exit::Done)
}

/// Says what was restored, and where.
///
/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn tell_restored(session: &Session, restored: &Restored) -> Result<()> {
    print::answer(session.format, restored, |restored| {
        Page::default().pairs([
            ("store", show::line(&restored.store)),
            ("artifacts", show::line(&restored.artifacts)),
            ("files", restored.files.to_string()),
            ("bytes", restored.bytes.to_string()),
            ("backup of", restored.made.to_string()),
        ])
    })
}

/// How far it is; shown on a terminal only.
pub struct Bar(ProgressBar);

impl Default for Bar {
    fn default() -> Self {
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {msg}");
        Self(ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Bar {
    pub fn show(&self, what: &str, done: u64, of: u64) {
        self.draw(what, format!("{done}/{of}"), done, of);
    }

    /// The same, of bytes.
    pub fn show_bytes(&self, what: &str, done: u64, of: u64) {
        self.draw(what, format!("{} / {}", show::bytes(done), show::bytes(of)), done, of);
    }

    fn draw(&self, what: &str, words: String, done: u64, of: u64) {
        self.0.set_prefix(what.to_owned());
        self.0.set_message(words);
        self.0.set_length(of);
        self.0.set_position(done);
    }

    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
