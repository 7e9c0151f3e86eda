//! Erasing a person: announced, decided, done. The audit record holds a digest that only this store can make of the name; the name
//! itself stands in the store only until nothing of it is left, so that an erasure that was interrupted is gone on with.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{holders, store};
use crate::base::id::random_u128;
use crate::base::{Fault, Kind, Timestamp, fault::Result};
use crate::capability::monitoring::counters::{ERASED, Erased, Person};
use crate::capability::{Ctx, evals};
use crate::db::Pool;
use crate::db::blobs::{Blobs, hidden};

/// An announcement that nobody decides on is forgotten.
const ANNOUNCED_FOR: Duration = Duration::from_hours(1);
const SUBJECT_BYTES_MAX: usize = 512;

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Announced,
    Begun,
    Done,
}

impl State {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "begun" => Self::Begun,
            _ => Self::Announced,
        }
    }
}

/// An erasure as it is told: never with the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    pub digest: String,
    pub at: Timestamp,
    pub state: State,
    /// `id` or `key`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// What was cleared, and what still holds the person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    #[serde(flatten)]
    pub erased: Erased,
    /// Eval results whose examples had the name.
    pub evals: u64,
    pub holders: Vec<Holder>,
    /// What could not be looked into.
    pub unread: holders::Unread,
}

/// Something that still holds the person, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `dataset`, `artifact`, `backup`, `run`, …
    pub kind: String,
    pub name: String,
}

/// Asked for by a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// `id` or `key`.
    pub kind: String,
    pub subject: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub dry_run: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// One that is decided and not yet done.
#[derive(Debug, Clone)]
pub struct Begun {
    pub digest: String,
    pub person: Person,
}

pub(super) fn person(kind: &str, subject: String) -> Option<Person> {
    match kind {
        "id" => Some(Person::Id(subject)),
        "key" => Some(Person::Key(subject)),
        _ => None,
    }
}

impl Asked {
    /// # Errors
    /// `Invalid` for a kind or a subject that is none.
    pub fn person(&self) -> Result<Person> {
        let subject = self.subject.trim();
        if subject.chars().count() < 3 || subject.len() > SUBJECT_BYTES_MAX {
            return Err(Fault::invalid("this names nobody")
                .why(format!(
                    "an id or a key has 3 characters to {SUBJECT_BYTES_MAX} bytes; a shorter one stands everywhere"
                ))
                .next("give the whole id of a prediction, or the whole key of a person"));
        }
        person(&self.kind, subject.to_owned())
            .ok_or_else(|| Fault::invalid(format!("{:?} is neither id nor key", self.kind)))
    }
}

/// The digest of a name, by a key that lies beside the artifacts: without it nobody can try names.
async fn digest(blobs: &Blobs, person: &Person) -> Result<String> {
    let path = hidden("keeping/key");
    let key: [u8; 32] = match blobs.read(&path).await {
        Ok(bytes) => bytes.as_ref().try_into().map_err(|_| Fault::bug(format!("{path} holds no key")))?,
        Err(fault) if fault.kind == Kind::NotFound => {
            let mut key = [0; 32];
            key[..16].copy_from_slice(&random_u128().to_be_bytes());
            key[16..].copy_from_slice(&random_u128().to_be_bytes());
            blobs.put(&path, key.to_vec().into()).await?;
            key
        }
        Err(fault) => return Err(fault),
    };
    let kind = if matches!(person, Person::Id(_)) { "id" } else { "key" };
    Ok(format!("blake3:{}", blake3::keyed_hash(&key, format!("{kind}\0{}", person.text()).as_bytes()).to_hex()))
}

/// Keeps whom to erase until it is decided; answers with the digest that the decision names.
///
/// # Errors
/// `Invalid`, or the store's.
pub async fn announce(ctx: &Ctx, asked: &Asked) -> Result<String> {
    let person = asked.person()?;
    let digest = digest(ctx.artifacts.blobs(), &person).await?;
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    store::announce(&mut tx, &digest, &asked.kind, person.text(), now, now.minus(ANNOUNCED_FOR)).await?;
    tx.commit().await?;
    Ok(digest)
}

/// What an erasure would clear, and what would still hold the person.
///
/// # Errors
/// `Invalid`, or the store's.
pub async fn look(ctx: &Ctx, asked: &Asked) -> Result<Found> {
    let person = asked.person()?;
    let erased = ctx.counters.erase(&person, false, ctx.clock.now()).await?;
    found(ctx, &person, erased, false).await
}

/// Does all that are decided; each step can be done again, so that an interruption costs nothing but time.
///
/// # Errors
/// The first that could not be ended; it is tried again.
pub async fn finish(ctx: &Ctx) -> Result<()> {
    for begun in store::begun(ctx.db.read()).await? {
        let erased = ctx.counters.erase(&begun.person, true, ctx.clock.now()).await?;
        let found = found(ctx, &begun.person, erased, true).await?;
        let doc = serde_json::to_string(&found).map_err(|e| Fault::bug("erasure").why(e.to_string()))?;
        // A name of a file may hold the person's.
        let doc = doc.replace(begun.person.text(), ERASED);
        // Earlier states of these rows lie in free pages.
        ctx.db.wipe(&["monitor_journal", "monitor_arms", "monitor_first", "monitor_cells", "eval_results"]).await?;
        let mut tx = ctx.db.begin_erasing().await?;
        store::clear(&mut tx, &begun.digest, &doc).await?;
        tx.commit().await?;
    }
    // Done is said only when the log has let go as well, also by an agent that comes after one that was killed here.
    if store::cleared(ctx.db.read()).await? {
        ctx.db.end_erasing().await?;
        let mut tx = ctx.db.begin().await?;
        store::end(&mut tx).await?;
        tx.commit().await?;
        tracing::info!("what was to be erased is erased");
    }
    Ok(())
}

async fn found(ctx: &Ctx, person: &Person, erased: Erased, really: bool) -> Result<Found> {
    let name = person.text();
    let evals = evals::erase(&ctx.db, ctx.artifacts.blobs(), name, ERASED, really).await?;
    let (holders, unread) = holders::look(ctx, name).await?;
    Ok(Found { erased, evals, holders, unread })
}

/// All erasures, newest first.
///
/// # Errors
/// The store's.
pub async fn erasures(pool: &Pool) -> Result<Vec<Erasure>> {
    store::all(pool).await
}
