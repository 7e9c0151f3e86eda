//! What a captured run stood on: code, data, environment, machine, and whether it came out the same again.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::lists::others;
use super::{ORIGIN, RunDetail};
use crate::capability::training::{Capture, Comparison, GRADE_TAG, RERUN_OF_TAG, RERUN_TAG, Verdict};
use crate::tui::format;
use crate::tui::model::{Origin, Run};
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, put};

type Line = (&'static str, String, Token);

pub(super) fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, detail: &RunDetail) {
    let inner = pane(look, buf, area, detail.pane == ORIGIN, "CAPTURE", &others(detail, ORIGIN));
    let Some(run) = detail.row.value() else { return };
    let origin = match &detail.origin.remote {
        Remote::Empty | Remote::Loading => return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        Remote::Failed(fault) => return failed(look, buf, inner, fault),
        Remote::Fresh(origin, _) | Remote::Stale(origin, ..) => origin,
    };
    let lines = lines(run, origin);
    let skip = detail.cursors[ORIGIN].min(lines.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        put(look, buf, inner.x + 1, y, 9, label, look.style(Token::Muted));
        put(look, buf, inner.x + 11, y, inner.width.saturating_sub(11), text, look.style(*token));
    }
}

pub(super) fn lines(run: &Run, origin: &Origin) -> Vec<Line> {
    let mut lines = grade(run, origin.comparison.as_ref());
    let Some(capture) = &origin.capture else {
        lines.push(("capture", "none; opsroom run -- COMMAND takes one".to_owned(), Token::Muted));
        return lines;
    };
    code(capture, &mut lines);
    data(capture, &mut lines);
    environment(capture, &mut lines);
    lines
}

/// What the last repetition said, and where to look.
fn grade(run: &Run, comparison: Option<&Comparison>) -> Vec<Line> {
    let tag = |name: &str| run.tags.get(name);
    let mut lines: Vec<Line> = Vec::new();
    match tag(GRADE_TAG).map(String::as_str) {
        None => lines.push(("grade", format!("not repeated yet; opsroom rerun {}", short(&run.id)), Token::Muted)),
        Some(word) if word == Verdict::BitExact.name() => lines.push(("grade", format!("✓ {word}"), Token::Ok)),
        Some(word) if word == Verdict::Differs.name() => lines.push(("grade", format!("✗ {word}"), Token::Crit)),
        Some(word) => lines.push(("grade", format!("? {word}"), Token::Warn)),
    }
    lines.extend(tag(RERUN_TAG).map(|id| ("repeated", format!("by run {}", short(id)), Token::Text)));
    lines.extend(tag(RERUN_OF_TAG).map(|id| ("repeats", format!("run {}", short(id)), Token::Text)));
    let Some(c) = comparison else { return lines };
    lines.push(("compared", format!("{} metrics and {} files", c.compared.0, c.compared.1), Token::Muted));
    lines.extend(c.first_difference.iter().map(|d| ("first", d.told(), Token::Crit)));
    for cause in c.causes.iter().take(3) {
        lines.push(("cause", format!("{}: {}", cause.what, cause.why), Token::Warn));
    }
    lines
}

fn code(c: &Capture, lines: &mut Vec<Line>) {
    lines.push(("command", c.program.command.join(" "), Token::Text));
    if let Some(s) = &c.source {
        let dirty = if s.patch.is_some() { "  with changes (source.patch)" } else { "  clean" };
        let branch = if s.branch.is_empty() { String::new() } else { format!(" {}", s.branch) };
        lines.push(("code", format!("{}{branch}{dirty}", s.commit.get(..12).unwrap_or(&s.commit)), Token::Text));
        if !s.left_out.is_empty() {
            lines.push(("left out", format!("{} untracked files", s.left_out.len()), Token::Warn));
        }
    } else {
        let files: Vec<&str> = c.program.files.keys().map(String::as_str).collect();
        lines.push(("code", format!("no git repository; digests of {}", files.join(", ")), Token::Warn));
    }
    lines.push(("folder", c.program.folder.clone(), Token::Muted));
}

fn data(c: &Capture, lines: &mut Vec<Line>) {
    for d in &c.datasets {
        lines.push(("data", format!("{}@{}  {}", d.dataset, d.version, d.path), Token::Text));
    }
}

fn environment(c: &Capture, lines: &mut Vec<Line>) {
    if let Some(i) = &c.interpreter {
        lines.push(("python", i.version.clone(), Token::Text));
    }
    if !c.packages.is_empty() {
        lines.push(("packages", format!("{} pinned", c.packages.len()), Token::Text));
    }
    lines.extend(c.locks.iter().map(|l| ("lock", l.path.clone(), Token::Text)));
    let h = &c.hardware;
    let gpus = if h.gpus.is_empty() { String::new() } else { format!(", {}", h.gpus.join(", ")) };
    let memory = format::bytes(h.memory_bytes);
    lines.push(("machine", format!("{}: {} × {}, {memory}{gpus}", h.host, h.cores, h.cpu), Token::Text));
    if let Some(e) = &c.ended {
        #[allow(clippy::cast_precision_loss)] // seconds of a run
        let after = format::span(e.seconds as f64);
        let token = if e.status == 0 { Token::Text } else { Token::Crit };
        lines.push(("exit", format!("status {} after {after}", e.status), token));
    }
    lines.extend(c.environment.iter().map(|(k, v)| ("env", format!("{k}={v}"), Token::Muted)));
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
