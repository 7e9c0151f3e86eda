//! The verbs of the palette: `verb object key=value`. They do what keys do, through the same gates, and open the same sheets.

mod app;
mod places;

use app::{change_theme, copy_pane, env, glyphs, mouse, quit, read_only};
use places::{experiment, filter, go, go_runs, incident, metric, sort, window};

use super::action::{Action, Group};
use super::msg::Effect;
use super::overlay::Choice;
use super::overlay::picker::Item;
use super::session::RECENT_MAX;
use super::span::Span;
use super::state::{State, View};
use super::{dispatch, theme};

type Run = fn(&mut State, &str, &mut Vec<Effect>) -> Result<(), String>;

/// A verb that takes something, or that has no key.
struct Verb {
    name: &'static str,
    /// Other words for it.
    also: &'static [&'static str],
    usage: &'static str,
    help: &'static str,
    run: Run,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "fleet",
        also: &["services", "home"],
        usage: "fleet [filter]",
        help: "go to Fleet: incidents and services, filtered",
        run: |state, text, effects| go(state, View::Fleet, text, effects),
    },
    Verb {
        name: "live",
        also: &["quality", "drift"],
        usage: "live flight-delay",
        help: "go to the quality and drift of a service",
        run: |state, text, effects| {
            if !text.is_empty() {
                state.live.scope(text.to_owned());
            }
            go(state, View::Live, "", effects)
        },
    },
    Verb {
        name: "incident",
        also: &["inc"],
        usage: "incident 12",
        help: "go to an incident by its number",
        run: incident,
    },
    Verb {
        name: "runs",
        also: &["run", "experiments"],
        usage: "runs [auc>0.93 tag~geo] [sort=-auc] [window=6h]",
        help: "go to Runs, filtered and sorted",
        run: go_runs,
    },
    Verb {
        name: "registry",
        also: &["models", "model"],
        usage: "registry [filter]",
        help: "go to the Registry, filtered",
        run: |state, text, effects| go(state, View::Registry, text, effects),
    },
    Verb {
        name: "audit",
        also: &["trail"],
        usage: "audit [filter]",
        help: "go to the Audit trail, filtered",
        run: |state, text, effects| go(state, View::Audit, text, effects),
    },
    Verb {
        name: "data",
        also: &["datasets", "dataset"],
        usage: "data [filter]",
        help: "go to the datasets, filtered",
        run: |state, text, effects| {
            state.data.shows_evals = false;
            go(state, View::Data, text, effects)
        },
    },
    Verb {
        name: "evals",
        also: &["suites", "eval"],
        usage: "evals [filter]",
        help: "go to suites and their results, filtered",
        run: |state, text, effects| {
            state.data.shows_evals = true;
            go(state, View::Data, text, effects)
        },
    },
    Verb {
        name: "filter",
        also: &["search", "where"],
        usage: "filter auc>0.93 -user=ci",
        help: "filter this list",
        run: filter,
    },
    Verb {
        name: "sort",
        also: &["order"],
        usage: "sort -auc",
        help: "sort runs by a column, - for downwards",
        run: sort,
    },
    Verb {
        name: "window",
        also: &["time", "since"],
        usage: "window 6h",
        help: "look at a window of time, or off",
        run: window,
    },
    Verb {
        name: "experiment",
        also: &["project"],
        usage: "experiment flights",
        help: "show one experiment, or all",
        run: experiment,
    },
    Verb { name: "metric", also: &["chart"], usage: "metric val_loss", help: "choose the charted metric", run: metric },
    Verb {
        name: "env",
        also: &["ctx", "context"],
        usage: "env prod",
        help: "change to the agent of a context",
        run: env,
    },
    Verb {
        name: "readonly",
        also: &["read-only"],
        usage: "readonly on",
        help: "look only: nothing can be changed",
        run: read_only,
    },
    Verb {
        name: "theme",
        also: &["colours", "colors"],
        usage: "theme light",
        help: "change the colours",
        run: change_theme,
    },
    Verb {
        name: "glyphs",
        also: &["ascii", "unicode"],
        usage: "glyphs ascii",
        help: "change the signs: unicode or ascii",
        run: glyphs,
    },
    Verb {
        name: "mouse",
        also: &[],
        usage: "mouse on",
        help: "clicks and the wheel are the room's, or the terminal's",
        run: mouse,
    },
    Verb { name: "pane", also: &["text"], usage: "pane", help: "copy the text of the focused pane", run: copy_pane },
    Verb {
        name: "quit",
        also: &["q", "exit", "q!", "wq"],
        usage: "quit",
        help: "leave the room; what runs on the agent goes on",
        run: quit,
    },
];

