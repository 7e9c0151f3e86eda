//! Predictions and labels on their way in, and what they come to: quality and drift.

use std::borrow::Cow;
use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use futures::StreamExt;
use serde::Deserialize;

use super::super::App;
use super::super::fault::Own;
use super::super::json::Json;
use crate::base::fault::Result as OfOurs;
use crate::base::{Fault, Timestamp};
use crate::capability::drift::{self, Against, DriftReport};
use crate::capability::monitoring::counters::{
    Accepted, BODY_BYTES_MAX, Parsed, Recount, Standing, parse_labels, parse_predictions_with,
};
use crate::capability::monitoring::quality::{self, Asked, QualityReport};

type Answer<T> = Result<Json<T>, Own>;

/// So long a body may stand still on its way.
const STILL_MAX: Duration = Duration::from_secs(30);

pub(super) async fn predictions(State(app): State<App>, request: Request) -> Answer<Accepted> {
    let now = app.now();
    let spare = app.ctx().counters.spare();
    let parsed = read(&app, request, move |body| parse_predictions_with(&spare, body, now)).await?;
    Ok(Json(app.ctx().counters.predictions(parsed, now).await?))
}

pub(super) async fn labels(State(app): State<App>, request: Request) -> Answer<Accepted> {
    let now = app.now();
    let parsed = read(&app, request, move |body| parse_labels(body, now)).await?;
    Ok(Json(app.ctx().counters.labels(parsed, now).await?))
}

/// Receives a body when there is room for it, and has it read when it is its turn.
async fn read<T: Send + 'static>(
    app: &App,
    request: Request,
    parse: impl FnOnce(&[u8]) -> OfOurs<Parsed<T>> + Send + 'static,
) -> OfOurs<Parsed<T>> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if length.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let (head, body) = request.into_parts();
    let admitted = match app.ctx().counters.admit(length, app.now()).await {
        Ok(admitted) => admitted,
        Err(fault) => {
            // Whoever is still sending hears no answer.
            received(body, |_| {}).await?;
            return Err(fault);
        }
    };
    let spare = app.ctx().counters.spare();
    let mut whole = spare.body(length.unwrap_or_default());
    received(body, |part| whole.extend_from_slice(part)).await?;
    let work = move || {
        let parsed = unpacked(&head.headers, &whole).and_then(|body| parse(&body));
        spare.keep_body(whole);
        parsed
    };
    admitted.read(work).await
}

async fn received(body: Body, mut take: impl FnMut(&[u8])) -> OfOurs<()> {
    let (mut parts, mut bytes) = (body.into_data_stream(), 0);
    loop {
        let Ok(part) = tokio::time::timeout(STILL_MAX, parts.next()).await else {
            return Err(Fault::unavailable("the body did not come")
                .why(format!("nothing came for {} s", STILL_MAX.as_secs()))
                .next("send it again"));
        };
        let Some(part) = part else { return Ok(()) };
        let part = part.map_err(|e| Fault::invalid("the body broke off").why(e.to_string()))?;
        bytes += part.len();
        if bytes > BODY_BYTES_MAX {
            return Err(too_long());
        }
        take(&part);
    }
}

fn too_long() -> Fault {
    Fault::invalid(format!("the body has more than {} MiB", BODY_BYTES_MAX >> 20)).next("send it in parts")
}

/// The body as it was before it was compressed, up to a limit.
fn unpacked<'a>(headers: &HeaderMap, body: &'a [u8]) -> OfOurs<Cow<'a, [u8]>> {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("identity");
    let bad = |e: std::io::Error| Fault::invalid(format!("the body is no {encoding}")).why(e.to_string());
    let limit = BODY_BYTES_MAX as u64 + 1;
    let mut plain = Vec::new();
    match encoding.to_ascii_lowercase().as_str() {
        "identity" | "" => return fits(Cow::Borrowed(body)),
        "gzip" | "x-gzip" => {
            flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain).map_err(bad)?;
        }
        "zstd" => {
            zstd::Decoder::new(body).map_err(bad)?.take(limit).read_to_end(&mut plain).map_err(bad)?;
        }
        _ => {
            return Err(
                Fault::invalid(format!("content-encoding {encoding} is not known")).next("send gzip, zstd, or none")
            );
        }
    }
    fits(Cow::Owned(plain))
}

fn fits(body: Cow<'_, [u8]>) -> OfOurs<Cow<'_, [u8]>> {
    if body.len() > BODY_BYTES_MAX { Err(too_long()) } else { Ok(body) }
}

pub(super) async fn standing(State(app): State<App>) -> Json<Standing> {
    Json(app.ctx().counters.standing())
}

#[derive(Deserialize)]
pub(super) struct Of {
    /// Seconds.
    #[serde(default)]
    window: Option<u64>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    slice: Option<String>,
    /// `season`, or another version.
    #[serde(default)]
    against: Option<String>,
}

impl Of {
    fn asked(self) -> OfOurs<Asked> {
        let to = self.to.filter(|t| !t.is_empty()).map(|t| moment(&t)).transpose()?;
        Ok(Asked { window: self.window.unwrap_or(3600), to, version: self.version, slice: self.slice })
    }
}

pub(super) fn moment(text: &str) -> OfOurs<Timestamp> {
    Timestamp::parse(text)
        .ok_or_else(|| Fault::invalid(format!("not a time: {text}")).next("write it as 2026-05-03T14:00:00Z"))
}

pub(super) async fn quality(
    State(app): State<App>,
    Path(service): Path<String>,
    Query(of): Query<Of>,
) -> Answer<QualityReport> {
    Ok(Json(quality::report(&app.ctx().counters, &service, &of.asked()?, app.now()).await?))
}

pub(super) async fn drift(
    State(app): State<App>,
    Path(service): Path<String>,
    Query(of): Query<Of>,
) -> Answer<DriftReport> {
    let (counters, now) = (&app.ctx().counters, app.now());
    let against = of.against.clone();
    let asked = of.asked()?;
    Ok(Json(match against.filter(|a| !a.is_empty()) {
        None => drift::report(counters, &service, &asked, now).await?,
        Some(what) => drift::against(counters, &service, &asked, &Against::named(&what), now).await?,
    }))
}

pub(super) async fn recount(State(app): State<App>, Path(service): Path<String>) -> Answer<Recount> {
    Ok(Json(app.ctx().counters.recount(&service).await?))
}
