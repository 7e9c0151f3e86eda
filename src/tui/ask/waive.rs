//! Letting a gate pass for a while, on one's own word: the override of a refused promotion.

use super::{Ask, Back, PROD_REASON_CHARS, Topic, Way, fact, shell_word};
use crate::base::{Timestamp, show};
use crate::capability::gates::{Decision, Finding, Verdict};
use crate::capability::{Command, gates};
use crate::tui::format;
use crate::tui::model::{Change, Stage};
use crate::tui::overlay::Sheet;
use crate::tui::state::State;

/// For how long: as the command line writes it, and seconds.
const SPANS: [(&str, i64); 3] = [("1h", 3_600), ("24h", 86_400), ("7d", 604_800)];

/// What a waiver can speak of: gates that do not pass and are not waived.
pub fn open_gates(decision: &Decision) -> impl Iterator<Item = &Finding> {
    decision.gates.iter().filter(|f| f.counts() != Verdict::Pass)
}

/// # Errors
/// The gates are not known yet, or all pass.
pub fn ask(state: &State, model: &str, version: u32, stage: Stage) -> Result<Ask, String> {
    let decision = state.gates.decision(model, version, stage);
    let decision = decision.or_else(|| state.registry.gates.verdict(model, version, stage));
    let decision = decision.ok_or("the gates have not answered yet")?;
    let ways: Vec<Way> = open_gates(decision).flat_map(|f| SPANS.map(|span| way(state, decision, f, span))).collect();
    if ways.is_empty() {
        return Err(format!("every gate before {} passes for {model} v{version}", stage.name()));
    }
    let names: Vec<&str> = open_gates(decision).map(|f| f.name.as_str()).collect();
    Ok(Ask {
        topic: Topic::Waive { model: model.to_owned(), version, stage },
        title: format!("WAIVE A GATE  {model} v{version}"),
        subject: vec![("before".into(), format!("{}; open: {}", stage.name(), names.join(", ")))],
        chosen: 1.min(ways.len() - 1),
        ways,
        facts: vec![fact("open gates", names.join(", "))],
        generation: None,
    })
}

fn way(state: &State, decision: &Decision, finding: &Finding, (span, seconds): (&str, i64)) -> Way {
    let (model, version, gate) = (decision.model.clone(), decision.version, finding.name.clone());
    // To the minute: a sheet that stays open does not ask something new each second.
    let until = Timestamp((state.now.0 / 60_000_000 + seconds / 60) * 60_000_000);
    let by = state.status.value().map_or("you", |s| s.user.as_str());
    let mut impact = vec![
        format!("{gate} counts as passed for v{version} until {}", show::moment(until)),
        format!("asked {}; {}", finding.bound, finding.why),
    ];
    impact.extend(finding.slices.iter().filter(|s| s.verdict == Verdict::Fail).take(4).map(|s| {
        let observed = s.observed.map_or("-".to_owned(), format::number);
        format!("{} is {observed} on {} rows", s.slice, s.n)
    }));
    impact.push(format!("{by} and the reason show wherever v{version} shows; other bytes are not waived"));
    let others = open_gates(decision).count() - 1;
    if others > 0 {
        impact.push(format!("{others} more of {} gates stay open", decision.gates.len()));
    }
    let cli = format!("opsroom gate waive {} {version} {} --until {span}", shell_word(&model), shell_word(&gate));
    let end = gates::Command::EndWaiver { model: model.clone(), version, gate: gate.clone() };
    Way {
        name: format!("{gate} {span}"),
        impact,
        reasons: [
            "accepted until the next training",
            "the evaluation data is at fault",
            "an incident needs it now",
            "agreed in the review",
        ],
        reason_chars_min: PROD_REASON_CHARS,
        word: Some(format!("override {gate}")),
        evidence: Vec::new(),
        lacks: None,
        verb: format!("waive {gate} for {span}"),
        cli,
        change: Change::Decide(vec![Command::Gates(gates::Command::WaiveGate { model, version, gate, until })]),
        back: Back::Change(Change::Decide(vec![Command::Gates(end)])),
    }
}

/// The waiver that would let an open sheet's move go on.
pub fn of_sheet(sheet: &Sheet) -> Option<Topic> {
    let Topic::Stage { model, version, .. } = &sheet.ask.topic else { return None };
    let way = sheet.ask.way();
    let stage = Stage::parse(&way.name).filter(|_| way.is_refused())?;
    Some(Topic::Waive { model: model.clone(), version: *version, stage })
}
