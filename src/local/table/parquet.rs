//! Parquet, a column at a time. Nested lists are left out and said so.

use std::fs::File;

use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::column::Hint;
use super::{Cell, Format, Schema, TableFile, bad};
use crate::base::{Fault, fault::Result};

/// Values that are decoded at once.
const BATCH: usize = 8192;
/// What pandas writes its row labels to.
const INDEX: &str = "__index_level_";

fn open(file: &TableFile) -> Result<SerializedFileReader<File>> {
    let opened = File::open(&file.at).map_err(|e| bad(&file.path, e.to_string()))?;
    SerializedFileReader::new(opened).map_err(|e| problem(file, &e))
}

fn problem(file: &TableFile, e: &parquet::errors::ParquetError) -> Fault {
    bad(&file.path, e.to_string())
}

fn is_profiled(column: &ColumnDescriptor) -> bool {
    column.max_rep_level() == 0 && !column.path().string().starts_with(INDEX)
}

/// The flat columns. Notes say which were left out.
pub fn schema(file: &TableFile, notes: &mut Vec<String>) -> Result<Schema> {
    let reader = open(file)?;
    let about = reader.metadata().file_metadata().schema_descr_ptr();
    let mut columns = Vec::new();
    for column in about.columns() {
        let name = column.path().string();
        if is_profiled(column) {
            columns.push((name, Some(hint(column))));
        } else if !name.starts_with(INDEX) {
            notes.push(format!("column {name} of {} is a list and is not profiled", file.path));
        }
    }
    Ok(Schema { format: Format::Parquet, columns })
}

pub fn rows(file: &TableFile) -> Result<u64> {
    Ok(u64::try_from(open(file)?.metadata().file_metadata().num_rows()).unwrap_or(0))
}

fn hint(column: &ColumnDescriptor) -> Hint {
    match (column.physical_type(), column.logical_type_ref()) {
        (_, Some(LogicalType::Timestamp { .. } | LogicalType::Date)) | (Physical::INT96, _) => Hint::Time,
        (_, Some(LogicalType::Decimal { .. })) | (Physical::FLOAT | Physical::DOUBLE, _) => Hint::Number,
        (Physical::BOOLEAN, _) => Hint::Boolean,
        (Physical::INT32 | Physical::INT64, _) => Hint::Integer,
        (_, Some(LogicalType::Float16)) => Hint::Number,
        _ => Hint::Text,
    }
}

/// What a whole number of the file means.
fn scale(column: &ColumnDescriptor) -> (f64, bool) {
    const DAY_MICROS: f64 = 86_400e6;
    match column.logical_type_ref() {
        Some(LogicalType::Date) => (DAY_MICROS, false),
        Some(LogicalType::Timestamp(of)) => match of.unit {
            TimeUnit::MILLIS => (1e3, false),
            TimeUnit::MICROS => (1.0, false),
            TimeUnit::NANOS => (1e-3, false),
        },
        Some(LogicalType::Decimal(of)) => (10.0_f64.powi(-of.scale), false),
        Some(LogicalType::Integer(of)) => (1.0, !of.is_signed),
        _ => (1.0, false),
    }
}

/// Shows every cell of the `nth` profiled column.
///
/// # Errors
/// `Invalid` naming the file.
pub fn read(file: &TableFile, nth: usize, visit: &mut dyn FnMut(Cell<'_>)) -> Result<()> {
    let reader = open(file)?;
    let about = reader.metadata().file_metadata().schema_descr_ptr();
    let place = about.columns().iter().enumerate().filter(|(_, c)| is_profiled(c)).nth(nth).map(|(i, _)| i);
    let place = place.ok_or_else(|| bad(&file.path, "it changed while it was read"))?;
    let column = about.column(place);
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| problem(file, &e))?;
        let values = group.get_column_reader(place).map_err(|e| problem(file, &e))?;
        cells(values, &column, visit).map_err(|e| problem(file, &e))?;
    }
    Ok(())
}

fn cells(
    values: ColumnReader,
    column: &ColumnDescriptor,
    visit: &mut dyn FnMut(Cell<'_>),
) -> parquet::errors::Result<()> {
    let nulls = column.max_def_level();
    let (factor, unsigned) = scale(column);
    let is_decimal = matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }));
    let is_half = matches!(column.logical_type_ref(), Some(LogicalType::Float16));
    let of_bytes = |bytes: &[u8], visit: &mut dyn FnMut(Cell<'_>)| match bytes {
        digits if is_decimal => visit(Cell::Number(big_endian(digits) * factor)),
        [low, high] if is_half => visit(Cell::Number(half(u16::from_le_bytes([*low, *high])))),
        text => visit(Cell::Text(text)),
    };
    let mut number = |x: Option<f64>| visit(x.map_or(Cell::Missing, Cell::Number));
    match values {
        ColumnReader::ByteArrayColumnReader(r) => each(r, nulls, &mut |v| match v {
            Some(v) => of_bytes(v.data(), visit),
            None => visit(Cell::Missing),
        }),
        ColumnReader::FixedLenByteArrayColumnReader(r) => each(r, nulls, &mut |v| match v {
            Some(v) => of_bytes(v.as_bytes(), visit),
            None => visit(Cell::Missing),
        }),
        ColumnReader::BoolColumnReader(r) => each(r, nulls, &mut |v| {
            visit(v.map_or(Cell::Missing, |v| Cell::Text(if *v { b"true" } else { b"false" })));
        }),
        ColumnReader::Int32ColumnReader(r) => each(r, nulls, &mut |v| {
            #[allow(clippy::cast_sign_loss)] // the schema says that it is unsigned
            number(v.map(|v| if unsigned { f64::from(*v as u32) } else { f64::from(*v) } * factor));
        }),
        ColumnReader::Int64ColumnReader(r) => each(r, nulls, &mut |v| {
            #[allow(clippy::cast_sign_loss)] // as above
            number(v.map(|v| if unsigned { *v as u64 as f64 } else { *v as f64 } * factor));
        }),
        ColumnReader::Int96ColumnReader(r) => each(r, nulls, &mut |v| number(v.map(|v| v.to_micros() as f64))),
        ColumnReader::FloatColumnReader(r) => each(r, nulls, &mut |v| number(v.map(|v| f64::from(*v)))),
        ColumnReader::DoubleColumnReader(r) => each(r, nulls, &mut |v| number(v.copied())),
    }
}

/// Shows every value of a chunk of a column, missing ones as `None`.
fn each<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    nulls: i16,
    visit: &mut dyn FnMut(Option<&T::T>),
) -> parquet::errors::Result<()> {
    let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    loop {
        values.clear();
        levels.clear();
        let wanted = (nulls > 0).then_some(&mut levels);
        let (records, ..) = reader.read_records(BATCH, wanted, None, &mut values)?;
        if records == 0 {
            return Ok(());
        }
        if nulls == 0 {
            values.iter().for_each(|v| visit(Some(v)));
            continue;
        }
        let mut present = values.iter();
        for level in &levels {
            visit(if *level == nulls { present.next() } else { None });
        }
    }
}

/// A decimal's digits: two's complement, the greatest byte first.
fn big_endian(bytes: &[u8]) -> f64 {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let flipped = |b: &u8| f64::from(if negative { !*b } else { *b });
    let magnitude = bytes.iter().fold(0.0, |sum, b| sum * 256.0 + flipped(b));
    if negative { -magnitude - 1.0 } else { magnitude }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    }
}
