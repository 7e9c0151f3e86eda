//! The table of runs: one by one or in groups, with a small live curve, what is new, and who is stuck or has diverged.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Column, Line, Runs, TABLE, groups};
use crate::base::Timestamp;
use crate::capability::tracking::RunGroup;
use crate::capability::tracking::health::{Health, has_exploded, is_loss};
use crate::tui::format::{self, Decimals};
use crate::tui::model::{Point, Run, RunStatus};
use crate::tui::remote::Remote;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, Row, table};
use crate::tui::widget::{Look, Scroll};

/// Columns of the small curve.
const SPARK: u16 = 10;

pub fn draw(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let runs = &state.runs;
    let inner = pane(look, buf, area, runs.pane == TABLE, &title(state), &hint(runs));
    let window = match &runs.page.remote {
        Remote::Empty | Remote::Loading => return empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
        Remote::Failed(fault) => return failed(look, buf, inner, fault),
        Remote::Fresh(w, _) | Remote::Stale(w, ..) => w,
    };
    if window.total == 0 {
        return nothing(look, buf, inner, state);
    }
    let shown = runs.shown_columns();
    let spark = runs.charted_metric();
    let table_of = Table {
        look,
        runs,
        formats: shown.iter().map(|c| decimals(c, &window.rows)).collect(),
        spark: spark.as_deref(),
        now: state.now,
        is_stale: runs.page.remote.is_stale(),
        marks_new: window.rows.iter().any(|r| runs.is_new(r)),
        shown: &shown,
    };
    let columns = table_of.columns(&window.rows);
    let height = usize::from(inner.height);
    if runs.is_grouped() {
        let lines = runs.lines();
        if lines.is_empty() {
            let text = match &runs.grouped.groups.remote {
                Remote::Failed(fault) => return failed(look, buf, inner, fault),
                Remote::Fresh(..) | Remote::Stale(..) => "no group",
                Remote::Empty | Remote::Loading => "asking the agent…",
            };
            return empty(look, buf, inner, &[(text, Token::Muted)]);
        }
        let first = scroll.keep("runs", runs.cursor, lines.len(), height.saturating_sub(1));
        let rows = lines.iter().enumerate().skip(first).take(height).map(|(i, line)| table_of.line(line, i));
        return table(look, buf, inner, &columns, rows, runs.pane == TABLE);
    }
    let first = scroll.keep("runs", runs.cursor, window.total, height.saturating_sub(1));
    let line = |i: usize| window.get(i).map_or(Line::Missing("…"), Line::Run);
    let rows = (first..window.total).take(height).map(|i| table_of.line(&line(i), i));
    table(look, buf, inner, &columns, rows, runs.pane == TABLE);
}

fn title(state: &State) -> String {
    let runs = &state.runs;
    let what = if runs.deleted { "DELETED RUNS" } else { "RUNS" };
    let by = runs.grouped.by.as_ref().map_or(String::new(), |by| format!("  by {}", groups::name(by)));
    let new = runs.rows().iter().filter(|r| runs.is_new(r)).count();
    let new = match runs.last_look {
        Some(at) if new > 0 => format!("  + {new} new since {}", format::moment(state.now, at)),
        _ => String::new(),
    };
    format!("{what}{by}{new}")
}

fn hint(runs: &Runs) -> String {
    let last_known = if runs.page.remote.is_stale() { "~ last known   " } else { "" };
    let keys = if runs.is_grouped() { "mean ± sd · ↵ runs · b group" } else { "s sort · c columns · b group" };
    format!("{last_known}{keys}")
}

