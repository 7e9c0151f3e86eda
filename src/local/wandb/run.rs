//! One log of a run, followed: its lines go to the agent as a live client would have sent them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Taken;
use super::artifact::Home;
use super::log::Log;
use super::record::Story;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::tracking::RunStatus;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::wandb::{Batch, NO_PROJECT, Value};
use crate::capability::wire::WandbRun;
use crate::client::{Client, pieces};
use crate::local::found::Damage;
use crate::local::import::{Files, link};
use crate::local::mlruns::files_beneath;

/// Points that are sent at once: this bounds the memory that reading takes.
const POINTS_AT_ONCE: usize = 65_536;
/// A log without an end that nobody has written to for so long belongs to a script that died.
const DEAD_AFTER: Duration = Duration::from_mins(5);
/// A script that was interrupted from its keyboard ends with this.
const INTERRUPTED: i64 = 255;

/// A log and how far it has come.
pub struct Following {
    path: PathBuf,
    log: Log,
    story: Story,
    run: Option<WandbRun>,
    /// Lines that were sent or are known.
    sent: (u64, u64),
    /// Lines of the logs of the same run before this one.
    before: (u64, u64),
    /// As of the last look: length and time of writing.
    seen: (u64, Option<SystemTime>),
    /// Files that were brought, with length.
    files: BTreeMap<String, u64>,
    told_damage: u64,
    ended: bool,
    /// Lines on their way while the next ones are read.
    on_the_way: Option<Sending>,
}

/// Lines on their way to the agent.
struct Sending(tokio::task::JoinHandle<Result<()>>);

impl Sending {
    async fn arrived(mut self) -> Result<()> {
        (&mut self.0).await.unwrap_or_else(|e| Err(Fault::bug("lines were not sent").why(e.to_string())))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Following {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            log: Log::default(),
            story: Story::default(),
            run: None,
            sent: (0, 0),
            before: (0, 0),
            seen: (0, None),
            files: BTreeMap::new(),
            told_damage: 0,
            ended: false,
            on_the_way: None,
        }
    }

    /// Takes in what has come since the last look. `lines` counts the lines of each run over its logs. After a failure the
    /// next look reads anew: the agent knows which lines it has.
    ///
    /// # Errors
    /// `Conflict` when a live script was quicker; `Invalid` when it is no log; `Unavailable`.
    pub async fn look(
        &mut self,
        client: &Client,
        files: &Files,
        lines: &mut BTreeMap<(String, String), (u64, u64)>,
        taken: &mut Taken,
    ) -> Result<()> {
        let looked = self.read_on(client, files, lines, taken).await;
        if looked.is_err() {
            let brought = std::mem::take(&mut self.files);
            *self = Self { files: brought, ..Self::new(self.path.clone()) };
        }
        looked
    }

    async fn read_on(
        &mut self,
        client: &Client,
        files: &Files,
        lines: &mut BTreeMap<(String, String), (u64, u64)>,
        taken: &mut Taken,
    ) -> Result<()> {
        let about = std::fs::metadata(&self.path).ok();
        let seen = (about.as_ref().map_or(0, std::fs::Metadata::len), about.and_then(|a| a.modified().ok()));
        let dead = self.story.exit.is_none() && Self::is_dead(seen.1);
        if seen == self.seen && (self.ended || !dead) {
            self.count(lines);
            return Ok(());
        }
        loop {
            let path = self.path.clone();
            let story = &mut self.story;
            let naming = !story.named;
            let end = self.log.read(&path, |record| {
                story.take(record);
                !(naming && story.named) && story.columns.waiting < POINTS_AT_ONCE
            })?;
            self.announce(client, lines, taken).await?;
            let last = end && self.story.named;
            if self.run.is_some() && (self.story.columns.waiting > 0 || last) {
                self.send(client, last, dead, taken).await?;
            }
            if end {
                break;
            }
        }
        self.arrived().await?;
        self.count(lines);
        self.bring(client, files, taken).await?;
        if matches!(files, Files::Copy) {
            self.bring_artifacts(client, dead, taken).await?;
        }
        self.tell_damage(seen, dead, taken);
        self.seen = seen;
        Ok(())
    }

