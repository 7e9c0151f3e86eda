//! The SQL of the counter store: versions, cells, the journal, and how far it is counted.

use std::io::{Read, Write};

use super::arm::{Arm, Moving};
use super::first::{FirstPart, FirstWindow};
use super::packed;
use super::state::Oddities;
use super::tally::{Cell, Tally};
use crate::base::{Fault, fault::Result};
use crate::db::{Pool, Tx, fault};
use crate::{on_db, on_tx};

const ARMS: &str = "select doc, moving from monitor_arms order by number";
const PUT_ARM: &str = "insert into monitor_arms (number, service, version, doc, moving) values ($1, $2, $3, $4, $5) \
     on conflict (number) do update set doc = excluded.doc, moving = excluded.moving";
const MOVE_ARM: &str = "update monitor_arms set moving = $2 where number = $1";
const FIRST: &str = "select arm, doc from monitor_first order by arm, begins";
const PUT_FIRST: &str = "insert into monitor_first (arm, begins, doc) values ($1, $2, $3) \
     on conflict (arm, begins) do update set doc = excluded.doc";
const FORGET_FIRST: &str = "delete from monitor_first where arm = $1";
const APPEND: &str = "insert into monitor_journal (seq, arrived, count, kind, body) values ($1, $2, $3, $4, $5)";
const JOURNAL: &str = "select seq, arrived, kind, body from monitor_journal where seq > $1 order by seq limit 64";
const SIZES: &str = "select seq, count, cast(length(body) as bigint) from monitor_journal order by seq desc";
const FORGET: &str = "delete from monitor_journal where seq <= $1";
const NEWEST: &str = "select coalesce(max(seq), cast(0 as bigint)) from monitor_journal";
const POSITION: &str = "select seq, doc from monitor_position where id = 1";
const PUT_POSITION: &str = "insert into monitor_position (id, seq, doc) values (1, $1, $2) \
     on conflict (id) do update set seq = excluded.seq, doc = excluded.doc";
const CELL: &str = "select doc from monitor_cells where arm = $1 and slice = $2 and minute = $3 and span = $4";
const PUT_CELL: &str = "insert into monitor_cells (arm, slice, minute, span, doc) values ($1, $2, $3, $4, $5) \
     on conflict (arm, slice, minute, span) do update set doc = excluded.doc";
const CELLS: &str = "select slice, minute, span, doc from monitor_cells \
     where arm = $1 and minute >= $2 and minute < $3 and ($4 = 1 or slice = $5) order by minute, span, slice";
const OLDEST: &str = "select min(minute) from monitor_cells where span = 1 and minute < $1";
const OLD: &str = "select arm, slice, minute from monitor_cells where span = 1 and minute >= $1 and minute < $2 \
     order by arm, slice, minute limit 10000";
const EVENTS_BEFORE: &str = "select coalesce(max(seq), cast(0 as bigint)), cast(coalesce(sum(count), 0) as bigint), \
     cast(coalesce(sum(length(body)), 0) as bigint) from monitor_journal where arrived < $1";
const CELLS_BEFORE: &str = "select count(*), cast(coalesce(sum(length(doc)), 0) as bigint) from monitor_cells \
     where minute + span <= $1";
const REMOVE_CELLS_BEFORE: &str = "delete from monitor_cells where minute + span <= $1";
const REWRITE: &str = "update monitor_journal set count = $2, body = $3 where seq = $1";
const REMOVE_SLICE: &str = "delete from monitor_cells where slice = $1";
const REMOVE_CELL: &str = "delete from monitor_cells where arm = $1 and slice = $2 and minute = $3 and span = $4";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    ARMS,
    PUT_ARM,
    MOVE_ARM,
    FIRST,
    PUT_FIRST,
    FORGET_FIRST,
    APPEND,
    JOURNAL,
    SIZES,
    FORGET,
    NEWEST,
    POSITION,
    PUT_POSITION,
    CELL,
    PUT_CELL,
    CELLS,
    OLDEST,
    OLD,
    EVENTS_BEFORE,
    CELLS_BEFORE,
    REMOVE_CELLS_BEFORE,
    REWRITE,
    REMOVE_SLICE,
    REMOVE_CELL,
];

