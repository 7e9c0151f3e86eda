//! The data of a suite: a CSV with a heading, or Parquet. Labels and slices come out of it; predictors get the rest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use crate::base::{Fault, fault::Result};
use crate::capability::evals::rows::EXAMPLES_MAX;
use crate::capability::evals::{Slices, Suite, Task, Truth};
use crate::capability::{datasets, form};
use crate::client::Client;
use crate::local::data::{self, Cache, Checkout};
use crate::local::table;

/// Where the data lies on this machine: a file, or a version of a dataset (`NAME@3`, `NAME@3:PATH` for one of its
/// files), which is checked out into the cache.
///
/// # Errors
/// `NotFound` when it is not there, `Invalid` when it is not clear which file is meant.
pub(super) async fn place(client: &Client, suite: &Suite, cache: &Path) -> Result<PathBuf> {
    let path = PathBuf::from(&suite.data);
    if path.is_file() {
        return Ok(path);
    }
    let named = suite.data.rsplit_once('@').and_then(|(name, rest)| {
        let (number, file) = rest.split_once(':').map_or((rest, None), |(n, f)| (n, Some(f)));
        Some((name, number.trim_start_matches('v').parse::<u32>().ok()?, file))
    });
    let Some((name, number, file)) = named else {
        return Err(Fault::not_found(format!("no data at {}", suite.data))
            .why(format!("suite {} reads it from there", suite.name))
            .next("run it where the file is, or name a version of a dataset: NAME@3"));
    };
    let view = client.dataset(name).await?;
    let version = view.versions.iter().map(|v| &v.version).find(|v| v.version == number);
    let version = version.ok_or_else(|| datasets::missing_version(name, number))?;
    let manifest = client.manifest(name, number).await?;
    let files: Vec<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
    let is_table = |f: &&str| f.to_lowercase().ends_with(".csv") || table::is_parquet(Path::new(f));
    let tables: Vec<&str> = files.iter().copied().filter(is_table).collect();
    let chosen = match (file, files.as_slice(), tables.as_slice()) {
        (Some(file), ..) => files.iter().copied().find(|f| *f == file).ok_or_else(|| {
            Fault::not_found(format!("{name}@{number} has no file {file}{}", form::nearest(file, &files)))
        })?,
        (None, [only], _) | (None, _, [only]) => *only,
        _ => {
            return Err(Fault::invalid(format!("{name}@{number} has several files"))
                .why(files.iter().take(8).copied().collect::<Vec<_>>().join(", "))
                .next(format!("name one: data = \"{name}@{number}:PATH\"")));
        }
    };
    let to = cache.join("datasets").join(version.doc.hex());
    let how = Checkout { to: &to, as_file: false, force: true, hard_link: false };
    data::checkout(client, &manifest, how, &Cache::new(cache.join("data")), &|_, _, _| {}).await?;
    Ok(to.join(chosen))
}

/// A table in memory.
#[derive(Debug)]
pub struct Data {
    path: PathBuf,
    digest: String,
    heads: StringRecord,
    rows: Vec<StringRecord>,
}

