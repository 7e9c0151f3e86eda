//! CSV: a header, then rows of as many fields. A ragged row is named by its line.

use std::fs::File;
use std::io::{BufRead, BufReader};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::{Cell, Format, Schema, TableFile, Visit, bad};
use crate::base::{Fault, fault::Result};

/// The separator that the header has most of.
fn separator(file: &TableFile) -> Result<u8> {
    let mut line = Vec::new();
    let opened = File::open(&file.at).and_then(|f| BufReader::new(f).read_until(b'\n', &mut line));
    opened.map_err(|e| bad(&file.path, e.to_string()))?;
    let count = |s: u8| line.iter().filter(|b| **b == s).count();
    // The first of equals wins, and a file of one column has none.
    Ok([b'|', b'\t', b';', b','].into_iter().max_by_key(|s| count(*s)).unwrap_or(b','))
}

fn open(file: &TableFile) -> Result<Reader<File>> {
    let opened = File::open(&file.at).map_err(|e| bad(&file.path, e.to_string()))?;
    Ok(ReaderBuilder::new().delimiter(separator(file)?).buffer_capacity(1 << 18).from_reader(opened))
}

fn problem(file: &TableFile, e: &csv::Error) -> Fault {
    match e.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            bad(&format!("{} line {line}", file.path), format!("it has {len} fields, the header has {expected_len}"))
        }
        _ => bad(&file.path, e.to_string()),
    }
}

/// Names of the columns; a name that comes again is numbered, as pandas does.
pub fn schema(file: &TableFile) -> Result<Schema> {
    let mut reader = open(file)?;
    let header = reader.byte_headers().map_err(|e| problem(file, &e))?;
    let mut columns: Vec<(String, Option<super::column::Hint>)> = Vec::new();
    for name in header {
        let name = name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name);
        let name = String::from_utf8_lossy(name).into_owned();
        let taken = |n: &str| columns.iter().any(|(known, _)| known == n);
        let name = if taken(&name) {
            (1..1_000_000).map(|i| format!("{name}.{i}")).find(|n| !taken(n)).unwrap_or_default()
        } else {
            name
        };
        columns.push((name, None));
    }
    Ok(Schema { format: Format::Csv, columns })
}

/// Shows every cell; answers the number of rows.
///
/// # Errors
/// `Invalid` naming file and line.
pub fn read(file: &TableFile, columns: usize, visit: Visit<'_>) -> Result<u64> {
    let mut reader = open(file)?;
    let mut record = ByteRecord::new();
    let mut rows = 0;
    while reader.read_byte_record(&mut record).map_err(|e| problem(file, &e))? {
        for (nth, field) in record.iter().take(columns).enumerate() {
            visit(nth, Cell::Raw(field));
        }
        rows += 1;
    }
    Ok(rows)
}
