//! Keeping a store for years: what is old goes when the settings say so, what nothing refers to is collected, and nothing that
//! something stands on goes with it.

use std::sync::Arc;

use bytes::Bytes;
use opsroom::base::id::{ExperimentId, RunId};
use opsroom::base::{Clock, Timestamp};
use opsroom::capability::audit::{self, AuditQuery};
use opsroom::capability::keeping::{self, Plan};
use opsroom::capability::monitoring::counters::{parse_labels, parse_predictions};
use opsroom::capability::registry::{self, VersionDoc};
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Key, MetricPoint, Tracking};
use opsroom::capability::{Command, Ctx, Envelope, Hints, Outcome, Settings, perform, tracking};
use opsroom::on_db;
use serde_json::json;

use super::stores::{kim, on_each_engine};
use super::support::Agent;

const DAY: i64 = 86_400_000_000;

/// Long after everything that these tests write, files included.
struct Later;

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2100-01-01").unwrap()
    }
}

fn later(ctx: &Ctx) -> Ctx {
    Ctx { clock: Arc::new(Later), ..ctx.clone() }
}

async fn act(ctx: &Ctx, command: Command) -> Outcome {
    perform(ctx, &kim(), Envelope::new(command, "as the test says")).await.unwrap()
}

async fn gc(ctx: &Ctx, dry_run: bool) -> Outcome {
    let command = Command::Keeping(keeping::Command::CollectGarbage { unreferenced: true });
    perform(ctx, &kim(), Envelope { dry_run, ..Envelope::new(command, "") }).await.unwrap()
}

async fn plan(ctx: &Ctx) -> Plan {
    keeping::plan(ctx, true).await.unwrap().plan
}

fn numbers(plan: &Plan) -> Vec<(&str, u64)> {
    plan.items.iter().map(|i| (i.what.as_str(), i.n)).collect()
}

async fn run(ctx: &Ctx, points: i64) -> RunId {
    let new = NewRun { experiment: Some(ExperimentId(0)), start_ms: 1, ..NewRun::default() };
    let id = ctx.tracking.create_run(new).await.unwrap();
    let point =
        |step| MetricPoint { key: Key::from("loss"), value: 0.5, timestamp: step, step, model: None, dataset: None };
    for begin in (0..points).step_by(1000) {
        let metrics = (begin..points.min(begin + 1000)).map(point).collect();
        ctx.tracking.log(id, Batch { metrics, ..Batch::default() }).await.unwrap();
    }
    put(ctx, &format!("0/{id}/artifacts/model/weights.bin")).await;
    id
}

async fn put(ctx: &Ctx, path: &str) {
    ctx.artifacts.blobs().put(path, Bytes::from(vec![7; 1000])).await.unwrap();
}

async fn there(ctx: &Ctx, path: &str) -> bool {
    ctx.artifacts.blobs().size(path).await.is_ok()
}

async fn count(ctx: &Ctx, table: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    on_db!(ctx.db.read(), p => sqlx::query_scalar(sql).fetch_one(p).await).unwrap()
}

fn settings(retention: keeping::Settings) -> Settings {
    Settings { retention, ..Settings::default() }
}

