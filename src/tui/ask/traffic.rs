//! Who answers which callers: starting a rollout, its weight, holding it, dropping it, promoting, going back, forbidding.

use std::cmp::Reverse;

use super::stage::find_model;
use super::{Ask, Back, PROD_REASON_CHARS, Topic, Way, fact, shell_word};
use crate::base::show;
use crate::capability::rollout::service::percent;
use crate::capability::rollout::{Command as Rollouts, Rollout, Standing, State as Stands, Traffic};
use crate::capability::{Command, rollout};
use crate::tui::format;
use crate::tui::model::{Change, Stage};
use crate::tui::screen::unit_costs::Of;
use crate::tui::state::State;

/// Shares that a hand sets, buckets of 10,000.
const WEIGHTS: [u16; 8] = [0, 100, 500, 1000, 2500, 5000, 7500, 10_000];

const LOWERS: [&str; 4] = ["quality fell", "latency or errors", "wrong data in training", "cost"];
const RAISES: [&str; 4] =
    ["better on the evaluation set", "gates are green", "fix of a regression", "trained on newer data"];

fn find<'a>(state: &'a State, service: &str) -> Result<&'a Standing, String> {
    let all = state.rollouts.rows.value().map_or(&[][..], Vec::as_slice);
    all.iter().find(|s| s.service.name == service).ok_or_else(|| format!("no service is called {service}"))
}

fn going<'a>(state: &'a State, service: &str) -> Result<(&'a Standing, &'a Rollout), String> {
    let standing = find(state, service)?;
    let on = standing.candidate.as_ref().ok_or_else(|| format!("no rollout of {service} goes on"))?;
    Ok((standing, on))
}

fn facts(s: &Standing) -> Vec<(String, String)> {
    let on = s.candidate.as_ref();
    let words = |r: &Rollout| format!("v{} {} at {} %", r.version, r.state.words(), percent(r.weight));
    vec![
        fact("stable", s.stable.map_or("none".to_owned(), |v| format!("v{v}"))),
        fact("on its way", on.map_or("nothing".to_owned(), words)),
    ]
}

/// What the counters say now, for any of these sheets.
fn measured(state: &State, service: &str) -> Vec<String> {
    let Some(view) = state.rollouts.view.value().filter(|v| v.standing.service.name == service) else {
        return Vec::new();
    };
    let Some(j) = &view.judgement else { return Vec::new() };
    let told = |s: &rollout::judge::Sums| match s.error_rate() {
        None => "no request".to_owned(),
        Some(rate) => {
            format!("{}, {} % errors", show::many(s.requests, "request", "requests"), format::number(rate * 100.0))
        }
    };
    vec![
        format!("so far: {}; the stable version {}", told(&j.candidate), told(&j.stable)),
        format!("the judge says {}: {}", j.advice.words(), j.why),
    ]
}

/// What a thousand predictions of both versions cost, where callers move to the one on its way.
fn costs(state: &State, s: &Standing, on: &Rollout) -> Option<String> {
    state.unit_costs.compared(Of::Service(&s.service.name), Some(on.against), on.version)
}

/// `cli` without the program's name and the reason.
fn way(
    name: impl Into<String>,
    impact: Vec<String>,
    (command, cli): (Rollouts, String),
    verb: impl Into<String>,
    lowers: bool,
) -> Way {
    let command = Command::Rollouts(command);
    let cli = format!("opsroom {cli}");
    Way {
        name: name.into(),
        impact,
        reasons: if lowers { LOWERS } else { RAISES },
        reason_chars_min: PROD_REASON_CHARS,
        word: None,
        evidence: Vec::new(),
        lacks: None,
        verb: verb.into(),
        cli,
        change: Change::Decide(vec![command]),
        back: Back::Never,
    }
}

fn sheet(
    s: &Standing,
    topic: Topic,
    title: String,
    subject: Vec<(String, String)>,
    ways: Vec<Way>,
    chosen: usize,
) -> Ask {
    Ask {
        topic,
        title,
        subject,
        chosen: chosen.min(ways.len().saturating_sub(1)),
        ways,
        facts: facts(s),
        generation: None,
    }
}

fn named(version: Option<u32>) -> String {
    version.map_or("nothing".to_owned(), |v| format!("v{v}"))
}

