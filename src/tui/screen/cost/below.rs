//! Below: the row under the cursor in its parts, the machines, and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ADVICE;
use super::view::{aged, shown};
use crate::base::money::{self, Micro};
use crate::base::show;
use crate::capability::cost::{Advice, HostView};
use crate::tui::format;
use crate::tui::screen::lines::wrap;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::table::{Cell, Col, rows, table};
use crate::tui::widget::{Look, Scroll, put, put_all};

/// The row under the cursor in its parts, and by which prices.
pub(super) fn parts(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let (report, row) = (state.cost.report(), state.cost.current());
    let title = row.as_ref().map_or("PARTS".to_owned(), |r| format!("PARTS OF {}", r.what));
    let title = format::cut(&title, usize::from(area.width.saturating_sub(6)), look.glyphs.ellipsis);
    let inner = pane(look, buf, area, false, &title, "");
    let Some(report) = report else { return };
    let mut lines: Vec<(String, Token)> = Vec::new();
    if let Some(r) = &row {
        let named = [
            ("busy", r.parts.busy),
            ("idle", r.parts.idle),
            ("kept", r.parts.kept),
            ("tokens", r.parts.tokens),
            ("egress", r.parts.egress),
            ("storage", r.parts.storage),
            ("training", r.parts.training),
        ];
        let told: Vec<String> =
            named.iter().filter(|(_, m)| *m > Micro(0)).map(|(n, m)| format!("{n} {}", shown(report, *m))).collect();
        lines.push((
            if told.is_empty() { "nothing that has a price".to_owned() } else { told.join(" · ") },
            Token::Text,
        ));
        if r.parts.kept > Micro(0) {
            lines.push(("nobody told how long requests took: idle is unknown".to_owned(), Token::Unknown));
        }
        let each = |v: f64| money::shown(v, &report.currency);
        if let Some(per) = r.per_prediction {
            lines.push((format!("{} served at {} each", format::count(r.served), each(per)), Token::Text));
        }
        if let Some(marginal) = r.marginal_per_prediction {
            lines.push((format!("{} of that is marginal", each(marginal)), Token::Text));
        }
        if let Some(c) = r.per_correct {
            let labelled = format::count(c.labelled);
            lines.push((format!("a correct one {}, of {labelled} labelled", each(c.value)), Token::Text));
            let range = c.low.zip(c.high).map(|(low, high)| format!("  between {} and {}", each(low), each(high)));
            lines.extend(range.map(|text| (text, Token::Muted)));
        }
        if let Some(t) = &r.training {
            let spread = t.per_prediction.map_or(String::new(), |p| format!(", {} a prediction", each(p)));
            lines.push((format!("its training {} apart{spread}", shown(report, t.total)), Token::Muted));
        }
        lines.extend(r.unknown.iter().map(|u| (format!("unknown: {u}"), Token::Unknown)));
    }
    let of = |p: &crate::capability::cost::Prices| {
        if p.defaults {
            format!("default prices of {}", &p.since.to_string()[..10])
        } else {
            "your own prices".to_owned()
        }
    };
    let prices: Vec<String> = report.prices.iter().map(of).collect();
    lines.push((format!("by {}", prices.join(", then ")), Token::Muted));
    let room = inner.width.saturating_sub(2);
    let rows =
        lines.iter().flat_map(|(text, token)| wrap(text, usize::from(room)).into_iter().map(|row| (row, *token)));
    for (y, (text, token)) in (inner.y..inner.bottom()).zip(rows) {
        put(look, buf, inner.x + 1, y, room, &text, look.style(token));
    }
}

