//! The one table of keys: read from `config/keymap.toml`, laid over by the person's own file, asked by everything that
//! shows or obeys a key.

use std::collections::BTreeMap;

use super::action::Action;
use super::key::Key;

/// The table that ships with the program.
pub const DEFAULT: &str = include_str!("../../config/keymap.toml");

/// Where a key is looked up: an open modal alone, else the screen and then `global`.
pub type Context = &'static str;

pub const CONTEXTS: [Context; 15] = [
    "screen.fleet",
    "screen.incident",
    "screen.recovery",
    "screen.live",
    "screen.cost",
    "screen.rollouts",
    "global",
    "screen.runs",
    "screen.run",
    "screen.compare",
    "screen.registry",
    "screen.audit",
    "screen.data",
    "modal.sheet",
    "modal.replay",
];

/// What a press means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Action(Action),
    /// The first press of a longer sequence.
    Prefix,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Binding {
    context: Context,
    action: Action,
    keys: Vec<Key>,
}

/// The keys as they hold now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keymap {
    bindings: Vec<Binding>,
}

impl Keymap {
    /// The shipped table. A fault in it is caught by its tests; at run time it would leave the keys it could read.
    pub fn shipped() -> Self {
        Self::parse(DEFAULT).unwrap_or_default()
    }

    /// The shipped table with `own` laid over it, and what was wrong with `own`.
    pub fn with_own(own: Option<&str>) -> (Self, Vec<String>) {
        let shipped = Self::shipped();
        let Some(text) = own else { return (shipped, Vec::new()) };
        match Self::parse(text) {
            Err(why) => (shipped, vec![format!("keymap.toml: {why}; the default keys hold")]),
            Ok(own) => {
                let laid = shipped.clone().overlay(own);
                let faults = laid.faults();
                if faults.is_empty() {
                    (laid, Vec::new())
                } else {
                    (shipped, faults.into_iter().map(|f| format!("keymap.toml: {f}; the default keys hold")).collect())
                }
            }
        }
    }

    /// # Errors
    /// The first thing in `text` that is not TOML, not a known context or action, or not a key, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tables: BTreeMap<String, toml::Value> = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", e.message().lines().next().unwrap_or_default())
        })?;
        let mut bindings = Vec::new();
        for context in CONTEXTS {
            let table = context.split('.').try_fold(None::<&toml::Value>, |at, part| match at {
                None => tables.get(part).map(Some),
                Some(v) => v.get(part).map(Some),
            });
            let Some(entries) = table.flatten().and_then(toml::Value::as_table) else { continue };
            for (name, keys) in entries {
                Self::read_entry(context, name, keys, &mut bindings)
                    .map_err(|why| format!("line {}: {why}", line_of(text, context, name)))?;
            }
        }
        if let Some(unknown) = unknown_context(&tables) {
            return Err(format!(
                "line {}: no context is called [{unknown}]",
                text.lines().position(|l| l.trim() == format!("[{unknown}]")).map_or(0, |n| n + 1)
            ));
        }
        Ok(Self { bindings })
    }

    fn read_entry(context: Context, name: &str, keys: &toml::Value, bindings: &mut Vec<Binding>) -> Result<(), String> {
        let action = Action::named(name).ok_or_else(|| format!("no action is called \"{name}\""))?;
        let keys = keys.as_array().ok_or_else(|| format!("\"{name}\" needs a list of keys"))?;
        for key in keys {
            let text = key.as_str().ok_or_else(|| format!("\"{name}\" has a key that is not text"))?;
            bindings.push(Binding { context, action, keys: Key::parse_sequence(text)? });
        }
        Ok(())
    }

    fn overlay(mut self, own: Self) -> Self {
        self.bindings.retain(|b| !own.bindings.iter().any(|o| o.context == b.context && o.action == b.action));
        self.bindings.extend(own.bindings);
        self
    }

    /// Keys that mean two things in one place, that hide a global key, or that would act without a sheet's care.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (i, a) in self.bindings.iter().enumerate() {
            for b in &self.bindings[i + 1..] {
                let one_place = a.context == b.context || (layered(a.context, b.context));
                let clash = a.keys.starts_with(&b.keys) || b.keys.starts_with(&a.keys);
                if one_place && clash && (a.context, a.action) != (b.context, b.action) {
                    faults.push(format!(
                        "{} is both {} ({}) and {} ({})",
                        show(&a.keys),
                        a.action.name(),
                        a.context,
                        b.action.name(),
                        b.context
                    ));
                }
            }
            if (a.action.opens_sheet() || a.action == Action::Confirm)
                && a.keys.iter().any(|k| k.ctrl || k.typed().is_none())
            {
                faults.push(format!(
                    "{} may not be {}: no Ctrl key, Enter or Escape leads to a change",
                    show(&a.keys),
                    a.action.name()
                ));
            }
        }
        faults
    }

    /// What `keys`, pressed so far, mean in `contexts` (the first that knows them wins).
    pub fn find(&self, contexts: &[Context], keys: &[Key]) -> Found {
        for context in contexts {
            let here = || self.bindings.iter().filter(|b| b.context == *context);
            if let Some(b) = here().find(|b| b.keys == keys) {
                return Found::Action(b.action);
            }
            if here().any(|b| b.keys.len() > keys.len() && b.keys.starts_with(keys)) {
                return Found::Prefix;
            }
        }
        Found::Nothing
    }

    /// The keys of an action, the first one first, as they are shown.
    pub fn keys_of(&self, contexts: &[Context], action: Action) -> Vec<String> {
        contexts
            .iter()
            .flat_map(|c| self.bindings.iter().filter(move |b| b.context == *c && b.action == action))
            .map(|b| show(&b.keys))
            .collect()
    }

    /// The actions of a context in the order of the table, each once.
    pub fn actions_of(&self, context: Context) -> Vec<Action> {
        let mut actions: Vec<Action> = Vec::new();
        for b in self.bindings.iter().filter(|b| b.context == context) {
            if !actions.contains(&b.action) {
                actions.push(b.action);
            }
        }
        actions.sort_unstable();
        actions
    }

    /// What may follow the presses so far: the next key and its action.
    pub fn continuations(&self, contexts: &[Context], so_far: &[Key]) -> Vec<(String, Action)> {
        self.bindings
            .iter()
            .filter(|b| contexts.contains(&b.context) && b.keys.len() > so_far.len() && b.keys.starts_with(so_far))
            .map(|b| (show(&b.keys[so_far.len()..]), b.action))
            .collect()
    }
}

