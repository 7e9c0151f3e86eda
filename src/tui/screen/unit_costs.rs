//! What a thousand predictions of each version cost lately: beside what else Fleet, Registry and the sheets say of it.

use std::time::Duration;

use super::give;
use crate::base::Fault;
use crate::base::money;
use crate::capability::cost::{Asked, By, CostReport, Row};
use crate::tui::msg::{Effect, Page, Want};
use crate::tui::remote::{RequestId, Slot};
use crate::tui::state::State;

/// A bill is made anew so often, microseconds: what a prediction costs does not change by the second.
const LOOK_US: i64 = 60_000_000;
const WINDOW: Duration = Duration::from_hours(24);

/// Whose versions are spoken of: two services may answer with versions of one model, each at its own price.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    Model(&'a str),
    Service(&'a str),
}

impl Of<'_> {
    fn is(self, row: &Row) -> bool {
        match self {
            Self::Model(name) => row.model.as_deref() == Some(name),
            Self::Service(name) => row.service.as_deref() == Some(name),
        }
    }
}

#[derive(Debug, Default)]
pub struct UnitCosts {
    page: Slot<CostReport>,
}

impl UnitCosts {
    fn row(&self, of: Of<'_>, version: &str) -> Option<(&CostReport, &Row)> {
        let report = self.page.value()?;
        let version = version.trim_start_matches('v');
        let row = report.rows.iter().find(|r| of.is(r) && r.version.as_deref() == Some(version))?;
        Some((report, row))
    }

    /// `$0.0437`, `?` where something of it is unknown, `-` where nothing was served.
    pub fn per_1k(&self, service: &str, version: &str) -> String {
        let Some((report, row)) = self.row(Of::Service(service), version) else {
            return "-".to_owned();
        };
        match row.per_1k {
            Some(amount) => money::shown(amount, &report.currency),
            None if row.unknown.is_empty() => "-".to_owned(),
            None => "?".to_owned(),
        }
    }

    /// `$0.0437 a thousand, $0.0520 a thousand correct`; `None` where nothing is known.
    pub fn words(&self, of: Of<'_>, version: u32) -> Option<String> {
        let (report, row) = self.row(of, &version.to_string())?;
        let shown = |amount: f64| money::shown(amount, &report.currency);
        let correct = row.per_correct.map(|c| format!(", {} a thousand correct", shown(c.value * 1000.0)));
        Some(format!("{} a thousand{}", shown(row.per_1k?), correct.unwrap_or_default()))
    }

    /// What two versions cost, for a sheet that moves callers from one to the other.
    pub fn compared(&self, of: Of<'_>, from: Option<u32>, to: u32) -> Option<String> {
        let one = |version: u32| self.words(of, version).map(|words| format!("v{version} {words}"));
        let told: Vec<String> = [from.filter(|v| *v != to), Some(to)].into_iter().flatten().filter_map(one).collect();
        (!told.is_empty()).then(|| format!("cost: {}", told.join("; ")))
    }

    pub fn stale(&mut self, why: &str) {
        self.page.remote.stale(why);
    }
}

pub fn demand(state: &mut State, effects: &mut Vec<Effect>) {
    let (now, past) = (state.now, state.past.at);
    let page = &mut state.unit_costs.page;
    if page.asks_every(LOOK_US, now, state.frozen || past.is_some()) {
        let since = Some(past.unwrap_or(now).minus(WINDOW));
        let asked = Asked { by: By::Version, since, to: None, days: 0, as_of: past };
        effects.push(Effect::Load(page.ask(&mut state.ids, now), Want::Cost(asked)));
    }
}

pub fn loaded(state: &mut State, id: RequestId, reply: &Result<Page, Fault>) {
    let (now, page) = (state.now, &mut state.unit_costs.page);
    give(page, id, reply, now, |p| if let Page::Cost(r) = p { Some((**r).clone()) } else { None });
}
