//! What a version has to show before it moves: the eval suite on a later month, the gates, and the refusal of a
//! candidate that is good on the whole and not everywhere.

use std::path::PathBuf;

use super::ending::unexpected;
use super::story::{NAME, Story};
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::Command;
use crate::capability::evals::{self, Suite};
use crate::capability::form::Document;
use crate::capability::gates::{self, Decision, Finding, Gate, Verdict};
use crate::capability::registry::Stage;
use crate::local;

/// Suites and gates, as `opsroom apply` reads them.
pub(super) const DECLARED: &str = include_str!("../../assets/flights.toml");

/// Where the story keeps its tables, and the program that predicts.
#[derive(Debug, Clone)]
pub struct Workshop {
    pub folder: PathBuf,
    /// This program: the suite runs `PROGRAM demo predict …`.
    pub program: PathBuf,
}

/// The suite on a month's flights, and the gates.
fn declared(workshop: &Workshop, month: u8) -> Result<(Suite, Vec<Gate>)> {
    let mut document = Document::parse("flights.toml", DECLARED)?;
    let mut suites = evals::parse(&mut document)?;
    let gates = gates::parse(&mut document, &suites)?;
    let mut suite = suites.pop().ok_or_else(|| Fault::bug("the demonstration has no suite"))?;
    suite.data = format!("{}@{month}", super::months::NAME);
    if let Some(program) = suite.command.as_mut().and_then(|words| words.first_mut()) {
        *program = workshop.program.display().to_string();
    }
    Ok((suite, gates))
}

impl Story {
    /// From now on versions are evaluated on this month.
    pub(super) async fn ask_for(&self, month: u8) -> Result<Suite> {
        let (suite, gates) = declared(&self.workshop, month)?;
        let reason = "what a version has to show before people rely on it";
        self.decide(Command::Evals(evals::Command::SetSuite { suite: suite.clone() }), reason).await?;
        for stage in [Stage::Staging, Stage::Prod] {
            let gates: Vec<Gate> = gates.iter().filter(|g| g.stage == stage).cloned().collect();
            let standing = self.client.gates(Some(NAME)).await?.gates;
            if !standing.iter().filter(|g| g.stage == stage).eq(&gates) {
                let names: Vec<&str> = gates.iter().map(|g| g.name.as_str()).collect();
                self.tell_line(&format!("gates before {}: {}", stage.name(), names.join(", ")));
                self.decide(Command::Gates(gates::Command::SetGates { model: NAME.to_owned(), stage, gates }), reason)
                    .await?;
            }
        }
        self.tell_line(&format!("suite {} asks on {}", suite.name, suite.data));
        Ok(suite)
    }

    /// Runs the suite against a version and keeps the result.
    pub(super) async fn evaluate(&self, suite: &Suite, version: u32) -> Result<()> {
        let view = self.client.model(NAME, None).await?;
        let found = view.version(version).ok_or_else(|| Fault::bug("a version that was registered is not there"))?;
        let cache = self.workshop.folder.join("cache");
        let ran = local::evals::run(&self.client, suite, found, &cache, &|_| {}).await?;
        let outcome = self
            .decide(
                Command::Evals(evals::Command::RecordEval { report: ran.report }),
                &format!("{} flights that v{version} has not seen", ran.rows),
            )
            .await?;
        self.tell_line(&format!(
            "v{version} evaluated by {} on {}: {} flights (audit #{})",
            suite.name, suite.data, ran.rows, outcome.audit
        ));
        Ok(())
    }

    /// A candidate that must not get to production: good on the whole, not on every slice.
    pub(super) async fn is_refused(&self, version: u32, reason: &str) -> Result<()> {
        let fault = match self.stage(version, Stage::Prod, reason).await {
            Ok(()) => return Err(unexpected(format!("v{version} went to prod past its gates"))),
            Err(fault) if fault.kind == Kind::Refused => fault,
            Err(fault) => return Err(fault),
        };
        let decision = self.client.check_gates(NAME, version, Stage::Prod).await?;
        let (failing, slice) = only_on_a_slice(&decision)
            .ok_or_else(|| unexpected(format!("v{version} was refused for something else: {}", fault.what)))?;
        self.tell_line(&format!("v{version} to prod REFUSED by gate {}: {slice}; {}", failing.name, failing.why));
        self.pause_for_event().await;
        Ok(())
    }
}

/// The one gate that fails, and on which slice, when every other one passes.
fn only_on_a_slice(decision: &Decision) -> Option<(&Finding, &str)> {
    let mut bad = decision.gates.iter().filter(|g| g.verdict != Verdict::Pass);
    let failing = bad.next().filter(|_| bad.next().is_none())?;
    let slice = failing.slices.iter().find(|s| s.verdict == Verdict::Fail)?;
    Some((failing, &slice.slice))
}
