//! Numbers for names, for files that say the same names over and over in nearly the same order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Hashes short names quickly. Their number is bounded by the file, so nobody gains by making them collide.
#[derive(Default)]
struct Quick(u64);

impl Quick {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        self.mix(rest.iter().fold(bytes.len() as u64, |word, byte| word << 8 | u64::from(*byte)));
    }

    fn write_usize(&mut self, _: usize) {
        // The length, which is mixed in with the bytes.
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Names in the order in which they were first said. One that follows the name it followed last time, as in a line that
/// repeats another, is found by one comparison.
#[derive(Default)]
pub struct Names {
    numbers: HashMap<Box<[u8]>, usize, BuildHasherDefault<Quick>>,
    all: Vec<Named>,
    /// What was asked for last.
    last: usize,
}

struct Named {
    name: Box<[u8]>,
    /// Which came after it last time.
    next: usize,
}

impl Names {
    /// The number of this name.
    #[inline]
    pub fn number(&mut self, name: &[u8]) -> usize {
        let expected = self.all.get(self.last).map_or(0, |named| named.next);
        let met = self.all.get(expected).is_some_and(|named| *named.name == *name);
        self.last = if met { expected } else { self.look_up(name) };
        self.last
    }

    fn look_up(&mut self, name: &[u8]) -> usize {
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = self.all.len();
            self.all.push(Named { name: name.into(), next: number + 1 });
            self.numbers.insert(name.into(), number);
            number
        });
        if let Some(last) = self.all.get_mut(self.last) {
            last.next = number;
        }
        number
    }

    /// The names by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|named| &*named.name)
    }
}

/// The value of a number, or a place for one.
#[inline]
pub fn of<T: Default>(values: &mut Vec<T>, number: usize) -> &mut T {
    if values.len() <= number {
        values.resize_with(number + 1, T::default);
    }
    &mut values[number]
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn in_any_order_each_name_has_its_number(
            asked in proptest::collection::vec("[ab]{0,3}|_step|a very long name that repeats", 0..60)
        ) {
            let mut names = Names::default();
            let mut first: Vec<&str> = Vec::new();
            for name in &asked {
                let number = names.number(name.as_bytes());
                let expected = first.iter().position(|n| n == name).unwrap_or_else(|| {
                    first.push(name);
                    first.len() - 1
                });
                proptest::prop_assert_eq!(number, expected);
            }
            proptest::prop_assert!(names.iter().eq(first.iter().map(|n| n.as_bytes())));
        }
    }
}