    fn count(&self, lines: &mut BTreeMap<(String, String), (u64, u64)>) {
        if self.story.named {
            let all = (self.before.0 + self.story.history, self.before.1 + self.story.events);
            lines.insert(self.name(), all);
        }
    }

    fn name(&self) -> (String, String) {
        (self.story.upsert.project.clone(), self.story.upsert.id.clone())
    }

    /// Tells the agent about the run when something about it is new, and hears how far it is.
    async fn announce(
        &mut self,
        client: &Client,
        lines: &BTreeMap<(String, String), (u64, u64)>,
        taken: &mut Taken,
    ) -> Result<()> {
        if !self.story.named || !self.story.news {
            return Ok(());
        }
        if self.story.upsert.project.is_empty() {
            NO_PROJECT.clone_into(&mut self.story.upsert.project);
        }
        self.story.upsert.from_file = true;
        let run = client.import_wandb_run(&self.story.upsert).await?;
        self.story.news = false;
        if self.run.is_none() {
            taken.runs_new += u64::from(run.inserted);
            taken.runs_known += u64::from(!run.inserted);
            self.before = lines.get(&self.name()).copied().unwrap_or_default();
            let known = |there: u64, before: u64| there.saturating_sub(before);
            self.story.known = (known(run.progress.history, self.before.0), known(run.progress.events, self.before.1));
            self.sent = (run.progress.history, run.progress.events);
        }
        self.run = Some(run);
        Ok(())
    }

    async fn send(&mut self, client: &Client, last: bool, dead: bool, taken: &mut Taken) -> Result<()> {
        let Some(run) = &self.run else { return Ok(()) };
        let story = &mut self.story;
        let to = ((self.before.0 + story.history).max(self.sent.0), (self.before.1 + story.events).max(self.sent.1));
        let mut batch = Batch {
            history: (self.sent.0, to.0),
            events: (self.sent.1, to.1),
            step: story.step,
            runtime: story.runtime,
            at_ms: story.at_ms,
            ..Batch::default()
        };
        if last && let Some(ended) = end(story, dead) {
            let (values, texts) = story.conclusion();
            batch.summary = values.into_iter().map(|(key, value)| Value { key, value }).collect();
            batch.texts = texts;
            batch.ended = Some(ended);
            self.ended = true;
        }
        let series = story.columns.take();
        if to == self.sent && batch.ended.is_none() {
            return Ok(());
        }
        let points = series.iter().map(|(_, p)| p.len() as u64).sum::<u64>();
        let (id, client) = (run.id, client.clone());
        // In order: lines must go on where the run's lines are.
        self.arrived().await?;
        let sending = async move { client.import_wandb_lines(id, batch.written(&series)?).await.map(drop) };
        self.on_the_way = Some(Sending(tokio::spawn(sending)));
        self.sent = to;
        taken.points += points;
        Ok(())
    }

    /// Waits for the lines that are on their way.
    async fn arrived(&mut self) -> Result<()> {
        match self.on_the_way.take() {
            Some(sending) => sending.arrived().await,
            None => Ok(()),
        }
    }

