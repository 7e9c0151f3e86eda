//! The audit trail from an agent.

use serde_json::{Map, Value};

use super::Agent;
use crate::base::Timestamp;
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::capability::audit::{AuditQuery, Record as Kept};
use crate::tui::model::{Record, Verdict, Window};
use crate::tui::msg::AuditWant;
use crate::tui::query::{Held, Op, Query};

const SIFT_ROWS: usize = 1000;
const SIFT_PAGES_MAX: usize = 20;

impl Agent {
    /// A stretch of the trail. Without a filter the agent pages; with one, the newest records are sifted here.
    pub(super) async fn audit(&self, want: &AuditWant) -> Result<Window<Record>> {
        if want.filter.is_empty() && want.window.is_none() {
            return self.unfiltered(want).await;
        }
        let (said, filter) = since(&want.filter, SystemClock.now());
        let since = said.max(want.window.map(|w| w.since(SystemClock.now())));
        let mut fitting = Vec::new();
        let mut before = None;
        for _ in 0..SIFT_PAGES_MAX {
            let page =
                self.client.audit(&AuditQuery { since, before, limit: SIFT_ROWS, ..AuditQuery::default() }).await?;
            before = page.records.last().map(|r| r.seq);
            let full = page.records.len() == SIFT_ROWS;
            fitting.extend(page.records.into_iter().map(record).filter(|r| filter.matches(|field| held(r, field))));
            if !full {
                break;
            }
        }
        let total = fitting.len();
        Ok(Window {
            offset: want.offset,
            total,
            rows: fitting.into_iter().skip(want.offset).take(want.limit).collect(),
        })
    }

    /// Numbers of records have no gap, so an offset from the newest is a number too.
    async fn unfiltered(&self, want: &AuditWant) -> Result<Window<Record>> {
        let mut query = AuditQuery { limit: want.limit, ..AuditQuery::default() };
        if want.offset > 0 {
            let newest = self.client.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await?;
            let offset = i64::try_from(want.offset).unwrap_or(i64::MAX);
            query.before = newest.records.first().map(|r| (r.seq + 1).saturating_sub(offset).max(1));
        }
        let page = self.client.audit(&query).await?;
        let total = usize::try_from(page.total).unwrap_or(0);
        Ok(Window { offset: want.offset, total, rows: page.records.into_iter().map(record).collect() })
    }

    pub(super) async fn verify(&self) -> Result<Verdict> {
        let v = self.client.verify_audit(&[]).await?;
        let at = v.first_bad.map_or(String::new(), |n| format!("record #{n}: "));
        Ok(Verdict {
            records: u64::try_from(v.records).unwrap_or(0),
            broken: (!v.ok).then(|| format!("{at}{}", v.why)),
        })
    }
}

/// `since=24h` is asked of the agent; the rest of the filter stays.
fn since(query: &Query, now: Timestamp) -> (Option<Timestamp>, Query) {
    let mut rest = query.clone();
    let mut found = None;
    if let [all] = rest.any.as_mut_slice() {
        all.retain(|t| {
            let ours = t.field.as_deref() == Some("since") && t.op == Op::Eq && !t.negated;
            let at = if ours { moment(&t.value, now) } else { None };
            found = at.or(found);
            at.is_none()
        });
    }
    rest.any.retain(|all| !all.is_empty());
    (found, rest)
}

/// A length of time before now (`90m`, `24h`, `7d`), or a date.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Timestamp::parse(text),
    };
    let n: i64 = text[..text.len() - 1].parse().ok()?;
    Some(Timestamp(now.0.saturating_sub(n.saturating_mul(unit * 1_000_000))))
}

fn held(r: &Record, field: Option<&str>) -> Held {
    let text = |t: &str| Held::Text(t.to_owned());
    match field {
        None => Held::Text(format!("{} {} {} {}", r.actor, r.action, r.target, r.reason)),
        Some("actor" | "who" | "user") => text(&r.actor),
        Some("action" | "command") => text(&r.action),
        Some("target") => text(&r.target),
        Some("via") => text(&r.via),
        Some("result") => text(if r.ok { "ok" } else { "refused" }),
        Some("reason" | "why") => text(&r.reason),
        Some("from") => text(&r.from),
        Some("to") => text(&r.to),
        #[allow(clippy::cast_precision_loss)] // a comparison
        Some("n" | "seq") => Held::Number(r.seq as f64),
        Some(_) => Held::Missing,
    }
}

fn record(kept: Kept) -> Record {
    let ok = kept.outcome == "ok";
    let erased = kept.detail.is_none();
    let detail = kept.detail.unwrap_or_default();
    let (before, after) = states(&kept.command, &detail.command, &detail.from, &detail.to);
    let why = detail.answer.get("what").and_then(Value::as_str).unwrap_or(&kept.outcome).to_owned();
    Record {
        seq: kept.seq,
        at: kept.at,
        actor: kept.actor,
        verified: kept.verified,
        via: kept.via,
        action: kept.command,
        target: kept.target,
        from: detail.from,
        to: detail.to,
        ok,
        result: if ok { "ok".into() } else { why },
        reason: if erased { "(erased)".into() } else { detail.reason },
        after: if ok { after } else { before.clone() },
        before,
        generation: detail.answer.get("generation").and_then(Value::as_u64).filter(|g| *g > 0),
        idempotency_key: kept.idempotency_key,
        previous: kept.previous,
        digest: kept.digest,
    }
}

/// What the command spoke of, with what it changed from and to under the name of what it changes.
fn states(name: &str, command: &Value, from: &str, to: &str) -> (Value, Value) {
    let changed = match name {
        "set-stage" => "stage",
        "set-alias" => "points at",
        _ => "state",
    };
    let mut shared = Map::new();
    if let Value::Object(fields) = command {
        shared.extend(
            fields
                .iter()
                .filter(|(k, _)| !matches!(k.as_str(), "room" | "do") && *k != changed)
                .map(|(k, v)| (k.clone(), v.clone())),
        );
    }
    let with = |value: &str| {
        let mut map = shared.clone();
        if !value.is_empty() {
            map.insert(changed.to_owned(), Value::String(value.to_owned()));
        }
        Value::Object(map)
    };
    (with(from), with(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_told_apart_from_the_rest() {
        let now = Timestamp::parse("2026-11-22T12:00:00Z").unwrap();
        let (at, rest) = since(&Query::parse("since=24h -actor=ci").unwrap(), now);
        assert_eq!(at, Timestamp::parse("2026-11-21T12:00:00Z"));
        assert_eq!(rest.to_string(), "-actor=ci");
        let (at, rest) = since(&Query::parse("since=2026-05-03").unwrap(), now);
        assert_eq!(at, Timestamp::parse("2026-05-03"));
        assert!(rest.is_empty());
    }
}
