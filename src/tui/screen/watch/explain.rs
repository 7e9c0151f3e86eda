//! Where a number comes from: what it is, on how many observations it stands, of which window, how old, and the line that gives it again.

use crate::base::{Timestamp, show};
use crate::capability::drift::ColumnDrift;
use crate::capability::fleet::{Live, Watched};
use crate::capability::monitoring::incident::Raised;
use crate::capability::monitoring::quality::{Metric, SliceQuality};
use crate::tui::ask::shell_word;
use crate::tui::format;
use crate::tui::overlay::Explained;

/// The read that gives the page's numbers again.
pub fn query(page: &Live, verb: &str, version: Option<&str>) -> String {
    let seconds = (page.window.to.0 - page.window.from.0) / 1_000_000;
    let version = version.map_or(String::new(), |v| format!(" --version {}", shell_word(v)));
    format!("opsroom {verb} {} --window {seconds}s --to {}{version}", shell_word(&page.service), page.window.to)
}

fn window(page: &Live) -> String {
    format!(
        "{} to {} ({})",
        show::moment(page.window.from),
        show::moment(page.window.to),
        show::between(page.window.from, page.window.to)
    )
}

fn figure(m: &Metric) -> String {
    let range =
        m.low.zip(m.high).map_or(String::new(), |(l, h)| format!("  95 %: {} to {}", show::metric(l), show::metric(h)));
    format!("{}{range}  n={}", show::metric(m.value), format::count(m.n))
}

fn rows(list: Vec<(&str, String)>) -> Vec<(String, String)> {
    list.into_iter().filter(|(_, text)| !text.is_empty()).map(|(a, b)| (a.to_owned(), b)).collect()
}

fn age(now: Timestamp, last: Timestamp) -> String {
    if last.0 <= 0 {
        "never".to_owned()
    } else {
        format!("{} (newest prediction {})", format::age(now, last), show::moment(last))
    }
}

/// The quality of one version.
pub fn quality(page: &Live, v: &Watched, now: Timestamp) -> Explained {
    let q = &v.quality;
    let all = |of: &std::collections::BTreeMap<String, Metric>| -> String {
        of.iter().map(|(k, m)| format!("{k} {}", show::metric(m.value))).collect::<Vec<_>>().join("  ")
    };
    let stands = if page.raised { ", and an alert stands" } else { "" };
    let bound = page.bound.map_or(String::new(), |b| format!("bad when {} {}{stands}", page.metric, b.shown()));
    let coverage = q.coverage.map_or(String::new(), |c| {
        let delay = q
            .label_delay
            .map_or(String::new(), |(p50, p90)| format!(", after {} (90 %: {})", show::span(p50), show::span(p90)));
        format!("{} of {} predictions{delay}", super::words::per_cent(c) + " %", format::count(q.n))
    });
    let mut list = vec![
        ("measured", q.metrics.get(&page.metric).map_or("no labels in this window".to_owned(), figure)),
        ("estimated", q.estimated.get(&page.metric).map_or(String::new(), figure)),
        ("rule", bound),
        ("labels", coverage),
        ("all", all(&q.metrics)),
        ("without labels", all(&q.estimated)),
        ("window", window(page)),
        ("age", age(now, q.last)),
    ];
    list.extend(q.warnings.iter().map(|w| ("warning", w.clone())));
    Explained::new(
        format!("{} of {} {}", page.metric, page.service, super::words::version(&v.version)),
        rows(list),
        query(page, "quality", Some(&v.version)),
    )
}