/// Whether keys of one context are also looked up in the other.
fn layered(a: Context, b: Context) -> bool {
    let over = |x: Context, y: Context| x == "global" && y.starts_with("screen.");
    over(a, b) || over(b, a)
}

fn show(keys: &[Key]) -> String {
    keys.iter().map(Key::to_string).collect()
}

fn unknown_context(tables: &BTreeMap<String, toml::Value>) -> Option<String> {
    for (head, value) in tables {
        if CONTEXTS.contains(&head.as_str()) {
            continue;
        }
        let Some(inner) = value.as_table().filter(|_| matches!(head.as_str(), "screen" | "modal")) else {
            return Some(head.clone());
        };
        if let Some(name) = inner.keys().find(|n| !CONTEXTS.contains(&format!("{head}.{n}").as_str())) {
            return Some(format!("{head}.{name}"));
        }
    }
    None
}

/// The line on which an entry stands, for messages.
fn line_of(text: &str, context: &str, name: &str) -> usize {
    let mut inside = false;
    for (n, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            inside = line == format!("[{context}]");
        } else if inside && line.trim_start_matches('"').starts_with(name) {
            return n + 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_has_no_fault() {
        let keymap = Keymap::parse(DEFAULT).unwrap();
        assert_eq!(keymap.faults(), Vec::<String>::new());
    }

    #[test]
    fn every_action_has_a_key_and_is_in_the_table() {
        let keymap = Keymap::shipped();
        for action in Action::ALL {
            assert!(!keymap.keys_of(&CONTEXTS, *action).is_empty(), "{} has no key", action.name());
        }
    }

    #[test]
    fn keys_with_consequences_are_capitals_and_never_ctrl() {
        for b in Keymap::shipped().bindings.iter().filter(|b| b.action.opens_sheet()) {
            let key = b.keys[0];
            assert!(
                !key.ctrl && key.typed().is_some_and(|c| c.is_uppercase() || "0-+%".contains(c)),
                "{}",
                b.action.name()
            );
        }
        let confirm = Keymap::shipped().keys_of(&["modal.sheet"], Action::Confirm);
        assert_eq!(confirm, ["y"]);
    }

    #[test]
    fn no_key_that_terminals_eat() {
        for b in &Keymap::shipped().bindings {
            for k in b.keys.iter().filter(|k| k.ctrl) {
                assert!(
                    !matches!(
                        k.code,
                        super::super::key::Code::Char('s' | 'q' | 'a' | 'b' | 'i' | 'j' | 'm' | 'h' | '[')
                    ),
                    "{}",
                    b.action.name()
                );
            }
        }
    }

    #[test]
    fn an_own_file_changes_a_key_and_a_clash_is_named() {
        let (keys, faults) = Keymap::with_own(Some("[global]\n\"refresh\" = [\"f5\"]\n"));
        assert!(faults.is_empty());
        assert_eq!(keys.keys_of(&["global"], Action::Refresh), ["F5"]);
        assert_eq!(keys.find(&["global"], &[Key::char('r')]), Found::Nothing);

        let (keys, faults) = Keymap::with_own(Some("[global]\n\"refresh\" = [\"z\"]\n"));
        assert!(faults[0].contains("z is both") && faults[0].contains("pane.zoom"), "{faults:?}");
        assert_eq!(keys, Keymap::shipped());
    }

    #[test]
    fn a_broken_own_file_names_its_line() {
        let why = |text| Keymap::with_own(Some(text)).1.join(" ");
        assert!(
            why("[global]\n\"refresh\" = [\"f5\"").contains("line 2"),
            "{}",
            why("[global]\n\"refresh\" = [\"f5\"")
        );
        assert!(why("[global]\n\n\"refrsh\" = [\"f5\"]\n").contains("line 3: no action is called \"refrsh\""));
        assert!(why("[global]\n\"refresh\" = [\"ctrl-alt-x\"]\n").contains("is not a key"));
        assert!(why("[screen.moon]\n").contains("no context"));
        assert!(why("[modal.sheet]\n\"confirm\" = [\"enter\"]\n").contains("no Ctrl key, Enter"));
    }

    #[test]
    fn two_presses_make_one_action() {
        let keymap = Keymap::shipped();
        let g = Key::char('g');
        assert_eq!(keymap.find(&["screen.runs", "global"], &[g]), Found::Prefix);
        assert_eq!(keymap.find(&["screen.runs", "global"], &[g, g]), Found::Action(Action::Top));
        assert!(keymap.continuations(&["global"], &[g]).len() >= 8);
    }
}
