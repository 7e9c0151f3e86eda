//! `opsroom gate` and `opsroom approve`: verdicts for people and for CI, waivers, approvals.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session, gate_report, select};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::Command;
use crate::capability::gates::{Command as Gates, Decision, Finding, Standing, Verdict};
use crate::capability::registry::Stage;
use crate::capability::wire::Judged;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Judge a version by the gates before a stage, and keep the decision. Exits 0 pass, 3 fail, 8 inconclusive
    Check(Check),
    /// Gates, waivers, approvals that are missing, and decisions
    List { model: Option<String> },
    /// A decision with all that it was made from; it is judged anew, and exits 9 when that comes out otherwise
    Show { id: i64 },
    /// Let a gate pass for a version, for a while
    Waive(Waive),
    /// Leave versions that are registered alone again (`apply` sets a policy)
    NoPolicy {
        model: String,
        #[command(flatten)]
        change: Change,
    },
    /// Take all gates before a stage away
    Clear {
        model: String,
        #[arg(long, value_name = "STAGE", value_parser = super::model_change::stage_named)]
        to: Stage,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Args)]
pub struct Check {
    model: String,
    /// 3, v3 or @alias
    version: String,
    /// staging or prod
    #[arg(long, value_name = "STAGE", value_parser = super::model_change::stage_named)]
    to: Stage,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Append a summary in Markdown, such as to $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Waive {
    model: String,
    /// 3, v3 or @alias
    version: String,
    gate: String,
    /// A date, or how long from now: 7d
    #[arg(long, value_name = "TIME", required_unless_present = "end")]
    until: Option<String>,
    /// End the waiver now
    #[arg(long, conflicts_with = "until")]
    end: bool,
    #[command(flatten)]
    change: Change,
}

/// Give your word for a version that waits for it
#[derive(Debug, Args)]
pub struct Approve {
    /// MODEL@VERSION, as `gate list` shows it; MODEL@VERSION:staging for another stage than prod
    id: String,
    /// Take it back
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    change: Change,
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Check(it) => check(session, it).await,
        Verb::List { model } => {
            let client = session.client().await?;
            if let Some(model) = &model {
                client.model(model, None).await?;
            }
            let standing = client.gates(model.as_deref()).await?;
            print::answer(session.format, &standing, listed)?;
            Ok(Exit::Done)
        }
        Verb::Show { id } => {
            let judged = session.client().await?.decision(id).await?;
            print::answer(session.format, &judged, shown)?;
            Ok(if judged.same { Exit::Done } else { Exit::Difference })
        }
        Verb::Waive(it) => waive(session, it).await,
        Verb::NoPolicy { model, change } => change.run(session, Command::Gates(Gates::RemovePolicy { model })).await,
        Verb::Clear { model, to, change } => {
            let command = Gates::SetGates { model, stage: to, gates: Vec::new() };
            change.run(session, Command::Gates(command)).await
        }
    }
}

async fn check(session: &Session, it: Check) -> Result<Exit> {
    let client = session.client().await?;
    let version = select::version(client, &it.model, &it.version).await?;
    // A session that may only look is told all the same; its decision is not kept.
    let keep = !it.change.dry_run && !session.read_only();
    let decision = if keep {
        let command = Gates::CheckGates { model: it.model.clone(), version, stage: it.to };
        let outcome = it.change.perform(session, Command::Gates(command)).await?;
        let id = outcome.decision.ok_or_else(|| Fault::bug("the check left no decision"))?;
        client.decision(id).await?.decision
    } else {
        client.check_gates(&it.model, version, it.to).await?
    };
    // What it was made from is for `gate show`.
    let decision = Decision { case: None, ..decision };
    if let Some(file) = &it.junit {
        write(file, &gate_report::junit(&decision), false)?;
    }
    if let Some(file) = &it.summary {
        write(file, &gate_report::summary(&decision), true)?;
    }
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| v == "true") {
        // The runner reads its commands on both streams, and stdout is for the answer.
        eprint!("{}", gate_report::annotations(&decision));
    }
    print::answer(session.format, &decision, page)?;
    Ok(match decision.verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::Refused,
        Verdict::Inconclusive => Exit::Inconclusive,
    })
}

fn write(file: &PathBuf, text: &str, append: bool) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    let written = options.open(file).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|e| Fault::invalid(format!("cannot write {}", file.display())).why(e.to_string()))
}

async fn waive(session: &Session, it: Waive) -> Result<Exit> {
    let client = session.client().await?;
    let version = select::version(client, &it.model, &it.version).await?;
    let command = if it.end {
        Gates::EndWaiver { model: it.model, version, gate: it.gate }
    } else {
        let text = it.until.unwrap_or_default();
        Gates::WaiveGate { model: it.model, version, gate: it.gate, until: until(&text, client.status().await?.now)? }
    };
    it.change.run(session, Command::Gates(command)).await
}

/// A moment, or a length of time from now by the agent's clock.
fn until(text: &str, now: Timestamp) -> Result<Timestamp> {
    let from_now = crate::capability::form::seconds(text).map(|s| now.plus(std::time::Duration::from_secs(s)));
    from_now.or_else(|| Timestamp::parse(text)).ok_or_else(|| {
        Fault::invalid(format!("not a time: {text:?}")).next("write 7d, 2026-12-01 or 2026-12-01T14:00:00Z")
    })
}

