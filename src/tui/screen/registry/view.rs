//! The picture of the registry: models by stages, the versions of one, where a version came from, and why it stands where it does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{HISTORY, LINEAGE, MODELS, PANES, Registry, VERSIONS};
use crate::base::Timestamp;
use crate::tui::format;
use crate::tui::model::{Model, Stage, Version};
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

pub fn panes(state: &State, body: Rect) -> [Option<Rect>; PANES] {
    let focus = state.registry.pane;
    let mut at = [None; PANES];
    if state.zoom || body.width < 80 || body.height < 18 {
        at[focus] = Some(body);
        return at;
    }
    let models =
        u16::try_from(state.registry.shown().len()).unwrap_or(u16::MAX).saturating_add(4).clamp(6, body.height / 3);
    let low = (body.height / 3).clamp(6, 14);
    at[MODELS] = Some(Rect { height: models, ..body });
    at[VERSIONS] = Some(Rect { y: body.y + models, height: body.height - models - low, ..body });
    let bottom = Rect { y: body.bottom() - low, height: low, ..body };
    if body.width >= 100 {
        let half = body.width / 2;
        at[LINEAGE] = Some(Rect { width: half, ..bottom });
        at[HISTORY] = Some(Rect { x: bottom.x + half, width: body.width - half, ..bottom });
    } else {
        at[if focus == HISTORY { HISTORY } else { LINEAGE }] = Some(bottom);
    }
    at
}

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    let registry = &state.registry;
    if registry.models.value().is_none_or(Vec::is_empty) {
        let inner = pane(look, buf, body, true, "MODELS × STAGES", "");
        return match &registry.models.remote {
            Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
            Remote::Failed(fault) => failed(look, buf, inner, fault),
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
    if let Some(area) = at[LINEAGE] {
        lineage(look, buf, area, registry, state.now);
    }
    if let Some(area) = at[HISTORY] {
        history(look, buf, area, registry, state.now);
    }
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
    let last_known = if registry.models.remote.is_stale() { "~ last known · " } else { "" };
    let note = format!("{last_known}{} models · ←→ stage · ↵ versions", shown.len());
    let inner = pane(look, buf, area, registry.pane == MODELS, "MODELS × STAGES", &note);
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
    let is_stale = registry.models.remote.is_stale();
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
        "P change stage… · ↵ run",
    );
    let keys = shared_metrics(model);
    let mut columns = vec![
        Col::left("VER", 5, 0),
        Col::left("STAGE", 8, 0),
        Col::left("ALIASES", 10, 5),
        Col::left("FROM RUN", 14, 3).grows(8),
    ];
    columns.extend(
        keys.iter().map(|k| Col::right(k.clone(), u16::try_from(format::width(k)).unwrap_or(9).clamp(8, 12), 2)),
    );
    columns.extend([
        Col::right("SIZE", 9, 6),
        Col::left("CREATED", 10, 4),
        Col::left("BY", 8, 7),
        Col::left("WHY", 16, 1).grows(40),
    ]);
    let first =
        scroll.keep("versions", registry.version, model.versions.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = model.versions.iter().enumerate().skip(first).map(|(i, v)| {
        let mut cells = vec![
            Cell::text(format!("v{}", v.number)),
            Cell::new(v.stage.name(), stage_token(v.stage)),
            Cell::new(v.aliases.join(" "), Token::Accent),
            Cell::id(v.run_name.as_deref().or(v.run.as_deref()).unwrap_or("-")),
        ];
        cells
            .extend(keys.iter().map(|k| v.metrics.get(k).map_or(Cell::muted("-"), |m| Cell::text(format::number(*m)))));
        cells.extend([
            Cell::muted(v.size.map_or("-".into(), format::bytes)),
            Cell::muted(format::moment(state.now, v.created)),
            Cell::muted(v.by.as_str()),
            Cell::muted(why(v)),
        ]);
        Row { cells, at_cursor: i == registry.version, marked: false }
    });
    table(look, buf, inner, &columns, rows, registry.pane == VERSIONS);
}

fn stage_token(stage: Stage) -> Token {
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
    keys.sort_by_key(|(k, n)| (usize::MAX - n, (*k).to_owned()));
    keys.into_iter().take(2).map(|(k, _)| k.to_owned()).collect()
}

fn lineage(look: &Look<'_>, buf: &mut Buffer, area: Rect, registry: &Registry, now: Timestamp) {
    let Some(v) = registry.version() else {
        pane(look, buf, area, registry.pane == LINEAGE, "LINEAGE", "");
        return;
    };
    let inner = pane(look, buf, area, registry.pane == LINEAGE, &format!("v{}  LINEAGE", v.number), "↵ run");
    let data = v.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(" + ");
    let run = v.run_name.as_deref().or(v.run.as_deref()).unwrap_or("unknown run");
    let data = if data.is_empty() { "data not logged" } else { &data };
    let mut lines =
        vec![("lineage".to_owned(), format!("{data} → {run} → v{} → {}", v.number, v.stage.name()), Token::Text)];
    lines.extend(
        v.inputs.iter().map(|i| ("data".into(), format!("{} {} {}", i.name, i.digest, i.context), Token::Text)),
    );
    lines.extend(v.run.iter().map(|r| ("run".into(), r.clone(), Token::Text)));
    lines.push(("source".into(), v.source.clone(), Token::Text));
    lines.extend(v.digest.iter().map(|d| ("digest".into(), d.clone(), Token::Text)));
    lines.push(("created".into(), format!("{}  by {}", format::moment(now, v.created), v.by), Token::Text));
    if !v.description.is_empty() {
        lines.push(("about".into(), v.description.clone(), Token::Text));
    }
    lines.extend(v.metrics.iter().map(|(k, m)| (k.clone(), format::number(*m), Token::Info)));
    lines.extend(v.tags.iter().map(|(k, t)| (k.clone(), t.clone(), Token::Muted)));
    scrolled(look, buf, inner, registry.scrolls[LINEAGE], &lines);
}

fn scrolled(look: &Look<'_>, buf: &mut Buffer, inner: Rect, scroll: usize, lines: &[(String, String, Token)]) {
    let skip = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        let label = format::cut(&format::clean(label), 14, "…");
        let width = u16::try_from(format::width(&label).max(8)).unwrap_or(8);
        put(look, buf, inner.x + 1, y, width, &label, look.style(Token::Muted));
        put(look, buf, inner.x + 2 + width, y, inner.width.saturating_sub(width + 2), text, look.style(*token));
    }
}

