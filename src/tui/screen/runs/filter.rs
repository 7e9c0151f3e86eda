//! What the words of a filter mean for runs: `auc` is a metric, `lr` a param, `state` one of the words on the screen.

use std::collections::BTreeSet;

use crate::tui::model::{Run, RunStatus};
use crate::tui::query::{Held, Op, Query, Term};

const WORDS: [(&str, RunStatus); 5] = [
    ("live", RunStatus::Running),
    ("queued", RunStatus::Scheduled),
    ("done", RunStatus::Finished),
    ("failed", RunStatus::Failed),
    ("killed", RunStatus::Killed),
];
const ATTRIBUTES: [&str; 9] = ["name", "state", "user", "id", "experiment", "step", "dur", "note", "tag"];

/// A status by the screen's word or by MLflow's name.
pub fn status(word: &str) -> Option<RunStatus> {
    let ours = WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, s)| *s);
    ours.or_else(|| RunStatus::parse(&word.to_uppercase()))
}

/// A status as the screen says it.
pub fn word(status: RunStatus) -> &'static str {
    WORDS.iter().find(|(_, s)| *s == status).map_or("", |(w, _)| w)
}

/// Names every field in full: `metrics.auc`, `params.lr`, `tags.team`, or an attribute.
pub fn resolve(query: &Query, metrics: &BTreeSet<String>) -> Query {
    let any = query.any.iter().map(|all| all.iter().map(|t| resolve_term(t, metrics)).collect()).collect();
    Query { any }
}

fn resolve_term(term: &Term, metrics: &BTreeSet<String>) -> Term {
    let Some(field) = &term.field else { return term.clone() };
    let full = match field.split_once('.') {
        Some(("metric" | "metrics" | "m", key)) => format!("metrics.{key}"),
        Some(("param" | "params" | "p", key)) => format!("params.{key}"),
        Some(("tag" | "tags", key)) => format!("tags.{key}"),
        _ if field == "status" => "state".into(),
        _ if field == "project" => "experiment".into(),
        _ if ATTRIBUTES.contains(&field.as_str()) => field.clone(),
        _ if metrics.contains(field) || matches!(term.op, Op::Gt | Op::Ge | Op::Lt | Op::Le) => {
            format!("metrics.{field}")
        }
        _ => format!("params.{field}"),
    };
    let value = if full == "state" {
        status(&term.value).map_or_else(|| term.value.clone(), |s| word(s).to_owned())
    } else {
        term.value.clone()
    };
    Term { field: Some(full), value, ..term.clone() }
}

/// What a run holds for a field named in full.
pub fn held(run: &Run, field: Option<&str>) -> Held {
    let text = |t: &str| Held::Text(t.to_owned());
    match field {
        None | Some("name") => text(&run.name),
        Some("state") => text(word(run.status)),
        Some("user") => text(&run.user),
        Some("id") => text(&run.id),
        Some("experiment") => text(&run.experiment),
        Some("note") => text(run.note()),
        #[allow(clippy::cast_precision_loss)] // a comparison
        Some("step") => run.step().map_or(Held::Missing, |s| Held::Number(s as f64)),
        Some("dur") => run.ended.map_or(Held::Missing, |e| Held::Number(e.seconds_since(run.started))),
        Some("tag") => Held::Text(run.tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")),
        Some(field) => match field.split_once('.') {
            Some(("metrics", key)) => run.metrics.get(key).map_or(Held::Missing, |m| Held::Number(m.value)),
            Some(("params", key)) => run.params.get(key).map_or(Held::Missing, |v| text(v)),
            Some(("tags", key)) => run.tags.get(key).map_or(Held::Missing, |v| text(v)),
            _ => Held::Missing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_find_their_room() {
        let known = BTreeSet::from(["auc".to_owned()]);
        let full = |text: &str| resolve(&Query::parse(text).unwrap(), &known).to_string();
        assert_eq!(full("auc=0.9"), "metrics.auc=0.9");
        assert_eq!(full("loss<0.2"), "metrics.loss<0.2");
        assert_eq!(full("lr=3e-4 tag.team~risk"), "params.lr=3e-4 tags.team~risk");
        assert_eq!(full("status!=FINISHED -state=running"), "state!=done -state=live");
        assert_eq!(full("geo"), "geo");
    }
}
