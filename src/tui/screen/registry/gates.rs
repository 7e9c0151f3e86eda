//! The gates before a version: what each asks, what was seen, and who has still to agree.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::{GATES, Registry};
use crate::base::{Fault, Timestamp};
use crate::capability::gates::{Decision, Finding, Pending, Standing, Verdict};
use crate::tui::format;
use crate::tui::model::{Stage, Version};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::remote::{Remote, RequestId, Slot};
use crate::tui::screen::give;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, put_all};

/// What is known of the gates: of all models in short, and of the version under the cursor as judged now.
#[derive(Debug, Default)]
pub struct Gates {
    pub standing: Slot<Standing>,
    /// Model and version that the two verdicts are about.
    pub of: Option<(String, u32)>,
    pub staging: Slot<Decision>,
    pub prod: Slot<Decision>,
}

/// How a version stands, in a word that needs no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Ungated,
    /// Gates stand there, and nobody has asked yet.
    Unasked,
    Decided(Verdict, bool),
}

impl Mark {
    pub fn words(self) -> (String, Token) {
        let (text, token) = match self {
            Self::Ungated => ("! ungated", Token::Warn),
            Self::Unasked => ("- not asked", Token::Muted),
            Self::Decided(Verdict::Pass, false) => ("✓ pass", Token::Ok),
            Self::Decided(Verdict::Pass, true) => ("✓ waived", Token::Warn),
            Self::Decided(Verdict::Fail, _) => ("✗ fail", Token::Crit),
            Self::Decided(Verdict::Inconclusive, _) => ("? open", Token::Unknown),
        };
        (text.to_owned(), token)
    }
}

impl Gates {
    pub fn touch(&mut self) {
        self.standing.touch();
        self.staging.touch();
        self.prod.touch();
    }

    pub fn stale(&mut self, why: &str) {
        self.standing.remote.stale(why);
        self.staging.remote.stale(why);
        self.prod.remote.stale(why);
    }

    /// The verdict on this version before this stage, as judged last.
    pub fn verdict(&self, model: &str, version: u32, stage: Stage) -> Option<&Decision> {
        self.slot(model, version, stage)?.value()
    }

    fn slot(&self, model: &str, version: u32, stage: Stage) -> Option<&Slot<Decision>> {
        let (of, number) = self.of.as_ref()?;
        match stage {
            _ if of != model || *number != version => None,
            Stage::Staging => Some(&self.staging),
            Stage::Prod => Some(&self.prod),
            Stage::Dev | Stage::Archived => None,
        }
    }

    /// The newest decision on the way to prod; `None` while nothing is known.
    pub fn mark(&self, model: &str, version: &Version) -> Option<Mark> {
        let standing = self.standing.value()?;
        let gated = standing.gates.iter().any(|g| g.stage == Stage::Prod && (g.model == model || g.model == "*"));
        if !gated {
            return Some(Mark::Ungated);
        }
        let of = |m: &str, v: u32| m == model && v == version.number;
        let newest = standing
            .decisions
            .iter()
            .find(|d| of(&d.model, d.version) && d.stage == Stage::Prod && d.at >= version.created);
        let waived = standing.waivers.iter().any(|w| of(&w.model, w.version) && w.at >= version.created);
        Some(newest.map_or(Mark::Unasked, |d| Mark::Decided(d.verdict, waived)))
    }

    /// Approvals that this version waits for.
    pub fn pending(&self, model: &str, version: u32) -> Vec<&Pending> {
        let all = self.standing.value().map_or(&[][..], |s| s.pending.as_slice());
        all.iter().filter(|p| p.model == model && p.version == version).collect()
    }
}

