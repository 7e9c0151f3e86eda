//! Who may come in: access tokens and their roles. The twelve rooms do not know it; the doors ask it.

mod store;

use serde::{Deserialize, Serialize};

pub use store::STATEMENTS;

use crate::base::id::random_u128;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Pool, Source, Tx};

/// What an identity may do; each may what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// What an `MLflow` client does: logs, registers, moves stages of models that are not served.
    Client,
    /// Runs production.
    Operator,
    /// Also tokens, and commands that run programs.
    Admin,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The roles that a token can have.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|r| r.name() == name)
    }
}

/// A token as it may be shown: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Token {
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|e| now < e)
    }
}

/// Making and revoking tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// `digest` is BLAKE3 of the secret, which never travels: the client makes it with [`secret`].
    CreateToken {
        name: String,
        role: Role,
        digest: String,
        #[serde(default)]
        expires: Option<Timestamp>,
    },
    RevokeToken {
        name: String,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateToken { .. } => "create-token",
            Self::RevokeToken { .. } => "revoke-token",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::CreateToken { .. } => "Makes an access token with a role.",
            Self::RevokeToken { .. } => "Ends an access token at once.",
        }
    }

    pub fn target(&self) -> String {
        let (Self::CreateToken { name, .. } | Self::RevokeToken { name }) = self;
        format!("token {name}")
    }
}

/// A new secret: `opr_` and 44 of `[a-z0-9]`, over 200 bits.
pub fn secret() -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::from("opr_");
    for _ in 0..2 {
        let mut random = random_u128();
        for _ in 0..22 {
            text.push(LETTERS[(random % 36) as usize] as char);
            random /= 36;
        }
    }
    text
}

/// How a key begins that stands for no token: clients of W&B do not start without one. See [`no_key`].
pub const NO_KEY: &str = "local";

/// A key that stands for no token, as long as W&B's clients want it.
pub fn no_key() -> String {
    format!("{NO_KEY}{}", "0".repeat(40))
}

/// What is kept of a secret.
pub fn digest(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// # Errors
/// `Exists`, `NotFound`, `Invalid`.
pub async fn apply(tx: &mut Tx, command: &Command, now: Timestamp) -> Result<(String, String)> {
    match command {
        Command::CreateToken { name, role, digest, expires } => {
            let named = !name.is_empty()
                && name.len() <= 100
                && name.chars().all(|c| c.is_alphanumeric() || "-_.@".contains(c));
            if !named {
                return Err(Fault::invalid(format!("not a token name: {name:?}")).next("use letters, digits and -_.@"));
            }
            if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Fault::invalid("a token travels as the BLAKE3 digest of its secret"));
            }
            if store::by_name(Source::Tx(tx), name).await?.is_some() {
                return Err(Fault::exists(format!("a token named {name} exists"))
                    .next("choose another name, or revoke it first"));
            }
            let token = Token { name: name.clone(), role: *role, created: now, expires: *expires, revoked: None };
            store::put(tx, &token, digest).await?;
            Ok((String::new(), role.name().to_owned()))
        }
        Command::RevokeToken { name } => {
            let token = store::by_name(Source::Tx(tx), name).await?.filter(|t| t.revoked.is_none());
            let token = token
                .ok_or_else(|| Fault::not_found(format!("no token named {name}")).next("see `opsroom token list`"))?;
            store::revoke(tx, name, now).await?;
            Ok((token.role.name().to_owned(), "revoked".to_owned()))
        }
    }
}

/// The token behind a secret, if it holds now.
///
/// # Errors
/// The store's.
pub async fn check(pool: &Pool, secret: &str, now: Timestamp) -> Result<Option<Token>> {
    let token = store::by_digest(Source::Pool(pool), &digest(secret)).await?;
    Ok(token.filter(|t| t.holds_at(now)))
}

/// # Errors
/// The store's.
pub async fn list(pool: &Pool) -> Result<Vec<Token>> {
    store::list(pool).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_the_form_that_clients_expect() {
        let (a, b) = (secret(), secret());
        assert_ne!(a, b);
        assert!(a.len() >= 40 && a.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'));
    }
}
