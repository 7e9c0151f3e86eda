//! Writing a table as Parquet: columns of five kinds, every value may be missing, rows in groups so that memory stays bounded.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use crate::base::{Fault, fault::Result};

/// Rows of a group.
const GROUP_ROWS: usize = 20_000;
/// Bytes of texts of a group.
const GROUP_BYTES: usize = 64 << 20;

/// A column's values of the group that fills.
#[derive(Debug)]
enum Column {
    Integer(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Truth(Vec<Option<bool>>),
}

/// A value on its way into a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Missing,
    Integer(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Truth(bool),
}

/// A Parquet file that is there as a whole or not at all.
pub struct Writer {
    file: SerializedFileWriter<File>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    total: u64,
    partial: PathBuf,
    path: PathBuf,
}

impl Writer {
    /// `columns`: names with `integer`, `real`, `text`, `bytes` or `truth`.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be made, `Invalid` for a kind that is none.
    pub fn create(path: &Path, columns: &[(String, String)]) -> Result<Self> {
        let mut schema = "message rows {".to_owned();
        let mut filled = Vec::new();
        for (name, kind) in columns {
            let (column, words) = match kind.as_str() {
                "integer" => (Column::Integer(Vec::new()), format!("optional int64 {name};")),
                "real" => (Column::Real(Vec::new()), format!("optional double {name};")),
                "text" => (Column::Text(Vec::new()), format!("optional binary {name} (UTF8);")),
                "bytes" => (Column::Bytes(Vec::new()), format!("optional binary {name};")),
                "truth" => (Column::Truth(Vec::new()), format!("optional boolean {name};")),
                other => return Err(Fault::invalid(format!("no kind of column: {other}"))),
            };
            schema.push_str(&words);
            filled.push(column);
        }
        schema.push('}');
        let schema = parse_message_type(&schema).map_err(|e| Fault::bug("schema").why(e.to_string()))?;
        let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|e| cannot(path, &e))?;
        let file =
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map_err(|e| cannot(path, &e))?;
        Ok(Self { file, columns: filled, rows: 0, bytes: 0, total: 0, partial, path: path.to_owned() })
    }

    /// # Errors
    /// `Invalid` when the cells are not those of the columns, `Unavailable` when the disk is full.
    pub fn row(&mut self, cells: Vec<Cell>) -> Result<()> {
        if cells.len() != self.columns.len() {
            return Err(Fault::bug(format!("{} cells for {} columns", cells.len(), self.columns.len())));
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += match &cell {
                Cell::Text(text) => text.len(),
                Cell::Bytes(bytes) => bytes.len(),
                _ => 8,
            };
            match (column, cell) {
                (Column::Integer(all), Cell::Integer(v)) => all.push(Some(v)),
                (Column::Real(all), Cell::Real(v)) => all.push(Some(v)),
                (Column::Text(all), Cell::Text(v)) => all.push(Some(v)),
                (Column::Bytes(all), Cell::Bytes(v)) => all.push(Some(v)),
                (Column::Truth(all), Cell::Truth(v)) => all.push(Some(v)),
                (Column::Integer(all), Cell::Missing) => all.push(None),
                (Column::Real(all), Cell::Missing) => all.push(None),
                (Column::Text(all), Cell::Missing) => all.push(None),
                (Column::Bytes(all), Cell::Missing) => all.push(None),
                (Column::Truth(all), Cell::Missing) => all.push(None),
                (_, cell) => return Err(Fault::bug(format!("{cell:?} is not of its column"))),
            }
        }
        self.rows += 1;
        self.total += 1;
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES { self.group() } else { Ok(()) }
    }

    fn group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let path = self.path.clone();
        let problem = |e: parquet::errors::ParquetError| cannot(&path, &e);
        let mut group = self.file.next_row_group().map_err(problem)?;
        for column in &mut self.columns {
            let Some(mut to) = group.next_column().map_err(problem)? else { break };
            match column {
                Column::Integer(all) => put::<Int64Type>(&mut to, std::mem::take(all)),
                Column::Real(all) => put::<DoubleType>(&mut to, std::mem::take(all)),
                Column::Text(all) => put::<ByteArrayType>(&mut to, byte_arrays(std::mem::take(all))),
                Column::Bytes(all) => put::<ByteArrayType>(&mut to, byte_arrays(std::mem::take(all))),
                Column::Truth(all) => put::<BoolType>(&mut to, std::mem::take(all)),
            }
            .map_err(problem)?;
            to.close().map_err(problem)?;
        }
        group.close().map_err(problem)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Makes the file appear; answers its rows.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written to its end.
    pub fn finish(mut self) -> Result<u64> {
        self.group()?;
        let (partial, path) = (self.partial, self.path);
        let file = self.file.into_inner().map_err(|e| cannot(&path, &e))?;
        file.sync_data().map_err(|e| cannot(&path, &e))?;
        std::fs::rename(&partial, &path).map_err(|e| cannot(&path, &e))?;
        Ok(self.total)
    }
}

fn byte_arrays<T: Into<Vec<u8>>>(all: Vec<Option<T>>) -> Vec<Option<ByteArray>> {
    all.into_iter().map(|v| v.map(|v| ByteArray::from(v.into()))).collect()
}

fn put<T: DataType>(to: &mut SerializedColumnWriter<'_>, all: Vec<Option<T::T>>) -> parquet::errors::Result<()> {
    let levels: Vec<i16> = all.iter().map(|v| i16::from(v.is_some())).collect();
    let values: Vec<T::T> = all.into_iter().flatten().collect();
    to.typed::<T>().write_batch(&values, Some(&levels), None).map(drop)
}

fn cannot(path: &Path, e: &impl std::fmt::Display) -> Fault {
    Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn every_kind_of_value_and_a_missing_one_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let kinds = ["integer", "real", "text", "bytes", "truth"];
        let columns: Vec<_> = kinds.iter().map(|k| (format!("c_{k}"), (*k).to_owned())).collect();
        let mut writer = Writer::create(&path, &columns).unwrap();
        for i in 0..50_001 {
            let row = vec![
                Cell::Integer(i),
                if i % 2 == 0 { Cell::Missing } else { Cell::Real(f64::NAN) },
                Cell::Text(format!("ü{i}")),
                Cell::Bytes(vec![0, 255]),
                Cell::Truth(i % 3 == 0),
            ];
            writer.row(row).unwrap();
        }
        assert!(writer.row(vec![Cell::Missing]).is_err());
        assert!(!path.exists(), "it is there as a whole or not at all");
        assert_eq!(writer.finish().unwrap(), 50_001);
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        assert_eq!((reader.metadata().num_row_groups(), reader.metadata().file_metadata().num_rows()), (3, 50_001));
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let last = &rows[50_000];
        assert_eq!((last.get_long(0).unwrap(), last.get_string(2).unwrap().as_str()), (50_000, "ü50000"));
        assert!(last.get_double(1).is_err() && rows[1].get_double(1).unwrap().is_nan());
        assert!(rows[3].get_bool(4).unwrap() && !last.get_bool(4).unwrap());
    }

    type Result<T, E = parquet::errors::ParquetError> = std::result::Result<T, E>;
}
