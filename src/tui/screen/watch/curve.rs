//! Quality over time: a curve a version, the bound, and marks where something was changed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::words::{Freshness, arm_token, freshness, short, version};
use crate::base::Timestamp;
use crate::capability::fleet::{Live, Watched};
use crate::chart as file;
use crate::tui::format;
use crate::tui::theme::Token;
use crate::tui::widget::chart::{Chart, Series, chart};
use crate::tui::widget::pane::empty;
use crate::tui::widget::{Look, put, put_all, put_right};

/// Columns left of a chart's axis.
const LABELS: u16 = 8;
/// A stretch with fewer labels says nothing.
const LABELLED_MIN: u64 = 10;

/// The curve of a version; gaps where nothing is known. Whether it is estimated: no stretch has labels.
pub fn of(page: &Live, watched: &Watched) -> (Vec<(f64, f64)>, bool) {
    let at = |from: Timestamp, to: Timestamp| (from.0 + to.0) as f64 / 2e6;
    let real = |p: &crate::capability::monitoring::quality::Point| {
        p.metrics.get(&page.metric).filter(|_| p.labelled >= LABELLED_MIN).map(|m| m.value)
    };
    let estimated = !watched.points.iter().any(|p| real(p).is_some());
    let value = |p: &crate::capability::monitoring::quality::Point| {
        if estimated { p.estimated.get(&page.metric).filter(|m| m.n >= LABELLED_MIN).map(|m| m.value) } else { real(p) }
    };
    (watched.points.iter().map(|p| (at(p.from, p.to), value(p).unwrap_or(f64::NAN))).collect(), estimated)
}

/// Curves that are drawn at most.
const DRAWN: usize = 4;

/// The versions that are drawn: the asked one, else all that answered in the window, also those that answer nobody any more:
/// what went wrong may be theirs.
pub fn drawn<'a>(page: &'a Live, asked: Option<&str>) -> Vec<&'a Watched> {
    let wanted = page.versions.iter().filter(|v| asked.is_none_or(|a| a == v.version));
    let all: Vec<&Watched> = wanted.take(DRAWN).collect();
    if all.is_empty() { page.versions.iter().take(1).collect() } else { all }
}

pub fn draw(look: &Look<'_>, buf: &mut Buffer, inner: Rect, page: &Live, asked: Option<&str>, stale: bool) {
    let versions = drawn(page, asked);
    if versions.is_empty() {
        let last = match (&page.batch, page.last) {
            (Some((name, _)), Some(at)) => format!("The newest batch is {name}, {} ago.", format::age(page.at, at)),
            (None, Some(at)) => format!("The last one is {} old.", format::age(page.at, at)),
            (_, None) => "None ever came: send some to POST /api/v1/predictions.".to_owned(),
        };
        let longer = if page.last.is_some() { "t opens a longer window." } else { "" };
        let nothing = ("No prediction came in this window.", Token::Text);
        return empty(look, buf, inner, &[nothing, (&last, Token::Muted), (longer, Token::Muted)]);
    }
    let curves: Vec<Curve<'_>> =
        versions.iter().map(|v| (*v, of(page, v))).map(|(v, (points, estimated))| (v, points, estimated)).collect();
    let (from, to) = (page.window.from.0 as f64 / 1e6, page.window.to.0 as f64 / 1e6);
    let mut series: Vec<Series> = Vec::new();
    if let Some(bound) = page.bound {
        // The bound, and with it the ends of the window, so that the axis is the window's whatever was seen in it.
        let y = bound.value();
        series.push(Series { points: vec![(from, y), (to, y)], raw: Vec::new(), token: Token::Border });
    }
    series.extend(curves.iter().map(|(v, points, _)| Series {
        points: points.clone(),
        raw: Vec::new(),
        token: if stale { Token::Unknown } else { arm_token(page, v) },
    }));
    let marks = u16::from(inner.height >= 8);
    let plot = Rect { height: inner.height.saturating_sub(1 + marks), ..inner };
    #[allow(clippy::cast_possible_truncation)] // a label
    let x_label = |x: f64| format::clock(Timestamp((x * 1e6) as i64)).chars().take(5).collect::<String>() + "Z";
    let is_drawn = chart(look, buf, plot, &Chart { series: &series, log: false, x_label, probe: None, clock: true });
    if is_drawn && marks > 0 {
        let xs = extent(&series);
        events(look, buf, Rect { y: plot.bottom(), height: 1, ..inner }, page, xs);
    } else if !is_drawn {
        let why = if curves.iter().all(|(v, ..)| v.quality.labelled == 0) {
            "no labels in this window, and no scores to estimate by"
        } else {
            "too few labels for a curve"
        };
        empty(look, buf, plot, &[(why, Token::Muted)]);
    }
    legend(look, buf, Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, page, &curves, stale);
}

fn extent(series: &[Series]) -> (f64, f64) {
    let xs = series.iter().flat_map(|s| &s.points).filter(|p| p.1.is_finite()).map(|p| p.0);
    xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)))
}

