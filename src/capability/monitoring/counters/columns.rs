//! Values by column, as the journal keeps them: whole numbers in as many bits as they span, decimals as whole numbers with a
//! common power of ten, words by their number. No value is changed by it, not by a bit.

use super::bytes::{In, Out};
use super::rows::{Part, Val};

/// What a value is; a column that holds one kind only says it once.
mod kind {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const WHOLE: u8 = 3;
    pub const NEGATIVE: u8 = 4;
    pub const FRACTION: u8 = 5;
    pub const WORD: u8 = 6;
    pub const TEXT: u8 = 7;
    pub const OTHER: u8 = 8;
    pub const MIXED: u8 = 15;
}

/// Powers of ten by which a decimal becomes whole; all are exact.
const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// No power of ten does: the numbers stand as they are.
const PLAIN: u8 = 255;
/// Whole numbers within which a double's product with a power of ten is rounded to the right one.
const EXACT: f64 = (1_u64 << 51) as f64;

/// Writes columns; what a column is put together from is kept for the next one.
#[derive(Default)]
pub(super) struct Writer {
    pub out: Out,
    /// Bytes of texts, which are written apart: they alone may be worth packing.
    pub texts: Vec<u8>,
    kinds: Vec<i64>,
    whole: Vec<i64>,
    fractions: Vec<f64>,
    words: Vec<i64>,
    lengths: Vec<i64>,
}

impl Writer {
    pub fn behind(begun: Vec<u8>) -> Self {
        Self { out: Out(begun), ..Self::default() }
    }

    /// So many values of one column; `text` gives the bytes of those that are texts.
    pub fn column<'t>(&mut self, len: usize, value: impl Fn(usize) -> Val, text: impl Fn(Part) -> &'t str) {
        self.kinds.clear();
        self.whole.clear();
        self.fractions.clear();
        self.words.clear();
        self.lengths.clear();
        let mut first = kind::NULL;
        for nth in 0..len {
            let kind = self.take(value(nth), &text);
            if nth == 0 {
                first = kind;
            }
            if kind != first && self.kinds.is_empty() {
                self.kinds.resize(nth, i64::from(first));
            }
            if kind != first || !self.kinds.is_empty() {
                self.kinds.push(i64::from(kind));
            }
        }
        self.out.0.push(if self.kinds.is_empty() { first } else { kind::MIXED });
        for all in [&self.kinds, &self.whole, &self.words, &self.lengths] {
            block(&mut self.out, all);
        }
        if !self.fractions.is_empty() {
            fractions(&mut self.out, &self.fractions, &mut self.whole);
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    fn take<'t>(&mut self, value: Val, text: &impl Fn(Part) -> &'t str) -> u8 {
        match value {
            Val::Null => kind::NULL,
            Val::Truth(false) => kind::FALSE,
            Val::Truth(true) => kind::TRUE,
            Val::Whole(n) => {
                self.whole.push(n.cast_signed());
                kind::WHOLE
            }
            Val::Negative(n) => {
                self.whole.push(n);
                kind::NEGATIVE
            }
            Val::Fraction(x) => {
                self.fractions.push(x);
                kind::FRACTION
            }
            Val::Word(number) => {
                self.words.push(i64::from(number));
                kind::WORD
            }
            Val::Text(part) | Val::Other(part) => {
                self.texts.extend_from_slice(text(part).as_bytes());
                self.lengths.push(i64::from(part.len));
                if matches!(value, Val::Text(_)) { kind::TEXT } else { kind::OTHER }
            }
        }
    }

    /// Numbers that are no values, such as where something belongs.
    pub fn numbers(&mut self, len: usize, number: impl Fn(usize) -> u32) {
        self.whole.clear();
        for nth in 0..len {
            self.whole.push(i64::from(number(nth)));
        }
        block(&mut self.out, &self.whole);
    }

    /// Texts that mostly begin as the one before them, such as ids: how much of it, and the rest.
    pub fn sequence<'t>(&mut self, all: impl Iterator<Item = &'t str>) {
        let mut before = "";
        for text in all {
            let same = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            self.out.len(same);
            self.out.len(text.len() - same);
            self.out.0.extend_from_slice(&text.as_bytes()[same..]);
            before = text;
        }
    }
}

/// Whole numbers, each in as many bits as the distance of the greatest from the least needs.
fn block(out: &mut Out, all: &[i64]) {
    let Some(first) = all.first() else { return };
    let (mut least, mut most) = (*first, *first);
    for n in all {
        least = least.min(*n);
        most = most.max(*n);
    }
    let distance = |n: i64| n.wrapping_sub(least).cast_unsigned();
    let width = 64 - distance(most).leading_zeros();
    out.signed(i128::from(least));
    #[allow(clippy::cast_possible_truncation)] // at most 64
    out.0.push(width as u8);
    out.0.reserve(all.len() * width as usize / 8 + 8);
    let (mut word, mut used) = (0_u64, 0);
    for n in all {
        let n = distance(*n);
        word |= n << used;
        used += width;
        if used >= 64 {
            out.0.extend_from_slice(&word.to_le_bytes());
            used -= 64;
            // What did not fit in, which is nothing where the number was shifted by none.
            word = if used == 0 { 0 } else { n >> (width - used) };
        }
    }
    out.0.extend_from_slice(&word.to_le_bytes()[..used.div_ceil(8) as usize]);
}

