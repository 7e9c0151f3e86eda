//! Two versions side by side: only what differs, unless everything is asked for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::Registry;
use super::difference::{Row, rows};
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::model::{Card, Version};
use crate::tui::msg::Effect;
use crate::tui::screen::list;
use crate::tui::screen::registry::view::stage_token;
use crate::tui::state::{State, View};
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, put, put_all};

/// The first of the two whose files are not known with their digests.
pub fn card_needed(registry: &Registry, model: &str, old: u32, new: u32) -> Option<(String, u32, bool)> {
    let lacks =
        |n: &u32| registry.card_of(model, *n).is_none_or(|c| c.files.iter().any(|f| f.digest.is_none()) && !tried(c));
    [old, new].into_iter().find(lacks).map(|n| (model.to_owned(), n, true))
}

/// A tree too large to digest was asked for once; asking again gives the same.
fn tried(card: &Card) -> bool {
    card.files.iter().map(|f| f.size).sum::<u64>() > crate::capability::registry::DIGEST_BYTES_MAX
}

fn both<'a>(registry: &'a Registry, view: &View) -> Option<(&'a Version, &'a Version)> {
    let View::Versus { model, old, new } = view else { return None };
    let model = registry.listed().value()?.iter().find(|m| m.name == *model)?;
    Some((model.version(*old)?, model.version(*new)?))
}

fn told(registry: &Registry, view: &View) -> Vec<Row> {
    let View::Versus { model, old, new } = view else { return Vec::new() };
    let Some((a, b)) = both(registry, view) else { return Vec::new() };
    let cards = registry.card_of(model, *old).zip(registry.card_of(model, *new));
    rows(a, b, cards, registry.versus_all)
}

pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let here = state.nav.here().clone();
    let len = told(&state.registry, &here).len();
    let page = usize::from(state.size.1).saturating_sub(8);
    let registry = &mut state.registry;
    if let Some(to) = list::moved(action, registry.versus_scroll, len, page) {
        registry.versus_scroll = to;
        return;
    }
    match action {
        Action::Diff => registry.versus_all = !registry.versus_all,
        Action::CopyMenu => effects.push(Effect::Copy(text(&told(registry, &here)))),
        Action::PromoteSheet => {
            if let View::Versus { model, new, .. } = here
                && let Some(stage) = both(registry, state.nav.here()).map(|(_, v)| v.stage)
            {
                let to = crate::tui::model::Stage::ALL.into_iter().find(|s| *s > stage).unwrap_or(stage);
                crate::tui::ask::open(state, &crate::tui::ask::Topic::Stage { model, version: new, to });
            }
        }
        _ => {}
    }
}

pub fn why_not(registry: &Registry, action: Action) -> Option<String> {
    match action {
        Action::Diff | Action::CopyMenu | Action::RowNext | Action::RowPrev | Action::PaneZoom | Action::StepOut => {
            None
        }
        Action::PromoteSheet => registry.why_not(action),
        Action::RollbackSheet
        | Action::ArchiveSheet
        | Action::AliasEdit
        | Action::NoteEdit
        | Action::TagEdit
        | Action::OpenLink
        | Action::AsOf
        | Action::Mark
        | Action::MarkRange
        | Action::MarkInvert
        | Action::Open
        | Action::SortPick
        | Action::SortReverse
        | Action::Columns => Some("Esc goes back to the registry for that".into()),
        _ => None,
    }
}

/// Every pair of values as cells: name, old, new, and what to make of it.
pub fn cells(state: &State) -> Vec<[String; 4]> {
    let pair = |r: Row| match r {
        Row::Pair { name, old, new, note, .. } => Some([name, old, new, note]),
        _ => None,
    };
    told(&state.registry, state.nav.here()).into_iter().filter_map(pair).collect()
}

/// As text for a chat or a ticket.
fn text(rows: &[Row]) -> String {
    let one = |r: &Row| match r {
        Row::Heading { title, same } => format!("{title} ({same} the same)\n"),
        Row::Pair { name, old, new, note, .. } => format!("{name}\t{old}\t{new}\t{note}\n"),
        Row::Text(sign, line) => format!("{}{line}\n", sign.text()),
        Row::Note(note) => format!("{note}\n"),
    };
    rows.iter().map(one).collect()
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State) {
    let registry = &state.registry;
    let here = state.nav.here();
    let View::Versus { model, old, new } = here else { return };
    let note = if registry.versus_all { "d only what differs · y copy" } else { "d everything · y copy" };
    let inner = pane(look, buf, body, true, &format!("{model}  v{old} → v{new}"), note);
    let Some((a, b)) = both(registry, here) else {
        let text = format!("v{old} and v{new} of {model} are not both there any more");
        return empty(look, buf, inner, &[(&text, Token::Warn)]);
    };
    if inner.height < 2 || inner.width < 20 {
        return;
    }
    let all = told(registry, here);
    // A name, two values, and what to make of it.
    let name = (inner.width * 3 / 10).clamp(8, 34);
    let value = ((inner.width - name) * 2 / 5).max(4);
    let at = [inner.x + 1, inner.x + 1 + name, inner.x + 1 + name + value];
    let last = at[2] + value;
    for (x, v) in [(at[1], a), (at[2], b)] {
        let pieces = [
            (format!("v{} ", v.number), Token::Accent),
            (v.stage.name().to_owned(), stage_token(v.stage)),
            (format!("  {}", format::moment(state.now, v.created)), Token::Muted),
        ];
        let pieces: Vec<(&str, Token)> = pieces.iter().map(|(t, k)| (t.as_str(), *k)).collect();
        put_all(look, buf, x, inner.y, value.saturating_sub(1), &pieces);
    }
    let height = usize::from(inner.height - 1);
    let skip = registry.versus_scroll.min(all.len().saturating_sub(height));
    for (y, row) in (inner.y + 1..inner.bottom()).zip(all.iter().skip(skip)) {
        match row {
            Row::Heading { title, same } => {
                let style = look.style(Token::Accent).add_modifier(Modifier::BOLD);
                let used = put(look, buf, at[0], y, inner.width - 2, title, style);
                let same = if *same == 0 { String::new() } else { format!("  {same} the same") };
                put(look, buf, at[0] + used, y, inner.width.saturating_sub(used + 2), &same, look.style(Token::Muted));
            }
            Row::Pair { name: text, old, new, note, differs } => {
                let token = if *differs { Token::Text } else { Token::Muted };
                put(look, buf, at[0] + 1, y, name.saturating_sub(2), text, look.style(Token::Muted));
                let cut = |t: &str| format::cut_middle(&look.spell(t), usize::from(value - 2), look.glyphs.ellipsis);
                put(look, buf, at[1], y, value - 2, &cut(old), look.style(token));
                put(look, buf, at[2], y, value - 2, &cut(new), look.style(token));
                put(look, buf, last, y, inner.right().saturating_sub(last + 1), note, look.style(Token::Info));
            }
            Row::Text(sign, line) => {
                put(look, buf, at[0], y, 2, sign.text(), look.style(sign.token()));
                put(look, buf, at[0] + 2, y, inner.width - 4, line, look.style(sign.token()));
            }
            Row::Note(note) => {
                put(look, buf, at[0] + 1, y, inner.width - 3, note, look.style(Token::Unknown));
            }
        }
    }
}
