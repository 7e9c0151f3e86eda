//! Incidents: alert rules over windows, what they raise, who takes care of it, and what may have caused it.
//!
//! Invariants: whether a rule fires is worked out anew from the windows, so that a restart forgets nothing and doubles
//! nothing; one service has at most one open incident, which further alerts join; absence of data is an alert of its own.

mod apply;
mod command;
mod judge;
mod rule;
mod store;
mod suspects;
mod told;

use serde::{Deserialize, Serialize};

pub use apply::apply;
pub use command::{Alert, Command};
pub use judge::{Observation, Turn, judge};
pub use rule::{Action, AlertRule, Bound, Signal, parse};
pub use store::STATEMENTS;
pub use suspects::{Change, Suspect, suspects};
pub use told::{headline, post_mortem, reason};

use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx};

/// One time that something went wrong with a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: i64,
    pub service: String,
    /// 1 wakes someone; 3 can wait for the morning. The gravest of its alerts.
    pub severity: u8,
    pub opened: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
    /// How often it came back soon after it had closed.
    #[serde(default)]
    pub reopened: u32,
    /// Who has seen it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<(String, Timestamp)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Nobody is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Timestamp>,
    /// Who follows it besides the owner: named in every notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watchers: Vec<String>,
    /// What raised it, oldest first.
    pub alerts: Vec<Raised>,
    /// What people did and said, oldest first.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// An alert of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raised {
    #[serde(flatten)]
    pub alert: Alert,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared: Option<Timestamp>,
}

/// What someone did or said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub by: String,
    pub text: String,
}

impl Incident {
    /// As it stood at a moment; `None` when it had not begun. Who owned it is kept: it is told by a name only.
    #[must_use]
    pub fn as_of(&self, at: Timestamp) -> Option<Self> {
        if self.opened > at {
            return None;
        }
        let mut then = self.clone();
        then.closed = then.closed.filter(|end| *end <= at);
        then.acknowledged = then.acknowledged.filter(|(_, when)| *when <= at);
        then.alerts.retain(|a| a.at <= at);
        then.alerts.iter_mut().for_each(|a| a.cleared = a.cleared.filter(|end| *end <= at));
        then.notes.retain(|n| n.at <= at);
        then.severity = then.alerts.iter().map(|a| a.alert.severity).min().unwrap_or(then.severity);
        // A silence says until when, not since when.
        then.silenced = None;
        Some(then)
    }

    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.silenced.is_some_and(|until| now < until)
    }

    /// The word that stands in lists.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (self.closed, self.is_silent(now), &self.acknowledged) {
            (Some(_), ..) => "closed",
            (None, true, _) => "silenced",
            (None, false, Some(_)) => "acknowledged",
            (None, false, None) => "open",
        }
    }

    /// The alert that weighs most: graver first, then earlier.
    pub fn gravest(&self) -> Option<&Raised> {
        self.alerts.iter().min_by_key(|a| (a.cleared.is_some(), a.alert.severity, a.at))
    }
}

/// Something to tell the outside about an incident, until every receiver has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub id: i64,
    pub at: Timestamp,
    pub kind: NoticeKind,
    /// As it stood then.
    pub incident: Incident,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    Opened,
    /// A further or graver alert joined.
    Worse,
    Acknowledged,
    Closed,
}

/// Rules as they are written, by name.
///
/// # Errors
/// The store's.
pub async fn rules(source: Source<'_>) -> Result<Vec<AlertRule>> {
    store::rules(source).await
}

/// Newest first; open ones before closed ones.
///
/// # Errors
/// The store's.
pub async fn incidents(source: Source<'_>, service: Option<&str>) -> Result<Vec<Incident>> {
    let mut all = store::incidents(source, service).await?;
    all.sort_by_key(|i| (i.closed.is_some(), std::cmp::Reverse(i.id)));
    Ok(all)
}

/// # Errors
/// `NotFound`.
pub async fn incident(source: Source<'_>, id: i64) -> Result<Incident> {
    store::incident(source, id)
        .await?
        .ok_or_else(|| Fault::not_found(format!("no incident {id}")).next("see `opsroom incident list`"))
}

/// What has not been told yet, oldest first.
///
/// # Errors
/// The store's.
pub async fn untold(source: Source<'_>) -> Result<Vec<Notice>> {
    store::notices(source).await
}

/// Everyone has it, or nobody will: it is not told again.
///
/// # Errors
/// The store's.
pub async fn was_told(tx: &mut Tx, notice: i64) -> Result<()> {
    store::end_notice(tx, notice).await
}