/// Whether opsroom starts the servers of a service, so that any version of its model can answer.
pub fn launches(state: &State, service: &str) -> bool {
    find(state, service).is_ok_and(|s| s.service.launch.is_some())
}

/// The versions that could begin to answer: those in staging first, those that were put away last, and the newest before
/// the others.
fn startable(state: &State, s: &Standing) -> Result<Vec<u32>, String> {
    let name = &s.service.name;
    if s.service.traffic == Traffic::External {
        return Err(format!("the traffic of {name} is carried by others: there is nothing to split"));
    }
    let mut versions: Vec<u32> = s.service.backend.iter().map(|b| b.version).collect();
    versions.sort_unstable_by_key(|v| Reverse(*v));
    if s.service.launch.is_some() {
        let model = find_model(state, &s.service.model)?;
        let rank = |stage: Stage| match stage {
            Stage::Staging => 0,
            Stage::Dev | Stage::Prod => 1,
            Stage::Archived => 2,
        };
        let mut known: Vec<_> = model.versions.iter().map(|v| (rank(v.stage), Reverse(v.number))).collect();
        known.sort_unstable();
        versions = known.into_iter().map(|(_, number)| number.0).collect();
    }
    versions.dedup();
    versions.retain(|v| Some(*v) != s.stable);
    match (versions.is_empty(), s.service.launch.is_some()) {
        (false, _) => Ok(versions),
        (true, true) => Err(format!("{} has no other version than the one that answers", s.service.model)),
        (true, false) => {
            Err(format!("{name} has a backend for its stable version only: add one to its file and apply it"))
        }
    }
}

/// Why a version may not be rolled out, as far as the room knows.
fn forbidden(state: &State, service: &str, version: u32) -> Option<String> {
    let view = state.rollouts.view.value().filter(|v| v.standing.service.name == service)?;
    let forbidden = view.forbidden.iter().find(|f| f.version == version)?;
    Some(format!("v{version} is forbidden: {}", forbidden.reason))
}

/// # Errors
/// No other version could answer.
pub fn start(state: &State, service: &str) -> Result<Ask, String> {
    let s = find(state, service)?;
    let versions = startable(state, s)?;
    let plan = &s.service.rollout;
    let first = plan.steps.first().map_or(0.0, |step| percent(step.weight));
    let ways = versions.into_iter().map(|version| {
        let mut impact = vec![
            format!("v{version} answers {first} % of the callers of {service}; {} answers the rest", named(s.stable)),
            "callers stay on their version, and a higher share moves nobody back".to_owned(),
        ];
        if plan.shadow {
            impact[0] =
                format!("v{version} answers beside {} and nobody sees it; differences are counted", named(s.stable));
        }
        impact.push(if plan.automatic {
            "it goes on by the plan, and to prod when its gates pass".to_owned()
        } else {
            "it stays there until somebody takes it further".to_owned()
        });
        if s.service.guards.rollback {
            impact.push("the judge takes it back when errors or latency are worse beyond chance".to_owned());
        }
        impact.extend(state.unit_costs.compared(Of::Service(service), s.stable, version));
        let lacks = forbidden(state, service, version);
        if lacks.is_some() {
            impact =
                vec![format!("nothing; to allow it first: opsroom allow {} {version}", shell_word(&s.service.model))];
        }
        let command = Rollouts::StartRollout { service: service.to_owned(), version };
        let cli = format!("rollout start {} {version}", shell_word(service));
        let way = way(format!("v{version}"), impact, (command, cli), format!("start v{version}"), false);
        Way { word: Some(format!("v{version}")), lacks, ..way }
    });
    let (subject, topic) =
        (vec![("from".into(), named(s.stable))], Topic::StartRollout { service: service.to_owned() });
    Ok(sheet(s, topic, format!("START ROLLOUT  {service}"), subject, ways.collect(), 0))
}

