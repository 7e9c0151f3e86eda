//! Single values: texts, numbers, and what is passed over.

use super::super::rows::{Part, Rows, Val};
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

impl<'a> Scan<'a> {
    /// A text without escapes.
    pub(super) fn plain(&mut self) -> Option<&'a str> {
        self.is(b'"')?;
        let from = self.at;
        self.at = self.string_end()?;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        self.text.get(from..self.at - 1)
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
    fn string_end(&self) -> Option<usize> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let mut at = self.at;
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
            self.at = self.string_end()?;
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

    /// Inlined, so that a value stays in registers on its way: read again from where it was written in parts, it would be waited
    /// for.
    #[inline(always)]
    #[allow(clippy::inline_always)] // measured
    pub(super) fn value(&mut self, rows: &mut Rows) -> Option<Val> {
        match self.peek()? {
            b'"' => self.string(rows).map(Val::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' | b'[' => self.skipped().map(|_| Val::Other),
            _ if self.null() => Some(Val::Null),
            _ => {
                let truth = self.bytes[self.at..].starts_with(b"true");
                let word: &[u8] = if truth { b"true" } else { b"false" };
                self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())?;
                Some(Val::Truth(truth))
            }
        }
    }

    fn digits(&mut self, mut sum: u64) -> (u64, usize) {
        let from = self.at;
        while let Some(digit) = self.peek().map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        (sum, self.at - from)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn number(&mut self) -> Option<Val> {
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
                        self.at = self.string_end()?;
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