#[tokio::test]
async fn deleted_runs_go_with_their_files_and_those_that_versions_stand_on_stay() {
    on_each_engine(async |place| {
        let settings = settings(keeping::Settings { deleted_runs_days: 30, ..keeping::Settings::default() });
        let ctx = place.ctx_with(settings.clone()).await;
        let (kept, gone, registered) = (run(&ctx, 5).await, run(&ctx, 5000).await, run(&ctx, 5).await);
        ctx.tracking.fold().await.unwrap();
        let doc = VersionDoc {
            source: "s3://elsewhere/model".to_owned(),
            run_id: Some(registered.to_string()),
            ..VersionDoc::default()
        };
        let register = registry::Command::RegisterVersion { model: "m".to_owned(), create: true, import: None, doc };
        act(&ctx, Command::Registry(register)).await;
        for id in [gone, registered] {
            act(&ctx, Command::Tracking(tracking::Command::DeleteRun { id })).await;
        }
        assert_eq!(numbers(&plan(&ctx).await), [], "they were deleted just now");

        let ctx = later(&ctx);
        let planned = plan(&ctx).await;
        assert_eq!(numbers(&planned), [("deleted runs", 1)]);
        assert!(planned.items[0].bytes > 1000 && planned.items[0].why == "older than 30 days", "{planned:?}");
        assert!(planned.warnings[0].contains("1 deleted runs stay"), "{planned:?}");
        let dry = gc(&ctx, true).await;
        assert!(dry.dry_run && dry.to.starts_with("1 deleted runs"), "{dry:?}");
        assert!(ctx.tracking.read(|s| s.run(gone).is_some()));

        let before = audit::list(ctx.db.read(), &AuditQuery::default()).await.unwrap().records.len();
        let done = gc(&ctx, false).await;
        let records = audit::list(ctx.db.read(), &AuditQuery::default()).await.unwrap().records;
        assert_eq!(
            (records.len(), records[0].seq, &records[0].detail.as_ref().unwrap().to),
            (before + 1, done.audit, &done.to)
        );
        let file = |id: RunId| format!("0/{id}/artifacts/model/weights.bin");
        assert!(
            !there(&ctx, &file(gone)).await && there(&ctx, &file(kept)).await && there(&ctx, &file(registered)).await
        );
        // What the tables hold says the same as memory, so a restart does.
        let again = Tracking::open(ctx.db.clone(), Hints::default()).await.unwrap();
        for tracking in [&ctx.tracking, &again] {
            let there = |id| tracking.read(|s| s.run(id).is_some());
            assert!(!there(gone) && there(kept) && there(registered));
            let points = tracking.series(kept, "loss", 100, Timestamp(0)).await.unwrap();
            assert_eq!(points.latest.n, 5);
        }
        assert_eq!(count(&ctx, "runs").await, 2);
    })
    .await;
}

#[tokio::test]
async fn what_nothing_refers_to_is_collected_once_it_is_old() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let id = run(&ctx, 5).await;
        let stranger = RunId::random();
        let examples = format!(".opsroom/evals/{}", "ab".repeat(32));
        let orphan = format!("0/{stranger}/artifacts/x.bin");
        for path in [examples.as_str(), orphan.as_str(), "mine/notes.txt", ".opsroom/wandb/key"] {
            put(&ctx, path).await;
        }
        assert_eq!(numbers(&plan(&ctx).await), [], "an upload may be under way");
        let ctx = later(&ctx);
        assert_eq!(numbers(&plan(&ctx).await), [("evals' examples", 1), ("folders of artifacts", 1)]);
        gc(&ctx, false).await;
        assert!(!there(&ctx, &examples).await && !there(&ctx, &orphan).await);
        for path in [&format!("0/{id}/artifacts/model/weights.bin"), "mine/notes.txt", ".opsroom/wandb/key"] {
            assert!(there(&ctx, path).await, "{path}");
        }
        assert_eq!(numbers(&plan(&ctx).await), []);
    })
    .await;
}

#[tokio::test]
async fn predictions_stay_as_long_as_their_labels_come_late() {
    on_each_engine(async |place| {
        let days = keeping::Settings { ledger_days: 10, counters_days: 400, ..keeping::Settings::default() };
        let ctx = place.ctx_with(settings(days)).await;
        let now = Later.now();
        let ago = |days: i64| Timestamp(now.0 - days * DAY);
        let event = |id: &str, days: i64| {
            let time = ago(days).to_string();
            json!({"id": id, "service": "s", "version": "1", "time": time, "prediction": 1, "score": 0.7}).to_string()
        };
        let post = async |lines: Vec<String>, at: Timestamp| {
            let body = lines.join("\n").into_bytes();
            ctx.counters.predictions(parse_predictions(&body, at).unwrap(), at).await.unwrap();
        };
        post(vec![event("ancient", 500)], ago(500)).await;
        post(vec![event("old", 30), event("old2", 30)], ago(30)).await;
        post(vec![event("middle", 15)], ago(15)).await;
        post(vec![event("new", 2)], ago(2)).await;
        ctx.counters.fold(now).await.unwrap();
        let ctx = later(&ctx);
        let planned = plan(&ctx).await;
        assert_eq!(numbers(&planned), [("predictions and labels", 4), ("counters", 1)], "{planned:?}");

        // A label that came 20 days late: those that are 15 days old may still get theirs.
        let label = json!({"id": "old", "label": 1, "time": ago(10).to_string()}).to_string().into_bytes();
        ctx.counters.labels(parse_labels(&label, ago(10)).unwrap(), ago(1)).await.unwrap();
        ctx.counters.fold(now).await.unwrap();
        let planned = plan(&ctx).await;
        assert_eq!(numbers(&planned), [("predictions and labels", 3), ("counters", 1)], "{planned:?}");
        assert!(planned.warnings[0].contains("shorter than labels of s are late"), "{planned:?}");

        gc(&ctx, false).await;
        assert_eq!(count(&ctx, "monitor_journal").await, 3, "middle, new, and the label");
        let standing = ctx.counters.standing();
        assert_eq!(standing.waiting, 2);
        assert_eq!(numbers(&plan(&ctx).await), []);
    })
    .await;
}

