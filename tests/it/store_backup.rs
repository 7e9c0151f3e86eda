//! Backup while others write, and restore into an empty place: from either engine into either, to the bit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opsroom::agent;
use opsroom::base::id::RunId;
use opsroom::base::{Kind, Timestamp};
use opsroom::capability::registry::{self, Stage, VersionDoc};
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Key, MetricPoint};
use opsroom::capability::wire::{BackupStep, Restored};
use opsroom::capability::{Command, Ctx, Envelope, audit, perform};
use opsroom::config::AgentSettings;
use opsroom::db::backup::{self, Manifest};
use opsroom::db::{Db, Pool, Source, tables};
use sqlx::Row as _;

use super::stores::{Place, kim, on_each_engine, on_postgres};
use super::support::Agent;

#[tokio::test]
async fn every_table_and_column_is_listed() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let mut listed = BTreeMap::new();
        for table in tables::TABLES {
            listed.insert(table.name.to_owned(), table.columns.iter().map(|(c, _)| (*c).to_owned()).collect());
        }
        assert_eq!(schema(&db).await, listed, "a new table or column belongs into db::tables");
    })
    .await;
}

/// Tables and columns as the engine tells them, without the store's own book-keeping.
async fn schema(db: &Db) -> BTreeMap<String, BTreeSet<String>> {
    const SQLITE: &str =
        "select m.name, c.name from sqlite_schema m, pragma_table_info(m.name) c where m.type = 'table'";
    const POSTGRES: &str =
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'public'";
    let rows: Vec<(String, String)> = match db.read() {
        Pool::Sqlite(pool) => sqlx::query_as(SQLITE).fetch_all(pool).await.unwrap(),
        Pool::Postgres(pool) => sqlx::query_as(POSTGRES).fetch_all(pool).await.unwrap(),
    };
    let mut schema: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let own = ["schema_version", "store_holder", "store_writer"];
    for (table, column) in rows.into_iter().filter(|(table, _)| !own.contains(&table.as_str())) {
        schema.entry(table).or_default().insert(column);
    }
    schema
}

fn batch(step: i64) -> Batch {
    let value = if step % 3 == 0 { f64::NAN } else { 0.1 * step as f64 };
    let metric =
        |key: &str| MetricPoint { key: Key::from(key), value, timestamp: step, step, model: None, dataset: None };
    let params = vec![(format!("p{step}"), "é\u{0}".to_owned())];
    Batch { metrics: vec![metric("a"), metric("b")], params, ..Batch::default() }
}

/// Runs, points folded and not, a registered version on frozen artifacts, an audit trail.
async fn lived_in(ctx: &Ctx) -> RunId {
    let run = ctx.tracking.create_run(NewRun::default()).await.unwrap();
    for step in 0..50 {
        ctx.tracking.log(run, batch(step)).await.unwrap();
    }
    ctx.tracking.fold().await.unwrap();
    for step in 50..90 {
        ctx.tracking.log(run, batch(step)).await.unwrap();
    }
    for (path, bytes) in [("model/MLmodel", "flavors:"), ("model/weights ü#1.bin", "\u{0}\u{1}"), ("notes.txt", "")] {
        ctx.artifacts.blobs().put(&format!("0/{run}/artifacts/{path}"), bytes.to_owned().into()).await.unwrap();
    }
    let doc =
        VersionDoc { source: format!("runs:/{run}/model"), run_id: Some(run.to_string()), ..VersionDoc::default() };
    let model = || "m".to_owned();
    let register = registry::Command::RegisterVersion { model: model(), create: true, import: None, doc };
    let promote = registry::Command::SetStage { model: model(), version: 1, stage: Stage::Prod, archive_others: false };
    for command in [register, promote] {
        perform(ctx, &kim(), Envelope::new(Command::Registry(command), "because")).await.unwrap();
    }
    run
}

/// Everything that can be asked, as text.
async fn told(ctx: &Ctx, run: RunId) -> String {
    let source = || Source::Pool(ctx.db.read());
    let document = ctx.tracking.read(|s| s.run(run).cloned()).unwrap();
    let history: Vec<_> =
        ctx.tracking.history(run, "a").await.unwrap().iter().map(|p| (p.step, p.value.to_bits())).collect();
    let models = registry::models(source(), None).await.unwrap();
    let past = registry::models(source(), Some(Timestamp(1_500_000))).await.unwrap();
    let verified = audit::verify(ctx.db.read(), &[]).await.unwrap();
    assert!(verified.ok, "{verified:?}");
    let files = ctx.artifacts.blobs().tree("").await.unwrap();
    let digest = ctx.artifacts.digest("").await.unwrap();
    serde_json::to_string(&(document, history, models, past, verified, files, digest.digest)).unwrap()
}

