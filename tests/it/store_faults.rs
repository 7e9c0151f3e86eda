//! When something is wrong around the store: a full disk, a locked file, a second agent, a cut line. An error that says
//! so, nothing half-written, reads go on, and once the cause is gone writes go on too.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use opsroom::base::{Fault, Kind};
use opsroom::capability::registry::{self, VersionDoc};
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Artifacts, Key, MetricPoint, Tracking};
use opsroom::capability::{Command, Envelope, Hints, audit, perform};
use opsroom::db::Db;
use opsroom::on_db;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::stores::{Place, kim, on_each_engine};
use super::support::{Agent, Home};

fn tag(n: usize, bytes: usize) -> Batch {
    Batch { tags: vec![(format!("t{n}"), "x".repeat(bytes))], ..Batch::default() }
}

fn metric(step: i64) -> Batch {
    let metric =
        MetricPoint { key: Key::from("m"), value: step as f64, timestamp: 1, step, model: None, dataset: None };
    Batch { metrics: vec![metric], ..Batch::default() }
}

fn steps(points: &[Point]) -> Vec<i64> {
    points.iter().map(|p| p.step).collect()
}

async fn on_writer(db: &Db, sql: String) {
    let mut turn = db.turn().await;
    on_db!(turn.pool(), p => sqlx::raw_sql(AssertSqlSafe(sql)).execute(p).await.map(drop)).unwrap();
}

/// Leaves the store room for so many pages. (A transaction that failed for want of room ends its connection, and the
/// limit with it.)
async fn leave_pages(db: &Db, more: i64) {
    db.begin().await.unwrap().rollback().await;
    let mut turn = db.turn().await;
    let count = "select page_count from pragma_page_count";
    let pages: i64 = on_db!(turn.pool(), p => sqlx::query_scalar(count).fetch_one(p).await).unwrap();
    drop(turn);
    on_writer(db, format!("pragma max_page_count = {}", pages + more)).await;
}

fn create(model: &str) -> Envelope {
    let doc = VersionDoc { source: "s3://x".to_owned(), description: "d".repeat(90_000), ..VersionDoc::default() };
    let register = registry::Command::RegisterVersion { model: model.to_owned(), create: true, import: None, doc };
    Envelope::new(Command::Registry(register), "")
}

fn is_full(fault: &Fault) {
    assert!(fault.kind == Kind::Unavailable && fault.what.contains("disk is full"), "{fault}");
    assert!(fault.next.contains("free space"), "{fault}");
}

/// SQLite says "full" at a greatest number of pages as it does when the disk is full.
#[tokio::test]
async fn a_full_store_refuses_whole_writes_and_goes_on_when_there_is_room_again() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    ctx.tracking.log(run, metric(0)).await.unwrap();
    leave_pages(&ctx.db, 20).await;

    let mut kept = 0;
    let full = loop {
        match ctx.tracking.log(run, tag(kept, 8000)).await {
            Ok(()) => kept += 1,
            Err(fault) => break fault,
        }
        assert!(kept < 100);
    };
    is_full(&full);
    // What was refused is not shown, what was kept is; reads go on; a command and a fold are refused as a whole.
    let tags = |tracking: &Tracking| tracking.read(|s| s.run(run).map(|r| r.tags.len())).unwrap();
    assert_eq!(tags(&ctx.tracking), kept + 1);
    leave_pages(&ctx.db, 0).await;
    is_full(&perform(&ctx, &kim(), create("m")).await.unwrap_err());
    assert!(registry::models(opsroom::db::Source::Pool(ctx.db.read()), None).await.unwrap().is_empty());
    assert!(audit::tip(ctx.db.read()).await.unwrap().is_none());
    for _ in 0..3 {
        leave_pages(&ctx.db, 0).await;
        is_full(&ctx.tracking.fold().await.unwrap_err());
        leave_pages(&ctx.db, 0).await;
        is_full(&ctx.tracking.log(run, tag(999, 8000)).await.unwrap_err());
    }
    assert_eq!(tags(&Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap()), kept + 1);

    on_writer(&ctx.db, "pragma max_page_count = 1000000".to_owned()).await;
    ctx.tracking.log(run, tag(kept, 8000)).await.unwrap();
    perform(&ctx, &kim(), create("m")).await.unwrap();
    ctx.tracking.log(run, metric(1)).await.unwrap();
    ctx.tracking.fold().await.unwrap();
    let again = Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap();
    assert_eq!(tags(&again), kept + 2);
    assert_eq!(steps(&again.history(run, "m").await.unwrap()), [0, 1]);
    assert!(audit::verify(ctx.db.read(), &[]).await.unwrap().ok);
}

