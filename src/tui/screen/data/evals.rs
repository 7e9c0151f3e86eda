//! Suites and their results: what every version was measured with, and what came out, slice by slice.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{ABOUT, PANES, PROFILE, READERS, VERSIONS};
use crate::base::stats::proportion::wilson;
use crate::base::{Fault, Timestamp, show};
use crate::capability::evals::{Evidence, Suite};
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::model::evals::Measured;
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::query::{Held, Query};
use crate::tui::remote::{Remote, RequestId, Slot};
use crate::tui::screen::runs::view::failed;
use crate::tui::screen::{give, list};
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

/// The panes lie where those of the datasets lie.
const SUITES: usize = VERSIONS;
const RESULTS: usize = PROFILE;
const FIGURES: usize = ABOUT;
const SLICES: usize = READERS;
/// Below so many examples a figure says how many there were.
const SMALL_N: u64 = 500;

/// Suites and results, and where the cursors stand.
#[derive(Debug, Default)]
pub struct Evals {
    pub measured: Slot<Measured>,
    pub cursors: [usize; PANES],
}

impl Evals {
    /// Suites by name; one that is gone is listed while results of it are kept.
    pub fn suites(&self, filter: &Query) -> Vec<(String, Option<&Suite>)> {
        let Some(measured) = self.measured.value() else { return Vec::new() };
        let mut all: Vec<(String, Option<&Suite>)> =
            measured.suites.iter().map(|s| (s.name.clone(), Some(s))).collect();
        for r in &measured.results {
            if !all.iter().any(|(name, _)| *name == r.suite) {
                all.push((r.suite.clone(), None));
            }
        }
        all.retain(|(name, suite)| {
            filter.matches(|field| match field {
                None | Some("name" | "suite") => Held::Text(name.clone()),
                Some("data") => suite.map_or(Held::Missing, |s| Held::Text(s.data.clone())),
                Some(_) => Held::Missing,
            })
        });
        all
    }

    /// Results of the suite under the cursor, newest first.
    pub fn results(&self, filter: &Query) -> Vec<&Evidence> {
        let suites = self.suites(filter);
        let Some((name, _)) = suites.get(self.cursors[SUITES].min(suites.len().saturating_sub(1))) else {
            return Vec::new();
        };
        let all = self.measured.value().map_or(&[][..], |m| m.results.as_slice());
        all.iter().filter(|r| r.suite == *name).collect()
    }

    pub fn current(&self, filter: &Query) -> Option<&Evidence> {
        let results = self.results(filter);
        results.get(self.cursors[RESULTS].min(results.len().saturating_sub(1))).copied()
    }

    fn suite(&self, filter: &Query) -> Option<&Suite> {
        let suites = self.suites(filter);
        suites.get(self.cursors[SUITES].min(suites.len().saturating_sub(1))).and_then(|(_, s)| *s)
    }
}

/// Moves the cursor of the focused pane; whether it did.
pub fn moved(state: &mut State, action: Action, page: usize) -> bool {
    let data = &mut state.data;
    let pane = data.pane;
    let result = data.evals.current(&data.filter);
    let len = match pane {
        SUITES => data.evals.suites(&data.filter).len(),
        RESULTS => data.evals.results(&data.filter).len(),
        FIGURES => result.map_or(0, |r| r.metrics.len()),
        _ => result.map_or(0, |r| r.slices.len()),
    };
    let at = data.evals.cursors[pane].min(len.saturating_sub(1));
    let Some(to) = list::moved(action, at, len, page) else { return false };
    data.evals.cursors[pane] = to;
    // What lies below follows from its top.
    data.evals.cursors.iter_mut().skip(pane + 1).for_each(|c| *c = 0);
    true
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let measured = &mut state.data.evals.measured;
    if measured.asks(state.now, state.frozen) {
        effects.push(Effect::Load(measured.ask(&mut state.ids, state.now), Want::Measured));
    }
}

pub fn loaded(evals: &mut Evals, id: RequestId, reply: &Result<Page, Fault>, now: Timestamp) {
    give(&mut evals.measured, id, reply, now, |p| if let Page::Measured(m) = p { Some((**m).clone()) } else { None });
}

