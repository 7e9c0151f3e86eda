//! `opsroom runs compare`: what differs between runs, and whether a metric's difference is more than luck.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::{Fault, fault::Result, show};
use crate::capability::tracking::RunView;
use crate::capability::tracking::compare::{Better, Comparison, Head, Measured, Section, Setting, Subject, compare};

#[derive(Debug, Args)]
pub struct Compare {
    #[arg(required = true, num_args = 2..)]
    runs: Vec<String>,
    /// The run that the others are measured against; the first one otherwise
    #[arg(long, value_name = "RUN")]
    base: Option<String>,
    /// Of this metric higher is better, whatever its name says; may be given several times
    #[arg(long, value_name = "METRIC")]
    higher: Vec<String>,
    /// Of this metric lower is better
    #[arg(long, value_name = "METRIC")]
    lower: Vec<String>,
    /// Also what is the same
    #[arg(long)]
    all: bool,
}

/// One name, with a value a run; `null` where a run has none.
type Row<T> = BTreeMap<String, Vec<Option<T>>>;

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    runs: Vec<Head>,
    base: Head,
    params: Row<String>,
    data: Row<String>,
    code: Row<String>,
    environment: Row<String>,
    tags: Row<String>,
    metrics: Row<serde_json::Value>,
    /// The same metrics, measured against the base.
    grades: Vec<Measured>,
    verdict: String,
    /// The run that is better than the base in something and worse in nothing.
    winner: Option<Head>,
    /// Names left out because all runs have the same value.
    same: usize,
}

pub(super) async fn run(session: &Session, wanted: Compare) -> Result<Exit> {
    let client = session.client().await?;
    let mut texts = wanted.runs;
    let base = match &wanted.base {
        None => 0,
        Some(base) => texts.iter().position(|t| t == base).unwrap_or_else(|| {
            texts.insert(0, base.clone());
            0
        }),
    };
    let mut runs: Vec<RunView> = Vec::new();
    for text in &texts {
        let run = client.run(select::run(client, text).await?).await?;
        if runs.iter().any(|known| known.id == run.id) {
            return Err(Fault::invalid(format!("{text} names a run that was named before")));
        }
        runs.push(run);
    }
    let noises = client.noises(&runs).await?;
    let ids: Vec<String> = runs.iter().map(|r| r.id.to_string()).collect();
    let around = client.surroundings(&runs).await?;
    let subjects: Vec<Subject<'_>> = runs.iter().zip(&ids).map(|(run, id)| run.subject(id).within(&around)).collect();
    let said = |keys: &[String], better| keys.iter().map(move |k| (k.clone(), better)).collect::<Vec<_>>();
    let said = said(&wanted.higher, Better::Higher).into_iter().chain(said(&wanted.lower, Better::Lower)).collect();
    let comparison = compare(&subjects, base, &noises, &said);
    print::answer(session.format, &answer(comparison, wanted.all), page)?;
    Ok(Exit::Done)
}

pub(super) fn answer(comparison: Comparison, all: bool) -> Answer {
    let Comparison { runs, base, metrics, settings, verdict } = comparison;
    let same = metrics.iter().filter(|m| !m.differs()).count() + settings.iter().filter(|s| !s.differs()).count();
    let settings: Vec<Setting> = settings.into_iter().filter(|s| all || s.differs()).collect();
    let grades: Vec<Measured> = metrics.into_iter().filter(|m| all || m.differs()).collect();
    let section = |wanted: Section| -> Row<String> {
        settings.iter().filter(|s| s.section == wanted).map(|s| (s.key.clone(), s.values.clone())).collect()
    };
    let number = |v: f64| serde_json::Number::from_f64(v).map_or_else(|| show::metric(v).into(), Into::into);
    Answer {
        params: section(Section::Params),
        data: section(Section::Data),
        code: section(Section::Code),
        environment: section(Section::Environment),
        tags: section(Section::Tags),
        metrics: grades
            .iter()
            .map(|m| (m.key.clone(), m.cells.iter().map(|c| c.value.map(number)).collect()))
            .collect(),
        grades,
        verdict: verdict.text,
        winner: verdict.winner.and_then(|i| runs.get(i).cloned()),
        base: runs[base].clone(),
        runs,
        same: if all { 0 } else { same },
    }
}

fn page(answer: &Answer) -> Page {
    let mut metrics = Table::new(&["METRIC"]);
    for run in &answer.runs {
        let base = run.id == answer.base.id;
        metrics.column(&format!("{}{}>", run.name, if base { " base" } else { "" }));
        if !base {
            metrics.column(">");
            metrics.column("");
        }
    }
    metrics.column("BETTER");
    metrics.column("NOISE σ>");
    answer.grades.iter().for_each(|m| metrics.row(cells(m)));
    let page = Page::default()
        .line(&answer.verdict)
        .titled("", metrics)
        .line("++ -- beyond 3σ, + - beyond 1σ of what a seed changes (few repeats ask for more), · luck, ? not known");
    let sections = [
        ("PARAM", &answer.params),
        ("DATA", &answer.data),
        ("CODE", &answer.code),
        ("ENVIRONMENT", &answer.environment),
        ("TAG", &answer.tags),
    ];
    let page = sections.into_iter().fold(page, |page, (head, rows)| page.titled("", texts(head, answer, rows)));
    if answer.same == 0 {
        page
    } else {
        page.line(format!("{} names are the same in all runs (--all shows them)", answer.same))
    }
}

fn texts(head: &str, answer: &Answer, rows: &Row<String>) -> Table {
    let mut table = Table::new(&[head]);
    answer.runs.iter().for_each(|r| table.column(&r.name));
    for (name, values) in rows {
        let cells = values.iter().map(|v| v.clone().unwrap_or_else(|| show::MISSING.to_owned()));
        table.row(std::iter::once(name.clone()).chain(cells));
    }
    table
}

/// Value, difference and grade of each run; the base has its value alone.
fn cells(m: &Measured) -> Vec<String> {
    let values = show::metrics(&m.cells.iter().map(|c| c.value).collect::<Vec<_>>());
    let mut row = vec![m.key.clone()];
    for (cell, value) in m.cells.iter().zip(values) {
        row.push(value);
        if !matches!(cell.grade, crate::capability::tracking::compare::Grade::Base) {
            row.push(cell.difference.map_or(String::new(), show::difference));
            row.push(cell.grade.sign().to_owned());
        }
    }
    row.push(m.better.map_or("?", Better::arrow).to_owned());
    row.push(m.noise.map_or_else(|| "?".to_owned(), |n| show::metric(n.of_difference())));
    row
}
