//! A request as far as it was looked at, and as its model server gets it.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::BytesMut;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::{request, uri::PathAndQuery};
use hyper::{Method, Request, StatusCode, Uri};

use super::client::Open;
use super::live::LiveArm;
use super::passing::{Answer, refuse};
use super::plain::Begun;
use super::pool::Outgoing;
use super::tap::BODY_BYTES_MAX;
use super::told::{PREDICTION, VERSION};
use super::upstream::Upstream;
use crate::base::Timestamp;
use crate::base::clock::Stopwatch;
use crate::base::id::{UUID_TEXT, uuid7_at};
use crate::capability::rollout::{Route, StickyKey};

/// Where a request went to already.
pub struct Gone {
    pub upstream: Arc<Upstream>,
    /// Takes the request without sending it, and reads its answer.
    pub connection: SendRequest<Outgoing>,
    /// Since it was to be sent first.
    pub watch: Stopwatch,
    /// Since it was to be sent over this connection.
    pub since: Stopwatch,
    /// It is not sent once more.
    pub fresh: bool,
}

/// Everything is taken out of it when it is sent, so that the many bytes of a request are moved once.
pub struct Asked {
    pub id: HeaderValue,
    pub came: Timestamp,
    pub method: Method,
    pub headers: HeaderMap,
    /// The body where it is held whole.
    pub whole: Option<Bytes>,
    pub begun: Option<Gone>,
    uri: Uri,
    /// Bytes of the path before what is below the service.
    skip: usize,
    body: Outgoing,
}

impl Asked {
    /// Without its body. It has a place of its own, so that a future that holds it is small.
    pub fn new(parts: request::Parts, skip: usize, came: Timestamp) -> Box<Self> {
        let headers = parts.headers;
        let id = id(header(&headers, PREDICTION.as_str()).cloned(), came);
        let body = Either::Left(Full::default());
        Box::new(Self { id, came, method: parts.method, headers, whole: None, begun: None, uri: parts.uri, skip, body })
    }

    /// The rest of a request that went to its model server already.
    pub fn go_on(&mut self, begun: Begun) -> Open {
        let Begun { open, id, came, gone } = begun;
        (self.id, self.came, self.begun) = (id, came, Some(gone));
        open
    }

    /// Reads as much of the body as is needed to decide.
    ///
    /// # Errors
    /// What the client is answered instead.
    pub async fn take(&mut self, route: &Route, body: Incoming) -> Result<(), Answer> {
        let limit = usize::try_from(route.limits.body_bytes_max).unwrap_or(usize::MAX);
        let length = body.size_hint().exact();
        if length.is_some_and(|n| n > route.limits.body_bytes_max) {
            return Err(too_long(limit));
        }
        let small = length.is_some_and(|n| n <= BODY_BYTES_MAX as u64);
        let body = Limited::new(body, limit);
        if small || matches!(route.key, StickyKey::Json(_)) {
            match whole(body).await {
                Ok(whole) => {
                    self.body = Either::Left(Full::new(whole.clone()));
                    self.whole = Some(whole);
                }
                Err(e) if e.is::<LengthLimitError>() => return Err(too_long(limit)),
                Err(e) => return Err(refuse(StatusCode::BAD_REQUEST, "the body broke off", &e.to_string())),
            }
        } else {
            self.body = Either::Right(body);
        }
        strip_hop(&mut self.headers, self.whole.as_ref().map(|whole| whole.len() as u64));
        Ok(())
    }

    /// Once more, where the body is held whole.
    pub fn copy(&self) -> Option<Box<Self>> {
        let whole = self.whole.clone()?;
        Some(Box::new(Self {
            id: self.id.clone(),
            came: self.came,
            method: self.method.clone(),
            headers: self.headers.clone(),
            begun: None,
            uri: self.uri.clone(),
            skip: self.skip,
            body: Either::Left(Full::new(whole.clone())),
            whole: Some(whole),
        }))
    }

    /// The request as the model server gets it. Headers and body go there and are not here any more.
    pub fn outgoing(&mut self, upstream: &Upstream, arm: &LiveArm) -> Option<Request<Outgoing>> {
        let path = self.uri.path_and_query().map_or("/", PathAndQuery::as_str).get(self.skip..)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = Bytes::from([&upstream.prefix, slash, path].concat());
        let mut request = Request::new(std::mem::replace(&mut self.body, Either::Left(Full::default())));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = PathAndQuery::from_maybe_shared(path).ok()?.into();
        *request.headers_mut() = std::mem::take(&mut self.headers);
        let headers = request.headers_mut();
        headers.insert(header::HOST, upstream.host.clone());
        headers.insert(PREDICTION, self.id.clone());
        headers.insert(VERSION, arm.header.clone());
        Some(request)
    }
}

