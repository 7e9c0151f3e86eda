//! Small changes of a registered version: its description, its tags, and the aliases that point at it. Each is a command, so
//! the trail holds it and its undo.

use super::{open, tag};
use crate::capability::{Command, registry};
use crate::tui::ask::Back;
use crate::tui::model::{Change, Model, Version};
use crate::tui::msg::Effect;
use crate::tui::overlay::prompt::Prompted;
use crate::tui::overlay::{Editor, Overlay, Prompt};
use crate::tui::state::State;
use crate::tui::undo;

/// What of a version is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Note,
    Tag,
    Alias,
}

pub fn ask(state: &mut State, part: Part) {
    let (Some(model), Some(version)) = (state.registry.current(), state.registry.version()) else { return };
    let named = format!("{} v{}", model.name, version.number);
    let (title, hint, text) = match part {
        Part::Note => (format!("NOTE  {named}"), "what this version is", version.description.clone()),
        Part::Tag => (format!("TAG  {named}"), "key=value sets, -key removes", String::new()),
        Part::Alias => {
            (format!("ALIAS  {named}"), "a name points here, -name points nowhere", version.aliases.join(" "))
        }
    };
    let what = Prompted::Version { model: model.name.clone(), version: version.number, part };
    if part == Part::Note {
        // A model card has more than one line.
        state.overlay = Some(Overlay::Editor(Box::new(Editor::new(title, &text, what))));
        return;
    }
    open(state, Prompt::new(title, hint, &text, what));
}

/// Makes the change that was typed, with the one that takes it back.
pub fn done(state: &mut State, model: &str, version: u32, part: Part, text: &str, effects: &mut Vec<Effect>) {
    let models = state.registry.models.value().map_or(&[][..], Vec::as_slice);
    let Some(model) = models.iter().find(|m| m.name == model) else { return state.warn("this model is gone") };
    let Some(version) = model.version(version) else { return state.warn("this version is gone") };
    let made = match part {
        Part::Note => Ok(note(model, version, text)),
        Part::Tag => tagged(model, version, text),
        Part::Alias => alias(model, version, text),
    };
    let (now, back, said) = match made {
        Ok(made) => made,
        Err(why) => return state.warn(why),
    };
    if now == back {
        return state.say("that is how it stands already");
    }
    let generation = Some(model.generation);
    let said = format!("{said} of {} v{}", model.name, version.number);
    let decide = |command| Change::Decide(vec![Command::Registry(command)]);
    undo::at_once(state, decide(now), generation, said, Back::Change(decide(back)), effects);
}

/// A command, the one that takes it back, and what it is called.
type Made = (registry::Command, registry::Command, String);

fn note(model: &Model, version: &Version, text: &str) -> Made {
    let describe = |description: &str| registry::Command::DescribeVersion {
        model: model.name.clone(),
        version: version.number,
        description: description.to_owned(),
    };
    (describe(text.trim()), describe(&version.description), "note".to_owned())
}

fn tagged(model: &Model, version: &Version, text: &str) -> Result<Made, String> {
    let (key, value) = tag(text).ok_or("a tag is written key=value; -key removes one")?;
    let set = |value: Option<String>| registry::Command::TagVersion {
        model: model.name.clone(),
        version: version.number,
        key: key.clone(),
        value,
    };
    let before = version.tags.get(&key).cloned();
    Ok((set(value), set(before), format!("tag {key}")))
}

fn alias(model: &Model, version: &Version, text: &str) -> Result<Made, String> {
    let text = text.trim();
    let (alias, to) = text.strip_prefix('-').map_or((text, Some(version.number)), |name| (name.trim(), None));
    if alias.is_empty() || alias.contains(char::is_whitespace) {
        return Err("one alias at a time: a word without spaces, with - before it to remove it".to_owned());
    }
    let point = |version: Option<u32>| registry::Command::SetAlias {
        model: model.name.clone(),
        alias: alias.to_owned(),
        version,
    };
    let before = model.versions.iter().find(|v| v.aliases.iter().any(|a| a == alias)).map(|v| v.number);
    Ok((point(to), point(before), format!("alias {alias}")))
}