pub fn view(
    look: &Look<'_>,
    buf: &mut Buffer,
    body: Rect,
    at: [Option<Rect>; PANES],
    state: &State,
    scroll: &mut Scroll,
) {
    let evals = &state.data.evals;
    if evals.measured.value().is_none_or(|m| m.suites.is_empty() && m.results.is_empty()) {
        let inner = pane(look, buf, body, true, "SUITES", "v datasets");
        return match &evals.measured.remote {
            Remote::Empty | Remote::Loading => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
            Remote::Failed(fault) => failed(look, buf, inner, fault),
            Remote::Fresh(..) | Remote::Stale(..) => nothing(look, buf, inner),
        };
    }
    if let Some(area) = at[SUITES] {
        suites(look, buf, area, state, scroll);
    }
    if let Some(area) = at[RESULTS] {
        results(look, buf, area, state, scroll);
    }
    if let Some(area) = at[FIGURES] {
        figures(look, buf, area, state, scroll);
    }
    if let Some(area) = at[SLICES] {
        slices(look, buf, area, state, scroll);
    }
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, inner: Rect) {
    empty(
        look,
        buf,
        inner,
        &[
            ("No eval suite yet. A suite names data, how predictions come about, and metrics:", Token::Text),
            ("", Token::Text),
            ("opsroom apply SUITE.toml", Token::Accent),
            ("opsroom eval run SUITE MODEL VERSION", Token::Accent),
            ("", Token::Text),
            ("Every version is measured with the same suite; gates decide on what came out.", Token::Muted),
            ("v goes back to the datasets.", Token::Muted),
        ],
    );
}

fn suites(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let all = data.evals.suites(&data.filter);
    let last_known = if data.evals.measured.remote.is_stale() { "~ last known · " } else { "" };
    let note = format!("{last_known}{} · v datasets", show::many(all.len() as u64, "suite", "suites"));
    let inner = pane(look, buf, area, data.pane == SUITES, "SUITES", &note);
    let heads = [
        Col::left("SUITE", 16, 0).grows(10),
        Col::left("DATA", 16, 1).grows(12),
        Col::left("TASK", 11, 4),
        Col::left("METRICS", 20, 3).grows(20),
        Col::left("SLICES", 12, 5).grows(8),
        Col::right("RESULTS", 7, 2),
    ];
    let cursor = data.evals.cursors[SUITES].min(all.len().saturating_sub(1));
    let first = scroll.keep("suites", cursor, all.len(), usize::from(inner.height.saturating_sub(1)));
    let kept = data.evals.measured.value().map_or(&[][..], |m| m.results.as_slice());
    let rows = all.iter().enumerate().skip(first).map(|(i, (name, suite))| {
        let count = kept.iter().filter(|r| r.suite == *name).count();
        let text = |of: Option<String>| of.filter(|t| !t.is_empty()).map_or(Cell::muted("-"), Cell::text);
        let cells = vec![
            Cell::id(name.clone()),
            suite.map_or(Cell::new("removed", Token::Warn), |s| Cell::id(s.data.clone())),
            text(suite.map(|s| s.task.name().to_owned())),
            text(suite.map(|s| s.metrics.join(" "))),
            text(suite.map(|s| s.slices.join(" "))),
            Cell::text(count.to_string()),
        ];
        Row { cells, at_cursor: i == cursor, marked: false }
    });
    table(look, buf, inner, &heads, rows, data.pane == SUITES);
}

/// The metrics of the suite's list first, then what else came out.
fn keys(suite: Option<&Suite>, result: &Evidence) -> Vec<String> {
    let listed = suite.map_or(&[][..], |s| s.metrics.as_slice());
    let mut keys: Vec<String> = listed.iter().filter(|k| result.metrics.contains_key(*k)).cloned().collect();
    keys.extend(result.metrics.keys().filter(|k| !listed.contains(k)).cloned());
    keys
}

fn results(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let all = data.evals.results(&data.filter);
    let inner = pane(look, buf, area, data.pane == RESULTS, "RESULTS", "newest first");
    let Some(newest) = all.first() else {
        return empty(
            look,
            buf,
            inner,
            &[
                ("No version has been measured with this suite.", Token::Text),
                ("opsroom eval run SUITE MODEL VERSION", Token::Accent),
            ],
        );
    };
    let shown: Vec<String> = keys(data.evals.suite(&data.filter), newest).into_iter().take(4).collect();
    let mut heads = vec![Col::left("MODEL", 14, 0).grows(14), Col::left("VERSION", 7, 0)];
    for (priority, key) in (1..).zip(&shown) {
        let width = u16::try_from(format::width(key)).unwrap_or(9).clamp(8, 14);
        heads.push(Col::right(key.clone(), width, priority));
    }
    heads.extend([
        Col::right("ROWS", 8, 2),
        Col::left("LIMITS", 11, 1),
        Col::left("WHEN", 10, 6),
        Col::left("BY", 8, 7),
    ]);
    let cursor = data.evals.cursors[RESULTS].min(all.len() - 1);
    let first = scroll.keep("results", cursor, all.len(), usize::from(inner.height.saturating_sub(1)));
    let stale = data.evals.measured.remote.is_stale();
    let rows = all.iter().enumerate().skip(first).map(|(i, r)| {
        let mut cells = vec![Cell::id(r.model.as_str()), Cell::text(format!("v{}", r.version))];
        cells.extend(shown.iter().map(|k| match r.metrics.get(k).copied().flatten() {
            Some(v) => Cell::text(format::number(v)),
            None => Cell::muted("-"),
        }));
        let limits = match r.broken.len() {
            _ if stale => Cell::new("~", Token::Unknown),
            0 => Cell::new("✓ hold", Token::Ok),
            n => Cell::new(format!("✗ {n} broken"), Token::Crit),
        };
        cells.extend([
            Cell::text(format::count(r.rows)),
            limits,
            Cell::muted(format::moment(state.now, r.at)),
            Cell::muted(r.by.as_str()),
        ]);
        Row { cells, at_cursor: i == cursor, marked: false }
    });
    table(look, buf, inner, &heads, rows, data.pane == RESULTS);
}

