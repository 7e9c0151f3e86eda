//! `run.alert(…)`: an alert of opsroom, on an incident of the run's project.

use serde_json::{Value, json};

use super::call::Call;
use crate::base::{Kind, fault::Result};
use crate::capability::access::Role;
use crate::capability::audit::{Via, Who};
use crate::capability::monitoring::incident::{self, Action, Alert};
use crate::capability::{Actor, Command, Envelope, perform};

/// Titles and texts are cut here.
const CHARS_MAX: usize = 200;

pub(super) async fn raise(call: &Call<'_>) -> Result<Value> {
    let run = call.run(&["runName"])?;
    let now = call.app.now();
    let plain = |text: String| -> String {
        text.chars().map(|c| if c == '/' || c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect()
    };
    let title = plain(call.required(&["title"])?);
    let text = call.text(&["text"]).filter(|t| !t.trim().is_empty()).map(plain);
    let severity = match call.text(&["severity"]).as_deref() {
        Some("ERROR") => 2,
        _ => 3,
    };
    let what = text.map_or_else(|| title.clone(), |text| format!("{title}: {text}"));
    let alert = Alert {
        rule: format!("wandb {title}"),
        severity,
        action: Action::Page,
        what: format!("{what} (run {})", run.name),
        value: None,
        n: 0,
        from: now,
        to: now,
        query: format!("opsroom runs show {}", run.id),
    };
    let service = plain(call.project());
    let command = Command::Incidents(incident::Command::RaiseAlert { service, alert });
    let said = format!("run.alert in a script of {}", call.actor.who.name);
    // The script says something; the agent makes an alert of it, as its monitors do.
    let actor = Actor {
        who: Who { name: "wandb".to_owned(), verified: false, via: Via::Monitor },
        role: Role::Operator,
        can_give_reason: true,
    };
    match perform(call.app.ctx(), &actor, Envelope::new(command, &said)).await {
        // It is raised already, which is what the script wants.
        Err(fault) if fault.kind == Kind::Conflict => {}
        other => drop(other?),
    }
    Ok(json!({ "notifyScriptableRunAlert": { "success": true } }))
}
