//! The verbs of the palette: `verb object key=value`. They do what keys do, through the same gates, and open the same sheets.

use super::action::{Action, Group};
use super::msg::{Effect, RunOrder};
use super::overlay::picker::Item;
use super::overlay::{Choice, Overlay, Picker};
use super::query::Query;
use super::screen::{self, runs};
use super::session::RECENT_MAX;
use super::span::Span;
use super::state::{State, View};
use super::{dispatch, glyph, theme};

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

fn go(state: &mut State, view: View, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let query = Query::parse(text).map_err(|e| e.what)?;
    state.go(view, effects);
    if !text.is_empty() {
        screen::set_filter(state, text, query, effects);
    }
    Ok(())
}

fn go_runs(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let given = |key: &str| text.split(' ').find_map(|w| w.strip_prefix(key).and_then(|w| w.strip_prefix('=')));
    let rest: Vec<&str> =
        text.split(' ').filter(|w| !["sort=", "window=", "experiment="].iter().any(|k| w.starts_with(k))).collect();
    let (order, span, of) = (given("sort"), given("window"), given("experiment"));
    let query = Query::parse(rest.join(" ").trim()).map_err(|e| e.what)?;
    state.go(View::Runs, effects);
    if let Some(of) = of {
        experiment(state, of, effects)?;
    }
    if let Some(span) = span {
        window(state, span, effects)?;
    }
    if let Some(order) = order {
        sort(state, order, effects)?;
    }
    if !text.is_empty() {
        screen::set_filter(state, rest.join(" ").trim(), query, effects);
    }
    Ok(())
}

fn incident(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::Incident, effects);
        return Ok(());
    }
    let id = text.trim_start_matches("INC-").parse().map_err(|_| format!("\"{text}\" is no number of an incident"))?;
    state.go(View::Incident(id), effects);
    Ok(())
}

fn filter(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let query = Query::parse(text).map_err(|e| e.what)?;
    screen::set_filter(state, text, query, effects);
    Ok(())
}

fn sort(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::SortPick, effects);
        return Ok(());
    }
    if *state.nav.here() != View::Runs {
        return Err("only runs have an order to choose".into());
    }
    let (descending, key) = text.strip_prefix('-').map_or((false, text), |key| (true, key));
    let held = |of: fn(&super::model::Run, &str) -> bool| state.runs.rows().iter().any(|r| of(r, key));
    let order = match key.to_lowercase().as_str() {
        "name" | "run" => RunOrder::Name,
        "state" | "status" => RunOrder::Status,
        "started" | "start" | "time" => RunOrder::Started,
        "user" => RunOrder::User,
        "experiment" => RunOrder::Experiment,
        "dur" | "duration" => RunOrder::Duration,
        "step" => RunOrder::Step,
        "note" => RunOrder::Note,
        _ => match key.split_once('.') {
            Some(("metrics" | "m", key)) => RunOrder::Metric(key.to_owned()),
            Some(("params" | "p", key)) => RunOrder::Param(key.to_owned()),
            _ if !held(|r, k| r.metrics.contains_key(k)) && held(|r, k| r.params.contains_key(k)) => {
                RunOrder::Param(key.to_owned())
            }
            _ => RunOrder::Metric(key.to_owned()),
        },
    };
    runs::set_order(state, order, descending);
    Ok(())
}

fn window(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let span = match text {
        "" => {
            dispatch::act(state, Action::TimeWindow, effects);
            return Ok(());
        }
        "off" | "all" | "none" => None,
        text => Some(Span::parse(text).ok_or_else(|| format!("\"{text}\" is no length of time"))?),
    };
    screen::set_window(state, span);
    Ok(())
}

fn experiment(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.go(View::Runs, effects);
    if text.is_empty() {
        dispatch::act(state, Action::Experiment, effects);
        return Ok(());
    }
    if text == "all" {
        runs::show_experiment(state, None);
        return Ok(());
    }
    let known = state.runs.experiments.value().cloned().unwrap_or_default();
    let exact = known.iter().find(|e| e.name == text || e.id == text);
    let found = exact.or_else(|| known.iter().find(|e| e.name.to_lowercase().contains(&text.to_lowercase())));
    let found = found.cloned().ok_or_else(|| format!("no experiment is called \"{text}\""))?;
    runs::show_experiment(state, Some(found));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
fn metric(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        dispatch::act(state, Action::Metric, effects);
    } else {
        screen::choose(state, Choice::Metric(text.to_owned()), effects);
    }
    Ok(())
}

fn env(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
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

fn read_only(state: &mut State, text: &str, _: &mut Vec<Effect>) -> Result<(), String> {
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
fn change_theme(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if text.is_empty() {
        let items = theme::SHIPPED.iter().map(|(n, _)| Item::new(*n, "", Choice::Command(format!("theme {n}"))));
        state.overlay = Some(Overlay::Picker(Picker::new("THEME", items.collect())));
    } else {
        effects.push(Effect::Theme(text.to_owned()));
    }
    Ok(())
}

fn glyphs(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.glyphs = match text {
        "ascii" => glyph::ASCII,
        "unicode" => glyph::UNICODE,
        _ => return Err("unicode or ascii?".into()),
    };
    effects.push(Effect::Redraw);
    Ok(())
}

fn mouse(state: &mut State, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    state.mouse = match text {
        "on" => true,
        "off" => false,
        _ => return Err("on or off?".into()),
    };
    effects.push(Effect::Mouse(state.mouse));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
fn copy_pane(_: &mut State, _: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    effects.push(Effect::CopyPane);
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // the form of every verb
fn quit(state: &mut State, _: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    dispatch::leave_room(state, effects);
    Ok(())
}
