//! Hosts: what the machines do that agents run on, by minute. A minute that is told twice counts once.

mod store;

use serde::{Deserialize, Serialize};

pub use store::STATEMENTS;

use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx};

pub const MINUTE_US: i64 = 60_000_000;
/// Minutes of one telling, GPUs and bytes of a name.
pub const MINUTES_MAX: usize = 2000;
const GPUS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;
/// A host that told nothing for so long is away.
pub const AWAY_US: i64 = 3 * MINUTE_US;

/// What a machine does at a moment, or on average over a minute.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Of all processors together.
    pub cpu_percent: f64,
    pub cpus: u32,
    pub load: f64,
    pub memory_bytes: u64,
    pub memory_total: u64,
    /// Of the file system that the agent's store or spool is on.
    pub disk_bytes: u64,
    pub disk_total: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gpu {
    pub index: u32,
    pub name: String,
    pub percent: f64,
    pub memory_bytes: u64,
    pub memory_total: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<f64>,
}

/// A whole minute of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// Its begin.
    pub at: Timestamp,
    /// How many looks it is the mean of.
    pub looks: u32,
    #[serde(flatten)]
    pub figures: Figures,
}

/// What an edge tells: minutes numbered one after the other, so that each counts once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Who tells: made once for a spool.
    pub edge: String,
    pub host: String,
    pub version: String,
    /// Number of the first minute.
    pub first: i64,
    pub minutes: Vec<Minute>,
    /// Minutes that its spool had no room for, so far.
    #[serde(default)]
    pub dropped: u64,
}

/// What was taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Number of the newest minute that counts.
    pub newest: i64,
}

/// A host as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub name: String,
    /// It tells from elsewhere.
    pub edge: bool,
    pub version: String,
    pub seen: Timestamp,
    /// It has told nothing for some minutes.
    #[serde(default)]
    pub away: bool,
    pub dropped: u64,
    pub newest: Option<Minute>,
}

impl Minute {
    /// The mean of looks of one minute.
    pub fn of(at: Timestamp, looks: &[Figures]) -> Option<Self> {
        let last = looks.last()?;
        let n = looks.len() as f64;
        let mean = |of: fn(&Figures) -> f64| looks.iter().map(of).sum::<f64>() / n;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // means of bytes
        let bytes = |x: f64| x.max(0.0) as u64;
        let gpus = last.gpus.iter().map(|gpu| {
            let seen: Vec<&Gpu> = looks.iter().flat_map(|l| &l.gpus).filter(|g| g.index == gpu.index).collect();
            let mean = |of: &dyn Fn(&Gpu) -> f64| seen.iter().map(|g| of(g)).sum::<f64>() / seen.len().max(1) as f64;
            Gpu {
                percent: mean(&|g| g.percent),
                memory_bytes: bytes(mean(&|g| g.memory_bytes as f64)),
                watts: gpu.watts.map(|_| mean(&|g| g.watts.unwrap_or(0.0))),
                ..gpu.clone()
            }
        });
        let figures = Figures {
            cpu_percent: mean(|f| f.cpu_percent),
            load: mean(|f| f.load),
            memory_bytes: bytes(mean(|f| f.memory_bytes as f64)),
            disk_bytes: last.disk_bytes,
            gpus: gpus.collect(),
            ..*last
        };
        let begin = Timestamp(at.0.div_euclid(MINUTE_US) * MINUTE_US);
        Some(Self { at: begin, looks: u32::try_from(looks.len()).unwrap_or(u32::MAX), figures })
    }

    fn check(&self, now: Timestamp) -> Result<(), String> {
        let f = &self.figures;
        let wild = |x: f64| !x.is_finite() || !(0.0..=1e6).contains(&x);
        if [f.cpu_percent, f.load].into_iter().chain(f.gpus.iter().map(|g| g.percent)).any(wild) {
            return Err("a figure is no number that a machine can have".to_owned());
        }
        if f.gpus.len() > GPUS_MAX {
            return Err(format!("{} GPUs, at most {GPUS_MAX} are taken", f.gpus.len()));
        }
        if self.at.0 < 0 || self.at.0 > now.0 + 5 * MINUTE_US {
            return Err(format!("its minute {} lies in the future or before 1970: set the clock there", self.at));
        }
        Ok(())
    }
}

impl Figures {
    /// Whether nothing works there: no GPU where there are some, else no processor.
    pub fn is_idle(&self) -> bool {
        if self.gpus.is_empty() { self.cpu_percent < 5.0 } else { self.gpus.iter().all(|g| g.percent < 5.0) }
    }

