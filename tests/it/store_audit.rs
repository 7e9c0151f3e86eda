//! The audit trail: one record for every command, accepted or refused, and no change of the chain goes unseen.

use opsroom::base::id::{ExperimentId, ModelId, RunId};
use opsroom::base::{Kind, Timestamp};
use opsroom::capability::access::{self, Role};
use opsroom::capability::audit::{self, AuditQuery, Head, HeadKey, Record, SignedHead};
use opsroom::capability::monitoring::incident;
use opsroom::capability::registry::{self, Stage, VersionDoc};
use opsroom::capability::tracking::experiments::NewExperiment;
use opsroom::capability::tracking::models::NewModel;
use opsroom::capability::tracking::runs::NewRun;
use opsroom::capability::{self, cost, datasets, evals, gates, rollout};
use opsroom::capability::{Actor, Command, Ctx, Envelope, Outcome, Settings, perform, tracking, training};
use opsroom::db::Db;
use opsroom::on_db;
use sqlx::AssertSqlSafe;

use super::stores::{Place, actor, kim, on_each_engine};

async fn do_it(ctx: &Ctx, who: &Actor, envelope: Envelope) -> opsroom::base::fault::Result<Outcome> {
    perform(ctx, who, envelope).await
}

fn registry(command: registry::Command) -> Command {
    Command::Registry(command)
}

fn create(model: &str) -> Command {
    registry(registry::Command::CreateModel { model: model.to_owned(), description: String::new(), tags: Vec::new() })
}

fn describe(model: &str, description: &str) -> Command {
    registry(registry::Command::DescribeModel { model: model.to_owned(), description: description.to_owned() })
}

fn register(model: &str) -> Command {
    let doc = VersionDoc { source: "s3://elsewhere/model".to_owned(), ..VersionDoc::default() };
    registry(registry::Command::RegisterVersion { model: model.to_owned(), create: true, import: None, doc })
}

fn stage(version: u32, stage: Stage) -> Command {
    registry(registry::Command::SetStage { model: "m".to_owned(), version, stage, archive_others: false })
}

async fn records(ctx: &Ctx) -> Vec<Record> {
    audit::list(ctx.db.read(), &AuditQuery { limit: 1000, ..AuditQuery::default() }).await.unwrap().records
}

async fn five_records(ctx: &Ctx) {
    do_it(ctx, &kim(), Envelope::new(create("m"), "first")).await.unwrap();
    for n in 2..=5 {
        do_it(ctx, &kim(), Envelope::new(describe("m", &format!("text {n}")), "")).await.unwrap();
    }
}

/// Behind the agent's back.
async fn tamper(db: &Db, sql: &str) {
    let mut turn = db.turn().await;
    on_db!(turn.pool(), p => sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(p).await.map(drop)).unwrap();
}

async fn signed(ctx: &Ctx, key: &HeadKey) -> SignedHead {
    let (seq, digest) = audit::tip(ctx.db.read()).await.unwrap().unwrap();
    key.sign(Head { seq, digest, at: Timestamp(9) })
}

