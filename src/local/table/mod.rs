//! Tables among files: CSV and Parquet, read once and profiled; files of one schema are one table.

mod column;
mod csv;
mod parquet;
pub mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use super::data::{Progress, ScannedFile, Step};
use crate::base::{Fault, fault::Result};
use crate::capability::datasets::profile::{Column, Profile, TableProfile};
use column::{Cell, State};

/// How a table is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    Csv,
    Parquet,
}

/// A file that is a table.
#[derive(Debug, Clone)]
pub struct TableFile {
    path: String,
    at: PathBuf,
    format: Format,
}

fn format_of(path: &str) -> Option<Format> {
    match path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?.as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "parquet" | "pq" => Some(Format::Parquet),
        _ => None,
    }
}

/// Whether a file is a table, by its name's ending.
pub fn is_one(file: &ScannedFile) -> bool {
    file.stat.size > 0 && format_of(&file.path).is_some()
}

/// The tables among some files.
pub fn find(files: &[ScannedFile]) -> Vec<TableFile> {
    let table =
        |f: &ScannedFile| Some(TableFile { path: f.path.clone(), at: f.at.clone(), format: format_of(&f.path)? });
    files.iter().filter(|f| f.stat.size > 0).filter_map(table).collect()
}

/// Whether a file is Parquet, by its name's ending.
pub fn is_parquet(path: &Path) -> bool {
    path.to_str().and_then(format_of) == Some(Format::Parquet)
}

/// The columns of a Parquet file as a CSV of it would hold them: a missing value is empty, a time is RFC 3339.
///
/// # Errors
/// `Invalid` naming the file.
pub fn parquet_columns(path: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let file = TableFile { path: path.display().to_string(), at: path.to_owned(), format: Format::Parquet };
    let schema = parquet::schema(&file, &mut Vec::new())?;
    let column = |(nth, (name, hint)): (usize, (String, Option<column::Hint>))| {
        let mut cells = Vec::new();
        parquet::read(&file, nth, &mut |cell| cells.push(column::text(cell, hint)))?;
        Ok((name, cells))
    };
    schema.columns.into_iter().enumerate().map(column).collect()
}

/// Names of a table's columns, and what the format says of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Schema {
    format: Format,
    columns: Vec<(String, Option<column::Hint>)>,
}

/// A fault in a table, with the way around it.
fn bad(path: &str, why: impl Into<String>) -> Fault {
    Fault::invalid(format!("{path} cannot be read as a table"))
        .why(why)
        .next("mend the file, or add it without a profile (--no-profile)")
}

/// Profiles all tables, and counts in `baseline`'s bins as well (the version it belongs to comes with it).
/// Answers notes on what was left out, too.
///
/// # Errors
/// `Invalid` naming file and line.
pub fn profile(
    files: &[TableFile],
    baseline: Option<&(u32, Profile)>,
    progress: Progress<'_>,
) -> Result<(Profile, Vec<String>)> {
    let mut notes = Vec::new();
    let mut by_schema: BTreeMap<Schema, Vec<&TableFile>> = BTreeMap::new();
    for file in files {
        let schema = match file.format {
            Format::Csv => csv::schema(file)?,
            Format::Parquet => parquet::schema(file, &mut notes)?,
        };
        if schema.columns.is_empty() {
            notes.push(format!("{} has no columns to profile", file.path));
        } else {
            by_schema.entry(schema).or_default().push(file);
        }
    }
    let mut tables = Vec::new();
    for (done, (schema, files)) in by_schema.iter().enumerate() {
        progress(Step::Profile, done as u64, by_schema.len() as u64);
        tables.push(one(schema, files, baseline)?);
    }
    tables.sort_by(|a, b| a.files.cmp(&b.files));
    Ok((Profile::new(tables), notes))
}

