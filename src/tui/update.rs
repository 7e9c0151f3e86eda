//! What happens: the only place where the state changes. Pure: the same messages give the same state and the same effects.

use super::ask;
use super::msg::{Changed, Effect, Msg, Page, Want};
use super::overlay::Overlay;
use super::overlay::picker::Picked;
use super::overlay::sheet::{Asked, Phase};
use super::remote::RequestId;
use super::state::{State, View};
use super::{dispatch, mouse, screen, undo};
use crate::base::{Fault, Kind, Timestamp};

/// Microseconds between two looks at the agent while it is up.
const STATUS_EVERY_US: i64 = 5_000_000;

/// Takes one message. `at` is when it happened, by the machine's clock.
pub fn update(state: &mut State, at: Timestamp, msg: Msg) -> Vec<Effect> {
    state.now = state.now.max(at);
    let mut effects = Vec::new();
    match msg {
        Msg::Key(key) => dispatch::key(state, key, &mut effects),
        Msg::Paste(text) => paste(state, &text, &mut effects),
        Msg::Click { x, y, spot } => mouse::click(state, (x, y).into(), spot, &mut effects),
        Msg::Focus(focused) => state.focused = focused,
        Msg::Wheel { down } => mouse::wheel(state, down, &mut effects),
        Msg::Entered(name, answer) => entered(state, name, answer, &mut effects),
        Msg::Resize(width, height) => {
            state.size = (width, height);
            // It says what this terminal is.
            state.readiness.touch();
        }
        Msg::Tick => tick(state),
        Msg::Drawn(token) => drawn(state, token),
        Msg::Hint(changed) => touch(state, &changed),
        Msg::Loaded(id, page) => loaded(state, id, *page, &mut effects),
        Msg::Performed(id, answer) => {
            notify(state, &answer, &mut effects);
            performed(state, id, &answer, &mut effects);
        }
        Msg::Restore(session) => session.restore(state),
        Msg::Said(Ok(text)) => state.say(text),
        Msg::Said(Err(why)) => state.warn(why),
        Msg::Copied(Ok(how)) => state.say(how),
        Msg::Exported(Ok(what)) => state.say(what),
        Msg::Exported(Err(why)) => state.warn(format!("not exported: {why}")),
        Msg::Copied(Err(why)) => state.warn(format!("not copied: {why}")),
        Msg::Saved(Ok(how)) => state.say(how),
        Msg::Saved(Err(why)) => state.warn(format!("not saved: {why}")),
        Msg::Events(Ok(())) => events_up(state),
        Msg::Events(Err(why)) => state.events.fail(&why),
        Msg::Terminate => effects.push(Effect::Quit),
    }
    ask::settle(state);
    ripen(state, &mut effects);
    demand(state, &mut effects);
    effects
}

/// The agent of another context answers: it takes the place of the one in use.
fn entered(state: &mut State, name: String, answer: Result<Option<String>, Fault>, effects: &mut Vec<Effect>) {
    match answer {
        Ok(_) if state.sheet().is_some() || !state.doing.is_empty() => {
            state.warn(format!("not changed to {name}: a change is being asked or made here"));
        }
        Ok(read_only) => {
            state.exchange(name.clone(), read_only);
            state.say(format!("on {name}"));
            effects.push(Effect::Exchange(name));
        }
        Err(fault) => state.warn(format!("{name}: {fault}")),
    }
}

/// What the person waited for is told aloud while the terminal is behind others.
fn notify(state: &State, answer: &Result<super::model::Outcome, Fault>, effects: &mut Vec<Effect>) {
    if !state.focused {
        let text = answer.as_ref().map_or_else(ToString::to_string, |outcome| outcome.said.clone());
        effects.push(Effect::Notify(text));
    }
}

fn tick(state: &mut State) {
    if state.toast.as_ref().is_some_and(|t| t.until <= state.now) {
        state.toast = None;
    }
    // Without the stream of hints the room looks by itself.
    let blind = !state.events.is_up() && state.control.is_up();
    if blind && state.now.0 - state.status_asked.0 >= STATUS_EVERY_US {
        touch(state, &Changed::Everything);
    }
}

fn drawn(state: &mut State, token: u64) {
    if let Some(Overlay::Sheet(sheet)) = &mut state.overlay
        && sheet.token() == token
        && sheet.drawn.is_none()
    {
        sheet.drawn = Some(state.now);
    }
}