fn damaged(what: &str, e: &impl std::fmt::Display) -> Fault {
    Fault::bug(format!("the counter store's {what} cannot be read")).why(e.to_string()).next("restore the last backup")
}

fn text(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

/// Versions with the first windows that are not full.
pub(super) async fn arms(pool: &Pool) -> Result<Vec<(Arm, Option<FirstWindow>)>> {
    let rows: Vec<(String, String)> = on_db!(pool, p => sqlx::query_as(ARMS).fetch_all(p).await).map_err(fault)?;
    let read = |(doc, moving): &(String, String)| -> serde_json::Result<_> {
        let mut arm: Arm = serde_json::from_slice(doc.as_bytes())?;
        if !moving.is_empty() {
            arm.moved(serde_json::from_slice(moving.as_bytes())?);
        }
        Ok(arm.woken())
    };
    let mut arms = rows.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(|e| damaged("versions", &e))?;
    let parts: Vec<(i64, Vec<u8>)> = on_db!(pool, p => sqlx::query_as(FIRST).fetch_all(p).await).map_err(fault)?;
    for (number, doc) in parts {
        let part: FirstPart = serde_json::from_slice(&inflated(&doc)?).map_err(|e| damaged("first windows", &e))?;
        let arm = usize::try_from(number).ok().and_then(|n| arms.get_mut(n));
        if let Some((arm, Some(window))) = arm {
            window.restore(&part);
            arm.first_rows = Some(window.len());
        }
    }
    Ok(arms)
}

pub(super) async fn put_arm(tx: &mut Tx, number: u32, arm: &Arm) -> Result<()> {
    let (doc, moving) = (text(arm)?, text(&arm.moving())?);
    on_tx!(tx, t => sqlx::query(PUT_ARM).bind(i64::from(number)).bind(&arm.service).bind(&arm.version).bind(doc)
        .bind(moving).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

/// What changes with every prediction of a version.
pub(super) async fn move_arm(tx: &mut Tx, number: u32, moving: &Moving) -> Result<()> {
    let moving = text(moving)?;
    on_tx!(tx, t => sqlx::query(MOVE_ARM).bind(i64::from(number)).bind(moving).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// Rows of a first window, from a place on.
pub(super) async fn put_first(tx: &mut Tx, arm: u32, row: usize, part: &FirstPart) -> Result<()> {
    let doc = deflated(part)?;
    let row = i64::try_from(row).unwrap_or(i64::MAX);
    on_tx!(tx, t => sqlx::query(PUT_FIRST).bind(i64::from(arm)).bind(row).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

/// It is full, and the references that it gave are kept.
pub(super) async fn forget_first(tx: &mut Tx, arm: u32) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FORGET_FIRST).bind(i64::from(arm)).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// A row of the journal as it lies there.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub seq: i64,
    pub arrived: i64,
    /// 0 predictions, 1 labels.
    pub kind: i64,
    /// See [`super::journal`].
    pub body: Vec<u8>,
}

pub(super) async fn append(tx: &mut Tx, row: Row, count: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(APPEND).bind(row.seq).bind(row.arrived).bind(count).bind(row.kind).bind(row.body)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

/// The next rows after one.
pub(super) async fn journal(pool: &Pool, after: i64) -> Result<Vec<Row>> {
    let rows: Vec<(i64, i64, i64, Vec<u8>)> =
        on_db!(pool, p => sqlx::query_as(JOURNAL).bind(after).fetch_all(p).await).map_err(fault)?;
    Ok(rows.into_iter().map(|(seq, arrived, kind, body)| Row { seq, arrived, kind, body }).collect())
}

/// Number, events and bytes of each row, newest first.
pub(super) async fn sizes(pool: &Pool) -> Result<Vec<(i64, i64, i64)>> {
    on_db!(pool, p => sqlx::query_as(SIZES).fetch_all(p).await).map_err(fault)
}

pub(super) async fn forget(tx: &mut Tx, up_to: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(FORGET).bind(up_to).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Newest row, events and bytes of what arrived before a moment.
pub(super) async fn events_before(pool: &Pool, before: i64) -> Result<(i64, i64, i64)> {
    on_db!(pool, p => sqlx::query_as(EVENTS_BEFORE).bind(before).fetch_one(p).await).map_err(fault)
}

/// Number and bytes of the cells that end before a minute.
pub(super) async fn cells_before(pool: &Pool, minute: i64) -> Result<(i64, i64)> {
    on_db!(pool, p => sqlx::query_as(CELLS_BEFORE).bind(minute).fetch_one(p).await).map_err(fault)
}

pub(super) async fn remove_cells_before(tx: &mut Tx, minute: i64) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_CELLS_BEFORE).bind(minute).execute(&mut *t).await.map(drop)).map_err(fault)
}

/// Puts what is left of a row in its place.
pub(super) async fn rewrite(tx: &mut Tx, seq: i64, count: i64, body: &[u8]) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REWRITE).bind(seq).bind(count).bind(body).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn remove_slice(tx: &mut Tx, slice: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REMOVE_SLICE).bind(slice).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn newest(pool: &Pool) -> Result<i64> {
    on_db!(pool, p => sqlx::query_scalar(NEWEST).fetch_one(p).await).map_err(fault)
}

/// How far the journal is counted, and up to where it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Position {
    #[serde(default)]
    pub odd: Oddities,
    #[serde(default)]
    pub forgotten: i64,
    /// Events that were taken out of the journal because they were a person's.
    #[serde(default)]
    pub erased: u64,
}

pub(super) async fn position(pool: &Pool) -> Result<(i64, Position)> {
    let row: Option<(i64, String)> =
        on_db!(pool, p => sqlx::query_as(POSITION).fetch_optional(p).await).map_err(fault)?;
    let Some((seq, doc)) = row else { return Ok((0, Position::default())) };
    Ok((seq, serde_json::from_slice(doc.as_bytes()).map_err(|e| damaged("position", &e))?))
}

pub(super) async fn put_position(tx: &mut Tx, seq: i64, position: &Position) -> Result<()> {
    let doc = text(position)?;
    on_tx!(tx, t => sqlx::query(PUT_POSITION).bind(seq).bind(doc).execute(&mut *t).await.map(drop)).map_err(fault)
}

fn deflated(doc: &impl serde::Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(doc).map_err(|e| Fault::bug("cell").why(e.to_string()))?;
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&json).and_then(|()| packer.finish()).map_err(|e| Fault::bug("cell").why(e.to_string()))
}

/// How a cell of the newer form begins: older ones are deflated JSON.
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A cell as it is before it is packed.
const CELL_BYTES_MAX: usize = 64 << 20;

fn packed(cell: &Cell) -> Result<Vec<u8>> {
    zstd::bulk::compress(&packed::write(cell), 1).map_err(|e| Fault::bug("cell").why(e.to_string()))
}

/// Reads a cell, or a part of it, of either form.
fn unpacked<T: serde::de::DeserializeOwned>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
    if !bytes.starts_with(&PACKED) {
        return serde_json::from_slice(&inflated(bytes)?).map_err(|e| damaged("cells", &e));
    }
    let mut plain = Vec::new();
    let unpacked = zstd::Decoder::new(bytes).and_then(|d| d.take(CELL_BYTES_MAX as u64).read_to_end(&mut plain));
    unpacked.map_err(|e| damaged("cells", &e))?;
    read(&plain).ok_or_else(|| damaged("cells", &"it breaks off"))
}

