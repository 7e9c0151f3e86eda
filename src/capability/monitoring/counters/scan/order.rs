//! The names of an object as the line before had them, one after another.

/// Bytes of a name that are compared at once.
const NEAR: usize = 16;

/// A name with what is around it: from the end of the value before to its own value.
struct Known<'a, T> {
    near: u128,
    mask: u128,
    raw: &'a [u8],
    what: T,
}

pub(super) struct Order<'a, T>(Vec<Known<'a, T>>);

impl<T> Default for Order<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> Order<'a, T> {
    /// What the next name means, and moves behind it, if it is the one that was here in the line before.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once a value
    pub fn next(&self, nth: usize, bytes: &[u8], at: &mut usize) -> Option<&T> {
        let known = self.0.get(nth)?;
        let near = bytes.get(*at..*at + NEAR)?;
        let near = u128::from_le_bytes(near.try_into().unwrap_or_default());
        let same = (near ^ known.near) & known.mask == 0;
        let same = same && (known.raw.len() <= NEAR || bytes[*at + NEAR..].starts_with(&known.raw[NEAR..]));
        same.then(|| {
            *at += known.raw.len();
            &known.what
        })
    }

    /// Another name is here, and what follows is not known.
    pub fn learn(&mut self, nth: usize, raw: &'a [u8], what: T) {
        self.cut(nth);
        let (mut near, mut mask, len) = ([0; NEAR], [0; NEAR], raw.len().min(NEAR));
        near[..len].copy_from_slice(&raw[..len]);
        mask[..len].fill(0xff);
        let (near, mask) = (u128::from_le_bytes(near), u128::from_le_bytes(mask));
        self.0.push(Known { near, mask, raw, what });
    }

    pub fn cut(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|known| &known.what)
    }

    pub fn at(&mut self, nth: usize) -> Option<&mut T> {
        self.0.get_mut(nth).map(|known| &mut known.what)
    }
}
