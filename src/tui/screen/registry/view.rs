//! The picture of the registry: models by stages, the versions of one, where a version came from, and why it stands where it does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{CARD, GATES, MODELS, PANES, Registry, TIMELINE, VERSIONS, card, gates, timeline};
use crate::base::Timestamp;
use crate::capability::tracking::compare::better;
use crate::tui::format;
use crate::tui::model::{Model, Stage, Version};
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.registry.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 18 {
        at[focus] = Some(body);
        return at;
    }
    let models =
        u16::try_from(state.registry.shown().len()).unwrap_or(u16::MAX).saturating_add(4).clamp(6, body.height / 3);
    // The versions take what they need, and the card and the history below have the rest.
    let count = state.registry.current().map_or(0, |m| m.versions.len());
    let wanted = u16::try_from(count).unwrap_or(u16::MAX).saturating_add(4);
    let rest = body.height - models;
    let versions = wanted.clamp(6.min(rest), (rest / 2).max(6).min(rest.saturating_sub(5).max(1)));
    let low = rest - versions;
    at[MODELS] = Some(Rect { height: models, ..body });
    at[VERSIONS] = Some(Rect { y: body.y + models, height: versions, ..body });
    let bottom = Rect { y: body.bottom() - low, height: low, ..body };
    if body.width >= 100 {
        let half = body.width / 2;
        let left = if focus == TIMELINE { TIMELINE } else { CARD };
        at[left] = Some(Rect { width: half, ..bottom });
        at[GATES] = Some(Rect { x: bottom.x + half, width: body.width - half, ..bottom });
    } else {
        at[if matches!(focus, CARD | TIMELINE) { focus } else { GATES }] = Some(bottom);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let registry = &state.registry;
    if registry.listed().value().is_none_or(Vec::is_empty) {
        let inner = pane(look, buf, body, true, &title(state), "");
        return match &registry.listed().remote {
            Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            _ if registry.as_of.is_some() => {
                let lines =
                    [("No model was registered at that moment.", Token::Text), ("Esc returns to now.", Token::Muted)];
                empty(look, buf, inner, &lines);
            }
            Remote::Fresh(..) | Remote::Stale(..) => nothing(look, buf, inner),
        };
    }
    let at = panes(state, body);
    if let Some(area) = at[MODELS] {
        matrix(look, buf, area, state, scroll);
    }
    if let Some(area) = at[VERSIONS] {
        versions(look, buf, area, state, scroll);
    }
    if let Some(area) = at[CARD] {
        card::draw(look, buf, area, state);
    }
    if let Some(area) = at[GATES] {
        gates::draw(look, buf, area, registry, state.now);
    }
    if let Some(area) = at[TIMELINE] {
        timeline::draw(look, buf, area, state, scroll);
    }
}

/// What is looked at, with the moment where it is not now.
fn title(state: &State) -> String {
    let moment = state.registry.as_of.map(|at| format!("  AS OF {}", format::full(at))).unwrap_or_default();
    format!("MODELS × STAGES{moment}")
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, inner: Rect) {
    empty(
        look,
        buf,
        inner,
        &[
            ("No registered models yet. From a training script:", Token::Text),
            ("", Token::Text),
            ("mlflow.sklearn.log_model(model, name=\"model\", registered_model_name=\"my-model\")", Token::Accent),
            ("", Token::Text),
            ("or from a run that is here:   opsroom model register", Token::Muted),
            ("or see it on real data:       opsroom demo", Token::Muted),
        ],
    );
}

/// `v43 v42`, `v38-v41` for what lies side by side; the prod version with its age.
fn stage_cell(model: &Model, stage: Stage, now: Timestamp) -> String {
    let numbers: Vec<u32> = model.in_stage(stage).map(|v| v.number).collect();
    if numbers.is_empty() {
        return "-".into();
    }
    if stage == Stage::Prod {
        let since = model
            .in_stage(stage)
            .next()
            .and_then(|v| v.moves.first())
            .map_or(String::new(), |m| format!(" {}", format::age(now, m.at)));
        return format!("v{}{since}", numbers[0]);
    }
    ranges(&numbers)
}

/// Numbers that come newest first, neighbours drawn together.
fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some((low, _)) if *low == n + 1 => *low = *n,
            _ => parts.push((*n, *n)),
        }
    }
    let show = |(low, high): &(u32, u32)| match high - low {
        0 => format!("v{high}"),
        1 => format!("v{high} v{low}"),
        _ => format!("v{low}-v{high}"),
    };
    parts.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn matrix(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let registry = &state.registry;
    let shown = registry.shown();
    let stale = registry.listed().remote.is_stale();
    let last_known = if stale { "~ last known · " } else { "" };
    let keys = if registry.as_of.is_some() {
        "T another moment · Esc now"
    } else {
        "←→ stage · ↵ versions · T as of"
    };
    let models = if shown.len() == 1 { "model" } else { "models" };
    let note = format!("{last_known}{} {models} · {keys}", shown.len());
    let inner = pane(look, buf, area, registry.pane == MODELS, &title(state), &note);
    let mut columns = vec![Col::left("MODEL", 16, 0).grows(12)];
    for (i, stage) in Stage::ALL.into_iter().enumerate() {
        let at_stage = registry.pane == MODELS && registry.stage == i;
        let title = if at_stage { format!("[{}]", stage.name().to_uppercase()) } else { stage.name().to_uppercase() };
        columns.push(
            Col::left(title, 11, if stage == Stage::Prod { 0 } else { u8::try_from(4 - i).unwrap_or(1) }).grows(6),
        );
    }
    columns.push(Col::left("LATEST", 10, 6));
    let first = scroll.keep("models", registry.cursor, shown.len(), usize::from(inner.height.saturating_sub(1)));
    let is_stale = stale;
    let rows = shown.iter().enumerate().skip(first).map(|(i, model)| {
        let mut cells = vec![Cell::id(model.name.as_str())];
        for stage in Stage::ALL {
            let text = stage_cell(model, stage, state.now);
            let token = match stage {
                _ if text == "-" => Token::Unknown,
                _ if is_stale => Token::Unknown,
                Stage::Prod => Token::Ok,
                Stage::Staging => Token::Info,
                Stage::Dev => Token::Text,
                Stage::Archived => Token::Muted,
            };
            cells.push(Cell::new(if is_stale && text != "-" { format!("~{text}") } else { text }, token));
        }
        cells.push(Cell::muted(model.versions.first().map_or("-".into(), |v| format::moment(state.now, v.created))));
        Row { cells, at_cursor: i == registry.cursor, marked: false }
    });
    table(look, buf, inner, &columns, rows, registry.pane == MODELS);
}

