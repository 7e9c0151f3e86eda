//! From a key to what it does: the overlay first, then the keymap; the same gate for keys, palette and mouse.

use super::action::Action;
use super::ask::{self, Topic};
use super::key::{Code, Key};
use super::keymap::Found;
use super::msg::Effect;
use super::overlay::picker::Item;
use super::overlay::{Choice, Line, Overlay, Picker};
use super::query::Query;
use super::span::Span;
use super::state::{State, View};
use super::{past, screen, small, undo, update, verb};

/// Within this time a second ^c quits.
const TWICE_US: i64 = 2_000_000;

pub fn key(state: &mut State, key: Key, effects: &mut Vec<Effect>) {
    // Whoever presses a key is where they want to be.
    state.fleet.arrives = false;
    let now = state.now;
    match &mut state.overlay {
        Some(Overlay::Filter(_)) => return filter_key(state, key, effects),
        Some(Overlay::Picker(picker)) => {
            let chosen = picker.press(key);
            return update::picked(state, chosen, effects);
        }
        Some(Overlay::Editor(editor)) => {
            let typed = editor.press(key);
            return small::typed(state, typed, effects);
        }
        Some(Overlay::Explain(explained)) => {
            match key.code {
                Code::Char('y') => {
                    effects.push(Effect::Copy(explained.query.clone()));
                    state.overlay = None;
                }
                Code::Esc | Code::Enter | Code::Char('q') => state.overlay = None,
                _ => {}
            }
            return;
        }
        Some(Overlay::Prompt(prompt)) => {
            let typed = prompt.press(key);
            return small::typed(state, typed, effects);
        }
        Some(Overlay::Sheet(sheet)) => {
            if let Some(asked) = sheet.write(key, now) {
                return update::asked(state, asked, effects);
            }
        }
        Some(Overlay::Help { .. }) => return help_key(state, key, effects),
        None => {}
    }
    let pressed: Vec<Key> = state.prefix.take().map(|(k, _)| k).into_iter().chain([key]).collect();
    let contexts = state.contexts();
    match state.keys.find(&contexts, &pressed) {
        Found::Action(action) => act(state, action, effects),
        Found::Prefix => state.prefix = Some((key, state.now)),
        // After a first key that led nowhere the second one counts by itself, unless it was meant to step out.
        Found::Nothing if pressed.len() > 1 && key.code != Code::Esc => self::key(state, key, effects),
        Found::Nothing => {}
    }
}

/// Does an action, or says why not.
pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::WaiveSheet
        && let Some(sheet) = state.sheet()
    {
        return match ask::waive::of_sheet(sheet) {
            Some(topic) => ask::open(state, &topic),
            None => state.warn("waive: no gate stands in the way of this"),
        };
    }
    if let Some(Overlay::Sheet(sheet)) = &mut state.overlay {
        let asked = sheet.act(action, state.now);
        return update::asked(state, asked, effects);
    }
    if let Some(why) = state.why_not(action) {
        return state.warn(format!("{}: {why}", action.short()));
    }
    state.moved = moves_cursor(action).then_some(state.now);
    match action {
        Action::PlaceFleet => state.go(View::Fleet, effects),
        Action::PlaceLive => {
            if let Some(service) = screen::service_here(state) {
                state.live.scope(service);
            }
            state.go(View::Live, effects);
        }
        Action::Incident => open_incident(state, effects),
        Action::PlaceRuns => state.go(View::Runs, effects),
        Action::PlaceRegistry => state.go(View::Registry, effects),
        Action::PlaceCost => state.go(View::Cost, effects),
        Action::PlaceReadiness => state.go(View::Readiness, effects),
        Action::PlaceRollouts => state.go(View::Rollouts, effects),
        Action::PlaceAudit => state.go(View::Audit, effects),
        Action::PlaceData => state.go(View::Data, effects),
        Action::PlaceLast => {
            if let Some(last) = state.nav.last.clone() {
                state.go(last, effects);
            }
        }
        Action::StepOut => step_out(state, effects),
        Action::OutOrQuit => {
            if state.nav.stack.len() > 1 {
                leave(state);
            } else {
                leave_room(state, effects);
            }
        }
        Action::QuitTwice => quit_twice(state, effects),
        Action::Help => state.overlay = Some(Overlay::Help { scroll: 0, find: Line::default() }),
        Action::Palette => open_palette(state, false),
        Action::ActionsMenu => open_palette(state, true),
        Action::Filter => state.overlay = Some(Overlay::Filter(Line::new(screen::filter_text(state)))),
        Action::ExportMenu => screen::pick_export(state),
        Action::TimeWindow => pick_window(state),
        Action::TimeOut => screen::set_window(state, Span::longer(state.window)),
        Action::TimeIn => screen::set_window(state, Span::shorter(state.window)),
        Action::PaneZoom => state.zoom = !state.zoom,
        Action::Freeze => state.frozen = !state.frozen,
        Action::Refresh => {
            update::touch(state, &super::msg::Changed::Everything);
            state.say("loading again");
        }
        Action::AsOf => past::ask(state),
        Action::PastBack
        | Action::PastForward
        | Action::PastBackFar
        | Action::PastForwardFar
        | Action::EventPrev
        | Action::EventNext
        | Action::PastNow => past::step(state, action, effects),
        Action::Undo if !matches!(state.nav.here(), View::Recovery(_)) => undo::act(state, effects),
        Action::NoteEdit if matches!(state.nav.here(), View::Incident(_)) => screen::act(state, action, effects),
        Action::NoteEdit => small::ask_note(state),
        Action::TagEdit => small::ask_tag(state),
        Action::AliasEdit => small::version::ask(state, small::version::Part::Alias),
        Action::RegisterSheet => small::ask_model_name(state),
        Action::StopSheet => ask::open(state, &Topic::StopRuns(screen::targets(state))),
        Action::DeleteSheet => ask::open(state, &Topic::DeleteRuns(screen::targets(state))),
        Action::RestoreSheet => ask::open(state, &Topic::RestoreRuns(screen::targets(state))),
        Action::MouseToggle => {
            state.mouse = !state.mouse;
            effects.push(Effect::Mouse(state.mouse));
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        other => screen::act(state, other, effects),
    }
}

