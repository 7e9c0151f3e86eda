//! The SQL of gates.

use super::policy::{Policy, Try};
use super::{Approval, Decision, Gate, Waiver};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::registry::Stage;
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx, row_struct};

const GATES: &str = "select model, doc from gates order by model, stage, position";
const CLEAR_GATES: &str = "delete from gates where model = $1 and stage = $2";
const PUT_GATE: &str = "insert into gates (model, stage, name, position, doc) values ($1, $2, $3, $4, $5)";
const NEXT_DECISION: &str = "select coalesce(max(id), 0) + 1 from gate_decisions";
const ADD_DECISION: &str = "insert into gate_decisions (id, at, model, version, stage, verdict, doc) \
     values ($1, $2, $3, $4, $5, $6, $7)";
const DECISIONS: &str =
    "select id, model, doc from gate_decisions where ($1 = '' or model = $1) order by id desc limit 500";
const DECISION: &str = "select id, model, doc from gate_decisions where id = $1";
const ADD_WAIVER: &str = "insert into gate_waivers (id, at, model, version, subject, gate, until, actor, reason) \
     values ((select coalesce(max(id), 0) + 1 from gate_waivers), $1, $2, $3, $4, $5, $6, $7, $8)";
const WAIVERS: &str = "select id, at, model, version, subject, gate, until, actor, reason, ended from gate_waivers \
     where ($1 = '' or model = $1) order by id";
const END_WAIVERS: &str =
    "update gate_waivers set ended = $4 where model = $1 and version = $2 and gate = $3 and ended is null";
const ADD_APPROVAL: &str = "insert into gate_approvals (id, at, model, version, subject, stage, actor, reason) \
     values ((select coalesce(max(id), 0) + 1 from gate_approvals), $1, $2, $3, $4, $5, $6, $7)";
const APPROVALS: &str = "select id, at, model, version, subject, stage, actor, reason, ended from gate_approvals \
     where ($1 = '' or model = $1) order by id";
const END_APPROVALS: &str = "update gate_approvals set ended = $5 \
     where model = $1 and version = $2 and stage = $3 and actor = $4 and ended is null";
const POLICIES: &str = "select model, since, doc from gate_policies order by model";
const DROP_POLICY: &str = "delete from gate_policies where model = $1";
const PUT_POLICY: &str = "insert into gate_policies (model, since, doc) values ($1, $2, $3)";
const TRIES: &str = "select model, version, suite, tries, at, outcome from gate_policy_tries \
     where ($1 = '' or model = $1) order by at desc limit 500";
const PUT_TRY: &str = "insert into gate_policy_tries (model, version, suite, tries, at, outcome) \
     values ($1, $2, $3, $4, $5, $6) on conflict (model, version, suite) \
     do update set tries = excluded.tries, at = excluded.at, outcome = excluded.outcome";
const RENAME_POLICIES: &str = "update gate_policies set model = $2 where model = $1";
const RENAME_TRIES: &str = "update gate_policy_tries set model = $2 where model = $1";
const RENAME_GATES: &str = "update gates set model = $2 where model = $1";
const RENAME_DECISIONS: &str = "update gate_decisions set model = $2 where model = $1";
const RENAME_WAIVERS: &str = "update gate_waivers set model = $2 where model = $1";
const RENAME_APPROVALS: &str = "update gate_approvals set model = $2 where model = $1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[
    GATES,
    CLEAR_GATES,
    PUT_GATE,
    NEXT_DECISION,
    ADD_DECISION,
    DECISIONS,
    DECISION,
    ADD_WAIVER,
    WAIVERS,
    END_WAIVERS,
    ADD_APPROVAL,
    APPROVALS,
    END_APPROVALS,
    RENAME_GATES,
    RENAME_DECISIONS,
    RENAME_WAIVERS,
    RENAME_APPROVALS,
    POLICIES,
    DROP_POLICY,
    PUT_POLICY,
    TRIES,
    PUT_TRY,
    RENAME_POLICIES,
    RENAME_TRIES,
];

row_struct! {
    struct WaiverRow {
        id: i64,
        at: i64,
        model: String,
        version: i64,
        subject: String,
        gate: String,
        until: i64,
        actor: String,
        reason: String,
        ended: Option<i64>,
    }
}

row_struct! {
    struct ApprovalRow {
        id: i64,
        at: i64,
        model: String,
        version: i64,
        subject: String,
        stage: String,
        actor: String,
        reason: String,
        ended: Option<i64>,
    }
}

