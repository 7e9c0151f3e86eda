//! The audit trail: append-only, hash-chained, one record for every command, accepted or refused.
//!
//! The chain holds who, what and when, and salted digests of the texts; the texts lie in a side table and can be
//! erased without breaking the chain. Signed heads go outside of the database, so that truncation, rewriting and a
//! restored backup show.

mod heads;
mod store;
mod verify;

use serde::{Deserialize, Serialize};

pub use heads::{Head, HeadKey, SignedHead};
pub use store::STATEMENTS;
pub use verify::{Verification, verify};

use crate::base::id::random_u128;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Pool, Source, Tx};

/// How an actor came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    Tui,
    Cli,
    Api,
    Monitor,
}

impl Via {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tui => "tui",
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Monitor => "monitor",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Tui, Self::Cli, Self::Api, Self::Monitor].into_iter().find(|v| v.name() == name)
    }
}

/// Who did something, and whether that identity is proven or only claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub name: String,
    /// By peer credentials or a token.
    pub verified: bool,
    pub via: Via,
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: Timestamp,
    pub who: Who,
    /// Kebab name of the command.
    pub command: String,
    pub target: String,
    /// `None`: done. Else the kind of refusal.
    pub refused: Option<String>,
    pub idempotency_key: Option<String>,
    pub detail: Detail,
}

/// The texts of a record. They can be erased; their salted digest stays in the chain.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detail {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub to: String,
    /// The command as it came.
    #[serde(default)]
    pub command: serde_json::Value,
    /// What the command answered, or why it was refused.
    #[serde(default)]
    pub answer: serde_json::Value,
}

/// One link of the chain with its texts, if they have not been erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub verified: bool,
    pub via: String,
    pub command: String,
    pub target: String,
    /// `ok`, or the kind of refusal.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    pub detail_digest: String,
    pub previous: String,
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// Which records to read: newest first, all conditions together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AuditQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Part of the target's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `true`: refused ones only; `false`: accepted ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<bool>,
    /// Records before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// How they came: tui, cli, api or monitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Not by this actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_actor: Option<String>,
    /// Part of who, what or what it was about, or of the record's texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of those that fit, leaves out so many of the newest.
    #[serde(default)]
    pub offset: usize,
    /// 0: 100.
    #[serde(default)]
    pub limit: usize,
}

impl AuditQuery {
    /// Whether every record fits, apart from where the page begins.
    pub fn fits_all(&self) -> bool {
        let page = Self { before: self.before, offset: self.offset, limit: self.limit, ..Self::default() };
        *self == page
    }
}

/// Records, newest first, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AuditPage {
    pub records: Vec<Record>,
    /// Records of the whole trail.
    pub total: i64,
    /// Records that fit, wherever the page begins.
    #[serde(default)]
    pub matched: i64,
}

/// Rows a page may have.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Appends one record to the chain within the transaction of what it records.
///
/// # Errors
/// The store's.
pub async fn append(tx: &mut Tx, entry: Entry) -> Result<i64> {
    let (last, previous) = store::tip(Source::Tx(tx)).await?.unwrap_or((0, GENESIS.to_owned()));
    let salt = format!("{:032x}", random_u128());
    let detail = serde_json::to_string(&entry.detail).map_err(|e| Fault::bug("audit detail").why(e.to_string()))?;
    // A refused command may hold what the store cannot keep; its record has to be kept.
    let kept = |text: String| text.replace('\0', "\u{fffd}");
    let mut record = Record {
        seq: last + 1,
        at: entry.at,
        actor: kept(entry.who.name),
        verified: entry.who.verified,
        via: entry.who.via.name().to_owned(),
        command: entry.command,
        target: kept(entry.target),
        outcome: entry.refused.unwrap_or_else(|| "ok".to_owned()),
        idempotency_key: entry.idempotency_key,
        detail_digest: detail_digest(&salt, &detail),
        previous,
        digest: String::new(),
        detail: None,
    };
    record.digest = record.link_digest();
    store::put(tx, &record, &salt, &detail).await?;
    Ok(record.seq)
}

/// The number that the next record of this transaction gets.
///
/// # Errors
/// The store's.
pub async fn next(tx: &mut Tx) -> Result<i64> {
    Ok(store::tip(Source::Tx(tx)).await?.map_or(0, |(last, _)| last) + 1)
}

/// What the first record has before it.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn detail_digest(salt: &str, detail: &str) -> String {
    blake3::hash(format!("{salt}\n{detail}").as_bytes()).to_hex().to_string()
}

impl Record {
    /// BLAKE3 over every field of the link and the digest before it. Fields are length-prefixed, so that no two
    /// records can give the same bytes.
    fn link_digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let fields: [&str; 11] = [
            &self.seq.to_string(),
            &self.at.0.to_string(),
            &self.actor,
            &self.verified.to_string(),
            &self.via,
            &self.command,
            &self.target,
            &self.outcome,
            self.idempotency_key.as_deref().unwrap_or_default(),
            &self.detail_digest,
            &self.previous,
        ];
        for field in fields {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// # Errors
/// The store's.
pub async fn list(pool: &Pool, query: &AuditQuery) -> Result<AuditPage> {
    store::list(pool, query).await
}

/// # Errors
/// `NotFound`, or the store's.
pub async fn show(pool: &Pool, seq: i64) -> Result<Record> {
    store::one(Source::Pool(pool), seq)
        .await?
        .ok_or_else(|| Fault::not_found(format!("no audit record #{seq}")).next("see `opsroom audit list`"))
}

/// The record that an idempotency key made, if it was used before.
///
/// # Errors
/// The store's.
pub async fn by_key(source: Source<'_>, key: &str) -> Result<Option<Record>> {
    store::by_key(source, key).await
}

/// Number and digest of the newest record; `None` for an empty chain.
///
/// # Errors
/// The store's.
pub async fn tip(pool: &Pool) -> Result<Option<(i64, String)>> {
    store::tip(Source::Pool(pool)).await
}

/// When each target last had a command of this name done to it.
///
/// # Errors
/// The store's.
pub async fn last(pool: &Pool, command: &str) -> Result<Vec<(String, Timestamp)>> {
    Ok(store::last(pool, command).await?.into_iter().map(|(target, at)| (target, Timestamp(at))).collect())
}
