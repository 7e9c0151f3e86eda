//! Texts by number, and a quick hash for keys that are numbers or hashes already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::capability::datasets::profile::hash;

/// A table by a number.
pub type Quickly<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A multiplication a word, for small keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(hash(bytes));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // once a look-up
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, where a product is weakest.
        self.0 ^ (self.0 >> 32)
    }
}

/// Texts in the order in which they came; the same text has the same number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    all: Vec<Box<str>>,
    places: Quickly<u64, u32>,
}

impl Names {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn clear(&mut self) {
        self.all.clear();
        self.places.clear();
    }

    pub fn name(&self, number: u32) -> &str {
        self.all.get(number as usize).map_or("", |name| name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|name| &**name)
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        let place = *self.places.get(&hash(name.as_bytes()))?;
        if self.name(place) == name {
            return Some(place);
        }
        // Two texts with one hash.
        self.all.iter().position(|known| **known == *name).and_then(|n| u32::try_from(n).ok())
    }

    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            return number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(name.into());
        self.places.entry(hash(name.as_bytes())).or_insert(number);
        number
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let mut all = Self::default();
        for name in names {
            all.number(name);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_number() {
        let mut names: Names = ["a", "b", "a"].into_iter().collect();
        assert_eq!((names.len(), names.find("b"), names.find("c")), (2, Some(1), None));
        assert_eq!((names.number("c"), names.name(2), names.name(9)), (2, "c", ""));
        // Texts that share a hash stay two.
        names.places.insert(hash(b"x"), 0);
        assert_eq!((names.find("x"), names.number("x"), names.find("x")), (None, 3, Some(3)));
    }
}
