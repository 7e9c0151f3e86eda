//! The SQL of grades.

use super::Grade;
use crate::base::id::RunId;
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx, fault};
use crate::{on_source, on_tx};

const NEXT_GRADE: &str = "select coalesce(max(id), 0) + 1 from run_grades";
const ADD_GRADE: &str = "insert into run_grades (id, at, run, rerun, verdict, doc) values ($1, $2, $3, $4, $5, $6)";
const GRADE: &str = "select id, doc from run_grades where run = $1 order by id desc limit 1";
const GRADE_OF_RERUN: &str = "select id, doc from run_grades where rerun = $1 order by id desc limit 1";

/// Every statement, for the test that prepares each on both engines.
pub const STATEMENTS: &[&str] = &[NEXT_GRADE, ADD_GRADE, GRADE, GRADE_OF_RERUN];

pub(super) async fn add(tx: &mut Tx, grade: &Grade) -> Result<i64> {
    let id: i64 = on_tx!(tx, t => sqlx::query_scalar(NEXT_GRADE).fetch_one(&mut *t).await).map_err(fault)?;
    let doc = serde_json::to_string(grade).map_err(|e| Fault::bug("grade").why(e.to_string()))?;
    let rerun = grade.comparison.rerun.as_deref().unwrap_or_default();
    on_tx!(tx, t => sqlx::query(ADD_GRADE)
        .bind(id).bind(grade.at.0).bind(grade.run.to_string()).bind(rerun).bind(grade.name()).bind(doc)
        .execute(&mut *t).await.map(drop))
    .map_err(fault)?;
    Ok(id)
}

/// The newest grade of a run.
pub(super) async fn grade(source: Source<'_>, run: RunId) -> Result<Option<Grade>> {
    let row: Option<(i64, String)> =
        on_source!(source, e => sqlx::query_as(GRADE).bind(run.to_string()).fetch_optional(e).await).map_err(fault)?;
    row.map(read).transpose()
}

/// The grade that a repetition led to.
pub(super) async fn grade_of_rerun(source: Source<'_>, rerun: RunId) -> Result<Option<Grade>> {
    let row: Option<(i64, String)> =
        on_source!(source, e => sqlx::query_as(GRADE_OF_RERUN).bind(rerun.to_string()).fetch_optional(e).await)
            .map_err(fault)?;
    row.map(read).transpose()
}

fn read((id, doc): (i64, String)) -> Result<Grade> {
    let grade: Grade = serde_json::from_slice(doc.as_bytes()).map_err(|e| {
        Fault::bug("the store's grades cannot be read").why(e.to_string()).next("restore the last backup")
    })?;
    Ok(Grade { id, ..grade })
}