/// Where something was changed or raised, under the curve.
fn events(look: &Look<'_>, buf: &mut Buffer, line: Rect, page: &Live, (low, high): (f64, f64)) {
    let width = line.width.saturating_sub(LABELS + 1);
    let mut free = line.right();
    for change in page.changes.iter().filter(|c| (low..=high).contains(&(c.at.0 as f64 / 1e6))) {
        let share = (change.at.0 as f64 / 1e6 - low) / (high - low).max(1e-9);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the line
        let x = line.x + LABELS + (share * f64::from(width)).round() as u16;
        let (word, token) = match change.what.as_str() {
            "raise-alert" => ("breach".to_owned(), Token::Crit),
            "clear-alert" => ("well".to_owned(), Token::Ok),
            what => (what.split('-').next().unwrap_or(what).to_owned(), Token::Muted),
        };
        let sign = if look.glyphs.ascii { "^" } else { "▲" };
        let room = free.saturating_sub(x);
        if room < 2 {
            continue;
        }
        let text = format!("{sign}{word}");
        let fits = u16::try_from(format::width(&text)).unwrap_or(u16::MAX) < room;
        put(look, buf, x, line.y, room, if fits { &text } else { sign }, look.style(token));
        free = x;
    }
}

/// A version, its points, and whether they are estimated.
type Curve<'a> = (&'a Watched, Vec<(f64, f64)>, bool);

/// Each version with its figure over the window.
fn legend(look: &Look<'_>, buf: &mut Buffer, line: Rect, page: &Live, curves: &[Curve<'_>], stale: bool) {
    let mut x = line.x + 1;
    for (nth, (v, _, estimated)) in curves.iter().enumerate() {
        let (measured, guessed) = (v.quality.metrics.get(&page.metric), v.quality.estimated.get(&page.metric));
        let figure = if *estimated { guessed } else { measured };
        let value = figure.map_or("n/a".to_owned(), |m| short(m.value));
        let about = if *estimated && figure.is_some() { "≈" } else { "" };
        let bad = page.bound.zip(figure).is_some_and(|(b, m)| b.is_broken_by(m.value));
        // What answers now, and of which nothing came lately, is as it was, not as it is.
        let late = freshness(Some(v.quality.last), v.quality.batch.is_some(), page.window.to) == Freshness::Stale;
        let stale = stale || (v.role.serves() && late);
        let (sign, token) = match (stale, bad, page.bound) {
            (true, ..) => (" ?", Token::Unknown),
            (_, true, _) => (" !!", Token::Crit),
            // While an alert about it stands, what is well over a longer window is not well.
            (_, false, Some(_)) if !estimated && !page.raised => (" ✓", Token::Ok),
            _ => ("", Token::Text),
        };
        let tilde = if stale { "~" } else { "" };
        let name = format!("{} {}", version(&v.version), v.role.words());
        let tight = line.width < 70 && curves.len() > 1;
        let n =
            if tight { String::new() } else { format!(" n={}", format::count(figure.map_or(v.quality.n, |m| m.n))) };
        let figure = format!("{tilde}{about}{value}{sign}");
        let dash = if look.glyphs.ascii { "-- " } else { "── " };
        let pieces = [
            (dash, if stale { Token::Unknown } else { arm_token(page, v) }),
            (name.as_str(), Token::Text),
            (" ", Token::Text),
            (figure.as_str(), token),
            (n.as_str(), Token::Muted),
            ("   ", Token::Text),
        ];
        let room = line.right().saturating_sub(x);
        // A figure is shown whole or not at all.
        let needs: usize = pieces[..pieces.len() - 1].iter().map(|(text, _)| format::width(text)).sum();
        if nth > 0 && needs > usize::from(room) {
            let further = format!("+{}", curves.len() - nth);
            x += put_all(look, buf, x, line.y, room, &[(further.as_str(), Token::Muted)]);
            break;
        }
        x += put_all(look, buf, x, line.y, room, &pieces);
    }
    let partial = if look.glyphs.ascii { "last part open" } else { "▒ last part open" };
    put_right(look, buf, x, line.right().saturating_sub(1), line.y, partial, look.style(Token::Muted));
}

/// The same for a file.
pub fn picture(page: &Live, asked: Option<&str>) -> file::Chart {
    let versions = drawn(page, asked);
    let line = |v: &&Watched| file::Line {
        name: format!("{} {}", version(&v.version), v.role.words()),
        points: of(page, v).0.into_iter().filter(|p| p.1.is_finite()).collect(),
    };
    file::Chart {
        title: format!("{} {}", page.service, page.metric),
        caption: super::explain::query(page, "quality", None),
        x_label: "UTC".to_owned(),
        y_label: String::new(),
        lines: versions.iter().map(line).collect(),
        x: file::Scale::Clock,
        log: false,
    }
}
