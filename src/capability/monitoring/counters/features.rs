//! Features of a body by column. Rows that have the same ones in the same order lie together; where hardly two rows have, such as when
//! what is missing is not sent, each feature says in which rows it stands.

use super::bytes::Out;
use super::columns::{Reader, Writer};
use super::rows::{Part, Row, Rows, Val};

const BY_SHAPE: u64 = 0;
const BY_KEY: u64 = 1;
/// So many shapes are never too many; beyond them, each has to hold so many rows.
const SHAPES_MAX: usize = 8;
const ROWS_OF_SHAPE: usize = 16;
/// Cells of one body: every one takes some bytes of its lines.
const CELLS_MAX: usize = 1 << 26;

pub(super) fn write(to: &mut Writer, rows: &Rows) {
    let text = |part: Part| rows.text(part);
    let shapes = rows.shapes() as usize;
    if shapes > SHAPES_MAX && shapes * ROWS_OF_SHAPE > rows.len() {
        to.out.put(BY_KEY);
        for of_key in by_key(rows) {
            to.out.len(of_key.len());
            to.numbers(of_key.len(), |n| of_key[n].0);
            to.column(of_key.len(), |n| of_key[n].1, text);
        }
        return;
    }
    to.out.put(BY_SHAPE);
    write_shapes(&mut to.out, rows);
    to.numbers(rows.len(), |n| rows.all[n].shape);
    for (shape, of_shape) in (0..).zip(by_shape(rows)) {
        for nth in 0..rows.shape_keys(shape).len() {
            to.column(of_shape.len(), |n| rows.cells[of_shape[n] as usize + nth], text);
        }
    }
}

/// Rows and values of each key.
fn by_key(rows: &Rows) -> Vec<Vec<(u32, Val)>> {
    let mut all = vec![Vec::new(); rows.keys.len()];
    for (nth, row) in (0..).zip(&rows.all) {
        rows.features_of(row).for_each(|(key, value)| all[key as usize].push((nth, value)));
    }
    all
}

/// Where the cells of rows begin, by their shape.
fn by_shape(rows: &Rows) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new(); rows.shapes() as usize];
    rows.all.iter().filter(|row| row.shape > 0).for_each(|row| all[row.shape as usize].push(row.features));
    all
}

fn write_shapes(out: &mut Out, rows: &Rows) {
    out.put(u64::from(rows.shapes()));
    for keys in (1..rows.shapes()).map(|shape| rows.shape_keys(shape)) {
        out.len(keys.len());
        keys.iter().for_each(|key| out.put(u64::from(*key)));
    }
}

/// Gives rows the features that they have; `None`: those are none.
pub(super) fn read(from: &mut Reader<'_>, all: &mut [Row], rows: &mut Rows) -> Option<()> {
    match from.from.get()? {
        BY_SHAPE => read_by_shape(from, all, rows),
        BY_KEY => read_by_key(from, all, rows),
        _ => None,
    }
}

fn read_by_shape(from: &mut Reader<'_>, all: &mut [Row], rows: &mut Rows) -> Option<()> {
    for _ in 1..from.from.get()? {
        let len = from.from.len()?;
        let key = |_| from.from.get().and_then(|key| u32::try_from(key).ok());
        rows.push_shape((0..len).map(key).collect::<Option<Vec<u32>>>()?);
    }
    let mut cells = 0_usize;
    let mut of_shape = vec![Vec::new(); rows.shapes() as usize];
    let shapes = from.numbers(all.len())?;
    for (row, shape) in all.iter_mut().zip(shapes) {
        (row.shape, row.features) = (shape, u32::try_from(cells).ok()?);
        of_shape.get_mut(shape as usize)?.push(cells);
        cells += rows.shape_keys(shape).len();
    }
    (cells <= CELLS_MAX).then(|| rows.cells.resize(cells, Val::Null))?;
    for (shape, places) in (1..).zip(&of_shape[1..]) {
        for nth in 0..rows.shape_keys(shape).len() {
            let column = from.column(places.len())?;
            places.iter().zip(column).for_each(|(place, value)| rows.cells[place + nth] = value);
        }
    }
    Some(())
}

fn read_by_key(from: &mut Reader<'_>, all: &mut [Row], rows: &mut Rows) -> Option<()> {
    let mut of_row: Vec<(Vec<u32>, Vec<Val>)> = vec![(Vec::new(), Vec::new()); all.len()];
    for key in (0..).take(rows.keys.len()) {
        let len = from.from.len().filter(|len| *len <= all.len())?;
        let places = from.numbers(len)?;
        for (place, value) in places.into_iter().zip(from.column(len)?) {
            let (keys, values) = of_row.get_mut(place as usize)?;
            keys.push(key);
            values.push(value);
        }
    }
    for (row, (keys, values)) in all.iter_mut().zip(of_row) {
        (row.shape, row.features) = (rows.shape(&keys), u32::try_from(rows.cells.len()).ok()?);
        rows.cells.extend(values);
    }
    Some(())
}