fn read_block(from: &mut In<'_>, len: usize) -> Option<Vec<i64>> {
    if len == 0 {
        return Some(Vec::new());
    }
    let least = from.short()?;
    let width = u32::from(from.byte()?);
    if width > 64 {
        return None;
    }
    let bits = u64::from(width).checked_mul(len as u64)?;
    let bytes = from.bytes(usize::try_from(bits.div_ceil(8)).ok()?)?;
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let mut all = Vec::with_capacity(len);
    let (mut word, mut known, mut rest) = (0_u128, 0, bytes);
    for _ in 0..len {
        while known < width {
            let (byte, others) = rest.split_first()?;
            word |= u128::from(*byte) << known;
            known += 8;
            rest = others;
        }
        #[allow(clippy::cast_possible_truncation)] // masked
        let distance = word as u64 & mask;
        all.push(least.wrapping_add(distance.cast_signed()));
        word >>= width;
        known -= width;
    }
    Some(all)
}

/// The whole number that a decimal is times a power of ten, if exactly this number gives the decimal again.
#[inline(always)]
#[allow(clippy::inline_always)] // once a value
fn whole_of(x: f64, ten: f64) -> Option<i64> {
    let product = x * ten;
    #[allow(clippy::cast_possible_truncation)] // looked at below
    let whole = (product + 0.5_f64.copysign(product)) as i64;
    (product.abs() < EXACT && (whole as f64 / ten).to_bits() == x.to_bits()).then_some(whole)
}

fn fractions(out: &mut Out, all: &[f64], whole: &mut Vec<i64>) {
    // As many digits as the longest has, found on the way.
    for (digits, ten) in (0..).zip(&TENS) {
        whole.clear();
        for x in all {
            let Some(n) = whole_of(*x, *ten) else { break };
            whole.push(n);
        }
        if whole.len() == all.len() {
            out.0.push(digits);
            return block(out, whole);
        }
    }
    out.0.push(PLAIN);
    for x in all {
        out.0.extend_from_slice(&x.to_le_bytes());
    }
}

fn read_fractions(from: &mut In<'_>, len: usize) -> Option<Vec<f64>> {
    if len == 0 {
        return Some(Vec::new());
    }
    let digits = from.byte()?;
    if digits == PLAIN {
        let bytes = from.bytes(len.checked_mul(8)?)?;
        return Some(bytes.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x)).collect());
    }
    let ten = TENS.get(usize::from(digits))?;
    Some(read_block(from, len)?.into_iter().map(|whole| whole as f64 / ten).collect())
}

/// Reads columns again.
pub(super) struct Reader<'a> {
    pub from: In<'a>,
    /// Bytes of texts so far.
    text: u32,
}

impl<'a> Reader<'a> {
    pub fn new(from: In<'a>) -> Self {
        Self { from, text: 0 }
    }

    fn part(&mut self, len: i64) -> Option<Part> {
        let part = Part { from: self.text, len: u32::try_from(len).ok()? };
        self.text = part.from.checked_add(part.len)?;
        Some(part)
    }

    pub fn column(&mut self, len: usize) -> Option<Vec<Val>> {
        let first = self.from.byte()?;
        let kinds: Vec<u8> = if first == kind::MIXED {
            read_block(&mut self.from, len)?.into_iter().map(|kind| u8::try_from(kind).ok()).collect::<Option<_>>()?
        } else {
            vec![first; len]
        };
        let many = |of: &[u8]| kinds.iter().filter(|kind| of.contains(kind)).count();
        let mut whole = read_block(&mut self.from, many(&[kind::WHOLE, kind::NEGATIVE]))?.into_iter();
        let mut words = read_block(&mut self.from, many(&[kind::WORD]))?.into_iter();
        let mut lengths = read_block(&mut self.from, many(&[kind::TEXT, kind::OTHER]))?.into_iter();
        let mut fractions = read_fractions(&mut self.from, many(&[kind::FRACTION]))?.into_iter();
        let value = |kind: &u8| {
            Some(match *kind {
                kind::NULL => Val::Null,
                kind::FALSE => Val::Truth(false),
                kind::TRUE => Val::Truth(true),
                kind::WHOLE => Val::Whole(whole.next()?.cast_unsigned()),
                kind::NEGATIVE => Val::Negative(whole.next()?),
                kind::FRACTION => Val::Fraction(fractions.next()?),
                kind::WORD => Val::Word(u32::try_from(words.next()?).ok()?),
                kind::TEXT => Val::Text(self.part(lengths.next()?)?),
                kind::OTHER => Val::Other(self.part(lengths.next()?)?),
                _ => return None,
            })
        };
        kinds.iter().map(value).collect()
    }

