//! From what people type to what is meant: a run by id, beginning of an id, or name; an experiment by name or number.

use crate::base::id::{ExperimentId, RunId};
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::{ExperimentView, RunQuery, RunView};
use crate::client::Client;

/// Beginnings of ids that are shorter could be anything.
const PREFIX_CHARS_MIN: usize = 4;

/// The id of the run that is meant.
///
/// # Errors
/// `NotFound`, or `Invalid` when several are meant.
pub async fn run(client: &Client, text: &str) -> Result<RunId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let hex = text.len() >= PREFIX_CHARS_MIN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut found = Vec::new();
    if hex {
        found = search(client, &format!("attributes.run_id LIKE '{text}%'")).await?;
    }
    if found.is_empty() && !text.is_empty() {
        found = search(client, &format!("attributes.run_name = {}", quoted(text)?)).await?;
    }
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Fault::not_found(format!("no run {text}"))
            .next("see `opsroom runs list`; an id, its beginning or a name will do")),
        several => {
            let ids: Vec<String> = several.iter().take(5).map(|r| r.id.to_string()).collect();
            Err(Fault::invalid(format!("{text} may be one of several runs"))
                .why(ids.join(", "))
                .next("give more of the id"))
        }
    }
}

async fn search(client: &Client, filter: &str) -> Result<Vec<RunView>> {
    let mut found = Vec::new();
    for deleted in [false, true] {
        let query = RunQuery { filter: filter.to_owned(), deleted, limit: 6, ..RunQuery::default() };
        found.extend(client.search_runs(&query).await?.runs);
    }
    Ok(found)
}

/// A text as the filter's grammar takes it.
///
/// # Errors
/// `Invalid` when it holds both kinds of quotes.
pub fn quoted(text: &str) -> Result<String> {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => Ok(format!("'{text}'")),
        (true, false) => Ok(format!("\"{text}\"")),
        (true, true) => {
            Err(Fault::invalid("a name with both kinds of quotes cannot be searched for").next("use the id"))
        }
    }
}

/// The experiment that is meant: by name, else by number.
///
/// # Errors
/// `NotFound`.
pub async fn experiment(client: &Client, text: &str) -> Result<ExperimentView> {
    let all = client.experiments().await?;
    let number: Option<ExperimentId> = text.parse().ok();
    let found = all.iter().find(|e| e.name == text).or_else(|| all.iter().find(|e| Some(e.id) == number));
    found
        .cloned()
        .ok_or_else(|| Fault::not_found(format!("no experiment {text}")).next("see `opsroom experiment list`"))
}

/// # Errors
/// `NotFound`.
pub async fn experiments(client: &Client, texts: &[String]) -> Result<Vec<ExperimentId>> {
    let mut ids = Vec::new();
    for text in texts {
        ids.push(experiment(client, text).await?.id);
    }
    Ok(ids)
}

/// A version's number: `3`, `v3`, or `@alias`.
///
/// # Errors
/// `Invalid`, `NotFound` for the alias.
pub async fn version(client: &Client, model: &str, text: &str) -> Result<u32> {
    if let Some(alias) = text.strip_prefix('@') {
        let view = client.model(model, None).await?;
        return view.model.aliases.get(alias).copied().ok_or_else(|| {
            Fault::not_found(format!("{model} has no alias {alias}")).next(format!("see `opsroom model show {model}`"))
        });
    }
    number(text).map_err(|fault| fault.next("write 3, v3 or @alias"))
}

/// A version's number: `3` or `v3`.
///
/// # Errors
/// `Invalid`.
pub fn number(text: &str) -> Result<u32> {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    digits.parse().map_err(|_| Fault::invalid(format!("not a version: {text}")).next("write 3 or v3"))
}

/// `KEY=VALUE`.
///
/// # Errors
/// `Invalid` without `=`.
pub fn pair(text: &str) -> Result<(String, String)> {
    let split = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = split.ok_or_else(|| Fault::invalid(format!("not KEY=VALUE: {text}")))?;
    Ok((key.to_owned(), value.to_owned()))
}