fn paste(state: &mut State, text: &str, effects: &mut Vec<Effect>) {
    match &mut state.overlay {
        Some(Overlay::Sheet(sheet)) => sheet.paste(text, state.now),
        Some(Overlay::Picker(picker)) => picker.line.paste(text),
        Some(Overlay::Filter(line)) => {
            line.paste(text);
            dispatch::filter_edited(state, effects);
        }
        Some(Overlay::Prompt(prompt)) => prompt.line.paste(text),
        Some(Overlay::Help { find, .. }) => find.paste(text),
        Some(Overlay::Editor(editor)) => editor.paste(text),
        Some(Overlay::Explain(_)) => {}
        None => state.say("pasted text was ignored: open a filter (/) or a reason first"),
    }
}

/// A confirmed sheet whose key has stayed alone goes out.
fn ripen(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(Overlay::Sheet(sheet)) = &mut state.overlay else { return };
    if let Some(envelope) = sheet.ripe(state.now) {
        state.ids += 1;
        sheet.phase = Phase::Sent { request: state.ids, dry_run: false };
        state
            .doing
            .insert(state.ids, undo::Doing { said: None, back: sheet.ask.way().back.clone(), then: sheet.ask.then() });
        effects.push(Effect::Perform(state.ids, envelope));
    }
}

fn performed(
    state: &mut State,
    id: RequestId,
    answer: &Result<super::model::Outcome, Fault>,
    effects: &mut Vec<Effect>,
) {
    touch(state, &Changed::Everything);
    if let Some(Overlay::Sheet(sheet)) = &mut state.overlay
        && sheet.awaits(id)
    {
        if !sheet.answered(answer) {
            state.doing.remove(&id);
            return;
        }
        state.overlay = None;
    }
    // Also where the sheet was closed while the agent worked: its answer must still be heard.
    undo::told(state, id, answer, effects);
}

fn events_up(state: &mut State) {
    let was_down = state.events.down.is_some();
    state.events.beat(state.now);
    if was_down {
        touch(state, &Changed::Everything);
    }
}

/// Marks what a hint speaks of; it is loaded when its turn comes.
pub fn touch(state: &mut State, changed: &Changed) {
    state.events.at = state.events.at.map(|_| state.now);
    match changed {
        Changed::Experiments => state.runs.experiments.touch(),
        Changed::Run(id) => {
            state.runs.touch();
            if state.run.id == *id {
                state.run.row.touch();
            }
            if state.compare.ids.contains(id) {
                state.compare.rows.touch();
            }
        }
        Changed::Model(_) => {
            state.registry.models.touch();
            state.gates.slot.touch();
            state.registry.gates.touch();
            state.data.touch();
        }
        Changed::Data => state.data.rows.touch(),
        Changed::Audit => state.audit.page.touch(),
        Changed::Hosts => state.cost.touch(),
        Changed::Incidents => {
            state.audit.page.touch();
            state.fleet.touch();
            state.incident.view.touch();
            state.watch.touch();
        }
        Changed::Rollouts => {
            state.rollouts.touch();
            state.fleet.page.touch();
            state.watch.touch();
            state.cost.touch();
            state.registry.models.touch();
        }
        Changed::Everything => {
            state.status_asked = Timestamp(i64::MIN / 2);
            state.runs.experiments.touch();
            state.runs.touch();
            state.run.row.touch();
            state.compare.rows.touch();
            state.compare.noise.touch();
            state.registry.models.touch();
            state.registry.past.touch();
            state.registry.card_failed = None;
            state.gates.slot.touch();
            state.registry.gates.touch();
            state.audit.page.touch();
            state.data.touch();
            state.rollouts.touch();
            state.fleet.touch();
            state.incident.view.touch();
            state.watch.touch();
            state.cost.touch();
            state.readiness.touch();
        }
    }
}

fn loaded(state: &mut State, id: RequestId, reply: Result<Page, Fault>, effects: &mut Vec<Effect>) {
    match &reply {
        Err(fault) if fault.kind == Kind::Unavailable => lost(state, &fault.to_string()),
        _ => {
            if state.control.down.is_some() {
                touch(state, &Changed::Everything);
            }
            state.control.beat(state.now);
            // The stream of hints is silent while nothing changes; that it stands is known from its end not being told.
            if state.events.is_up() {
                state.events.beat(state.now);
            }
        }
    }
    if state.status.wants(id) {
        state.status.take(
            id,
            reply.and_then(|p| if let Page::Status(s) = p { Ok(s) } else { Err(Fault::bug("not a status")) }),
            state.now,
        );
        return;
    }
    let gates = |p: &Page| if let Page::Gates(decision) = p { Some((**decision).clone()) } else { None };
    screen::give(&mut state.gates.slot, id, &reply, state.now, gates);
    if let Some(why) = screen::loaded(state, id, &reply, effects) {
        state.warn(why);
    }
    demand(state, effects);
}

