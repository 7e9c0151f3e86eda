//! `opsroom export --all DIR`: everything that the store holds, in forms that need no opsroom: Parquet, JSON, and the files
//! themselves. What an earlier export into the folder has copied whole is not copied again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Args;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::backup::Bar;
use super::print::{self, Page};
use super::{Exit, Session};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::capability::tracking::points;
use crate::capability::wire::ExportTable;
use crate::client::Client;
use crate::local::data::{self, Cache, Checkout};
use crate::local::table::write::{Cell, Writer};

/// Take everything out of the store
#[derive(Debug, Args)]
pub struct ExportAll {
    /// A new folder, or one that an export has begun to fill
    #[arg(long, value_name = "DIR")]
    all: PathBuf,
}

const HEAD: &str = "export.json";

/// What stands in the folder, and from where.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    store: String,
    opsroom: String,
    made: Timestamp,
    /// False while it goes on.
    complete: bool,
    /// Rows by table.
    tables: BTreeMap<String, u64>,
    points: u64,
    datasets: u64,
    files: u64,
    bytes: u64,
    /// Files that were there from before.
    kept: u64,
}

/// # Errors
/// `Denied`, `Exists` for a folder of something else, `Unavailable`.
pub(super) async fn run(session: &Session, it: ExportAll) -> Result<Exit> {
    let client = session.client().await?;
    let status = client.status().await?;
    let mut head = Head {
        store: status.store,
        opsroom: status.version,
        made: SystemClock.now(),
        complete: false,
        tables: BTreeMap::new(),
        points: 0,
        datasets: 0,
        files: 0,
        bytes: 0,
        kept: 0,
    };
    let to = Folder::open(&it.all, &head)?;
    let bar = Bar::default();
    let done = everything(session, client, &to, &mut head, &bar).await;
    bar.clear();
    done?;
    head.complete = true;
    to.json(HEAD, &head)?;
    print::answer(session.format, &head, |h| page(&it.all, h))?;
    Ok(Exit::Done)
}

fn page(to: &Path, head: &Head) -> Page {
    let rows: u64 = head.tables.values().sum();
    Page::default().pairs([
        ("export", to.display().to_string()),
        ("tables", format!("{}, {} rows", head.tables.len(), show::count(rows))),
        ("metric points", show::count(head.points)),
        ("data versions", head.datasets.to_string()),
        ("files", format!("{}, {} ({} were there)", head.files, show::bytes(head.bytes), head.kept)),
    ])
}

/// The folder that fills.
struct Folder(PathBuf);

impl Folder {
    fn open(path: &Path, head: &Head) -> Result<Self> {
        let problem = |e: std::io::Error| cannot(path, &e);
        std::fs::create_dir_all(path).map_err(problem)?;
        let to = Self(path.to_owned());
        match std::fs::read(path.join(HEAD)) {
            Ok(bytes) => {
                let known: Option<Head> = serde_json::from_slice(&bytes).ok();
                if known.is_none_or(|k| k.store != head.store) {
                    return Err(Fault::exists(format!("{} holds the export of another store", path.display()))
                        .next("name a new folder"));
                }
            }
            Err(_) if std::fs::read_dir(path).map_err(problem)?.next().is_some() => {
                return Err(Fault::exists(format!("{} is not empty", path.display())).next("name a new folder"));
            }
            Err(_) => {}
        }
        to.json(HEAD, head)?;
        Ok(to)
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| cannot(folder, &e))?;
        }
        Ok(path)
    }

    fn json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|e| Fault::bug("export").why(e.to_string()))?;
        super::export::write(&self.place(name)?, &bytes)
    }
}

fn cannot(path: &Path, e: &std::io::Error) -> Fault {
    Fault::unavailable(format!("cannot write {}", path.display())).why(e.to_string())
}