/// What went wrong, why, and what to do.
pub fn failed(look: &Look<'_>, buf: &mut Buffer, inner: Rect, fault: &crate::base::Fault) {
    empty(
        look,
        buf,
        inner,
        &[
            (&fault.what, Token::Crit),
            (&fault.why, Token::Text),
            ("", Token::Text),
            (&fault.next, Token::Info),
            ("r  try again", Token::Muted),
        ],
    );
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, inner: Rect, state: &State) {
    if state.runs.deleted {
        let lines = [("No deleted runs.", Token::Text), ("B shows the active ones.", Token::Muted)];
        return empty(look, buf, inner, &lines);
    }
    if !state.runs.filter.is_empty() || state.runs.experiment.is_some() {
        return empty(
            look,
            buf,
            inner,
            &[("No run fits.", Token::Text), ("Esc clears the filter, p shows another experiment.", Token::Muted)],
        );
    }
    let uri = state.status.value().map_or("http://127.0.0.1:6270", |s| s.tracking_uri.as_str());
    let export = format!("export MLFLOW_TRACKING_URI={uri}");
    empty(
        look,
        buf,
        inner,
        &[
            ("No runs yet. Point a training script here:", Token::Text),
            ("", Token::Text),
            (&export, Token::Accent),
            ("python train.py", Token::Accent),
            ("", Token::Text),
            ("or read what is on disk:      opsroom open mlruns/", Token::Muted),
            ("or see it on real data:       opsroom demo", Token::Muted),
        ],
    );
}

/// What all rows of one drawing have in common.
struct Table<'a> {
    look: &'a Look<'a>,
    runs: &'a Runs,
    shown: &'a [Column],
    formats: Vec<Option<Decimals>>,
    /// The metric whose curve is drawn.
    spark: Option<&'a str>,
    now: Timestamp,
    is_stale: bool,
    /// Whether names leave room for the mark of what is new.
    marks_new: bool,
}

impl<'a> Table<'a> {
    fn has_spark(&self, column: &Column) -> bool {
        matches!(column, Column::Metric(key) if Some(key.as_str()) == self.spark)
    }

    fn columns(&self, rows: &[Run]) -> Vec<Col> {
        let mut columns: Vec<Col> = Vec::new();
        let mut metrics = 0;
        for c in self.shown {
            let mut col = self.column(c, rows);
            if matches!(c, Column::Metric(_)) {
                // The first metric stays longest, then its curve, then the other metrics.
                col.priority = if metrics == 0 { 1 } else { 4 };
                metrics += 1;
            }
            columns.push(col);
            if self.has_spark(c) {
                columns.push(Col::left("curve", SPARK, 3));
            }
        }
        columns
    }

    fn column(&self, c: &Column, rows: &[Run]) -> Col {
        let runs = self.runs;
        let sorted = (c.order() == runs.order).then_some(runs.descending);
        let narrow = |width: usize, low: u16, high: u16| u16::try_from(width).unwrap_or(high).clamp(low, high);
        let fixed = match c {
            Column::Name => Col::left("RUN", 16, 0).grows(12),
            Column::State => {
                let words = rows.iter().map(|r| format::width(&self.state(r).0)).max().unwrap_or(0);
                Col::left("STATE", narrow(words, 8, 13), 0)
            }
            Column::Experiment => Col::left("EXPERIMENT", 12, 5).grows(6),
            Column::Started => Col::left("STARTED", 10, 6),
            Column::Duration => {
                let widest = rows.iter().map(|r| format::width(&format::span(r.seconds(self.now)))).max();
                Col::right("DUR", narrow(widest.unwrap_or(0), 6, 9), 2)
            }
            Column::Step => Col::right("STEP", 6, 2),
            Column::Metric(key) if runs.is_grouped() => {
                Col::right(key.clone(), narrow(format::width(key) + 1, 17, 20), 1)
            }
            Column::Metric(key) => Col::right(key.clone(), narrow(format::width(key) + 1, 9, 12), 1),
            Column::Param(key) => {
                let values = rows.iter().filter_map(|r| r.params.get(key)).map(|v| format::width(v)).max();
                Col::left(key.clone(), narrow(values.unwrap_or(4).max(format::width(key)), 4, 12), 7)
            }
            Column::User => Col::left("USER", 8, 8),
            Column::Note => Col::left("NOTE", 10, 9).grows(30),
        };
        fixed.sorted(sorted)
    }

