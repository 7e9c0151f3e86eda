//! One log of a run, followed: its lines go to the agent as a live client would have sent them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Taken;
use super::ahead::{Ahead, POINTS_AT_ONCE, Stretch};
use super::artifact::Home;
use super::log::Log;
use super::record::Story;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::tracking::RunStatus;
use crate::capability::tracking::artifacts::path_of_uri;
use crate::capability::tracking::wandb::{Batch, Upsert, Value};
use crate::capability::wire::WandbRun;
use crate::client::{Client, pieces};
use crate::local::found::Damage;
use crate::local::import::{Files, link};
use crate::local::mlruns::files_beneath;

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
    /// Its reading, where that began before there was an agent.
    ahead: Option<Ahead>,
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
            ahead: None,
        }
    }

    /// One whose reading has begun.
    pub fn ahead(path: PathBuf, ahead: Ahead) -> Self {
        Self { ahead: Some(ahead), ..Self::new(path) }
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
        if let Some(ahead) = self.ahead.take() {
            self.read_ahead(ahead, client, lines, taken).await?;
        }
        loop {
            let story = &mut self.story;
            let naming = !story.named;
            let end = self.log.read(&self.path, |record| {
                story.take(record);
                !(naming && story.named) && story.columns.waiting < POINTS_AT_ONCE
            })?;
            if let Some(upsert) = self.story.news() {
                self.announce(client, upsert, lines, taken).await?;
            }
            let last = end && self.story.named;
            if self.run.is_some() && (self.story.columns.waiting > 0 || last) {
                let ended = if last { end_of(&self.story, dead) } else { None };
                let stretch = Stretch::cut(&mut self.story);
                self.send(client, stretch, ended, taken).await?;
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

    /// Takes in what was read before there was an agent, and while it goes on.
    async fn read_ahead(
        &mut self,
        mut ahead: Ahead,
        client: &Client,
        lines: &BTreeMap<(String, String), (u64, u64)>,
        taken: &mut Taken,
    ) -> Result<()> {
        while let Some((news, stretch)) = ahead.next().await {
            if let Some(upsert) = news {
                self.announce(client, upsert, lines, taken).await?;
            }
            if self.story.known != (0, 0) {
                // Lines that the agent has already were read as new ones: once more, from the start.
                let known = self.story.known;
                self.story = Story::default();
                self.story.known = known;
                return Ok(());
            }
            self.send(client, stretch, None, taken).await?;
        }
        (self.log, self.story) = ahead.end().await?;
        Ok(())
    }

    /// Tells the agent about the run, and hears how far it is.
    async fn announce(
        &mut self,
        client: &Client,
        upsert: Upsert,
        lines: &BTreeMap<(String, String), (u64, u64)>,
        taken: &mut Taken,
    ) -> Result<()> {
        let run = client.import_wandb_run(&upsert).await?;
        if self.run.is_none() {
            taken.runs_new += u64::from(run.inserted);
            taken.runs_known += u64::from(!run.inserted);
            self.before = lines.get(&(upsert.project, upsert.id)).copied().unwrap_or_default();
            let known = |there: u64, before: u64| there.saturating_sub(before);
            self.story.known = (known(run.progress.history, self.before.0), known(run.progress.events, self.before.1));
            self.sent = (run.progress.history, run.progress.events);
        }
        self.run = Some(run);
        Ok(())
    }

    async fn send(&mut self, client: &Client, stretch: Stretch, ended: Option<Ended>, taken: &mut Taken) -> Result<()> {
        let Some(run) = &self.run else { return Ok(()) };
        let to = (self.before.0 + stretch.history, self.before.1 + stretch.events);
        let to = (to.0.max(self.sent.0), to.1.max(self.sent.1));
        let mut batch = Batch {
            history: (self.sent.0, to.0),
            events: (self.sent.1, to.1),
            step: stretch.step,
            runtime: stretch.runtime,
            at_ms: stretch.at_ms,
            ..Batch::default()
        };
        if let Some(ended) = ended {
            batch.summary = ended.values.into_iter().map(|(key, value)| Value { key, value }).collect();
            batch.texts = ended.texts;
            batch.ended = Some(ended.how);
            self.ended = true;
        }
        if to == self.sent && batch.ended.is_none() {
            return Ok(());
        }
        let series = stretch.series;
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

/// How a run ended, and what it came to.
struct Ended {
    how: (RunStatus, i64),
    values: Vec<(String, f64)>,
    texts: BTreeMap<String, String>,
}

/// The end of a run by its log; none while it goes on.
fn end_of(story: &Story, dead: bool) -> Option<Ended> {
    let status = match story.exit {
        Some(0) => RunStatus::Finished,
        Some(INTERRUPTED) => RunStatus::Killed,
        Some(_) => RunStatus::Failed,
        None if dead => RunStatus::Failed,
        None => return None,
    };
    let (values, texts) = story.conclusion();
    Some(Ended { how: (status, story.at_ms.max(story.upsert.started_ms.unwrap_or(0))), values, texts })
}
