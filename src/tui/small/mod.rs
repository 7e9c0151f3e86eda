//! Small changes and names, typed on one line: notes, tags, aliases, the model that a run becomes a version of.

pub mod version;

use std::collections::BTreeMap;

use super::ask::{self, Back, Topic};
use super::model::{Change, Tags};
use super::msg::Effect;
use super::overlay::prompt::{Prompted, Typed};
use super::overlay::{Overlay, Prompt};
use super::screen::targets;
use super::state::{State, View};
use super::undo;
use crate::capability::tracking::rules::NOTE_TAG;

fn open(state: &mut State, prompt: Prompt) {
    state.overlay = Some(Overlay::Prompt(prompt));
}

/// The name of one run, or how many.
fn named(state: &State, runs: &[String]) -> String {
    match runs {
        [one] => state.brief(one).name,
        many => format!("{} runs", many.len()),
    }
}

pub fn ask_note(state: &mut State) {
    if *state.nav.here() == View::Registry {
        return version::ask(state, version::Part::Note);
    }
    let runs = targets(state);
    let now = match runs.as_slice() {
        [one] => state.run_known(one).and_then(|r| r.tags.get(NOTE_TAG)).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let title = format!("NOTE  {}", named(state, &runs));
    open(state, Prompt::new(title, "an empty line removes it", &now, Prompted::Note(runs)));
}

pub fn ask_tag(state: &mut State) {
    if *state.nav.here() == View::Registry {
        return version::ask(state, version::Part::Tag);
    }
    let runs = targets(state);
    let title = format!("TAG  {}", named(state, &runs));
    open(state, Prompt::new(title, "key=value sets, -key removes", "", Prompted::Tag(runs)));
}

/// The model's name is prefilled: the only model there is, else the experiment's name.
pub fn ask_model_name(state: &mut State) {
    let Some(run) = targets(state).into_iter().next() else { return };
    let experiment = state.run_known(&run).map_or(String::new(), |r| r.experiment.replace(['/', ':'], "-"));
    let name = match state.registry.models.value().map(Vec::as_slice) {
        Some([only]) => only.name.clone(),
        _ => experiment,
    };
    let title = format!("REGISTER  {} as a version of", named(state, std::slice::from_ref(&run)));
    open(state, Prompt::new(title, "name of the model; a sheet follows", &name, Prompted::ModelOf(run)));
}

/// A key on the prompt.
pub fn typed(state: &mut State, typed: Typed, effects: &mut Vec<Effect>) {
    let (what, text) = match typed {
        Typed::Nothing => return,
        Typed::Close => return state.overlay = None,
        Typed::Done(what, text) => (what, text),
    };
    state.overlay = None;
    match what {
        Prompted::Note(runs) => {
            let value = Some(text.trim().to_owned()).filter(|t| !t.is_empty());
            let said = if value.is_some() { "note of" } else { "note removed from" };
            set(state, &runs, NOTE_TAG, value, said, effects);
        }
        Prompted::Tag(runs) => match tag(&text) {
            Some((key, value)) => {
                let said = if value.is_some() { format!("tag {key} of") } else { format!("tag {key} removed from") };
                set(state, &runs, &key, value, &said, effects);
            }
            None => state.warn("a tag is written key=value; -key removes one"),
        },
        Prompted::Version { model, version, part } => version::done(state, &model, version, part, &text, effects),
        Prompted::ViewName => super::screen::runs::saved::save(state, &text, effects),
        Prompted::Incident(id, what) => super::screen::incident::typed(state, id, what, &text, effects),
        Prompted::AsOf => super::past::typed(state, &text, effects),
        Prompted::ModelOf(run) => match text.trim() {
            "" => state.warn("a model needs a name"),
            model => ask::open(state, &Topic::Register { model: model.to_owned(), run }),
        },
    }
}

/// `key=value`, or `-key`.
fn tag(text: &str) -> Option<(String, Option<String>)> {
    let text = text.trim();
    let (key, value) = match (text.split_once('='), text.strip_prefix('-')) {
        (Some((key, value)), _) => (key.trim(), Some(value.trim().to_owned())),
        (None, Some(key)) => (key.trim(), None),
        (None, None) => return None,
    };
    (!key.is_empty()).then(|| (key.to_owned(), value))
}

/// Sets one tag of some runs at once. Where what they held is known, it can be taken back.
#[allow(clippy::needless_pass_by_value)] // it is the new value
fn set(state: &mut State, runs: &[String], key: &str, value: Option<String>, said: &str, effects: &mut Vec<Effect>) {
    let one = |value: Option<String>| -> Tags { BTreeMap::from([(key.to_owned(), value)]) };
    let before: Option<BTreeMap<String, Tags>> =
        runs.iter().map(|id| state.run_known(id).map(|r| (id.clone(), one(r.tags.get(key).cloned())))).collect();
    let change = Change::Tag(runs.iter().map(|id| (id.clone(), one(value.clone()))).collect());
    if before.as_ref().is_some_and(|b| Change::Tag(b.clone()) == change) {
        return state.say("that is how it stands already");
    }
    let said = format!("{said} {}", named(state, runs));
    let back = before.map_or(Back::Never, |tags| Back::Change(Change::Tag(tags)));
    undo::at_once(state, change, None, said, back, effects);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_set_or_removed() {
        assert_eq!(tag("team = risk"), Some(("team".into(), Some("risk".into()))));
        assert_eq!(tag("a=b=c"), Some(("a".into(), Some("b=c".into()))));
        assert_eq!(tag("-team"), Some(("team".into(), None)));
        assert_eq!(tag("team"), None);
        assert_eq!(tag("=x"), None);
        assert_eq!(tag("-"), None);
    }
}