/// How busy each machine is, and what runs there: those that stand idle with a run first.
pub(super) fn hosts(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let Some(report) = state.cost.report() else { return };
    let inner = pane(look, buf, area, false, "HOSTS now", &show::many(report.hosts.len() as u64, "host", "hosts"));
    let mut all: Vec<&HostView> = report.hosts.iter().collect();
    all.sort_by_key(|h| (h.stalled.is_empty(), h.runs.is_empty(), h.host.name.clone()));
    let (on, off) = if look.glyphs.ascii { ("#", ".") } else { ("█", "░") };
    let cells = usize::from(inner.width / 6).clamp(6, 14);
    for (y, view) in (inner.y..inner.bottom()).zip(all) {
        let name = format!("{:<12} ", format::cut(&view.host.name, 12, look.glyphs.ellipsis));
        let Some(minute) = view.host.newest.as_ref().filter(|_| !view.host.away) else {
            put_all(look, buf, inner.x + 1, y, inner.width - 2, &[(&name, Token::Text), ("away", Token::Unknown)]);
            continue;
        };
        let f = &minute.figures;
        let gpus = f.gpus.len().max(1) as f64;
        let (kind, percent) = if f.gpus.is_empty() {
            ("CPU", f.cpu_percent)
        } else {
            ("GPU", f.gpus.iter().map(|g| g.percent).sum::<f64>() / gpus)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to the bar
        let full = (percent.clamp(0.0, 100.0) / 100.0 * cells as f64).round() as usize;
        let token = aged(state, if view.stalled.is_empty() { Token::Ok } else { Token::Warn });
        let note = match view.stalled.first() {
            Some(s) => {
                let hour = s.hour.map_or(String::new(), |m| format!("{}/h ", shown(report, m)));
                format!(" ! {hour}{} {}", s.name, s.why.split(',').next().unwrap_or_default())
            }
            None => format!(" {}", view.runs.join(" ")),
        };
        let bar = [(on.repeat(full), token), (off.repeat(cells - full), Token::Muted)];
        put_all(
            look,
            buf,
            inner.x + 1,
            y,
            inner.width.saturating_sub(2),
            &[
                (&name, Token::Text),
                (&bar[0].0, bar[0].1),
                (&bar[1].0, bar[1].1),
                (&format!(" {kind} {percent:>3.0}%"), Token::Text),
                (&note, if view.stalled.is_empty() { Token::Muted } else { token }),
            ],
        );
    }
}

pub(super) fn advice(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, scroll: &mut Scroll) {
    let cost = &state.cost;
    let inner = pane(look, buf, area, cost.pane == ADVICE, "WHAT TO DO", "saves a day");
    let Some(report) = cost.report() else { return };
    if report.advice.is_empty() {
        let lines: &[(&str, Token)] = match state.in_past() {
            None => &[
                ("No run stands still or is beaten by another one.", Token::Muted),
                ("No service could do with a replica less, by its full days.", Token::Muted),
            ],
            Some(_) => &[("What could be done is told of now only.", Token::Muted)],
        };
        return empty(look, buf, inner, lines);
    }
    let columns = [Col::right("A DAY", 8, 0), Col::left("WHAT", 20, 0).grows(14), Col::left("SEEN", 20, 1).grows(40)];
    let inner = chosen(look, buf, inner, cost.advised());
    let rows = rows(scroll, "advice", inner, (cost.advice, true), &report.advice, |a| {
        vec![
            Cell::new(a.saves_day.map_or("?".to_owned(), |m| shown(report, m)), aged(state, Token::Warn)),
            Cell::text(a.what.as_str()),
            Cell::muted(show::line(&a.why)),
        ]
    });
    table(look, buf, inner, &columns, rows, cost.pane == ADVICE);
}

/// The advice under the cursor in full, where there is room below the list; answers the room that is left.
fn chosen(look: &Look<'_>, buf: &mut Buffer, inner: Rect, advice: Option<&Advice>) -> Rect {
    const LIST_MIN: u16 = 4;
    let Some(a) = advice.filter(|_| inner.width > 4) else { return inner };
    let room = inner.width - 2;
    let told = [(a.what.clone(), Token::Text), (show::line(&a.why), Token::Muted), (a.next.clone(), Token::Accent)];
    let rows: Vec<(String, Token)> = told
        .iter()
        .flat_map(|(text, token)| wrap(text, usize::from(room)).into_iter().map(|row| (row, *token)))
        .collect();
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX);
    if inner.height < height.saturating_add(LIST_MIN) {
        return inner;
    }
    for (y, (text, token)) in (inner.bottom() - height..inner.bottom()).zip(&rows) {
        put(look, buf, inner.x + 1, y, room, text, look.style(*token));
    }
    Rect { height: inner.height - height - 1, ..inner }
}
