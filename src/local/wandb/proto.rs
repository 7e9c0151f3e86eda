//! Walking protobuf's wire format, without building messages: fields as they stand.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes, as they are.
    Fixed(u64),
}

impl<'a> Field<'a> {
    pub fn bytes(self) -> &'a [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }

    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// A signed number.
    pub fn int(self) -> i64 {
        if let Self::Number(n) = self { n.cast_signed() } else { 0 }
    }
}

/// The fields of a message, in order. What cannot be read ends it.
pub struct Fields<'a>(&'a [u8]);

pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

/// The last field of this number, which is the one that counts.
pub fn last(message: &[u8], number: u32) -> Option<Field<'_>> {
    fields(message).filter(|(n, _)| *n == number).last().map(|(_, field)| field)
}

impl<'a> Fields<'a> {
    /// The next field where it is an item as clients write nearly all of them: number 1, in it a name of one part (1 or 2) and a
    /// value (16), each shorter than 128 bytes. Most of a file is made of these, so they are not walked field by field.
    #[inline]
    pub fn plain_item(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let &[0x0a, item_length @ ..=0x7f, 0x0a | 0x12, name_length @ ..=0x7f, ref rest @ ..] = self.0 else {
            return None;
        };
        let (name, rest) = rest.split_at_checked(usize::from(name_length))?;
        let &[0x82, 0x01, value_length @ ..=0x7f, ref rest @ ..] = rest else { return None };
        let (value, rest) = rest.split_at_checked(usize::from(value_length))?;
        // Its two parts with their heads are all of it.
        if usize::from(item_length) != name.len() + value.len() + 5 {
            return None;
        }
        self.0 = rest;
        Some((name, value))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for nth in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * nth);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn fixed<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (found, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(found)
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = varint(&mut self.0)?;
        let number = u32::try_from(tag >> 3).ok()?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut self.0)?),
            1 => Field::Fixed(u64::from_le_bytes(*fixed::<8>(&mut self.0)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed(u64::from(u32::from_le_bytes(*fixed::<4>(&mut self.0)?))),
            _ => return None,
        };
        Some((number, field))
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Writes what the walk reads.

    pub(in crate::local::wandb) fn varint(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        out.push(u8::try_from(number).unwrap());
    }

    /// A field of bytes, after what is there.
    pub(in crate::local::wandb) fn with(mut message: Vec<u8>, number: u64, bytes: &[u8]) -> Vec<u8> {
        varint(&mut message, number << 3 | 2);
        varint(&mut message, bytes.len() as u64);
        message.extend(bytes);
        message
    }

    /// A number, after what is there.
    pub(in crate::local::wandb) fn with_number(mut message: Vec<u8>, number: u64, value: u64) -> Vec<u8> {
        varint(&mut message, number << 3);
        varint(&mut message, value);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{with, with_number};
    use super::*;

    #[test]
    fn fields_come_in_order_and_others_are_passed() {
        let mut message = with_number(with(Vec::new(), 16, b"abc"), 1, 300);
        message.extend([0x0d, 1, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 0, 0, 0]);
        let all: Vec<_> = fields(&message).collect();
        assert_eq!(
            all,
            [(16, Field::Bytes(b"abc")), (1, Field::Number(300)), (1, Field::Fixed(1)), (2, Field::Fixed(2))]
        );
        assert_eq!(last(&message, 16).map(Field::text).as_deref(), Some("abc"));
        assert_eq!(fields(&with_number(Vec::new(), 1, u64::MAX)).next(), Some((1, Field::Number(u64::MAX))));
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_there_it_ends(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
