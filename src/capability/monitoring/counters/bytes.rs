//! Whole numbers of as many bytes as they need, and texts, one after another: what cells and the journal are written in.

/// Parts of one list: more is damage.
const MANY_MAX: u64 = 1 << 20;

/// Seven bits a byte, the lowest first.
#[derive(Default)]
pub(super) struct Out(pub Vec<u8>);

impl Out {
    pub fn wide(&mut self, mut n: u128) {
        #[allow(clippy::cast_possible_truncation)] // seven bits
        while n >= 0x80 {
            self.0.push((n as u8 & 0x7f) | 0x80);
            n >>= 7;
        }
        #[allow(clippy::cast_possible_truncation)] // below 0x80
        self.0.push(n as u8);
    }

    pub fn put(&mut self, n: u64) {
        self.wide(u128::from(n));
    }

    pub fn all(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|n| self.put(*n));
    }

    /// A number with a sign, which takes the lowest bit.
    pub fn signed(&mut self, n: i128) {
        self.wide(((n << 1) ^ (n >> 127)).cast_unsigned());
    }

    pub fn all_signed(&mut self, numbers: &[i64]) {
        numbers.iter().for_each(|n| self.signed(i128::from(*n)));
    }

    pub fn len(&mut self, len: usize) {
        self.put(len as u64);
    }

    pub fn float(&mut self, x: Option<f64>) {
        self.put(u64::from(x.is_some()));
        if let Some(x) = x {
            self.0.extend_from_slice(&x.to_le_bytes());
        }
    }

    pub fn text(&mut self, text: &str) {
        self.len(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

pub(super) struct In<'a>(pub &'a [u8]);

impl<'a> In<'a> {
    pub fn wide(&mut self) -> Option<u128> {
        let (mut n, mut shift) = (0_u128, 0);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u128::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(n);
            }
            shift += 7;
        }
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|one| one[0])
    }

    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn get(&mut self) -> Option<u64> {
        u64::try_from(self.wide()?).ok()
    }

    pub fn signed(&mut self) -> Option<i128> {
        let n = self.wide()?;
        Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    pub fn short(&mut self) -> Option<i64> {
        i64::try_from(self.signed()?).ok()
    }

    pub fn len(&mut self) -> Option<usize> {
        usize::try_from(self.get().filter(|n| *n <= MANY_MAX)?).ok()
    }

    #[allow(clippy::option_option)] // read or not, and there or not
    pub fn float(&mut self) -> Option<Option<f64>> {
        if self.get()? == 0 {
            return Some(None);
        }
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(Some(f64::from_le_bytes(*bytes)))
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.len()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