#[tokio::test]
async fn every_change_of_the_chain_is_found_and_named() {
    let changes: [(&str, Option<i64>, &str); 8] = [
        ("update audit_chain set actor = 'eve' where seq = 3", Some(3), "changed"),
        ("update audit_chain set verified = not verified where seq = 3", Some(3), "changed"),
        ("update audit_chain set at = at + 1 where seq = 1", Some(1), "changed"),
        ("update audit_details set detail = replace(detail, 'text 4', 'text x') where seq = 4", Some(4), "texts"),
        ("update audit_details set salt = 'pepper' where seq = 4", Some(4), "texts"),
        ("delete from audit_chain where seq = 2", Some(2), "missing"),
        ("delete from audit_chain where seq > 3; delete from audit_details where seq > 3", Some(4), "cut"),
        // Erasing texts is allowed, and does not break the chain.
        ("delete from audit_details where seq = 3", None, ""),
    ];
    for (sql, bad, why) in changes {
        on_each_engine(async |place| {
            let ctx = place.ctx().await;
            five_records(&ctx).await;
            let key = HeadKey::from_pkcs8(&HeadKey::generate().unwrap()).unwrap();
            let heads = [signed(&ctx, &key).await];
            assert!(audit::verify(ctx.db.read(), &heads).await.unwrap().ok);
            tamper(&ctx.db, sql).await;
            let found = audit::verify(ctx.db.read(), &heads).await.unwrap();
            assert_eq!((found.ok, found.first_bad), (bad.is_none(), bad), "{sql}: {found:?}");
            assert!(found.why.contains(why), "{sql}: {found:?}");
            if bad.is_none() {
                assert_eq!((found.records, found.erased), (5, 1));
            }
        })
        .await;
    }
}

/// Whoever owns the database can make a chain that holds in itself; the head outside says otherwise.
#[tokio::test]
async fn a_rewritten_chain_and_a_restored_backup_are_found() {
    let (ours, theirs) = (Place::sqlite(), Place::sqlite());
    let (ours, theirs) = (ours.ctx().await, theirs.ctx().await);
    let key = HeadKey::from_pkcs8(&HeadKey::generate().unwrap()).unwrap();
    five_records(&ours).await;
    let early = signed(&ours, &key).await;
    do_it(&ours, &kim(), Envelope::new(describe("m", "later"), "")).await.unwrap();
    let late = signed(&ours, &key).await;
    five_records(&theirs).await;

    let rewritten = audit::verify(theirs.db.read(), std::slice::from_ref(&early)).await.unwrap();
    assert_eq!((rewritten.ok, rewritten.first_bad), (false, Some(5)), "{rewritten:?}");
    assert!(rewritten.why.contains("rewritten"));

    // The state before the last record: what an old backup would be.
    tamper(&ours.db, "delete from audit_chain where seq = 6; delete from audit_details where seq = 6").await;
    assert!(audit::verify(ours.db.read(), std::slice::from_ref(&early)).await.unwrap().ok);
    let restored = audit::verify(ours.db.read(), &[early, late.clone()]).await.unwrap();
    assert_eq!((restored.ok, restored.first_bad), (false, Some(6)));
    assert!(restored.why.contains("a backup was restored"), "{restored:?}");

    let forged = SignedHead { head: Head { seq: 5, ..late.head }, ..late };
    assert!(audit::verify(ours.db.read(), &[forged]).await.unwrap().why.contains("signature"));
}

/// What each kind of command needs to be there first, and the command.
async fn one_of_each(ctx: &Ctx) -> Vec<Command> {
    use access::Command as A;
    use registry::Command as R;
    use tracking::Command as T;
    let new = NewExperiment { name: "e".to_owned(), ..NewExperiment::default() };
    let experiment = ctx.tracking.create_experiment(new, Timestamp(0)).await.unwrap();
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    let logged = ctx.tracking.create_model(NewModel::default(), Timestamp(0)).await.unwrap();
    let m = || "m".to_owned();
    let text = || "x".to_owned();
    let token = |name: &str| A::CreateToken {
        name: name.to_owned(),
        role: Role::Viewer,
        digest: access::digest(name),
        expires: None,
    };
    let mut all = vec![
        create("m"),
        register("m"),
        describe("m", "text"),
        registry(R::TagModel { model: m(), key: text(), value: Some(text()) }),
        registry(R::SetStage { model: m(), version: 1, stage: Stage::Prod, archive_others: false }),
        registry(R::SetAlias { model: m(), alias: "best".to_owned(), version: Some(1) }),
        registry(R::DescribeVersion { model: m(), version: 1, description: text() }),
        registry(R::TagVersion { model: m(), version: 1, key: text(), value: Some(text()) }),
        registry(R::DeleteVersion { model: m(), version: 1 }),
        registry(R::RenameModel { model: m(), to: "n".to_owned() }),
        registry(R::DeleteModel { model: "n".to_owned() }),
        Command::Tracking(T::DeleteExperiment { id: experiment }),
        Command::Tracking(T::RestoreExperiment { id: experiment }),
        Command::Tracking(T::DeleteRun { id: run }),
        Command::Tracking(T::RestoreRun { id: run }),
        Command::Tracking(T::DeleteLoggedModel { id: logged }),
        Command::Access(token("ci")),
        Command::Access(A::RevokeToken { name: "ci".to_owned() }),
        crate::data::a_version(ctx, "d").await,
    ];
    let (run, rerun) = crate::training::a_repetition(ctx).await;
    let causes = vec![training::Cause::new("source", "gone")];
    all.push(Command::Training(training::Command::GradeRun { run, rerun }));
    all.push(Command::Training(training::Command::CannotRepeat { run, causes }));
    all.extend(of_evals_and_gates(ctx).await);
    all.extend(about_incidents());
    all.extend(about_cost());
    all.extend(about_rollouts());
    all
}

