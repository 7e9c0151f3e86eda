//! An edge: an agent without a store. It tells the agent that it joined what this machine does. While that one is away it keeps
//! minutes in a file, at most [`SPOOL_MINUTES_MAX`]; then the oldest go and are counted. Each minute has a number, so that one which is
//! told twice counts once.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::http;
use super::{LOOK_EVERY, Looks, now};
use crate::base::id::uuid7;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::hosts::{MINUTES_MAX, Minute, Taken, Told};

/// A week.
pub const SPOOL_MINUTES_MAX: usize = 7 * 24 * 60;
const ANSWER: Duration = Duration::from_secs(10);

/// Whom to join, and where the spool is.
#[derive(Debug, Clone)]
pub struct Join {
    /// `http(s)://HOST:PORT`.
    pub url: String,
    pub token: Option<String>,
    /// Name of this machine.
    pub host: String,
    pub folder: PathBuf,
}

/// What is kept between starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    edge: String,
    /// Number of the first minute of the file.
    first: i64,
    dropped: u64,
}

/// Minutes that were not taken yet.
#[derive(Debug)]
struct Spool {
    folder: PathBuf,
    head: Head,
    minutes: VecDeque<Minute>,
}

impl Spool {
    fn open(folder: &Path) -> Result<Self> {
        let problem = |e: std::io::Error| {
            Fault::unavailable(format!("cannot keep a spool in {}", folder.display())).why(e.to_string())
        };
        std::fs::create_dir_all(folder).map_err(problem)?;
        let head = std::fs::read(folder.join("edge.json")).ok().and_then(|b| serde_json::from_slice(&b).ok());
        let head = head.unwrap_or_else(|| Head { edge: uuid7(), first: 0, dropped: 0 });
        let text = std::fs::read_to_string(folder.join("spool.ndjson")).unwrap_or_default();
        // A line that broke off with the power is no minute.
        let minutes = text.lines().map_while(|l| serde_json::from_slice(l.as_bytes()).ok()).collect();
        let spool = Self { folder: folder.to_owned(), head, minutes };
        spool.write().map_err(problem)?;
        Ok(spool)
    }

    /// The whole of it anew: small, and once a minute at most.
    fn write(&self) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for minute in &self.minutes {
            serde_json::to_writer(&mut lines, minute)?;
            lines.push(b'\n');
        }
        // The minutes first: a head that is behind tells some of them twice, and they count once.
        for (name, bytes) in [("spool.ndjson", lines), ("edge.json", serde_json::to_vec(&self.head)?)] {
            let part = self.folder.join(format!("{name}.part"));
            let mut file = std::fs::File::create(&part)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            std::fs::rename(part, self.folder.join(name))?;
        }
        Ok(())
    }

    fn put(&mut self, minute: Minute) {
        self.minutes.push_back(minute);
        while self.minutes.len() > SPOOL_MINUTES_MAX {
            self.minutes.pop_front();
            self.head.first += 1;
            self.head.dropped += 1;
        }
    }

    /// Lets go of what was taken.
    fn taken(&mut self, newest: i64) {
        while self.head.first <= newest && self.minutes.pop_front().is_some() {
            self.head.first += 1;
        }
        // The other side is further than this: an older spool was put back. Numbers go on behind it.
        if self.head.first <= newest {
            self.head.first = newest + 1;
        }
    }

    fn told(&self, host: &str) -> Told {
        Told {
            edge: self.head.edge.clone(),
            host: host.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            first: self.head.first,
            minutes: self.minutes.iter().take(MINUTES_MAX).cloned().collect(),
            dropped: self.head.dropped,
        }
    }
}

/// Runs until `stopped`; what cannot be told waits.
///
/// # Errors
/// `Unavailable` when the spool cannot be kept, `Denied` when the token is not taken, `Invalid` for an address.
pub async fn run(join: Join, stopped: impl Future<Output = ()>) -> Result<()> {
    let http = http::client(ANSWER, [join.url.as_str()])?;
    let mut spool = Spool::open(&join.folder)?;
    // Whether it may tell at all is known at once.
    match tell(&http, &join, &mut spool).await {
        Err(fault) if fault.kind != Kind::Unavailable => return Err(fault),
        Err(fault) => tracing::warn!("{fault}; what is seen here is kept until then"),
        Ok(()) => tracing::info!("joined {} as {}", join.url, join.host),
    }
    let mut looks = Looks::new(join.folder.clone());
    let mut away = false;
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let ended = looks.one(now()).await;
        if ended.is_some() || !spool.minutes.is_empty() {
            ended.into_iter().for_each(|minute| spool.put(minute));
            let told = tell(&http, &join, &mut spool).await;
            if let Err(e) = spool.write() {
                tracing::warn!("the spool cannot be written: {e}");
            }
            match (&told, away) {
                (Ok(()), true) => tracing::info!("{} answers again", join.url),
                (Err(fault), false) => tracing::warn!("{fault}; {} minutes wait", spool.minutes.len()),
                _ => {}
            }
            away = told.is_err();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut stopped => break,
        }
    }
    Ok(())
}

/// Tells all that waits.
async fn tell(http: &reqwest::Client, join: &Join, spool: &mut Spool) -> Result<()> {
    loop {
        let told = spool.told(&join.host);
        let waiting = told.minutes.len();
        let mut request = http.post(format!("{}/api/v1/hosts", join.url.trim_end_matches('/'))).json(&told);
        if let Some(token) = &join.token {
            request = request.bearer_auth(token);
        }
        let away = |e: reqwest::Error| Fault::unavailable(format!("{} does not answer", join.url)).why(e.to_string());
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(away)?;
        if !status.is_success() {
            let fault: Option<Fault> = serde_json::from_slice(&bytes).ok();
            return Err(fault.unwrap_or_else(|| Fault::unavailable(format!("{} answered {status}", join.url))));
        }
        let taken: Taken = serde_json::from_slice(&bytes)
            .map_err(|e| Fault::unavailable(format!("{} is no agent of opsroom", join.url)).why(e.to_string()))?;
        spool.taken(taken.newest);
        if spool.minutes.is_empty() || waiting < MINUTES_MAX {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::capability::hosts::Figures;

    fn minute(n: i64) -> Minute {
        Minute { at: Timestamp(n * 60_000_000), looks: 6, figures: Figures::default() }
    }

    #[test]
    fn a_spool_is_bounded_numbers_go_on_and_a_restart_has_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let edge = spool.head.edge.clone();
        for n in 0..i64::try_from(SPOOL_MINUTES_MAX).unwrap() + 5 {
            spool.put(minute(n));
        }
        assert_eq!((spool.minutes.len(), spool.head.first, spool.head.dropped), (SPOOL_MINUTES_MAX, 5, 5));
        spool.taken(1004);
        assert_eq!((spool.head.first, spool.told("h").first, spool.told("h").minutes.len()), (1005, 1005, MINUTES_MAX));
        spool.write().unwrap();
        let again = Spool::open(folder.path()).unwrap();
        assert_eq!((again.head.edge.as_str(), again.head.first), (edge.as_str(), 1005));
        assert_eq!(again.minutes.len(), SPOOL_MINUTES_MAX - 1000);
        // Half a line is no minute.
        std::fs::write(folder.path().join("spool.ndjson"), "{\"at\":\"19").unwrap();
        assert!(Spool::open(folder.path()).unwrap().minutes.is_empty());
    }

    #[test]
    fn an_older_spool_goes_on_behind_what_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        spool.put(minute(0));
        spool.taken(41);
        spool.put(minute(1));
        assert_eq!((spool.told("h").first, spool.minutes.len()), (42, 1));
    }
}