async fn everything(session: &Session, client: &Client, to: &Folder, head: &mut Head, bar: &Bar) -> Result<()> {
    let tables = client.export_tables().await?;
    let mut metrics = Metrics::open(to)?;
    for (nth, table) in tables.iter().enumerate() {
        bar.show("tables", nth as u64, tables.len() as u64);
        let rows = one_table(client, to, table, &mut metrics).await?;
        head.tables.insert(table.name.clone(), rows);
    }
    head.points = metrics.writer.finish()?;
    documents(client, to).await?;
    examples(client, to).await?;
    head.datasets = datasets(session, client, to, bar).await?;
    files(client, to, head, bar).await
}

/// Points of all metrics, out of their chunks and out of runs whose metric has one.
struct Metrics {
    writer: Writer,
}

impl Metrics {
    fn open(to: &Folder) -> Result<Self> {
        let columns =
            [("run_id", "text"), ("key", "text"), ("step", "integer"), ("time_ms", "integer"), ("value", "real")];
        let columns: Vec<_> = columns.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
        Ok(Self { writer: Writer::create(&to.place("metrics.parquet")?, &columns)? })
    }

    fn put(&mut self, run: &str, key: &str, step: i64, time: i64, value: f64) -> Result<()> {
        let texts = [run, key].map(|t| Cell::Text(t.to_owned()));
        let [run, key] = texts;
        self.writer.row(vec![run, key, Cell::Integer(step), Cell::Integer(time), Cell::Real(value)])
    }

    fn chunk(&mut self, row: &BTreeMap<&str, &Cell>) -> Result<()> {
        let (Some(Cell::Text(run)), Some(Cell::Text(key)), Some(Cell::Bytes(payload))) =
            (row.get("run_id"), row.get("key"), row.get("payload"))
        else {
            return Ok(());
        };
        let damaged =
            |e| Fault::unavailable(format!("points of {key} of run {run} cannot be read")).why(format!("{e}"));
        for p in points::unpack(payload).map_err(damaged)? {
            self.put(run, key, p.step, p.timestamp, p.value)?;
        }
        Ok(())
    }

    /// A metric with one point has no chunk: its run's document holds it.
    fn run(&mut self, row: &BTreeMap<&str, &Cell>) -> Result<()> {
        let (Some(Cell::Text(id)), Some(Cell::Text(doc))) = (row.get("run_id"), row.get("doc")) else { return Ok(()) };
        let run: crate::capability::tracking::Run = serde_json::from_slice(doc.as_bytes())
            .map_err(|e| Fault::unavailable(format!("run {id} cannot be read")).why(e.to_string()))?;
        for (key, latest) in run.metrics.iter().filter(|(_, latest)| latest.count == 1) {
            self.put(id, key.as_str(), latest.step, latest.timestamp, latest.value)?;
        }
        Ok(())
    }
}

async fn one_table(client: &Client, to: &Folder, table: &ExportTable, metrics: &mut Metrics) -> Result<u64> {
    let mut writer = Writer::create(&to.place(&format!("tables/{}.parquet", table.name))?, &table.columns)?;
    let take = |row: Vec<Value>| {
        let cells: Vec<Cell> =
            row.into_iter().zip(&table.columns).map(|(v, (_, kind))| cell(v, kind)).collect::<Result<_>>()?;
        let by_name: BTreeMap<&str, &Cell> = table.columns.iter().map(|(n, _)| n.as_str()).zip(&cells).collect();
        match table.name.as_str() {
            "metric_chunks" => metrics.chunk(&by_name)?,
            "runs" => metrics.run(&by_name)?,
            _ => {}
        }
        writer.row(cells)
    };
    client.export_rows(&table.name, take).await?;
    writer.finish()
}

