//! Running an eval suite on the caller's own machine: data in, predictions by a command or a server, a report out.
//! Nothing is reported unless every row has its prediction.

mod artifact;
mod command;
mod data;
mod endpoint;
mod predictions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::clock::Stopwatch;
use crate::base::{Fault, fault::Result};
use crate::capability::evals::{self, Report, Suite};
use crate::capability::registry::ModelVersion;
use crate::client::Client;

pub use data::Data;

/// What a run gave, before it is evidence.
#[derive(Debug)]
pub struct Ran {
    pub report: Report,
    pub rows: usize,
}

/// What commands are filled in with.
#[derive(Debug)]
pub(crate) struct Places {
    pub artifact: Option<PathBuf>,
    pub data: PathBuf,
    pub out: PathBuf,
    pub model: String,
    pub version: u32,
}

impl Places {
    /// The words of a command with its placeholders filled in.
    pub(crate) fn fill(&self, words: &[String]) -> Vec<String> {
        let artifact = self.artifact.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        let one = |word: &String| {
            word.replace("{artifact}", &artifact)
                .replace("{data}", &self.data.display().to_string())
                .replace("{out}", &self.out.display().to_string())
                .replace("{model}", &self.model)
                .replace("{version}", &self.version.to_string())
        };
        words.iter().map(one).collect()
    }
}

/// Runs a suite against a version, uploads labels and predictions, and answers the report. `cache` keeps artifacts by
/// digest; `told` hears each step.
///
/// # Errors
/// `Invalid` for data, a command or a server that does not do its part, with what it said; `Unavailable` when the
/// agent cannot be reached.
pub async fn run(
    client: &Client,
    suite: &Suite,
    version: &ModelVersion,
    cache: &Path,
    told: &(dyn Fn(&str) + Sync),
) -> Result<Ran> {
    let data = Data::read(suite, &data::place(client, suite, cache).await?)?;
    let truth = data.truth(suite)?;
    let work = Workplace::new(cache)?;
    let mut places = Places {
        artifact: None,
        data: work.path().join("data.csv"),
        out: work.path().join("predictions"),
        model: version.model.clone(),
        version: version.version,
    };
    data.write_features(&places.data, &suite.label)?;
    let mut subject = evals::subject(version);
    let words = suite.command.iter().flatten().chain(suite.custom.iter().flat_map(|c| &c.command));
    if words.into_iter().any(|w| w.contains("{artifact}")) {
        told("fetching the artifact");
        let (folder, digest) = artifact::fetch(client, version, cache).await?;
        subject = digest;
        places.artifact = Some(folder);
    }
    let watch = Stopwatch::start();
    let (rows, latencies_ms, how) = match (&suite.command, &suite.endpoint) {
        (Some(words), _) => {
            let filled = places.fill(words);
            told(&format!("running {}", filled.join(" ")));
            command::predict(&filled, words, &places.out, suite).await?;
            let rows = predictions::read(&places.out, data.len())?;
            let latencies = rows.iter().filter_map(|r| r.latency_ms).collect();
            (rows, latencies, words.join(" "))
        }
        (None, Some(server)) => {
            told(&format!("asking {}", server.url));
            let (rows, latencies) = endpoint::predict(server, &data, suite).await?;
            (rows, latencies, server.url.clone())
        }
        (None, None) => return Err(Fault::invalid(format!("suite {} has no command and no endpoint", suite.name))),
    };
    let seconds = watch.elapsed().as_secs_f64();
    let predicted = predictions::predicted(&rows, &truth, suite)?;
    let custom = custom(suite, &places, &data, &predicted).await?;
    let rows = predicted.values.len();
    told(&format!("{rows} predictions in {seconds:.1} s; keeping them"));
    let report = Report {
        suite: suite.name.clone(),
        model: version.model.clone(),
        version: version.version,
        subject,
        data_digest: data.digest().to_owned(),
        truth: client.put_examples(truth.pack()?).await?,
        predicted: client.put_examples(predicted.pack()?).await?,
        latencies_ms,
        seconds,
        custom,
        how,
    };
    Ok(Ran { report, rows })
}

/// The user's own metrics: their command sees the data with its labels, and the predictions.
async fn custom(
    suite: &Suite,
    places: &Places,
    data: &Data,
    predicted: &evals::Predicted,
) -> Result<BTreeMap<String, f64>> {
    let Some(custom) = &suite.custom else { return Ok(BTreeMap::new()) };
    if !places.out.exists() {
        predictions::write(&places.out, predicted)?;
    }
    let places = Places {
        data: data.path().to_owned(),
        artifact: places.artifact.clone(),
        out: places.out.clone(),
        model: places.model.clone(),
        version: places.version,
    };
    let filled = places.fill(&custom.command);
    let printed = command::printed(&filled, suite).await?;
    let values: BTreeMap<String, f64> = serde_json::from_slice(printed.as_bytes()).map_err(|e| {
        let shown: String = printed.chars().take(200).collect();
        Fault::invalid(format!("{} did not print one JSON object of names and numbers", filled.join(" ")))
            .why(format!("{e}: {shown:?}"))
    })?;
    match custom.metrics.iter().find(|m| !values.get(*m).is_some_and(|v| v.is_finite())) {
        Some(missing) => Err(Fault::invalid(format!("{} printed no number for {missing}", filled.join(" ")))
            .next("print it, or take it out of the suite's custom.metrics")),
        None => Ok(values.into_iter().filter(|(name, _)| custom.metrics.contains(name)).collect()),
    }
}

/// A folder of its own, gone in the end.
struct Workplace(PathBuf);

impl Workplace {
    fn new(cache: &Path) -> Result<Self> {
        let path = cache.join("evals").join(crate::base::id::uuid7());
        std::fs::create_dir_all(&path)
            .map_err(|e| Fault::unavailable(format!("cannot write to {}", path.display())).why(e.to_string()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!("{}: {e}", self.0.display());
        }
    }
}