row_struct! {
    struct TryRow {
        model: String,
        version: i64,
        suite: String,
        tries: i64,
        at: i64,
        outcome: String,
    }
}

fn corrupt(e: &serde_json::Error) -> Fault {
    Fault::bug("the store's gates cannot be read").why(e.to_string()).next("restore the last backup")
}

fn text(doc: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(doc).map_err(|e| Fault::bug("document").why(e.to_string()))
}

pub(super) async fn gates(source: Source<'_>) -> Result<Vec<Gate>> {
    let rows: Vec<(String, String)> =
        on_source!(source, e => sqlx::query_as(GATES).fetch_all(e).await).map_err(fault)?;
    let gate = |(model, doc): (String, String)| {
        let gate: Gate = serde_json::from_slice(doc.as_bytes()).map_err(|e| corrupt(&e))?;
        Ok(Gate { model, ..gate })
    };
    rows.into_iter().map(gate).collect()
}

/// In place of those that were.
pub(super) async fn put_gates(tx: &mut Tx, model: &str, stage: Stage, gates: &[Gate]) -> Result<()> {
    on_tx!(tx, t => sqlx::query(CLEAR_GATES).bind(model).bind(stage.name()).execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    for (position, gate) in (0_i64..).zip(gates) {
        let doc = text(gate)?;
        on_tx!(tx, t => sqlx::query(PUT_GATE).bind(model).bind(stage.name()).bind(&gate.name).bind(position).bind(doc)
            .execute(&mut *t).await.map(drop))
        .map_err(fault)?;
    }
    Ok(())
}

pub(super) async fn add_decision(tx: &mut Tx, decision: &Decision) -> Result<i64> {
    let id: i64 = on_tx!(tx, t => sqlx::query_scalar(NEXT_DECISION).fetch_one(&mut *t).await).map_err(fault)?;
    let doc = text(&Decision { id, ..decision.clone() })?;
    on_tx!(tx, t => sqlx::query(ADD_DECISION)
        .bind(id).bind(decision.at.0).bind(&decision.model).bind(i64::from(decision.version))
        .bind(decision.stage.name()).bind(decision.verdict.name()).bind(doc).execute(&mut *t).await.map(drop))
    .map_err(fault)?;
    Ok(id)
}

fn decision_of((id, model, doc): (i64, String, String)) -> Result<Decision> {
    let decision: Decision = serde_json::from_slice(doc.as_bytes()).map_err(|e| corrupt(&e))?;
    Ok(Decision { id, model, ..decision })
}

/// Newest first.
pub(super) async fn decisions(source: Source<'_>, model: Option<&str>) -> Result<Vec<Decision>> {
    let model = model.unwrap_or_default();
    let rows: Vec<(i64, String, String)> =
        on_source!(source, e => sqlx::query_as(DECISIONS).bind(model).fetch_all(e).await).map_err(fault)?;
    rows.into_iter().map(decision_of).collect()
}

pub(super) async fn decision(source: Source<'_>, id: i64) -> Result<Option<Decision>> {
    let row: Option<(i64, String, String)> =
        on_source!(source, e => sqlx::query_as(DECISION).bind(id).fetch_optional(e).await).map_err(fault)?;
    row.map(decision_of).transpose()
}

pub(super) async fn add_waiver(tx: &mut Tx, w: &Waiver) -> Result<()> {
    on_tx!(tx, t => sqlx::query(ADD_WAIVER)
        .bind(w.at.0).bind(&w.model).bind(i64::from(w.version)).bind(&w.subject).bind(&w.gate).bind(w.until.0)
        .bind(&w.by).bind(&w.reason).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

/// Oldest first.
pub(super) async fn waivers(source: Source<'_>, model: Option<&str>) -> Result<Vec<Waiver>> {
    let model = model.unwrap_or_default();
    let rows: Vec<WaiverRow> =
        on_source!(source, e => sqlx::query_as(WAIVERS).bind(model).fetch_all(e).await).map_err(fault)?;
    let waiver = |r: WaiverRow| Waiver {
        id: r.id,
        model: r.model,
        version: u32::try_from(r.version).unwrap_or(0),
        subject: r.subject,
        gate: r.gate,
        by: r.actor,
        reason: r.reason,
        at: Timestamp(r.at),
        until: Timestamp(r.until),
        ended: r.ended.map(Timestamp),
    };
    Ok(rows.into_iter().map(waiver).collect())
}

pub(super) async fn end_waivers(tx: &mut Tx, model: &str, version: u32, gate: &str, now: Timestamp) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(END_WAIVERS).bind(model).bind(i64::from(version)).bind(gate).bind(now.0)
        .execute(&mut *t).await.map(|done| done.rows_affected()))
    .map_err(fault)
}

pub(super) async fn add_approval(tx: &mut Tx, a: &Approval) -> Result<()> {
    on_tx!(tx, t => sqlx::query(ADD_APPROVAL)
        .bind(a.at.0).bind(&a.model).bind(i64::from(a.version)).bind(&a.subject).bind(a.stage.name()).bind(&a.by)
        .bind(&a.reason).execute(&mut *t).await.map(drop))
    .map_err(fault)
}

/// Oldest first.
pub(super) async fn approvals(source: Source<'_>, model: Option<&str>) -> Result<Vec<Approval>> {
    let model = model.unwrap_or_default();
    let rows: Vec<ApprovalRow> =
        on_source!(source, e => sqlx::query_as(APPROVALS).bind(model).fetch_all(e).await).map_err(fault)?;
    let approval = |r: ApprovalRow| Approval {
        id: r.id,
        model: r.model,
        version: u32::try_from(r.version).unwrap_or(0),
        subject: r.subject,
        stage: Stage::parse(&r.stage).unwrap_or_default(),
        by: r.actor,
        reason: r.reason,
        at: Timestamp(r.at),
        ended: r.ended.map(Timestamp),
    };
    Ok(rows.into_iter().map(approval).collect())
}

pub(super) async fn end_approvals(
    tx: &mut Tx,
    model: &str,
    version: u32,
    stage: Stage,
    by: &str,
    now: Timestamp,
) -> Result<u64> {
    on_tx!(tx, t => sqlx::query(END_APPROVALS)
        .bind(model).bind(i64::from(version)).bind(stage.name()).bind(by).bind(now.0)
        .execute(&mut *t).await.map(|done| done.rows_affected()))
    .map_err(fault)
}

/// One by one: `on_tx!` binds each statement's own arguments.
pub(super) async fn rename(tx: &mut Tx, from: &str, to: &str) -> Result<()> {
    for statement in [RENAME_GATES, RENAME_DECISIONS, RENAME_WAIVERS, RENAME_APPROVALS, RENAME_POLICIES, RENAME_TRIES] {
        on_tx!(tx, t => sqlx::query(statement).bind(from).bind(to).execute(&mut *t).await.map(drop)).map_err(fault)?;
    }
    Ok(())
}

pub(super) async fn policies(source: Source<'_>) -> Result<Vec<Policy>> {
    let rows: Vec<(String, i64, String)> =
        on_source!(source, e => sqlx::query_as(POLICIES).fetch_all(e).await).map_err(fault)?;
    let policy = |(model, since, doc): (String, i64, String)| {
        let policy: Policy = serde_json::from_slice(doc.as_bytes()).map_err(|e| corrupt(&e))?;
        Ok(Policy { model, since: Timestamp(since), ..policy })
    };
    rows.into_iter().map(policy).collect()
}

/// In place of the one that was; `None` takes it away.
pub(super) async fn put_policy(tx: &mut Tx, model: &str, policy: Option<&Policy>, now: Timestamp) -> Result<()> {
    on_tx!(tx, t => sqlx::query(DROP_POLICY).bind(model).execute(&mut *t).await.map(drop)).map_err(fault)?;
    let Some(policy) = policy else { return Ok(()) };
    let doc = text(policy)?;
    on_tx!(tx, t => sqlx::query(PUT_POLICY).bind(model).bind(now.0).bind(doc).execute(&mut *t).await.map(drop))
        .map_err(fault)
}

pub(super) async fn tries(source: Source<'_>, model: Option<&str>) -> Result<Vec<Try>> {
    let model = model.unwrap_or_default();
    let rows: Vec<TryRow> =
        on_source!(source, e => sqlx::query_as(TRIES).bind(model).fetch_all(e).await).map_err(fault)?;
    let one = |r: TryRow| Try {
        model: r.model,
        version: u32::try_from(r.version).unwrap_or(0),
        suite: r.suite,
        tries: u32::try_from(r.tries).unwrap_or(u32::MAX),
        at: Timestamp(r.at),
        outcome: r.outcome,
    };
    Ok(rows.into_iter().map(one).collect())
}

pub(super) async fn put_try(tx: &mut Tx, one: &Try) -> Result<()> {
    on_tx!(tx, t => sqlx::query(PUT_TRY)
        .bind(&one.model).bind(i64::from(one.version)).bind(&one.suite).bind(i64::from(one.tries))
        .bind(one.at.0).bind(&one.outcome)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}