/// The store of a room over files: nothing is written twice, and what could not be put away is shown all the same.
#[tokio::test]
async fn a_store_that_goes_with_its_process_writes_no_journal_and_loses_nothing_on_a_full_disk() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    let count = "select count(*) from tracking_journal";
    let journalled =
        async || on_db!(ctx.db.read(), p => sqlx::query_scalar::<_, i64>(count).fetch_one(p).await).unwrap();
    let before = journalled().await;
    ctx.db.need_not_last().await.unwrap();
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    for step in 0..3 {
        ctx.tracking.log(run, metric(step)).await.unwrap();
    }
    assert_eq!(journalled().await, before);
    let seen = async || steps(&ctx.tracking.history(run, "m").await.unwrap());
    assert_eq!(seen().await, [0, 1, 2]);
    ctx.tracking.log(run, tag(0, 8000)).await.unwrap();
    leave_pages(&ctx.db, 0).await;
    is_full(&ctx.tracking.fold().await.unwrap_err());
    ctx.tracking.log(run, metric(3)).await.unwrap();
    assert_eq!(seen().await, [0, 1, 2, 3]);
    on_writer(&ctx.db, "pragma max_page_count = 1000000".to_owned()).await;
    for step in 4..6 {
        ctx.tracking.fold().await.unwrap();
        ctx.tracking.log(run, metric(step)).await.unwrap();
    }
    assert_eq!(seen().await, [0, 1, 2, 3, 4, 5]);
}

/// A small file system of its own, taken away in the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: usize) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes}");
        let mounted = Process::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|o| o.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_on_a_full_disk_answers_says_so_and_recovers() {
    let home = Home::new();
    let data = home.path().join("data/opsroom");
    let Some(_disk) = SmallDisk::mount(&data, 12 << 20) else {
        eprintln!("skipped: filling a disk needs the right to mount one");
        return;
    };
    // The socket and the lock are there before the disk is full; what is taken away later makes room.
    std::fs::write(data.join("ballast"), vec![0; 4 << 20]).unwrap();
    let agent = Agent::start_in(home, &[]);
    let client = agent.client();
    let call =
        async |path: &str, body: Value| client.mlflow(Method::POST, &format!("/api/2.0/mlflow/{path}"), &body).await;
    let run = call("runs/create", json!({"experiment_id": "0"})).await.unwrap();
    let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let tag = |n: usize| json!({"run_id": run, "key": format!("t{n}"), "value": "x".repeat(7900)});
    let mut kept = 0;
    while call("runs/set-tag", tag(kept)).await.is_ok() {
        kept += 1;
        assert!(kept < 5000, "the disk does not get full");
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let set = format!("{}/api/2.0/mlflow/runs/set-tag", agent.url());
    let answer = http.post(set).json(&tag(kept)).send().await.unwrap();
    // MLflow's client sends it again after a 503, and a disk can be emptied.
    assert_eq!(answer.status(), 503);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error_code"], "TEMPORARILY_UNAVAILABLE");
    assert!(answer["message"].as_str().unwrap().contains("disk is full"), "{answer}");
    let upload = client.put_artifact("0/x/artifacts/large.bin", vec![7; 6 << 20]).await.unwrap_err();
    assert_eq!(upload.kind, Kind::Unavailable, "{upload}");

    let tags = async || {
        let got =
            client.mlflow(Method::GET, &format!("/api/2.0/mlflow/runs/get?run_id={run}"), &Value::Null).await.unwrap();
        let tags = got["run"]["data"]["tags"].as_array().unwrap().clone();
        tags.iter().filter(|t| t["key"].as_str().unwrap().starts_with('t')).count()
    };
    assert_eq!(tags().await, kept, "reads go on, and show what was kept");
    std::fs::remove_file(data.join("ballast")).unwrap();
    call("runs/set-tag", tag(kept)).await.unwrap();
    client.put_artifact("0/x/artifacts/small.txt", "hello").await.unwrap();
    assert_eq!(tags().await, kept + 1);
    let listed = client
        .mlflow(Method::GET, "/api/2.0/mlflow-artifacts/artifacts?path=0/x/artifacts", &Value::Null)
        .await
        .unwrap();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1, "nothing half-uploaded: {listed}");

    // The disk outlives the kill, and so does what was acknowledged.
    let home = agent.kill();
    let agent = Agent::start_in(home, &[]);
    let page = agent.client().run(run.parse().unwrap()).await.unwrap();
    assert_eq!(page.tags.iter().filter(|(k, _)| k.starts_with('t')).count(), kept + 1);
}

