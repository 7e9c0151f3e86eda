//! A change sent to an agent: decisions as commands, what is logged by the doors of training scripts.

use super::Agent;
use super::runs::run_id;
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::Result;
use crate::base::{Fault, show};
use crate::capability::{self, Command};
use crate::tui::model::{Change, Envelope, Outcome};

impl Agent {
    pub(super) async fn change(&self, envelope: Envelope) -> Result<Outcome> {
        match &envelope.change {
            Change::Decide(commands) => self.decide(commands, &envelope).await,
            Change::Stop { runs } => self.stop(runs, &envelope).await,
            Change::Tag(of_runs) => {
                if !envelope.dry_run {
                    for (run, tags) in of_runs {
                        self.client.tag_run(run_id(run)?, tags).await?;
                    }
                }
                let verb = if envelope.dry_run { "would be tagged" } else { "tagged" };
                Ok(Outcome { said: format!("{} {verb}", runs(of_runs.len())), ..Outcome::default() })
            }
        }
    }

    /// One after the other; the first refusal ends it and says how far it came.
    async fn decide(&self, commands: &[Command], envelope: &Envelope) -> Result<Outcome> {
        let mut done = Vec::new();
        for (i, command) in commands.iter().enumerate() {
            let sent = capability::Envelope {
                command: command.clone(),
                reason: envelope.reason.clone(),
                // Each command moves the model on, so only a single one can stand on what was seen.
                generation: envelope.generation.filter(|_| commands.len() == 1),
                // One key a command, so that a repetition finds each of them.
                idempotency_key: Some(match i {
                    0 => envelope.idempotency_key.clone(),
                    i => format!("{}/{i}", envelope.idempotency_key),
                }),
                dry_run: envelope.dry_run,
            };
            match self.client.perform(&sent).await {
                Ok(outcome) => done.push(outcome),
                Err(fault) if i > 0 => {
                    return Err(Fault {
                        what: format!("{i} of {} done, then: {}", commands.len(), fault.what),
                        ..fault
                    });
                }
                Err(fault) => return Err(fault),
            }
        }
        let Some(last) = done.last() else { return Err(Fault::invalid("there is nothing to do")) };
        let said = match done.as_slice() {
            [one] => told(one),
            many => format!("{} {}: {} → {}", many.len(), words(&last.command, last.dry_run), last.from, last.to),
        };
        Ok(Outcome { said, audit: (last.audit > 0).then_some(last.audit), version: last.version })
    }

    async fn stop(&self, ids: &[String], envelope: &Envelope) -> Result<Outcome> {
        let mut left = Vec::new();
        for id in ids {
            let run = self.client.run(run_id(id)?).await?;
            if !run.status.is_over() {
                left.push(run.id);
            }
        }
        if left.is_empty() {
            return Err(Fault::conflict("none of these runs goes on").next("close the sheet and look again"));
        }
        let now = SystemClock.now();
        if !envelope.dry_run {
            for id in &left {
                self.client.stop_run(*id, &envelope.reason, now).await?;
            }
        }
        let over = match ids.len() - left.len() {
            0 => String::new(),
            n => format!("; {n} were over already"),
        };
        let verb = if envelope.dry_run { "would be stopped" } else { "marked as killed and asked to stop" };
        Ok(Outcome { said: format!("{} {verb}{over}", runs(left.len())), ..Outcome::default() })
    }
}

fn runs(n: usize) -> String {
    show::many(n as u64, "run", "runs")
}

/// What one command did: `flight-delay v43 moved staging → prod`, `registered flight-delay v4`.
fn told(o: &capability::Outcome) -> String {
    let change = if o.from.is_empty() || o.from == o.to { o.to.clone() } else { format!("{} → {}", o.from, o.to) };
    let (done, would) = match o.command.as_str() {
        "set-stage" => (format!("moved {change}"), "move"),
        "register-version" => ("registered".to_owned(), "be registered"),
        "delete-run" => ("deleted".to_owned(), "be deleted"),
        "restore-run" => ("restored".to_owned(), "be restored"),
        command => (format!("{}: {change}", command.replace('-', " ")), "change"),
    };
    match (o.dry_run, o.command.as_str()) {
        (false, _) => format!("{} {done}", o.target),
        (true, "set-stage") => format!("{} would {would} {change}", o.target),
        (true, _) => format!("{} would {would}", o.target),
    }
}

/// A command's name as words: `delete-run` is `delete run`.
fn words(command: &str, dry_run: bool) -> String {
    let words = command.replace('-', " ");
    if dry_run { format!("× {words} would do") } else { format!("× {words}") }
}
