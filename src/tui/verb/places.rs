//! Verbs that go somewhere, or change what is shown there.

use crate::tui::action::Action;
use crate::tui::dispatch;
use crate::tui::msg::{Effect, RunOrder};
use crate::tui::overlay::Choice;
use crate::tui::query::Query;
use crate::tui::screen::{self, runs};
use crate::tui::span::Span;
use crate::tui::state::{State, View};

pub(super) fn go(state: &mut State, view: View, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let query = Query::parse(text).map_err(|e| e.what)?;
    state.go(view, effects);
    if !text.is_empty() {
        screen::set_filter(state, text, query, effects);
    }
    Ok(())
}

pub(super) fn go_runs(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let given = |key: &str| text.split(' ').find_map(|w| w.strip_prefix(key).and_then(|w| w.strip_prefix('=')));
    let rest: Vec<&str> =
        text.split(' ').filter(|w| !["sort=", "window=", "experiment="].iter().any(|k| w.starts_with(k))).collect();
    let (order, span, of) = (given("sort"), given("window"), given("experiment"));
    let query = Query::parse(rest.join(" ").trim()).map_err(|e| e.what)?;
    state.go(View::Runs, effects);
    if let Some(of) = of {
        experiment(state, of, effects)?;
    }
    if let Some(span) = span {
        window(state, span, effects)?;
    }
    if let Some(order) = order {
        sort(state, order, effects)?;
    }
    if !text.is_empty() {
        screen::set_filter(state, rest.join(" ").trim(), query, effects);
    }
    Ok(())
}

pub(super) fn incident(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::Incident, effects);
        return Ok(());
    }
    let id = text.trim_start_matches("INC-").parse().map_err(|_| format!("\"{text}\" is no number of an incident"))?;
    state.go(View::Incident(id), effects);
    Ok(())
}

pub(super) fn filter(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let query = Query::parse(text).map_err(|e| e.what)?;
    screen::set_filter(state, text, query, effects);
    Ok(())
}

pub(super) fn sort(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::SortPick, effects);
        return Ok(());
    }
    if *state.nav.here() != View::Runs {
        return Err("only runs have an order to choose".into());
    }
    let (descending, key) = text.strip_prefix('-').map_or((false, text), |key| (true, key));
    let held = |of: fn(&crate::tui::model::Run, &str) -> bool| state.runs.rows().iter().any(|r| of(r, key));
    let order = match key.to_lowercase().as_str() {
        "name" | "run" => RunOrder::Name,
        "state" | "status" => RunOrder::Status,
        "started" | "start" | "time" => RunOrder::Started,
        "user" => RunOrder::User,
        "experiment" => RunOrder::Experiment,
        "dur" | "duration" => RunOrder::Duration,
        "step" => RunOrder::Step,
        "note" => RunOrder::Note,
        _ => match key.split_once('.') {
            Some(("metrics" | "m", key)) => RunOrder::Metric(key.to_owned()),
            Some(("params" | "p", key)) => RunOrder::Param(key.to_owned()),
            _ if !held(|r, k| r.metrics.contains_key(k)) && held(|r, k| r.params.contains_key(k)) => {
                RunOrder::Param(key.to_owned())
            }
            _ => RunOrder::Metric(key.to_owned()),
        },
    };
    runs::set_order(state, order, descending);
    Ok(())
}

pub(super) fn window(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let span = match text {
        "" => {
            dispatch::act(state, Action::TimeWindow, effects);
            return Ok(());
        }
        "off" | "all" | "none" => None,
        text => Some(Span::parse(text).ok_or_else(|| format!("\"{text}\" is no length of time"))?),
    };
    screen::set_window(state, span);
    Ok(())
}

pub(super) fn experiment(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.go(View::Runs, effects);
    if text.is_empty() {
        dispatch::act(state, Action::Experiment, effects);
        return Ok(());
    }
    if text == "all" {
        runs::show_experiment(state, None);
        return Ok(());
    }
    let known = state.runs.experiments.value().cloned().unwrap_or_default();
    let exact = known.iter().find(|e| e.name == text || e.id == text);
    let found = exact.or_else(|| known.iter().find(|e| e.name.to_lowercase().contains(&text.to_lowercase())));
    let found = found.cloned().ok_or_else(|| format!("no experiment is called \"{text}\""))?;
    runs::show_experiment(state, Some(found));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
pub(super) fn metric(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::Metric, effects);
    } else {
        screen::choose(state, Choice::Metric(text.to_owned()), effects);
    }
    Ok(())
}
