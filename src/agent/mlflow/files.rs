//! Artifact bytes in HTTP: paths, ranges, types, and bodies that stream.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::GetRange;
use serde::Serialize;

use super::answer::Answer;
use crate::agent::App;
use crate::base::{Fault, fault::Result};
use crate::db::blobs::{Entry, clean_path};

/// A path below some root, as clients send it: `.` and doubled slashes inside of it mean nothing.
///
/// # Errors
/// `Invalid`: "Invalid path", as `MLflow` says it.
pub(super) fn safe_path(path: &str) -> Result<String> {
    let invalid = || Fault::invalid("Invalid path");
    if path.starts_with('/') || path.contains('#') {
        return Err(invalid());
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    clean_path(&parts.join("/")).map_err(|_| invalid())
}

/// A path below a root, which may be the root itself.
pub(super) fn below(root: &str, path: &str) -> String {
    match (root.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => root.to_owned(),
        _ => format!("{root}/{path}"),
    }
}

/// An entry of a listing.
#[derive(Serialize)]
pub(super) struct FileShape {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

/// Entries of a folder, their paths beginning with `folder`.
pub(super) fn files(entries: Vec<Entry>, folder: &str) -> Vec<FileShape> {
    let shape = |e: Entry| FileShape {
        path: below(folder, &e.name),
        is_dir: e.is_dir,
        file_size: (!e.is_dir).then_some(e.size),
    };
    entries.into_iter().map(shape).collect()
}

/// What a Range header asks for. Several ranges at once are answered with the whole file, as HTTP allows.
fn asked_range(headers: &HeaderMap) -> Option<GetRange> {
    let (first, last) = headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", n) => n.parse().ok().map(GetRange::Suffix),
        (from, "") => from.parse().ok().map(GetRange::Offset),
        (from, to) => {
            let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
            (from <= to).then(|| GetRange::Bounded(from..to.saturating_add(1)))
        }
    }
}

fn begins_beyond(range: &GetRange, size: u64) -> bool {
    match range {
        GetRange::Bounded(r) => r.start >= size,
        GetRange::Offset(from) => *from >= size,
        GetRange::Suffix(n) => *n == 0 || size == 0,
    }
}

/// A file as a download.
pub(in crate::agent) async fn download(app: &App, path: &str, headers: &HeaderMap) -> Answer {
    let artifacts = &app.ctx().artifacts;
    let size = artifacts.size(path).await?;
    let range = asked_range(headers);
    if range.as_ref().is_some_and(|r| begins_beyond(r, size)) {
        let whole = [(CONTENT_RANGE, format!("bytes */{size}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
    }
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let content = artifacts.get(path, range).await?;
    let mut response = Response::new(Body::from_stream(content.stream));
    *response.status_mut() = status;
    let name = path.rsplit('/').next().unwrap_or(path);
    let answered = response.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    answered.insert(CONTENT_DISPOSITION, attachment(name));
    answered.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answered.insert(CONTENT_LENGTH, (content.range.end - content.range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{}", content.range.start, content.range.end.saturating_sub(1), content.size);
        if let Ok(place) = HeaderValue::from_str(&place) {
            answered.insert(CONTENT_RANGE, place);
        }
    }
    Ok(response)
}

/// Always a download: nothing that someone logged may run as a page of this server.
fn attachment(name: &str) -> HeaderValue {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(c);
    let mut value = if name.chars().all(plain) {
        format!("attachment; filename={name}")
    } else {
        let ascii: String = name.chars().filter(|c| (' '..='~').contains(c) && !"\"\\".contains(*c)).collect();
        format!("attachment; filename=\"{}\"", if ascii.is_empty() { "download" } else { &ascii })
    };
    if !name.is_ascii() {
        value.push_str("; filename*=UTF-8''");
        value.push_str(&percent_encoded(name, |b| plain(char::from(b))));
    }
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

/// A text with all bytes but the plain ones as percent signs.
pub(super) fn percent_encoded(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Media type by extension; everything that people read is plain text, as `MLflow` has it.
fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or(name, |(_, e)| e).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "log" | "err" | "cfg" | "conf" | "cnf" | "cf" | "ini" | "properties" | "prop" | "hocon" | "toml"
        | "yaml" | "yml" | "xml" | "json" | "js" | "py" | "py3" | "csv" | "tsv" | "md" | "rst" | "ipynb"
        | "mlmodel" | "mlproject" => "text/plain",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "tar" => "application/x-tar",
        "mp3" => "audio/mpeg",
        "wav" => "audio/x-wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// The body, unless it says itself that it is too large.
pub(in crate::agent) fn body_of(request: Request, bytes_max: u64) -> Result<Body> {
    let said = request.headers().get(CONTENT_LENGTH).and_then(|l| l.to_str().ok()).and_then(|l| l.parse::<u64>().ok());
    if said.is_some_and(|n| n > bytes_max) {
        return Err(Fault::invalid(format!("the artifact is larger than {bytes_max} bytes"))
            .next("raise agent.artifact_bytes_max, or store it elsewhere and log where"));
    }
    Ok(request.into_body())
}

/// A part of a path as it stands in a URL.
pub(in crate::agent) fn encoded(part: &str) -> String {
    percent_encoded(part, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// A request's body as a stream that ends with an error beyond `bytes_max`.
pub(in crate::agent) fn limited(body: Body, bytes_max: u64) -> impl Stream<Item = Result<Bytes, String>> + Unpin {
    let mut left = bytes_max;
    body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(|e| e.to_string())?;
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| format!("it is larger than {bytes_max} bytes"))?;
        Ok(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        assert_eq!(safe_path("a/./b//c.txt/").unwrap(), "a/b/c.txt");
        assert_eq!(safe_path(".").unwrap(), "");
        for bad in ["/a", "..", "a/../b", "a\\b", "a#1", "%2e%2e/a", "C:/x"] {
            assert_eq!(safe_path(bad).unwrap_err().to_string(), "Invalid path", "{bad}");
        }
    }

    #[test]
    fn ranges_as_http_writes_them() {
        let range = |text: &str| asked_range(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]));
        assert_eq!(range("bytes=0-9"), Some(GetRange::Bounded(0..10)));
        assert_eq!(range("bytes=990-"), Some(GetRange::Offset(990)));
        assert_eq!(range("bytes=-5"), Some(GetRange::Suffix(5)));
        for whole in ["bytes=5-1", "bytes=0-1,4-5", "lines=1-2", "bytes=a-b"] {
            assert_eq!(range(whole), None, "{whole}");
        }
    }

    #[test]
    fn odd_names_make_a_header_that_browsers_read() {
        assert_eq!(attachment("a.txt"), "attachment; filename=a.txt");
        assert_eq!(attachment("a b\".txt"), "attachment; filename=\"a b.txt\"");
        assert_eq!(attachment("ü.txt"), "attachment; filename=\".txt\"; filename*=UTF-8''%C3%BC.txt");
    }
}