fn one(schema: &Schema, files: &[&TableFile], baseline: Option<&(u32, Profile)>) -> Result<TableProfile> {
    let before = baseline.and_then(|(version, profile)| Some((*version, like(schema, profile)?)));
    let mut states: Vec<State> = schema.columns.iter().map(|(name, hint)| State::new(name, *hint)).collect();
    let rows = read(schema, files, &mut states)?;
    // A column that turned out to be text after numbers, or to be too long to keep, is read once more.
    for _ in 0..2 {
        let again: Vec<usize> = (0..states.len()).filter(|i| states[*i].restart()).collect();
        if again.is_empty() {
            break;
        }
        read(schema, files, &mut states)?;
    }
    let reference = |name: &str| before.and_then(|(_, table)| table.column(name)).map(|c| &c.reference);
    let mut finished = Vec::with_capacity(states.len());
    for state in states {
        let reference = reference(state.name());
        finished.push(state.finish(reference));
    }
    if finished.iter().any(|f| f.counts.is_none()) {
        count(schema, files, &mut finished)?;
    }
    let columns: Vec<Column> = finished.into_iter().map(column::Finished::column).collect();
    Ok(TableProfile {
        files: files.iter().map(|f| f.path.clone()).collect(),
        rows,
        columns,
        baseline: before.map(|(version, _)| version),
    })
}

/// The table of an earlier profile that shares most columns.
fn like<'a>(schema: &Schema, profile: &'a Profile) -> Option<&'a TableProfile> {
    let shared = |t: &TableProfile| schema.columns.iter().filter(|(name, _)| t.column(name).is_some()).count();
    // The first of equals, whatever their order in memory.
    profile.tables.iter().rev().max_by_key(|t| shared(t)).filter(|t| shared(t) > 0)
}

/// Reads the columns that want it; columns of Parquet side by side on all cores.
fn read(schema: &Schema, files: &[&TableFile], states: &mut [State]) -> Result<u64> {
    match schema.format {
        Format::Csv => {
            let mut rows = 0;
            for file in files {
                rows += csv::read(file, states.len(), &mut |nth, cell| states[nth].add(cell))?;
            }
            Ok(rows)
        }
        Format::Parquet => {
            let jobs: Vec<(usize, &mut State)> = states.iter_mut().enumerate().filter(|(_, s)| s.wants()).collect();
            let read = |(nth, state): (usize, &mut State)| {
                files.iter().try_for_each(|file| parquet::read(file, nth, &mut |cell| state.add(cell)))
            };
            side_by_side(jobs, read)?;
            files.iter().map(|file| parquet::rows(file)).sum()
        }
    }
}

/// Counts what could not be kept, now that the bins are known.
fn count(schema: &Schema, files: &[&TableFile], columns: &mut [column::Finished<'_>]) -> Result<()> {
    match schema.format {
        Format::Csv => {
            let mut counters: Vec<_> = columns.iter().map(column::Finished::counting).collect();
            for file in files {
                csv::read(file, counters.len(), &mut |nth, cell| counters[nth].add(&cell))?;
            }
            let counted: Vec<_> = counters.into_iter().map(column::Counting::counts).collect();
            columns.iter_mut().zip(counted).for_each(|(c, counts)| c.take(counts));
        }
        Format::Parquet => {
            for (nth, column) in columns.iter_mut().enumerate().filter(|(_, c)| c.counts.is_none()) {
                let mut counter = column.counting();
                files.iter().try_for_each(|file| parquet::read(file, nth, &mut |cell| counter.add(&cell)))?;
                let counts = counter.counts();
                column.take(counts);
            }
        }
    }
    Ok(())
}

/// Does jobs on all cores; the first fault ends it.
fn side_by_side<T: Send>(jobs: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let queue = Mutex::new(jobs);
    let failed = Mutex::new(None);
    let run = || {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(job) = job else { break };
            if let Err(fault) = work(job) {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(run)));
        run();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// A cell of a column by its place.
type Visit<'a> = &'a mut dyn FnMut(usize, Cell<'_>);

#[cfg(test)]
mod tests;
