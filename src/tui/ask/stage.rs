//! Moving a version to another stage, and bringing back the one that was in prod.

use std::collections::BTreeMap;

use super::{Ask, Back, PROD_REASON_CHARS, Topic, Way, fact, gates, shell_word};
use crate::capability::{Command, registry};
use crate::tui::format;
use crate::tui::model::{Change, Model, Stage, Version};
use crate::tui::screen::unit_costs::Of;
use crate::tui::state::State;

/// The sheet for any stage; `to` is the one chosen first.
///
/// # Errors
/// The model or the version is not there.
pub fn change(state: &State, model: &str, version: u32, to: Stage) -> Result<Ask, String> {
    let (model, version) = find(state, model, version)?;
    let ways = Stage::ALL.into_iter().map(|to| way(state, model, version, to, false)).collect();
    Ok(Ask {
        topic: Topic::Stage { model: model.name.clone(), version: version.number, to },
        title: format!("CHANGE STAGE  {} v{}", model.name, version.number),
        subject: vec![("from".into(), standing(state, version))],
        ways,
        chosen: Stage::ALL.iter().position(|s| *s == to).unwrap_or(0),
        facts: facts(model, version),
        generation: Some(model.generation),
    })
}

/// # Errors
/// There is nothing to roll back, or nothing to roll back to.
pub fn roll_back(state: &State, model: &str) -> Result<Ask, String> {
    // Stage and traffic move together: a model that is served goes back by its service.
    if let Some(serving) = state.rollouts.serving(model) {
        return super::traffic::roll_back(state, &serving.service.name);
    }
    let model = find_model(state, model)?;
    let now = model.in_stage(Stage::Prod).next().ok_or_else(|| format!("{} has no version in prod", model.name))?;
    let before = model.before_prod().ok_or_else(|| format!("no other version of {} was ever in prod", model.name))?;
    let way = way(state, model, before, Stage::Prod, true);
    Ok(Ask {
        topic: Topic::Rollback { model: model.name.clone() },
        title: format!("ROLL BACK  {} to v{}", model.name, before.number),
        subject: vec![
            ("from".into(), format!("v{}  {}", now.number, standing(state, now))),
            ("to".into(), format!("v{}  {}", before.number, standing(state, before))),
        ],
        ways: vec![way],
        chosen: 0,
        facts: facts(model, before),
        generation: Some(model.generation),
    })
}

pub(super) fn find_model<'a>(state: &'a State, name: &str) -> Result<&'a Model, String> {
    let models = state.registry.models.value().map_or(&[][..], Vec::as_slice);
    models.iter().find(|m| m.name == name).ok_or_else(|| format!("no model is called {name}"))
}

fn find<'a>(state: &'a State, model: &str, version: u32) -> Result<(&'a Model, &'a Version), String> {
    let model = find_model(state, model)?;
    let version = model.version(version).ok_or_else(|| format!("{} has no v{version}", model.name))?;
    Ok((model, version))
}

/// The stage and for how long it has held.
fn standing(state: &State, version: &Version) -> String {
    let since = version.moves.first().map_or(version.created, |m| m.at);
    format!("{}, for {}", version.stage.name(), format::age(state.now, since))
}

fn way(state: &State, model: &Model, version: &Version, to: Stage, rollback: bool) -> Way {
    let touches_prod = to == Stage::Prod || version.stage == Stage::Prod;
    let command = registry::Command::SetStage {
        model: model.name.clone(),
        version: version.number,
        stage: to,
        archive_others: false,
    };
    let way = Way {
        name: to.name().to_owned(),
        impact: impact(state, model, version, to),
        reasons: if rollback { ROLLBACK_REASONS } else { reasons(to) },
        reason_chars_min: if touches_prod { PROD_REASON_CHARS } else { 1 },
        // A version on its way into prod raises the risk, and so does a prod without one; bringing the known one back
        // lowers it.
        word: (touches_prod && !rollback).then(|| format!("v{}", version.number)),
        evidence: Vec::new(),
        lacks: (version.stage == to).then(|| format!("v{} is in {} already", version.number, to.name())),
        verb: if rollback { "roll back".to_owned() } else { format!("move to {}", to.name()) },
        cli: format!("opsroom promote {} {} --to {}", shell_word(&model.name), version.number, to.name()),
        change: Change::Decide(vec![Command::Registry(command)]),
        back: back(model, version, to),
    };
    gates::judge(state, &(model.name.clone(), version.number, to), way, !rollback)
}

/// What went to prod is taken back by the version that stood there; all else by its own way back.
fn back(model: &Model, version: &Version, to: Stage) -> Back {
    let replaced = model.in_stage(Stage::Prod).find(|v| to == Stage::Prod && v.number != version.number);
    let (number, to) = replaced.map_or((version.number, version.stage), |old| (old.number, Stage::Prod));
    Back::Sheet(Topic::Stage { model: model.name.clone(), version: number, to })
}

fn facts(model: &Model, version: &Version) -> Vec<(String, String)> {
    let prod = model.in_stage(Stage::Prod).next().map_or("nothing".to_owned(), |v| format!("v{}", v.number));
    vec![
        fact("generation", model.generation.to_string()),
        fact(format!("v{}", version.number), version.stage.name()),
        fact("in prod", prod),
    ]
}

fn impact(state: &State, model: &Model, version: &Version, to: Stage) -> Vec<String> {
    let mut lines = vec![format!("{}   v{}  {} → {}", model.name, version.number, version.stage.name(), to.name())];
    if let (Stage::Prod, Some(now)) = (to, model.in_stage(Stage::Prod).find(|v| v.number != version.number)) {
        let since =
            now.moves.first().map_or(String::new(), |m| format!(" after {} in prod", format::age(state.now, m.at)));
        lines.push(format!("v{} leaves prod and is archived{since}", now.number));
        let better = differences(&now.metrics, &version.metrics);
        lines.extend(better.into_iter().map(|metric| format!("v{} → v{}   {metric}", now.number, version.number)));
        lines.extend(state.unit_costs.compared(Of::Model(&model.name), Some(now.number), version.number));
    }
    if version.stage == Stage::Prod && to != Stage::Prod {
        lines.push(format!("{} is left without a version in prod", model.name));
    }
    if !version.aliases.is_empty() {
        lines.push(format!("aliases stay: {}", version.aliases.join(", ")));
    }
    lines.push(format!("generation {}", model.generation));
    lines
}

/// The first few metrics that both versions have, old to new.
fn differences(old: &BTreeMap<String, f64>, new: &BTreeMap<String, f64>) -> Vec<String> {
    let both = new.iter().filter_map(|(k, n)| old.get(k).map(|o| (k, *o, *n)));
    both.take(3).map(|(k, o, n)| format!("{k} {} → {}", format::number(o), format::number(n))).collect()
}

const ROLLBACK_REASONS: [&str; 4] = ["quality fell", "latency or errors", "wrong data in training", "cost"];

fn reasons(to: Stage) -> [&'static str; 4] {
    match to {
        Stage::Prod => {
            ["better on the evaluation set", "scheduled refresh", "fix of a regression", "trained on newer data"]
        }
        Stage::Staging => ["candidate for prod", "to be tested under load", "scheduled refresh", "fix of a regression"],
        Stage::Dev => ["needs more work", "failed in staging", "experiment", "moved up by mistake"],
        Stage::Archived => ["replaced by a newer version", "quality fell", "wrong data in training", "no longer used"],
    }
}
