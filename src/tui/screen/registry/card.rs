//! The pane of a version's model card: what it is, what goes in, where it came from, and what it stands on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CARD, Registry};
use crate::base::{Timestamp, show};
use crate::tui::format;
use crate::tui::model::{Card, Model, Version};
use crate::tui::screen::lines::{self, Line, line};
use crate::tui::screen::unit_costs::Of;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::Look;
use crate::tui::widget::pane::{empty, pane};

/// Files and columns that are named one by one.
const NAMED_MAX: usize = 40;

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let (registry, now) = (&state.registry, state.now);
    let focused = registry.pane == CARD;
    let (Some(model), Some(v)) = (registry.current(), registry.version()) else {
        let inner = pane(look, buf, area, focused, "MODEL CARD", "");
        return empty(look, buf, inner, &[("No version here yet: E on a run registers one.", Token::Muted)]);
    };
    let title = format!("v{}  MODEL CARD", v.number);
    let inner = pane(look, buf, area, focused, &title, "↵ run · o copy uri · n edit");
    let mut text = lines(look, registry, model, v, now);
    // After where it stands and since when.
    let cost = state.unit_costs.words(Of::Model(&model.name), v.number).map(|words| line("cost", words, Token::Text));
    let at = text.iter().position(|l| l.label == "about").unwrap_or(text.len());
    text.splice(at..at, cost);
    lines::draw(look, buf, inner, registry.scrolls[CARD], &text);
}

fn lines(look: &Look<'_>, registry: &Registry, model: &Model, v: &Version, now: Timestamp) -> Vec<Line> {
    let tilde = if registry.listed().remote.is_stale() { "~" } else { "" };
    let data = v.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(" + ");
    let data = if data.is_empty() { "data not logged" } else { &data };
    let run = v.run_name.as_deref().or(v.run.as_deref()).unwrap_or("unknown run");
    let stage = v.stage.name();
    let mut all = vec![line("lineage", format!("{data} → {run} → v{} → {tilde}{stage}", v.number), Token::Text)];
    if let Some(m) = v.moves.first() {
        all.push(line(
            "since",
            format!("{}, {} ago, by {}", format::full(m.at), format::age(now, m.at), m.by),
            Token::Text,
        ));
    }
    all.extend((!v.aliases.is_empty()).then(|| {
        let uris = v.aliases.iter().map(|a| format!("{a} (models:/{}@{a})", model.name)).collect::<Vec<_>>();
        line("aliases", uris.join("  "), Token::Accent)
    }));
    let about = if v.description.is_empty() { "no description: n writes one" } else { &v.description };
    let about_token = if v.description.is_empty() { Token::Unknown } else { Token::Text };
    for (n, text) in about.lines().enumerate() {
        all.push(line(if n == 0 { "about" } else { "" }, text, about_token));
    }
    all.extend(of_files(look, registry, model, v));
    all.extend(pairs("params", v.params.iter().map(|(k, p)| format!("{k} {p}"))));
    // What its machine did says nothing about a model.
    let judged = v.metrics.iter().filter(|(key, _)| !key.starts_with("system/"));
    all.extend(pairs("metrics", judged.map(|(k, m)| format!("{k} {}", format::number(*m)))));
    all.extend(v.inputs.iter().map(|i| line("data", format!("{} {} {}", i.name, i.digest, i.context), Token::Text)));
    all.extend(v.run.iter().map(|r| line("run", format!("{run}  {r}"), Token::Accent)));
    all.push(line("source", &v.source, Token::Text));
    let size = v.size.map(|s| {
        format!(
            "{}{}",
            format::bytes(s),
            v.files.map_or(String::new(), |n| format!(" in {}", show::many(n, "file", "files")))
        )
    });
    all.push(line("size", size.unwrap_or_else(|| "not kept here".into()), Token::Text));
    all.extend(v.digest.iter().map(|d| line("digest", d, Token::Text)));
    all.push(line("created", format!("{}  by {}", format::full(v.created), v.by), Token::Text));
    all.extend(pairs("tags", v.tags.iter().map(|(k, t)| format!("{k}={t}"))));
    all.extend((!model.description.is_empty()).then(|| line("model", &model.description, Token::Muted)));
    all.extend(pairs("model tags", model.tags.iter().map(|(k, t)| format!("{k}={t}"))));
    all.extend(page(registry, model, v));
    all
}

/// What its own files say: columns, flavors, names and sizes.
fn of_files(look: &Look<'_>, registry: &Registry, model: &Model, v: &Version) -> Vec<Line> {
    let Some(card) = registry.card_of(&model.name, v.number) else {
        let failed = registry.card_failed.as_ref().filter(|(m, n, _)| *m == model.name && *n == v.number);
        return match failed {
            Some((_, _, why)) => vec![line("files", format!("{} {why}", look.glyphs.fail), Token::Warn)],
            None => vec![line("files", "asking the agent…", Token::Unknown)],
        };
    };
    let mut all = Vec::new();
    all.extend(columns("inputs", &card.inputs));
    all.extend(columns("outputs", &card.outputs));
    if card.inputs.is_empty() && card.note.is_empty() {
        all.push(line("inputs", "no signature was logged with it", Token::Unknown));
    }
    all.extend(pairs("flavors", card.flavors.iter().cloned()));
    all.extend((!card.note.is_empty()).then(|| line("files", &card.note, Token::Unknown)));
    all.extend(pairs("files", card.files.iter().map(|f| format!("{} {}", f.path, format::bytes(f.size)))));
    all
}

fn columns(label: &str, columns: &[String]) -> Option<Line> {
    let named = columns.iter().take(NAMED_MAX).map(|c| format::clean(c)).collect::<Vec<_>>().join(", ");
    let more = columns.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!columns.is_empty()).then(|| line(label, format!("{}: {named}{more}", columns.len()), Token::Text))
}

fn pairs(label: &str, items: impl Iterator<Item = String>) -> Option<Line> {
    let items: Vec<String> = items.collect();
    let more = items.len().saturating_sub(NAMED_MAX);
    let text = items.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(" · ");
    let text = if more > 0 { format!("{text} · and {more} more") } else { text };
    (!text.is_empty()).then(|| line(label, text, Token::Text))
}

/// The page that lies beside the model for its readers.
fn page(registry: &Registry, model: &Model, v: &Version) -> Vec<Line> {
    let card: Option<&Card> = registry.card_of(&model.name, v.number).filter(|c| !c.readme.is_empty());
    let Some(card) = card else { return Vec::new() };
    let text = card.readme.lines().map(|l| {
        let heading = l.starts_with('#');
        line("", l.trim_start_matches('#').trim_start(), if heading { Token::Accent } else { Token::Text })
    });
    std::iter::once(line("", "", Token::Text)).chain(text).collect()
}
