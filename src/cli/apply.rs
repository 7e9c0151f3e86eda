//! `opsroom apply`: makes what a TOML file says, after it was read to its end and found good.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::apply_cost::Declared;
use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Fault, fault::Result};
use crate::capability::evals::{self, Suite};
use crate::capability::form::Document;
use crate::capability::gates::policy::{self, Policy};
use crate::capability::gates::{self, Gate, Standing};
use crate::capability::monitoring::incident::{self, AlertRule};
use crate::capability::registry::Stage;
use crate::capability::rollout::{self, Service};
use crate::capability::{Command, Envelope};

/// Make what a file says: eval suites as `[suite.NAME]`, gates as `[[gate]]`, what happens when a version is
/// registered as `[policy.MODEL]`, alerts as `[[alert]]`, prices as `[rates]`, what services run on as `[[serving]]`,
/// budgets as `[[budget]]`. Gates of a model and stage that the file
/// names become exactly those of the file
#[derive(Debug, Args)]
pub struct Apply {
    /// TOML file; - is stdin
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

/// One thing that differs.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    /// + new, ~ changed, - gone.
    pub sign: char,
    pub what: String,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Serialize)]
struct Told {
    differences: Vec<Difference>,
    audit: Vec<i64>,
    dry_run: bool,
}

const SECTIONS: &[&str] = &["service", "suite", "gate", "policy", "alert", "rates", "serving", "budget"];

pub(super) async fn apply(session: &Session, it: Apply) -> Result<Exit> {
    session.check_writable()?;
    let name = it.file.display().to_string();
    let text = if name == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(&it.file) };
    let text = text.map_err(|e| Fault::invalid(format!("cannot read {name}")).why(e.to_string()))?;
    let mut document = Document::parse(&name, &text)?;
    document.check_sections(SECTIONS)?;
    let client = session.client().await?;
    let suites = evals::parse(&mut document)?;
    let before = client.suites().await?;
    let mut known = before.clone();
    known.retain(|s| suites.iter().all(|new| new.name != s.name));
    known.extend(suites.clone());
    let gates = gates::parse(&mut document, &known)?;
    let Standing { gates: standing, policies: ruling, .. } = client.gates(None).await?;
    let policies = policy::parse(&mut document, &known)?;
    let services = rollout::parse(&mut document)?;
    let serving = if services.is_empty() { Vec::new() } else { client.services().await? };
    let alerts = incident::parse(&mut document)?;
    let declared = Declared::parse(&mut document)?;
    let watched = if alerts.is_empty() { Vec::new() } else { client.alert_rules().await? };

    let (mut differences, mut commands) = (Vec::new(), Vec::new());
    for suite in suites {
        let old = before.iter().find(|s| s.name == suite.name);
        if old != Some(&suite) {
            differences.extend(suite_differences(old, &suite));
            commands.push(Command::Evals(evals::Command::SetSuite { suite }));
        }
    }
    for (model, stage) in places(&gates) {
        let here = |g: &&Gate| g.model == model && g.stage == stage;
        let (old, new): (Vec<Gate>, Vec<Gate>) =
            (standing.iter().filter(here).cloned().collect(), gates.iter().filter(here).cloned().collect());
        if old != new {
            differences.extend(gate_differences(&old, &new));
            commands.push(Command::Gates(gates::Command::SetGates { model, stage, gates: new }));
        }
    }
    for policy in policies {
        let old = ruling.iter().find(|p| p.model == policy.model);
        if !old.is_some_and(|old| old.same(&policy)) {
            differences.push(Difference {
                sign: if old.is_some() { '~' } else { '+' },
                what: format!("policy of {}", policy.model),
                from: old.map(Policy::asked).unwrap_or_default(),
                to: policy.asked(),
            });
            commands.push(Command::Gates(gates::Command::SetPolicy { policy }));
        }
    }
    for service in services {
        let old = serving.iter().find(|s| s.service.name == service.name).map(|s| &s.service);
        if old != Some(&service) {
            differences.extend(service_differences(old, &service));
            commands.push(Command::Rollouts(rollout::Command::SetService { service }));
        }
    }
    for rule in alerts {
        let old = watched.iter().find(|r| r.name == rule.name);
        if old != Some(&rule) {
            differences.extend(alert_differences(old, &rule));
            commands.push(Command::Incidents(incident::Command::SetAlert { rule }));
        }
    }
    if !declared.is_empty() {
        for (told, command) in declared.changes(&client.cost_book().await?, SystemClock.now()) {
            differences.extend(told);
            commands.push(Command::Cost(command));
        }
    }
    let audit = perform(session, &it.change, commands).await?;
    let told = Told { differences, audit, dry_run: it.change.dry_run };
    print::answer(session.format, &told, page)?;
    Ok(Exit::Done)
}

