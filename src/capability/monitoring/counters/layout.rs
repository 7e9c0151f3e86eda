//! Which columns a body of predictions has: first what its numbers stand for, then a column for every field and every feature,
//! and last the bytes of its texts.

use super::super::Usage;
use super::bytes::{In, Out};
use super::check::BODY_BYTES_MAX;
use super::columns::{Reader, Writer};
use super::rows::{Part, Row, Rows, Scored, Val};
use super::{features, journal};
use crate::base::{Timestamp, fault::Result};

/// No body has so many rows.
const ROWS_MAX: u64 = BODY_BYTES_MAX as u64 / 16;
/// What is nested may be longer than it came, where numbers are written out.
const TEXTS_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;
/// Texts up to here are not worth packing.
const SHORT_BYTES_MAX: usize = 4096;

/// A value, where there is one.
fn some(value: Option<Val>) -> Val {
    value.unwrap_or_default()
}

fn of_time(time: Option<Timestamp>) -> Val {
    time.map_or(Val::Null, |at| u64::try_from(at.0).map_or(Val::Negative(at.0), Val::Whole))
}

fn of_score(score: Scored) -> Val {
    match score {
        Scored::None => Val::Null,
        Scored::Positive(x) => Val::Fraction(x),
        Scored::Classes(part) => Val::Whole(u64::from(part.len)),
    }
}

/// Half of a print is all that is asked of it.
#[allow(clippy::cast_possible_truncation)] // as said
fn half(print: u64) -> u32 {
    print as u32
}

/// Writes the columns of predictions behind what was begun.
///
/// # Errors
/// `Bug` when there is no memory to pack them.
pub(super) fn write(rows: &Rows, begun: Vec<u8>) -> Result<Vec<u8>> {
    let mut to = Writer::behind(begun);
    to.out.len(rows.len());
    names(&mut to.out, rows);
    let (all, len) = (&rows.all, rows.len());
    let text = |part: Part| rows.text(part);
    to.numbers(len, |n| all[n].who);
    to.sequence(all.iter().map(|row| rows.text(row.id)));
    to.column(len, |n| of_time(all[n].time), text);
    to.column(len, |n| all[n].said, text);
    to.column(len, |n| of_score(all[n].score), text);
    // Classes and slices lie in the order of the rows.
    to.numbers(rows.classes.len(), |n| rows.classes[n].0);
    to.column(rows.classes.len(), |n| Val::Fraction(rows.classes[n].1), text);
    to.column(len, |n| some(all[n].latency_ms.map(Val::Fraction)), text);
    to.column(len, |n| Val::Truth(all[n].failed), text);
    to.column(len, |n| some(all[n].batch.map(Val::Text)), text);
    to.column(len, |n| some(all[n].usage.map(|usage| Val::Whole(usage.input_tokens))), text);
    to.column(len, |n| some(all[n].usage.map(|usage| Val::Whole(usage.output_tokens))), text);
    to.numbers(len, |n| all[n].slices.len);
    to.numbers(rows.slice_of.len(), |n| rows.slice_of[n]);
    to.numbers(len, |n| half(all[n].print));
    features::write(&mut to, rows);
    let Writer { mut out, texts, .. } = to;
    put_texts(&mut out, &texts)?;
    Ok(out.0)
}

/// What numbers stand for.
fn names(out: &mut Out, rows: &Rows) {
    out.len(rows.who.len());
    for who in &rows.who {
        out.text(&who.service);
        out.text(&who.version);
        out.put(u64::from(who.model.is_some()));
        out.text(who.model.as_deref().unwrap_or_default());
    }
    out.len(rows.keys.len());
    rows.keys.iter().for_each(|key| out.text(key));
    out.len(rows.slices.len());
    for slice in (0..).take(rows.slices.len()).map(|number| rows.slice(number)) {
        out.text(slice.0);
        out.text(slice.1);
    }
    out.len(rows.words.len());
    (0..).take(rows.words.len()).for_each(|number| out.text(rows.words.text(number)));
}

/// Texts are the last part of a body, and packed where they get smaller.
fn put_texts(out: &mut Out, texts: &[u8]) -> Result<()> {
    out.put(texts.len() as u64);
    let packed = if texts.len() > SHORT_BYTES_MAX { journal::packed(texts)? } else { Vec::new() };
    let worth = !packed.is_empty() && packed.len() < texts.len();
    out.put(u64::from(worth));
    out.0.extend_from_slice(if worth { &packed } else { texts });
    Ok(())
}

fn read_texts(mut from: In<'_>) -> Option<String> {
    let len = usize::try_from(from.get()?).ok().filter(|len| *len <= TEXTS_BYTES_MAX)?;
    let texts = match from.get()? {
        0 => from.0.to_vec(),
        _ => zstd::bulk::decompress(from.0, len).ok()?,
    };
    (texts.len() == len).then(|| String::from_utf8(texts).ok())?
}

