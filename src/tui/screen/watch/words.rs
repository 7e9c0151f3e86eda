//! How live figures are said: values with their state, ages, changes, and the names of versions.

use crate::base::{Timestamp, show};
use crate::capability::fleet::{Live, Role, Watched, Worst};
use crate::capability::monitoring::incident::{Bound, Change, Incident};
use crate::capability::monitoring::quality::Metric;
use crate::tui::format;
use crate::tui::glyph::Glyphs;
use crate::tui::theme::Token;

/// Seconds after which what comes by the minute is late, and stale.
const LATE: f64 = 120.0;
const STALE: f64 = 300.0;
/// Fewer observations than this stand beside their figure.
const FEW: u64 = 500;

/// How new the newest observation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    Late,
    Stale,
    Never,
}

/// `steady`: it comes when it comes, in batches.
pub fn freshness(last: Option<Timestamp>, steady: bool, now: Timestamp) -> Freshness {
    match last.filter(|at| at.0 > 0) {
        None => Freshness::Never,
        Some(_) if steady => Freshness::Fresh,
        Some(at) if now.seconds_since(at) > STALE => Freshness::Stale,
        Some(at) if now.seconds_since(at) > LATE => Freshness::Late,
        Some(_) => Freshness::Fresh,
    }
}

/// How long the window is that is shown: it begins a little earlier than was asked for, where a stretch does.
pub fn length(page: &Live) -> String {
    let step = i64::try_from(page.step.max(1)).unwrap_or(1) * 1_000_000;
    show::between(Timestamp(0), Timestamp((page.window.to.0 - page.window.from.0) / step * step))
}

/// `v42`: numbers get their letter.
pub fn version(name: &str) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("v{name}") } else { name.to_owned() }
}

/// The colour of a version's curve: by its role, and where all of them tell of themselves by its place.
pub fn arm_token(page: &Live, of: &Watched) -> Token {
    match of.role {
        Role::Told => Token::Series(page.versions.iter().position(|v| v.version == of.version).unwrap_or(0)),
        Role::Stable => Token::Ok,
        Role::Candidate => Token::Series(3),
        Role::Shadow => Token::Info,
        Role::Past => Token::Muted,
    }
}

/// Three digits, as tight places take them.
pub fn short(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1000.0 || (value != 0.0 && value.abs() < 0.001) {
        return show::metric(value);
    }
    if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.3}") }
}

/// A figure of quality with its sign: bad beyond the bound or while an alert about it stands, good within the bound,
/// neither without one.
pub fn quality(
    glyphs: &Glyphs,
    (measured, estimated): (Option<Metric>, Option<Metric>),
    bound: Option<Bound>,
    raised: bool,
    fresh: Freshness,
) -> (String, Token) {
    let Some(metric) = measured.or(estimated) else { return ("n/a ?".to_owned(), Token::Unknown) };
    let about = if measured.is_none() { "≈" } else { "" };
    let value = short(metric.value);
    if fresh == Freshness::Stale {
        return (format!("~{value} ?"), Token::Unknown);
    }
    let (sign, token) = match bound {
        _ if raised => (glyphs.crit, Token::Crit),
        Some(bound) if bound.is_broken_by(metric.value) => (glyphs.crit, Token::Crit),
        Some(_) if measured.is_some() => (glyphs.ok, Token::Ok),
        // What is estimated is never green, nor what nothing is asked of.
        _ => ("", Token::Text),
    };
    (format!("{about}{value} {sign}").trim_end().to_owned(), if fresh == Freshness::Late { Token::Warn } else { token })
}

/// PSI with its sign.
pub fn drift(glyphs: &Glyphs, worst: Option<&Worst>, fresh: Freshness) -> (String, Token) {
    let Some(worst) = worst else { return ("n/a ?".to_owned(), Token::Unknown) };
    psi(glyphs, Some(worst.psi), worst.alarm, fresh)
}

pub fn psi(glyphs: &Glyphs, psi: Option<f64>, alarm: bool, fresh: Freshness) -> (String, Token) {
    let Some(psi) = psi else { return ("few ?".to_owned(), Token::Unknown) };
    match (alarm, fresh) {
        (_, Freshness::Stale) => (format!("~{psi:.2} ?"), Token::Unknown),
        (true, _) if psi >= 0.25 => (format!("{psi:.2} {}", glyphs.crit), Token::Crit),
        (true, _) => (format!("{psi:.2} {}", glyphs.warn), Token::Warn),
        (false, _) => (format!("{psi:.2} {}", glyphs.ok), Token::Ok),
    }
}

/// `n=212` where it is few.
pub fn few(n: u64) -> String {
    if n < FEW { format!(" n={n}") } else { String::new() }
}

/// A share as per cent: never 0 % for something, never 100 % for less.
pub fn per_cent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        _ if !p.is_finite() => "-".to_owned(),
        p if p > 0.0 && p < 0.01 => "<0.01".to_owned(),
        p if p < 100.0 && p > 99.99 => ">99.99".to_owned(),
        p if p >= 10.0 => format!("{p:.1}"),
        p => format!("{p:.2}"),
    }
}