/// Every model and stage that the file speaks of, in its order.
fn places(gates: &[Gate]) -> Vec<(String, Stage)> {
    let mut places: Vec<(String, Stage)> = Vec::new();
    for gate in gates {
        if !places.iter().any(|(m, s)| *m == gate.model && *s == gate.stage) {
            places.push((gate.model.clone(), gate.stage));
        }
    }
    places
}

/// One after another. A later command may need what an earlier one makes, so a dry run asks only the first.
async fn perform(session: &Session, change: &Change, commands: Vec<Command>) -> Result<Vec<i64>> {
    let client = session.client().await?;
    let mut audit = Vec::new();
    for (i, command) in commands.into_iter().enumerate() {
        if change.dry_run && i > 0 {
            break;
        }
        let envelope = Envelope {
            reason: change.reason.clone(),
            idempotency_key: change.idempotency_key.as_ref().map(|key| format!("{key}/{i}")),
            dry_run: change.dry_run,
            ..Envelope::new(command, "")
        };
        audit.push(client.perform(&envelope).await?.audit);
    }
    Ok(audit)
}

fn service_differences(old: Option<&Service>, new: &Service) -> Vec<Difference> {
    let what = format!("service {}", new.name);
    let Some(old) = old else {
        let backends: Vec<String> = new.backend.iter().map(|b| format!("v{} at {}", b.version, b.url)).collect();
        let to = format!("{}, {}", new.model, backends.join(", "));
        return vec![Difference { sign: '+', what, from: String::new(), to }];
    };
    fields(&what, &serde_json::to_value(old).unwrap_or_default(), &serde_json::to_value(new).unwrap_or_default())
}

fn suite_differences(old: Option<&Suite>, new: &Suite) -> Vec<Difference> {
    let what = format!("suite {}", new.name);
    let Some(old) = old else {
        let to = format!("{} on {}, {}", new.task.name(), new.data, new.metrics.join(" "));
        return vec![Difference { sign: '+', what, from: String::new(), to }];
    };
    fields(&what, &serde_json::to_value(old).unwrap_or_default(), &serde_json::to_value(new).unwrap_or_default())
}

fn gate_differences(old: &[Gate], new: &[Gate]) -> Vec<Difference> {
    let title = |g: &Gate| format!("gate {} ({} {})", g.name, g.model, g.stage.name());
    let mut found = Vec::new();
    for gate in new {
        match old.iter().find(|g| g.name == gate.name) {
            None => found.push(Difference { sign: '+', what: title(gate), from: String::new(), to: gate.rule.asked() }),
            Some(before) => found.extend(fields(
                &title(gate),
                &serde_json::to_value(before).unwrap_or_default(),
                &serde_json::to_value(gate).unwrap_or_default(),
            )),
        }
    }
    for gate in old.iter().filter(|g| new.iter().all(|n| n.name != g.name)) {
        found.push(Difference { sign: '-', what: title(gate), from: gate.rule.asked(), to: String::new() });
    }
    if found.is_empty() {
        let what = "order of gates".to_owned();
        found.push(Difference { sign: '~', what, from: String::new(), to: String::new() });
    }
    found
}

fn alert_differences(old: Option<&AlertRule>, new: &AlertRule) -> Vec<Difference> {
    let what = format!("alert {}", new.name);
    let Some(old) = old else {
        let to = format!("{} {} on {}", String::from(new.signal.clone()), new.bound.shown(), new.service);
        return vec![Difference { sign: '+', what, from: String::new(), to }];
    };
    fields(&what, &serde_json::to_value(old).unwrap_or_default(), &serde_json::to_value(new).unwrap_or_default())
}

pub(super) fn fields(what: &str, old: &serde_json::Value, new: &serde_json::Value) -> Vec<Difference> {
    let nothing = serde_json::Map::new();
    let (old, new) = (old.as_object().unwrap_or(&nothing), new.as_object().unwrap_or(&nothing));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown = |v: Option<&serde_json::Value>| v.map_or_else(|| "-".to_owned(), ToString::to_string);
    keys.into_iter()
        .filter(|k| old.get(*k) != new.get(*k))
        .map(|k| Difference { sign: '~', what: format!("{what} {k}"), from: shown(old.get(k)), to: shown(new.get(k)) })
        .collect()
}

fn page(told: &Told) -> Page {
    let mut table = Table::new(&["", "", ""]);
    for d in &told.differences {
        let change = match d.sign {
            '~' => format!("{} -> {}", d.from, d.to),
            '-' => d.from.clone(),
            _ => d.to.clone(),
        };
        table.row([d.sign.to_string(), d.what.clone(), change]);
    }
    let note = match (told.differences.is_empty(), told.dry_run) {
        (true, _) => "nothing to change".to_owned(),
        (_, true) => "dry run: nothing was changed".to_owned(),
        _ => {
            let numbers: Vec<String> = told.audit.iter().map(|n| format!("#{n}")).collect();
            format!("applied (audit {})", numbers.join(", "))
        }
    };
    Page::default().table(table).line(note)
}
