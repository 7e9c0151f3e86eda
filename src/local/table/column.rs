//! One column while its table is read: what it holds is decided by what comes.

use compact_str::CompactString;

use crate::base::Timestamp;
use crate::capability::datasets::profile::{CategoryTally, Column, Counts, Kind, NumberTally, Reference};

/// What a file format says of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    Integer,
    Number,
    Boolean,
    Text,
    Time,
}

impl Hint {
    fn kind(self) -> Kind {
        match self {
            Self::Integer => Kind::Integer,
            Self::Number => Kind::Number,
            Self::Boolean => Kind::Boolean,
            Self::Text => Kind::Text,
            Self::Time => Kind::Time,
        }
    }
}

/// A value on its way.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Number(f64),
    Text(&'a [u8]),
    /// Text of a format that does not say what it means.
    Raw(&'a [u8]),
    Missing,
}

/// A cell as text.
pub fn text(cell: Cell<'_>, hint: Option<Hint>) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(bytes) | Cell::Raw(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        #[allow(clippy::cast_possible_truncation)] // microseconds of a time
        Cell::Number(micros) if hint == Some(Hint::Time) => Timestamp(micros as i64).to_string(),
        Cell::Number(x) if x.is_nan() => String::new(),
        Cell::Number(x) => x.to_string(),
    }
}

/// What pandas reads as missing, so that both count the same.
const MISSING: &[&[u8]] = &[
    b"",
    b"NA",
    b"NaN",
    b"nan",
    b"null",
    b"NULL",
    b"None",
    b"N/A",
    b"n/a",
    b"#N/A",
    b"<NA>",
    b"#NA",
    b"-NaN",
    b"-nan",
    b"#N/A N/A",
    b"-1.#IND",
    b"1.#IND",
    b"1.#QNAN",
    b"-1.#QNAN",
];

fn is_missing(text: &[u8]) -> bool {
    // Most values begin like none of them.
    text.first().is_none_or(|b| b"Nn#<-1".contains(b)) && MISSING.contains(&text)
}

fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[derive(Debug)]
enum Tally {
    Numbers(NumberTally),
    Text(CategoryTally),
}

/// A column as it is read.
#[derive(Debug)]
pub struct State {
    name: String,
    hint: Option<Hint>,
    tally: Tally,
    numbers: u64,
    integers: bool,
    /// Text came after numbers: the numbers before have to be read once more, as text.
    spoilt: bool,
    done: bool,
}

impl State {
    pub fn new(name: &str, hint: Option<Hint>) -> Self {
        let text = matches!(hint, Some(Hint::Text | Hint::Boolean));
        let tally = if text { Tally::Text(CategoryTally::default()) } else { Tally::Numbers(NumberTally::default()) };
        Self { name: name.to_owned(), hint, tally, numbers: 0, integers: true, spoilt: false, done: false }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn wants(&self) -> bool {
        !self.done
    }

    /// Before a further reading: whether this column needs it.
    pub fn restart(&mut self) -> bool {
        self.done = !self.spoilt;
        if self.spoilt {
            self.spoilt = false;
            self.tally = Tally::Text(CategoryTally::default());
        }
        !self.done
    }

    pub fn add(&mut self, cell: Cell<'_>) {
        if self.done || self.spoilt {
            return;
        }
        match (cell, &mut self.tally) {
            (Cell::Number(x), Tally::Numbers(tally)) => tally.add(x),
            (Cell::Number(x), Tally::Text(tally)) => tally.add(x.to_string().as_bytes(), 1),
            (Cell::Missing, Tally::Numbers(tally)) => tally.missing += 1,
            (Cell::Missing, Tally::Text(tally)) => tally.missing += 1,
            (Cell::Text(text), Tally::Text(tally)) => tally.add(text, 1),
            (Cell::Raw(text), Tally::Text(tally)) if is_missing(text) => tally.missing += 1,
            (Cell::Raw(text), Tally::Text(tally)) => tally.add(text, 1),
            (Cell::Raw(text) | Cell::Text(text), Tally::Numbers(tally)) => {
                if is_missing(text) {
                    tally.missing += 1;
                } else if let Some(x) = number(text) {
                    self.numbers += 1;
                    self.integers &= text.iter().all(|b| b.is_ascii_digit() || b"+- ".contains(b));
                    tally.add(x);
                } else if self.numbers == 0 {
                    let mut categories = CategoryTally::default();
                    categories.missing = tally.missing;
                    categories.add(text, 1);
                    self.tally = Tally::Text(categories);
                } else {
                    self.spoilt = true;
                }
            }
        }
    }

    pub fn finish(self, baseline: Option<&Reference>) -> Finished<'_> {
        let hinted = self.hint.map(Hint::kind);
        match self.tally {
            Tally::Numbers(tally) => {
                let kind =
                    hinted.unwrap_or(if self.integers && self.numbers > 0 { Kind::Integer } else { Kind::Number });
                let (reference, counts) = tally.finish(baseline);
                Finished { name: self.name, kind, reference, counts, baseline }
            }
            Tally::Text(tally) => {
                let (reference, counts, beside) = tally.finish(baseline);
                let kind = hinted.unwrap_or_else(|| if is_boolean(&reference) { Kind::Boolean } else { Kind::Text });
                Finished { name: self.name, kind, reference, counts: Some((counts, beside)), baseline }
            }
        }
    }
}

fn is_boolean(reference: &Reference) -> bool {
    let Reference::Categories(bins) = reference else { return false };
    let truth = |c: &CompactString| matches!(c.to_ascii_lowercase().as_str(), "true" | "false");
    !bins.top.is_empty() && bins.top.iter().all(truth)
}

/// A column whose bins are known.
#[derive(Debug)]
pub struct Finished<'a> {
    name: String,
    kind: Kind,
    reference: Reference,
    /// In its own bins and in the baseline's; `None`: still to be counted.
    pub counts: Option<(Counts, Option<Counts>)>,
    baseline: Option<&'a Reference>,
}

impl Finished<'_> {
    pub fn counting(&self) -> Counting {
        Counting {
            own: (self.reference.clone(), self.reference.empty()),
            beside: self.baseline.map(|b| (b.clone(), b.empty())),
            needed: self.counts.is_none(),
        }
    }

    pub fn take(&mut self, counts: (Counts, Option<Counts>)) {
        if self.counts.is_none() {
            self.counts = Some(counts);
        }
    }

    pub fn column(self) -> Column {
        let (counts, beside) = self.counts.unwrap_or_default();
        Column::new(&self.name, self.kind, self.reference, counts, beside)
    }
}

/// Counts numbers in bins that are known: columns too long to keep.
pub struct Counting {
    own: (Reference, Counts),
    beside: Option<(Reference, Counts)>,
    needed: bool,
}

impl Counting {
    pub fn add(&mut self, cell: &Cell<'_>) {
        if !self.needed {
            return;
        }
        let x = match cell {
            Cell::Number(x) => *x,
            Cell::Raw(text) | Cell::Text(text) => number(text).filter(|_| !is_missing(text)).unwrap_or(f64::NAN),
            Cell::Missing => f64::NAN,
        };
        for (reference, counts) in std::iter::once(&mut self.own).chain(&mut self.beside) {
            match reference {
                Reference::Numbers(bins) => counts.add_number(bins, x + 0.0, 1),
                Reference::Categories(_) => {
                    let mut one = reference.counter();
                    one.number(x, 1);
                    counts.merge(&one.counts);
                }
            }
        }
    }

    pub fn counts(self) -> (Counts, Option<Counts>) {
        (self.own.1, self.beside.map(|(_, counts)| counts))
    }
}