#[tokio::test]
async fn a_store_locked_by_another_program_says_so_and_goes_on_later() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", place.file().display())).await.unwrap();
    sqlx::raw_sql("begin immediate").execute(&mut other).await.unwrap();
    let who = kim();
    let (log, command) = tokio::join!(ctx.tracking.log(run, metric(0)), perform(&ctx, &who, create("m")));
    for fault in [log.unwrap_err(), command.unwrap_err()] {
        assert!(fault.kind == Kind::Unavailable && fault.what.contains("locked by another program"), "{fault}");
    }
    assert!(ctx.tracking.history(run, "m").await.unwrap().is_empty(), "reads go on");
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    ctx.tracking.log(run, metric(0)).await.unwrap();
    perform(&ctx, &kim(), create("m")).await.unwrap();
}

#[test]
fn a_second_agent_is_refused_and_told_who_holds_the_store() {
    let agent = Agent::start();
    let store = agent.home().store();
    let second = agent.home().run(&["agent", "--listen", "127.0.0.1:0", "--store", store.to_str().unwrap()]).expect(5);
    for part in [agent.url(), &agent.pid().to_string(), "in use"] {
        assert!(second.stderr.contains(part), "{part}: {}", second.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_leaves_nothing() {
    let agent = Agent::start();
    let address = agent.url().strip_prefix("http://").unwrap().to_owned();
    for bytes in [1 << 20, 12 << 20] {
        let mut line = std::net::TcpStream::connect(&address).unwrap();
        let head = format!(
            "PUT /api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/cut.bin HTTP/1.1\r\nhost: {address}\r\n\
             content-length: {}\r\n\r\n",
            20 << 20
        );
        line.write_all(head.as_bytes()).unwrap();
        line.write_all(&vec![1; bytes]).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(line);
    }
    let artifacts = PathBuf::from(agent.client().status().await.unwrap().artifacts);
    let mut left = Vec::new();
    for _ in 0..50 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        left = files_beneath(&artifacts);
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

fn files_beneath(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries.flat_map(|p| if p.is_dir() { files_beneath(&p) } else { vec![p] }).collect()
}

#[tokio::test]
async fn what_a_version_stands_on_can_no_longer_be_written() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
        let base = format!("0/{run}/artifacts");
        let put = async |artifacts: &Artifacts, path: &str| {
            let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"x"))]);
            artifacts.put(path, body).await
        };
        put(&ctx.artifacts, &format!("{base}/model/weights")).await.unwrap();
        let doc =
            VersionDoc { source: format!("runs:/{run}/model"), run_id: Some(run.to_string()), ..VersionDoc::default() };
        let register = registry::Command::RegisterVersion { model: "m".to_owned(), create: true, import: None, doc };
        perform(&ctx, &kim(), Envelope::new(Command::Registry(register), "")).await.unwrap();
        let reopened = Artifacts::open(&ctx.db, ctx.artifacts.blobs().clone()).await.unwrap();
        for artifacts in [&ctx.artifacts, &reopened] {
            for path in ["model/weights", "model/new", "model"] {
                let refusal = put(artifacts, &format!("{base}/{path}")).await.unwrap_err();
                assert!(refusal.kind == Kind::Refused && refusal.why.contains("registered as"), "{path}: {refusal}");
            }
            for path in [format!("{base}/model/weights"), base.clone()] {
                assert_eq!(artifacts.delete(&path).await.unwrap_err().kind, Kind::Refused, "{path}");
            }
            put(artifacts, &format!("{base}/model2/weights")).await.unwrap();
        }
        let delete = registry::Command::DeleteVersion { model: "m".to_owned(), version: 1 };
        perform(&ctx, &kim(), Envelope::new(Command::Registry(delete), "because")).await.unwrap();
        put(&ctx.artifacts, &format!("{base}/model/weights")).await.unwrap();
    })
    .await;
}