#[test]
fn a_dataset_is_whole_after_its_store_was_collected() {
    let agent = Agent::start();
    let home = agent.home().path().to_owned();
    std::fs::write(home.join("a.csv"), "x,y\n1,2\n").unwrap();
    std::fs::write(home.join("b.csv"), "x,y\n3,4\n").unwrap();
    agent.cli(&["data", "add", "a.csv", "--name", "a"]).expect(0);
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(72);
    let age = |path: &std::path::Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(old)).unwrap();
    };
    let mut folders = vec![home.join("data/opsroom/artifacts")];
    let loose = home.join("data/opsroom/artifacts/.opsroom/data/profiles/zz");
    std::fs::create_dir_all(&loose).unwrap();
    std::fs::write(loose.join("zz"), "left over").unwrap();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { age(&entry.path()) }
        }
    }
    let dry = agent.cli(&["gc", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(
        (dry["items"].as_array().unwrap().len(), &dry["bytes"], &dry["dry_run"]),
        (1, &json!(9), &json!(true)),
        "{dry}"
    );
    assert!(loose.join("zz").exists());
    let told = agent.cli(&["gc", "--reason", "tidy"]).expect(0).stdout;
    assert!(told.contains("data packs and manifests") && told.contains("freed 9 B"), "{told}");
    assert!(!loose.join("zz").exists());
    agent.cli(&["data", "verify", "a"]).expect(0);
    agent.cli(&["data", "add", "b.csv", "--name", "a"]).expect(0);
    let nothing = agent.cli(&["gc", "--json"]).expect(0).json();
    assert_eq!(nothing["items"], json!([]), "{nothing}");
    // Whoever has no admin's word takes nothing away.
    assert_eq!(agent.cli_at(agent.url(), &["gc", "--dry-run", "--json"]).code, 0, "nothing to do is no decision");
}

const KIM: &str = "kim.o'hara@example.org";

/// Predictions of many people, one of whom is Kim: as a feature, as a slice, and one that only an id tells.
fn ask(agent: &Agent, name: &str, n: usize) {
    let event = |i: usize| {
        let mail = if i % 100 == 7 { KIM.to_owned() } else { format!("p{i}@example.org") };
        json!({"id": format!("{name}-{i}"), "service": "loans", "version": "1", "prediction": 1, "score": 0.5,
            "features": {"mail": mail, "age": i % 90}, "slices": {"who": if i % 100 == 7 { KIM } else { "others" }}})
    };
    let lines: Vec<String> = (0..n).map(|i| event(i).to_string()).collect();
    let labels: Vec<String> =
        (0..n).map(|i| json!({"id": format!("{name}-{i}"), "label": i % 2}).to_string()).collect();
    let home = agent.home().path();
    std::fs::write(home.join("p.ndjson"), lines.join("\n")).unwrap();
    std::fs::write(home.join("l.ndjson"), labels.join("\n")).unwrap();
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    agent.cli(&["labels", "add", "l.ndjson"]).expect(0);
    for file in ["p.ndjson", "l.ndjson"] {
        std::fs::remove_file(home.join(file)).unwrap();
    }
}

/// Where a text stands in the store's files, the write-ahead log among them.
fn stands_in(agent: &Agent, text: &str) -> Vec<String> {
    let folder = agent.home().path().join("data/opsroom");
    let holds = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path());
    files.filter(|p| p.is_file() && holds(p)).map(|p| p.display().to_string()).collect()
}

