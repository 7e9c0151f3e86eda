//! Reads an event straight from its bytes into [`Rows`]. It takes only what it is sure of; any other line is left to the
//! parser that can say what is wrong with it, so that the two never differ in what they take.

#[cfg(test)]
mod tests;
mod value;

use super::rows::{Part, Row, Rows, Scored};

/// Takes the event that begins here, and says where its line ends; `None`: whoever reads it must look closer.
pub fn event(rows: &mut Rows, body: &str, from: usize) -> Option<(Row, usize)> {
    let mut scan = Scan { text: body, bytes: body.as_bytes(), at: from };
    let row = scan.row(rows)?;
    while let Some(b' ' | b'\t' | b'\r') = scan.peek() {
        scan.at += 1;
    }
    matches!(scan.peek(), None | Some(b'\n')).then_some((row, scan.at))
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// What a row must have, and may have once.
mod field {
    pub const ID: u16 = 1;
    pub const SERVICE: u16 = 1 << 1;
    pub const MODEL: u16 = 1 << 2;
    pub const VERSION: u16 = 1 << 3;
    pub const TIME: u16 = 1 << 4;
    pub const FEATURES: u16 = 1 << 5;
    pub const PREDICTION: u16 = 1 << 6;
    pub const SCORE: u16 = 1 << 7;
    pub const LATENCY: u16 = 1 << 8;
    pub const ERROR: u16 = 1 << 9;
    pub const SLICES: u16 = 1 << 10;
    pub const BATCH: u16 = 1 << 11;
    pub const USAGE: u16 = 1 << 12;
    pub const NEEDED: u16 = ID | SERVICE | PREDICTION;
}

fn field_of(name: &str) -> u16 {
    match name {
        "id" => field::ID,
        "service" => field::SERVICE,
        "model" => field::MODEL,
        "version" => field::VERSION,
        "time" => field::TIME,
        "features" => field::FEATURES,
        "prediction" => field::PREDICTION,
        "score" => field::SCORE,
        "latency_ms" => field::LATENCY,
        "error" => field::ERROR,
        "slices" => field::SLICES,
        "batch" => field::BATCH,
        "usage" => field::USAGE,
        _ => 0,
    }
}

/// What becomes a number of the body's versions when all of it is known.
#[derive(Default)]
struct Named<'a> {
    service: &'a str,
    version: Option<&'a str>,
    model: Option<&'a str>,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn is(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether another member follows, or the end.
    fn more(&mut self, end: u8) -> Option<bool> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            _ if byte == end => Some(false),
            _ => None,
        }
    }

    /// The name of a member, up to its value.
    fn name(&mut self) -> Option<&'a str> {
        self.space();
        let name = self.plain()?;
        self.space();
        self.is(b':')?;
        self.space();
        Some(name)
    }

    fn row(&mut self, rows: &mut Rows) -> Option<Row> {
        self.is(b'{')?;
        let (mut row, mut named, mut seen) = (Row::default(), Named::default(), 0_u16);
        loop {
            let name = self.name()?;
            let which = field_of(name);
            if seen & which != 0 {
                return None;
            }
            seen |= which;
            let from = self.at;
            match which {
                field::ID => row.id = self.string(rows)?,
                field::SERVICE => named.service = self.plain()?,
                field::MODEL => named.model = self.plain_or_null()?,
                field::VERSION => named.version = self.plain_or_null()?,
                field::TIME => row.time = self.time()?,
                field::FEATURES => row.features = self.features(rows)?,
                field::PREDICTION => row.said = self.value(rows)?,
                field::SCORE => row.score = self.score(rows)?,
                field::LATENCY => row.latency_ms = self.number_or_null(rows)?,
                field::ERROR => row.failed = self.plain_or_null()?.is_some(),
                field::SLICES => row.slices = self.slices(rows)?,
                field::BATCH => row.batch = self.plain_or_null()?.map(|batch| rows.put(batch)),
                field::USAGE => row.usage = serde_json::from_slice(self.skipped()?.as_bytes()).ok()?,
                _ => drop(self.skipped()?),
            }
            if which & (field::PREDICTION | field::SCORE | field::FEATURES) != 0 {
                // In whatever order they came.
                row.print ^= print(u64::from(which), &self.bytes[from..self.at]);
            }
            if !self.more(b'}')? {
                break;
            }
        }
        row.who = rows.who(named.service, named.version, named.model);
        (seen & field::NEEDED == field::NEEDED).then_some(row)
    }

    fn features(&mut self, rows: &mut Rows) -> Option<Part> {
        let from = rows.cells.len();
        self.is(b'{')?;
        self.space();
        if self.is(b'}').is_some() {
            return Some(Part::default());
        }
        let mut before = None;
        loop {
            let name = self.name()?;
            let key = rows.key_after(before, name);
            if !rows.first_in_line(key) {
                return None;
            }
            before = Some(key);
            let value = self.value(rows)?;
            rows.cells.push((key, value));
            if !self.more(b'}')? {
                return Some(rows.since(from));
            }
        }
    }

    fn score(&mut self, rows: &mut Rows) -> Option<Scored> {
        if self.peek()? != b'{' {
            return Some(self.number_or_null(rows)?.map_or(Scored::None, Scored::Positive));
        }
        let all: std::collections::BTreeMap<String, f64> = serde_json::from_slice(self.skipped()?.as_bytes()).ok()?;
        Some(rows.classes(all.iter().map(|(class, x)| (class.as_str(), *x))))
    }

    fn slices(&mut self, rows: &mut Rows) -> Option<Part> {
        let from = rows.slice_of.len();
        self.is(b'{')?;
        self.space();
        if self.is(b'}').is_some() {
            return Some(Part::default());
        }
        let mut names: [&str; 16] = [""; 16];
        for nth in 0.. {
            let name = self.name()?;
            // The same name twice, or too many, are not told apart here.
            *names.get_mut(nth)? = name;
            if names[..nth].contains(&name) {
                return None;
            }
            let value = self.plain()?;
            rows.put_slice(name, value);
            if !self.more(b'}')? {
                break;
            }
        }
        Some(Part { from: u32::try_from(from).ok()?, len: u32::try_from(rows.slice_of.len() - from).ok()? })
    }
}

/// 64 bits of some bytes, quickly; they are kept in memory only.
fn print(seed: u64, bytes: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        #[allow(clippy::cast_possible_truncation)] // the two halves
        let halves = (product as u64) ^ ((product >> 64) as u64);
        halves
    };
    let mut h = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64;
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        let (a, b) = pair.split_at(8);
        let word = |w: &[u8]| u64::from_le_bytes(w.try_into().unwrap_or_default());
        h = fold(word(a) ^ 0xa076_1d64_78bd_642f ^ h, word(b) ^ 0xe703_7ed1_a0b4_28db);
    }
    let mut last = [0_u8; 16];
    last[..rest.len()].copy_from_slice(rest);
    let word = |w: &[u8]| u64::from_le_bytes(w.try_into().unwrap_or_default());
    h = fold(word(&last[..8]) ^ 0xa076_1d64_78bd_642f ^ h, word(&last[8..]) ^ 0xe703_7ed1_a0b4_28db ^ h);
    fold(h ^ 0x8ebc_6af0_9c88_c6e3, 0x5895_89a1_8b1d_35c3)
}