    /// Brings the files of the run, and the objects that its lines hold whole.
    async fn bring(&mut self, client: &Client, files: &Files, taken: &mut Taken) -> Result<()> {
        let Some(run) = &self.run else { return Ok(()) };
        let Some(place) = path_of_uri(&run.artifact_uri) else { return Ok(()) };
        let folder = self.path.parent().map(|p| p.join("files")).unwrap_or_default();
        if let Files::Link(root) = files {
            return if folder.is_dir() { link(&folder, &root.join(place)) } else { Ok(()) };
        }
        let mut console = false;
        for (name, file) in files_beneath(&folder) {
            let length = std::fs::metadata(&file).map_or(0, |m| m.len());
            console |= name == "output.log";
            // The lines of a live script are there, those of its forerunners too.
            if self.files.get(&name) == Some(&length) || (name == "output.log" && run.progress.output > 0) {
                continue;
            }
            let Ok(opened) = tokio::fs::File::open(&file).await else { continue };
            let body = reqwest::Body::wrap_stream(pieces(opened));
            match client.put_artifact(&format!("{place}/{name}"), body).await {
                Ok(()) => {
                    taken.files += u64::from(self.files.insert(name, length).is_none());
                    taken.bytes += length;
                }
                Err(fault) => {
                    taken.skipped.push(Damage::new(file.display(), fault));
                    self.files.insert(name, length);
                }
            }
        }
        for (step, key, value) in std::mem::take(&mut self.story.media) {
            if value.get("path").is_none() {
                let kind = value.get("_type").and_then(serde_json::Value::as_str).unwrap_or("object").to_owned();
                let name = crate::capability::tracking::wandb::file_path(&format!("media/{kind}/{key}_{step}.json"))?;
                client.put_artifact(&format!("{place}/{name}"), value.to_string()).await?;
                taken.files += 1;
            }
        }
        if !console && run.progress.output == 0 && std::mem::take(&mut self.story.console.changed) {
            client.put_artifact(&format!("{place}/output.log"), self.story.console.text()).await?;
        }
        Ok(())
    }

    /// Artifacts that the log holds go to the agent as their client would have sent them. Alerts are told while the script is at
    /// work; those of a run that is over stand on it, and wake nobody.
    async fn bring_artifacts(&mut self, client: &Client, dead: bool, taken: &mut Taken) -> Result<()> {
        if self.run.is_none() {
            return Ok(());
        }
        let upsert = &self.story.upsert;
        let home = Home { project: upsert.project.clone(), run: upsert.id.clone() };
        for artifact in std::mem::take(&mut self.story.artifacts) {
            match artifact.bring(client, &home).await {
                Ok(files) => (taken.artifacts, taken.files) = (taken.artifacts + 1, taken.files + files),
                Err(fault) if fault.kind == crate::base::Kind::Unavailable => return Err(fault),
                Err(fault) => taken.skipped.push(Damage::new(format!("artifact {}", artifact.name), fault)),
            }
        }
        let over = dead || self.story.exit.is_some();
        for alert in std::mem::take(&mut self.story.alerts) {
            alert.bring(client, &home, over).await?;
            taken.alerts += 1;
        }
        Ok(())
    }

    fn tell_damage(&mut self, seen: (u64, Option<SystemTime>), dead: bool, taken: &mut Taken) {
        let new = self.log.damaged - self.told_damage;
        self.told_damage = self.log.damaged;
        taken.damaged_blocks += new;
        if new > 0 {
            taken.skipped.push(Damage::new(self.path.display(), format!("{new} damaged blocks were skipped")));
        }
        let rest = seen.0.saturating_sub(self.log.read_bytes());
        if (dead || self.story.exit.is_some()) && rest > 0 {
            taken.skipped.push(Damage::new(self.path.display(), format!("the last {rest} bytes hold no whole record")));
        }
    }

    fn is_dead(written: Option<SystemTime>) -> bool {
        let now = crate::base::Clock::now(&crate::base::clock::SystemClock);
        let written = written.and_then(|w| w.duration_since(SystemTime::UNIX_EPOCH).ok());
        let written = written.map(|d| Timestamp::from_millis(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)));
        written.is_some_and(|w| now > w.plus(DEAD_AFTER))
    }
}

/// How a run ended, by its log.
fn end(story: &Story, dead: bool) -> Option<(RunStatus, i64)> {
    let status = match story.exit {
        Some(0) => RunStatus::Finished,
        Some(INTERRUPTED) => RunStatus::Killed,
        Some(_) => RunStatus::Failed,
        None if dead => RunStatus::Failed,
        None => return None,
    };
    Some((status, story.at_ms.max(story.upsert.started_ms.unwrap_or(0))))
}
