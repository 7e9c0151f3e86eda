//! What happens on the screen of the audit trail.

use super::{CHANGE, DETAIL, EVENTS, PANES, WINDOW};
use crate::base::Fault;
use crate::tui::action::Action;
use crate::tui::model::{Link, Record};
use crate::tui::msg::{AuditWant, Effect, Page, Want};
use crate::tui::overlay::Choice;
use crate::tui::overlay::picker::Item;
use crate::tui::query::Query;
use crate::tui::remote::RequestId;
use crate::tui::screen::{copy_list, give, list, open};
use crate::tui::state::{State, View};

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let page = usize::from(state.size.1 / 2);
    let audit = &mut state.audit;
    if let Some(pane) = list::next_pane(action, audit.pane, PANES) {
        audit.pane = pane;
        return;
    }
    if audit.pane != EVENTS
        && let Some(to) = list::moved(action, audit.scrolls[audit.pane], 10_000, page)
    {
        audit.scrolls[audit.pane] = to;
        return;
    }
    if let Some(to) = list::moved(action, audit.cursor, audit.total(), page) {
        audit.cursor = to;
        audit.scrolls = [0; PANES];
        audit.selected = if to == 0 { None } else { audit.current().map(|r| r.seq) };
        return;
    }
    match action {
        Action::Open if audit.pane == EVENTS => audit.pane = DETAIL,
        Action::Open | Action::OpenLink => follow_link(state, effects),
        Action::Diff => {
            let open = audit.pane == CHANGE && state.zoom;
            audit.pane = CHANGE;
            state.zoom = !open;
        }
        Action::VerifyChain => effects.push(Effect::Load(audit.verdict.ask(&mut state.ids, state.now), Want::Verify)),
        Action::CopyMenu => pick_copy(state),
        _ => {}
    }
}

/// Goes to the model or run that the record was about.
fn follow_link(state: &mut State, effects: &mut Vec<Effect>) {
    match state.audit.current().and_then(|r| r.link.clone()) {
        Some(Link::Run(id)) => state.go(View::Run(id), effects),
        Some(Link::Model { name, version }) => {
            super::super::registry::go_to(state, &name, version, effects);
        }
        None => state.say("this record is about neither a model nor a run"),
    }
}

pub fn set_filter(state: &mut State, text: &str, query: Query) {
    let audit = &mut state.audit;
    text.clone_into(&mut audit.filter_text);
    if audit.filter != query {
        audit.filter = query;
        audit.cursor = 0;
        audit.selected = None;
        audit.page.renew();
    }
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, frozen, height) = (state.now, state.frozen, usize::from(state.size.1));
    let (window, until) = (state.window, state.past.at);
    let audit = &mut state.audit;
    let outside = audit.page.value().is_some_and(|w| {
        let (first, last) = (audit.cursor.saturating_sub(height), (audit.cursor + height).min(w.total));
        first < w.offset || (last > w.offset + w.rows.len() && w.offset + w.rows.len() < w.total)
    });
    if audit.page.asks(now, frozen) || (outside && !audit.page.is_waiting()) {
        let want = AuditWant {
            filter: audit.filter.clone(),
            window,
            until,
            offset: audit.cursor.saturating_sub(WINDOW / 2),
            limit: WINDOW,
        };
        effects.push(Effect::Load(audit.page.ask(&mut state.ids, now), Want::Audit(want)));
    }
}

/// Returns what must be said aloud: the verdict on the chain.
pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) -> Option<String> {
    let (now, audit) = (state.now, &mut state.audit);
    if give(&mut audit.page, id, reply, now, |p| if let Page::Audit(w) = p { Some(w.clone()) } else { None })
        && let Some(w) = audit.page.value()
    {
        let found = audit.selected.and_then(|seq| w.rows.iter().position(|r| r.seq == seq)).map(|i| i + w.offset);
        audit.cursor = found.unwrap_or(audit.cursor).min(w.total.saturating_sub(1));
        if let Some(seq) = audit.wanted.take() {
            let from_newest = i64::try_from(w.total).unwrap_or(i64::MAX).saturating_sub(seq);
            audit.cursor = usize::try_from(from_newest).unwrap_or(0).min(w.total.saturating_sub(1));
            audit.selected = Some(seq);
        }
    }
    if give(&mut audit.verdict, id, reply, now, |p| if let Page::Verify(v) = p { Some(v.clone()) } else { None }) {
        let verdict = audit.verdict.value().cloned()?;
        if let Some(bad) = verdict.first_bad {
            audit.go_to(bad);
        }
        return verdict.broken.map(|what| format!("the audit chain is broken: {what}"));
    }
    None
}

fn row(r: &Record) -> String {
    let (seq, at) = (r.seq.to_string(), r.at.to_string());
    [&seq, &at, &r.actor, &r.via, &r.action, &r.target, &r.from, &r.to, &r.result, &r.reason]
        .map(String::as_str)
        .join("\t")
}

fn pick_copy(state: &mut State) {
    let Some(r) = state.audit.current() else { return };
    let json = serde_json::to_string_pretty(r).unwrap_or_default();
    let items = vec![
        Item::new("record number", format!("#{}", r.seq), Choice::Copy(r.seq.to_string())),
        Item::new("record as JSON", "", Choice::Copy(json)),
        Item::new("command line", "", Choice::Copy(format!("opsroom audit show {}", r.seq))),
        Item::new("row", "tab-separated", Choice::Copy(row(r))),
        Item::new("proof", "", Choice::Copy(format!("opsroom audit evidence {}", r.seq))),
        Item::new("digest", "", Choice::Copy(r.digest.clone())),
    ];
    open(state, copy_list(items));
}