/// # Errors
/// Nothing is on its way.
pub fn weight(state: &State, service: &str) -> Result<Ask, String> {
    let (s, on) = going(state, service)?;
    let ways: Vec<Way> = WEIGHTS
        .into_iter()
        .map(|weight| {
            let share = percent(weight);
            let raises = weight > on.weight;
            let mut impact = vec![
                format!("v{}: {} % → {share} % of callers", on.version, percent(on.weight)),
                "the plan waits until H resumes it".to_owned(),
            ];
            impact.extend(measured(state, service));
            impact.extend(raises.then(|| costs(state, s, on)).flatten());
            let command = Rollouts::SetWeight { service: service.to_owned(), weight };
            let cli = format!("rollout weight {} {share}", shell_word(service));
            let way = way(format!("{share} %"), impact, (command, cli), format!("set {share} %"), !raises);
            Way {
                // More callers for it raises the risk.
                word: raises.then(|| format!("v{}", on.version)),
                lacks: (weight == on.weight).then(|| format!("it has {share} % already")),
                ..way
            }
        })
        .collect();
    let next = WEIGHTS.iter().position(|w| *w > on.weight).unwrap_or(WEIGHTS.len() - 1);
    let subject = vec![("from".into(), format!("v{} at {} %", on.version, percent(on.weight)))];
    let topic = Topic::Weight { service: service.to_owned() };
    Ok(sheet(s, topic, format!("WEIGHT  {service}"), subject, ways, next))
}

/// # Errors
/// Nothing is on its way.
pub fn hold(state: &State, service: &str) -> Result<Ask, String> {
    let (s, on) = going(state, service)?;
    let held = on.state == Stands::Held;
    let (command, verb, title) = if held {
        (Rollouts::ResumeRollout { service: service.to_owned() }, "resume", "RESUME")
    } else {
        (Rollouts::HoldRollout { service: service.to_owned() }, "hold", "HOLD")
    };
    let mut impact = vec![if held {
        format!("v{} goes on by the plan from {} %", on.version, percent(on.weight))
    } else {
        format!("v{} stays at {} % of callers", on.version, percent(on.weight))
    }];
    impact.extend((!on.why.is_empty()).then(|| format!("held because: {}", on.why)));
    impact.extend(measured(state, service));
    let cli = format!("rollout {verb} {}", shell_word(service));
    let ways = vec![way(verb, impact, (command, cli), verb, !held)];
    let subject = vec![("what".into(), format!("v{} {}", on.version, on.state.words()))];
    Ok(sheet(s, Topic::Hold { service: service.to_owned() }, format!("{title}  {service}"), subject, ways, 0))
}

/// # Errors
/// Nothing is on its way.
pub fn drop_it(state: &State, service: &str) -> Result<Ask, String> {
    let (s, on) = going(state, service)?;
    let mut impact = vec![format!("v{} answers nobody any more; {} answers everybody", on.version, named(s.stable))];
    impact.extend(measured(state, service));
    let command = Rollouts::DropRollout { service: service.to_owned() };
    let cli = format!("rollout drop {}", shell_word(service));
    let way = way("0 %", impact, (command, cli), format!("drop v{}", on.version), true);
    let ways = vec![Way { back: Back::Sheet(Topic::UndoRollback { service: service.to_owned() }), ..way }];
    let subject = vec![("what".into(), format!("v{} at {} %", on.version, percent(on.weight)))];
    let topic = Topic::DropRollout { service: service.to_owned() };
    Ok(sheet(s, topic, format!("DROP  {service} v{}", on.version), subject, ways, 0))
}

/// # Errors
/// Nothing is on its way.
pub fn finish(state: &State, service: &str) -> Result<Ask, String> {
    let (s, on) = going(state, service)?;
    let mut impact = vec![
        format!("v{} answers everybody and is prod; {} is kept warm for the way back", on.version, named(s.stable)),
        "its gates before prod are asked; without a pass nothing moves".to_owned(),
    ];
    impact.extend(measured(state, service));
    impact.extend(costs(state, s, on));
    let command = Rollouts::FinishRollout { service: service.to_owned() };
    let cli = format!("rollout finish {}", shell_word(service));
    let way = way("prod", impact, (command, cli), format!("promote v{}", on.version), false);
    let ways = vec![Way { word: Some(format!("v{}", on.version)), ..way }];
    let subject = vec![("from".into(), format!("v{} at {} %", on.version, percent(on.weight)))];
    let topic = Topic::FinishRollout { service: service.to_owned() };
    Ok(sheet(s, topic, format!("PROMOTE  {service} v{}", on.version), subject, ways, 0))
}

