//! A comparison of runs in sentences: the first is the base, and only what differs is said.

use super::super::compare::{Answer, answer};
use super::words;
use crate::base::{fault::Result, show};
use crate::capability::tracking::RunView;
use crate::capability::tracking::compare::{Cell, Comparison, Grade, Section, Subject, compare};
use crate::client::Client;

pub(super) async fn document(client: &Client, ids: &[String]) -> Result<Answer> {
    Ok(answer(found(client, ids).await?, false))
}

async fn found(client: &Client, ids: &[String]) -> Result<Comparison> {
    let mut runs: Vec<RunView> = Vec::new();
    for id in ids {
        runs.push(client.run(super::run_id(id)?).await?);
    }
    let noises = client.noises(&runs).await?;
    let around = client.surroundings(&runs).await?;
    let subjects: Vec<Subject<'_>> = runs.iter().zip(ids).map(|(run, id)| run.subject(id).within(&around)).collect();
    Ok(compare(&subjects, 0, &noises, &std::collections::BTreeMap::new()))
}

pub(super) async fn say(client: &Client, ids: &[String]) -> Result<Vec<String>> {
    let found = found(client, ids).await?;
    let names: Vec<String> = found.runs.iter().map(|r| r.name.clone()).collect();
    let base = names.first().cloned().unwrap_or_default();
    let compared = show::many(ids.len() as u64, "run", "runs");
    let mut said = vec![format!("{compared} compared: {}. {base} is the base.", words::list(&names))];
    let mut same = 0;
    for measured in &found.metrics {
        if !measured.differs() {
            same += 1;
            continue;
        }
        let shown = show::metrics(&measured.cells.iter().map(|c| c.value).collect::<Vec<_>>());
        let parts: Vec<String> =
            names.iter().zip(&measured.cells).zip(&shown).map(|((name, cell), text)| part(name, cell, text)).collect();
        said.push(format!("{}: {}.", measured.key, parts.join("; ")));
    }
    for setting in &found.settings {
        if !setting.differs() {
            same += 1;
            continue;
        }
        let value = |v: &Option<String>| v.clone().unwrap_or_else(|| "none".to_owned());
        let parts: Vec<String> =
            names.iter().zip(&setting.values).map(|(name, v)| format!("{name} has {}", value(v))).collect();
        let kind = match setting.section {
            Section::Params => "Param",
            Section::Data => "Data",
            Section::Code => "Code",
            Section::Environment => "Environment",
            Section::Tags => "Tag",
        };
        said.push(format!("{kind} {}: {}.", setting.key, parts.join("; ")));
    }
    said.push(format!("{} the same in all.", if same == 1 { "1 name is".into() } else { format!("{same} names are") }));
    said.push(format!("{}.", found.verdict.text.trim_end_matches('.')));
    Ok(said)
}

/// What one run has of a metric, and what its distance from the base is worth.
fn part(name: &str, cell: &Cell, text: &str) -> String {
    let Some(difference) = cell.difference.filter(|d| *d != 0.0) else {
        return if cell.value.is_some() { format!("{name} {text}") } else { format!("{name} has none") };
    };
    let more = if difference < 0.0 { "less by" } else { "more by" };
    let worth = match cell.grade {
        g if g.is_better() => ", better than luck explains",
        g if g.is_worse() => ", worse than luck explains",
        Grade::Luck => ", which luck alone explains",
        _ => "",
    };
    let why = cell.why.map(|w| format!(", {w}")).unwrap_or_default();
    format!("{name} {text}, {more} {}{worth}{why}", show::metric(difference.abs()))
}
