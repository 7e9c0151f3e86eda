//! What one may decide about alerts and incidents.

use serde::{Deserialize, Serialize};

use super::{Action, AlertRule};
use crate::base::Timestamp;

/// A rule that fires, with what was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub rule: String,
    pub severity: u8,
    pub action: Action,
    /// `auc 0.61 < 0.66`, or that nothing came.
    pub what: String,
    #[serde(with = "crate::base::number::option")]
    pub value: Option<f64>,
    /// Observations behind the value.
    pub n: u64,
    /// Of the newest window.
    pub from: Timestamp,
    pub to: Timestamp,
    /// The read that gives the value again.
    pub query: String,
}

/// Every change of alerts and incidents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// Writes a rule, in place of the one of that name.
    SetAlert {
        rule: AlertRule,
    },
    RemoveAlert {
        name: String,
    },
    /// Opens the service's incident, joins the open one, or opens one again that closed a short while ago.
    RaiseAlert {
        service: String,
        alert: Alert,
    },
    /// The rule's values are well again; the last one closes the incident.
    ClearAlert {
        service: String,
        rule: String,
    },
    AckIncident {
        id: i64,
    },
    AssignIncident {
        id: i64,
        to: String,
    },
    SilenceIncident {
        id: i64,
        until: Timestamp,
    },
    NoteIncident {
        id: i64,
        text: String,
    },
    /// Follows it, or no longer.
    WatchIncident {
        id: i64,
    },
    CloseIncident {
        id: i64,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetAlert { .. } => "set-alert",
            Self::RemoveAlert { .. } => "remove-alert",
            Self::RaiseAlert { .. } => "raise-alert",
            Self::ClearAlert { .. } => "clear-alert",
            Self::AckIncident { .. } => "ack-incident",
            Self::AssignIncident { .. } => "assign-incident",
            Self::SilenceIncident { .. } => "silence-incident",
            Self::NoteIncident { .. } => "note-incident",
            Self::WatchIncident { .. } => "watch-incident",
            Self::CloseIncident { .. } => "close-incident",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SetAlert { .. } => "Writes an alert rule.",
            Self::RemoveAlert { .. } => "Removes an alert rule; what it raised stays.",
            Self::RaiseAlert { .. } => "Raises an alert on a service.",
            Self::ClearAlert { .. } => "Clears an alert of a service.",
            Self::AckIncident { .. } => "Says that someone looks after an incident.",
            Self::AssignIncident { .. } => "Gives an incident to someone.",
            Self::SilenceIncident { .. } => "Tells nobody about an incident for a while.",
            Self::NoteIncident { .. } => "Adds a note to an incident.",
            Self::WatchIncident { .. } => "Follows an incident, or no longer.",
            Self::CloseIncident { .. } => "Closes an incident by hand.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SetAlert { rule } => format!("alert {}", rule.name),
            Self::RemoveAlert { name } => format!("alert {name}"),
            Self::RaiseAlert { service, alert } => format!("service {service} {}", alert.rule),
            Self::ClearAlert { service, rule } => format!("service {service} {rule}"),
            Self::AckIncident { id }
            | Self::AssignIncident { id, .. }
            | Self::SilenceIncident { id, .. }
            | Self::NoteIncident { id, .. }
            | Self::WatchIncident { id }
            | Self::CloseIncident { id } => format!("incident {id}"),
        }
    }
}
