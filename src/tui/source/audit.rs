//! The audit trail from an agent.

use serde_json::{Map, Value};

use super::Agent;
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::base::{Fault, Timestamp};
use crate::capability::audit::{AuditQuery, Record as Kept};
use crate::tui::model::{Link, Record, Verdict, Window};
use crate::tui::msg::AuditWant;
use crate::tui::query::{Held, Op, Query, Term, moment};

/// Records asked for at once, and pages at most, where the agent cannot say what is filtered for.
const SIFT_ROWS: usize = 1000;
const SIFT_PAGES_MAX: usize = 200;

impl Agent {
    /// A stretch of the trail. What the agent can say is filtered there; the rest is sifted here.
    pub(super) async fn audit(&self, want: &AuditWant) -> Result<Window<Record>> {
        if want.filter.is_empty() && want.window.is_none() && want.until.is_none() {
            return self.unfiltered(want).await;
        }
        let now = want.until.unwrap_or_else(|| SystemClock.now());
        let (mut said, rest) = say(&want.filter, now);
        said.since = said.since.max(want.window.map(|w| w.since(now)));
        // Until a moment is before it; what happened at it belongs to it.
        let until = want.until.map(|t| Timestamp(t.0 + 1));
        said.until = [said.until, until].into_iter().flatten().min();
        if rest.is_empty() {
            let page = self.client.audit(&AuditQuery { offset: want.offset, limit: want.limit, ..said }).await?;
            let total = usize::try_from(page.matched).unwrap_or(0);
            return Ok(Window { offset: want.offset, total, rows: page.records.into_iter().map(record).collect() });
        }
        let mut fitting = Vec::new();
        let mut before = None;
        for n in 0.. {
            if n == SIFT_PAGES_MAX {
                return Err(Fault::invalid(format!("too many records to sift for {rest}"))
                    .next("narrow the filter with since=, actor=, action=, target~ or one word"));
            }
            let page = self.client.audit(&AuditQuery { before, limit: SIFT_ROWS, ..said.clone() }).await?;
            before = page.records.last().map(|r| r.seq);
            let full = page.records.len() == SIFT_ROWS;
            fitting.extend(page.records.into_iter().map(record).filter(|r| rest.matches(|field| held(r, field))));
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
            first_bad: v.first_bad,
            erased: v.erased,
            heads: v.heads,
        })
    }
}

/// As much of a filter as the agent can say, and what is left to sift. It has no OR.
fn say(query: &Query, now: Timestamp) -> (AuditQuery, Query) {
    let mut said = AuditQuery::default();
    let mut rest = query.clone();
    if let [all] = rest.any.as_mut_slice() {
        all.retain(|term| !take(&mut said, term, now));
    }
    rest.any.retain(|all| !all.is_empty());
    (said, rest)
}

/// Puts one condition into the agent's query, and says whether it could.
fn take(said: &mut AuditQuery, term: &Term, now: Timestamp) -> bool {
    fn put<T>(place: &mut Option<T>, value: Option<T>) -> bool {
        let free = place.is_none() && value.is_some();
        if free {
            *place = value;
        }
        free
    }
    let value = || Some(term.value.clone()).filter(|v| !v.is_empty());
    match (term.field.as_deref(), term.op, term.negated) {
        (None, Op::Contains, false) => put(&mut said.text, value()),
        (Some("since"), Op::Eq | Op::Ge | Op::Gt, false) => put(&mut said.since, moment(&term.value, now)),
        (Some("until"), Op::Eq | Op::Le | Op::Lt, false) => put(&mut said.until, moment(&term.value, now)),
        (Some("time"), Op::Ge | Op::Gt, false) => put(&mut said.since, moment(&term.value, now)),
        (Some("time"), Op::Le | Op::Lt, false) => put(&mut said.until, moment(&term.value, now)),
        (Some("actor" | "who" | "user"), Op::Eq, false) => put(&mut said.actor, value()),
        (Some("actor" | "who" | "user"), Op::Eq, true) | (Some("actor" | "who" | "user"), Op::Ne, false) => {
            put(&mut said.not_actor, value())
        }
        (Some("action" | "command"), Op::Eq, false) => put(&mut said.command, value()),
        (Some("target"), Op::Contains, false) => put(&mut said.target, value()),
        (Some("via"), Op::Eq, false) => put(&mut said.via, value()),
        (Some("text"), Op::Contains | Op::Eq, false) => put(&mut said.text, value()),
        (Some("result"), Op::Eq, negated) => {
            let refused = match term.value.to_lowercase().as_str() {
                "refused" => Some(!negated),
                "ok" => Some(negated),
                _ => None,
            };
            put(&mut said.refused, refused)
        }
        _ => false,
    }
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
        link: link(&detail.command, detail.answer.get("version")),
        erased,
        idempotency_key: kept.idempotency_key,
        previous: kept.previous,
        digest: kept.digest,
    }
}

/// The model or run that a command spoke of; a registration's version stands in its answer.
fn link(command: &Value, made: Option<&Value>) -> Option<Link> {
    let text = |key: &str| command.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let number = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    match text("room")?.as_str() {
        "registry" => {
            let version = command.get("version").or(made).and_then(number);
            Some(Link::Model { name: text("model")?, version })
        }
        "tracking" => text("id").filter(|_| text("do").is_some_and(|d| d.ends_with("-run"))).map(Link::Run),
        _ => None,
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
    fn what_the_agent_can_say_is_asked_of_it_and_the_rest_is_sifted() {
        let now = Timestamp::parse("2026-11-22T12:00:00Z").unwrap();
        let parted = |text: &str| say(&Query::parse(text).unwrap(), now);
        let (said, rest) = parted("since=24h -actor=ci action=set-stage target~delay result=refused via=tui quality");
        assert!(rest.is_empty(), "{rest}");
        assert_eq!(said.since, Timestamp::parse("2026-11-21T12:00:00Z"));
        assert_eq!((said.not_actor.as_deref(), said.refused), (Some("ci"), Some(true)));
        assert_eq!((said.text.as_deref(), said.target.as_deref()), (Some("quality"), Some("delay")));
        assert_eq!(parted("since=2026-05-03").0.since, Timestamp::parse("2026-05-03"));
        // Two words, an OR, or a field that the agent does not have.
        assert_eq!(parted("quality fell").1.to_string(), "fell");
        assert_eq!(parted("actor=kim OR actor=lee").1.to_string(), "actor=kim OR actor=lee");
        assert_eq!(parted("reason~north actor=kim").1.to_string(), "reason~north");
        assert_eq!(parted("since=whenever").1.to_string(), "since=whenever");
    }

    #[test]
    fn a_record_leads_to_what_it_was_about() {
        let command = serde_json::json!({"room": "registry", "do": "set-stage", "model": "m", "version": 3});
        assert_eq!(link(&command, None), Some(Link::Model { name: "m".into(), version: Some(3) }));
        let registered = serde_json::json!({"room": "registry", "do": "register-version", "model": "m"});
        let made = serde_json::json!(4);
        assert_eq!(link(&registered, Some(&made)), Some(Link::Model { name: "m".into(), version: Some(4) }));
        let deleted = serde_json::json!({"room": "tracking", "do": "delete-run", "id": "ab"});
        assert_eq!(link(&deleted, None), Some(Link::Run("ab".into())));
        assert_eq!(link(&serde_json::json!({"room": "access", "name": "ci"}), None), None);
    }
}
