//! Single values: texts, numbers, and what is passed over.

use super::super::rows::{Part, Rows, Val};
use super::super::words::Bits;
use super::Scan;
use crate::base::Timestamp;

/// Digits of a whole number that surely fits 64 bits, and of a fraction whose digits are exact in a double.
const WHOLE_DIGITS_MAX: usize = 18;
const EXACT_MAX: u64 = 1 << 53;
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
const NESTED_MAX: usize = 64;
const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const E_SMALL: u64 = 0x65;
const E_LARGE: u64 = 0x45;

/// What a value is, as its first byte tells. Looked up, since nobody can foresee whether a number is negative.
#[derive(Clone, Copy)]
enum Start {
    Number,
    Text,
    Nested,
    Else,
}

static STARTS: [Start; 256] = {
    let mut all = [Start::Else; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        all[digit as usize] = Start::Number;
        digit += 1;
    }
    all[b'-' as usize] = Start::Number;
    all[b'"' as usize] = Start::Text;
    all[b'{' as usize] = Start::Nested;
    all[b'[' as usize] = Start::Nested;
    all
};

/// How many of eight bytes are digits before the first one that is none.
#[inline(always)]
#[allow(clippy::inline_always)] // five steps
fn digits_in(word: u64) -> usize {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let digits = word ^ ZEROS;
    // Above nine, within seven bits, or with the eighth.
    let others = (((digits & !HIGH) + 0x7676_7676_7676_7676) | digits) & HIGH;
    (others.trailing_zeros() / 8) as usize
}

/// The number that the first of eight bytes are the digits of; there are 1 to 8.
#[inline(always)]
#[allow(clippy::inline_always)] // three multiplications
fn digits_of(word: u64, len: usize) -> u64 {
    let digits = (word << (64 - 8 * len)) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}

