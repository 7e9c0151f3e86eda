//! A backup: one snapshot of the store as a `SQLite` file, the artifacts, and a manifest with the digest of each file.
//!
//! The store is copied first and the artifacts after it, so that whatever the snapshot refers to is among them; the
//! manifest comes last, so that half a backup cannot pass for a whole one.

use std::io::Read;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::blobs::Blobs;
use super::{Db, Pool, StoreUrl, migrate, tables};
use crate::base::{Fault, Timestamp, fault::Result};

/// The layout of a backup's folder that this version writes and reads.
const LAYOUT: u32 = 1;
const STORE: &str = "store.db";
const ARTIFACTS: &str = "artifacts";
const MANIFEST: &str = "manifest.json";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub layout: u32,
    /// Version of opsroom that made it.
    pub opsroom: String,
    pub made: Timestamp,
    /// Version of the store's schema.
    pub schema: i64,
    pub store: File,
    pub artifacts: Vec<File>,
}

/// One file with what proves it whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub path: String,
    pub bytes: u64,
    /// `blake3:<hex>` of its bytes.
    pub digest: String,
}

/// How far a backup or a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Store,
    Artifacts { done: u64, of: u64 },
}

/// Backs store and artifacts up into an empty folder while others write on.
///
/// # Errors
/// `Exists` when the folder is not empty, `Invalid` when it lies among the artifacts, `Unavailable` when something
/// cannot be read or written; what was written so far then stays without a manifest.
pub async fn make(
    db: &Db,
    blobs: &Blobs,
    to: &Path,
    now: Timestamp,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<Manifest> {
    let to = empty_folder(to)?;
    if blobs.root().is_some_and(|root| to.starts_with(root)) {
        return Err(Fault::invalid(format!("{} lies among the artifacts", to.display())).next("name another folder"));
    }
    told(Progress::Store);
    let file = to.join(STORE);
    match db.read() {
        Pool::Sqlite(_) => migrate::copy_sqlite(db, &file).await?,
        Pool::Postgres(pool) => copy_postgres(pool, &file).await?,
    }
    let described = tokio::task::spawn_blocking(move || described(&file, STORE)).await;
    let store = described.map_err(|e| Fault::bug("backup").why(e.to_string()))??;
    let target = Blobs::open(&to.join(ARTIFACTS).to_string_lossy())?;
    let listed = blobs.tree("").await?;
    let mut artifacts = Vec::with_capacity(listed.len());
    for (done, (path, _)) in (0..).zip(&listed) {
        told(Progress::Artifacts { done, of: listed.len() as u64 });
        // Deleted since it was listed: the snapshot does not stand on it.
        artifacts.extend(copy_blob(blobs, &target, path).await?);
    }
    told(Progress::Artifacts { done: listed.len() as u64, of: listed.len() as u64 });
    let opsroom = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { layout: LAYOUT, opsroom, made: now, schema: migrate::newest(), store, artifacts };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Fault::bug("manifest").why(e.to_string()))?;
    write_durably(&to.join(MANIFEST), &text)?;
    Ok(manifest)
}

/// Reads a backup's manifest and holds every file against it.
///
/// # Errors
/// `NotFound` without a manifest, `Refused` for a newer layout or schema and for a file that is not as it was.
pub fn verify(from: &Path, told: &(dyn Fn(Progress) + Sync)) -> Result<Manifest> {
    let path = from.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|e| {
        Fault::not_found(format!("{} is no whole backup", from.display()))
            .why(format!("{}: {e}", path.display()))
            .next("name the folder that `opsroom backup` has filled to its end")
    })?;
    let damaged = |what: String, why: &str| Fault::refused(what).why(why.to_owned()).next("use another backup");
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|e| damaged("the manifest cannot be read".to_owned(), &e.to_string()))?;
    if manifest.layout != LAYOUT || manifest.schema > migrate::newest() {
        return Err(Fault::refused("the backup was made by a newer opsroom")
            .why(format!("layout {}, schema {}", manifest.layout, manifest.schema))
            .next(format!("restore it with opsroom {}", manifest.opsroom)));
    }
    let compare = |expected: &File, below: &Path| {
        let found = described(&below.join(&expected.path), &expected.path)
            .map_err(|f| damaged(format!("the backup lacks {}", expected.path), &f.why))?;
        if found != *expected {
            return Err(damaged(format!("{} is not what was backed up", expected.path), "its digest differs"));
        }
        Ok(())
    };
    told(Progress::Store);
    if manifest.store.path != STORE {
        return Err(damaged("the manifest names another store".to_owned(), &manifest.store.path));
    }
    compare(&manifest.store, from)?;
    for (done, file) in (0..).zip(&manifest.artifacts) {
        told(Progress::Artifacts { done, of: manifest.artifacts.len() as u64 });
        super::blobs::clean_path(&file.path)?;
        compare(file, &from.join(ARTIFACTS))?;
    }
    Ok(manifest)
}

