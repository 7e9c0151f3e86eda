//! The picture of the state. Nothing here changes anything but where lists are scrolled to.
//!
//! ```text
//!  LOCAL ▸ runs ▸ flights                                  ctl ✓  obs ✓  03:14:07Z  kim     header
//!  [2 Runs]  3 Registry   7 Audit                                                           tabs, where there is room
//!  filter ▸ auc>0.93                                                     12 of 418          filter, on lists
//! ┏━ RUNS ━━━━ …                                                                            the screen
//!  ↵ open  Space mark  / filter …                                                           footer, from the keymap
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format;
use super::overlay::Overlay;
use super::screen;
use super::state::{PREFIX_POPUP_US, State, View};
use super::theme::{Theme, Token};
use super::widget::{self, Look, Scroll, footer, frame, overlay, put, put_all};
use crate::base::show;

/// Below this there is room for a few words only.
const MINI: (u16, u16) = (60, 16);

/// Where the parts of the frame lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    pub header: Rect,
    pub tabs: Option<Rect>,
    pub filter: Option<Rect>,
    pub banners: Rect,
    pub body: Rect,
    pub status: Option<Rect>,
    pub footer: Rect,
}

/// The frame's parts for a screen of this size. Pure, so that moving the cursor knows the height of a page.
pub fn areas(state: &State, area: Rect) -> Areas {
    let tabbed = area.width >= 100 && area.height >= 30;
    let listed = matches!(state.nav.here(), View::Runs | View::Audit | View::Cost);
    let filtered =
        listed || matches!(state.overlay, Some(Overlay::Filter(_))) || !screen::filter_text(state).is_empty();
    let own_status = area.height >= 30;
    let banners = u16::try_from(frame::banners(state).len()).unwrap_or(0);
    let heights = [1, u16::from(tabbed), u16::from(filtered), banners];
    let above: u16 = heights.iter().sum();
    let below = 1 + u16::from(own_status);
    let line =
        |y: u16, height: u16| Rect::new(area.x, area.y + y, area.width, height.min(area.height.saturating_sub(y)));
    Areas {
        header: line(0, 1),
        tabs: tabbed.then(|| line(1, 1)),
        filter: filtered.then(|| line(1 + heights[1], 1)),
        banners: line(above - banners, banners),
        body: line(above, area.height.saturating_sub(above + below)),
        status: own_status.then(|| line(area.height.saturating_sub(2), 1)),
        footer: line(area.height.saturating_sub(1), 1),
    }
}

/// Draws everything.
pub fn view(state: &State, scroll: &mut Scroll, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let zones = scroll.begin();
    let look = Look { theme, glyphs: &state.glyphs, zones: &zones };
    buf.set_style(area, look.style(Token::Text));
    if area.width < MINI.0 || area.height < MINI.1 {
        return mini(&look, buf, area, state);
    }
    let at = areas(state, area);
    frame::header(&look, buf, at.header, state);
    if let Some(tabs) = at.tabs {
        frame::tabs(&look, buf, tabs, state);
    }
    if let Some(line) = at.filter {
        frame::filter_line(&look, buf, line, state, &filter_note(state));
    }
    for (y, text) in (at.banners.y..at.banners.bottom()).zip(frame::banners(state)) {
        put_all(
            &look,
            buf,
            area.x,
            y,
            area.width,
            &[(look.glyphs.cursor, Token::Warn), (" ", Token::Text), (&text, Token::Warn)],
        );
    }
    match state.nav.here() {
        View::Fleet => screen::fleet::view::view(&look, buf, at.body, state, scroll),
        View::Incident(_) => screen::incident::view::view(&look, buf, at.body, state, scroll),
        View::Recovery(_) => screen::recovery::view::view(&look, buf, at.body, state),
        View::Live => screen::live::view::view(&look, buf, at.body, state, scroll),
        View::Runs => screen::runs::view::view(&look, buf, at.body, state, scroll),
        View::Run(_) => screen::run::view::view(&look, buf, at.body, state, scroll),
        View::Compare(_) => screen::compare::view::view(&look, buf, at.body, state, scroll),
        View::Registry => screen::registry::view::view(&look, buf, at.body, state, scroll),
        View::Rollouts => screen::rollouts::view::view(&look, buf, at.body, state, scroll),
        View::Cost => screen::cost::view::view(&look, buf, at.body, state, scroll),
        View::Readiness => screen::readiness::view::view(&look, buf, at.body, state, scroll),
        View::Audit => screen::audit::view::view(&look, buf, at.body, state, scroll),
        View::Data => screen::data::view::view(&look, buf, at.body, state, scroll),
        View::Versus { .. } => screen::registry::versus::view(&look, buf, at.body, state),
    }
    if let Some(line) = at.filter {
        frame::filter_error(&look, buf, Rect { y: line.y + 1, ..line }.intersection(area), state);
    }
    over(&look, buf, at.body, state, scroll);
    footer::footer(&look, buf, at.footer, state);
    status_line(&look, buf, at.status.unwrap_or(at.footer), state, at.status.is_some());
}

