//! `opsroom audit evidence MODEL VERSION --to FOLDER`: all that an auditor asks of one version, in one folder of plain files
//! with their digests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Fault, Kind, fault::Result, show};
use crate::capability::audit::{AuditQuery, Record};
use crate::capability::cost::{Asked, By};
use crate::client::Client;

/// Records of one page, and of all of them.
const PAGE: usize = 500;
const RECORDS_MAX: usize = 100_000;

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    folder: PathBuf,
    files: BTreeMap<String, String>,
    /// Whether the audit chain held while it was read.
    chain_holds: bool,
    /// What could not be had, and why.
    missing: Vec<String>,
}

/// A folder that fills.
struct Folder {
    path: PathBuf,
    files: BTreeMap<String, String>,
    missing: Vec<String>,
}

impl Folder {
    /// Only a folder that is new or empty: nothing of an earlier one is mixed in.
    fn open(path: &Path) -> Result<Self> {
        let problem = |e: std::io::Error| Fault::invalid(format!("cannot write {}", path.display())).why(e.to_string());
        std::fs::create_dir_all(path).map_err(problem)?;
        if std::fs::read_dir(path).map_err(problem)?.next().is_some() {
            return Err(Fault::invalid(format!("{} is not empty", path.display())).next("name a new folder"));
        }
        Ok(Self { path: path.to_owned(), files: BTreeMap::new(), missing: Vec::new() })
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let problem = |e: std::io::Error| Fault::invalid(format!("cannot write {}", path.display())).why(e.to_string());
        std::fs::create_dir_all(path.parent().unwrap_or(&self.path)).map_err(problem)?;
        std::fs::write(&path, bytes).map_err(problem)?;
        self.files.insert(name.to_owned(), format!("blake3:{}", blake3::hash(bytes).to_hex()));
        Ok(())
    }

    fn json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|e| Fault::bug("evidence").why(e.to_string()))?;
        self.put(name, &bytes)
    }

    /// What is not there is told as missing; an agent that went away ends the whole.
    fn take<T: Serialize>(&mut self, name: &str, found: Result<T>) -> Result<()> {
        match found {
            Ok(value) => self.json(name, &value),
            Err(fault) if fault.kind == Kind::Unavailable => Err(fault),
            Err(fault) => {
                self.missing.push(format!("{name}: {fault}"));
                Ok(())
            }
        }
    }
}

/// # Errors
/// `NotFound` for the version, `Invalid` for a folder that is not empty.
pub(super) async fn write(session: &Session, model: &str, version: &str, to: &Path) -> Result<Exit> {
    let client = session.client().await?;
    let number: u32 = version
        .trim_start_matches('v')
        .parse()
        .map_err(|_| Fault::invalid(format!("{version:?} is no version's number")).next("write it as 3 or v3"))?;
    let view = client.model(model, None).await?;
    let of = view.versions.iter().find(|v| v.version == number).cloned().ok_or_else(|| {
        Fault::not_found(format!("{model} has no version {number}")).next(format!("see `opsroom model show {model}`"))
    })?;
    let mut folder = Folder::open(to)?;
    let history: Vec<_> = view.history.iter().filter(|h| h.version == number || h.version == 0).collect();
    folder.json("version.json", &json!({"model": view.model, "version": of, "history": history}))?;
    folder.put("card.md", card(model, number, &view.model.description, &of.doc.description).as_bytes())?;
    folder.take("files.json", client.version_files(model, number, true).await)?;
    if let Some(run) = of.doc.run_id.as_ref().and_then(|id| id.parse().ok()) {
        folder.take("training/run.json", client.run(run).await)?;
        folder.take("training/grade.json", client.grade(run).await)?;
    } else {
        folder.missing.push("training: the version names no run".to_owned());
    }
    for data in &of.doc.datasets {
        let Some(kept) = data.version else {
            folder.missing.push(format!("data {}: its bytes are not kept here", data.name));
            continue;
        };
        let name = safe(&format!("{}@{kept}", data.name));
        let manifest = client.manifest(&data.name, kept).await.map(|manifest| {
            let file = |f: &crate::capability::datasets::manifest::FileEntry| {
                json!({"path": f.path, "bytes": f.size, "digest": f.digest})
            };
            json!({"digest": manifest.tree_digest(), "files": manifest.files.iter().map(file).collect::<Vec<_>>()})
        });
        folder.take(&format!("data/{name}.manifest.json"), manifest)?;
        folder.take(&format!("data/{name}.profile.json"), client.profile(&data.name, kept).await)?;
    }
    folder.take("evals.json", client.evals(model, Some(number)).await)?;
    gates(client, &mut folder, model, number).await?;
    served(client, &mut folder, model, number).await?;
    let records = records(client, model).await?;
    folder.json("audit/records.json", &records)?;
    let proof = client.verify_audit(&[]).await?;
    folder.json("audit/proof.json", &proof)?;
    let index = index(model, number, &folder, proof.ok, records.len());
    folder.put("README.md", index.as_bytes())?;
    let digests: String = folder.files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    folder.put("DIGESTS", digests.as_bytes())?;
    let written = Written { folder: folder.path, files: folder.files, chain_holds: proof.ok, missing: folder.missing };
    print::answer(session.format, &written, page)?;
    Ok(if written.chain_holds { Exit::Done } else { Exit::Difference })
}

