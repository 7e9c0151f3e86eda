//! What bodies were read with, for the next ones: a body of megabytes takes as much memory again for its rows, and getting that from
//! the system anew for every body would take longer than counting it.

use std::sync::{Arc, Mutex, PoisonError};

use super::rows::Rows;

/// So many are kept of each.
const KEPT_MAX: usize = 2;
/// What is larger is given back at once.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// What is smaller is had anew as quickly.
const KEPT_BYTES_MIN: usize = 64 << 10;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    rows: Vec<Rows>,
    bodies: Vec<Vec<u8>>,
    /// Something was taken since the last look.
    used: bool,
}

impl Spare {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Empty rows for a body of so many bytes.
    pub fn rows(&self, bytes: usize) -> Rows {
        let spare = (bytes >= KEPT_BYTES_MIN).then(|| self.with(|kept| kept.take(|kept| &mut kept.rows))).flatten();
        let mut rows = spare.unwrap_or_default();
        rows.reserve_for(bytes);
        rows
    }

    /// Room for a body of so many bytes.
    pub fn body(&self, bytes: usize) -> Vec<u8> {
        let spare = (bytes >= KEPT_BYTES_MIN).then(|| self.with(|kept| kept.take(|kept| &mut kept.bodies))).flatten();
        let mut body = spare.unwrap_or_default();
        body.reserve(bytes);
        body
    }

    /// Nobody needs them any more.
    pub fn keep_rows(&self, mut rows: Rows) {
        if (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&rows.room()) {
            rows.clear();
            self.with(|kept| kept.keep(rows, |kept| &mut kept.rows));
        }
    }

    pub fn keep_body(&self, mut body: Vec<u8>) {
        if (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&body.capacity()) {
            body.clear();
            self.with(|kept| kept.keep(body, |kept| &mut kept.bodies));
        }
    }

    /// From time to time: what nobody took since the last time goes back to the system.
    pub fn tidy(&self) {
        let unused =
            self.with(|kept| if std::mem::take(&mut kept.used) { Kept::default() } else { std::mem::take(kept) });
        drop(unused);
    }
}

impl Kept {
    fn take<T>(&mut self, of: impl Fn(&mut Self) -> &mut Vec<T>) -> Option<T> {
        self.used = true;
        of(self).pop()
    }

    fn keep<T>(&mut self, one: T, of: impl Fn(&mut Self) -> &mut Vec<T>) {
        let all = of(self);
        if all.len() < KEPT_MAX {
            all.push(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_used_again_until_nobody_needs_it() {
        let spare = Spare::default();
        let mut body = spare.body(100_000);
        body.extend_from_slice(b"something");
        let (place, room) = (body.as_ptr(), body.capacity());
        spare.keep_body(body);
        assert!(spare.body(10).capacity() < room, "a small one is had anew");
        let again = spare.body(90_000);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, room));
        spare.keep_body(again);
        spare.tidy();
        assert_eq!(spare.0.lock().unwrap().bodies.len(), 1, "it was used");
        spare.tidy();
        assert_eq!(spare.0.lock().unwrap().bodies.len(), 0);
        spare.keep_body(Vec::with_capacity(KEPT_BYTES_MAX + 1));
        (0..4).for_each(|_| spare.keep_rows(spare.rows(1 << 20)));
        let kept = spare.0.lock().unwrap();
        assert_eq!((kept.bodies.len(), kept.rows.len()), (0, 1));
    }
}