/// A version whose artifact is known beforehand, evaluated and judged.
async fn of_evals_and_gates(ctx: &Ctx) -> Vec<Command> {
    use gates::Command as G;
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    let folder = format!("0/{run}/artifacts/m");
    ctx.artifacts.blobs().put(&format!("{folder}/weights"), "w".into()).await.unwrap();
    let subject = ctx.artifacts.digest(&folder).await.unwrap().digest;
    let suite: evals::Suite = serde_json::from_value(serde_json::json!({
        "name": "s", "data": "x.csv", "label": "y", "task": "regression", "metrics": ["mae"], "command": ["p"]
    }))
    .unwrap();
    let truth =
        evals::Truth { task: evals::Task::Regression, classes: Vec::new(), labels: vec![1.0, 2.0], slices: Vec::new() };
    let predicted = evals::Predicted { values: vec![1.5, 2.0], scores: Vec::new() };
    let upload = async |bytes: Vec<u8>| evals::upload(&ctx.artifacts, bytes.into()).await.unwrap();
    let report = evals::Report {
        suite: "s".to_owned(),
        model: "e".to_owned(),
        version: 1,
        subject,
        data_digest: String::new(),
        truth: upload(truth.pack().unwrap()).await,
        predicted: upload(predicted.pack().unwrap()).await,
        latencies_ms: vec![1.0],
        seconds: 1.0,
        custom: std::collections::BTreeMap::new(),
        how: "p".to_owned(),
    };
    let (model, stage, version) = (|| "e".to_owned(), Stage::Prod, 1);
    let doc = VersionDoc { source: format!("runs:/{run}/m"), user: "ana".to_owned(), ..VersionDoc::default() };
    let gate =
        gates::Gate { name: "g".to_owned(), model: model(), stage, rule: gates::Rule::Approvals { approvals: 1 } };
    let until = Timestamp(4_000_000_000_000_000);
    let policy =
        gates::policy::Policy { model: model(), evals: vec!["s".to_owned()], promote: true, since: Timestamp(0) };
    vec![
        Command::Evals(evals::Command::SetSuite { suite }),
        registry(registry::Command::RegisterVersion { model: model(), create: true, import: None, doc }),
        Command::Evals(evals::Command::RecordEval { report }),
        Command::Gates(G::SetGates { model: model(), stage, gates: vec![gate] }),
        Command::Gates(G::CheckGates { model: model(), version, stage }),
        Command::Gates(G::WaiveGate { model: model(), version, gate: "g".to_owned(), until }),
        Command::Gates(G::EndWaiver { model: model(), version, gate: "g".to_owned() }),
        Command::Gates(G::Approve { model: model(), version, stage }),
        Command::Gates(G::WithdrawApproval { model: model(), version, stage }),
        Command::Gates(G::SetPolicy { policy }),
        Command::Gates(G::RemovePolicy { model: model() }),
        Command::Evals(evals::Command::RemoveSuite { name: "s".to_owned() }),
    ]
}