    /// The busiest of what it has, in words: `GPU 94%` or `CPU 12%`.
    pub fn use_words(&self) -> String {
        if self.gpus.is_empty() {
            return format!("CPU {:.0}%", self.cpu_percent);
        }
        let mean = self.gpus.iter().map(|g| g.percent).sum::<f64>() / self.gpus.len() as f64;
        format!("GPU {mean:.0}%")
    }
}

fn named(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Fault::invalid(format!("{what} is 1 to {NAME_BYTES_MAX} bytes of printable text")));
    }
    Ok(())
}

/// Takes what an edge tells; what it told before counts once.
///
/// # Errors
/// `Invalid` for names, figures or times that cannot be; then nothing of it was taken.
pub async fn record(tx: &mut Tx, told: &Told, edge: bool, now: Timestamp) -> Result<Taken> {
    named("a host's name", &told.host)?;
    named("an edge's name", &told.edge)?;
    if told.minutes.len() > MINUTES_MAX || told.first < 0 {
        return Err(Fault::invalid(format!("{} minutes at once, at most {MINUTES_MAX} are taken", told.minutes.len())));
    }
    for minute in &told.minutes {
        minute.check(now).map_err(|why| Fault::invalid(format!("a minute of {} was not taken", told.host)).why(why))?;
    }
    let known = store::sequence(tx, &told.edge).await?.unwrap_or(-1);
    let mut newest = known;
    for (number, minute) in (told.first..).zip(&told.minutes) {
        if number > known {
            store::put_minute(tx, &told.host, minute).await?;
            newest = number;
        }
    }
    let last = told.minutes.last().filter(|_| newest > known);
    store::put_edge(tx, told, newest, edge, last, now).await?;
    Ok(Taken { newest })
}

/// Every host, by name; each once, as the newest that tells of it.
///
/// # Errors
/// The store's.
pub async fn hosts(source: Source<'_>, now: Timestamp) -> Result<Vec<Host>> {
    let mut all = store::hosts(source).await?;
    all.sort_by(|a, b| a.name.cmp(&b.name).then(b.seen.cmp(&a.seen)));
    all.dedup_by(|later, first| later.name == first.name);
    for host in &mut all {
        host.away = now.0 - host.seen.0 > AWAY_US;
    }
    Ok(all)
}

/// Minutes of a host in [from, to), oldest first.
///
/// # Errors
/// The store's.
pub async fn minutes(source: Source<'_>, host: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Minute>> {
    store::minutes(source, host, from, to).await
}

/// Number and bytes of the minutes before a moment.
///
/// # Errors
/// The store's.
pub async fn before(source: Source<'_>, before: Timestamp) -> Result<(u64, u64)> {
    store::before(source, before).await
}

/// Takes them away.
///
/// # Errors
/// The store's.
pub async fn remove_before(tx: &mut Tx, before: Timestamp) -> Result<()> {
    store::remove_before(tx, before).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(cpu: f64, gpu: f64) -> Figures {
        let gpu = Gpu { index: 0, name: "H100".to_owned(), percent: gpu, ..Gpu::default() };
        Figures { cpu_percent: cpu, cpus: 8, memory_bytes: 100, gpus: vec![gpu], ..Figures::default() }
    }

    #[test]
    fn a_minute_is_the_mean_of_its_looks() {
        let minute = Minute::of(Timestamp(90_000_001), &[look(10.0, 0.0), look(30.0, 50.0)]).unwrap();
        assert_eq!((minute.at, minute.looks), (Timestamp(60_000_000), 2));
        assert_eq!((minute.figures.cpu_percent, minute.figures.gpus[0].percent, minute.figures.cpus), (20.0, 25.0, 8));
        assert_eq!(Minute::of(Timestamp(0), &[]), None);
        assert_eq!(minute.figures.use_words(), "GPU 25%");
        assert!(look(90.0, 1.0).is_idle(), "a GPU that is kept and does nothing");
        assert!(!Figures { cpu_percent: 50.0, ..Figures::default() }.is_idle());
    }

    #[test]
    fn figures_that_cannot_be_are_refused() {
        let minute = |figures| Minute { at: Timestamp(0), looks: 1, figures };
        assert!(minute(look(50.0, 50.0)).check(Timestamp(0)).is_ok());
        assert!(minute(look(f64::NAN, 0.0)).check(Timestamp(0)).is_err());
        assert!(minute(look(-1.0, 0.0)).check(Timestamp(0)).is_err());
        assert!(Minute { at: Timestamp(10 * MINUTE_US), ..minute(look(1.0, 1.0)) }.check(Timestamp(0)).is_err());
    }
}