/// The stage whose gates matter next: staging if gates stand there and it is not reached, else prod.
pub fn next_stage(gates: &Gates, model: &str, version: &Version) -> Stage {
    let gated = gates
        .standing
        .value()
        .is_some_and(|s| s.gates.iter().any(|g| g.stage == Stage::Staging && (g.model == model || g.model == "*")));
    if gated && matches!(version.stage, Stage::Dev | Stage::Archived) { Stage::Staging } else { Stage::Prod }
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen, moving) = (state.now, state.frozen, state.is_moving());
    let registry = &mut state.registry;
    let here = registry.current().zip(registry.version()).map(|(m, v)| (m.name.clone(), v.number));
    let (gates, ids) = (&mut registry.gates, &mut state.ids);
    if gates.standing.asks(now, frozen) {
        effects.push(Effect::Load(gates.standing.ask(ids, now), Want::Standing));
    }
    // Judging reads predictions: it is asked for once the cursor rests.
    let Some((model, version)) = here.filter(|_| !moving && !frozen) else { return };
    if gates.of.as_ref() != Some(&(model.clone(), version)) {
        gates.of = Some((model.clone(), version));
        gates.staging = Slot::default();
        gates.prod = Slot::default();
    }
    for (slot, stage) in [(&mut gates.staging, Stage::Staging), (&mut gates.prod, Stage::Prod)] {
        if slot.is_unasked() || slot.due(now) {
            effects.push(Effect::Load(slot.ask(ids, now), Want::Gates { model: model.clone(), version, stage }));
        }
    }
}

pub fn loaded(gates: &mut Gates, id: RequestId, reply: &Result<Page, Fault>, now: Timestamp) {
    give(&mut gates.standing, id, reply, now, |p| if let Page::Standing(s) = p { Some((**s).clone()) } else { None });
    for slot in [&mut gates.staging, &mut gates.prod] {
        give(slot, id, reply, now, |p| if let Page::Gates(d) = p { Some((**d).clone()) } else { None });
    }
}

/// What was seen, in the form of its kind: a number, or a text.
pub fn observed(finding: &Finding) -> String {
    match &finding.observed {
        Value::Null => "-".to_owned(),
        Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), format::number),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The sign before a verdict, and its colour.
pub fn sign(look: &Look<'_>, verdict: Verdict) -> (&'static str, Token) {
    match verdict {
        Verdict::Pass => (look.glyphs.ok, Token::Ok),
        Verdict::Fail => (look.glyphs.fail, Token::Crit),
        Verdict::Inconclusive => ("?", Token::Warn),
    }
}

/// `2 fail, 1 open` or `all pass`.
pub fn summary(decision: &Decision) -> (String, Token) {
    let count = |v: Verdict| decision.gates.iter().filter(|f| f.counts() == v).count();
    let waived = decision.gates.iter().filter(|f| f.waived.is_some()).count();
    let mut parts = Vec::new();
    for (n, word) in [(count(Verdict::Fail), "fail"), (count(Verdict::Inconclusive), "open"), (waived, "waived")] {
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    match (decision.ungated, decision.verdict) {
        (true, _) => ("! ungated".to_owned(), Token::Warn),
        (_, Verdict::Pass) if parts.is_empty() => (format!("all {} pass", decision.gates.len()), Token::Ok),
        (_, Verdict::Pass) => (format!("pass, {}", parts.join(", ")), Token::Warn),
        _ => (format!("{} of {}", parts.join(", "), decision.gates.len()), Token::Crit),
    }
}

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, registry: &Registry, now: Timestamp) {
    let focused = registry.pane == GATES;
    let Some((model, version)) = registry.current().zip(registry.version()) else {
        pane(look, buf, area, focused, "GATES", "");
        return;
    };
    if registry.as_of.is_some() {
        let inner = pane(look, buf, area, focused, "GATES", "");
        let lines = [("Only the present is judged. Esc returns to now.", Token::Muted)];
        return empty(look, buf, inner, &lines);
    }
    let stage = next_stage(&registry.gates, &model.name, version);
    let slot = registry.gates.slot(&model.name, version.number, stage);
    let note = slot.and_then(Slot::value).map_or(String::new(), |d| summary(d).0);
    let inner = pane(look, buf, area, focused, &format!("v{}  GATES to {}", version.number, stage.name()), &note);
    let decision = match slot.map(|s| &s.remote) {
        None | Some(Remote::Empty | Remote::Loading) => {
            return empty(look, buf, inner, &[("judging…", Token::Muted)]);
        }
        Some(Remote::Failed(fault)) => return failed(look, buf, inner, fault),
        Some(Remote::Fresh(d, _) | Remote::Stale(d, ..)) => d,
    };
    let stale = slot.is_some_and(|s| s.remote.is_stale());
    let pending = registry.gates.pending(&model.name, version.number);
    let lines = lines(look, decision, &pending, stale, now);
    let skip = registry.scrolls[GATES].min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        let pieces: Vec<(&str, Token)> = line.iter().map(|(text, token)| (text.as_str(), *token)).collect();
        put_all(look, buf, inner.x + 1, y, inner.width - 1, &pieces);
    }
}

