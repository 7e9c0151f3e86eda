//! The counter kernel alone: values that were read, counted into the bins of their columns. 14 columns of numbers and 6 of
//! texts, as `benches/peers/watch.py` has them, which tells the same of whylogs with `--kernel`. Short texts have become numbers when
//! they were read, which is no part of it; what such a number means in a column is found out anew for every body of 5,000 rows.
//!
//!     cargo bench --bench kernel

use std::time::Duration;

use opsroom::base::Timestamp;
use opsroom::capability::datasets::profile::{CategoryTally, Counts, NumberTally};
use opsroom::capability::monitoring::counters::{ArmColumn, FIRST_WINDOW_ROWS, Found, Rows, parse_predictions};

const ROWS: usize = 50_000;
/// Rows that are counted a column at a time, as the counters do it.
const TILE: usize = 64;
/// Rows of a body.
const BATCH: usize = 5_000;
const ROUNDS: usize = 20;
const NUMBERS: usize = 14;
const TEXTS: usize = 6;

fn main() {
    let body = lines();
    let rows = parse_predictions(body.as_bytes(), Timestamp(1 << 50)).map(|parsed| parsed.events);
    let rows = match rows {
        Ok(rows) if rows.len() == ROWS => rows,
        other => panic!("the rows were not read: {:?}", other.map(|rows| rows.len())),
    };
    let columns: Vec<ArmColumn> = (0..NUMBERS + TEXTS).map(|place| column(&rows, place)).collect();
    let mut counts: Vec<(Counts, Found)> = columns.iter().map(|c| (c.reference.empty(), Found::default())).collect();
    let mut values = Vec::with_capacity(TILE);
    let begin = cpu();
    for batch in (0..ROUNDS).flat_map(|_| rows.all.chunks(BATCH)) {
        counts.iter_mut().for_each(|(_, found)| found.begin(rows.words.len()));
        for tile in batch.chunks(TILE) {
            for (place, (column, (counts, found))) in columns.iter().zip(&mut counts).enumerate() {
                values.clear();
                values.extend(tile.iter().map(|row| rows.cells[row.features as usize + place]));
                column.count(counts, &rows, &values, found);
            }
        }
    }
    let spent = cpu().saturating_sub(begin);
    let counted = counts.iter().map(|(c, _)| c.n).sum::<u64>();
    assert_eq!(counted, (ROWS * ROUNDS * columns.len()) as u64, "every cell counts once");
    println!(
        "{:.0} cells a CPU second, {:.1} ns a cell",
        counted as f64 / spent.as_secs_f64(),
        spent.as_secs_f64() * 1e9 / counted as f64
    );
}

/// CPU time of this process.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// A column held against the first rows, as a version without training data is.
fn column(rows: &Rows, place: usize) -> ArmColumn {
    let first = rows.all.iter().take(FIRST_WINDOW_ROWS).map(|row| rows.cells[row.features as usize + place]);
    let name = rows.keys.name(u32::try_from(place).unwrap_or_default()).to_owned();
    let (reference, counts) = if place < NUMBERS {
        let mut tally = NumberTally::default();
        first.filter_map(|value| rows.number(value)).for_each(|x| tally.add(x));
        let (reference, counted) = tally.finish(None);
        let counts = counted.map_or_else(|| reference.empty(), |(counts, _)| counts);
        (reference, counts)
    } else {
        let mut tally = CategoryTally::default();
        first.for_each(|value| rows.category(value).iter().for_each(|text| tally.add(text.as_bytes(), 1)));
        let (reference, counts, _) = tally.finish(None);
        (reference, counts)
    };
    ArmColumn::new(name, "first window".to_owned(), reference, counts)
}

/// Predictions as lines of JSON, always the same.
fn lines() -> String {
    let mut state = 7_u64;
    let mut dice = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut lines = String::new();
    for id in 0..ROWS {
        let mut features = Vec::new();
        for i in 0..10 {
            // Of twelve dice, nearly normal.
            let normal = (0..12).map(|_| dice()).sum::<f64>() - 6.0;
            features.push(format!("\"n{i}\": {:.4}", normal * f64::from(i + 1)));
        }
        for i in 0..4 {
            features.push(format!("\"i{i}\": {:.0}", (dice() * 10_f64.powi(i + 1)).floor()));
        }
        for i in 0..TEXTS {
            let nth = (-(1.0 - dice()).ln() * 5.0 * (i + 1) as f64).floor().min(400.0);
            features.push(format!("\"t{i}\": \"v{nth:.0}\""));
        }
        let features = features.join(", ");
        lines.push_str(&format!(
            "{{\"id\": \"p{id}\", \"service\": \"bench\", \"version\": \"1\", \"features\": {{{features}}}, \"prediction\": 1}}\n"
        ));
    }
    lines
}