/// Words by which people look for an action, beside its name and help.
const SYNONYMS: &[(Action, &str)] = &[
    (Action::PromoteSheet, "promote stage deploy release ship archive"),
    (Action::RollbackSheet, "rollback rb revert undo previous"),
    (Action::RegisterSheet, "register model version"),
    (Action::StopSheet, "stop-run stop kill cancel abort"),
    (Action::DeleteSheet, "delete rm remove"),
    (Action::RestoreSheet, "restore undelete"),
    (Action::NoteEdit, "note comment annotate"),
    (Action::TagEdit, "tag label"),
    (Action::VerifyChain, "verify chain check audit"),
    (Action::CopyMenu, "copy yank clipboard"),
    (Action::Columns, "columns fields"),
    (Action::Help, "help keys shortcuts"),
    (Action::PaneZoom, "zoom maximise fullscreen"),
    (Action::Freeze, "freeze pause hold"),
    (Action::Refresh, "refresh reload retry"),
    (Action::Undo, "undo take back"),
];

/// The verb or action that a first word names exactly.
enum Named {
    Verb(&'static Verb),
    Action(Action),
}

fn named(word: &str) -> Option<Named> {
    let verb = VERBS.iter().find(|v| v.name == word || v.also.contains(&word));
    verb.map(Named::Verb).or_else(|| Action::ALL.iter().copied().find(|a| word_of(*a) == word).map(Named::Action))
}

/// The word that names an action: `rollback` for `rollback.sheet`.
pub fn word_of(action: Action) -> String {
    let name = action.name();
    let bare = [".sheet", ".menu", ".edit"].into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    bare.replace('.', "-")
}

/// Whether the text is a command as it stands: it names a verb and says what with.
pub fn is_command(text: &str) -> bool {
    let text = text.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match named(word) {
        Some(Named::Verb(verb)) => {
            // Those that mean nothing alone are completed instead.
            !rest.is_empty() || !matches!(verb.name, "filter" | "glyphs" | "readonly" | "mouse" | "live")
        }
        Some(Named::Action(_)) => rest.is_empty() && word.len() > 1,
        None => false,
    }
}

/// Carries out a command.
///
/// # Errors
/// Why not, in one sentence with the usage.
pub fn run(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let text = text.trim().trim_start_matches(':');
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match named(word) {
        Some(Named::Verb(verb)) => {
            (verb.run)(state, rest.trim(), effects).map_err(|why| format!("{why}; write it as: {}", verb.usage))?;
        }
        Some(Named::Action(action)) => dispatch::act(state, action, effects),
        None => return Err(format!("no verb is called \"{word}\"")),
    }
    remember(state, text);
    Ok(())
}

/// Puts a command in front of those used before.
pub fn remember(state: &mut State, text: &str) {
    state.recent.retain(|t| t != text);
    state.recent.insert(0, text.to_owned());
    state.recent.truncate(RECENT_MAX);
}

/// What the palette offers: the actions of this screen first, then what was used before, then all the rest.
pub fn items(state: &State, acts_only: bool) -> Vec<Item> {
    let contexts = state.contexts();
    let mut items: Vec<Item> = Vec::new();
    for (rank, context) in [(0, contexts[0]), (2, "global")] {
        let hidden = [Action::Palette, Action::ActionsMenu];
        let here = state.keys.actions_of(context).into_iter().filter(|a| !hidden.contains(a));
        for action in here.filter(|a| !acts_only || a.group() == Group::Act) {
            if !items.iter().any(|i| i.choice == Choice::Do(action)) {
                items.push(action_item(state, action, rank));
            }
        }
    }
    if acts_only {
        return items;
    }
    items.extend(
        state.recent.iter().map(|text| Item { rank: 1, ..Item::new(text, "recent", Choice::Command(text.clone())) }),
    );
    for verb in VERBS {
        let find = format!("{} {}", verb.help, verb.also.join(" "));
        let item = Item::new(verb.usage, verb.help, Choice::Command(verb.name.to_owned()));
        items.push(Item { rank: 3, find, complete: Some(format!("{} ", verb.name)), ..item });
    }
    items.extend(completions(state));
    items
}

fn action_item(state: &State, action: Action, rank: u8) -> Item {
    let why_not = state.why_not(action);
    let keys = state.keys.keys_of(&state.contexts(), action).join(" ");
    let ready = if action.changes() && why_not.is_none() { format!("{keys}  ready {}", state.glyphs.ok) } else { keys };
    let synonyms = SYNONYMS.iter().find(|(a, _)| *a == action).map_or("", |(_, words)| words);
    Item {
        why_not,
        rank,
        find: format!("{} {synonyms} {}", word_of(action), action.short()),
        complete: Some(word_of(action)),
        ..Item::new(action.help(), ready, Choice::Do(action))
    }
}

/// Verbs with what they can be used with now.
fn completions(state: &State) -> impl Iterator<Item = Item> {
    let themes = theme::SHIPPED.iter().map(|(name, _)| format!("theme {name}"));
    let contexts = state.contexts.iter().filter(|c| **c != state.context).map(|c| format!("env {c}"));
    let spans = Span::steps().map(|s| format!("window {s}")).chain(["window off".to_owned()]);
    let switches = ["glyphs unicode", "glyphs ascii", "readonly on", "readonly off", "mouse on", "mouse off"];
    let all: Vec<String> = themes.chain(contexts).chain(spans).chain(switches.map(str::to_owned)).collect();
    all.into_iter().map(|text| Item { rank: 4, ..Item::new(text.clone(), "", Choice::Command(text)) })
}