async fn back_up(ctx: &Ctx, to: &Path) -> Manifest {
    backup::make(&ctx.db, ctx.artifacts.blobs(), to, Timestamp(7), &|_| ()).await.unwrap()
}

async fn restore(from: &Path, place: &Place) -> opsroom::base::fault::Result<Restored> {
    let artifacts = place.path().join("artifacts").display().to_string();
    let settings = AgentSettings { store: place.url_text(), artifacts, ..AgentSettings::default() };
    agent::restore(from, &settings, &|_, _, _| ()).await
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up() {
    on_each_engine(async |from| {
        let ctx = from.ctx().await;
        let run = lived_in(&ctx).await;
        let folder = from.path().join("backup");
        let manifest = back_up(&ctx, &folder).await;
        assert!(manifest.artifacts.len() >= 3 && manifest.store.bytes > 0);
        let before = told(&ctx, run).await;
        on_each_engine(async |to| {
            restore(&folder, to).await.unwrap();
            let restored = to.ctx().await;
            assert_eq!(told(&restored, run).await, before, "{} to {}", from.url, to.url);
            let path = format!("0/{run}/artifacts/model/MLmodel");
            let frozen = restored.artifacts.delete(&path).await.unwrap_err();
            assert_eq!(frozen.kind, Kind::Refused, "the freeze is restored too");
            // And it can be written to.
            restored.tracking.log(run, batch(100)).await.unwrap();
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_backup_goes_on_while_others_write_and_is_one_snapshot() {
    on_each_engine(async |from| {
        let ctx = from.ctx().await;
        let run = lived_in(&ctx).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tracking = ctx.tracking.clone();
        let writer = tokio::spawn(async move {
            let mut step = 90;
            while !*stopped.borrow() {
                tracking.log(run, batch(step)).await.unwrap();
                step += 1;
                if step % 40 == 0 {
                    tracking.fold().await.unwrap();
                }
            }
            step
        });
        for n in 0..4 {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            let folder = from.path().join(format!("backup-{n}"));
            back_up(&ctx, &folder).await;
            let to = Place::sqlite();
            restore(&folder, &to).await.unwrap();
            let restored = to.ctx().await;
            let steps = async |key: &str| -> Vec<i64> {
                restored.tracking.history(run, key).await.unwrap().iter().map(|p| p.step).collect()
            };
            let (a, b) = (steps("a").await, steps("b").await);
            let params = restored.tracking.read(|s| s.run(run).map(|r| r.params.len())).unwrap();
            assert_eq!(a, (0..a.len() as i64).collect::<Vec<_>>(), "without a gap");
            assert!(a == b && a.len() == params, "half a write is in the backup");
        }
        stop.send_replace(true);
        assert!(writer.await.unwrap() > 90);
    })
    .await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_written() {
    let from = Place::sqlite();
    let ctx = from.ctx().await;
    let run = lived_in(&ctx).await;
    let notes = format!("artifacts/0/{run}/artifacts/notes.txt");
    type Damage<'a> = &'a dyn Fn(&Path);
    let damages: [(&str, Damage<'_>); 6] = [
        (&notes, &|f| std::fs::write(f.join(&notes), "changed").unwrap()),
        (&notes, &|f| std::fs::remove_file(f.join(&notes)).unwrap()),
        ("store.db", &|f| {
            let mut bytes = std::fs::read(f.join("store.db")).unwrap();
            bytes[9000] ^= 1;
            std::fs::write(f.join("store.db"), bytes).unwrap();
        }),
        ("no whole backup", &|f| std::fs::remove_file(f.join("manifest.json")).unwrap()),
        ("newer opsroom", &|f| edit(f, |m| m.schema += 1)),
        ("Invalid path", &|f| edit(f, |m| m.artifacts[0].path = "../../etc/passwd".to_owned())),
    ];
    for (n, (words, damage)) in damages.into_iter().enumerate() {
        let folder = from.path().join(format!("backup-{n}"));
        back_up(&ctx, &folder).await;
        damage(&folder);
        let to = Place::sqlite();
        let refusal = restore(&folder, &to).await.unwrap_err();
        let said = words.strip_prefix("artifacts/").unwrap_or(words);
        assert!(refusal.to_string().contains(said), "{n}: {refusal}");
        assert!(!to.file().exists() && !to.path().join("artifacts").exists(), "{n}");
    }
}

fn edit(folder: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = folder.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[tokio::test]
async fn only_empty_places_are_filled() {
    let from = Place::sqlite();
    let ctx = from.ctx().await;
    lived_in(&ctx).await;
    let folder = from.path().join("backup");
    back_up(&ctx, &folder).await;
    let again = backup::make(&ctx.db, ctx.artifacts.blobs(), &folder, Timestamp(7), &|_| ()).await.unwrap_err();
    assert_eq!(again.kind, Kind::Exists);
    let inside = from.path().join("artifacts/backup");
    let inside = backup::make(&ctx.db, ctx.artifacts.blobs(), &inside, Timestamp(7), &|_| ()).await.unwrap_err();
    assert_eq!(inside.kind, Kind::Invalid);
    on_each_engine(async |to| {
        restore(&folder, to).await.unwrap();
        assert_eq!(restore(&folder, to).await.unwrap_err().kind, Kind::Exists);
    })
    .await;
    on_postgres(async |to| {
        std::fs::create_dir_all(to.path().join("artifacts")).unwrap();
        std::fs::write(to.path().join("artifacts/x"), "mine").unwrap();
        assert_eq!(restore(&folder, to).await.unwrap_err().kind, Kind::Exists);
        let db = Db::open(&to.url).await.unwrap();
        let tables: i64 = match db.read() {
            Pool::Postgres(pool) => {
                let count = "select count(*) from information_schema.tables where table_name = 'runs'";
                sqlx::query(count).fetch_one(pool).await.unwrap().get(0)
            }
            Pool::Sqlite(_) => unreachable!("on PostgreSQL"),
        };
        assert_eq!(tables, 0, "the store stays empty");
    })
    .await;
}

#[tokio::test]
async fn the_agent_backs_itself_up_and_tells_how_far_it_is() {
    let agent = Agent::start();
    let client = agent.client();
    std::fs::write(Path::new(&client.status().await.unwrap().artifacts).join("a.txt"), "hello").unwrap();
    let to = agent.home().path().join("kept/backup");
    let mut steps = Vec::new();
    let done = client.backup(to.to_str().unwrap(), |s| steps.push(s.clone())).await.unwrap();
    assert!(matches!(done, BackupStep::Done { files: 1, .. }), "{done:?}");
    assert_eq!(steps.first(), Some(&BackupStep::Store));
    assert_eq!(steps.last(), Some(&BackupStep::Artifacts { done: 1, of: 1 }));
    let again = client.backup(to.to_str().unwrap(), |_| ()).await.unwrap_err();
    assert_eq!(again.kind, Kind::Exists);
    assert_eq!(client.backup("here", |_| ()).await.unwrap_err().kind, Kind::Invalid);
    backup::verify(&to, &|_| ()).unwrap();
}

#[test]
fn from_the_command_line() {
    let agent = Agent::start();
    let (to, other) = (agent.home().path().join("backup"), agent.home().path().join("other/opsroom.db"));
    let (to, other) = (to.to_str().unwrap(), other.to_str().unwrap());
    let artifacts = format!("{other}.artifacts");
    let done = agent.cli(&["backup", to, "--json"]).expect(0).json();
    assert_eq!((done["backup"].as_str(), done["files"].as_u64()), (Some(to), Some(0)));
    agent.cli(&["backup", to]).expect(7);
    let restore = ["restore", to, "--store", other, "--artifacts", &artifacts];
    let done = agent.cli(&[&restore[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(done["store"], format!("sqlite:{other}"));
    agent.cli(&restore).expect(7);
    agent.cli(&["restore", "nowhere", "--store", "x.db"]).expect(4);
    let wrong = agent.cli(&["restore", to, "--store", agent.home().store().to_str().unwrap()]).expect(5);
    assert!(wrong.stderr.contains("in use"), "{}", wrong.stderr);
}
