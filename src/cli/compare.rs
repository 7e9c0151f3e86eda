//! `opsroom runs compare`: params, metrics and tags that differ between runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::{fault::Result, show};
use crate::capability::tracking::RunView;

/// One name, with a value a run; `null` where a run has none.
type Row<T> = BTreeMap<String, Vec<Option<T>>>;

#[derive(Debug, Serialize)]
struct Comparison {
    runs: Vec<Head>,
    params: Row<String>,
    metrics: Row<serde_json::Value>,
    tags: Row<String>,
    /// Names left out because all runs have the same value.
    same: usize,
}

#[derive(Debug, Serialize)]
struct Head {
    id: String,
    name: String,
}

pub(super) async fn run(session: &Session, texts: &[String], all: bool) -> Result<Exit> {
    let client = session.client().await?;
    let mut runs = Vec::new();
    for text in texts {
        runs.push(client.run(select::run(client, text).await?).await?);
    }
    let comparison = compare(&runs, all);
    print::answer(session.format, &comparison, page)?;
    Ok(Exit::Done)
}

fn compare(runs: &[RunView], all: bool) -> Comparison {
    let mut same = 0;
    let params = differing(runs, all, &mut same, |r| r.params.clone());
    let number = |v: f64| serde_json::Number::from_f64(v).map_or_else(|| show::metric(v).into(), Into::into);
    let metrics =
        differing(runs, all, &mut same, |r| r.metrics.iter().map(|(k, l)| (k.clone(), number(l.value))).collect());
    // The name stands in the heading, and MLflow's own tags say little about the model.
    let own = |r: &RunView| {
        r.tags.iter().filter(|(k, _)| !k.starts_with("mlflow.")).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let tags = differing(runs, all, &mut same, own);
    let runs = runs.iter().map(|r| Head { id: r.id.to_string(), name: r.name.clone() }).collect();
    Comparison { runs, params, metrics, tags, same }
}

fn differing<T: Clone + PartialEq>(
    runs: &[RunView],
    all: bool,
    same: &mut usize,
    of: impl Fn(&RunView) -> BTreeMap<String, T>,
) -> Row<T> {
    let maps: Vec<BTreeMap<String, T>> = runs.iter().map(of).collect();
    let names: BTreeSet<&String> = maps.iter().flat_map(BTreeMap::keys).collect();
    let mut rows = Row::new();
    for name in names {
        let values: Vec<Option<T>> = maps.iter().map(|m| m.get(name).cloned()).collect();
        if all || values.windows(2).any(|pair| pair[0] != pair[1]) {
            rows.insert(name.clone(), values);
        } else {
            *same += 1;
        }
    }
    rows
}

fn page(comparison: &Comparison) -> Page {
    let texts = |head: &str, rows: &Row<String>| {
        let mut table = headed(head, comparison, "");
        for (name, values) in rows {
            let cells = values.iter().map(|v| v.clone().unwrap_or_else(|| show::MISSING.to_owned()));
            table.row(std::iter::once(name.clone()).chain(cells));
        }
        table
    };
    let mut metrics = headed("METRIC", comparison, ">");
    for (name, values) in &comparison.metrics {
        let numbers: Vec<Option<f64>> =
            values.iter().map(|v| v.as_ref().map(|v| v.as_f64().unwrap_or(f64::NAN))).collect();
        metrics.row(std::iter::once(name.clone()).chain(show::metrics(&numbers)));
    }
    let page = Page::default()
        .table(texts("PARAM", &comparison.params))
        .titled("", metrics)
        .titled("", texts("TAG", &comparison.tags));
    if comparison.same == 0 {
        page
    } else {
        page.line(format!("{} names are the same in all runs (--all shows them)", comparison.same))
    }
}

fn headed(first: &str, comparison: &Comparison, side: &str) -> Table {
    let mut table = Table::new(&[first]);
    comparison.runs.iter().for_each(|r| table.column(&format!("{}{side}", r.name)));
    table
}
