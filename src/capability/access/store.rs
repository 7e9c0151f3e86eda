//! The SQL of access tokens.

use super::{Role, Token};
use crate::base::{Timestamp, fault::Result};
use crate::db::{Pool, Source, Tx, fault};
use crate::{on_db, on_source, on_tx, row_struct};

const PUT: &str =
    "insert into access_tokens (name, digest, role, created, expires, revoked) values ($1, $2, $3, $4, $5, null)";
const REVOKE: &str = "update access_tokens set revoked = $2 where name = $1";
const BY_NAME: &str = "select name, role, created, expires, revoked from access_tokens where name = $1";
const BY_DIGEST: &str = "select name, role, created, expires, revoked from access_tokens where digest = $1";
const LIST: &str = "select name, role, created, expires, revoked from access_tokens order by name";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[PUT, REVOKE, BY_NAME, BY_DIGEST, LIST];

row_struct! {
    struct Row {
        name: String,
        role: String,
        created: i64,
        expires: Option<i64>,
        revoked: Option<i64>,
    }
}

impl Row {
    fn token(self) -> Token {
        Token {
            // A role that this binary does not know may do the least.
            role: Role::parse(&self.role).unwrap_or(Role::Viewer),
            name: self.name,
            created: Timestamp(self.created),
            expires: self.expires.map(Timestamp),
            revoked: self.revoked.map(Timestamp),
        }
    }
}

pub(super) async fn put(tx: &mut Tx, token: &Token, digest: &str) -> Result<()> {
    on_tx!(tx, t => sqlx::query(PUT)
        .bind(&token.name).bind(digest).bind(token.role.name()).bind(token.created.0).bind(token.expires.map(|e| e.0))
        .execute(&mut *t).await.map(drop))
    .map_err(fault)
}

pub(super) async fn revoke(tx: &mut Tx, name: &str, now: Timestamp) -> Result<()> {
    on_tx!(tx, t => sqlx::query(REVOKE).bind(name).bind(now.0).execute(&mut *t).await.map(drop)).map_err(fault)
}

pub(super) async fn by_name(source: Source<'_>, name: &str) -> Result<Option<Token>> {
    let row: Option<Row> =
        on_source!(source, e => sqlx::query_as(BY_NAME).bind(name).fetch_optional(e).await).map_err(fault)?;
    Ok(row.map(Row::token))
}

pub(super) async fn by_digest(source: Source<'_>, digest: &str) -> Result<Option<Token>> {
    let row: Option<Row> =
        on_source!(source, e => sqlx::query_as(BY_DIGEST).bind(digest).fetch_optional(e).await).map_err(fault)?;
    Ok(row.map(Row::token))
}

pub(super) async fn list(pool: &Pool) -> Result<Vec<Token>> {
    let rows: Vec<Row> = on_db!(pool, p => sqlx::query_as(LIST).fetch_all(p).await).map_err(fault)?;
    Ok(rows.into_iter().map(Row::token).collect())
}
