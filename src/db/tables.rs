//! Every table and column of a store, listed once, and copying their rows from one engine to the other.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, SqlitePool, Transaction};

use super::{Pool, Tx, fault};
use crate::base::{Fault, fault::Result};
use crate::{on_db, on_tx};

/// What a column holds. All columns are read and written as nullable; the schema says which are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Integer,
    Real,
    Text,
    Bytes,
    Truth,
}

use Holds::{Bytes, Integer, Real, Text, Truth};

/// A table and its columns, the ordering ones first.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Holds)],
}

/// Every table of the newest schema, so that one stands after those it refers to. A test holds it against the schema.
pub const TABLES: &[Table] = &[
    Table { name: "experiments", columns: &[("experiment_id", Integer), ("doc", Text)] },
    Table { name: "runs", columns: &[("run_id", Text), ("doc", Text)] },
    Table { name: "logged_models", columns: &[("model_id", Text), ("doc", Text)] },
    Table { name: "tracking_journal", columns: &[("seq", Integer), ("effects", Text)] },
    Table {
        name: "metric_chunks",
        columns: &[
            ("run_id", Text),
            ("key", Text),
            ("seq", Integer),
            ("points", Integer),
            ("value_min", Real),
            ("value_max", Real),
            ("step_min", Integer),
            ("step_max", Integer),
            ("payload", Bytes),
        ],
    },
    Table { name: "frozen_artifacts", columns: &[("prefix", Text), ("why", Text)] },
    Table {
        name: "registered_models",
        columns: &[
            ("name", Text),
            ("created", Integer),
            ("updated", Integer),
            ("description", Text),
            ("tags", Text),
            ("generation", Integer),
            ("last_version", Integer),
        ],
    },
    Table {
        name: "model_versions",
        columns: &[
            ("model", Text),
            ("version", Integer),
            ("created", Integer),
            ("updated", Integer),
            ("stage", Text),
            ("doc", Text),
        ],
    },
    Table { name: "model_aliases", columns: &[("model", Text), ("alias", Text), ("version", Integer)] },
    Table {
        name: "registry_history",
        columns: &[
            ("seq", Integer),
            ("at", Integer),
            ("model", Text),
            ("version", Integer),
            ("what", Text),
            ("value", Text),
            ("actor", Text),
            ("reason", Text),
            ("audit", Integer),
        ],
    },
    Table {
        name: "audit_chain",
        columns: &[
            ("seq", Integer),
            ("at", Integer),
            ("actor", Text),
            ("verified", Truth),
            ("via", Text),
            ("command", Text),
            ("target", Text),
            ("outcome", Text),
            ("idempotency_key", Text),
            ("detail_digest", Text),
            ("previous", Text),
            ("digest", Text),
        ],
    },
    Table { name: "audit_details", columns: &[("seq", Integer), ("salt", Text), ("detail", Text)] },
    Table {
        name: "access_tokens",
        columns: &[
            ("name", Text),
            ("digest", Text),
            ("role", Text),
            ("created", Integer),
            ("expires", Integer),
            ("revoked", Integer),
        ],
    },
    Table { name: "datasets", columns: &[("name", Text), ("created", Integer), ("last_version", Integer)] },
    Table {
        name: "dataset_versions",
        columns: &[("dataset", Text), ("version", Integer), ("created", Integer), ("doc", Text)],
    },
    Table { name: "dataset_packs", columns: &[("pack", Text), ("bytes", Integer), ("chunks", Bytes)] },
    Table { name: "eval_suites", columns: &[("name", Text), ("updated", Integer), ("doc", Text)] },
    Table {
        name: "eval_results",
        columns: &[
            ("id", Integer),
            ("at", Integer),
            ("model", Text),
            ("version", Integer),
            ("suite", Text),
            ("subject", Text),
            ("doc", Text),
        ],
    },
    Table {
        name: "gates",
        columns: &[("model", Text), ("stage", Text), ("name", Text), ("position", Integer), ("doc", Text)],
    },
    Table {
        name: "gate_decisions",
        columns: &[
            ("id", Integer),
            ("at", Integer),
            ("model", Text),
            ("version", Integer),
            ("stage", Text),
            ("verdict", Text),
            ("doc", Text),
        ],
    },
    Table {
        name: "gate_waivers",
        columns: &[
            ("id", Integer),
            ("at", Integer),
            ("model", Text),
            ("version", Integer),
            ("subject", Text),
            ("gate", Text),
            ("until", Integer),
            ("actor", Text),
            ("reason", Text),
            ("ended", Integer),
        ],
    },
    Table {
        name: "gate_approvals",
        columns: &[
            ("id", Integer),
            ("at", Integer),
            ("model", Text),
            ("version", Integer),
            ("subject", Text),
            ("stage", Text),
            ("actor", Text),
            ("reason", Text),
            ("ended", Integer),
        ],
    },
    Table {
        name: "run_grades",
        columns: &[("id", Integer), ("at", Integer), ("run", Text), ("rerun", Text), ("verdict", Text), ("doc", Text)],
    },
    Table { name: "gate_policies", columns: &[("model", Text), ("since", Integer), ("doc", Text)] },
    Table {
        name: "gate_policy_tries",
        columns: &[
            ("model", Text),
            ("version", Integer),
            ("suite", Text),
            ("tries", Integer),
            ("at", Integer),
            ("outcome", Text),
        ],
    },
    Table { name: "services", columns: &[("name", Text), ("model", Text), ("doc", Text)] },
    Table { name: "model_servers", columns: &[("service", Text), ("version", Integer), ("doc", Text)] },
    Table { name: "rollouts", columns: &[("id", Integer), ("service", Text), ("doc", Text)] },
    Table {
        name: "forbidden_versions",
        columns: &[("model", Text), ("version", Integer), ("at", Integer), ("actor", Text), ("reason", Text)],
    },
    Table { name: "route_generation", columns: &[("one", Integer), ("generation", Integer)] },
    Table {
        name: "traffic_windows",
        columns: &[
            ("service", Text),
            ("version", Integer),
            ("arm", Text),
            ("minute", Integer),
            ("weight", Integer),
            ("doc", Text),
        ],
    },
    Table { name: "traffic_batches", columns: &[("router", Text), ("sequence", Integer), ("at", Integer)] },
    Table { name: "alert_rules", columns: &[("name", Text), ("doc", Text)] },
    Table { name: "incidents", columns: &[("id", Integer), ("service", Text), ("doc", Text)] },
    Table {
        name: "monitor_arms",
        columns: &[("number", Integer), ("service", Text), ("version", Text), ("doc", Text), ("moving", Text)],
    },
    Table { name: "monitor_first", columns: &[("arm", Integer), ("begins", Integer), ("doc", Bytes)] },
    Table {
        name: "monitor_journal",
        columns: &[("seq", Integer), ("arrived", Integer), ("count", Integer), ("kind", Integer), ("body", Bytes)],
    },
    Table { name: "monitor_position", columns: &[("id", Integer), ("seq", Integer), ("doc", Text)] },
    Table {
        name: "monitor_cells",
        columns: &[("arm", Integer), ("slice", Text), ("minute", Integer), ("span", Integer), ("doc", Bytes)],
    },
    Table { name: "cost_rates", columns: &[("since", Integer), ("doc", Text)] },
    Table { name: "cost_servings", columns: &[("service", Text), ("doc", Text)] },
    Table { name: "cost_budgets", columns: &[("name", Text), ("doc", Text)] },
    Table { name: "incident_notices", columns: &[("id", Integer), ("told", Integer), ("doc", Text)] },
    Table {
        name: "collection_versions",
        columns: &[("id", Text), ("experiment", Integer), ("collection", Text), ("version", Integer), ("doc", Text)],
    },
    Table {
        name: "erasures",
        columns: &[
            ("digest", Text),
            ("at", Integer),
            ("state", Text),
            ("kind", Text),
            ("subject", Text),
            ("doc", Text),
        ],
    },
    Table {
        name: "host_edges",
        columns: &[("edge", Text), ("host", Text), ("sequence", Integer), ("seen", Integer), ("doc", Text)],
    },
    Table { name: "host_minutes", columns: &[("host", Text), ("minute", Integer), ("doc", Text)] },
    Table { name: "backups_made", columns: &[("made", Integer), ("place", Text), ("bytes", Integer)] },
    Table { name: "sweeps", columns: &[("id", Text), ("experiment", Integer), ("doc", Text)] },
];

