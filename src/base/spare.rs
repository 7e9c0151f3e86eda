//! Large buffers that are used again: fresh memory costs a page fault every few kilobytes.

use std::sync::{Arc, Mutex, PoisonError};

/// A few buffers that wait for their next use.
#[derive(Debug, Clone, Default)]
pub struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// Buffers that wait at most.
const KEPT_MAX: usize = 2;

/// A buffer in use; it goes back where it came from.
#[derive(Debug)]
pub struct Lent {
    bytes: Vec<u8>,
    home: Spare,
}

impl Spare {
    /// An empty buffer, of so many bytes at least.
    pub fn take(&self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    pub fn lend(&self, bytes: Vec<u8>) -> Lent {
        Lent { bytes, home: self.clone() }
    }

    /// Gives the memory back.
    pub fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_few_are_kept() {
        let spare = Spare::default();
        let mut first = spare.take(100);
        first.extend_from_slice(b"abc");
        let place = first.as_ptr();
        let lent = spare.lend(first);
        assert_eq!(lent.as_ref(), b"abc");
        drop(lent);
        let again = spare.take(10);
        assert!(again.is_empty() && again.as_ptr() == place && again.capacity() >= 100);
        (0..5).map(|_| spare.lend(vec![1])).collect::<Vec<_>>().clear();
        assert_eq!(spare.0.lock().unwrap().len(), KEPT_MAX);
        spare.release();
        assert!(spare.0.lock().unwrap().is_empty());
    }
}