/// Restores a verified backup into an empty store and an empty artifact place. The store comes last: where there is
/// one, it is whole.
///
/// # Errors
/// `Exists` when something is there already, `Unavailable` when it cannot be written.
pub async fn restore(
    from: &Path,
    manifest: &Manifest,
    url: &StoreUrl,
    blobs: &Blobs,
    told: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    check_empty(url).await?;
    if let Some((path, _)) = blobs.tree("").await?.first() {
        return Err(Fault::exists(format!("{} is not empty", blobs.place()))
            .why(format!("it holds {path}"))
            .next("name an empty place with --artifacts"));
    }
    let source = Blobs::open(&from.join(ARTIFACTS).to_string_lossy())?;
    for (done, file) in (0..).zip(&manifest.artifacts) {
        told(Progress::Artifacts { done, of: manifest.artifacts.len() as u64 });
        if copy_blob(&source, blobs, &file.path).await?.is_none_or(|copy| copy != *file) {
            return Err(Fault::refused(format!("artifact {} changed while it was restored", file.path)));
        }
    }
    told(Progress::Store);
    match url {
        StoreUrl::Sqlite(path) => put_file(&from.join(STORE), path),
        StoreUrl::Postgres(_) => fill_postgres(&from.join(STORE), url).await,
    }
}

async fn check_empty(url: &StoreUrl) -> Result<()> {
    let empty = match url {
        StoreUrl::Sqlite(path) => !path.exists(),
        StoreUrl::Postgres(_) => {
            let db = Db::open(url).await?;
            let standing = migrate::standing(&db).await;
            db.close().await;
            standing? == migrate::Standing::Empty
        }
    };
    if empty {
        return Ok(());
    }
    Err(Fault::exists(format!("there is a store at {url}")).next("name an empty place with --store"))
}

async fn copy_postgres(pool: &sqlx::PgPool, file: &Path) -> Result<()> {
    let url = StoreUrl::Sqlite(file.to_owned());
    let db = Db::open(&url).await?;
    migrate::bring_up_to_date(&db, &url, true).await?;
    let mut tx = db.begin().await?;
    tables::copy_from_postgres(pool, &mut tx).await?;
    drop(tx.commit().await?);
    // Folds the log into the file: one file is the whole store.
    db.close().await;
    Ok(())
}

async fn fill_postgres(file: &Path, url: &StoreUrl) -> Result<()> {
    // A copy, because opening a file writes beside it, and an older schema is brought up to date first.
    let problem = |e: std::io::Error| Fault::unavailable("no temporary file").why(e.to_string());
    let copy = std::env::temp_dir().join(format!("opsroom-restore-{}.db", crate::base::id::uuid7()));
    let copy_url = StoreUrl::Sqlite(copy.clone());
    std::fs::copy(file, &copy).map_err(problem)?;
    let filled = async {
        let source = Db::open(&copy_url).await?;
        if let migrate::Standing::Older(v) = migrate::standing(&source).await? {
            migrate::apply(&source, v, migrate::newest()).await?;
        }
        let db = Db::open(url).await?;
        migrate::apply(&db, 0, migrate::newest()).await?;
        let mut tx = db.begin().await?;
        if let Pool::Sqlite(pool) = source.read() {
            tables::copy_from_sqlite(pool, &mut tx).await?;
        }
        drop(tx.commit().await?);
        db.close().await;
        source.close().await;
        Ok(())
    };
    let filled = filled.await;
    let _ = std::fs::remove_file(&copy);
    filled
}

/// Copies one object; `None` when it is not there (any more).
async fn copy_blob(from: &Blobs, to: &Blobs, path: &str) -> Result<Option<File>> {
    let mut content = match from.get(path, None).await {
        Ok(content) => content.stream,
        Err(fault) if fault.kind == crate::base::Kind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    let mut upload = to.upload(path)?;
    while let Some(part) = content.next().await {
        let part = part.map_err(|e| Fault::unavailable(format!("artifact {path}")).why(e.to_string()))?;
        hasher.update(&part);
        bytes += part.len() as u64;
        upload.write(&part).await?;
    }
    upload.finish().await?;
    Ok(Some(File { path: path.to_owned(), bytes, digest: format!("blake3:{}", hasher.finalize().to_hex()) }))
}

fn described(file: &Path, path: &str) -> Result<File> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot read {}", file.display())).why(e.to_string());
    let mut source = std::fs::File::open(file).map_err(problem)?;
    let (mut hasher, mut bytes, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = source.read(&mut buffer).map_err(problem)?;
        if read == 0 {
            return Ok(File { path: path.to_owned(), bytes, digest: format!("blake3:{}", hasher.finalize().to_hex()) });
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Makes the folder, for its owner alone, unless it is there and empty.
fn empty_folder(folder: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let problem = |e: std::io::Error| {
        Fault::unavailable(format!("cannot make the folder {}", folder.display()))
            .why(e.to_string())
            .next("name a folder that the agent may write")
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(problem)?;
    if std::fs::read_dir(folder).map_err(problem)?.next().is_some() {
        return Err(Fault::exists(format!("{} is not empty", folder.display())).next("name an empty or a new folder"));
    }
    folder.canonicalize().map_err(problem)
}

/// The file appears whole or not at all.
fn put_file(from: &Path, to: &Path) -> Result<()> {
    let problem = |e: std::io::Error| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string());
    let mut part = to.as_os_str().to_owned();
    part.push(".restoring");
    if let Some(folder) = to.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    std::fs::copy(from, &part).and_then(|_| std::fs::File::open(&part)?.sync_all()).map_err(problem)?;
    std::fs::rename(&part, to).map_err(problem)
}

fn write_durably(to: &Path, bytes: &[u8]) -> Result<()> {
    let written = (|| {
        let part = to.with_extension("part");
        let mut file = std::fs::File::create(&part)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, to)?;
        std::fs::File::open(to.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|e: std::io::Error| Fault::unavailable(format!("cannot write {}", to.display())).why(e.to_string()))
}