/// The line to the server may break while a commit is under way: then only the store knows whether it holds.
#[tokio::test]
async fn memory_follows_the_store_after_a_commit_of_unknown_end() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let tracking = &ctx.tracking;
        let run = tracking.create_run(NewRun::default()).await.unwrap();
        for step in 0..5 {
            tracking.log(run, metric(step)).await.unwrap();
        }
        // A fold that held, though its agent was not told.
        let other = Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap();
        other.fold().await.unwrap();
        drop(other);
        tracking.doubt();
        tracking.log(run, metric(5)).await.unwrap();
        assert_eq!(tracking.read(opsroom::capability::tracking::State::tail_points), 1);
        // A group that held, though its agent was not told.
        let held = "insert into tracking_journal (seq, effects) select seq + 1, replace(effects, '\"m\"', '\"n\"') from tracking_journal";
        on_writer(&ctx.db, held.to_owned()).await;
        tracking.log(run, metric(6)).await.unwrap_err();
        tracking.log(run, metric(7)).await.unwrap();
        for reopened in [false, true] {
            let again = if reopened { Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap() } else { tracking.clone() };
            assert_eq!(steps(&again.history(run, "m").await.unwrap()), [0, 1, 2, 3, 4, 5, 7]);
            assert_eq!(steps(&again.history(run, "n").await.unwrap()), [5]);
            let counts = again.read(|s| s.run(run).map(|r| (r.metrics.get("m").unwrap().count, r.metrics.len())));
            assert_eq!(counts, Some((7, 2)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_memory_and_store_as_one() {
    let place = Place::sqlite();
    let ctx = place.ctx().await;
    for round in 0..30_u64 {
        let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
        let delete = Command::Tracking(opsroom::capability::tracking::Command::DeleteRun { id: run });
        let who = kim();
        let performing = perform(&ctx, &who, Envelope::new(delete, ""));
        let _ = tokio::time::timeout(std::time::Duration::from_micros(150 * round), performing).await;
    }
    // Whatever began is over once the turn is ours.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    drop(ctx.db.turn().await);
    let again = Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap();
    let states = |t: &Tracking| {
        t.read(|s| s.runs().iter().map(|r| (r.id, r.lifecycle.name())).collect::<std::collections::BTreeMap<_, _>>())
    };
    assert_eq!(states(&ctx.tracking), states(&again));
    let deleted = states(&again).values().filter(|l| **l == "deleted").count() as i64;
    assert_eq!(audit::tip(ctx.db.read()).await.unwrap().map_or(0, |(seq, _)| seq), deleted);
}
