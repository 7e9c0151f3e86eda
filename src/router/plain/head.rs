//! Heads of plain requests and answers. httparse reads them; what it does not take, and what says more than this
//! understands, is odd.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

/// Headers that are looked at.
pub const HEADERS_MAX: usize = 100;
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

impl<'b> Request<'_, 'b> {
    /// Name and value of each header.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + Clone {
        self.headers.iter().map(|header| (header.name, header.value))
    }
}

/// An answer whose length is known.
pub struct Answer<'h, 'b> {
    pub status: u16,
    pub reason: &'b str,
    pub headers: &'h [Header<'b>],
    /// Bytes of the head.
    pub length: usize,
    /// Bytes of the body.
    pub body: u64,
    /// The model server closes the connection after it.
    pub is_last: bool,
    pub is_dated: bool,
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
        Ok(Status::Complete(length)) if length <= BYTES_MAX => length,
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
        Ok(Status::Complete(length)) if length <= BYTES_MAX => length,
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

/// Names have no case.
pub fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Of digits alone, as everybody reads it: not so many that it could overflow, and none before the first that counts.
fn number(text: &[u8]) -> Option<u64> {
    let is_plain =
        (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) && (text[0] != b'0' || text.len() == 1);
    is_plain.then(|| text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// Characters of a path and query that need no second look.
fn is_plain_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::write::Towards;
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
            "content-length: 03\r\n",
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
        let long = format!("GET /s HTTP/1.1\r\nhost: h\r\nx: {}", "a".repeat(BYTES_MAX));
        assert_eq!((seen(&long), seen(&format!("{long}\r\n\r\n"))), ("odd".to_owned(), "odd".to_owned()));
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
