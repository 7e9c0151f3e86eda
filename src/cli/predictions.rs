//! `opsroom predictions add` and `opsroom labels add`: what models said, and what turned out to be true, from files.

use std::path::PathBuf;

use clap::Subcommand;

use super::print::{self, Page};
use super::{Exit, Session};
use crate::base::{fault::Result, show};
use crate::capability::monitoring::counters::Accepted;
use crate::local::events::{self, Defaults, Holds};

#[derive(Debug, Subcommand)]
pub enum Predictions {
    /// Send a file of predictions: CSV or Parquet by columns, or NDJSON
    Add {
        file: PathBuf,
        /// Service of those that name none
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
        #[arg(long, value_name = "N")]
        version: Option<String>,
        /// Name of the batch: a model that answers in batches has one a window
        #[arg(long, value_name = "NAME")]
        batch: Option<String>,
        /// Column whose values are slices, too
        #[arg(long, value_name = "COLUMN")]
        slice: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Labels {
    /// Send a file of labels: columns id, label and time
    Add { file: PathBuf },
}

/// # Errors
/// `Invalid` for a file that cannot be read, `Unavailable`.
pub async fn predictions(session: &Session, verb: Predictions) -> Result<Exit> {
    let Predictions::Add { file, service, model, version, batch, slice } = verb;
    let defaults = Defaults { service, model, version, batch, slices: slice };
    let client = session.client().await?;
    let mut sum = Accepted::default();
    for part in events::parts(&file, Holds::Predictions, &defaults)? {
        add(&mut sum, client.add_predictions(part).await?);
    }
    told(session, &sum)
}

/// # Errors
/// As [`predictions`].
pub async fn labels(session: &Session, verb: Labels) -> Result<Exit> {
    let Labels::Add { file } = verb;
    let client = session.client().await?;
    let mut sum = Accepted::default();
    for part in events::parts(&file, Holds::Labels, &Defaults::default())? {
        add(&mut sum, client.add_labels(part).await?);
    }
    told(session, &sum)
}

fn add(sum: &mut Accepted, part: Accepted) {
    let before = sum.accepted + sum.rejected.len() as u64 + sum.rejected_further;
    sum.accepted += part.accepted;
    sum.rejected_further += part.rejected_further;
    for mut rejected in part.rejected {
        rejected.index += before;
        sum.rejected.push(rejected);
    }
}

fn told(session: &Session, sum: &Accepted) -> Result<Exit> {
    print::answer(session.format, sum, |sum| {
        let refused = sum.rejected.len() as u64 + sum.rejected_further;
        let mut page =
            Page::default().line(format!("{} taken, {} refused", show::count(sum.accepted), show::count(refused)));
        for one in sum.rejected.iter().take(5) {
            page = page.line(format!("row {}: {}", one.index + 1, one.why));
        }
        page
    })?;
    Ok(if sum.accepted == 0 && !sum.rejected.is_empty() { Exit::Of(2) } else { Exit::Done })
}
