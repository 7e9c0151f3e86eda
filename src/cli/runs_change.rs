//! `opsroom runs tag|note|stop|delete|restore`: what changes runs.

use std::collections::BTreeMap;

use clap::Args;

use super::change::{Change, Logged, tell_logged};
use super::{Exit, Format, Session, print, select};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Fault, fault::Result};
use crate::capability::Command;
use crate::capability::tracking;
use crate::capability::tracking::rules::{NOTE_TAG, REASON_TAG};
use crate::client::stop_tags;

/// Set or remove tags. Tags are logged, not decided: the reason is kept as the tag opsroom.reason.
#[derive(Debug, Args)]
pub struct Tag {
    run: String,
    /// KEY=VALUE; may be given several times
    #[arg(required_unless_present = "remove")]
    tags: Vec<String>,
    /// Remove this tag; may be given several times
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// Read the note of a run, or with a text write it.
#[derive(Debug, Args)]
pub struct Note {
    run: String,
    /// The new note; an empty text removes it
    text: Option<String>,
    #[command(flatten)]
    change: Change,
}

/// Mark runs as killed and ask their scripts to stop.
///
/// A command under `opsroom run` gets SIGTERM, and ten seconds later SIGKILL if it or anything that it started still goes on.
/// W&B's client ends its script. MLflow has no way to stop one: opsroom sets the run's status to KILLED and the tag
/// opsroom.stop_requested. A script that looks at the tag can end by itself; another goes on until it ends.
#[derive(Debug, Args)]
pub struct Stop {
    #[arg(required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Lifecycle {
    #[arg(required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    change: Change,
}

pub(super) async fn tag(session: &Session, tag: Tag) -> Result<Exit> {
    let mut tags: BTreeMap<String, Option<String>> = tag.remove.into_iter().map(|key| (key, None)).collect();
    for text in &tag.tags {
        let (key, value) = select::pair(text)?;
        tags.insert(key, Some(value));
    }
    set(session, &[tag.run], &tags, &tag.change).await
}

pub(super) async fn note(session: &Session, note: Note) -> Result<Exit> {
    if let Some(text) = note.text {
        let value = Some(text).filter(|t| !t.is_empty());
        return set(session, &[note.run], &BTreeMap::from([(NOTE_TAG.to_owned(), value)]), &note.change).await;
    }
    let client = session.client().await?;
    let run = client.run(select::run(client, &note.run).await?).await?;
    let text = run.tags.get(NOTE_TAG).cloned().unwrap_or_default();
    match session.format {
        Format::Json => print::answer(session.format, &serde_json::json!({ "run": run.id, "note": text }), |_| {
            print::Page::default()
        })?,
        _ => print::out(format!("{text}\n").as_bytes())?,
    }
    Ok(Exit::Done)
}

pub(super) async fn stop(session: &Session, stop: Stop) -> Result<Exit> {
    session.check_writable()?;
    let client = session.client().await?;
    let mut ids = Vec::new();
    for text in &stop.runs {
        let run = client.run(select::run(client, text).await?).await?;
        if run.status.is_over() {
            let status = run.status.name().to_lowercase();
            return Err(Fault::new(
                crate::base::Kind::Conflict,
                format!("run {} is not going on: it is {status}", run.id),
            ));
        }
        ids.push(run.id);
    }
    let (now, reason) = (SystemClock.now(), &stop.change.reason);
    let mut logged = Vec::new();
    for id in ids {
        let dry_run = stop.change.dry_run;
        let tags = if dry_run { stop_tags(reason, now) } else { client.stop_run(id, reason, now).await? };
        logged.push(Logged { run: id.to_string(), tags, dry_run });
    }
    tell_logged(session, &logged)
}

pub(super) async fn delete(session: &Session, which: Lifecycle) -> Result<Exit> {
    let commands = commands(session, &which.runs, |id| tracking::Command::DeleteRun { id }).await?;
    which.change.run_all(session, commands).await
}

pub(super) async fn restore(session: &Session, which: Lifecycle) -> Result<Exit> {
    let commands = commands(session, &which.runs, |id| tracking::Command::RestoreRun { id }).await?;
    which.change.run_all(session, commands).await
}

async fn commands(
    session: &Session,
    texts: &[String],
    command: impl Fn(crate::base::id::RunId) -> tracking::Command,
) -> Result<Vec<Command>> {
    let client = session.client().await?;
    let mut commands = Vec::new();
    for text in texts {
        commands.push(Command::Tracking(command(select::run(client, text).await?)));
    }
    Ok(commands)
}

async fn set(
    session: &Session,
    runs: &[String],
    tags: &BTreeMap<String, Option<String>>,
    change: &Change,
) -> Result<Exit> {
    session.check_writable()?;
    let mut tags = tags.clone();
    if !change.reason.trim().is_empty() {
        tags.insert(REASON_TAG.to_owned(), Some(change.reason.trim().to_owned()));
    }
    let client = session.client().await?;
    let mut logged = Vec::new();
    for text in runs {
        let id = client.run(select::run(client, text).await?).await?.id;
        if !change.dry_run {
            client.tag_run(id, &tags).await?;
        }
        logged.push(Logged { run: id.to_string(), tags: tags.clone(), dry_run: change.dry_run });
    }
    tell_logged(session, &logged)
}
