//! The rules of incidents: what each command does, within its transaction.

use std::time::Duration;

use super::command::{Alert, Command};
use super::{Incident, Note, Notice, NoticeKind, Raised, store};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Source, Tx};

/// People who follow one incident.
const WATCHERS_MAX: usize = 100;

const NAME_BYTES_MAX: usize = 256;
/// An incident that closed less than this ago opens again, instead of a new one.
const REOPENS_WITHIN: Duration = Duration::from_mins(30);

/// Applies a command; answers with what was and what is, for the audit trail.
///
/// # Errors
/// `NotFound`, `Conflict` for an incident that has moved on, `Invalid` for a silence that is over already.
pub async fn apply(tx: &mut Tx, command: &Command, by: &str, now: Timestamp) -> Result<(String, String)> {
    match command {
        Command::SetAlert { rule } => {
            named("alert", &rule.name)?;
            let before = store::put_rule(tx, rule).await?;
            Ok((if before { "another rule" } else { "" }.to_owned(), String::from(rule.signal.clone())))
        }
        Command::RemoveAlert { name } => match store::remove_rule(tx, name).await? {
            0 => Err(Fault::not_found(format!("no alert {name}")).next("see `opsroom incident rules`")),
            _ => Ok((name.clone(), "removed".to_owned())),
        },
        Command::RaiseAlert { service, alert } => raise(tx, service, alert, now).await,
        Command::ClearAlert { service, rule } => clear(tx, service, rule, now).await,
        Command::AckIncident { id } => {
            let mut incident = open(tx, *id).await?;
            let before = incident.state(now).to_owned();
            incident.acknowledged = Some((by.to_owned(), now));
            incident.owner.get_or_insert_with(|| by.to_owned());
            say(&mut incident, by, now, "acknowledged");
            keep(tx, &incident, Some(NoticeKind::Acknowledged), now).await?;
            Ok((before, "acknowledged".to_owned()))
        }
        Command::AssignIncident { id, to } => {
            let mut incident = open(tx, *id).await?;
            let before = incident.owner.replace(to.clone()).unwrap_or_default();
            say(&mut incident, by, now, &format!("given to {to}"));
            keep(tx, &incident, None, now).await?;
            Ok((before, to.clone()))
        }
        Command::SilenceIncident { id, until } => {
            if *until <= now {
                return Err(Fault::invalid(format!("a silence until {until} would be over already"))
                    .next("give a later --until"));
            }
            let mut incident = open(tx, *id).await?;
            let before = incident.state(now).to_owned();
            incident.silenced = Some(*until);
            say(&mut incident, by, now, &format!("silenced until {until}"));
            keep(tx, &incident, None, now).await?;
            Ok((before, format!("silenced until {until}")))
        }
        Command::NoteIncident { id, text } => {
            // A closed one takes notes as well: that is when people have time.
            let mut incident = store::incident(Source::Tx(tx), *id).await?.ok_or_else(|| missing(*id))?;
            say(&mut incident, by, now, text);
            keep(tx, &incident, None, now).await?;
            Ok((String::new(), text.clone()))
        }
        Command::WatchIncident { id } => {
            let mut incident = store::incident(Source::Tx(tx), *id).await?.ok_or_else(|| missing(*id))?;
            let before = incident.watchers.join(", ");
            let known = incident.watchers.iter().position(|who| who == by);
            match known {
                Some(place) => drop(incident.watchers.remove(place)),
                None if incident.watchers.len() >= WATCHERS_MAX => {
                    return Err(Fault::refused(format!("incident {id} is followed by {WATCHERS_MAX} people already")));
                }
                None => incident.watchers.push(by.to_owned()),
            }
            say(&mut incident, by, now, if known.is_some() { "follows it no longer" } else { "follows it" });
            keep(tx, &incident, None, now).await?;
            Ok((before, incident.watchers.join(", ")))
        }
        Command::CloseIncident { id } => {
            let mut incident = open(tx, *id).await?;
            let before = incident.state(now).to_owned();
            incident.closed = Some(now);
            incident.alerts.iter_mut().filter(|a| a.cleared.is_none()).for_each(|a| a.cleared = Some(now));
            say(&mut incident, by, now, "closed by hand");
            keep(tx, &incident, Some(NoticeKind::Closed), now).await?;
            Ok((before, "closed".to_owned()))
        }
    }
}

