//! Heads of plain requests and answers: what is in them, and as what they are passed on. httparse reads them; what it does
//! not take, and what says more than this understands, is odd.

use std::mem::MaybeUninit;
use std::time::{Duration, UNIX_EPOCH};

use httparse::{Header, Status};
use hyper::header::HeaderName;
use hyper::http::response::Parts;

use crate::base::clock::{Clock, SystemClock};
use crate::router::told::{MODEL, PREDICTION, VERSION};

/// Headers that are looked at.
const HEADERS_MAX: usize = 100;
/// Bytes of a head.
pub const BYTES_MAX: usize = 16 << 10;

/// Where a head's headers lie while it is looked at.
pub type Place<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

pub const fn place<'b>() -> Place<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// The beginning of a message as far as it was read.
pub enum Seen<T> {
    /// It is not there as a whole.
    Part,
    /// It may be right, but is not plain.
    Odd,
    Plain(T),
}

/// A request that is passed on as it is, with a body of a known length.
pub struct Request<'h, 'b> {
    pub method: &'b str,
    pub path: &'b str,
    pub headers: &'h [Header<'b>],
    /// Bytes of the head.
    pub length: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// An answer whose length is known.
pub struct Answer<'h, 'b> {
    pub status: u16,
    reason: &'b str,
    headers: &'h [Header<'b>],
    /// Bytes of the head.
    pub length: usize,
    /// Bytes of the body.
    pub body: u64,
    /// The model server closes the connection after it.
    pub is_last: bool,
    is_dated: bool,
}

/// What the headers say about the message they belong to.
#[derive(Default)]
struct Frame {
    length: Option<u64>,
    hosts: usize,
    closes: bool,
    is_dated: bool,
}

impl Frame {
    /// `None` where they are odd.
    fn of(headers: &[Header<'_>]) -> Option<Self> {
        let mut frame = Self::default();
        for Header { name, value } in headers {
            match name.len() {
                2 if is(name, "te") => return None,
                4 if is(name, "host") => frame.hosts += 1,
                4 if is(name, "date") => frame.is_dated = true,
                6 if is(name, "expect") => return None,
                7 if is(name, "upgrade") => return None,
                10 if is(name, "connection") => match value {
                    v if v.eq_ignore_ascii_case(b"keep-alive") => {}
                    v if v.eq_ignore_ascii_case(b"close") => frame.closes = true,
                    _ => return None,
                },
                14 if is(name, "content-length") && frame.length.is_none() => frame.length = Some(number(value)?),
                14 if is(name, "content-length") => return None,
                17 if is(name, "transfer-encoding") => return None,
                _ => {}
            }
        }
        Some(frame)
    }
}

/// A request's head, of at most `headers_max` headers.
pub fn request<'h, 'b>(bytes: &'b [u8], place: &'h mut Place<'b>, headers_max: usize) -> Seen<Request<'h, 'b>> {
    let mut head = httparse::Request::new(&mut []);
    let length = match head.parse_with_uninit_headers(bytes, place) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < BYTES_MAX => return Seen::Part,
        _ => return Seen::Odd,
    };
    let (Some(method), Some(path), Some(1)) = (head.method, head.path, head.version) else { return Seen::Odd };
    let headers: &'h [Header<'b>] = head.headers;
    let is_odd = headers.len() > headers_max || !path.starts_with('/') || !path.bytes().all(is_plain_in_path);
    let Some(frame) = Frame::of(headers).filter(|frame| !is_odd && frame.hosts == 1 && !frame.closes) else {
        return Seen::Odd;
    };
    let body = match (method, frame.length) {
        ("GET" | "DELETE", None | Some(0)) => 0,
        ("POST" | "PUT" | "PATCH", Some(length)) => usize::try_from(length).unwrap_or(usize::MAX),
        _ => return Seen::Odd,
    };
    Seen::Plain(Request { method, path, headers, length, body })
}

/// An answer's head, to a request that was plain.
pub fn answer<'h, 'b>(bytes: &'b [u8], place: &'h mut Place<'b>) -> Seen<Answer<'h, 'b>> {
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, place);
    let length = match parsed {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < BYTES_MAX => return Seen::Part,
        _ => return Seen::Odd,
    };
    let headers: &'h [Header<'b>] = head.headers;
    match (head.version, head.code, head.reason, Frame::of(headers)) {
        // Without a body by their nature, or the first of several: 1xx, 204, 304.
        (Some(1), Some(status @ (200..=203 | 205..=303 | 305..=599)), Some(reason), Some(frame)) => {
            let Some(body) = frame.length else { return Seen::Odd };
            let (is_last, is_dated) = (frame.closes, frame.is_dated);
            Seen::Plain(Answer { status, reason, headers, length, body, is_last, is_dated })
        }
        _ => Seen::Odd,
    }
}

