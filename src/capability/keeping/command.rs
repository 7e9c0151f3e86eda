//! What one may decide about keeping.

use serde::{Deserialize, Serialize};

use super::plan::Findings;
use super::{plan, store, sweep};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::Ctx;
use crate::db::Tx;

/// Every decision about keeping. None can be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// Takes away what is kept for longer than the settings say, and, if so asked, what nothing refers to.
    CollectGarbage { unreferenced: bool },
    /// Erases a person that was announced; the digest is all that the record holds of them.
    ErasePerson { digest: String },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CollectGarbage { .. } => "collect-garbage",
            Self::ErasePerson { .. } => "erase-person",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::CollectGarbage { .. } => "Takes away what is kept for too long, and what nothing refers to.",
            Self::ErasePerson { .. } => "Erases a person from ledger, samples and examples.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::CollectGarbage { .. } => "store".to_owned(),
            Self::ErasePerson { digest } => format!("person {digest}"),
        }
    }
}

/// What a command found out before its transaction.
#[derive(Debug, Clone, Default)]
pub struct Prepared(Option<Box<Findings>>);

/// # Errors
/// The store's.
pub async fn prepare(ctx: &Ctx, command: &Command) -> Result<Prepared> {
    match command {
        Command::CollectGarbage { unreferenced } => Ok(Prepared(Some(Box::new(plan(ctx, *unreferenced).await?)))),
        Command::ErasePerson { .. } => Ok(Prepared::default()),
    }
}

/// What is decided, in words: from, to.
///
/// # Errors
/// `NotFound` for a person that nobody announced.
pub async fn apply(tx: &mut Tx, command: &Command, prepared: &Prepared, now: Timestamp) -> Result<(String, String)> {
    match command {
        Command::CollectGarbage { .. } => {
            Ok((String::new(), prepared.0.as_ref().map_or_else(String::new, |found| found.plan.words())))
        }
        Command::ErasePerson { digest } => {
            if !store::begin(tx, digest, now).await? {
                return Err(Fault::not_found(format!("nobody was announced under {digest}"))
                    .next("`opsroom erase --id ID` or `--key KEY` announces a person and erases them"));
            }
            Ok((String::new(), "begun".to_owned()))
        }
    }
}

/// Does what was decided, once the decision holds.
///
/// # Errors
/// What a step met; the next decision goes on from there.
pub async fn carry_out(ctx: &Ctx, prepared: &Prepared) -> Result<()> {
    let Some(found) = &prepared.0 else { return Ok(()) };
    sweep::sweep(ctx, found).await.map_err(|fault| fault.next("what is left goes with the next `opsroom gc`"))
}
