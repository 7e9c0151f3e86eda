//! What follows from an alert beside the page: a rollout that is held, a version that is taken back. Looked for at every look, not
//! only when the alert is raised, so that an agent that died in between still does it; each alert acts once.

use std::collections::HashSet;
use std::time::Duration;

use super::App;
use crate::base::fault::Result;
use crate::base::show;
use crate::capability::monitoring::incident::{self, Action, Command as Incidents, Incident, Raised};
use crate::capability::rollout::{self, Command as Rollouts, Standing};
use crate::capability::{Command, Envelope, monitor, perform};
use crate::db::Source;

/// What an alert asked for so long ago is a person's decision by now.
const WITHIN: Duration = Duration::from_mins(10);

/// Alerts that this agent has seen to.
pub(super) type Done = HashSet<String>;

/// # Errors
/// The store's.
pub(super) async fn follow(app: &App, done: &mut Done) -> Result<()> {
    let incidents = incident::incidents(Source::Pool(app.ctx().db.read()), None).await?;
    for incident in incidents.iter().filter(|i| i.is_open()) {
        for raised in incident.alerts.iter().filter(|a| a.cleared.is_none() && a.alert.action != Action::Page) {
            let key = format!("alert-{}-{}-{}", incident.id, raised.alert.rule, raised.at.0);
            let old = raised.at.plus(WITHIN) < app.now();
            if old || done.contains(&key) {
                continue;
            }
            let said = act(app, incident, raised, &key).await?;
            if let Some(text) = said {
                let note = Command::Incidents(Incidents::NoteIncident { id: incident.id, text });
                perform(app.ctx(), &monitor("rules"), Envelope::new(note, "")).await?;
            }
            done.insert(key);
        }
    }
    Ok(())
}

/// Does it, and says what came of it; `None`: it was done before, by an agent that is gone.
async fn act(app: &App, incident: &Incident, raised: &Raised, key: &str) -> Result<Option<String>> {
    let (service, alert) = (incident.service.clone(), &raised.alert);
    let (command, verb) = match alert.action {
        Action::Page => return Ok(None),
        Action::Hold => (Rollouts::HoldRollout { service: service.clone() }, "held"),
        Action::Rollback => (Rollouts::Rollback { service: service.clone(), to: None }, "rolled back"),
    };
    if alert.action == Action::Rollback {
        let all = rollout::services(Source::Pool(app.ctx().db.read())).await?;
        if let Some(why) = all.iter().find(|s| s.service.name == service).and_then(|s| against(s, raised)) {
            return Ok(Some(format!("not rolled back by alert {}: {why}", alert.rule)));
        }
    }
    let reason = format!("alert {}: {}", alert.rule, alert.what);
    let envelope =
        Envelope { idempotency_key: Some(key.to_owned()), ..Envelope::new(Command::Rollouts(command), reason) };
    match perform(app.ctx(), &monitor("rules"), envelope).await {
        Ok(outcome) if outcome.replayed => Ok(None),
        Ok(outcome) => Ok(Some(format!("{verb} by alert {}: {} → {}", alert.rule, outcome.from, outcome.to))),
        Err(fault) => Ok(Some(format!("could not be {verb} by alert {}: {fault}", alert.rule))),
    }
}

/// Why nothing is taken back by itself now. Two alerts on one bad version must not send callers away and back again.
fn against(standing: &Standing, raised: &Raised) -> Option<String> {
    let turned = standing.turned.as_ref()?;
    let at = show::moment(turned.at);
    if turned.at > raised.alert.from {
        return Some(format!("v{} was taken back at {at}, what was seen is of before", turned.from));
    }
    let there_and_back = standing.candidate.is_none() && standing.previous == Some(turned.from);
    there_and_back.then(|| format!("the version before is v{}, which was taken back itself at {at}", turned.from))
}