fn about_incidents() -> Vec<Command> {
    use incident::Command as I;
    let rule = serde_json::json!({
        "name": "slow", "service": "*", "signal": "latency_p99_ms", "bound": {"above": 200.0}, "clear": 150.0,
        "window": 60, "n_min": 1, "windows": 1, "of": 1, "cooldown": 0, "absent": 0, "severity": 1, "action": "page"
    });
    let alert = |rule: &str| -> incident::Alert {
        serde_json::from_value(serde_json::json!({
            "rule": rule, "severity": 1, "action": "page", "what": "it hurts", "value": null, "n": 0,
            "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z", "query": ""
        }))
        .unwrap()
    };
    let service = || "s".to_owned();
    let all = [
        I::SetAlert { rule: serde_json::from_value(rule).unwrap() },
        I::RaiseAlert { service: service(), alert: alert("slow") },
        I::RaiseAlert { service: service(), alert: alert("wrong") },
        I::AckIncident { id: 1 },
        I::AssignIncident { id: 1, to: "kim".to_owned() },
        I::SilenceIncident { id: 1, until: Timestamp(4_000_000_000_000_000) },
        I::NoteIncident { id: 1, text: "looked".to_owned() },
        I::WatchIncident { id: 1 },
        I::ClearAlert { service: service(), rule: "slow".to_owned() },
        I::CloseIncident { id: 1 },
        I::RemoveAlert { name: "slow".to_owned() },
    ];
    all.into_iter().map(Command::Incidents).collect()
}

fn about_cost() -> Vec<Command> {
    let text = "[rates]\ncpu_hour = 0.05\n[[serving]]\nservice = 's'\ncpu = 1\n[[budget]]\nname = 'b'\nmonth = 10\n";
    let mut document = capability::form::Document::parse("r.toml", text).unwrap();
    let declared = cost::parse_rates(&mut document).unwrap().unwrap();
    let placements = cost::parse_serving(&mut document).unwrap();
    let budget = cost::parse_budgets(&mut document).unwrap().remove(0);
    let all = [
        cost::Command::SetRates { since: declared.since, rates: declared.rates },
        cost::Command::SetServing { service: "s".to_owned(), placements },
        cost::Command::SetBudget { budget },
        cost::Command::RemoveBudget { name: "b".to_owned() },
    ];
    all.into_iter().map(Command::Cost).collect()
}

