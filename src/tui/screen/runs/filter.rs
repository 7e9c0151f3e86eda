//! The fields of a filter for runs by the names people use; what a key without its kind means, the agent knows.

use crate::capability::tracking::STATUS_WORDS;
use crate::tui::model::RunStatus;
use crate::tui::query::{Query, Term};

/// A status by the screen's word or by MLflow's name.
pub fn status(word: &str) -> Option<RunStatus> {
    let ours = STATUS_WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, s)| *s);
    ours.or_else(|| RunStatus::parse(&word.to_uppercase()))
}

/// The screen's word for how a run stands.
pub fn word(status: RunStatus) -> &'static str {
    STATUS_WORDS.iter().find(|(_, s)| *s == status).map_or("", |(word, _)| word)
}

/// `m.auc` is `metrics.auc`, `status` is `state`, and a state is called by the screen's word.
pub fn resolve(query: &Query) -> Query {
    Query { any: query.any.iter().map(|all| all.iter().map(resolve_term).collect()).collect() }
}

fn resolve_term(term: &Term) -> Term {
    let Some(field) = &term.field else { return term.clone() };
    let full = match field.split_once('.') {
        Some(("metric" | "metrics" | "m", key)) => format!("metrics.{key}"),
        Some(("param" | "params" | "p", key)) => format!("params.{key}"),
        Some(("tag" | "tags", key)) => format!("tags.{key}"),
        _ if field == "status" => "state".into(),
        _ if field == "project" => "experiment".into(),
        _ => field.clone(),
    };
    let known = if full == "state" { status(&term.value) } else { None };
    let value = known.map_or_else(|| term.value.clone(), |s| word(s).to_owned());
    Term { field: Some(full), value, ..term.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_states_are_called_by_their_full_names() {
        let full = |text: &str| resolve(&Query::parse(text).unwrap()).to_string();
        assert_eq!(full("m.auc=0.9 auc>1"), "metrics.auc=0.9 auc>1");
        assert_eq!(full("p.lr=3e-4 tag.team~risk"), "params.lr=3e-4 tags.team~risk");
        assert_eq!(full("status!=FINISHED -state=running"), "state!=done -state=live");
        assert_eq!(full("geo state~fail"), "geo state~fail");
    }
}