/// How the model server sees itself and the request.
pub struct Towards<'a> {
    pub host: &'a [u8],
    /// Before `path`.
    pub prefix: &'a str,
    pub path: &'a str,
    pub version: &'a [u8],
    pub id: &'a [u8],
}

impl<'b> Request<'_, 'b> {
    /// Name and value of each header.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + Clone {
        self.headers.iter().map(|header| (header.name, header.value))
    }

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
pub fn write_own(parts: &Parts, body: usize, closes: bool, out: &mut Vec<u8>) {
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

/// Headers that are passed on; those that are `ours` the router says itself.
fn pass<'a>(out: &mut Vec<u8>, headers: impl Iterator<Item = (&'a str, &'a [u8])>, ours: &[HeaderName]) {
    // Ours are the longest: few others have to be compared.
    let is_ours = |name: &str| name.len() >= MODEL.as_str().len() && ours.iter().any(|own| is(name, own.as_str()));
    for (name, value) in headers {
        if !is_hop(name) && !is_ours(name) {
            line(out, name, value);
        }
    }
}

/// Of those that a plain message may have.
fn is_hop(name: &str) -> bool {
    match name.len() {
        7 => is(name, "trailer"),
        10 => is(name, "connection") || is(name, "keep-alive"),
        16 => is(name, "proxy-connection"),
        18 => is(name, "proxy-authenticate"),
        19 => is(name, "proxy-authorization"),
        _ => false,
    }
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Of digits alone; not so many that it could overflow.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.len() <= 18 && !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// Characters of a path and query that need no second look.
fn is_plain_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> String {
        let mut place = place();
        match request(text.as_bytes(), &mut place, HEADERS_MAX) {
            Seen::Part => "part".to_owned(),
            Seen::Odd => "odd".to_owned(),
            Seen::Plain(r) => format!("{} {} {}+{}", r.method, r.path, r.length, r.body),
        }
    }

    fn heard(text: &str) -> String {
        let mut place = place();
        match answer(text.as_bytes(), &mut place) {
            Seen::Part => "part".to_owned(),
            Seen::Odd => "odd".to_owned(),
            Seen::Plain(a) => format!("{} {}+{}{}", a.status, a.length, a.body, if a.is_last { " last" } else { "" }),
        }
    }

    #[test]
    fn a_request_is_plain_only_where_nothing_about_it_is_in_doubt() {
        let post = |lines: &str| seen(&format!("POST /s/x HTTP/1.1\r\nhost: h\r\n{lines}\r\n"));
        let get = "GET /s?a=%20b HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n";
        assert_eq!(seen(get), format!("GET /s?a=%20b {}+0", get.len()));
        assert_eq!(seen(&get[..get.len() - 1]), "part");
        let length = "POST /s/x HTTP/1.1\r\nhost: h\r\nContent-Length: 12\r\n\r\n".len();
        assert_eq!(post("Content-Length: 12\r\n"), format!("POST /s/x {length}+12"));
        for lines in [
            "",
            "content-length: +3\r\n",
            "content-length: 3, 3\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 3\r\ncontent-length: 3\r\n",
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            "content-length: 3\r\nTransfer-Encoding: identity\r\n",
            "content-length : 3\r\n",
            "content-length: 3\r\nhost: other\r\n",
            "content-length: 3\r\nexpect: 100-continue\r\n",
            "content-length: 3\r\nte: trailers\r\n",
            "content-length: 3\r\nconnection: close\r\n",
            "content-length: 3\r\nconnection: keep-alive, x-mine\r\n",
            "content-length: 3\r\nupgrade: h2c\r\n",
            "content-length: 3\r\nx: a\r\n b\r\n",
        ] {
            assert_eq!(post(lines), "odd", "{lines:?}");
        }
        for text in [
            "HEAD /s HTTP/1.1\r\nhost: h\r\n\r\n",
            "CONNECT h:1 HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /s HTTP/1.0\r\nhost: h\r\n\r\n",
            "GET /s HTTP/1.1\r\n\r\n",
            "GET http://h/s HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /s#f HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /s HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(seen(text), "odd", "{text:?}");
        }
        assert_eq!(seen(&format!("GET /s HTTP/1.1\r\nx: {}", "a".repeat(BYTES_MAX))), "odd", "a head without an end");
        let many = "x: 1\r\n".repeat(HEADERS_MAX);
        assert_eq!(seen(&format!("GET /s HTTP/1.1\r\nhost: h\r\n{many}\r\n")), "odd");
        let mut place = place();
        assert!(matches!(request(b"GET /s HTTP/1.1\r\nhost: h\r\nx: 1\r\n\r\n", &mut place, 1), Seen::Odd));
    }

    #[test]
    fn an_answer_is_plain_only_where_its_length_is_beyond_doubt() {
        let fine = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(heard(fine), format!("200 {}+5", fine.len()));
        let last = "HTTP/1.1 503 \r\nconnection: Close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(heard(last), format!("503 {}+0 last", last.len()));
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: upgrade\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            "garbage\r\n\r\n",
        ] {
            assert_eq!(heard(text), "odd", "{text:?}");
        }
        assert_eq!(heard("HTTP/1.1 200 OK\r\ncontent-len"), "part");
    }

    #[test]
    fn what_holds_between_neighbours_and_what_the_router_says_itself_is_not_passed_on() {
        let text = "POST /s/v HTTP/1.1\r\nHost: mine\r\nX-A: 1\r\nKeep-Alive: 3\r\nProxy-Authorization: p\r\ntrailer: t\r\n\
            connection: keep-alive\r\nx-opsroom-model: y\r\nX-Opsroom-Version: 9\r\nx-opsroom-prediction-id: n\r\ncontent-length: 2\r\n\r\nab";
        let mut place = place();
        let Seen::Plain(request) = request(text.as_bytes(), &mut place, HEADERS_MAX) else { panic!("odd") };
        let mut out = Vec::new();
        let to = Towards { host: b"m:1", prefix: "/model", path: "/v", version: b"4", id: b"i" };
        request.write(&to, &mut out);
        let expected = "POST /model/v HTTP/1.1\r\nhost: m:1\r\nX-A: 1\r\nx-opsroom-model: y\r\ncontent-length: 2\r\nx-opsroom-version: 4\r\n\
            x-opsroom-prediction-id: i\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);

        let text = "HTTP/1.1 201 Made\r\nX-B: 2\r\nkeep-alive: 3\r\nconnection: close\r\nx-opsroom-model: fake\r\n\
            date: then\r\ncontent-length: 0\r\n\r\n";
        let mut place = super::place();
        let Seen::Plain(answer) = answer(text.as_bytes(), &mut place) else { panic!("odd") };
        let mut out = Vec::new();
        answer.write(&Marks { model: b"m", version: b"4", id: b"i", closes: true }, &mut out);
        let expected = "HTTP/1.1 201 Made\r\nX-B: 2\r\ndate: then\r\ncontent-length: 0\r\nx-opsroom-model: m\r\n\
            x-opsroom-version: 4\r\nx-opsroom-prediction-id: i\r\nconnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        /// No bytes make a neighbour see another message than this did.
        #[test]
        fn what_is_passed_on_is_plain_again_and_has_the_same_body(
            lines in prop::collection::vec("(content-length|Transfer-Encoding|Host|X-A|Connection|te)[ _]?:[ \t]?(3|chunked|keep-alive|\\x0b|h|a\tb|\u{e4})(\r\n|\n|\r)", 0..6),
            cut in 0_usize..200,
        ) {
            let text = format!("POST /s/x HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n{}\r\n", lines.concat());
            let mut place = place();
            if let Seen::Plain(first) = request(text.as_bytes(), &mut place, HEADERS_MAX) {
                let mut out = Vec::new();
                first.write(&Towards { host: b"m", prefix: "", path: first.path, version: b"1", id: b"i" }, &mut out);
                let mut again = super::place();
                let Seen::Plain(second) = request(&out, &mut again, HEADERS_MAX) else { panic!("{out:?}") };
                prop_assert_eq!((second.method, second.path, second.length, second.body), ("POST", "/s/x", out.len(), first.body));
                prop_assert!(cut >= first.length || matches!(request(&text.as_bytes()[..cut], &mut super::place(), HEADERS_MAX), Seen::Part));
            }
        }
    }
}