fn over(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State, scroll: &mut Scroll) {
    match &state.overlay {
        Some(Overlay::Picker(p)) => overlay::picker(look, buf, body, p, scroll),
        Some(Overlay::Help { scroll, find }) => overlay::help(look, buf, body, state, *scroll, find),
        Some(Overlay::Sheet(sheet)) => widget::sheet::sheet(look, buf, body, sheet, state),
        Some(Overlay::Prompt(p)) => widget::prompt::prompt(look, buf, body, p),
        Some(Overlay::Explain(e)) => overlay::explain(look, buf, body, e),
        Some(Overlay::Editor(e)) => widget::editor::editor(look, buf, body, e),
        Some(Overlay::Filter(_)) | None => {}
    }
    if let Some((key, at)) = state.prefix
        && state.now.0 - at.0 >= PREFIX_POPUP_US
    {
        overlay::prefix(look, buf, body, state, key);
    }
}

fn filter_note(state: &State) -> String {
    let many = |n: usize, one: &str, several: &str| show::many(n as u64, one, several);
    let windowed = matches!(state.nav.here(), View::Runs | View::Audit);
    let window = state.window.filter(|_| windowed).map_or(String::new(), |w| format!("   window {w}"));
    let note = match state.nav.here() {
        View::Runs => {
            let (total, marked) = (state.runs.total(), state.runs.marks.len());
            let marked = if marked > 0 { format!("   {marked} marked") } else { String::new() };
            format!("{}{marked}", many(total, "run", "runs"))
        }
        View::Audit => many(state.audit.total(), "record", "records"),
        View::Registry => many(state.registry.shown().len(), "model", "models"),
        View::Rollouts => many(state.rollouts.shown().len(), "service", "services"),
        View::Cost => many(state.cost.shown().len(), "row", "rows"),
        View::Readiness => many(state.readiness.shown().len(), "capability", "capabilities"),
        View::Data => many(state.data.shown().len(), "version", "versions"),
        View::Fleet => many(state.fleet.shown().len(), "service", "services"),
        View::Live => "features".to_owned(),
        View::Run(_) | View::Incident(_) | View::Recovery(_) => String::new(),
        View::Compare(_) | View::Versus { .. } => String::new(),
    };
    note + &window
}

/// A remark that goes away, or what the marks are for. Without a line of its own a remark covers the footer.
fn status_line(look: &Look<'_>, buf: &mut Buffer, line: Rect, state: &State, own_line: bool) {
    if let Some(toast) = &state.toast {
        buf.set_style(line, look.style(Token::Text));
        for x in line.x..line.right() {
            buf[(x, line.y)].set_symbol(" ");
        }
        let token = if toast.bad { Token::Warn } else { Token::Info };
        put_all(
            look,
            buf,
            line.x + 1,
            line.y,
            line.width - 2,
            &[(if toast.bad { "! " } else { "" }, token), (&toast.text, token)],
        );
        return;
    }
    if own_line && *state.nav.here() == View::Runs && !state.runs.marks.is_empty() {
        let names: Vec<&str> = state
            .runs
            .rows()
            .iter()
            .filter(|r| state.runs.marks.contains(&r.id))
            .take(6)
            .map(|r| r.name.as_str())
            .collect();
        put_all(
            look,
            buf,
            line.x + 1,
            line.y,
            line.width - 2,
            &[("marked: ", Token::Muted), (&names.join("  "), Token::Text)],
        );
    }
}