    fn line(&self, line: &Line<'a>, i: usize) -> Row<'a> {
        let at_cursor = i == self.runs.cursor;
        match line {
            Line::Missing(text) => Row { cells: vec![Cell::muted(*text)], at_cursor, marked: false },
            Line::Group { group, is_open } => {
                let cells = self.cells(|c, d| self.group_cell(group, *is_open, c, d), |_| Cell::muted(""));
                Row { cells, at_cursor, marked: false }
            }
            Line::Run(run) => {
                let cells = self.cells(|c, d| self.run_cell(run, c, d), |key| self.curve(run, key));
                Row { cells, at_cursor, marked: self.runs.marks.contains(&run.id) }
            }
        }
    }

    fn cells(
        &self,
        cell: impl Fn(&Column, Option<Decimals>) -> Cell<'a>,
        curve: impl Fn(&str) -> Cell<'a>,
    ) -> Vec<Cell<'a>> {
        let mut cells = Vec::with_capacity(self.shown.len() + 1);
        for (c, d) in self.shown.iter().zip(&self.formats) {
            cells.push(cell(c, *d));
            if self.has_spark(c) {
                cells.push(curve(self.spark.unwrap_or_default()));
            }
        }
        cells
    }

    fn state(&self, run: &Run) -> (String, Token) {
        let course = self.spark.filter(|key| is_loss(key)).and_then(|key| self.runs.sparks.get(&run.id, key));
        state_of_course(self.look, run, self.now, course)
    }

    fn run_cell(&self, run: &'a Run, c: &Column, decimals: Option<Decimals>) -> Cell<'a> {
        match c {
            Column::Name => self.name(run),
            Column::State => {
                let (text, token) = self.state(run);
                if self.is_stale { Cell::new(format!("~{text}"), Token::Unknown) } else { Cell::new(text, token) }
            }
            Column::Experiment => Cell::muted(run.experiment.as_str()),
            Column::Started => Cell::muted(format::moment(self.now, run.started)),
            Column::Duration => Cell::text(format::span(run.seconds(self.now))),
            Column::Step => Cell::text(run.step().map_or("-".into(), format::short_count)),
            Column::Metric(key) => match run.metrics.get(key) {
                None => Cell::muted("-"),
                Some(m) => {
                    let text = written(decimals, m.value);
                    match (self.is_stale, m.value.is_finite()) {
                        (true, _) => Cell::new(format!("~{text}"), Token::Unknown),
                        (false, true) => Cell::text(text),
                        (false, false) => Cell::new(text, Token::Crit),
                    }
                }
            },
            Column::Param(key) => run.params.get(key).map_or(Cell::muted("-"), |v| Cell::text(v.as_str())),
            Column::User => Cell::muted(run.user.as_str()),
            Column::Note => Cell::muted(run.note()),
        }
    }

    /// A run that is new bears a plus; in a group it stands further in.
    fn name(&self, run: &'a Run) -> Cell<'a> {
        let inset = if self.runs.is_grouped() { "  " } else { "" };
        let mark = match (self.marks_new, self.runs.is_new(run)) {
            (false, _) => "",
            (true, true) => "+ ",
            (true, false) => "  ",
        };
        if inset.is_empty() && mark.is_empty() {
            return Cell::id(run.name.as_str());
        }
        Cell::id(format!("{inset}{mark}{}", run.name))
    }

    /// Mean and spread of a group; the number of runs stands beside its name.
    fn group_cell(&self, group: &RunGroup, is_open: bool, c: &Column, decimals: Option<Decimals>) -> Cell<'a> {
        match c {
            Column::Name => {
                let arrow = if is_open { self.look.glyphs.down } else { self.look.glyphs.crumb };
                let by = self.runs.grouped.by.as_ref().map(groups::name).unwrap_or_default();
                let label = if group.value.is_none() { format!("no {by}") } else { group.label.clone() };
                Cell::text(format!("{arrow} {label}  n={}", group.runs))
            }
            Column::State if group.running > 0 => Cell::new(format!("{} live", group.running), Token::Ok),
            Column::Started => Cell::muted(format::moment(self.now, group.newest)),
            Column::Metric(key) => match group.metrics.get(key).filter(|s| s.n > 0) {
                None => Cell::muted("-"),
                Some(spread) => {
                    let sd = spread.sd().map_or(String::new(), |sd| format!(" ±{}", written(decimals, sd)));
                    Cell::text(format!("{}{sd}", written(decimals, spread.mean)))
                }
            },
            _ => Cell::muted(""),
        }
    }

    fn curve(&self, run: &Run, key: &str) -> Cell<'a> {
        let Some(points) = self.runs.sparks.get(&run.id, key) else { return Cell::muted("") };
        let values: Vec<f64> = points.iter().map(|p| p.value).collect();
        Cell::new(format::sparkline(&values, usize::from(SPARK), self.look.glyphs.ramp), Token::Series(0))
    }
}