fn missing(id: i64) -> Fault {
    Fault::not_found(format!("no incident {id}")).next("see `opsroom incident list`")
}

async fn open(tx: &mut Tx, id: i64) -> Result<Incident> {
    let incident = store::incident(Source::Tx(tx), id).await?.ok_or_else(|| missing(id))?;
    if incident.is_open() {
        return Ok(incident);
    }
    Err(Fault::conflict(format!("incident {id} is closed")).next("add a note to it, or wait for it to come back"))
}

fn say(incident: &mut Incident, by: &str, at: Timestamp, text: &str) {
    incident.notes.push(Note { at, by: by.to_owned(), text: text.to_owned() });
}

async fn keep(tx: &mut Tx, incident: &Incident, tell: Option<NoticeKind>, now: Timestamp) -> Result<()> {
    store::put_incident(tx, incident).await?;
    if let Some(kind) = tell.filter(|_| !incident.is_silent(now)) {
        store::add_notice(tx, &Notice { id: 0, at: now, kind, incident: incident.clone() }).await?;
    }
    Ok(())
}

fn named(what: &str, name: &str) -> Result<()> {
    if !name.trim().is_empty() && !name.contains(['/', '\n']) && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Fault::invalid(format!("{name:?} is no name of a {what}"))
        .why(format!("a name has 1 to {NAME_BYTES_MAX} bytes, and no slash or line break"))
        .next("give another"))
}

async fn raise(tx: &mut Tx, service: &str, alert: &Alert, now: Timestamp) -> Result<(String, String)> {
    named("service", service)?;
    named("alert", &alert.rule)?;
    let newest = store::newest(Source::Tx(tx), service).await?;
    let raised = Raised { alert: alert.clone(), at: now, cleared: None };
    let (incident, from, kind) = match newest {
        Some(mut incident) if incident.is_open() => {
            if incident.alerts.iter().any(|a| a.alert.rule == alert.rule && a.cleared.is_none()) {
                return Err(Fault::conflict(format!("{} is raised on {service} already", alert.rule)));
            }
            let from = format!("INC-{} SEV{}", incident.id, incident.severity);
            let graver = alert.severity < incident.severity;
            incident.severity = incident.severity.min(alert.severity);
            incident.alerts.push(raised);
            (incident, from, graver.then_some(NoticeKind::Worse))
        }
        Some(mut incident) if incident.closed.is_some_and(|at| now < at.plus(REOPENS_WITHIN)) => {
            incident.closed = None;
            incident.acknowledged = None;
            incident.reopened += 1;
            incident.severity = incident.severity.min(alert.severity);
            incident.alerts.push(raised);
            (incident, "closed".to_owned(), Some(NoticeKind::Opened))
        }
        _ => {
            let incident = Incident {
                id: store::next_id(tx).await?,
                service: service.to_owned(),
                severity: alert.severity,
                opened: now,
                closed: None,
                reopened: 0,
                watchers: Vec::new(),
                acknowledged: None,
                owner: None,
                silenced: None,
                alerts: vec![raised],
                notes: Vec::new(),
            };
            (incident, String::new(), Some(NoticeKind::Opened))
        }
    };
    keep(tx, &incident, kind, now).await?;
    Ok((from, format!("INC-{} SEV{} {}", incident.id, incident.severity, alert.what)))
}

async fn clear(tx: &mut Tx, service: &str, rule: &str, now: Timestamp) -> Result<(String, String)> {
    let newest = store::newest(Source::Tx(tx), service).await?.filter(Incident::is_open);
    let nothing = || Fault::conflict(format!("{rule} is not raised on {service}"));
    let mut incident = newest.ok_or_else(nothing)?;
    let raised =
        incident.alerts.iter_mut().find(|a| a.alert.rule == rule && a.cleared.is_none()).ok_or_else(nothing)?;
    raised.cleared = Some(now);
    let what = raised.alert.what.clone();
    let closes = incident.alerts.iter().all(|a| a.cleared.is_some());
    if closes {
        incident.closed = Some(now);
    }
    keep(tx, &incident, closes.then_some(NoticeKind::Closed), now).await?;
    let state = if closes { "closed" } else { "open" };
    Ok((what, format!("INC-{} {state}", incident.id)))
}