fn inflated(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut json).map_err(|e| damaged("cells", &e))?;
    Ok(json)
}

/// Minutes that a cell covers.
pub(super) const MINUTE: i64 = 1;
pub(super) const HOUR: i64 = 60;

/// Adds to a cell.
pub(super) async fn add_cell(
    tx: &mut Tx,
    (arm, slice, minute, span): (u32, &str, i64, i64),
    cell: &Cell,
) -> Result<()> {
    let known = cell_of(tx, (arm, slice, minute, span)).await?;
    let sum = match known {
        Some(mut known) => {
            known.merge(cell);
            packed(&known)?
        }
        None => packed(cell)?,
    };
    on_tx!(tx, t => sqlx::query(PUT_CELL).bind(i64::from(arm)).bind(slice).bind(minute).bind(span).bind(sum)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

async fn cell_of(tx: &mut Tx, (arm, slice, minute, span): (u32, &str, i64, i64)) -> Result<Option<Cell>> {
    let doc: Option<Vec<u8>> = on_tx!(tx, t => sqlx::query_scalar(CELL).bind(i64::from(arm)).bind(slice).bind(minute)
        .bind(span).fetch_optional(&mut *t).await)
    .map_err(fault)?;
    doc.map(|bytes| unpacked(&bytes, packed::read)).transpose()
}

/// A cell with its place.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub slice: String,
    pub minute: i64,
    pub span: i64,
    pub cell: Cell,
}

/// What was counted of all predictions in [from, to) beside their columns, which are not even read.
pub(super) async fn tallies(pool: &Pool, arm: u32, from: i64, to: i64) -> Result<Vec<(i64, i64, Tally)>> {
    #[derive(serde::Deserialize)]
    struct Bare {
        tally: Tally,
    }
    let rows: Vec<(String, i64, i64, Vec<u8>)> =
        on_db!(pool, p => sqlx::query_as(CELLS).bind(i64::from(arm)).bind(from)
        .bind(to).bind(0_i64).bind("").fetch_all(p).await)
        .map_err(fault)?;
    let read = |(_, minute, span, doc): (String, i64, i64, Vec<u8>)| {
        let bare = unpacked(&doc, |bytes| packed::read_tally(bytes).map(|tally| Bare { tally }))?;
        Ok((minute, span, bare.tally))
    };
    rows.into_iter().map(read).collect()
}

/// Cells that begin in [from, to), of one slice or of all.
pub(super) async fn cells(pool: &Pool, arm: u32, from: i64, to: i64, slice: Option<&str>) -> Result<Vec<Placed>> {
    let rows: Vec<(String, i64, i64, Vec<u8>)> =
        on_db!(pool, p => sqlx::query_as(CELLS).bind(i64::from(arm)).bind(from)
        .bind(to).bind(i64::from(slice.is_none())).bind(slice.unwrap_or_default()).fetch_all(p).await)
        .map_err(fault)?;
    let placed = |(slice, minute, span, doc): (String, i64, i64, Vec<u8>)| {
        Ok(Placed { slice, minute, span, cell: unpacked(&doc, packed::read)? })
    };
    rows.into_iter().map(placed).collect()
}

/// Minutes that are put together to hours in one turn of the writer, at about this many it stops.
const ROLLED_MAX: usize = 10_000;

/// Whether there is a minute before another one.
pub(super) async fn has_minutes(pool: &Pool, before: i64) -> Result<bool> {
    let oldest: Option<i64> =
        on_db!(pool, p => sqlx::query_scalar(OLDEST).bind(before).fetch_one(p).await).map_err(fault)?;
    Ok(oldest.is_some())
}

/// Puts minutes that ended long ago together to hours, the oldest first, as many as there is time for.
pub(super) async fn roll_up(tx: &mut Tx, before: i64) -> Result<()> {
    let mut rolled = 0;
    while rolled < ROLLED_MAX {
        let oldest: Option<i64> =
            on_tx!(tx, t => sqlx::query_scalar(OLDEST).bind(before).fetch_one(&mut *t).await).map_err(fault)?;
        let Some(oldest) = oldest else { return Ok(()) };
        rolled += roll_up_hour(tx, oldest.div_euclid(HOUR) * HOUR).await?;
    }
    Ok(())
}

/// Those of one version and slice at once, since reading and writing an hour is what costs. Answers how many minutes there were.
async fn roll_up_hour(tx: &mut Tx, hour: i64) -> Result<usize> {
    let old: Vec<(i64, String, i64)> =
        on_tx!(tx, t => sqlx::query_as(OLD).bind(hour).bind(hour + HOUR).fetch_all(&mut *t).await).map_err(fault)?;
    for minutes in old.chunk_by(|a, b| (a.0, &a.1) == (b.0, &b.1)) {
        let Some((arm, slice, _)) = minutes.first() else { continue };
        let number = u32::try_from(*arm).unwrap_or(u32::MAX);
        let mut sum = Cell::default();
        for (_, _, minute) in minutes {
            if let Some(cell) = cell_of(tx, (number, slice, *minute, MINUTE)).await? {
                sum.merge(&cell);
            }
            on_tx!(tx, t => sqlx::query(REMOVE_CELL).bind(*arm).bind(slice).bind(*minute).bind(MINUTE).execute(&mut *t)
                .await.map(drop))
            .map_err(fault)?;
        }
        add_cell(tx, (number, slice, hour, HOUR), &sum).await?;
    }
    Ok(old.len())
}
