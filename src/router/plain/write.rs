//! Heads as they are passed on.

use std::time::{Duration, UNIX_EPOCH};

use hyper::header::HeaderName;
use hyper::http::response::Parts;

use super::head::{Answer, Request, is};
use crate::base::clock::{Clock, SystemClock};
use crate::router::asked::is_hop;
use crate::router::told::{MODEL, PREDICTION, VERSION};

/// How the model server sees itself and the request.
pub struct Towards<'a> {
    pub host: &'a [u8],
    /// Before `path`.
    pub prefix: &'a str,
    pub path: &'a str,
    pub version: &'a [u8],
    pub id: &'a [u8],
}

impl Request<'_, '_> {
    /// The head that the model server gets.
    pub fn write(&self, to: &Towards<'_>, out: &mut Vec<u8>) {
        let slash = if to.path.starts_with('/') { "" } else { "/" };
        for part in [self.method, " ", to.prefix, slash, to.path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        line(out, "host", to.host);
        pass(out, self.headers().filter(|(name, _)| !is(name, "host")), &[VERSION, PREDICTION]);
        line(out, VERSION.as_str(), to.version);
        line(out, PREDICTION.as_str(), to.id);
        out.extend_from_slice(b"\r\n");
    }
}

/// What the router adds to an answer.
pub struct Marks<'a> {
    pub model: &'a [u8],
    pub version: &'a [u8],
    pub id: &'a [u8],
    /// The client is told that the connection ends.
    pub closes: bool,
}

impl Answer<'_, '_> {
    /// The head that the client gets.
    pub fn write(&self, marks: &Marks<'_>, out: &mut Vec<u8>) {
        begin(out, self.status, self.reason);
        pass(out, self.headers.iter().map(|header| (header.name, header.value)), &[MODEL, VERSION, PREDICTION]);
        line(out, MODEL.as_str(), marks.model);
        line(out, VERSION.as_str(), marks.version);
        line(out, PREDICTION.as_str(), marks.id);
        if !self.is_dated {
            date(out);
        }
        end(out, marks.closes);
    }
}

/// The head of an answer of the router's own.
pub fn own(parts: &Parts, body: usize, closes: bool, out: &mut Vec<u8>) {
    begin(out, parts.status.as_u16(), parts.status.canonical_reason().unwrap_or_default());
    parts.headers.iter().for_each(|(name, value)| line(out, name.as_str(), value.as_bytes()));
    line(out, "content-length", itoa::Buffer::new().format(body).as_bytes());
    date(out);
    end(out, closes);
}

fn begin(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// When it was made, for an answer that does not say it.
fn date(out: &mut Vec<u8>) {
    let since_epoch = Duration::from_micros(u64::try_from(SystemClock.now().0).unwrap_or_default());
    line(out, "date", httpdate::HttpDate::from(UNIX_EPOCH + since_epoch).to_string().as_bytes());
}

fn end(out: &mut Vec<u8>, closes: bool) {
    if closes {
        line(out, "connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Headers that are passed on, with the length, which is true of what is plain; those that are `ours` the router says
/// itself.
fn pass<'a>(out: &mut Vec<u8>, headers: impl Iterator<Item = (&'a str, &'a [u8])>, ours: &[HeaderName]) {
    // Ours are the longest: few others have to be compared.
    let is_ours = |name: &str| name.len() >= MODEL.as_str().len() && ours.iter().any(|own| is(name, own.as_str()));
    for (name, value) in headers {
        if (!is_hop(name) || is(name, "content-length")) && !is_ours(name) {
            line(out, name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{self, HEADERS_MAX, Seen};
    use super::*;

    #[test]
    fn what_holds_between_neighbours_and_what_the_router_says_itself_is_not_passed_on() {
        let text = "POST /s/v HTTP/1.1\r\nHost: mine\r\nX-A: 1\r\nKeep-Alive: 3\r\nProxy-Authorization: p\r\ntrailer: t\r\n\
            connection: keep-alive\r\nx-opsroom-model: y\r\nX-Opsroom-Version: 9\r\nx-opsroom-prediction-id: n\r\ncontent-length: 2\r\n\r\nab";
        let mut place = head::place();
        let Seen::Plain(request) = head::request(text.as_bytes(), &mut place, HEADERS_MAX) else { panic!("odd") };
        let mut out = Vec::new();
        let to = Towards { host: b"m:1", prefix: "/model", path: "/v", version: b"4", id: b"i" };
        request.write(&to, &mut out);
        let expected = "POST /model/v HTTP/1.1\r\nhost: m:1\r\nX-A: 1\r\nx-opsroom-model: y\r\ncontent-length: 2\r\nx-opsroom-version: 4\r\n\
            x-opsroom-prediction-id: i\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);

        let text = "HTTP/1.1 201 Made\r\nX-B: 2\r\nkeep-alive: 3\r\nconnection: close\r\nx-opsroom-model: fake\r\n\
            date: then\r\ncontent-length: 0\r\n\r\n";
        let mut place = head::place();
        let Seen::Plain(answer) = head::answer(text.as_bytes(), &mut place) else { panic!("odd") };
        let mut out = Vec::new();
        answer.write(&Marks { model: b"m", version: b"4", id: b"i", closes: true }, &mut out);
        let expected = "HTTP/1.1 201 Made\r\nX-B: 2\r\ndate: then\r\ncontent-length: 0\r\nx-opsroom-model: m\r\n\
            x-opsroom-version: 4\r\nx-opsroom-prediction-id: i\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