impl Data {
    /// # Errors
    /// `Invalid` with the line of a row that is ragged, for no rows, and for a column that the suite names and the
    /// data has not.
    pub fn read(suite: &Suite, path: &Path) -> Result<Self> {
        let place = path.display();
        let bytes =
            std::fs::read(path).map_err(|e| Fault::invalid(format!("cannot read {place}")).why(e.to_string()))?;
        let digest = format!("blake3:{}", blake3::hash(&bytes).to_hex());
        let (heads, rows) = if table::is_parquet(path) { of_parquet(path)? } else { of_csv(path, &bytes)? };
        if rows.is_empty() {
            return Err(Fault::invalid(format!("{place} has no rows")).next("evaluate on data that has some"));
        }
        if rows.len() > EXAMPLES_MAX {
            return Err(Fault::invalid(format!("{place} has more than {EXAMPLES_MAX} rows")));
        }
        let data = Self { path: path.to_owned(), digest, heads, rows };
        for column in std::iter::once(&suite.label).chain(&suite.slices) {
            data.column(column)?;
        }
        Ok(data)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn digest(&self) -> &str {
        &self.digest
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.heads.iter().position(|h| h == name).ok_or_else(|| {
            let known: Vec<&str> = self.heads.iter().collect();
            let hint = crate::capability::form::nearest(name, &known);
            Fault::invalid(format!("{} has no column {name:?}{hint}", self.path.display()))
                .why(format!("it has {}", known.join(", ")))
        })
    }

    /// Columns without the label, with their cells.
    pub(super) fn features(&self, label: &str) -> Vec<(&str, Vec<&str>)> {
        let wanted = self.heads.iter().enumerate().filter(|(_, head)| *head != label);
        wanted.map(|(i, head)| (head, self.rows.iter().map(|r| r.get(i).unwrap_or_default()).collect())).collect()
    }

    /// Writes everything but the label.
    pub(super) fn write_features(&self, to: &Path, label: &str) -> Result<()> {
        let skip = self.column(label)?;
        let problem = |e: csv::Error| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string());
        let mut writer = csv::Writer::from_path(to).map_err(problem)?;
        let others = |row: &StringRecord| {
            row.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, c)| c.to_owned()).collect::<Vec<_>>()
        };
        writer.write_record(others(&self.heads)).map_err(problem)?;
        for row in &self.rows {
            writer.write_record(others(row)).map_err(problem)?;
        }
        writer.flush().map_err(|e| problem(e.into()))
    }

    /// Labels and slices.
    pub(super) fn truth(&self, suite: &Suite) -> Result<Truth> {
        let column = self.column(&suite.label)?;
        let cells: Vec<&str> = self.rows.iter().map(|r| r.get(column).unwrap_or_default().trim()).collect();
        if let Some(row) = cells.iter().position(|c| c.is_empty()) {
            let missing = cells.iter().filter(|c| c.is_empty()).count();
            return Err(Fault::invalid(format!("{missing} rows of {} have no {}", self.path.display(), suite.label))
                .why(format!("the first is row {}", row + 1))
                .next("evaluate on labelled rows only"));
        }
        let (classes, labels) = match suite.task {
            Task::Regression => (Vec::new(), self.numbers(&cells, suite)?),
            _ => self.classes(&cells, suite)?,
        };
        let slices = suite.slices.iter().map(|name| self.slice(name)).collect::<Result<Vec<_>>>()?;
        Ok(Truth { task: suite.task, classes, labels, slices })
    }

    fn numbers(&self, cells: &[&str], suite: &Suite) -> Result<Vec<f64>> {
        let number = |(row, cell): (usize, &&str)| {
            cell.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| {
                let place = self.path.display();
                Fault::invalid(format!("{place} row {}: {} is no number: {cell:?}", row + 1, suite.label))
            })
        };
        cells.iter().enumerate().map(number).collect()
    }

    fn classes(&self, cells: &[&str], suite: &Suite) -> Result<(Vec<String>, Vec<f64>)> {
        let mut classes: Vec<String> = suite.classes.clone();
        if classes.is_empty() {
            classes =
                cells.iter().map(|c| (*c).to_owned()).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            if suite.task == Task::Binary {
                classes = two(&classes, suite, &self.path)?;
            }
        }
        let mut places: BTreeMap<&str, f64> = BTreeMap::new();
        let mut labels = Vec::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            let place = if let Some(place) = places.get(cell) {
                *place
            } else {
                let found = class_of(&classes, cell).ok_or_else(|| {
                    let what = format!("{} row {}: {cell:?} is none of the classes", self.path.display(), row + 1);
                    Fault::invalid(what).why(format!("they are {}", classes.join(", ")))
                })?;
                *places.entry(cell).or_insert(found as f64)
            };
            labels.push(place);
        }
        Ok((classes, labels))
    }

    fn slice(&self, name: &str) -> Result<Slices> {
        let column = self.column(name)?;
        let cell = |row: &StringRecord| match row.get(column).unwrap_or_default().trim() {
            "" => "(missing)".to_owned(),
            text => text.to_owned(),
        };
        let all: Vec<String> = self.rows.iter().map(cell).collect();
        let values: Vec<String> = all.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let code = |v: &String| u32::try_from(values.partition_point(|known| known < v)).unwrap_or(u32::MAX);
        let of = all.iter().map(code).collect();
        Ok(Slices { name: name.to_owned(), values, of })
    }
}