/// A header's first value. A request has few headers: to compare their names costs less than to hash this one.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    headers.iter().find(|(one, _)| one.as_str().eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn too_long(limit: usize) -> Answer {
    let what = format!("the body is longer than {limit} bytes");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, &what, "send less at a time")
}

/// A whole body. Most come in one piece, which is not copied.
async fn whole(mut body: Limited<Incoming>) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let Some(first) = body.frame().await else { return Ok(Bytes::new()) };
    let first = first?.into_data().unwrap_or_default();
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut all = first.to_vec();
    while let Some(frame) = body.frame().await {
        all.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok(all.into())
}

/// Who asks twice with one id is the same request.
pub fn id(given: Option<HeaderValue>, came: Timestamp) -> HeaderValue {
    let given = given.filter(|id| (1..=128).contains(&id.len()) && id.to_str().is_ok());
    given.unwrap_or_else(|| fresh_id(came))
}

/// An id for a request that brings none. A thread's ids lie in pieces of memory that many of them share.
fn fresh_id(came: Timestamp) -> HeaderValue {
    const PIECE: usize = 128 * UUID_TEXT;
    thread_local! {
        static PLACE: RefCell<BytesMut> = RefCell::default();
    }
    let text = PLACE.with_borrow_mut(|place| {
        if place.capacity() < UUID_TEXT {
            *place = BytesMut::with_capacity(PIECE);
        }
        place.extend_from_slice(&uuid7_at(came));
        place.split().freeze()
    });
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

/// Whether a header holds between two neighbours only and is not passed on; the body is framed anew on each side. Names are
/// compared with those of their length: most need no look.
pub fn is_hop(name: &str) -> bool {
    let hops: &[&str] = match name.len() {
        2 => &["te"],
        6 => &["expect"],
        7 => &["trailer", "upgrade"],
        10 => &["connection", "keep-alive"],
        14 => &["content-length"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => return false,
    };
    hops.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// Takes away what holds between two neighbours only, and what `Connection` names; a content length stays where it is the
/// length that the body really has. Few requests have more than one of these, so that looking costs less than removing
/// each.
pub fn strip_hop(headers: &mut HeaderMap, length: Option<u64>) {
    // What nearly every answer says names no header.
    let plain = |line: &HeaderValue| {
        let line = line.as_bytes();
        line.eq_ignore_ascii_case(b"keep-alive") || line.eq_ignore_ascii_case(b"close")
    };
    if !headers.get_all(header::CONNECTION).iter().all(plain) {
        let lines = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
        let names = lines.flat_map(|line| line.split(',')).filter_map(|name| name.trim().parse().ok());
        for name in names.collect::<Vec<HeaderName>>() {
            headers.remove(name);
        }
    }
    let says = |value: &HeaderValue, n: u64| value.as_bytes() == itoa::Buffer::new().format(n).as_bytes();
    let stays = length.is_some_and(|n| headers.get(header::CONTENT_LENGTH).is_some_and(|value| says(value, n)));
    let leaves = |name: &&HeaderName| is_hop(name.as_str()) && !(stays && **name == header::CONTENT_LENGTH);
    while let Some(name) = headers.keys().find(leaves).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_between_neighbours_goes_and_a_length_stays_where_it_is_true() {
        let stripped = |lines: &[(&'static str, &'static str)], length: Option<u64>| {
            let named = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let mut headers: HeaderMap = lines.iter().map(named).collect();
            strip_hop(&mut headers, length);
            let mut left: Vec<String> = headers.keys().map(ToString::to_string).collect();
            left.sort();
            left.join(" ")
        };
        let all = [("connection", "keep-alive, x-mine"), ("x-mine", "1"), ("te", "trailers"), ("x-other", "2")];
        assert_eq!(stripped(&all, None), "x-other");
        let framed = [("content-length", "12"), ("transfer-encoding", "chunked"), ("accept", "*/*")];
        assert_eq!(stripped(&framed, Some(12)), "accept content-length");
        assert_eq!(stripped(&framed, Some(13)), "accept");
        assert_eq!(stripped(&framed, None), "accept");
        assert_eq!(stripped(&[("content-length", "+12")], Some(12)), "");
        assert_eq!(stripped(&[("connection", "content-length"), ("content-length", "12")], Some(12)), "");
    }

    #[test]
    fn ids_share_memory_and_differ() {
        let ids: std::collections::BTreeSet<Vec<u8>> =
            (0..1000).map(|_| fresh_id(Timestamp(1_700_000_000_000_000)).as_bytes().to_vec()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == UUID_TEXT && id.starts_with(b"018bcfe5-6800-7")));
    }
}
