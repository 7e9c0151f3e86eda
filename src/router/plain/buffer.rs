//! What is read from a connection, in memory that its worker uses again.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes at first; most requests and answers have room in it.
const SMALL: usize = 8 << 10;
/// Bytes at most: a head and a body that is looked at.
const LARGE: usize = super::head::BYTES_MAX + crate::router::tap::BODY_BYTES_MAX;
/// Buffers of a worker that wait for their next use.
const SPARE_MAX: usize = 256;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that were read and not yet used. It holds memory only while there are some: most connections wait for the next
/// request most of the time.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Buffer {
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Whether nothing more can be read before something is used.
    pub fn is_full(&self) -> bool {
        self.end - self.begin >= LARGE
    }

    /// So many bytes were used.
    pub fn consume(&mut self, n: usize) {
        self.begin += n.min(self.end - self.begin);
        if self.is_empty() {
            (self.begin, self.end) = (0, 0);
        }
    }

    /// Makes room for so many bytes more, as far as there may be.
    pub fn expect(&mut self, bytes: u64) {
        let wanted = usize::try_from(bytes).map_or(LARGE, |bytes| bytes.clamp(SMALL, LARGE));
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
    }

    /// Reads what is there; 0 at its end. Not to be asked when full.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, io: &mut (impl AsyncRead + Unpin)) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        let read = Pin::new(io).poll_read(cx, &mut free).map_ok(|()| free.filled().len());
        match read {
            Poll::Ready(Ok(n)) => self.end += n,
            Poll::Pending if self.is_empty() && self.bytes.len() == SMALL => self.give_back(),
            _ => {}
        }
        read
    }

    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SMALL]);
        } else if self.end < self.bytes.len() {
        } else if self.begin > 0 {
            self.bytes.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        } else {
            self.bytes.resize((2 * self.bytes.len()).min(LARGE), 0);
        }
    }

    /// Lets go of what only a long message needed.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.bytes.len() > SMALL {
            self.bytes = Vec::new();
        }
    }

    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() == SMALL {
            // A thread that ends has none any more.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARE_MAX {
                    spare.push(bytes);
                }
            });
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_read_comes_out_in_order_whatever_is_used_meanwhile(steps in prop::collection::vec((0_usize..9000, 0_usize..9000), 1..60)) {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut buffer = Buffer::default();
            let (mut given, mut taken) = (0_u64, 0_u64);
            let byte = |n: u64| u8::try_from(n % 251).unwrap();
            for (read, used) in steps {
                let piece: Vec<u8> = (given..given + read as u64).map(byte).collect();
                let mut piece = &piece[..];
                while !piece.is_empty() && !buffer.is_full() {
                    let Poll::Ready(Ok(n)) = buffer.poll_fill(&mut cx, &mut piece) else { panic!("no bytes") };
                    given += n as u64;
                }
                let used = used.min(buffer.data().len());
                let expected: Vec<u8> = (taken..taken + used as u64).map(byte).collect();
                prop_assert_eq!(&buffer.data()[..used], &expected[..]);
                buffer.consume(used);
                taken += used as u64;
            }
            prop_assert_eq!(buffer.data().len() as u64, given - taken);
        }
    }
}
