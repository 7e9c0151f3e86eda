//! One service in full, as Fleet, Incident and Live look at it: the same page, asked for again and again, since counts come
//! without a hint.

pub mod curve;
pub mod explain;
pub mod words;

use crate::base::{Fault, Timestamp};
use crate::capability::drift::Feature;
use crate::capability::fleet::{Live, Watched};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::screen::give;
use crate::tui::span::Span;
use crate::tui::state::State;

/// How often it is looked at, microseconds.
pub const LOOK_US: i64 = 5_000_000;
/// Without a window of the person's own, the last hour.
const WINDOW: u64 = 3600;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Of {
    pub service: String,
    /// Seconds.
    pub window: u64,
    pub to: Option<Timestamp>,
    /// Also who answers, as it stood then.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
    pub metric: Option<String>,
}

#[derive(Debug, Default)]
pub struct Watch {
    pub page: Slot<Live>,
    pub of: Of,
    pub feature: Slot<Feature>,
    /// Version and column.
    pub feature_of: (String, String),
}

impl Watch {
    /// The page, if it is about this service.
    pub fn about(&self, service: &str) -> Option<&Live> {
        self.page.value().filter(|p| p.service == service)
    }

    pub fn touch(&mut self) {
        self.page.touch();
        self.feature.touch();
    }

    pub fn stale(&mut self, why: &str) {
        self.page.remote.stale(why);
        self.feature.remote.stale(why);
    }

    pub fn due_at(&self) -> Option<Timestamp> {
        self.page.due_every(LOOK_US)
    }
}

/// The window that screens of live figures look at, seconds.
pub fn window(span: Option<Span>) -> u64 {
    span.map_or(WINDOW, |s| u64::try_from(s.seconds()).unwrap_or(WINDOW)).max(60)
}

/// Asks for what is looked at, when it is another one or has grown old.
pub fn demand(state: &mut State, of: Of, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen || state.past.at.is_some());
    let watch = &mut state.watch;
    if watch.of != of {
        if watch.of.service == of.service {
            watch.page.renew();
        } else {
            watch.page = Slot::default();
            watch.feature = Slot::default();
            watch.feature_of = (String::new(), String::new());
        }
        watch.of.clone_from(&of);
    }
    if watch.page.asks_every(LOOK_US, now, frozen) {
        effects.push(Effect::Load(watch.page.ask(&mut state.ids, now), Want::Live(of)));
    }
}

/// Asks for one column in the training data and now.
pub fn demand_feature(state: &mut State, version: &str, column: &str, effects: &mut Vec<Effect>) {
    let (now, frozen) = (state.now, state.frozen || state.past.at.is_some());
    let watch = &mut state.watch;
    if watch.feature_of != (version.to_owned(), column.to_owned()) {
        watch.feature = Slot::default();
        watch.feature_of = (version.to_owned(), column.to_owned());
    }
    if watch.feature.asks_every(LOOK_US, now, frozen) {
        let want = Want::Feature { of: watch.of.clone(), version: version.to_owned(), column: column.to_owned() };
        effects.push(Effect::Load(watch.feature.ask(&mut state.ids, now), want));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, watch) = (state.now, &mut state.watch);
    give(&mut watch.page, id, reply, now, |p| if let Page::Live(l) = p { Some((**l).clone()) } else { None });
    give(&mut watch.feature, id, reply, now, |p| if let Page::Feature(f) = p { Some((**f).clone()) } else { None });
}

/// The version that is looked at: the one asked for, else the one with the worst drift of those that callers see.
pub fn arm<'a>(page: &'a Live, asked: Option<&str>) -> Option<&'a Watched> {
    if let Some(found) = page.versions.iter().find(|v| asked == Some(v.version.as_str())) {
        return Some(found);
    }
    let psi = |v: &Watched| v.drift.columns.iter().filter_map(|c| c.psi.filter(|_| c.alarm)).fold(0.0, f64::max);
    let seen = page.versions.iter().filter(|v| v.role.serves());
    seen.max_by(|a, b| psi(a).total_cmp(&psi(b)).then(b.version.cmp(&a.version))).or_else(|| page.versions.first())
}
