//! One SQL text for two engines: every statement prepares, and the same story is told on both.

use opsroom::base::{Kind, Timestamp};
use opsroom::capability::access::{self, Role};
use opsroom::capability::registry::{self, Command, Stage, VersionDoc};
use opsroom::capability::tracking::experiments::NewExperiment;
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{self, Key, MetricPoint, RunStatus, Tracking};
use opsroom::capability::{Command as Any, Ctx, Envelope, Hints, Outcome, perform};
use opsroom::capability::{audit, cost, datasets, evals, gates, hosts, keeping, monitoring, rollout, training};
use opsroom::db::{Db, Pool, Source};
use sqlx::{Executor as _, SqlSafeStr as _, SqlStr};

use super::stores::{Place, kim, on_each_engine};

#[tokio::test]
async fn every_statement_prepares() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let rooms = [
            tracking::STATEMENTS,
            tracking::collections::STATEMENTS,
            tracking::sweeps::STATEMENTS,
            registry::STATEMENTS,
            datasets::STATEMENTS,
            training::STATEMENTS,
            audit::STATEMENTS,
            access::STATEMENTS,
            evals::STATEMENTS,
            gates::STATEMENTS,
            monitoring::incident::STATEMENTS,
            monitoring::counters::STATEMENTS,
            monitoring::STATEMENTS,
            rollout::STATEMENTS,
            cost::STATEMENTS,
            keeping::STATEMENTS,
            hosts::STATEMENTS,
        ];
        for statement in rooms.into_iter().flatten() {
            let sql: SqlStr = (*statement).into_sql_str();
            let prepared = match db.read() {
                Pool::Sqlite(pool) => pool.prepare(sql).await.map(drop),
                Pool::Postgres(pool) => pool.prepare(sql).await.map(drop),
            };
            prepared.unwrap_or_else(|e| panic!("{statement}\non {}: {e}", place.url));
        }
    })
    .await;
}

fn point(i: i64) -> Point {
    let value = match i % 1000 {
        0 => f64::from_bits(0x7ff8_0000_0000_0abc),
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        _ => 1.0 / (i as f64),
    };
    Point { step: i, timestamp: 1_700_000_000_000 + i, value }
}

fn metric(key: &str, p: Point) -> MetricPoint {
    MetricPoint {
        key: Key::from(key),
        value: p.value,
        timestamp: p.timestamp,
        step: p.step,
        model: None,
        dataset: None,
    }
}

fn bits(points: &[Point]) -> Vec<(i64, i64, u64)> {
    points.iter().map(|p| (p.step, p.timestamp, p.value.to_bits())).collect()
}

async fn reopened(db: &Db) -> Tracking {
    Tracking::open(db.clone(), Hints::default()).await.unwrap()
}

#[tokio::test]
async fn what_scripts_log_is_read_back_to_the_bit() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let tracking = reopened(&db).await;
        tracking.ensure_default(Timestamp(0)).await.unwrap();
        let new = NewExperiment { name: "flights".to_owned(), ..NewExperiment::default() };
        let experiment = tracking.create_experiment(new, Timestamp(1)).await.unwrap();
        let new = NewRun { experiment: Some(experiment), name: Some("über ↑".to_owned()), ..NewRun::default() };
        let run = tracking.create_run(new).await.unwrap();
        let points: Vec<Point> = (0..10_000).map(point).collect();
        for part in points.chunks(1000) {
            let metrics = part.iter().map(|p| metric("loss", *p)).collect();
            tracking.log(run, Batch { metrics, ..Batch::default() }).await.unwrap();
            if part[0].step == 4000 {
                tracking.fold().await.unwrap();
            }
        }
        let params = vec![("rate".to_owned(), "0.1".to_owned())];
        let tags = vec![("team".to_owned(), "ops \u{0}\u{1f600}".to_owned())];
        let single = vec![metric("once", point(1000))];
        tracking.log(run, Batch { metrics: single, params, tags, ..Batch::default() }).await.unwrap();
        tracking.update_run(run, Some(RunStatus::Finished), Some(9), None).await.unwrap();
        let before = tracking.read(|s| s.run(run).cloned()).unwrap();
        drop(tracking);

        // As after a crash: the journal is replayed. Then folded, and from the tables alone.
        for fold in [false, true, false] {
            let again = reopened(&db).await;
            if fold {
                again.fold().await.unwrap();
            }
            let after = again.read(|s| s.run(run).cloned()).unwrap();
            assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
            assert_eq!(bits(&again.history(run, "loss").await.unwrap()), bits(&points));
            let once = again.history(run, "once").await.unwrap();
            assert!(once.len() == 1 && once[0].value.is_nan());
            assert_eq!(again.read(|s| s.experiment_named("flights").map(|e| e.id)), Some(experiment));
        }
        assert_eq!(
            reopened(&db).await.read(opsroom::capability::tracking::State::tail_points),
            0,
            "the journal is empty after a fold"
        );
    })
    .await;
}