fn versions(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let registry = &state.registry;
    let Some(model) = registry.current() else {
        pane(look, buf, area, registry.pane == VERSIONS, "VERSIONS", "");
        return;
    };
    let inner = pane(
        look,
        buf,
        area,
        registry.pane == VERSIONS,
        &format!("{} VERSIONS", model.name),
        if registry.marks.is_empty() { "Space mark · d diff two · ↵ card" } else { "d diff · Esc unmark" },
    );
    let keys = shared_metrics(model);
    let stale = registry.listed().remote.is_stale();
    let mut columns = vec![
        Col::left("VER", 4, 0),
        Col::left("STAGE", 8, 0),
        Col::left("GATES", 11, 1),
        Col::left("ALIASES", 9, 5),
        Col::left("FROM RUN", 13, 3).grows(6),
    ];
    columns.extend(
        keys.iter().map(|k| Col::right(k.clone(), u16::try_from(format::width(k)).unwrap_or(9).clamp(8, 12), 2)),
    );
    columns.extend([
        Col::right("SIZE", 8, 6),
        Col::left("DIGEST", 8, 8),
        Col::left("CREATED", 9, 4),
        Col::left("BY", 6, 7).grows(4),
        Col::left("WHY", 14, 1).grows(40),
    ]);
    let first =
        scroll.keep("versions", registry.version, model.versions.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = model.versions.iter().enumerate().skip(first).map(|(i, v)| {
        let mut cells = vec![
            Cell::text(format!("v{}", v.number)),
            if stale {
                Cell::new(format!("~{}", v.stage.name()), Token::Unknown)
            } else {
                Cell::new(v.stage.name(), stage_token(v.stage))
            },
            gate_cell(registry, &model.name, v),
            Cell::new(v.aliases.join(" "), Token::Accent),
            Cell::id(v.run_name.as_deref().or(v.run.as_deref()).unwrap_or("-")),
        ];
        cells
            .extend(keys.iter().map(|k| v.metrics.get(k).map_or(Cell::muted("-"), |m| Cell::text(format::number(*m)))));
        cells.extend([
            Cell::muted(v.size.map_or("-".into(), format::bytes)),
            Cell::muted(v.digest.as_deref().map_or("-", short_digest)),
            Cell::muted(format::moment(state.now, v.created)),
            Cell::muted(v.by.as_str()),
            Cell::muted(why(v)),
        ]);
        Row { cells, at_cursor: i == registry.version, marked: registry.marks.contains(&v.number) }
    });
    table(look, buf, inner, &columns, rows, registry.pane == VERSIONS);
}

/// How the version stands to the gates before prod, as decided last.
fn gate_cell(registry: &Registry, model: &str, version: &Version) -> Cell<'static> {
    let stale = registry.gates.standing.remote.is_stale();
    match registry.gates.mark(model, version) {
        _ if registry.as_of.is_some() => Cell::muted("-"),
        None => Cell::muted("…"),
        Some(mark) if stale => Cell::new(format!("~{}", mark.words().0), Token::Unknown),
        Some(mark) => {
            let (text, token) = mark.words();
            Cell::new(text, token)
        }
    }
}

/// The beginning of a digest, without the name of its kind.
fn short_digest(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..8).unwrap_or(hex)
}

pub fn stage_token(stage: Stage) -> Token {
    match stage {
        Stage::Prod => Token::Ok,
        Stage::Staging => Token::Info,
        Stage::Dev => Token::Text,
        Stage::Archived => Token::Muted,
    }
}

/// The reason of the last move, else what the version says of itself.
fn why(v: &Version) -> &str {
    let moved = v.moves.first().map(|m| m.reason.as_str()).filter(|r| !r.is_empty());
    moved.unwrap_or_else(|| v.description.lines().next().unwrap_or_default())
}

/// The metrics by which versions of a model can be compared: those most versions have.
fn shared_metrics(model: &Model) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for key in model.versions.iter().flat_map(|v| v.metrics.keys()).filter(|k| !k.starts_with("system/")) {
        *counts.entry(key).or_default() += 1;
    }
    let mut keys: Vec<_> = counts.into_iter().collect();
    keys.sort_by_key(|(k, n)| (usize::MAX - n, better::rank(k)));
    keys.into_iter().take(2).map(|(k, _)| k.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbours_are_drawn_together() {
        assert_eq!(ranges(&[45, 44]), "v45 v44");
        assert_eq!(ranges(&[41, 40, 39, 38]), "v38-v41");
        assert_eq!(ranges(&[9, 7, 6, 5, 1]), "v9 v5-v7 v1");
    }
}