/// The same commands about things that are not there.
fn refused(command: &Command) -> Command {
    use access::Command as A;
    use evals::Command as E;
    use gates::Command as G;
    use incident::Command as I;
    use registry::Command as R;
    use rollout::Command as O;
    use tracking::Command as T;
    let gone = || "gone".to_owned();
    match command.clone() {
        Command::Tracking(c) => Command::Tracking(match c {
            T::DeleteExperiment { .. } => T::DeleteExperiment { id: ExperimentId(404) },
            T::RestoreExperiment { .. } => T::RestoreExperiment { id: ExperimentId(404) },
            T::DeleteRun { .. } => T::DeleteRun { id: RunId(404) },
            T::RestoreRun { .. } => T::RestoreRun { id: RunId(404) },
            T::DeleteLoggedModel { .. } => T::DeleteLoggedModel { id: ModelId(404) },
        }),
        Command::Registry(c) => registry(match c {
            R::CreateModel { .. } => R::CreateModel { model: "a/b".to_owned(), description: gone(), tags: Vec::new() },
            R::RenameModel { to, .. } => R::RenameModel { model: gone(), to },
            R::DescribeModel { description, .. } => R::DescribeModel { model: gone(), description },
            R::TagModel { key, value, .. } => R::TagModel { model: gone(), key, value },
            R::DeleteModel { .. } => R::DeleteModel { model: gone() },
            R::RegisterVersion { doc, import, .. } => R::RegisterVersion { model: gone(), create: false, import, doc },
            R::SetStage { version, stage, archive_others, .. } => {
                R::SetStage { model: gone(), version, stage, archive_others }
            }
            R::SetAlias { alias, version, .. } => R::SetAlias { model: gone(), alias, version },
            R::DescribeVersion { version, description, .. } => {
                R::DescribeVersion { model: gone(), version, description }
            }
            R::TagVersion { version, key, value, .. } => R::TagVersion { model: gone(), version, key, value },
            R::DeleteVersion { version, .. } => R::DeleteVersion { model: gone(), version },
        }),
        Command::Access(c) => Command::Access(match c {
            A::CreateToken { role, digest, expires, .. } => {
                A::CreateToken { name: "not a name".to_owned(), role, digest, expires }
            }
            A::RevokeToken { .. } => A::RevokeToken { name: gone() },
        }),
        Command::Datasets(datasets::Command::AddVersion { doc, .. }) => {
            Command::Datasets(datasets::Command::AddVersion { dataset: "a/b".to_owned(), doc })
        }
        Command::Training(c) => Command::Training(match c {
            training::Command::GradeRun { rerun, .. } => training::Command::GradeRun { run: rerun, rerun },
            training::Command::CannotRepeat { causes, .. } => {
                training::Command::CannotRepeat { run: RunId(404), causes }
            }
        }),
        Command::Evals(c) => Command::Evals(match c {
            E::SetSuite { suite } => E::SetSuite { suite: evals::Suite { name: "a/b".to_owned(), ..suite } },
            E::RemoveSuite { .. } => E::RemoveSuite { name: gone() },
            E::RecordEval { report } => E::RecordEval { report: evals::Report { version: 404, ..report } },
        }),
        Command::Gates(c) => Command::Gates(match c {
            G::SetGates { stage, gates, .. } => G::SetGates { model: gone(), stage, gates },
            G::CheckGates { version, stage, .. } => G::CheckGates { model: gone(), version, stage },
            G::WaiveGate { version, gate, until, .. } => G::WaiveGate { model: gone(), version, gate, until },
            G::EndWaiver { version, gate, .. } => G::EndWaiver { model: gone(), version, gate },
            G::Approve { version, stage, .. } => G::Approve { model: gone(), version, stage },
            G::WithdrawApproval { version, stage, .. } => G::WithdrawApproval { model: gone(), version, stage },
            G::SetPolicy { policy } => G::SetPolicy { policy: gates::policy::Policy { evals: vec![gone()], ..policy } },
            G::RemovePolicy { .. } => G::RemovePolicy { model: gone() },
        }),
        Command::Rollouts(c) => Command::Rollouts(match c {
            O::SetService { service } => O::SetService { service: rollout::Service { model: gone(), ..service } },
            O::RemoveService { .. } => O::RemoveService { name: gone() },
            O::StartRollout { version, .. } => O::StartRollout { service: gone(), version },
            O::AdvanceRollout { .. } => O::AdvanceRollout { service: gone() },
            O::SetWeight { weight, .. } => O::SetWeight { service: gone(), weight },
            O::HoldRollout { .. } => O::HoldRollout { service: gone() },
            O::ResumeRollout { .. } => O::ResumeRollout { service: gone() },
            O::DropRollout { .. } => O::DropRollout { service: gone() },
            O::FinishRollout { .. } => O::FinishRollout { service: gone() },
            O::SwitchService { version, .. } => O::SwitchService { service: gone(), version },
            O::UndoRollback { .. } => O::UndoRollback { service: gone() },
            O::Rollback { to, .. } => O::Rollback { service: gone(), to },
            O::Deployed { version, .. } => O::Deployed { service: gone(), version },
            O::DeployFailed { version, why, .. } => O::DeployFailed { service: gone(), version, why },
            O::ForbidVersion { version, .. } => O::ForbidVersion { model: gone(), version },
            O::AllowVersion { version, .. } => O::AllowVersion { model: gone(), version },
        }),
        Command::Incidents(c) => Command::Incidents(match c {
            I::SetAlert { rule } => I::SetAlert { rule: incident::AlertRule { name: String::new(), ..rule } },
            I::RemoveAlert { .. } => I::RemoveAlert { name: gone() },
            I::RaiseAlert { alert, .. } => I::RaiseAlert { service: "a/b".to_owned(), alert },
            I::ClearAlert { rule, .. } => I::ClearAlert { service: gone(), rule },
            I::AckIncident { .. } => I::AckIncident { id: 404 },
            I::AssignIncident { to, .. } => I::AssignIncident { id: 404, to },
            I::SilenceIncident { until, .. } => I::SilenceIncident { id: 404, until },
            I::NoteIncident { text, .. } => I::NoteIncident { id: 404, text },
            I::WatchIncident { .. } => I::WatchIncident { id: 404 },
            I::CloseIncident { .. } => I::CloseIncident { id: 404 },
        }),
        Command::Cost(c) => Command::Cost(match c {
            cost::Command::SetRates { rates, .. } => cost::Command::SetRates { since: Some(Timestamp(1)), rates },
            cost::Command::SetServing { placements, .. } => cost::Command::SetServing { service: gone(), placements },
            cost::Command::SetBudget { budget } => {
                cost::Command::SetBudget { budget: cost::Budget { name: String::new(), ..budget } }
            }
            cost::Command::RemoveBudget { .. } => cost::Command::RemoveBudget { name: gone() },
        }),
        // It names nothing that could be missing; its record is tested where it acts.
        Command::Keeping(_) => command.clone(),
    }
}

