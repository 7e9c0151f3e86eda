//! Giving one's word for a version.

use super::{Ask, Back, PROD_REASON_CHARS, Topic, Way, fact, shell_word};
use crate::capability::{Command, gates};
use crate::tui::format;
use crate::tui::model::{Change, Stage};
use crate::tui::screen::registry::gates::brief;
use crate::tui::state::State;

/// # Errors
/// No approval is asked for here.
pub fn ask(state: &State, model: &str, version: u32, stage: Stage) -> Result<Ask, String> {
    let registry = &state.registry;
    let pending = registry.gates.pending(model, version).into_iter().find(|p| p.stage == stage);
    let pending = pending.ok_or_else(|| format!("{model} v{version} waits for no approval"))?;
    let given: Vec<String> = registry.gates.standing.value().map_or_else(Vec::new, |s| {
        let here = s.approvals.iter().filter(|a| a.model == model && a.version == version && a.stage == stage);
        here.map(|a| format!("{} {} ago: {}", a.by, format::age(state.now, a.at), a.reason)).collect()
    });
    let mut impact = vec![format!("{} of {} approvals are given; yours is one more", pending.given, pending.needed)];
    impact.extend(given.iter().map(|line| format!("approved by {line}")));
    if let Some(decision) = registry.gates.verdict(model, version, stage) {
        impact.extend(brief(decision));
    }
    impact.push("the one who made a version cannot approve it, and a claimed identity does not count".to_owned());
    let command = |withdraw| {
        let (model, version) = (model.to_owned(), version);
        let command = if withdraw {
            gates::Command::WithdrawApproval { model, version, stage }
        } else {
            gates::Command::Approve { model, version, stage }
        };
        Change::Decide(vec![Command::Gates(command)])
    };
    let asked = if pending.asked_by.is_empty() { "someone" } else { pending.asked_by.as_str() };
    Ok(Ask {
        topic: Topic::Approve { model: model.to_owned(), version, stage },
        title: format!("APPROVE  {model} v{version}"),
        subject: vec![
            ("to".into(), stage.name().to_owned()),
            ("asked".into(), format!("by {asked} {} ago", format::age(state.now, pending.since))),
        ],
        ways: vec![Way {
            name: stage.name().to_owned(),
            impact,
            evidence: Vec::new(),
            reasons: [
                "reviewed the evaluation",
                "checked on newer data",
                "agreed in the review",
                "fix of a regression",
            ],
            reason_chars_min: if stage == Stage::Prod { PROD_REASON_CHARS } else { 1 },
            word: None,
            lacks: None,
            verb: "approve".to_owned(),
            cli: format!("opsroom approve {}", shell_word(&pending.id)),
            change: command(false),
            back: Back::Change(command(true)),
        }],
        chosen: 0,
        facts: vec![fact("approvals", format!("{} of {}", pending.given, pending.needed))],
        generation: None,
    })
}
