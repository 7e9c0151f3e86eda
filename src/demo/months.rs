//! The flights as they come in, a month at a time: each month is written as a table and becomes the next version of
//! the dataset, so that version 3 is March.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::features::{Categorical, Numeric};
use super::flights::Flights;
use super::model::labelled;
use super::record::month_name;
use super::tracker::Dataset;
use crate::base::{Fault, fault::Result};
use crate::capability::datasets::DatasetVersion;
use crate::capability::{Command, Envelope};
use crate::client::Client;
use crate::local::data::{Add, Cache, Ready, add};

/// The dataset's name.
pub const NAME: &str = "flights";
/// The column that holds the truth.
pub const LABEL: &str = "late";

/// The months that have come in so far.
#[derive(Debug)]
pub struct Months {
    folder: PathBuf,
    cache: Cache,
}

impl Months {
    /// `folder` keeps the tables and what is known of them.
    pub fn in_folder(folder: PathBuf) -> Self {
        let cache = Cache::new(folder.join("cache"));
        Self { folder, cache }
    }

    /// Adds a month as the next version, and answers it.
    ///
    /// # Errors
    /// The agent's; `Unavailable` when the table cannot be written.
    pub async fn arrive(&self, client: &Client, flights: &Flights, month: u8) -> Result<DatasetVersion> {
        let path = self.folder.join("flights.csv");
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(&path, csv(flights, month)));
        written.map_err(|e| Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string()))?;
        let what = Add {
            path: &path,
            name: Some(NAME.to_owned()),
            description: format!("{} 2013, flights whose arrival is known", month_name(month)),
            profile: true,
        };
        if let Ready::New(command, _) = add(client, &what, &self.cache, &|_, _, _| {}).await? {
            let reason = format!("{} has come in", month_name(month));
            client.perform(&Envelope::new(Command::Datasets(*command), reason)).await?;
        }
        let newest = client.dataset(NAME).await?.versions.into_iter().next();
        newest.map(|v| v.version).ok_or_else(|| Fault::bug("the month that was added is not there"))
    }
}

/// A version as a run's input.
pub fn input(version: &DatasetVersion, context: &'static str) -> Dataset {
    Dataset {
        name: version.dataset.clone(),
        version: version.version,
        digest: version.doc.hex().chars().take(32).collect(),
        uri: version.doc.source.clone(),
        context,
    }
}

/// What a column is called in tables and in the written model.
pub fn column_name(column: impl Serialize) -> String {
    serde_json::to_value(column).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// The month as a table: what is known before a flight leaves, and whether it came late. A value that was not recorded
/// is an empty cell.
fn csv(flights: &Flights, month: u8) -> String {
    let numbers = Numeric::ALL.iter().map(column_name);
    let heads: Vec<String> = numbers.chain(Categorical::ALL.iter().map(column_name)).collect();
    let mut text = format!("{},{LABEL}\n", heads.join(","));
    for (row, late) in labelled(flights, month..=month) {
        for column in Numeric::ALL {
            if let Some(value) = column.value(flights, row) {
                let _ = write!(text, "{value}");
            }
            text.push(',');
        }
        for column in Categorical::ALL {
            text.push_str(column.value(flights, row));
            text.push(',');
        }
        text.push_str(if late { "1\n" } else { "0\n" });
    }
    text
}