/// A value of a row on its way.
#[derive(Debug)]
enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Truth(Option<bool>),
}

impl Value {
    /// In JSON: bytes in base64, and a number that JSON has none for as its word.
    fn json(self) -> serde_json::Value {
        use base64::prelude::{BASE64_STANDARD, Engine};
        match self {
            Self::Integer(v) => v.into(),
            Self::Real(Some(v)) if !v.is_finite() => v.to_string().into(),
            Self::Real(v) => v.into(),
            Self::Text(v) => v.into(),
            Self::Bytes(v) => v.map(|b| BASE64_STANDARD.encode(b)).into(),
            Self::Truth(v) => v.into(),
        }
    }
}

impl Holds {
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Truth => "truth",
        }
    }
}

type Values = sqlx::Result<Vec<Value>>;

impl Table {
    fn select(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("select {} from {}", columns.join(", "), self.name)
    }

    fn insert(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<_> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        format!("insert into {} ({}) values ({})", self.name, columns.join(", "), places.join(", "))
    }
}

/// Reads a row of either engine by the table's columns.
macro_rules! values {
    ($table:expr, $row:expr) => {
        $table
            .columns
            .iter()
            .enumerate()
            .map(|(i, (_, holds))| {
                Ok(match holds {
                    Integer => Value::Integer($row.try_get(i)?),
                    Real => Value::Real($row.try_get(i)?),
                    Text => Value::Text($row.try_get(i)?),
                    Bytes => Value::Bytes($row.try_get(i)?),
                    Truth => Value::Truth($row.try_get(i)?),
                })
            })
            .collect::<Values>()
    };
}