/// The incident of what the cursor is on, else the gravest open one.
fn open_incident(state: &mut State, effects: &mut Vec<Effect>) {
    let here = screen::service_here(state);
    let all = state.fleet.open.value().map_or(&[][..], Vec::as_slice);
    let open = || all.iter().filter(|i| i.is_open());
    let own =
        here.as_ref().and_then(|service| all.iter().filter(|i| i.service == *service).min_by_key(|i| !i.is_open()));
    let chosen = state.fleet.incident_here().filter(|_| *state.nav.here() == View::Fleet).or(own);
    match chosen.or_else(|| open().min_by_key(|i| i.severity)).map(|i| i.id) {
        Some(id) => state.go(View::Incident(id), effects),
        None => state.say("no incident is open"),
    }
}

fn pick_window(state: &mut State) {
    let all = Item::new("all time", "", Choice::Window(None));
    let spans = Span::steps().map(|s| Item::new(format!("the last {s}"), "", Choice::Window(Some(s))));
    let now = Choice::Window(state.window);
    let picker = Picker::new("TIME WINDOW", std::iter::once(all).chain(spans).collect()).at(|c| *c == now);
    state.overlay = Some(Overlay::Picker(picker));
}

fn moves_cursor(action: Action) -> bool {
    use Action as A;
    matches!(action, A::RowNext | A::RowPrev | A::HalfDown | A::HalfUp | A::PageDown | A::PageUp | A::Top | A::Bottom)
}

/// One step out, in this order: zoom, filter, marks, place. It never quits.
fn step_out(state: &mut State, effects: &mut Vec<Effect>) {
    if state.zoom {
        state.zoom = false;
    } else if !screen::filter_text(state).is_empty() {
        screen::set_filter(state, "", Query::default(), effects);
    } else if screen::clear_marks(state) || (state.in_past().is_some() && past::leave(state)) {
        // One step at a time.
    } else if state.nav.stack.len() > 1 {
        leave(state);
    }
}

fn leave(state: &mut State) {
    state.zoom = false;
    state.nav.last = state.nav.stack.pop();
}

/// Leaves the room; asks first while a change is under way.
pub fn leave_room(state: &mut State, effects: &mut Vec<Effect>) {
    if state.doing.is_empty() || state.quit_asked.is_some_and(|at| state.now.0 - at.0 <= TWICE_US) {
        effects.push(Effect::Quit);
    } else {
        state.quit_asked = Some(state.now);
        state.say("a change is under way, and goes on without the room; again leaves");
    }
}

fn quit_twice(state: &mut State, effects: &mut Vec<Effect>) {
    if state.quit_asked.is_some_and(|at| state.now.0 - at.0 <= TWICE_US) {
        effects.push(Effect::Quit);
    } else {
        state.quit_asked = Some(state.now);
        state.say("^c again quits; what runs on the agent goes on");
    }
}

/// Every action of this screen with its key, and why not; the same actions as the keys.
fn open_palette(state: &mut State, acts_only: bool) {
    let items = verb::items(state, acts_only);
    let title = if acts_only { "ACTIONS HERE" } else { "COMMAND" };
    state.overlay = Some(Overlay::Picker(Picker { command: !acts_only, ..Picker::new(title, items) }));
}

/// The help is searched by typing; Enter does what the first line says.
fn help_key(state: &mut State, key: Key, effects: &mut Vec<Effect>) {
    let Some(Overlay::Help { scroll, find }) = &mut state.overlay else { return };
    match key.code {
        Code::Down => *scroll += 1,
        Code::Up => *scroll = scroll.saturating_sub(1),
        Code::PageDown => *scroll += 10,
        Code::PageUp => *scroll = scroll.saturating_sub(10),
        Code::Esc if !find.is_empty() => *find = Line::default(),
        Code::Enter if !find.is_empty() => {
            let found = super::overlay::help::sections(state).into_iter().flat_map(|(_, entries)| entries).next();
            state.overlay = None;
            if let Some(entry) = found {
                act(state, entry.action, effects);
            }
        }
        Code::Char('?' | 'q') | Code::F(1) | Code::Esc | Code::Enter if find.is_empty() => state.overlay = None,
        _ => {
            if find.press(key) {
                *scroll = 0;
            }
        }
    }
}

fn filter_key(state: &mut State, key: Key, effects: &mut Vec<Effect>) {
    let Some(Overlay::Filter(line)) = &mut state.overlay else { return };
    match key.code {
        Code::Enter => match Query::parse(&line.text()) {
            Ok(query) => {
                let text = line.text();
                state.overlay = None;
                screen::set_filter(state, &text, query, effects);
            }
            Err(why) => state.warn(why.to_string()),
        },
        Code::Esc => {
            state.overlay = None;
            screen::set_filter(state, "", Query::default(), effects);
        }
        _ => {
            if line.press(key) {
                filter_edited(state, effects);
            }
        }
    }
}

/// The list follows the filter while it is typed, as far as it can be read.
pub fn filter_edited(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(Overlay::Filter(line)) = &state.overlay else { return };
    let text = line.text();
    if let Ok(query) = Query::parse(&text) {
        screen::set_filter(state, &text, query, effects);
    }
}
