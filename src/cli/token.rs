//! `opsroom token`: access tokens. The secret is made here and shown once; only its digest travels.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::change::Change;
use super::print::{self, Page, Table};
use super::{Exit, Format, Session, times};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Timestamp, fault::Result, show};
use crate::capability::access::{self, Role};
use crate::capability::{Command, Outcome};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token; its secret is shown once
    Create(Create),
    /// All tokens, without their secrets
    List,
    /// End a token at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub struct Create {
    name: String,
    /// viewer, operator or admin
    #[arg(long, value_parser = role_named)]
    role: Role,
    /// When it ends: 30d, or a date
    #[arg(long, value_parser = times::future, value_name = "TIME")]
    expires: Option<Timestamp>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub struct Revoke {
    name: String,
    #[command(flatten)]
    change: Change,
}

fn role_named(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "one of viewer, operator, admin".to_owned())
}

#[derive(Serialize)]
struct Created {
    name: String,
    role: Role,
    /// Absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Create(it) => create(session, it).await,
        Verb::List => list(session).await,
        Verb::Revoke(it) => {
            it.change.run(session, Command::Access(access::Command::RevokeToken { name: it.name })).await
        }
    }
}

async fn create(session: &Session, it: Create) -> Result<Exit> {
    let secret = access::secret();
    let digest = access::digest(&secret);
    let command = access::Command::CreateToken { name: it.name.clone(), role: it.role, digest, expires: it.expires };
    let outcome = it.change.perform(session, Command::Access(command)).await?;
    let dry = outcome.dry_run;
    // An idempotent repetition made no token of this secret.
    let secret = (!dry && !outcome.replayed).then_some(secret);
    let created = Created { name: it.name, role: it.role, secret, expires: it.expires, outcome };
    print::answer(session.format, &created, |c| {
        let mut table = Table::new(&[""]);
        c.secret.iter().for_each(|s| table.row([s.clone()]));
        table.into()
    })?;
    if session.format != Format::Json {
        let told = if dry { "would be made (dry run)" } else { "was made; its secret is shown this once" };
        eprintln!("opsroom: token {} ({}) {told}", created.name, created.role.name());
    }
    Ok(Exit::Done)
}

async fn list(session: &Session) -> Result<Exit> {
    let tokens = session.client().await?.tokens().await?;
    print::answer(session.format, &tokens, |tokens| {
        let now = SystemClock.now();
        let mut table = Table::new(&["NAME", "ROLE", "CREATED", "EXPIRES", "STATE"]);
        for t in tokens {
            let state = match (t.revoked, t.holds_at(now)) {
                (Some(at), _) => format!("revoked {}", show::moment(at)),
                (None, true) => "holds".to_owned(),
                (None, false) => "expired".to_owned(),
            };
            let expires = t.expires.map_or_else(|| "never".to_owned(), show::moment);
            table.row([t.name.clone(), t.role.name().to_owned(), show::moment(t.created), expires, state]);
        }
        if table.is_empty() {
            Page::default().line("no tokens: `opsroom token create NAME --role operator`")
        } else {
            table.into()
        }
    })?;
    Ok(Exit::Done)
}