fn cell(value: Value, kind: &str) -> Result<Cell> {
    let wrong = |v: &Value| Fault::bug(format!("{v} is no {kind}"));
    Ok(match (kind, value) {
        (_, Value::Null) => Cell::Missing,
        ("integer", v) => Cell::Integer(v.as_i64().ok_or_else(|| wrong(&v))?),
        ("real", v) => Cell::Real(v.as_f64().or_else(|| v.as_str()?.parse().ok()).ok_or_else(|| wrong(&v))?),
        ("truth", v) => Cell::Truth(v.as_bool().ok_or_else(|| wrong(&v))?),
        ("text", Value::String(text)) => Cell::Text(text),
        ("bytes", Value::String(text)) => {
            Cell::Bytes(BASE64_STANDARD.decode(text).map_err(|e| Fault::bug("bytes").why(e.to_string()))?)
        }
        (_, v) => return Err(wrong(&v)),
    })
}

/// The same in words that people read.
async fn documents(client: &Client, to: &Folder) -> Result<()> {
    to.json("json/experiments.json", &client.experiments().await?)?;
    to.json("json/models.json", &client.models(None).await?)?;
    to.json("json/datasets.json", &client.datasets().await?)?;
    to.json("json/suites.json", &client.suites().await?)?;
    to.json("json/gates.json", &client.gates(None).await?)?;
    to.json("json/services.json", &client.services().await?)?;
    to.json("json/alert-rules.json", &client.alert_rules().await?)?;
    to.json("json/incidents.json", &client.incidents(None).await?)?;
    to.json("json/prices.json", &client.cost_book().await?)?;
    to.json("json/monitoring.json", &client.monitoring().await?)
}

/// Labels and predictions of evals, packed as they are kept.
async fn examples(client: &Client, to: &Folder) -> Result<()> {
    for model in client.models(None).await? {
        for result in client.evals(&model.model.name, None).await? {
            for digest in [&result.truth, &result.predicted] {
                let path = to.place(&format!("evals/{}", digest.trim_start_matches("blake3:")))?;
                if !path.exists() {
                    super::export::write(&path, &client.examples(digest).await?)?;
                }
            }
        }
    }
    Ok(())
}

async fn datasets(session: &Session, client: &Client, to: &Folder, bar: &Bar) -> Result<u64> {
    let cache = Cache::new(session.loaded.paths.cache.clone());
    let mut done = 0;
    for dataset in client.datasets().await? {
        for version in &dataset.versions {
            let number = version.version.version;
            let manifest = client.manifest(&dataset.name, number).await?;
            let folder = to.place(&format!("data/{}@{number}/x", dataset.name))?;
            let folder = folder.parent().unwrap_or(&to.0).to_owned();
            let how = Checkout { to: &folder, as_file: false, force: true, hard_link: false };
            let told = |_: data::Step, n: u64, of: u64| bar.show("data", n, of);
            data::checkout(client, &manifest, how, &cache, &told).await?;
            done += 1;
        }
    }
    Ok(done)
}

async fn files(client: &Client, to: &Folder, head: &mut Head, bar: &Bar) -> Result<()> {
    let all = client.export_files().await?;
    let total: u64 = all.iter().map(|f| f.bytes).sum();
    for file in &all {
        bar.show_bytes("files", head.bytes, total);
        let path = to.place(&format!("artifacts/{}", file.path))?;
        if std::fs::metadata(&path).is_ok_and(|m| m.len() == file.bytes) {
            head.kept += 1;
        } else {
            copy(client, &file.path, &path).await?;
        }
        head.files += 1;
        head.bytes += file.bytes;
    }
    Ok(())
}

/// A file is there as a whole or not at all.
async fn copy(client: &Client, from: &str, to: &Path) -> Result<()> {
    let mut partial = to.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let mut file = tokio::fs::File::create(&partial).await.map_err(|e| cannot(to, &e))?;
    let mut bytes = std::pin::pin!(client.artifact_at(from).await?);
    while let Some(piece) = bytes.next().await {
        file.write_all(&piece?).await.map_err(|e| cannot(to, &e))?;
    }
    file.sync_data().await.map_err(|e| cannot(to, &e))?;
    std::fs::rename(&partial, to).map_err(|e| cannot(to, &e))
}