/// The drift of one column.
pub fn drift(page: &Live, v: &Watched, c: &ColumnDrift, now: Timestamp) -> Explained {
    let number = |x: Option<f64>| x.map_or(String::new(), show::metric);
    let share = |x: f64| format!("{} %", super::words::per_cent(x));
    let verdict = match (c.psi, c.alarm) {
        (None, _) => "too few rows to say".to_owned(),
        (_, true) => "beyond chance and of weight: an alarm".to_owned(),
        (_, false) => "no alarm".to_owned(),
    };
    let list = vec![
        ("PSI", format!("{}  n={}", number(c.psi), format::count(c.n))),
        ("limit", c.limit.map_or(String::new(), |l| format!("{} for so many rows and columns", show::metric(l)))),
        ("verdict", verdict),
        ("by chance", c.p.map_or(String::new(), |p| format!("p = {}", show::metric(p)))),
        ("against", c.reference.clone()),
        ("missing", format!("{} → {}", share(c.missing_reference), share(c.missing))),
        ("new categories", if c.new > 0.0 { share(c.new) } else { String::new() }),
        ("out of range", if c.outside > 0.0 { share(c.outside) } else { String::new() }),
        ("JS distance", number(c.js)),
        ("KS lies in", c.ks.map_or(String::new(), |(a, b)| format!("{} to {}", show::metric(a), show::metric(b)))),
        ("Wasserstein", c.wasserstein.map_or(String::new(), |w| format!("{} standard deviations", show::metric(w)))),
        ("window", window(page)),
        ("age", age(now, v.quality.last)),
    ];
    Explained::new(
        format!("drift of {} in {} {}", c.name, page.service, super::words::version(&v.version)),
        rows(list),
        query(page, "drift", Some(&v.version)),
    )
}

/// One slice of a version.
pub fn slice(page: &Live, v: &Watched, s: &SliceQuality, now: Timestamp) -> Explained {
    let share = |x: f64| format!("{} %", super::words::per_cent(x));
    let list = vec![
        (
            s.metric.as_str(),
            format!("{}  n={} labelled of {}", show::metric(s.value), format::count(s.labelled), format::count(s.n)),
        ),
        (
            "share of loss",
            format!("{} of all mistakes, beside {} of all labels", share(s.loss_share), share(s.label_share)),
        ),
        ("window", window(page)),
        ("age", age(now, v.quality.last)),
    ];
    Explained::new(
        format!("{} of {} {}", s.slice, page.service, super::words::version(&v.version)),
        rows(list),
        format!("{} --slice {}", query(page, "quality", Some(&v.version)), shell_word(&s.slice)),
    )
}

/// Requests, errors and latency.
pub fn traffic(page: &Live, v: &Watched, now: Timestamp) -> Explained {
    let q = &v.quality;
    let latency = q.latency_ms.map_or("nobody told".to_owned(), |(a, b, c)| {
        format!("{} ms median, {} ms at 95 %, {} ms at 99 %", show::metric(a), show::metric(b), show::metric(c))
    });
    let tokens = if q.input_tokens + q.output_tokens > 0 {
        format!("{} in, {} out", format::count(q.input_tokens), format::count(q.output_tokens))
    } else {
        String::new()
    };
    let list = vec![
        ("predictions", format::count(q.n)),
        (
            "errors",
            format!("{} ({} %)", format::count(q.errors), super::words::per_cent(q.errors as f64 / q.n.max(1) as f64)),
        ),
        ("latency", latency),
        ("tokens", tokens),
        ("batch", q.batch.as_ref().map_or(String::new(), |(b, at)| format!("{b}, came {}", show::moment(*at)))),
        ("window", window(page)),
        ("age", age(now, q.last)),
    ];
    Explained::new(
        format!("traffic of {} {}", page.service, super::words::version(&v.version)),
        rows(list),
        query(page, "quality", Some(&v.version)),
    )
}

/// What raised an incident.
pub fn alert(raised: &Raised, now: Timestamp) -> Explained {
    let a = &raised.alert;
    let list = vec![
        ("alert", a.rule.clone()),
        ("what", a.what.clone()),
        ("n", format::count(a.n)),
        ("window", format!("{} to {}", show::moment(a.from), show::moment(a.to))),
        ("raised", format!("{} ({} ago)", show::moment(raised.at), format::age(now, raised.at))),
        ("cleared", raised.cleared.map_or(String::new(), show::moment)),
    ];
    Explained::new(a.what.clone(), rows(list), a.query.clone())
}
