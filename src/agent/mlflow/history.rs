//! `metrics/…`: histories, written number by number into one buffer.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::answer::{Answer, page_offset, page_token, written};
use super::asked::{Asked, invalid};
use super::form::form;
use super::runs::run_id;
use crate::agent::App;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::capability::tracking::points::{self, Point};
use crate::capability::tracking::types::number;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/metrics/get-history", get(one))
        .route("/metrics/get-history-bulk", get(bulk))
        .route("/metrics/get-history-bulk-interval", get(interval))
}

form! {
    One { run_id: Text, run_uuid: Text, metric_key: Text required, max_results: Int, page_token: Text }
    Bulk { run_id: Texts, metric_key: Text, max_results: Int }
    Interval { run_ids: Texts required, metric_key: Text required, start_step: Int, end_step: Int, max_results: Int }
}

const RUNS_MAX: usize = 100;
const BULK_POINTS_MAX: usize = 25_000;
const INTERVAL_POINTS_MAX: i64 = 2500;
/// About what a written point takes.
const POINT_BYTES: usize = 96;

/// The list `metrics` of an answer.
struct Metrics {
    out: Vec<u8>,
    /// `{"key":…,"value":`
    head: Vec<u8>,
    any: bool,
}

impl Metrics {
    fn new(key: &str, points: usize) -> Result<Self> {
        let key = serde_json::to_string(key)
            .map_err(|e| Fault::bug("a metric's key cannot be written").why(e.to_string()))?;
        let head = format!("{{\"key\":{key},\"value\":").into_bytes();
        let mut out = Vec::with_capacity(64 + points * (POINT_BYTES + head.len()));
        out.push(b'{');
        Ok(Self { out, head, any: false })
    }

    fn push(&mut self, point: Point, run: Option<&str>) {
        self.out.extend_from_slice(if self.any { b"," } else { b"\"metrics\":[" });
        self.any = true;
        self.out.extend_from_slice(&self.head);
        match number::word(point.value) {
            None => self.out.extend_from_slice(ryu::Buffer::new().format_finite(point.value).as_bytes()),
            Some(word) => {
                self.out.push(b'"');
                self.out.extend_from_slice(word.as_bytes());
                self.out.push(b'"');
            }
        }
        let mut digits = itoa::Buffer::new();
        self.out.extend_from_slice(b",\"timestamp\":");
        self.out.extend_from_slice(digits.format(point.timestamp).as_bytes());
        self.out.extend_from_slice(b",\"step\":");
        self.out.extend_from_slice(digits.format(point.step).as_bytes());
        if let Some(run) = run {
            self.out.extend_from_slice(b",\"run_id\":\"");
            self.out.extend_from_slice(run.as_bytes());
            self.out.push(b'"');
        }
        self.out.push(b'}');
    }

    /// Ends the answer; `always` writes an empty list too.
    fn end(mut self, next: Option<usize>, always: bool) -> axum::response::Response {
        if self.any {
            self.out.push(b']');
        } else if always {
            self.out.extend_from_slice(b"\"metrics\":[]");
        }
        if let Some(offset) = next {
            let token = page_token(offset);
            self.out.extend_from_slice(format!(",\"next_page_token\":\"{token}\"").as_bytes());
        }
        self.out.push(b'}');
        written(self.out)
    }
}

async fn one(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: One<'_> = asked.form()?;
    let max = form.max_results.map(|n| n.0);
    if let Some(max) = max.filter(|n| *n <= 0) {
        return Err(invalid("max_results", &max.into(), "It must be a positive integer.").into());
    }
    let offset = page_offset(form.page_token.as_deref())?;
    let key = form.metric_key.unwrap_or_default();
    // A run that is not here has no history; that is no error.
    let history = match run_id(form.run_id.as_ref(), form.run_uuid.as_ref()) {
        Ok(id) => app.ctx().tracking.history(id, &key).await?,
        Err(fault) if fault.kind == crate::base::Kind::NotFound => Vec::new(),
        Err(fault) => return Err(fault.into()),
    };
    let rest = history.get(offset..).unwrap_or_default();
    let page = max.and_then(|m| usize::try_from(m).ok()).map_or(rest, |m| &rest[..rest.len().min(m)]);
    let mut metrics = Metrics::new(&key, page.len())?;
    page.iter().for_each(|p| metrics.push(*p, None));
    Ok(metrics.end((page.len() < rest.len()).then_some(offset + page.len()), false))
}

async fn bulk(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Bulk<'_> = asked.form()?;
    let mut runs = form.run_id.unwrap_or_default();
    if runs.is_empty() {
        return Err(Fault::invalid("GetMetricHistoryBulk request must specify at least one run_id.").into());
    }
    if runs.len() > RUNS_MAX {
        let n = runs.len();
        let what =
            format!("GetMetricHistoryBulk request cannot specify more than {RUNS_MAX} run_ids. Received {n} run_ids.");
        return Err(Fault::invalid(what).into());
    }
    let Some(key) = form.metric_key else {
        return Err(Fault::invalid("GetMetricHistoryBulk request must specify a metric_key.").into());
    };
    let max = form.max_results.map_or(BULK_POINTS_MAX, |n| usize::try_from(n.0).unwrap_or(0).min(BULK_POINTS_MAX));
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    runs.dedup();
    let mut left = max;
    let mut metrics = Metrics::new(&key, max.min(4096))?;
    for run in &runs {
        let Ok(id) = run.parse::<RunId>() else { continue };
        if left == 0 {
            break;
        }
        let history = app.ctx().tracking.history(id, &key).await?;
        let taken = history.len().min(left);
        left -= taken;
        history[..taken].iter().for_each(|p| metrics.push(*p, Some(run)));
    }
    Ok(metrics.end(None, true))
}

async fn interval(State(app): State<App>, mut asked: Asked) -> Answer {
    let form: Interval<'_> = asked.form()?;
    let runs = form.run_ids.unwrap_or_default();
    if runs.len() > RUNS_MAX {
        let n = runs.len();
        let what = format!(
            "GetMetricHistoryBulkInterval request must specify at most {RUNS_MAX} run_ids. Received {n} run_ids."
        );
        return Err(Fault::invalid(what).into());
    }
    let max = form.max_results.map_or(INTERVAL_POINTS_MAX, |n| n.0);
    let max = usize::try_from(max).ok().filter(|_| (1..=INTERVAL_POINTS_MAX).contains(&max));
    let max = max.ok_or_else(|| Fault::invalid(format!("max_results must be between 1 and {INTERVAL_POINTS_MAX}.")))?;
    let steps = match (form.start_step, form.end_step) {
        (None, None) => i64::MIN..=i64::MAX,
        (Some(start), Some(end)) if start.0 <= end.0 => start.0..=end.0,
        (Some(start), Some(end)) => {
            let (start, end) = (start.0, end.0);
            let what =
                format!("end_step must be greater than start_step. Found start_step={start} and end_step={end}.");
            return Err(Fault::invalid(what).into());
        }
        _ => {
            let what = "If either start step or end step are specified, both must be specified.";
            return Err(Fault::invalid(what).into());
        }
    };
    let key = form.metric_key.unwrap_or_default();
    let mut metrics = Metrics::new(&key, (max * runs.len()).min(50_000))?;
    for run in &runs {
        let Ok(id) = run.parse::<RunId>() else { continue };
        let mut history = app.ctx().tracking.history(id, &key).await?;
        history.retain(|p| steps.contains(&p.step));
        points::order_by_step(&mut history);
        points::thin_evenly(&history, max).into_iter().for_each(|p| metrics.push(p, Some(run)));
    }
    Ok(metrics.end(None, false))
}
