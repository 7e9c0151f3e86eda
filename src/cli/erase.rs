//! `opsroom erase`: clears a person, and names what still holds them.

use std::time::Duration;

use clap::Args;

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Session};
use crate::base::{Fault, fault::Result};
use crate::capability::Command;
use crate::capability::keeping::{self, Asked, Erasure, Found, State};

/// Clear a person from ledger, samples and per-example results, and name what still holds them
#[derive(Debug, Args)]
pub struct Erase {
    #[command(flatten)]
    whom: Whom,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// Id of a prediction and its label
    #[arg(long)]
    id: Option<String>,
    /// A value that stands in features or slices, such as a customer's number or address
    #[arg(long)]
    key: Option<String>,
    /// How an erasure stands, by the digest that the audit trail has
    #[arg(long)]
    digest: Option<String>,
}

const LOOK_EVERY: Duration = Duration::from_millis(300);

/// # Errors
/// `Denied`, `Refused` without a reason, `NotFound` for a digest.
pub(super) async fn run(session: &Session, it: Erase) -> Result<Exit> {
    let client = session.client().await?;
    let (kind, subject) = match it.whom {
        Whom { digest: Some(digest), .. } => {
            let one = client.erasures().await?.into_iter().find(|e| e.digest == digest);
            if one.as_ref().is_some_and(|e| e.state == State::Announced) {
                return it.change.run(session, Command::Keeping(keeping::Command::ErasePerson { digest })).await;
            }
            let one = one.ok_or_else(|| Fault::not_found(format!("no erasure {digest}")))?;
            return tell(session, &one);
        }
        Whom { id: Some(id), .. } => ("id", id),
        Whom { key, .. } => ("key", key.unwrap_or_default()),
    };
    session.check_writable()?;
    if it.change.reason.trim().is_empty() && !it.change.dry_run {
        return Err(Fault::refused("an erasure needs a reason")
            .why("it cannot be taken back, and the audit trail says why")
            .next("give one with --reason, such as the number of the request; not the name"));
    }
    let asked = Asked {
        kind: kind.to_owned(),
        subject,
        reason: it.change.reason,
        dry_run: it.change.dry_run,
        idempotency_key: it.change.idempotency_key,
    };
    let mut one = client.erase(&asked).await?;
    while one.state == State::Begun && !it.no_wait {
        tokio::time::sleep(LOOK_EVERY).await;
        let known = client.erasures().await?.into_iter().find(|e| e.digest == one.digest);
        one = known.ok_or_else(|| Fault::bug("the erasure is gone").next("see `opsroom audit list`"))?;
    }
    tell(session, &one)
}

fn tell(session: &Session, one: &Erasure) -> Result<Exit> {
    print::answer(session.format, one, |one| match &one.found {
        Some(found) => page(one, found),
        None => Page::default().line(format!("{} is {:?}", one.digest, one.state).to_lowercase()),
    })?;
    Ok(Exit::Done)
}

fn page(one: &Erasure, found: &Found) -> Page {
    let erased = &found.erased;
    let counted = [
        ("predictions", erased.predictions),
        ("labels", erased.labels),
        ("samples", erased.samples),
        ("slices", erased.slices),
        ("eval results", found.evals),
    ];
    let mut page = Page::default().pairs(counted.map(|(what, n)| (what, n.to_string())));
    let mut table = Table::new(&["STILL HELD BY", ""]);
    for holder in &found.holders {
        table.row([holder.kind.clone(), holder.name.clone()]);
    }
    if !table.is_empty() {
        page = page.table(table);
    }
    let unread = &found.unread;
    if unread.packed + unread.large > 0 {
        page = page.line(format!(
            "! not looked into: {} compressed files, {} too large; such as {}",
            unread.packed,
            unread.large,
            unread.some.first().map_or("", String::as_str)
        ));
    }
    page.line(match one.state {
        State::Done => format!("erased; the audit trail knows it as {}", one.digest),
        _ => "(dry run: nothing was changed)".to_owned(),
    })
}
