//! Verbs about the room itself: its agent, its looks, its end.

use crate::tui::msg::Effect;
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::{Choice, Overlay, Picker};
use crate::tui::state::State;
use crate::tui::{dispatch, glyph, theme};

pub(super) fn env(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if state.contexts.is_empty() {
        return Err("this room stands on one agent; contexts are written as [context.NAME] into opsroom.toml".into());
    }
    if text.is_empty() {
        let items = state.contexts.iter().map(|name| {
            let here = if *name == state.context { "here" } else { "" };
            Item::new(name, here, Choice::Command(format!("env {name}")))
        });
        let picker = Picker::new("ENVIRONMENT", items.collect());
        let here = Choice::Command(format!("env {}", state.context));
        state.overlay = Some(Overlay::Picker(picker.at(|c| *c == here)));
        return Ok(());
    }
    if !state.contexts.iter().any(|c| c == text) {
        return Err(format!("no context is called \"{text}\"; there are {}", state.contexts.join(", ")));
    }
    if !state.doing.is_empty() {
        return Err("a change is under way on this agent".into());
    }
    state.say(format!("asking the agent of {text}…"));
    effects.push(Effect::Enter(text.to_owned()));
    Ok(())
}

/// Why nothing may be changed, where the person said so by the verb; only that can be taken back by the verb.
const BY_VERB: &str = "you asked to look only; `readonly off` lifts it";

pub(super) fn read_only(state: &mut State, text: &str, _: &mut Vec<Effect>) -> Result<(), String> {
    match text {
        "on" => {
            state.own_read_only.get_or_insert_with(|| BY_VERB.to_owned());
            state.say("read-only");
        }
        "off" if state.own_read_only.as_deref() == Some(BY_VERB) => {
            state.own_read_only = None;
            state.say("changes are possible again");
        }
        "off" => {
            let why = state.read_only().unwrap_or_else(|| "it is not read-only".into());
            return Err(format!("nothing to lift here: {why}"));
        }
        _ => return Err("on or off?".into()),
    }
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
pub(super) fn change_theme(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        let items = theme::SHIPPED.iter().map(|(n, _)| Item::new(*n, "", Choice::Command(format!("theme {n}"))));
        state.overlay = Some(Overlay::Picker(Picker::new("THEME", items.collect())));
    } else {
        effects.push(Effect::Theme(text.to_owned()));
    }
    Ok(())
}

pub(super) fn glyphs(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.glyphs = match text {
        "ascii" => glyph::ASCII,
        "unicode" => glyph::UNICODE,
        _ => return Err("unicode or ascii?".into()),
    };
    effects.push(Effect::Redraw);
    Ok(())
}

pub(super) fn mouse(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.mouse = match text {
        "on" => true,
        "off" => false,
        _ => return Err("on or off?".into()),
    };
    effects.push(Effect::Mouse(state.mouse));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
pub(super) fn copy_pane(_: &mut State, _: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    effects.push(Effect::CopyPane);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
pub(super) fn quit(state: &mut State, _: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    dispatch::leave_room(state, effects);
    Ok(())
}
