//! What the gates say of the move that a sheet asks for: asked when the sheet opens or turns, asked again when the model moves.

use super::{Topic, Way};
use crate::capability::gates::{Decision, Finding, Verdict};
use crate::tui::model::{Model, Stage};
use crate::tui::msg::{Effect, Want};
use crate::tui::remote::{Remote, Slot};
use crate::tui::state::State;

/// A move that gates may stand before: model, version, stage.
pub type Of = (String, u32, Stage);

/// The last move that was asked about, and the answer.
#[derive(Debug, Default)]
pub struct Asked {
    of: Option<Of>,
    pub slot: Slot<Decision>,
}

impl Asked {
    /// What was answered about this move.
    pub fn decision(&self, model: &str, version: u32, stage: Stage) -> Option<&Decision> {
        let same = self.of.as_ref().is_some_and(|(m, v, s)| (m.as_str(), *v, *s) == (model, version, stage));
        self.slot.value().filter(|_| same)
    }
}

/// The move of the open sheet that gates may stand before.
fn wanted(state: &State) -> Option<Of> {
    let sheet = state.sheet()?;
    let (model, version, to) = match &sheet.ask.topic {
        Topic::Stage { model, version, .. } => (model, *version, Stage::parse(&sheet.ask.way().name)?),
        Topic::Rollback { model } => {
            let models = state.registry.models.value()?;
            let before = models.iter().find(|m| m.name == *model).and_then(Model::before_prod)?;
            (model, before.number, Stage::Prod)
        }
        _ => return None,
    };
    matches!(to, Stage::Staging | Stage::Prod).then(|| (model.clone(), version, to))
}

/// Asks for the verdict that the open sheet needs.
pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(of) = wanted(state) else { return };
    if state.gates.of.as_ref() != Some(&of) {
        state.gates = Asked { of: Some(of.clone()), slot: Slot::default() };
    }
    let slot = &mut state.gates.slot;
    if slot.is_unasked() || slot.due(state.now) {
        let (model, version, stage) = of;
        effects.push(Effect::Load(slot.ask(&mut state.ids, state.now), Want::Gates { model, version, stage }));
    }
}

/// Puts what the gates say onto a way. Unless it is a rollback, only a pass can be confirmed; where nothing can be learned
/// here, the agent has the word, since it judges once more.
pub fn judge(state: &State, of: &Of, mut way: Way, binding: bool) -> Way {
    if way.lacks.is_some() || !matches!(of.2, Stage::Staging | Stage::Prod) {
        return way;
    }
    let remote = &state.gates.slot.remote;
    if state.gates.of.as_ref() != Some(of) || matches!(remote, Remote::Empty | Remote::Loading) {
        way.evidence = vec![(None, "asking the gates…".to_owned())];
        way.lacks = binding.then(|| "the gates are being asked".to_owned());
        return way;
    }
    match remote {
        Remote::Fresh(decision, _) | Remote::Stale(decision, ..) => {
            way.evidence = lines(decision);
            let open = decision.gates.iter().filter(|f| f.counts() != Verdict::Pass).count();
            if binding && decision.verdict != Verdict::Pass {
                let verb = if open == 1 { "does" } else { "do" };
                way.lacks = Some(format!("{open} of {} gates {verb} not pass", decision.gates.len()));
            }
        }
        Remote::Failed(fault) => way.evidence = vec![(None, format!("the gates cannot be asked: {}", fault.what))],
        Remote::Empty | Remote::Loading => {}
    }
    way
}

fn lines(decision: &Decision) -> Vec<(Option<Verdict>, String)> {
    if decision.gates.is_empty() {
        return vec![(None, format!("! ungated: no gate stands before {}", decision.stage.name()))];
    }
    let line = |f: &Finding| {
        let waived = f.waived.as_ref().map_or(String::new(), |w| {
            format!("  waived by {} until {}: {}", w.by, crate::base::show::moment(w.until), w.reason)
        });
        (Some(f.counts()), format!("{:<16} {}{waived}", f.name, f.why))
    };
    let mut lines: Vec<(Option<Verdict>, String)> = decision.gates.iter().map(line).collect();
    let mut ways: Vec<&str> = Vec::new();
    for f in decision.gates.iter().filter(|f| f.counts() != Verdict::Pass && !f.next.is_empty()) {
        if !ways.contains(&f.next.as_str()) {
            ways.push(&f.next);
        }
    }
    lines.extend(ways.into_iter().map(|way| (None, format!("what helps: {way}"))));
    if decision.verdict != Verdict::Pass {
        lines.push((None, "or W: let a gate pass for a while, on your word".to_owned()));
    }
    lines
}
