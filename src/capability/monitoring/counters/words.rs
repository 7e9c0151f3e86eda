//! Short texts of one body, each kept once and known by its number: categories come again and again, and whoever counts or writes
//! them looks a number up instead of reading the text once more.

/// Longer texts are kept as often as they come.
pub const WORD_BYTES_MAX: usize = 16;
/// More different ones than these are no categories any more.
pub const WORDS_MAX: usize = 4096;

/// The bytes of a short text as one number; with the length it is the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    bits: u128,
    len: usize,
}

impl Bits {
    /// Of the text at a place of a body; `None`: it is too long. One load, where the body does not end right behind it.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a text
    pub fn at(body: &[u8], from: usize, len: usize) -> Option<Self> {
        if len > WORD_BYTES_MAX {
            return None;
        }
        let Some(near) = body.get(from..from + WORD_BYTES_MAX) else {
            return Some(Self::of(body.get(from..from + len)?));
        };
        let near = u128::from_le_bytes(near.try_into().unwrap_or_default());
        let others = 8 * (WORD_BYTES_MAX - len);
        let bits = if len == 0 { 0 } else { near << others >> others };
        Some(Self { bits, len })
    }

    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; WORD_BYTES_MAX];
        let len = text.len().min(WORD_BYTES_MAX);
        bytes[..len].copy_from_slice(&text[..len]);
        Self { bits: u128::from_le_bytes(bytes), len }
    }

    #[allow(clippy::cast_possible_truncation)] // the two halves
    fn place(self, places: usize) -> usize {
        let halves = (self.bits as u64) ^ ((self.bits >> 64) as u64).rotate_left(29) ^ ((self.len as u64) << 59);
        let product = halves.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((product ^ (product >> 29)) >> 3) as usize & (places - 1)
    }
}

#[derive(Debug, Clone, Copy)]
struct Word {
    bits: Bits,
    from: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Words {
    all: Vec<Word>,
    text: String,
    /// Numbers of words from 1 on by the place of their bits, or the next free one; a power of two, at most half full.
    places: Vec<u16>,
}

impl Words {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn clear(&mut self) {
        self.all.clear();
        self.text.clear();
        self.places.fill(0);
    }

    pub fn text(&self, number: u32) -> &str {
        let Some(word) = self.all.get(number as usize) else { return "" };
        self.text.get(word.from as usize..word.from as usize + word.bits.len).unwrap_or_default()
    }

    /// The number of a text; `None`: it is too long, or there are too many already.
    pub fn number(&mut self, text: &str) -> Option<u32> {
        if text.len() > WORD_BYTES_MAX { None } else { self.number_of(Bits::of(text.as_bytes()), text) }
    }

    /// The same where the bits are known.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a text
    pub fn number_of(&mut self, bits: Bits, text: &str) -> Option<u32> {
        if !self.places.is_empty() {
            let mut at = bits.place(self.places.len());
            while let Some(number) = self.places[at].checked_sub(1) {
                if self.all[usize::from(number)].bits == bits {
                    return Some(u32::from(number));
                }
                at = (at + 1) & (self.places.len() - 1);
            }
        }
        self.add(bits, text)
    }

    #[inline(never)]
    fn add(&mut self, bits: Bits, text: &str) -> Option<u32> {
        let number = u16::try_from(self.all.len()).ok().filter(|n| usize::from(*n) < WORDS_MAX)?;
        let from = u32::try_from(self.text.len()).ok()?;
        self.text.push_str(text);
        self.all.push(Word { bits, from });
        if 2 * self.all.len() > self.places.len() {
            self.places.clear();
            self.places.resize((4 * self.all.len()).next_power_of_two().max(64), 0);
            for (number, word) in (0..).zip(&self.all) {
                put(&mut self.places, word.bits, number);
            }
        } else {
            put(&mut self.places, bits, number);
        }
        Some(u32::from(number))
    }
}

fn put(places: &mut [u16], bits: Bits, number: u16) {
    let mut at = bits.place(places.len());
    while places[at] != 0 {
        at = (at + 1) & (places.len() - 1);
    }
    places[at] = number + 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_number_wherever_it_stands() {
        let mut words = Words::default();
        let body = b"abc abc\0 abcabcabcabcabcd e abc";
        let at = |from: usize, len: usize| Bits::at(body, from, len);
        assert_eq!(words.number("abc"), Some(0));
        for (from, len) in [(0, 3), (4, 3), (body.len() - 3, 3)] {
            assert_eq!(words.number_of(at(from, len).unwrap(), "abc"), Some(0));
        }
        assert_eq!((words.number("abc\0"), words.number_of(at(4, 4).unwrap(), "abc\0")), (Some(1), Some(1)));
        assert_eq!((words.number(""), words.number_of(at(7, 0).unwrap(), "")), (Some(2), Some(2)));
        assert_eq!((at(9, 17), words.number("abcabcabcabcabcda"), words.text(1)), (None, None, "abc\0"));
        assert_eq!((words.number("abcabcabcabcabca"), words.text(3), words.text(4)), (Some(3), "abcabcabcabcabca", ""));
        words.clear();
        assert_eq!((words.number("é"), words.len()), (Some(0), 1));
    }

    #[test]
    fn there_are_not_too_many() {
        let mut words = Words::default();
        for n in 0..u32::try_from(WORDS_MAX).unwrap() {
            assert_eq!(words.number(&n.to_string()), Some(n));
        }
        assert_eq!((words.number("one more"), words.number("77"), words.text(4095)), (None, Some(77), "4095"));
    }
}