/// A terminal too small for panes still says what matters.
fn mini(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let mut lines: Vec<(String, Token)> = Vec::new();
    let context = state.status.value().map_or("…".to_owned(), |s| s.context.to_uppercase());
    let link = if state.control.is_up() { ("ctl ✓", Token::Ok) } else { ("ctl ✗", Token::Crit) };
    lines.push((format!("{context}  {}", format::clock(state.now)), Token::Text));
    lines.push((link.0.to_owned(), link.1));
    match state.nav.here() {
        View::Runs | View::Run(_) => {
            lines.push((
                format!("{}, {} live", show::many(state.runs.total() as u64, "run", "runs"), state.runs.live()),
                Token::Text,
            ));
            lines.extend(state.runs.current().map(|r| (format!("▸ {}", r.name), Token::Text)));
        }
        View::Fleet | View::Live => {
            let open = state
                .fleet
                .open_count()
                .map_or("? open".to_owned(), |n| show::many(n as u64, "open incident", "open incidents"));
            lines.push((open, Token::Text));
            lines.extend(state.fleet.current().map(|r| (format!("▸ {}", r.service), Token::Text)));
        }
        View::Recovery(service) => {
            let words = state.recovery.recovery().map(crate::capability::rollout::Recovery::words);
            lines.push((format!("▸ {service}: {}", words.unwrap_or_default()), Token::Text));
        }
        View::Incident(id) => {
            let known = state.incident.known().map(|v| crate::capability::monitoring::incident::headline(&v.incident));
            lines.push((format!("INC-{id} {}", known.unwrap_or_default()), Token::Text));
        }
        View::Compare(_) => lines.extend(state.compare.result.as_ref().map(|c| (c.verdict.text.clone(), Token::Text))),
        View::Registry | View::Versus { .. } => {
            lines.extend(state.registry.current().map(|m| {
                let prod = m
                    .in_stage(super::model::Stage::Prod)
                    .next()
                    .map_or("nothing".to_owned(), |v| format!("v{}", v.number));
                (format!("▸ {}: {prod} in prod", m.name), Token::Text)
            }));
        }
        View::Data => lines.extend(state.data.current().map(|r| {
            let rows = r.rows().map_or(String::new(), |n| format!(", {}", show::many(n, "row", "rows")));
            (format!("▸ {}{rows}, {}", r.id(), show::many(r.runs().len() as u64, "run", "runs")), Token::Text)
        })),
        View::Rollouts => lines.extend(state.rollouts.current().map(|s| {
            let on =
                s.candidate.as_ref().map_or("steady".to_owned(), |r| format!("v{} {}", r.version, r.state.words()));
            (format!("▸ {}: {on}", s.service.name), Token::Text)
        })),
        View::Cost => lines.extend(state.cost.report().map(|r| {
            let unknown = if r.complete { "" } else { " of what is known" };
            (format!("▸ {}{unknown}", crate::base::money::shown(r.total.units(), &r.currency)), Token::Text)
        })),
        View::Readiness => {
            lines.extend(state.readiness.current().map(|c| (format!("▸ {}: {}", c.name, c.state.word()), Token::Text)));
        }
        View::Audit => lines
            .extend(state.audit.current().map(|r| (format!("▸ #{} {} {}", r.seq, r.action, r.target), Token::Text))),
    }
    if let Some(toast) = &state.toast {
        lines.push((toast.text.clone(), Token::Warn));
    }
    lines.push((format!("{}x{} is small (80x24 shows all)", area.width, area.height), Token::Muted));
    lines.push(("q quit".to_owned(), Token::Accent));
    if let Some(sheet) = state.sheet() {
        lines = vec![
            (sheet.ask.title.clone(), Token::Warn),
            ("Enlarge the terminal to read the sheet. n cancels.".to_owned(), Token::Text),
        ];
    }
    if let Some(Overlay::Prompt(prompt)) = &state.overlay {
        lines = vec![
            (prompt.title.clone(), Token::Accent),
            (format!("> {}", prompt.line.text()), Token::Text),
            ("Enter saves, Esc leaves it".to_owned(), Token::Muted),
        ];
    }
    for (y, (text, token)) in (area.y..area.bottom()).zip(&lines) {
        put(look, buf, area.x + 1, y, area.width.saturating_sub(1), text, look.style(*token));
    }
}

/// Whether the sheet can be read on a screen of this size; one that cannot be read is never armed.
pub fn shows_sheet(area: Rect) -> bool {
    area.width >= MINI.0 && area.height >= MINI.1
}