#[tokio::test]
async fn every_command_leaves_exactly_one_record_and_a_dry_run_none() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let commands = one_of_each(&ctx).await;
        let mut count = 0;
        for command in &commands {
            let dry = Envelope { dry_run: true, ..Envelope::new(command.clone(), "because") };
            let answer = do_it(&ctx, &kim(), dry).await.unwrap();
            assert!(answer.dry_run && answer.audit == 0, "{answer:?}");
            assert_eq!(records(&ctx).await.len(), count, "a dry run of {} left a record", command.name());

            let done = do_it(&ctx, &kim(), Envelope::new(command.clone(), "because")).await.unwrap();
            count += 1;
            let all = records(&ctx).await;
            assert_eq!((all.len(), all[0].seq), (count, done.audit));
            let detail = all[0].detail.clone().unwrap();
            assert_eq!(
                (all[0].actor.as_str(), all[0].command.as_str(), all[0].outcome.as_str()),
                ("kim", command.name(), "ok")
            );
            assert_eq!((detail.reason.as_str(), &detail.to), ("because", &done.to));

            let wrong = refused(command);
            let fault = do_it(&ctx, &kim(), Envelope::new(wrong.clone(), "because")).await.unwrap_err();
            count += 1;
            let all = records(&ctx).await;
            assert_eq!((all.len(), all[0].command.as_str()), (count, command.name()));
            assert_ne!(all[0].outcome, "ok");
            assert_eq!(all[0].detail.clone().unwrap().answer["what"], fault.what.as_str());
            let dry = Envelope { dry_run: true, ..Envelope::new(wrong, "because") };
            do_it(&ctx, &kim(), dry).await.unwrap_err();
            assert_eq!(records(&ctx).await.len(), count);
        }
        assert!(audit::verify(ctx.db.read(), &[]).await.unwrap().ok);
    })
    .await;
}

