//! What hyper goes on with where a connection carries more than plain messages: it reads again what was read, and sends
//! nothing again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::Timestamp;
use crate::router::asked::Gone;
use crate::router::client::Open;

/// A connection from its first unanswered request on.
pub struct Rest<I> {
    pub io: Again<I>,
    /// The first request went to its model server already.
    pub begun: Option<Box<Begun>>,
}

/// A request whose answer is not plain.
pub struct Begun {
    pub open: Open,
    pub id: HeaderValue,
    pub came: Timestamp,
    pub gone: Gone,
}

/// A connection of which some was read.
pub struct Again<I> {
    first: Bytes,
    io: I,
}

impl<I> Again<I> {
    pub fn new(first: &[u8], io: I) -> Self {
        Self { first: Bytes::copy_from_slice(first), io }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Again<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, to);
        }
        let n = to.remaining().min(self.first.len());
        to.put_slice(&self.first.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Again<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A connection that a request was sent over: what is written first is that request once more, and goes nowhere. Its
/// answer is to be read after it.
pub struct Sent<I> {
    io: Again<I>,
    writes: Writes,
}

enum Writes {
    /// The request is not written as a whole. Whoever wants to read waits.
    Again {
        wrote: bool,
        reader: Option<Waker>,
    },
    Through,
}

impl<I> Sent<I> {
    /// `first` was read of the answer.
    pub fn new(first: &[u8], io: I) -> Self {
        Self { io: Again::new(first, io), writes: Writes::Again { wrote: false, reader: None } }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Sent<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Writes::Again { reader, .. } = &mut self.writes {
            *reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Sent<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Writes::Again { wrote, .. } = &mut self.writes {
            *wrote = true;
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    /// hyper flushes once it has written all of a request whose body is there.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Writes::Again { wrote: true, reader } = &mut self.writes {
            reader.take().into_iter().for_each(Waker::wake);
            self.writes = Writes::Through;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