fn of_csv(path: &Path, bytes: &[u8]) -> Result<(StringRecord, Vec<StringRecord>)> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let heads = reader.headers().map_err(|e| unreadable(path, &e))?.clone();
    let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(|e| unreadable(path, &e))?;
    Ok((heads, rows))
}

fn of_parquet(path: &Path) -> Result<(StringRecord, Vec<StringRecord>)> {
    let columns = table::parquet_columns(path)?;
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    let row = |i: usize| columns.iter().map(|(_, cells)| cells.get(i).map_or("", String::as_str)).collect();
    Ok((columns.iter().map(|(name, _)| name.as_str()).collect(), (0..rows).map(row).collect()))
}

/// Negative first.
fn two(found: &[String], suite: &Suite, path: &Path) -> Result<Vec<String>> {
    let positive = found.iter().find(|c| same_class(c, &suite.positive));
    let others: Vec<&String> = found.iter().filter(|c| !same_class(c, &suite.positive)).collect();
    let place = path.display();
    match (positive, others.as_slice()) {
        (Some(positive), [negative]) => Ok(vec![(*negative).clone(), positive.clone()]),
        (Some(positive), []) => Ok(vec![format!("not {positive}"), positive.clone()]),
        (_, several) if several.len() > 1 => {
            let shown: Vec<&str> = several.iter().take(5).map(|c| c.as_str()).collect();
            let what = format!("{place}: {} has more than two classes: {}", suite.label, shown.join(", "));
            Err(Fault::invalid(what).next("set task = \"multiclass\", or positive to the label that counts"))
        }
        (None, _) => {
            let what = format!("{place}: no {} is {:?}, the positive class", suite.label, suite.positive);
            Err(Fault::invalid(what)
                .why(format!("labels are {}", found.join(", ")))
                .next("set positive to the label that counts"))
        }
        _ => Err(Fault::invalid(format!("{place}: {} cannot be two classes", suite.label))),
    }
}

/// The same text, or the same number: `1` is `1.0`.
pub(super) fn same_class(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if x == y) || {
        let truth = |t: &str| matches!(t.to_ascii_lowercase().as_str(), "true" | "false");
        truth(a) && a.eq_ignore_ascii_case(b)
    }
}

/// Which class a text names.
pub(super) fn class_of(classes: &[String], text: &str) -> Option<usize> {
    classes.iter().position(|c| c == text).or_else(|| classes.iter().position(|c| same_class(c, text)))
}

fn unreadable(path: &Path, e: &csv::Error) -> Fault {
    let line = e.position().map_or_else(String::new, |p| format!(" line {}", p.line()));
    let why = match e.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, the heading has {expected_len}")
        }
        _ => e.to_string(),
    };
    Fault::invalid(format!("{}{line} cannot be read as CSV", path.display())).why(why)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::local::evals::predictions;

    /// y: whole numbers, x: numbers with a missing one, c: text.
    fn write(path: &Path) {
        let schema = "message m { required int32 y; optional double score; required binary c (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = std::fs::File::create(path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[0, 1, 1], None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.25, 0.1], Some(&[1, 0, 1]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts = ["AA", "UA", "AA"].map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn parquet_reads_as_the_csv_of_it_would() {
        let folder = tempfile::tempdir().unwrap();
        let (at, csv) = (folder.path().join("d.parquet"), folder.path().join("d.csv"));
        write(&at);
        std::fs::write(&csv, "y,score,c\n0,0.25,AA\n1,,UA\n1,0.1,AA\n").unwrap();
        let text = "[suite.s]\ndata='x'\nlabel='y'\ntask='binary'\nslices=['c']\nmetrics=['auc']\ncommand=['p']\n";
        let mut document = form::Document::parse("s", text).unwrap();
        let suite = crate::capability::evals::parse(&mut document).unwrap().remove(0);
        let (one, other) = (Data::read(&suite, &at).unwrap(), Data::read(&suite, &csv).unwrap());
        assert_eq!((&one.heads, &one.rows), (&other.heads, &other.rows));
        assert_eq!(one.truth(&suite).unwrap(), other.truth(&suite).unwrap());
        // As predictions, a score that is missing is no score.
        let fault = predictions::read(&at, 3).unwrap_err();
        assert_eq!(fault.what, "row 2 has no prediction");
    }
}