/// A value so many times the median of its column does not set the decimals of the others: one loss that has exploded
/// must not turn the rest into zeros.
const OUTLIER_TIMES: f64 = 1000.0;

fn decimals(column: &Column, rows: &[Run]) -> Option<Decimals> {
    let Column::Metric(key) = column else { return None };
    let mut values: Vec<f64> =
        rows.iter().filter_map(|r| r.metrics.get(key)).map(|m| m.value).filter(|v| v.is_finite()).collect();
    values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let limit = values.get(values.len() / 2).map_or(f64::INFINITY, |median| median.abs() * OUTLIER_TIMES);
    Some(Decimals::fit(values.into_iter().filter(|v| limit == 0.0 || v.abs() <= limit)))
}

/// A value in the decimals of its column, unless they would show a zero that is none or run out of the column.
fn written(decimals: Option<Decimals>, value: f64) -> String {
    const LONG: usize = 9;
    let text = decimals.unwrap_or(Decimals::Scientific).write(value);
    let reads_as_zero = value != 0.0 && value.is_finite() && !text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if reads_as_zero || text.len() > LONG { format::number(value) } else { text }
}

/// Glyph and word for how a run stands: never colour alone.
pub fn state_of(look: &Look<'_>, run: &Run, now: Timestamp) -> (String, Token) {
    state_of_course(look, run, now, None)
}

/// The same with the course of a loss, which may have exploded without being infinite yet.
fn state_of_course(look: &Look<'_>, run: &Run, now: Timestamp, loss: Option<&[Point]>) -> (String, Token) {
    let g = look.glyphs;
    match run.health(now) {
        Health::Diverged { value, .. } => return (format!("{} {}", g.fail, format::number(value)), Token::Crit),
        Health::Stalled { silent_seconds } => {
            return (format!("{} stalled {}", g.warn, format::rough_span(silent_seconds)), Token::Warn);
        }
        Health::Well => {}
    }
    if loss.is_some_and(|points| has_exploded(points.iter().map(|p| p.value))) {
        return (format!("{} diverged", g.fail), Token::Crit);
    }
    match run.status {
        RunStatus::Running => (format!("{} live", g.live), Token::Ok),
        RunStatus::Scheduled => (format!("{} queued", g.waiting), Token::Muted),
        RunStatus::Finished => (format!("{} done", g.ok), Token::Text),
        RunStatus::Failed => (format!("{} failed", g.fail), Token::Crit),
        RunStatus::Killed => (format!("{} killed", g.stopped), Token::Warn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_that_exploded_does_not_turn_the_others_into_zeros() {
        assert_eq!(written(Some(Decimals::Fixed(4)), 0.3017), "0.3017");
        assert_eq!(written(Some(Decimals::Fixed(4)), 5_400_571.0), "5400571");
        assert_eq!(written(Some(Decimals::Fixed(0)), 0.3017), "0.3017");
        assert_eq!(written(Some(Decimals::Fixed(3)), 0.0), "0.000");
        assert_eq!(written(None, f64::NAN), "nan");
    }
}