/// # Errors
/// There is nothing to go back to.
pub fn roll_back(state: &State, service: &str) -> Result<Ask, String> {
    let s = find(state, service)?;
    let (from, to) = match &s.candidate {
        Some(on) => (format!("v{} at {} %", on.version, percent(on.weight)), s.stable),
        None => (named(s.stable), s.previous),
    };
    let to = to.ok_or_else(|| format!("no version of {service} answered before this one"))?;
    let mut impact = vec![format!("v{to} answers everybody, at once")];
    if s.candidate.is_none() {
        impact.push(format!("v{to} is prod again, and {from} is archived"));
    }
    impact.push("also without the agent: opsroom rollback goes to the router then".to_owned());
    impact.extend(measured(state, service));
    let command = Rollouts::Rollback { service: service.to_owned(), to: None };
    let cli = format!("rollback {}", shell_word(service));
    impact.push("u takes it back for ten minutes".to_owned());
    let way = way(format!("v{to}"), impact, (command, cli), format!("roll back to v{to}"), true);
    let ways = vec![Way { back: Back::Sheet(Topic::UndoRollback { service: service.to_owned() }), ..way }];
    let subject = vec![("from".into(), from), ("to".into(), format!("v{to}"))];
    let topic = Topic::RollbackService { service: service.to_owned() };
    Ok(sheet(s, topic, format!("ROLL BACK  {service} to v{to}"), subject, ways, 0))
}

/// # Errors
/// Nothing was taken back.
pub fn undo(state: &State, service: &str) -> Result<Ask, String> {
    let s = find(state, service)?;
    let turn = s.turned.as_ref().ok_or_else(|| format!("nothing of {service} was taken back"))?;
    let from = turn.from;
    let mut impact = match &turn.rollout {
        Some(on) => vec![
            format!("v{from} answers {} % of callers again, the same ones, and is held there", percent(on.weight)),
            "what the judge saw before is not held against it again".to_owned(),
        ],
        None => vec![format!("v{from} answers everybody again and is prod; v{} is kept for the way back", turn.to)],
    };
    impact.push(format!("it was taken back by {}: {}", turn.by, turn.reason));
    let command = Rollouts::UndoRollback { service: service.to_owned() };
    let cli = format!("rollback {} --undo", shell_word(service));
    let way = way(format!("v{from}"), impact, (command, cli), format!("bring v{from} again"), false);
    let ways = vec![Way { word: Some(format!("v{from}")), ..way }];
    let subject = vec![("from".into(), named(s.stable)), ("to".into(), format!("v{from}"))];
    let topic = Topic::UndoRollback { service: service.to_owned() };
    Ok(sheet(s, topic, format!("UNDO  {service} to v{from}"), subject, ways, 0))
}

/// # Errors
/// There is no version to speak of.
pub fn forbid(state: &State, service: &str) -> Result<Ask, String> {
    let s = find(state, service)?;
    let on = s.candidate.as_ref().map(|r| r.version);
    // The one that was just taken back, so that nobody rolls it out again.
    let taken_back = s.turned.as_ref().filter(|t| s.stable == Some(t.to)).map(|t| t.from);
    let version = on.or(taken_back).or(s.previous).ok_or_else(|| format!("no version of {service} could come back"))?;
    let model = s.service.model.clone();
    let mut impact = vec![format!("v{version} of {model} cannot be rolled out until somebody allows it again")];
    impact.extend(on.map(|v| format!("v{v} is dropped from {service} now")));
    let command = Rollouts::ForbidVersion { model: model.clone(), version };
    let back = Command::Rollouts(Rollouts::AllowVersion { model, version });
    let cli = format!("forbid {} {version}", shell_word(&s.service.model));
    let way = way(format!("v{version}"), impact, (command, cli), format!("forbid v{version}"), true);
    let ways = vec![Way { back: Back::Change(Change::Decide(vec![back])), ..way }];
    let subject = vec![("what".into(), format!("v{version}"))];
    let title = format!("FORBID  {} v{version}", shell_word(&s.service.model));
    Ok(sheet(s, Topic::Forbid { service: service.to_owned() }, title, subject, ways, 0))
}
