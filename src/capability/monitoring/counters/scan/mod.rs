//! Reads an event straight from its bytes into [`Rows`]. It takes only what it is sure of; any other line is left to the
//! parser that can say what is wrong with it, so that the two never differ in what they take.
//!
//! Lines of one body are mostly alike: a name that stands where it stood in the line before, with what is around it, is
//! recognized by a comparison of its bytes.

mod order;
#[cfg(test)]
mod tests;
mod value;

use order::Order;

use super::rows::{Part, Row, Rows, Scored};
use super::words::Bits;

/// Reads the lines of one body.
pub struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// What the names of an event mean.
    members: Order<'a, u16>,
    /// Keys of features, and the shape that all of them are.
    features: Order<'a, u32>,
    shape: Option<u32>,
    /// In which unlike line a key came last, and the number of this one.
    came: Vec<u32>,
    line: u32,
    /// Names of slices, with the numbers of their words' slices from 1 on.
    slices: Order<'a, (&'a str, Vec<u32>)>,
    /// Of the line before.
    named: Option<(Named<'a>, u32)>,
}

impl<'a> Scan<'a> {
    pub fn new(body: &'a str) -> Self {
        Self {
            text: body,
            bytes: body.as_bytes(),
            at: 0,
            members: Order::default(),
            features: Order::default(),
            shape: None,
            came: Vec::new(),
            line: 0,
            slices: Order::default(),
            named: None,
        }
    }

    /// Takes the event that begins here, and says where its line ends; `None`: whoever reads it must look closer.
    pub fn event(&mut self, rows: &mut Rows, from: usize) -> Option<(Row, usize)> {
        self.at = from;
        let row = self.row(rows)?;
        self.space();
        matches!(self.peek(), None | Some(b'\n')).then_some((row, self.at))
    }
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
#[derive(Clone, Copy, Default, PartialEq)]
struct Named<'a> {
    service: &'a str,
    version: Option<&'a str>,
    model: Option<&'a str>,
}

impl<'a> Scan<'a> {
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a byte
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // mostly there is none
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    fn is(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The name of the next member of an object, up to its value; no name: the object ends.
    #[allow(clippy::option_option)] // sure of it or not, and there or not
    fn member(&mut self, first: bool) -> Option<Option<&'a str>> {
        self.space();
        if self.is(b'}').is_some() {
            return Some(None);
        }
        if !first {
            self.is(b',')?;
            self.space();
        }
        let name = self.plain()?;
        self.space();
        self.is(b':')?;
        self.space();
        Some(Some(name))
    }

    fn row(&mut self, rows: &mut Rows) -> Option<Row> {
        self.is(b'{')?;
        let (mut row, mut named, mut seen) = (Row::default(), Named::default(), 0_u16);
        for nth in 0.. {
            let which = if let Some(which) = self.members.next(nth, self.bytes, &mut self.at) {
                *which
            } else {
                let from = self.at;
                let Some(name) = self.member(nth == 0)? else { break };
                let which = field_of(name);
                self.members.learn(nth, &self.bytes[from..self.at], which);
                which
            };
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
                field::FEATURES => (row.shape, row.features) = self.features(rows)?,
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
        }
        row.who = self.who(rows, named);
        (seen & field::NEEDED == field::NEEDED).then_some(row)
    }

    fn who(&mut self, rows: &mut Rows, named: Named<'a>) -> u32 {
        if let Some((known, who)) = self.named
            && known == named
        {
            return who;
        }
        let who = rows.who(named.service, named.version, named.model);
        self.named = Some((named, who));
        who
    }

    /// Their shape, and where their cells begin.
    fn features(&mut self, rows: &mut Rows) -> Option<(u32, u32)> {
        let from = u32::try_from(rows.cells.len()).ok()?;
        self.is(b'{')?;
        let mut nth = 0;
        while self.features.next(nth, self.bytes, &mut self.at).is_some() {
            self.cell(rows)?;
            nth += 1;
        }
        if let Some(shape) = self.shape.filter(|_| nth == self.features.len())
            && self.is(b'}').is_some()
        {
            return Some((shape, from));
        }
        self.unlike(rows, nth).map(|shape| (shape, from))
    }

