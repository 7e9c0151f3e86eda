//! `opsroom artifact`: files that runs have logged.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use futures::StreamExt;
use serde::Serialize;

use super::print::{self, Page, Table};
use super::{Exit, Session, select};
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result, show};
use crate::capability::wire::ArtifactEntry;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// What lies in a run's folder
    List {
        run: String,
        /// A folder inside
        #[arg(default_value = "", hide_default_value = true)]
        path: String,
        /// With all that lies deeper
        #[arg(long, short = 'r')]
        recursive: bool,
    },
    /// Copy a file or a folder to here
    Get {
        run: String,
        path: String,
        /// Where to; `-` is stdout, for a file
        #[arg(long, short = 'o', value_name = "PATH")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Serialize)]
struct Got {
    run: String,
    files: Vec<String>,
    bytes: u64,
}

/// # Errors
/// `NotFound`, also when the artifacts lie elsewhere.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    let client = session.client().await?;
    match verb {
        Verb::List { run, path, recursive } => {
            let id = select::run(client, &run).await?;
            let entries = if recursive { tree(client, id, &path).await? } else { client.artifacts(id, &path).await? };
            print::answer(session.format, &entries, |entries| entries_page(entries))?;
        }
        Verb::Get { run, path, out } => {
            let id = select::run(client, &run).await?;
            get(session, client, id, path.trim_matches('/'), out).await?;
        }
    }
    Ok(Exit::Done)
}

fn entries_page(entries: &[ArtifactEntry]) -> Page {
    if entries.is_empty() {
        return Page::default().line("nothing was logged here");
    }
    let mut table = Table::new(&["SIZE>", "PATH"]);
    for e in entries {
        let (size, path) =
            if e.is_dir { (String::new(), format!("{}/", e.path)) } else { (show::bytes(e.size), e.path.clone()) };
        table.row([size, path]);
    }
    table.into()
}

/// All files beneath a folder.
async fn tree(client: &Client, id: RunId, path: &str) -> Result<Vec<ArtifactEntry>> {
    let mut folders = vec![path.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in client.artifacts(id, &folder).await? {
            if entry.is_dir {
                folders.push(entry.path);
            } else {
                files.push(entry);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

async fn get(session: &Session, client: &Client, id: RunId, path: &str, out: Option<PathBuf>) -> Result<()> {
    let beneath = tree(client, id, path).await?;
    if out.as_deref() == Some(Path::new("-")) {
        return stream(client, id, path, &mut std::io::stdout()).await.map(drop);
    }
    let name = path.rsplit('/').next().filter(|n| !n.is_empty()).unwrap_or("artifacts");
    let root = out.unwrap_or_else(|| PathBuf::from(name));
    let mut got = Got { run: id.to_string(), files: Vec::new(), bytes: 0 };
    // A file has nothing beneath it; a folder that is not there has not either, and says so when it is asked for.
    let files: Vec<(String, PathBuf)> = if beneath.is_empty() {
        vec![(path.to_owned(), root)]
    } else {
        let below = |full: &str| full[path.len()..].trim_start_matches('/').to_owned();
        beneath.iter().map(|e| (e.path.clone(), root.join(below(&e.path)))).collect()
    };
    for (from, to) in files {
        got.bytes += save(client, id, &from, &to).await?;
        got.files.push(to.display().to_string());
    }
    print::answer(session.format, &got, |got| {
        let what = if got.files.len() == 1 { got.files[0].clone() } else { format!("{} files", got.files.len()) };
        Page::default().line(format!("{what} ({})", show::bytes(got.bytes)))
    })
}

async fn save(client: &Client, id: RunId, from: &str, to: &Path) -> Result<u64> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string());
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let mut file = std::fs::File::create(&partial).map_err(problem)?;
    match stream(client, id, from, &mut file).await {
        Ok(bytes) => {
            std::fs::rename(&partial, to).map_err(problem)?;
            Ok(bytes)
        }
        Err(fault) => {
            let _ = std::fs::remove_file(&partial);
            Err(fault)
        }
    }
}

async fn stream(client: &Client, id: RunId, path: &str, out: &mut impl Write) -> Result<u64> {
    let mut parts = std::pin::pin!(client.artifact(id, path, None).await?);
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        let part = part?;
        out.write_all(&part).map_err(|e| Fault::unavailable("cannot write").why(e.to_string()))?;
        bytes += part.len() as u64;
    }
    Ok(bytes)
}