    pub fn numbers(&mut self, len: usize) -> Option<Vec<u32>> {
        read_block(&mut self.from, len)?.into_iter().map(|n| u32::try_from(n).ok()).collect()
    }

    /// Puts texts that were written as a sequence behind one another.
    pub fn sequence(&mut self, len: usize, mut put: impl FnMut(&str)) -> Option<()> {
        let mut text = Vec::new();
        for _ in 0..len {
            let (same, rest) = (self.from.len()?, self.from.len()?);
            if same > text.len() {
                return None;
            }
            text.truncate(same);
            text.extend_from_slice(self.from.bytes(rest)?);
            put(std::str::from_utf8(&text).ok()?);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(values: &[Val]) -> Vec<Val> {
        let mut writer = Writer::default();
        let text = "0123456789".repeat(30);
        writer.column(values.len(), |n| values[n], |part| &text[part.range()]);
        let mut reader = Reader::new(In(&writer.out.0));
        let read = reader.column(values.len()).unwrap();
        assert!(reader.from.0.is_empty());
        for cut in 0..writer.out.0.len() {
            // A torn column is no column, or was only shortened where nothing stood.
            assert!(values.is_empty() || Reader::new(In(&writer.out.0[..cut])).column(values.len()).is_none());
        }
        read
    }

    fn same(a: &Val, b: &Val) -> bool {
        match (a, b) {
            (Val::Fraction(a), Val::Fraction(b)) => a.to_bits() == b.to_bits(),
            (Val::Text(a), Val::Text(b)) | (Val::Other(a), Val::Other(b)) => a.len == b.len,
            (a, b) => a == b,
        }
    }

    #[test]
    fn the_ends_of_every_kind_come_back() {
        for values in [
            vec![Val::Null; 9],
            vec![Val::Whole(u64::MAX), Val::Whole(0), Val::Whole(1 << 63), Val::Negative(i64::MIN), Val::Whole(7)],
            vec![Val::Fraction(0.1), Val::Fraction(-0.0), Val::Fraction(1e308), Val::Fraction(5e-324)],
            vec![Val::Fraction(0.1), Val::Fraction(-12.75), Val::Fraction(3.0), Val::Fraction(2_251_799_813_685_247.5)],
            vec![Val::Truth(true), Val::Truth(false), Val::Null, Val::Word(u32::MAX), Val::Fraction(0.3)],
            vec![],
        ] {
            let read = back(&values);
            assert!(
                read.len() == values.len() && read.iter().zip(&values).all(|(a, b)| same(a, b)),
                "{values:?} {read:?}"
            );
        }
    }

    #[test]
    fn decimals_take_the_bits_that_they_span() {
        let mut writer = Writer::default();
        writer.column(1000, |n| Val::Fraction(n as f64 / 100.0), |_| "");
        assert!(writer.out.0.len() < 1000 * 10 / 8 + 10, "{}", writer.out.0.len());
    }

    fn any() -> impl proptest::strategy::Strategy<Value = Val> {
        use proptest::prelude::*;
        let part = |len: u32| Part { from: 0, len };
        prop_oneof![
            Just(Val::Null),
            any::<bool>().prop_map(Val::Truth),
            any::<u64>().prop_map(Val::Whole),
            (0..100_u64).prop_map(Val::Whole),
            (i64::MIN..0).prop_map(Val::Negative),
            proptest::num::f64::NORMAL.prop_map(Val::Fraction),
            (-100_000..100_000_i32).prop_map(|n| Val::Fraction(f64::from(n) / 1000.0)),
            any::<u32>().prop_map(Val::Word),
            (0..300_u32).prop_map(move |len| Val::Text(part(len))),
            (0..300_u32).prop_map(move |len| Val::Other(part(len))),
        ]
    }

    proptest::proptest! {
        #[test]
        fn any_column_comes_back(values in proptest::collection::vec(any(), 0..80)) {
            let read = back(&values);
            proptest::prop_assert!(read.len() == values.len());
            proptest::prop_assert!(read.iter().zip(&values).all(|(a, b)| same(a, b)));
        }

        #[test]
        fn texts_that_begin_alike_come_back(texts in proptest::collection::vec("[abé]{0,6}", 0..40)) {
            let mut writer = Writer::default();
            writer.sequence(texts.iter().map(String::as_str));
            let mut read = Vec::new();
            Reader::new(In(&writer.out.0)).sequence(texts.len(), |text| read.push(text.to_owned())).unwrap();
            proptest::prop_assert_eq!(read, texts);
        }
    }
}