/// Approves, or takes it back.
///
/// # Errors
/// What the agent refused.
pub async fn approve(session: &Session, it: Approve) -> Result<Exit> {
    let unreadable =
        || Fault::invalid(format!("not an id: {}", it.id)).next("write MODEL@VERSION, as `opsroom gate list` shows it");
    let (model, rest) = it.id.rsplit_once('@').ok_or_else(unreadable)?;
    let (version, stage) = rest.split_once(':').unwrap_or((rest, "prod"));
    let stage = Stage::parse(stage).ok_or_else(unreadable)?;
    let version = version.trim_start_matches('v').parse().map_err(|_| unreadable())?;
    let model = model.to_owned();
    let command = if it.withdraw {
        Gates::WithdrawApproval { model, version, stage }
    } else {
        Gates::Approve { model, version, stage }
    };
    it.change.run(session, Command::Gates(command)).await
}

fn mark(f: &Finding) -> String {
    if f.waived.is_some() { format!("{} (waived)", f.verdict.name()) } else { f.verdict.name().to_owned() }
}

fn page(d: &Decision) -> Page {
    let mut table = Table::new(&["VERDICT", "GATE", "OBSERVED", "ASKED", "WHY"]);
    for f in &d.gates {
        let observed = match &f.observed {
            serde_json::Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), show::metric),
            serde_json::Value::String(text) => text.clone(),
            _ => show::MISSING.to_owned(),
        };
        table.row([mark(f), f.name.clone(), observed, f.bound.clone(), f.why.clone()]);
    }
    let kept = if d.id > 0 { format!(" (decision #{})", d.id) } else { String::new() };
    let ungated = if d.ungated { ": no gate is defined, it is ungated" } else { "" };
    let mut page = Page::default()
        .line(format!("{} v{} to {}: {}{ungated}{kept}", d.model, d.version, d.stage.name(), d.verdict.name()))
        .table(table);
    for f in d.gates.iter().filter(|f| !f.next.is_empty()) {
        page = page.line(format!("next, for {}: {}", f.name, f.next));
    }
    page
}

fn shown(judged: &Judged) -> Page {
    let d = &judged.decision;
    let mut page = page(d).line(format!("decided {} for {}", show::moment(d.at), d.by));
    if let Some(case) = &d.case {
        page = page.line(format!("it stands on {}", case.subject));
        for (suite, evals) in &case.evals {
            let id = |e: &Option<crate::capability::evals::Evidence>| e.as_ref().map(|e| format!("#{}", e.id));
            let own = id(&evals.candidate).unwrap_or_else(|| "none".to_owned());
            let other = id(&evals.production).map_or_else(String::new, |id| format!(", of prod {id}"));
            page = page.line(format!("suite {suite}: eval result {own}{other}"));
        }
    }
    page.line(if judged.same {
        "judged anew from its evidence: the same"
    } else {
        "judged anew from its evidence: OTHERWISE"
    })
}

fn listed(s: &Standing) -> Page {
    let mut gates = Table::new(&["MODEL", "STAGE", "GATE", "KIND", "SUITE", "ASKED"]);
    for g in &s.gates {
        gates.row([
            g.model.clone(),
            g.stage.name().to_owned(),
            g.name.clone(),
            g.rule.kind().to_owned(),
            g.rule.suite().unwrap_or(show::MISSING).to_owned(),
            g.rule.asked(),
        ]);
    }
    let mut waivers = Table::new(&["WAIVED", "GATE", "UNTIL", "BY", "WHY"]);
    for w in &s.waivers {
        let what = format!("{} v{}", w.model, w.version);
        waivers.row([what, w.gate.clone(), show::moment(w.until), w.by.clone(), w.reason.clone()]);
    }
    let mut pending = Table::new(&["WAITS FOR APPROVAL", "GIVEN", "ASKED BY"]);
    for p in &s.pending {
        pending.row([p.id.clone(), format!("{} of {}", p.given, p.needed), p.asked_by.clone()]);
    }
    let mut decisions = Table::new(&["DECISION>", "WHEN", "VERSION", "TO", "VERDICT", "BY"]);
    for d in s.decisions.iter().take(20) {
        let verdict = if d.ungated { format!("{} (ungated)", d.verdict.name()) } else { d.verdict.name().to_owned() };
        decisions.row([
            format!("#{}", d.id),
            show::moment(d.at),
            format!("{} v{}", d.model, d.version),
            d.stage.name().to_owned(),
            verdict,
            d.by.clone(),
        ]);
    }
    let page = Page::default();
    let page = if s.gates.is_empty() { page.line("no gates: versions are promoted ungated") } else { page };
    let mut policies = Table::new(&["POLICY OF", "DOES"]);
    s.policies.iter().for_each(|p| policies.row([p.model.clone(), p.asked()]));
    let mut tries = Table::new(&["BY POLICY", "SUITE", "WHEN", "TRIES>", "FAILED"]);
    for t in s.tries.iter().take(20) {
        let what = format!("{} v{}", t.model, t.version);
        tries.row([what, t.suite.clone(), show::moment(t.at), t.tries.to_string(), t.outcome.clone()]);
    }
    let page = page.table(gates).titled("", policies).titled("", tries);
    page.titled("", waivers).titled("", pending).titled("", decisions)
}