async fn act(ctx: &Ctx, command: Command) -> Outcome {
    perform(ctx, &kim(), Envelope::new(Any::Registry(command), "because")).await.unwrap()
}

fn register(model: &str) -> Command {
    let doc = VersionDoc { source: "s3://elsewhere/model".to_owned(), ..VersionDoc::default() };
    Command::RegisterVersion { model: model.to_owned(), create: true, import: None, doc }
}

fn stage(model: &str, version: u32, stage: Stage) -> Command {
    Command::SetStage { model: model.to_owned(), version, stage, archive_others: false }
}

fn alias(model: &str, alias: &str, version: Option<u32>) -> Command {
    Command::SetAlias { model: model.to_owned(), alias: alias.to_owned(), version }
}

async fn stages(ctx: &Ctx, model: &str, at: Option<Timestamp>) -> Vec<(u32, &'static str, String)> {
    let view = registry::model(Source::Pool(ctx.db.read()), model, at).await.unwrap();
    view.versions.iter().map(|v| (v.version, v.stage.name(), v.aliases.join(","))).collect()
}

#[tokio::test]
async fn the_registry_remembers_every_moment() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        assert_eq!(act(&ctx, register("m")).await.version, Some(1));
        act(&ctx, stage("m", 1, Stage::Prod)).await;
        act(&ctx, alias("m", "champion", Some(1))).await;
        let first = ctx.clock.now();
        assert_eq!(act(&ctx, register("m")).await.version, Some(2));
        act(&ctx, stage("m", 2, Stage::Prod)).await;
        act(&ctx, alias("m", "champion", Some(2))).await;
        let second = ctx.clock.now();
        act(&ctx, alias("m", "champion", None)).await;
        act(&ctx, stage("m", 2, Stage::Archived)).await;

        let none = String::new;
        let champion = || "champion".to_owned();
        assert_eq!(stages(&ctx, "m", Some(first)).await, [(1, "prod", champion())]);
        assert_eq!(stages(&ctx, "m", Some(second)).await, [(2, "prod", champion()), (1, "archived", none())]);
        assert_eq!(stages(&ctx, "m", None).await, [(2, "archived", none()), (1, "archived", none())]);
        let before = Timestamp(0);
        assert!(registry::models(Source::Pool(ctx.db.read()), Some(before)).await.unwrap().is_empty());

        act(&ctx, Command::RenameModel { model: "m".to_owned(), to: "n".to_owned() }).await;
        assert_eq!(stages(&ctx, "n", Some(second)).await, [(2, "prod", champion()), (1, "archived", none())]);
        let gone = registry::model(Source::Pool(ctx.db.read()), "m", None).await.unwrap_err();
        assert_eq!(gone.kind, Kind::NotFound);
        act(&ctx, Command::DeleteVersion { model: "n".to_owned(), version: 2 }).await;
        assert_eq!(act(&ctx, register("n")).await.version, Some(3), "a number is never given twice");
        act(&ctx, Command::DeleteModel { model: "n".to_owned() }).await;
        assert!(registry::models(Source::Pool(ctx.db.read()), None).await.unwrap().is_empty());

        let verified = audit::verify(ctx.db.read(), &[]).await.unwrap();
        assert!(verified.ok && verified.records == 12, "{verified:?}");
    })
    .await;
}

#[tokio::test]
async fn tokens_hold_until_they_end() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let secret = access::secret();
        let expires = Some(Timestamp(i64::MAX));
        let create = access::Command::CreateToken {
            name: "ci".to_owned(),
            role: Role::Operator,
            digest: access::digest(&secret),
            expires,
        };
        perform(&ctx, &kim(), Envelope::new(Any::Access(create), "")).await.unwrap();
        let token = access::check(ctx.db.read(), &secret, Timestamp(5)).await.unwrap().unwrap();
        assert_eq!((token.name.as_str(), token.role, token.expires), ("ci", Role::Operator, expires));
        assert!(access::check(ctx.db.read(), &secret, Timestamp(i64::MAX)).await.unwrap().is_none(), "expired");
        assert!(access::check(ctx.db.read(), "opr_guess", Timestamp(5)).await.unwrap().is_none());
        let revoke = access::Command::RevokeToken { name: "ci".to_owned() };
        perform(&ctx, &kim(), Envelope::new(Any::Access(revoke), "")).await.unwrap();
        assert!(access::check(ctx.db.read(), &secret, Timestamp(5)).await.unwrap().is_none(), "revoked");
        assert_eq!(access::list(ctx.db.read()).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_places_do_not_meet() {
    let (a, b) = (Place::sqlite(), Place::sqlite());
    let (a, b) = (a.ctx().await, b.ctx().await);
    act(&a, register("m")).await;
    assert!(registry::models(Source::Pool(b.db.read()), None).await.unwrap().is_empty());
}
