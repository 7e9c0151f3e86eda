//! Evals: suites run against candidates, and their results kept as evidence. Per-example predictions lie in the
//! artifact store by digest, so that any two versions can be compared example by example.
//!
//! Invariants: a result is bound to the digest of the artifact it was made with, its metrics were computed here from
//! its examples, and it is never changed.

mod apply;
mod command;
pub mod compare;
mod erase;
pub mod metric;
pub mod rows;
mod store;
mod suite;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use apply::{Prepared, apply, fetch, prepare, upload};
pub use command::{Command, Report};
pub use erase::{ERASED_ENDING, erase};
pub use rows::{Predicted, Sample, Slices, Task, Truth};
pub use store::STATEMENTS;
pub use suite::{Custom, Endpoint, Limit, Protocol, Suite, parse, unknown_metric};

use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::registry::ModelVersion;
use crate::db::{Source, Tx};

/// One run of a suite against a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub id: i64,
    pub at: Timestamp,
    pub model: String,
    pub version: u32,
    pub suite: String,
    /// [`Suite::question`] when it ran.
    pub question: String,
    /// What was evaluated: see [`subject`].
    pub subject: String,
    /// The data as the suite names it, and the digest of its bytes.
    pub data: String,
    pub data_digest: String,
    pub rows: u64,
    /// Digests of the packed labels and of the packed predictions.
    pub truth: String,
    pub predicted: String,
    /// A metric without a value there (one class only, no scores) is null.
    pub metrics: BTreeMap<String, Option<f64>>,
    pub slices: Vec<SliceFigures>,
    /// Limits of the suite that do not hold.
    pub broken: Vec<String>,
    /// Command line or address that gave the predictions.
    pub how: String,
    pub seconds: f64,
    pub by: String,
    pub verified: bool,
}

/// The metrics on one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceFigures {
    pub column: String,
    pub value: String,
    pub n: u64,
    pub metrics: BTreeMap<String, Option<f64>>,
}

/// What a verdict about a version is bound to: the digest of its artifact, or where it comes from when its artifact
/// lies elsewhere.
pub fn subject(version: &ModelVersion) -> String {
    match &version.doc.artifact {
        Some(artifact) => artifact.digest.clone(),
        None => format!("source:{} registered {}", version.doc.source, version.created),
    }
}

/// All suites by name.
///
/// # Errors
/// The store's.
pub async fn suites(source: Source<'_>) -> Result<Vec<Suite>> {
    store::suites(source).await
}

/// # Errors
/// `NotFound`.
pub async fn suite(source: Source<'_>, name: &str) -> Result<Suite> {
    let all = store::suites(source).await?;
    let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
    let hint = crate::capability::form::nearest(name, &names);
    all.iter().find(|s| s.name == name).cloned().ok_or_else(|| {
        Fault::not_found(format!("no eval suite {name}{hint}"))
            .next("write it into a file as [suite.NAME] and `opsroom apply` that; see `opsroom eval suites`")
    })
}

/// Results of a model's versions, newest first; of one version when given.
///
/// # Errors
/// The store's.
pub async fn results(source: Source<'_>, model: &str, version: Option<u32>) -> Result<Vec<Evidence>> {
    let mut all = store::results(source, model).await?;
    all.retain(|e| version.is_none_or(|v| e.version == v));
    Ok(all)
}

/// # Errors
/// `NotFound`.
pub async fn result(source: Source<'_>, id: i64) -> Result<Evidence> {
    store::result(source, id)
        .await?
        .ok_or_else(|| Fault::not_found(format!("no eval result #{id}")).next("see `opsroom eval list`"))
}

/// The newest result of a suite for what a version stands on, if it answers today's question.
///
/// # Errors
/// The store's.
pub async fn newest(source: Source<'_>, suite: &Suite, version: &ModelVersion) -> Result<Option<Evidence>> {
    let all = store::of_subject(source, &suite.name, &subject(version)).await?;
    let question = suite.question();
    Ok(all.into_iter().find(|e| e.model == version.model && e.question == question))
}

/// A model has another name from now on.
///
/// # Errors
/// The store's.
pub async fn renamed(tx: &mut Tx, from: &str, to: &str) -> Result<()> {
    store::rename(tx, from, to).await
}

/// Every result of every model, oldest first.
///
/// # Errors
/// The store's.
pub async fn all(source: Source<'_>) -> Result<Vec<Evidence>> {
    store::all(source).await
}

/// Where the packed examples of a digest lie in the artifact store.
///
/// # Errors
/// `Invalid` for what is no digest.
pub fn place_of_examples(digest: &str) -> Result<String> {
    apply::place(digest)
}