#[tokio::test]
async fn a_key_acts_once() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let keyed =
            |command: Command| Envelope { idempotency_key: Some("k1".to_owned()), ..Envelope::new(command, "") };
        let first = do_it(&ctx, &kim(), keyed(register("m"))).await.unwrap();
        let again = do_it(&ctx, &kim(), keyed(register("m"))).await.unwrap();
        assert_eq!((again.version, again.audit, again.replayed), (first.version, first.audit, true));
        let other = do_it(&ctx, &kim(), keyed(register("n"))).await.unwrap_err();
        assert_eq!(other.kind, Kind::Conflict);
        assert!(records(&ctx).await.iter().filter(|r| r.outcome == "ok").count() == 1);

        // A refusal does not use a key up.
        let keyed =
            |command: Command| Envelope { idempotency_key: Some("k2".to_owned()), ..Envelope::new(command, "") };
        do_it(&ctx, &kim(), keyed(describe("later", "x"))).await.unwrap_err();
        do_it(&ctx, &kim(), Envelope::new(create("later"), "")).await.unwrap();
        assert!(!do_it(&ctx, &kim(), keyed(describe("later", "x"))).await.unwrap().replayed);
    })
    .await;
}

#[tokio::test]
async fn the_same_key_sent_twice_at_once_acts_once() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let keyed = || Envelope { idempotency_key: Some("k".to_owned()), ..Envelope::new(register("m"), "") };
        let who = kim();
        let all = futures::future::join_all((0..6).map(|_| do_it(&ctx, &who, keyed()))).await;
        assert!(all.iter().all(|a| a.as_ref().is_ok_and(|o| o.version == Some(1))), "{all:?}");
        assert_eq!(records(&ctx).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_looked_before_it_moved_is_refused() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    let seen = do_it(&ctx, &kim(), Envelope::new(create("m"), "")).await.unwrap().generation;
    let based = |on: i64, text: &str| Envelope { generation: Some(on), ..Envelope::new(describe("m", text), "") };
    let next = do_it(&ctx, &kim(), based(seen, "a")).await.unwrap().generation;
    assert_eq!(next, seen + 1);
    let late = do_it(&ctx, &kim(), based(seen, "b")).await.unwrap_err();
    assert_eq!(late.kind, Kind::Conflict);
    do_it(&ctx, &kim(), based(next, "b")).await.unwrap();
}

#[tokio::test]
async fn who_may_not_is_refused_and_recorded() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    let fault = do_it(&ctx, &actor("eve", Role::Viewer), Envelope::new(create("m"), "")).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Denied);
    let record = records(&ctx).await.remove(0);
    assert_eq!((record.actor.as_str(), record.outcome.as_str()), ("eve", "denied"));
}

#[tokio::test]
async fn what_touches_production_needs_a_reason() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    for _ in 0..2 {
        do_it(&ctx, &kim(), Envelope::new(register("m"), "")).await.unwrap();
    }
    // Who can give a reason has to.
    let fault = do_it(&ctx, &kim(), Envelope::new(stage(1, Stage::Prod), " ")).await.unwrap_err();
    assert!(fault.kind == Kind::Refused && fault.next.contains("--reason"), "{fault}");
    assert_eq!(records(&ctx).await[0].outcome, "refused");
    // MLflow's client has no way to: the version's tag speaks for it, else nothing was given.
    let mlflow = Actor { can_give_reason: false, ..kim() };
    do_it(&ctx, &mlflow, Envelope::new(stage(1, Stage::Prod), "")).await.unwrap();
    assert_eq!(records(&ctx).await[0].detail.clone().unwrap().reason, "not given");
    let tag = registry::Command::TagVersion {
        model: "m".to_owned(),
        version: 2,
        key: "opsroom.reason".to_owned(),
        value: Some("better AUC".to_owned()),
    };
    do_it(&ctx, &mlflow, Envelope::new(registry(tag), "")).await.unwrap();
    do_it(&ctx, &mlflow, Envelope::new(stage(2, Stage::Prod), "")).await.unwrap();
    let record = records(&ctx).await.remove(0);
    let detail = record.detail.unwrap();
    assert_eq!((detail.reason.as_str(), detail.to.as_str()), ("better AUC", "prod"));
    assert!(detail.from.contains("v1 prod"), "the record says what it replaced: {}", detail.from);

    let place = Place::sqlite();
    let settings = Settings { registry: registry::Settings { reason_required: true }, ..Settings::default() };
    let ctx = place.ctx_with(settings).await;
    do_it(&ctx, &mlflow, Envelope::new(register("m"), "")).await.unwrap();
    let fault = do_it(&ctx, &mlflow, Envelope::new(stage(1, Stage::Staging), "")).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Refused);
}