/// Of a share of right answers the 95 % interval of Wilson; of other figures none is known from the figure alone.
fn interval(key: &str, value: f64, n: u64) -> String {
    if key != "accuracy" || n == 0 {
        return "-".to_owned();
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of rows
    let right = (value * n as f64).round() as u64;
    let within = wilson(right, n, 0.95);
    format!("{} to {}", format::number(within.low), format::number(within.high))
}

fn figures(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let Some(r) = data.evals.current(&data.filter) else {
        pane(look, buf, area, data.pane == FIGURES, "FIGURES", "");
        return;
    };
    let title = format!("{} v{}  n={}", r.model, r.version, format::count(r.rows));
    let inner = pane(look, buf, area, data.pane == FIGURES, &title, &format!("#{}", r.id));
    let suite = data.evals.suite(&data.filter);
    let heads = [
        Col::left("METRIC", 14, 0).grows(12),
        Col::right("VALUE", 9, 0),
        Col::left("95 % INTERVAL", 17, 2),
        Col::left("LIMIT", 12, 1),
    ];
    let keys = keys(suite, r);
    let cursor = data.evals.cursors[FIGURES].min(keys.len().saturating_sub(1));
    let first = scroll.keep("figures", cursor, keys.len(), usize::from(inner.height.saturating_sub(1)));
    let focused = data.pane == FIGURES;
    let rows = keys.iter().enumerate().skip(first).map(|(i, key)| {
        let value = r.metrics.get(key).copied().flatten();
        let limit = suite.and_then(|s| s.limits.get(key));
        let limit = match (limit, value) {
            (None, _) => Cell::muted("-"),
            (Some(l), Some(v)) if l.holds(v) => Cell::new(format!("✓ {}", l.shown()), Token::Ok),
            (Some(l), Some(_)) => Cell::new(format!("✗ {}", l.shown()), Token::Crit),
            (Some(l), None) => Cell::new(format!("? {}", l.shown()), Token::Warn),
        };
        let cells = vec![
            Cell::id(key.clone()),
            value.map_or(Cell::muted("-"), |v| Cell::text(format::number(v))),
            Cell::muted(value.map_or_else(|| "-".to_owned(), |v| interval(key, v, r.rows))),
            limit,
        ];
        Row { cells, at_cursor: focused && i == cursor, marked: false }
    });
    table(look, buf, inner, &heads, rows, focused);
}

fn slices(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let data = &state.data;
    let focused = data.pane == SLICES;
    let Some(r) = data.evals.current(&data.filter) else {
        pane(look, buf, area, focused, "SLICES", "");
        return;
    };
    let inner = pane(look, buf, area, focused, "SLICES", &show::many(r.slices.len() as u64, "slice", "slices"));
    if r.slices.is_empty() {
        return empty(look, buf, inner, &[("This suite cuts no slices: slices = [\"column\"] does.", Token::Muted)]);
    }
    let shown: Vec<String> = keys(data.evals.suite(&data.filter), r)
        .into_iter()
        .filter(|k| r.slices.iter().any(|s| s.metrics.contains_key(k)))
        .take(2)
        .collect();
    let mut heads = vec![Col::left("SLICE", 18, 0).grows(14), Col::right("N", 7, 1)];
    heads.extend(shown.iter().map(|k| Col::right(k.clone(), 10, 2)));
    let cursor = data.evals.cursors[SLICES].min(r.slices.len() - 1);
    let first = scroll.keep("slices", cursor, r.slices.len(), usize::from(inner.height.saturating_sub(1)));
    let rows = r.slices.iter().enumerate().skip(first).map(|(i, s)| {
        let n =
            if s.n < SMALL_N { Cell::new(format!("n={}", s.n), Token::Warn) } else { Cell::text(format::count(s.n)) };
        let mut cells = vec![Cell::text(format!("{}={}", s.column, s.value)), n];
        cells.extend(shown.iter().map(|k| match s.metrics.get(k).copied().flatten() {
            Some(v) => Cell::text(format::number(v)),
            None => Cell::muted("-"),
        }));
        Row { cells, at_cursor: focused && i == cursor, marked: false }
    });
    table(look, buf, inner, &heads, rows, focused);
}