/// The sign of an incident.
pub fn severity(glyphs: &Glyphs, severity: u8) -> (&'static str, Token) {
    match severity {
        1 => (glyphs.crit, Token::Crit),
        2 => (glyphs.warn, Token::Warn),
        _ => (glyphs.dot, Token::Info),
    }
}

/// What is wrong, in a line.
pub fn what(incident: &Incident) -> String {
    let what = incident.gravest().map_or_else(|| "no alert".to_owned(), |r| r.alert.what.clone());
    let more = incident.alerts.iter().filter(|a| a.cleared.is_none()).count().saturating_sub(1);
    if more > 0 { format!("{what}  +{more} more") } else { what }
}

pub fn state(incident: &Incident, now: Timestamp) -> (String, Token) {
    match incident.state(now) {
        "open" => ("OPEN".to_owned(), Token::Crit),
        "acknowledged" => ("ACK".to_owned(), Token::Warn),
        "silenced" => ("SILENT".to_owned(), Token::Muted),
        other => (other.to_uppercase(), Token::Muted),
    }
}

/// A change as a line of the timeline: sign, words, colour.
pub fn event(glyphs: &Glyphs, change: &Change) -> (&'static str, String, Token) {
    let target = change.target.strip_prefix("service ").unwrap_or(&change.target);
    match change.what.as_str() {
        "raise-alert" => {
            let grave = change.to.contains("SEV1");
            let (sign, token) = severity(glyphs, if grave { 1 } else { 2 });
            let service = target.split(' ').next().unwrap_or_default();
            (sign, format!("{service}  {}", change.to), token)
        }
        "clear-alert" => {
            let service = target.split(' ').next().unwrap_or_default();
            (glyphs.ok, format!("{service}  well again: {}", change.from), Token::Info)
        }
        what => {
            let moved = match (change.from.is_empty(), change.to.is_empty() || change.from == change.to) {
                (false, false) => format!("  {} → {}", change.from, change.to),
                (true, false) => format!("  {}", change.to),
                _ => String::new(),
            };
            let reason = if change.reason.is_empty() { String::new() } else { format!("  \"{}\"", change.reason) };
            let line = format!("{target}  {}{moved}  {}{reason}", what.replace('-', " "), change.who);
            (glyphs.crumb, format::clean(&line), Token::Text)
        }
    }
}

/// A change in a word or two, and how long ago: `weight 21m`.
pub fn last_change(change: &Change, now: Timestamp) -> String {
    let what = change.what.as_str();
    let word = match what {
        "set-weight" | "advance-rollout" => "weight",
        "start-rollout" => "canary",
        "finish-rollout" => "promote",
        "set-service" => "apply",
        "record-eval" => "eval",
        // The word that tells: of what was set, else what was done.
        _ => what.strip_prefix("set-").unwrap_or_else(|| what.split('-').next().unwrap_or(what)),
    };
    format!("{word} {}", format::age(now, change.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::glyph::UNICODE;

    #[allow(clippy::unnecessary_wraps)] // as the figures come
    fn metric(value: f64) -> Option<Metric> {
        Some(Metric { value, low: None, high: None, n: 1000 })
    }

    #[test]
    fn unknown_and_estimated_are_never_green() {
        let bound = Some(Bound::Below(0.86));
        let said = |m, e, b, f| quality(&UNICODE, (m, e), b, false, f);
        assert_eq!(said(None, None, bound, Freshness::Fresh), ("n/a ?".to_owned(), Token::Unknown));
        assert_eq!(said(None, metric(0.9), bound, Freshness::Fresh), ("≈0.900".to_owned(), Token::Text));
        assert_eq!(said(metric(0.9), None, None, Freshness::Fresh), ("0.900".to_owned(), Token::Text));
        assert_eq!(said(metric(0.9), None, bound, Freshness::Stale), ("~0.900 ?".to_owned(), Token::Unknown));
        assert_eq!(said(metric(0.839), None, bound, Freshness::Fresh), ("0.839 !!".to_owned(), Token::Crit));
        assert_eq!(said(metric(0.9), None, bound, Freshness::Fresh), ("0.900 ✓".to_owned(), Token::Ok));
        let raised = quality(&UNICODE, (metric(0.9), None), bound, true, Freshness::Fresh);
        assert_eq!(raised, ("0.900 !!".to_owned(), Token::Crit), "well over the hour, bad in the rule's minutes");
    }

    #[test]
    fn shares_never_round_to_nothing_or_all() {
        let said: Vec<String> = [0.0, 0.00001, 0.0002, 0.183, 0.99997, 1.0].into_iter().map(per_cent).collect();
        assert_eq!(said, ["0.00", "<0.01", "0.02", "18.3", ">99.99", "100.0"]);
    }
}