#[tokio::test]
async fn text_that_not_every_engine_can_keep_is_refused() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        do_it(&ctx, &kim(), Envelope::new(create("m"), "")).await.unwrap();
        for envelope in [Envelope::new(describe("m", "a\0b"), ""), Envelope::new(describe("m", "ab"), "why\0")] {
            let fault = do_it(&ctx, &kim(), envelope).await.unwrap_err();
            assert_eq!(fault.kind, Kind::Invalid, "{fault}");
        }
    })
    .await;
}

fn about_rollouts() -> Vec<Command> {
    use rollout::Command as R;
    let backend = |version| rollout::service::Backend { version, url: format!("http://127.0.0.1:900{version}") };
    let service = rollout::Service {
        name: "svc".to_owned(),
        model: "served".to_owned(),
        protocol: rollout::Protocol::Json,
        key: rollout::StickyKey::None,
        backend: vec![backend(1), backend(2)],
        answers: rollout::Answers::Values,
        slices: Vec::new(),
        launch: None,
        traffic: rollout::Traffic::Router,
        deploy: None,
        envoy: None,
        listen: None,
        health: None,
        rollout: rollout::service::Plan::default(),
        guards: rollout::judge::Guards::default(),
        limits: rollout::Limits::default(),
    };
    let name = || "svc".to_owned();
    let model = || "served".to_owned();
    let version =
        |_| VersionDoc { source: "s3://elsewhere/m".to_owned(), user: "ana".to_owned(), ..VersionDoc::default() };
    let register = |n| {
        registry(registry::Command::RegisterVersion { model: model(), create: true, import: None, doc: version(n) })
    };
    let (backend, traffic) = (Vec::new(), rollout::Traffic::External);
    let outside = rollout::Service { name: "outside".to_owned(), backend, traffic, ..service.clone() };
    let there = || "outside".to_owned();
    let rollouts = [
        R::SetService { service },
        R::StartRollout { service: name(), version: 2 },
        R::AdvanceRollout { service: name() },
        R::SetWeight { service: name(), weight: 100 },
        R::ResumeRollout { service: name() },
        R::HoldRollout { service: name() },
        R::DropRollout { service: name() },
        R::UndoRollback { service: name() },
        R::DropRollout { service: name() },
        R::ForbidVersion { model: model(), version: 2 },
        R::AllowVersion { model: model(), version: 2 },
        R::SwitchService { service: name(), version: 2 },
        R::Rollback { service: name(), to: None },
        R::StartRollout { service: name(), version: 2 },
        R::FinishRollout { service: name() },
        R::RemoveService { name: name() },
        R::SetService { service: outside },
        R::SwitchService { service: there(), version: 1 },
        R::DeployFailed { service: there(), version: 1, why: "no room".to_owned() },
        R::Deployed { service: there(), version: 1 },
    ];
    let stage = registry::Command::SetStage { model: model(), version: 1, stage: Stage::Prod, archive_others: false };
    [register(1), register(2), registry(stage)].into_iter().chain(rollouts.into_iter().map(Command::Rollouts)).collect()
}