#[test]
fn a_person_is_erased_from_every_byte_of_the_store_and_what_still_holds_them_is_named() {
    let agent = Agent::start();
    let home = agent.home().path().to_owned();
    std::fs::write(home.join("train.csv"), format!("mail,y\n{KIM},1\n")).unwrap();
    std::fs::write(home.join("other.csv"), "mail,y\ntom@example.org,1\n").unwrap();
    agent.cli(&["data", "add", "train.csv", "--name", "train"]).expect(0);
    agent.cli(&["data", "add", "other.csv", "--name", "other"]).expect(0);
    ask(&agent, "r", 600);
    agent.cli(&["backup", "b1"]).expect(0);

    let dry = agent.cli(&["erase", "--key", KIM, "--dry-run", "--json"]).expect(0).json();
    assert_eq!(
        (&dry["found"]["predictions"], &dry["found"]["labels"], &dry["found"]["slices"]),
        (&json!(6), &json!(6), &json!(1)),
        "{dry}"
    );
    assert!(!stands_in(&agent, KIM).is_empty(), "it was there");
    assert_eq!(agent.cli(&["erase", "--key", KIM]).code, 3, "without a reason");
    assert_eq!(agent.cli(&["erase", "--key", "k", "--reason", "x"]).code, 2);
    assert_eq!(agent.cli_at(agent.url(), &["erase", "--key", KIM, "--reason", "x"]).code, 6);

    let done = agent.cli(&["erase", "--key", KIM, "--reason", "request 4711", "--json"]).expect(0).json();
    assert_eq!(done["state"], "done", "{done}");
    let found = &done["found"];
    assert_eq!(
        (&found["predictions"], &found["labels"], &found["samples"], &found["slices"]),
        (&json!(6), &json!(6), &json!(6), &json!(1)),
        "{done}"
    );
    let holders: Vec<(&str, &str)> = found["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["kind"].as_str().unwrap(), h["name"].as_str().unwrap()))
        .collect();
    assert_eq!(holders.len(), 2, "{holders:?}");
    assert_eq!(holders[0], ("dataset", "train@1 train.csv"));
    assert!(holders[1].0 == "backup" && holders[1].1.contains("/b1 of "), "{holders:?}");
    assert_eq!(stands_in(&agent, KIM), Vec::<String>::new(), "not in the tables, nor in free pages, nor in the log");

    // The others are all there, and the trail knows a digest.
    let standing = agent.cli(&["quality", "loans", "--json"]).expect(0).json();
    assert_eq!(standing["versions"][0]["n"], 600, "counts of many people stay: {standing}");
    let record = agent.cli(&["audit", "list", "--json"]).expect(0).json();
    let record = &record["records"][0];
    assert_eq!(
        (&record["command"], &record["target"]),
        (&json!("erase-person"), &json!(format!("person {}", done["digest"].as_str().unwrap())))
    );
    assert!(!record.to_string().contains("o'hara"));
    agent.cli(&["audit", "verify"]).expect(0);
    let again = agent.cli(&["erase", "--key", KIM, "--reason", "once more", "--json"]).expect(0).json();
    assert_eq!((&again["digest"], &again["found"]["predictions"]), (&done["digest"], &json!(0)));
    // By the id alone.
    let one = agent.cli(&["erase", "--id", "r-8", "--reason", "request 4712", "--json"]).expect(0).json();
    assert_eq!(
        (&one["found"]["predictions"], &one["found"]["labels"], &one["found"]["samples"]),
        (&json!(1), &json!(1), &json!(1)),
        "{one}"
    );
    assert_eq!(stands_in(&agent, "p8@example.org"), Vec::<String>::new());
}

#[test]
fn an_erasure_that_was_killed_is_ended_by_the_next_start() {
    let mut agent = Agent::start();
    for part in 0..6 {
        ask(&agent, &format!("part{part}"), 5000);
    }
    let begun = agent.cli(&["erase", "--key", KIM, "--reason", "request 1", "--no-wait", "--json"]).expect(0).json();
    assert_eq!(begun["state"], "begun", "{begun}");
    assert!(!stands_in(&agent, KIM).is_empty(), "it is not done yet");
    // Before it began, and several times on the way.
    for wait in [0, 60, 120, 250] {
        std::thread::sleep(std::time::Duration::from_millis(wait));
        agent = Agent::start_in(agent.kill(), &[]);
    }
    let digest = begun["digest"].as_str().unwrap().to_owned();
    let state = || agent.cli(&["erase", "--digest", &digest, "--json"]).expect(0).json();
    super::support::eventually("the erasure's end", || state()["state"] == "done");
    assert_eq!(stands_in(&agent, KIM), Vec::<String>::new());
    let left = agent.cli(&["quality", "loans", "--json"]).expect(0).json();
    assert_eq!(left["versions"][0]["n"], 30_000, "{left}");
}