fn card(model: &str, version: u32, about_model: &str, about_version: &str) -> String {
    format!("# {model} v{version}\n\n{about_model}\n\n{about_version}\n")
}

/// A name as a file's.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.@".contains(c) { c } else { '_' }).collect()
}

/// What it had to pass, each verdict with the case that it was made from, and who gave their word.
async fn gates(client: &Client, folder: &mut Folder, model: &str, version: u32) -> Result<()> {
    let standing = client.gates(Some(model)).await?;
    let mine = |value: &Value| value["version"].as_u64() == Some(u64::from(version));
    let told = serde_json::to_value(&standing).unwrap_or_default();
    let of = |key: &str| told[key].as_array().into_iter().flatten().filter(|v| mine(v)).cloned().collect::<Vec<_>>();
    let (waivers, approvals, decisions) = (of("waivers"), of("approvals"), of("decisions"));
    folder.json("gates/gates.json", &told["gates"])?;
    folder.json("gates/approvals.json", &approvals)?;
    folder.json("gates/waivers.json", &waivers)?;
    for id in decisions.iter().filter_map(|d| d["id"].as_i64()) {
        folder.take(&format!("gates/decision-{id}.json"), client.decision(id).await)?;
    }
    Ok(())
}

/// How it came to its callers, what went wrong then, and what it cost.
async fn served(client: &Client, folder: &mut Folder, model: &str, version: u32) -> Result<()> {
    for standing in client.services().await?.into_iter().filter(|s| s.service.model == model) {
        let name = safe(&standing.service.name);
        let mut view = client.service(&standing.service.name).await?;
        view.history.retain(|r| r.version == version || r.against == version);
        folder.json(&format!("serving/{name}.json"), &view)?;
        folder.take(&format!("serving/{name}.incidents.json"), client.incidents(Some(&standing.service.name)).await)?;
    }
    let asked = Asked { by: By::Version, ..Asked::default() };
    let cost = client.cost(&asked).await.map(|report| {
        let mine = |r: &crate::capability::cost::Row| r.version.as_deref() == Some(&version.to_string());
        json!({"window": report.window, "currency": report.currency, "rows": report.rows.into_iter().filter(mine).collect::<Vec<_>>()})
    });
    folder.take("serving/cost.json", cost)
}

/// Every record about the model, oldest first.
async fn records(client: &Client, model: &str) -> Result<Vec<Record>> {
    let mut all: Vec<Record> = Vec::new();
    let mut before = None;
    while all.len() < RECORDS_MAX {
        let query = AuditQuery { target: Some(model.to_owned()), before, limit: PAGE, ..AuditQuery::default() };
        let page = client.audit(&query).await?;
        let Some(last) = page.records.last() else { break };
        before = Some(last.seq);
        all.extend(page.records);
    }
    all.reverse();
    Ok(all)
}

fn index(model: &str, version: u32, folder: &Folder, chain_holds: bool, records: usize) -> String {
    let chain = if chain_holds { "holds" } else { "DOES NOT HOLD" };
    let missing: String = folder.missing.iter().map(|m| format!("- {m}\n")).collect();
    let missing = if missing.is_empty() { "- nothing\n".to_owned() } else { missing };
    format!(
        "# Evidence of {model} v{version}\n\nWritten {}. {records} audit records; the chain {chain} (audit/proof.json).\n\n\
         - version.json, card.md, files.json: what it is, who said what of it, and its files with digests\n\
         - training/, data/: the run that made it and the data that the run read\n\
         - evals.json, gates/: what it was measured on, what it had to pass, and who gave their word\n\
         - serving/: services, rollouts, incidents and cost\n\
         - audit/: every decision about {model}, and the proof that none is missing\n\
         - DIGESTS: BLAKE3 of each file\n\nNot to be had:\n\n{missing}",
        show::full(SystemClock.now()),
    )
}

fn page(written: &Written) -> Page {
    let mut table = Table::new(&["FILE", "DIGEST"]);
    for (name, digest) in &written.files {
        table.row([name.clone(), digest.chars().take(19).collect()]);
    }
    let mut page = Page::from(table).line(format!("{} files in {}", written.files.len(), written.folder.display()));
    for missing in &written.missing {
        page = page.line(format!("not to be had: {missing}"));
    }
    page
}
