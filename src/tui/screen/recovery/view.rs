//! The picture of a way back: the curve of quality, the traffic as the router counts it, and what comes next.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::show;
use crate::capability::rollout::service::percent;
use crate::capability::rollout::{Recovery, ServiceView};
use crate::tui::format;
use crate::tui::remote::Remote;
use crate::tui::screen::runs::view::failed;
use crate::tui::screen::watch::curve;
use crate::tui::state::State;
use crate::tui::theme::Token;
use crate::tui::widget::pane::{empty, pane};
use crate::tui::widget::{Look, put, put_all};

pub fn view(look: &Look<'_>, buf: &mut Buffer, body: Rect, state: &State) {
    let next = 5;
    let traffic = 7;
    let row = |y: u16, height: u16| Rect { y, height, ..body };
    let top = body.height.saturating_sub(next + traffic);
    quality(look, buf, row(body.y, top), state);
    let below = body.y + top;
    let (Some(view), Some(recovery)) = (state.recovery.known(), state.recovery.recovery()) else {
        return nothing(look, buf, row(below, traffic + next), state);
    };
    counts(look, buf, row(below, traffic), state, view, recovery);
    what_next(look, buf, row(below + traffic, next), state, recovery);
}

fn nothing(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let inner = pane(look, buf, area, false, "TRAFFIC", "");
    let none = format!("No version of {} was taken back.", state.recovery.service);
    let teaches =
        [(&*none, Token::Text), ("R rolls back; what the counts prove of it stands here then.", Token::Muted)];
    match &state.recovery.view.remote {
        Remote::Failed(fault) => failed(look, buf, inner, fault),
        Remote::Fresh(..) | Remote::Stale(..) => empty(look, buf, inner, &teaches),
        _ => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
    }
}

fn quality(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State) {
    let page = state.watch.about(&state.recovery.service);
    let title = page.map_or("QUALITY".to_owned(), |p| {
        format!("{}, {}", p.metric.to_uppercase(), show::between(p.window.from, p.window.to))
    });
    let bound = page.and_then(|p| p.bound).map_or(String::new(), |b| format!("bad {}", b.shown()));
    let inner = pane(look, buf, area, true, &title, &bound);
    match (page, &state.watch.page.remote) {
        (Some(page), remote) => curve::draw(look, buf, inner, page, None, remote.is_stale()),
        (None, Remote::Failed(fault)) => empty(look, buf, inner, &[(&fault.to_string(), Token::Muted)]),
        _ => empty(look, buf, inner, &[("asking the agent…", Token::Muted)]),
    }
}

/// A step that is done, or is waited for.
struct Step {
    done: bool,
    at: String,
    text: String,
}

fn steps(state: &State, view: &ServiceView, r: &Recovery) -> [Step; 3] {
    let turn = &r.turn;
    let before = turn.rollout.as_ref().map_or(100.0, |on| percent(on.weight));
    let decided = format!("v{} {before} % → 0 % by {}: {}", turn.from, turn.by, turn.reason);
    let drained = match r.last_after_ms() {
        None => format!("v{} had answered nobody", turn.from),
        Some(ms) if ms <= 0.0 => format!("v{} answered nobody after the decision", turn.from),
        Some(ms) => format!("last answer of v{}: +{ms:.0} ms after the decision", turn.from),
    };
    let seen = format!("; {} in the hour before, {} failed", format::count(r.answered), format::count(r.failed));
    // Both are counted by the same router: answers of the other version say that its counts have come since.
    let proven = r.since > 0;
    let waits = if view.envoy_status.as_ref().is_some_and(|e| e.confirmed.is_none()) { "Envoy" } else { "an answer" };
    let verified = if proven {
        format!("v{} has answered {} since, v{} none", turn.to, format::count(r.since), turn.from)
    } else {
        format!("waiting for {waits} of v{}: nothing is proven yet", turn.to)
    };
    let clock = |t| format::moment(state.now, t);
    [
        Step { done: true, at: clock(turn.at), text: decided },
        Step { done: proven || r.last.is_none(), at: r.last.map(clock).unwrap_or_default(), text: drained + &seen },
        Step { done: proven, at: String::new(), text: verified },
    ]
}

fn counts(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, view: &ServiceView, r: &Recovery) {
    let stale = state.recovery.view.remote.is_stale();
    let note = format!("{} ago", format::age(state.now, r.turn.at));
    let title = format!("TRAFFIC  v{} → v{}", r.turn.from, r.turn.to);
    let inner = pane(look, buf, area, false, &title, &note);
    let width = inner.width.saturating_sub(2);
    let lines = inner.y..inner.bottom();
    for (y, step) in lines.clone().zip(steps(state, view, r)) {
        let (sign, token) = match (stale, step.done) {
            (true, _) => ("~", Token::Unknown),
            (_, true) => (look.glyphs.ok, Token::Ok),
            (_, false) => ("?", Token::Unknown),
        };
        let (sign, at) = (format!("{sign} "), format!("{:<10}", step.at));
        let text = format::cut(&step.text, usize::from(width.saturating_sub(12)), look.glyphs.ellipsis);
        put_all(look, buf, inner.x + 1, y, width, &[(&sign, token), (&at, Token::Muted), (&text, Token::Text)]);
    }
    let on = view.standing.candidate.as_ref();
    let share = |v: u32| match on {
        Some(c) if c.version == v => percent(c.weight),
        Some(c) if view.standing.stable == Some(v) => 100.0 - percent(c.weight),
        None if view.standing.stable == Some(v) => 100.0,
        _ => 0.0,
    };
    for (y, version) in lines.skip(3).zip([r.turn.to, r.turn.from]) {
        let room = inner.width.saturating_sub(20);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the pane's width
        let full = (f64::from(room) * share(version) / 100.0).round() as usize;
        let bar = look.glyphs.ramp.last().copied().unwrap_or('#').to_string().repeat(full);
        let (name, value) = (format!("v{version:<5} "), format!(" {} %", share(version)));
        put_all(look, buf, inner.x + 1, y, width, &[(&name, Token::Text), (&bar, Token::Ok), (&value, Token::Text)]);
    }
}

fn what_next(look: &Look<'_>, buf: &mut Buffer, area: Rect, state: &State, r: &Recovery) {
    let inner = pane(look, buf, area, false, "NEXT", "");
    let left = r.undo_until().0 - state.now.0;
    let undo = if left > 0 {
        format!("u undo until {}", format::moment(state.now, r.undo_until()))
    } else {
        "the ten minutes to undo it are over".to_owned()
    };
    let incident = super::incident(state);
    let lines = [
        incident.map_or_else(
            || "no incident of this service is open".to_owned(),
            |id| format!("INC-{id} closes by itself once its alerts are well again"),
        ),
        format!("{undo} {dot} F keeps v{} from being rolled out again", r.turn.from, dot = look.glyphs.dot),
        incident.map_or_else(String::new, |id| {
            format!("draft of the post-mortem: opsroom incident postmortem {id}  (y copies)")
        }),
    ];
    for (y, text) in (inner.y..inner.bottom()).zip(lines) {
        put(look, buf, inner.x + 1, y, inner.width.saturating_sub(2), &text, look.style(Token::Muted));
    }
}