/// Copies every table as one snapshot of a `PostgreSQL` store shows it. Answers the number of rows.
pub(super) async fn copy_from_postgres(from: &sqlx::PgPool, to: &mut Tx) -> Result<u64> {
    let mut snapshot = from.begin_with("begin isolation level repeatable read read only").await.map_err(fault)?;
    let mut rows = 0;
    for table in TABLES {
        let read = sqlx::query(AssertSqlSafe(table.select())).fetch(&mut *snapshot);
        rows += copy(table, read.map(|row| row.and_then(|row| values!(table, row))).boxed(), to).await?;
    }
    Ok(rows)
}

/// Copies every table of a `SQLite` file on which nobody writes. Answers the number of rows.
pub(super) async fn copy_from_sqlite(from: &SqlitePool, to: &mut Tx) -> Result<u64> {
    let mut snapshot: Transaction<'_, Sqlite> = from.begin().await.map_err(fault)?;
    let mut rows = 0;
    for table in TABLES {
        let read = sqlx::query(AssertSqlSafe(table.select())).fetch(&mut *snapshot);
        rows += copy(table, read.map(|row| row.and_then(|row| values!(table, row))).boxed(), to).await?;
    }
    Ok(rows)
}

/// Tells every row of a table, a JSON array each, until nobody listens.
///
/// # Errors
/// `Unavailable` when the store refuses.
pub async fn read(
    pool: &Pool,
    table: &'static Table,
    tell: &tokio::sync::mpsc::Sender<serde_json::Value>,
) -> Result<()> {
    on_db!(pool, p => {
        let mut rows = sqlx::query(AssertSqlSafe(table.select())).fetch(p);
        while let Some(row) = rows.try_next().await.map_err(fault)? {
            let values = values!(table, row).map_err(fault)?;
            let row = serde_json::Value::Array(values.into_iter().map(Value::json).collect());
            if tell.send(row).await.is_err() {
                break;
            }
        }
        Ok(())
    })
}

async fn copy(table: &Table, mut from: BoxStream<'_, Values>, to: &mut Tx) -> Result<u64> {
    let (insert, clear) = (table.insert(), format!("delete from {}", table.name));
    // A new store holds what the schema itself puts there.
    on_tx!(to, t => sqlx::query(AssertSqlSafe(clear)).execute(&mut *t).await.map(drop)).map_err(fault)?;
    let mut rows = 0;
    while let Some(values) = from.try_next().await.map_err(fault)? {
        on_tx!(to, t => {
            let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
            for value in values {
                query = match value {
                    Value::Integer(v) => query.bind(v),
                    Value::Real(v) => query.bind(v),
                    Value::Text(v) => query.bind(v),
                    Value::Bytes(v) => query.bind(v),
                    Value::Truth(v) => query.bind(v),
                };
            }
            query.execute(&mut *t).await.map(drop)
        })
        .map_err(|e| Fault {
            what: format!("table {} cannot be copied: {}", table.name, fault(e).what),
            ..Fault::unavailable("")
        })?;
        rows += 1;
    }
    Ok(rows)
}