type Line = Vec<(String, Token)>;

fn lines(look: &Look<'_>, decision: &Decision, pending: &[&Pending], stale: bool, now: Timestamp) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    if stale {
        lines.push(vec![("~ last known; the agent does not answer".to_owned(), Token::Unknown)]);
    }
    if decision.ungated {
        lines.push(vec![("! ungated: nothing is asked of a version here".to_owned(), Token::Warn)]);
        lines.push(vec![("  opsroom apply GATES.toml   sets gates".to_owned(), Token::Muted)]);
    }
    for p in pending {
        let text = format!("? {} of {} approvals for {}", p.given, p.needed, p.stage.name());
        let asked = if p.asked_by.is_empty() { String::new() } else { format!("  asked by {}", p.asked_by) };
        let since = format!("{asked} {} ago  Y approve", format::age(now, p.since));
        lines.push(vec![(text, Token::Warn), (since, Token::Muted)]);
    }
    for finding in &decision.gates {
        lines.extend(of_finding(look, finding, stale, now));
    }
    lines
}

fn of_finding(look: &Look<'_>, f: &Finding, stale: bool, now: Timestamp) -> Vec<Line> {
    let (glyph, token) = sign(look, f.verdict);
    let token = if stale { Token::Unknown } else { token };
    let name = format!("{glyph:<2} {:<16} ", format::cut(&format::clean(&f.name), 16, "…"));
    let mut lines = vec![vec![(name, token), (format!("{} {}", observed(f), f.bound), Token::Text)]];
    let detail = |text: String, token| vec![(format!("     {text}"), token)];
    if let Some(w) = &f.waived {
        let until = format!("waived by {} until {}: {}", w.by, format::moment(now, w.until), w.reason);
        lines.push(detail(until, Token::Warn));
    }
    if f.verdict != Verdict::Pass {
        lines.push(detail(f.why.clone(), Token::Muted));
        lines.extend(f.slices.iter().filter(|s| s.verdict != Verdict::Pass).map(|s| {
            let value = s.observed.map_or_else(|| "-".to_owned(), format::number);
            let (glyph, token) = sign(look, s.verdict);
            detail(format!("{glyph} {} {value} n={}", s.slice, format::count(s.n)), token)
        }));
        lines.extend(
            f.rows_missing
                .map(|n| detail(format!("{} more labelled rows would decide", format::count(n)), Token::Info)),
        );
        if !f.next.is_empty() {
            lines.push(detail(f.next.clone(), Token::Info));
        }
    }
    lines
}

/// A line for every gate, for a sheet.
pub fn brief(decision: &Decision) -> Vec<String> {
    let line = |f: &Finding| {
        let sign = match f.verdict {
            Verdict::Pass => "✓",
            Verdict::Fail => "✗",
            Verdict::Inconclusive => "?",
        };
        let waived = f.waived.as_ref().map_or(String::new(), |w| format!("   waived by {}: {}", w.by, w.reason));
        let why =
            if f.verdict == Verdict::Pass || !waived.is_empty() { String::new() } else { format!("   {}", f.why) };
        let name = format::cut(&f.name, 18, "…");
        format!("{sign} {name:<18} {} {}{why}{waived}", observed(f), f.bound)
    };
    decision.gates.iter().map(line).collect()
}