fn history(look: &Look<'_>, buf: &mut Buffer, area: Rect, registry: &Registry, now: Timestamp) {
    let Some(v) = registry.version() else {
        pane(look, buf, area, registry.pane == HISTORY, "WHY", "");
        return;
    };
    let inner = pane(
        look,
        buf,
        area,
        registry.pane == HISTORY,
        &format!("v{}  WHY IT IS IN {}", v.number, v.stage.name()),
        "newest first",
    );
    if v.moves.is_empty() {
        return empty(look, buf, inner, &[("no move between stages is recorded", Token::Muted)]);
    }
    let skip = registry.scrolls[HISTORY].min(v.moves.len().saturating_sub(usize::from(inner.height)));
    for (y, m) in (inner.y..inner.bottom()).zip(v.moves.iter().skip(skip)) {
        let when = format!("{:<10}", format::moment(now, m.at));
        let stage = m.stage.map_or("left", Stage::name);
        let reason = if m.reason.is_empty() { "-".to_owned() } else { format!("\"{}\"", m.reason) };
        let pieces = [
            (when.as_str(), Token::Muted),
            (look.glyphs.arrow, Token::Muted),
            (" ", Token::Text),
            (stage, m.stage.map_or(Token::Muted, stage_token)),
            ("  ", Token::Text),
            (m.by.as_str(), Token::Text),
            ("  ", Token::Text),
            (reason.as_str(), Token::Muted),
        ];
        put_all(look, buf, inner.x + 1, y, inner.width - 1, &pieces);
    }
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
