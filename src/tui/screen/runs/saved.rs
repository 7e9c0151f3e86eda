//! Saved views: picked from a menu, made from what is shown, forgotten.

use crate::tui::msg::Effect;
use crate::tui::overlay::picker::Item;
use crate::tui::overlay::prompt::Prompted;
use crate::tui::overlay::{Choice, Overlay, Picker, Prompt};
use crate::tui::query::Query;
use crate::tui::screen::open;
use crate::tui::state::State;
use crate::tui::views::SavedView;

/// What to do with views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewChoice {
    Show(String),
    Save,
    Forget,
    ForgetThis(String),
}

/// The menu of views.
pub fn pick(state: &mut State) {
    let mut items: Vec<Item> = state
        .views
        .iter()
        .map(|v| Item::new(v.name.clone(), words(v), Choice::View(ViewChoice::Show(v.name.clone()))))
        .collect();
    items.push(Item::new("save what is shown as a view…", "", Choice::View(ViewChoice::Save)));
    if !state.views.is_empty() {
        items.push(Item::new("forget a view…", "", Choice::View(ViewChoice::Forget)));
    }
    open(state, Picker::new("VIEWS", items));
}

fn words(view: &SavedView) -> String {
    let group = view.group.as_ref().map(|by| format!("by {}", super::groups::name(by)));
    let parts = [Some(view.filter.clone()).filter(|f| !f.is_empty()), group];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

pub fn choose(state: &mut State, choice: ViewChoice, effects: &mut Vec<Effect>) {
    match choice {
        ViewChoice::Show(name) => {
            if let Some(view) = state.views.iter().find(|v| v.name == name).cloned() {
                show(state, view);
            }
        }
        ViewChoice::Save => {
            let prompt = Prompt::new("SAVE VIEW", "a name; one that exists is replaced", "", Prompted::ViewName);
            state.overlay = Some(Overlay::Prompt(prompt));
        }
        ViewChoice::Forget => {
            let items = state
                .views
                .iter()
                .map(|v| Item::new(v.name.clone(), words(v), Choice::View(ViewChoice::ForgetThis(v.name.clone()))))
                .collect();
            open(state, Picker::new("FORGET A VIEW", items));
        }
        ViewChoice::ForgetThis(name) => {
            state.views.retain(|v| v.name != name);
            effects.push(Effect::SaveViews(state.views.clone()));
            state.say(format!("forgot {name}"));
        }
    }
}

/// Saves what is shown under a name.
pub fn save(state: &mut State, name: &str, effects: &mut Vec<Effect>) {
    let name = name.trim();
    if name.is_empty() {
        return state.warn("a view needs a name");
    }
    let runs = &state.runs;
    let view = SavedView {
        name: name.to_owned(),
        filter: runs.filter_text.clone(),
        experiment: runs.experiment.clone(),
        order: runs.order.clone(),
        descending: runs.descending,
        columns: runs.columns.clone(),
        group: runs.grouped.by.clone(),
        metric: runs.metric.clone(),
    };
    state.views.retain(|v| v.name != name);
    state.views.push(view);
    state.views.sort_by(|a, b| a.name.cmp(&b.name));
    effects.push(Effect::SaveViews(state.views.clone()));
}

fn show(state: &mut State, view: SavedView) {
    let runs = &mut state.runs;
    runs.filter = Query::parse(&view.filter).unwrap_or_default();
    runs.filter_text = view.filter;
    runs.experiment = view.experiment;
    runs.order = view.order;
    runs.descending = view.descending;
    runs.columns = view.columns;
    runs.metric = view.metric;
    runs.grouped.put_together(view.group);
    runs.marks.clear();
    runs.cursor = 0;
    runs.selected = None;
    runs.reload();
    state.say(format!("view {}", view.name));
}