    /// The rest of features that are not those of the line before.
    fn unlike(&mut self, rows: &mut Rows, nth: usize) -> Option<u32> {
        self.shape = None;
        self.features.cut(nth);
        self.line += 1;
        for key in self.features.all() {
            first_in_line(&mut self.came, *key, self.line);
        }
        for nth in nth.. {
            let from = self.at;
            let Some(name) = self.member(nth == 0)? else { break };
            let key = rows.keys.number(name);
            if !first_in_line(&mut self.came, key, self.line) {
                return None;
            }
            self.features.learn(nth, &self.bytes[from..self.at], key);
            self.cell(rows)?;
        }
        let keys: Vec<u32> = self.features.all().copied().collect();
        self.shape = Some(rows.shape(&keys));
        self.shape
    }

    fn score(&mut self, rows: &mut Rows) -> Option<Scored> {
        if self.peek()? != b'{' {
            return Some(self.number_or_null(rows)?.map_or(Scored::None, Scored::Positive));
        }
        let all: std::collections::BTreeMap<String, f64> = serde_json::from_slice(self.skipped()?.as_bytes()).ok()?;
        Some(rows.put_classes(all.iter().map(|(class, x)| (class.as_str(), *x))))
    }

    fn slices(&mut self, rows: &mut Rows) -> Option<Part> {
        let from = rows.slice_of.len();
        self.is(b'{')?;
        for nth in 0..=SLICES_MAX {
            if self.slices.next(nth, self.bytes, &mut self.at).is_none() {
                let begin = self.at;
                let Some(name) = self.member(nth == 0)? else { return Some(rows.slices_since(from)) };
                // The same name twice is not told apart here.
                if self.slices.all().take(nth).any(|(known, _)| *known == name) {
                    return None;
                }
                self.slices.learn(nth, &self.bytes[begin..self.at], (name, Vec::new()));
            }
            let begin = self.at + 1;
            let value = self.plain()?;
            let word = Bits::at(self.bytes, begin, value.len()).and_then(|bits| rows.words.number_of(bits, value));
            let (name, numbers) = self.slices.at(nth)?;
            put_slice(rows, name, value, word, numbers);
        }
        None
    }
}

/// Notes that a key came; `false`: it did before in this line.
fn first_in_line(came: &mut Vec<u32>, key: u32, line: u32) -> bool {
    let key = key as usize;
    if key >= came.len() {
        came.resize(key + 64, 0);
    }
    std::mem::replace(&mut came[key], line) != line
}

/// Slices of an event; more are left to whoever says that they are too many.
const SLICES_MAX: usize = 16;

/// A slice whose number is found by that of its value, where the value is a word.
fn put_slice(rows: &mut Rows, name: &str, value: &str, word: Option<u32>, numbers: &mut Vec<u32>) {
    let Some(word) = word else {
        rows.put_slice(name, value);
        return;
    };
    let word = word as usize;
    if word >= numbers.len() {
        numbers.resize(word + 64, 0);
    }
    if numbers[word] == 0 {
        numbers[word] = rows.put_slice(name, value) + 1;
    } else {
        rows.slice_of.push(numbers[word] - 1);
    }
}

/// 64 bits of some bytes, quickly: two products at a time, which do not wait for each other. Half of them is kept in the journal.
fn print(seed: u64, bytes: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        #[allow(clippy::cast_possible_truncation)] // the two halves
        let halves = (product as u64) ^ ((product >> 64) as u64);
        halves
    };
    let word =
        |words: &[u8; 32], nth: usize| words.as_chunks::<8>().0.get(nth).map_or(0, |word| u64::from_le_bytes(*word));
    let mut a = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64;
    let mut b = a ^ 0x5895_89a1_8b1d_35c3;
    let mut take = |words: &[u8; 32]| {
        a = fold(word(words, 0) ^ 0xa076_1d64_78bd_642f ^ a, word(words, 1) ^ 0xe703_7ed1_a0b4_28db);
        b = fold(word(words, 2) ^ 0x8ebc_6af0_9c88_c6e3 ^ b, word(words, 3) ^ 0x1d8e_4e27_c47d_124f);
    };
    let (whole, rest) = bytes.as_chunks::<32>();
    whole.iter().for_each(&mut take);
    let mut last = [0_u8; 32];
    last[..rest.len()].copy_from_slice(rest);
    take(&last);
    fold(a ^ 0x8ebc_6af0_9c88_c6e3, b ^ 0xe703_7ed1_a0b4_28db)
}