fn read_names(from: &mut In<'_>, rows: &mut Rows) -> Option<()> {
    for _ in 0..from.len()? {
        let (service, version, has_model, model) = (from.text()?, from.text()?, from.get()?, from.text()?);
        rows.who(service, Some(version), (has_model == 1).then_some(model));
    }
    for number in 0..from.get()? {
        (u64::from(rows.keys.number(from.text()?)) == number).then_some(())?;
    }
    for _ in 0..from.get()? {
        let (name, value) = (from.text()?, from.text()?);
        rows.put_slice(name, value);
    }
    rows.slice_of.clear();
    for number in 0..from.get()? {
        (rows.words.number(from.text()?).map(u64::from) == Some(number)).then_some(())?;
    }
    Some(())
}

fn each<T>(all: &mut [Row], values: Vec<T>, set: impl Fn(&mut Row, T)) {
    all.iter_mut().zip(values).for_each(|(row, value)| set(row, value));
}

fn fraction(value: Val) -> Option<f64> {
    if let Val::Fraction(x) = value { Some(x) } else { None }
}

/// `None`: it is no such body.
pub(super) fn read(columns: &[u8]) -> Option<Rows> {
    let mut from = In(columns);
    let len = usize::try_from(from.get().filter(|len| *len <= ROWS_MAX)?).ok()?;
    let mut rows = Rows::default();
    read_names(&mut from, &mut rows)?;
    let mut from = Reader::new(from);
    let mut all = vec![Row::default(); len];
    each(&mut all, from.numbers(len)?, |row, who| row.who = who);
    let mut ids = String::new();
    let mut parts = Vec::with_capacity(len);
    from.sequence(len, |id| {
        parts.push((ids.len(), id.len()));
        ids.push_str(id);
    })?;
    fields(&mut from, &mut all)?;
    scores(&mut from, &mut all, &mut rows)?;
    costs(&mut from, &mut all)?;
    slices(&mut from, &mut all, &mut rows)?;
    each(&mut all, from.numbers(len)?, |row, print| row.print = u64::from(print));
    features::read(&mut from, &mut all, &mut rows)?;
    let texts = read_texts(from.from)?;
    for (row, (at, len)) in all.iter_mut().zip(parts) {
        row.id = Part { from: u32::try_from(texts.len() + at).ok()?, len: u32::try_from(len).ok()? };
    }
    rows.texts().push_str(&texts);
    rows.texts().push_str(&ids);
    let known = |row: &Row| (row.who as usize) < rows.who.len();
    all.iter().all(known).then_some(())?;
    all.into_iter().for_each(|row| rows.push(row));
    Some(rows)
}

fn fields(from: &mut Reader<'_>, all: &mut [Row]) -> Option<()> {
    let time = |value: Val| match value {
        Val::Whole(at) => Some(Timestamp(at.cast_signed())),
        Val::Negative(at) => Some(Timestamp(at)),
        _ => None,
    };
    each(all, from.column(all.len())?, |row, value| row.time = time(value));
    each(all, from.column(all.len())?, |row, said| row.said = said);
    Some(())
}

fn scores(from: &mut Reader<'_>, all: &mut [Row], rows: &mut Rows) -> Option<()> {
    let mut classes = 0_u32;
    let column = from.column(all.len())?;
    for (row, score) in all.iter_mut().zip(column) {
        row.score = match score {
            Val::Fraction(x) => Scored::Positive(x),
            Val::Whole(len) => {
                let part = Part { from: classes, len: u32::try_from(len).ok()? };
                classes = classes.checked_add(part.len)?;
                Scored::Classes(part)
            }
            _ => Scored::None,
        };
    }
    let (keys, parts) = (from.numbers(classes as usize)?, from.column(classes as usize)?);
    rows.classes = keys.into_iter().zip(parts.into_iter().map(|x| fraction(x).unwrap_or(f64::NAN))).collect();
    Some(())
}

fn costs(from: &mut Reader<'_>, all: &mut [Row]) -> Option<()> {
    let len = all.len();
    each(all, from.column(len)?, |row, ms| row.latency_ms = fraction(ms));
    each(all, from.column(len)?, |row, failed| row.failed = failed == Val::Truth(true));
    let part = |value: Val| if let Val::Text(part) = value { Some(part) } else { None };
    each(all, from.column(len)?, |row, batch| row.batch = part(batch));
    let (input, output) = (from.column(len)?, from.column(len)?);
    for (row, tokens) in all.iter_mut().zip(input.into_iter().zip(output)) {
        if let (Val::Whole(input_tokens), Val::Whole(output_tokens)) = tokens {
            row.usage = Some(Usage { input_tokens, output_tokens });
        }
    }
    Some(())
}

fn slices(from: &mut Reader<'_>, all: &mut [Row], rows: &mut Rows) -> Option<()> {
    let mut slices = 0_u32;
    let lengths = from.numbers(all.len())?;
    for (row, len) in all.iter_mut().zip(lengths) {
        row.slices = Part { from: slices, len };
        slices = slices.checked_add(len)?;
    }
    rows.slice_of = from.numbers(slices as usize)?;
    rows.slice_of.iter().all(|slice| (*slice as usize) < rows.slices.len()).then_some(())
}