impl<'a> Scan<'a> {
    /// A text without escapes.
    pub(super) fn plain(&mut self) -> Option<&'a str> {
        self.is(b'"')?;
        let from = self.at;
        self.at = self.string_end(self.at)?;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        self.text.get(from..self.at - 1)
    }

    /// The number of a short text without escapes.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as `valued`
    fn word(&mut self, rows: &mut Rows) -> Option<u32> {
        let from = self.at + 1;
        let end = self.string_end(from)?;
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        let bits = Bits::at(self.bytes, from, end - from)?;
        let word = rows.words.number_of(bits, self.text.get(from..end)?)?;
        self.at = end + 1;
        Some(word)
    }

    #[allow(clippy::option_option)] // sure of it or not, and null or not
    pub(super) fn plain_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.null() { Some(None) } else { self.plain().map(Some) }
    }

    fn null(&mut self) -> bool {
        let null = self.bytes[self.at..].starts_with(b"null");
        self.at += if null { 4 } else { 0 };
        null
    }

    /// The next quote, backslash or control character: eight bytes at a time.
    #[inline(always)]
    #[allow(clippy::inline_always)] // most texts end within the first eight
    fn string_end(&self, mut at: usize) -> Option<usize> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(word) = self.bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes) {
            let quote = word ^ (ONES * u64::from(b'"'));
            let slash = word ^ (ONES * u64::from(b'\\'));
            let zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGH;
            // Bytes below 0x20; a borrow may mark a byte above the first hit only.
            let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
            let hit = zero(quote) | zero(slash) | control;
            if hit != 0 {
                return Some(at + (hit.trailing_zeros() / 8) as usize);
            }
            at += 8;
        }
        self.bytes.get(at..)?.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).map(|n| at + n)
    }

    /// A text, with its escapes resolved.
    pub(super) fn string(&mut self, rows: &mut Rows) -> Option<Part> {
        self.is(b'"')?;
        let begin = rows.texts().len();
        loop {
            let from = self.at;
            self.at = self.string_end(self.at)?;
            rows.texts().push_str(self.text.get(from..self.at)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    let len = rows.texts().len() - begin;
                    return Some(Part { from: u32::try_from(begin).ok()?, len: u32::try_from(len).ok()? });
                }
                b'\\' => {
                    let escaped = self.escape()?;
                    rows.texts().push(escaped);
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let code = *self.bytes.get(self.at + 1)?;
        self.at += 2;
        Some(match code {
            b'"' | b'\\' | b'/' => char::from(code),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                self.is(b'\\')?;
                self.is(b'u')?;
                let second = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |n, digit| Some(n * 16 + char::from(*digit).to_digit(16)?))
    }

    pub(super) fn value(&mut self, rows: &mut Rows) -> Option<Val> {
        self.valued(rows, |_, value| value)
    }

    /// A value that becomes a cell.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as `valued`
    pub(super) fn cell(&mut self, rows: &mut Rows) -> Option<()> {
        self.valued(rows, |rows, value| rows.cells.push(value))
    }

    /// Inlined, and what becomes of a value where its kind is known, so that it stays in registers on its way: read again from
    /// where it was written in parts, it would be waited for.
    #[inline(always)]
    #[allow(clippy::inline_always)] // measured
    fn valued<T>(&mut self, rows: &mut Rows, put: impl FnOnce(&mut Rows, Val) -> T) -> Option<T> {
        let value = match STARTS[usize::from(self.peek()?)] {
            Start::Number => return self.number(|value| put(rows, value)),
            Start::Text => match self.word(rows) {
                Some(word) => return Some(put(rows, Val::Word(word))),
                None => Val::Text(self.string(rows)?),
            },
            Start::Nested => self.skipped().map(|json| Val::Other(rows.put(json)))?,
            Start::Else if self.null() => Val::Null,
            Start::Else => {
                let truth = self.bytes[self.at..].starts_with(b"true");
                let word: &[u8] = if truth { b"true" } else { b"false" };
                self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())?;
                Val::Truth(truth)
            }
        };
        Some(put(rows, value))
    }

    /// Eight bytes from a place on.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a load
    fn eight(&self, at: usize) -> Option<u64> {
        self.bytes.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes)
    }

    /// A number of up to seven digits before and after its point is read without a jump a digit: how many there are nobody can
    /// foresee.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn number<T>(&mut self, put: impl FnOnce(Val) -> T) -> Option<T> {
        let negative = self.bytes[self.at] == b'-';
        let at = self.at + usize::from(negative);
        if let Some(word) = self.eight(at)
            && let len @ 1..=7 = digits_in(word)
            && let Some(more) = self.eight(at + len + 1)
            && !(word & 0xff == u64::from(b'0') && len > 1)
        {
            let whole = digits_of(word, len);
            let next = (word >> (8 * len)) & 0xff;
            if next == u64::from(b'.') {
                let after = digits_in(more);
                if let 1..=7 = after
                    && !matches!((more >> (8 * after)) & 0xff, E_SMALL | E_LARGE)
                {
                    self.at = at + len + 1 + after;
                    // Both are exact, so that one division rounds once.
                    let all = whole * TENS[after] + digits_of(more, after);
                    let x = all as f64 / POWERS[after];
                    return Some(put(Val::Fraction(f64::from_bits(x.to_bits() | u64::from(negative) << 63))));
                }
            } else if !(matches!(next, E_SMALL | E_LARGE) || negative && whole == 0) {
                self.at = at + len;
                #[allow(clippy::cast_possible_wrap)] // seven digits
                return Some(put(if negative { Val::Negative(-(whole as i64)) } else { Val::Whole(whole) }));
            }
        }
        self.any_number().map(put)
    }

    fn digits(&mut self, mut sum: u64) -> (u64, usize) {
        let from = self.at;
        while let Some(digit) = self.peek().map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        (sum, self.at - from)
    }

    #[inline(never)]
    fn any_number(&mut self) -> Option<Val> {
        let from = self.at;
        let negative = self.is(b'-').is_some();
        let leading = self.peek()?;
        let (whole, digits) = self.digits(0);
        if digits == 0 || leading == b'0' && digits > 1 {
            return None;
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            if digits > WHOLE_DIGITS_MAX || negative && whole == 0 {
                return None;
            }
            return Some(if negative { Val::Negative(-i64::try_from(whole).ok()?) } else { Val::Whole(whole) });
        }
        let (mut all, mut after) = (whole, 0);
        if self.is(b'.').is_some() {
            (all, after) = self.digits(whole);
            if after == 0 {
                return None;
            }
        }
        let plain = !matches!(self.peek(), Some(b'e' | b'E'));
        if plain && digits + after <= WHOLE_DIGITS_MAX && all <= EXACT_MAX && after < POWERS.len() {
            // Both are exact, so that one division rounds once.
            let x = all as f64 / POWERS[after];
            return Some(Val::Fraction(if negative { -x } else { x }));
        }
        if !plain {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits(0).1 == 0 {
                return None;
            }
        }
        let x: f64 = self.text.get(from..self.at)?.parse().ok()?;
        x.is_finite().then_some(Val::Fraction(x))
    }

    #[allow(clippy::option_option)] // sure of it or not, and null or not
    pub(super) fn number_or_null(&mut self, rows: &mut Rows) -> Option<Option<f64>> {
        match self.value(rows)? {
            Val::Null => Some(None),
            Val::Fraction(x) => Some(Some(x)),
            Val::Whole(n) => Some(Some(n as f64)),
            Val::Negative(n) => Some(Some(n as f64)),
            _ => None,
        }
    }

    #[allow(clippy::option_option)] // sure of it or not, and null or not
    pub(super) fn time(&mut self) -> Option<Option<Timestamp>> {
        match self.plain_or_null()? {
            None => Some(None),
            Some(text) => Timestamp::parse(text).map(Some),
        }
    }

    /// A value that is not looked into, checked by the parser that would otherwise have read it.
    pub(super) fn skipped(&mut self) -> Option<&'a str> {
        let from = self.at;
        let mut nested = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    loop {
                        self.at = self.string_end(self.at)?;
                        match self.peek()? {
                            b'"' => break,
                            b'\\' => self.at += 2,
                            _ => return None,
                        }
                    }
                    self.at += 1;
                }
                b'{' | b'[' => {
                    nested += 1;
                    self.at += 1;
                }
                b'}' | b']' if nested > 0 => {
                    nested -= 1;
                    self.at += 1;
                }
                b'\n' => return None,
                b',' | b'}' | b']' if nested == 0 => break,
                _ => self.at += 1,
            }
            if nested > NESTED_MAX {
                return None;
            }
            if nested == 0 && matches!(self.peek()?, b',' | b'}' | b']') {
                break;
            }
        }
        let value = self.text.get(from..self.at)?;
        serde_json::from_slice::<serde::de::IgnoredAny>(value.as_bytes()).ok().map(|_| value)
    }
}