/// The agent does not answer: what is known stays, marked as what it is.
fn lost(state: &mut State, why: &str) {
    state.control.fail(why);
    state.runs.stale(why);
    state.run.row.remote.stale(why);
    state.compare.rows.remote.stale(why);
    state.registry.models.remote.stale(why);
    state.registry.past.remote.stale(why);
    state.registry.gates.stale(why);
    state.audit.page.remote.stale(why);
    state.data.stale(why);
    state.rollouts.stale(why);
    state.fleet.stale(why);
    state.incident.view.remote.stale(why);
    state.watch.stale(why);
    state.cost.stale(why);
    state.unit_costs.stale(why);
    state.readiness.stale(why);
}

/// Microseconds until the agent is asked again: soon at first, then less often.
fn status_gap(state: &State) -> i64 {
    match state.control.failures {
        0 => STATUS_EVERY_US,
        n => (1_000_000_i64 << n.min(4)).min(10_000_000),
    }
}

/// When the agent will be asked again.
pub fn retry_at(state: &State) -> Timestamp {
    Timestamp(state.status_asked.0.saturating_add(status_gap(state)))
}

/// Asks for what the screen needs and does not have.
pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    if !state.status.is_waiting() && state.now >= retry_at(state) {
        let id = state.status.ask(&mut state.ids, state.now);
        state.status_asked = state.now;
        effects.push(Effect::Load(id, Want::Status));
    }
    if state.control.down.is_none() {
        screen::demand(state, effects);
        ask::gates::demand(state, effects);
        if ask::speaks_of_models(state) {
            screen::registry::demand(state, effects);
        }
    }
}

/// When slots that only wait for time will ask.
pub fn due_times(state: &State) -> Vec<Timestamp> {
    if state.control.down.is_some() {
        return vec![retry_at(state)];
    }
    let here = match state.nav.here() {
        View::Fleet => [state.fleet.due_at(), state.watch.due_at()].into_iter().flatten().min(),
        View::Incident(_) => [state.incident.due_at(), state.watch.due_at()].into_iter().flatten().min(),
        View::Recovery(_) => [state.recovery.due_at(), state.watch.due_at()].into_iter().flatten().min(),
        View::Live => super::screen::live::due_at(state),
        View::Runs => state.runs.due_at(),
        View::Run(_) => state.run.row.due_at(),
        View::Compare(_) => state.compare.rows.due_at(),
        View::Registry | View::Versus { .. } => state.registry.models.due_at(),
        View::Rollouts => state.rollouts.due_at(),
        View::Cost => state.cost.due_at(),
        View::Readiness => state.readiness.due_at(),
        View::Audit => state.audit.page.due_at(),
        View::Data => state.data.rows.due_at(),
    };
    here.into_iter().chain(state.fleet.open.due_at()).collect()
}

/// A key on a list to pick from.
pub fn picked(state: &mut State, picked: Picked, effects: &mut Vec<Effect>) {
    match picked {
        Picked::Nothing => {}
        Picked::Close => state.overlay = None,
        Picked::Refused(why) => state.warn(why),
        Picked::Choice(choice) => {
            if !matches!(&state.overlay, Some(Overlay::Picker(p)) if p.stays) {
                state.overlay = None;
            }
            screen::choose(state, choice, effects);
        }
    }
}

/// What a key on the sheet led to.
pub fn asked(state: &mut State, asked: Asked, effects: &mut Vec<Effect>) {
    match asked {
        Asked::Nothing => {}
        Asked::Close => state.overlay = None,
        Asked::Copy(text) => effects.push(Effect::Copy(text)),
        Asked::Say(text) => state.warn(text),
        Asked::Send(envelope) => {
            state.ids += 1;
            let (request, dry_run) = (state.ids, envelope.dry_run);
            if let Some(Overlay::Sheet(sheet)) = &mut state.overlay {
                sheet.phase = Phase::Sent { request, dry_run };
                effects.push(Effect::Perform(request, envelope));
            }
        }
    }
}
