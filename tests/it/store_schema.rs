//! A store's schema: newer is refused, older is copied and brought up to date, and one agent writes at a time.

use opsroom::base::Kind;
use opsroom::db::lock::{Holder, StoreLock};
use opsroom::db::{Db, migrate};
use opsroom::{on_db, on_tx};
use sqlx::{Connection, PgConnection};

use super::stores::{Place, on_each_engine, on_postgres};

const MARK: &str = "insert into experiments (experiment_id, doc) values (7, '{}')";

async fn execute(db: &Db, sql: &'static str) {
    let mut turn = db.turn().await;
    on_db!(turn.pool(), p => sqlx::raw_sql(sql).execute(p).await.map(drop)).unwrap();
}

async fn marks(db: &Db) -> i64 {
    on_db!(db.read(), p => sqlx::query_scalar("select count(*) from experiments").fetch_one(p).await).unwrap()
}

#[tokio::test]
async fn a_newer_store_is_refused() {
    on_each_engine(async |place| {
        let db = place.db().await;
        execute(&db, "insert into schema_version (version, name) values (1000, 'of tomorrow')").await;
        let refusal = migrate::bring_up_to_date(&db, &place.url, true).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Refused);
        assert!(refusal.to_string().contains("schema 1000"), "{refusal}");
        assert!(refusal.next.contains("newer opsroom"), "{refusal}");
    })
    .await;
}

#[tokio::test]
async fn an_older_sqlite_store_is_copied_and_migrated() {
    let place = Place::sqlite();
    let db = Db::open(&place.url).await.unwrap();
    migrate::apply(&db, 0, 2).await.unwrap();
    execute(&db, MARK).await;
    assert_eq!(migrate::standing(&db).await.unwrap(), migrate::Standing::Older(2));
    migrate::bring_up_to_date(&db, &place.url, false).await.unwrap();
    assert_eq!(migrate::standing(&db).await.unwrap(), migrate::Standing::Current);
    assert_eq!(marks(&db).await, 1);

    let copy = format!("{}.before-schema-{}", place.file().display(), migrate::newest());
    let copy = Db::open(&copy.parse().unwrap()).await.unwrap();
    assert_eq!(migrate::standing(&copy).await.unwrap(), migrate::Standing::Older(2));
    assert_eq!(marks(&copy).await, 1);
}

#[tokio::test]
async fn an_older_postgres_store_waits_for_an_explicit_word() {
    on_postgres(async |place| {
        let db = Db::open(&place.url).await.unwrap();
        migrate::apply(&db, 0, 2).await.unwrap();
        execute(&db, MARK).await;
        let refusal = migrate::bring_up_to_date(&db, &place.url, false).await.unwrap_err();
        assert!(refusal.kind == Kind::Refused && refusal.next.contains("opsroom agent migrate"), "{refusal}");
        assert_eq!(migrate::standing(&db).await.unwrap(), migrate::Standing::Older(2));
        migrate::bring_up_to_date(&db, &place.url, true).await.unwrap();
        assert_eq!((migrate::standing(&db).await.unwrap(), marks(&db).await), (migrate::Standing::Current, 1));
    })
    .await;
}

#[tokio::test]
async fn a_step_that_fails_changes_nothing() {
    on_each_engine(async |place| {
        let db = Db::open(&place.url).await.unwrap();
        migrate::apply(&db, 0, 2).await.unwrap();
        // In the way of the fourth step: the third is taken back with it.
        execute(&db, "create table access_tokens (x bigint)").await;
        assert!(migrate::apply(&db, 2, migrate::newest()).await.is_err());
        assert_eq!(migrate::standing(&db).await.unwrap(), migrate::Standing::Older(2));
        execute(&db, "drop table access_tokens").await;
        migrate::apply(&db, 2, migrate::newest()).await.unwrap();
        assert_eq!(migrate::standing(&db).await.unwrap(), migrate::Standing::Current);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    on_postgres(async |place| {
        let db = place.db().await;
        db.close().await;
        assert_eq!(migrate::standing(&db).await.unwrap_err().kind, Kind::Unavailable);
    })
    .await;
}

#[tokio::test]
async fn one_primary_a_store_and_the_lock_names_it() {
    on_each_engine(async |place| {
        let mut first = StoreLock::take(&place.url).await.unwrap();
        let holder = Holder {
            host: "train-7".to_owned(),
            pid: 4711,
            address: "http://127.0.0.1:6270".to_owned(),
            socket: None,
            since: opsroom::base::Timestamp(0),
        };
        first.announce(&holder).await.unwrap();
        let refusal = StoreLock::take(&place.url).await.unwrap_err();
        assert_eq!(refusal.kind, Kind::Unavailable);
        for part in ["http://127.0.0.1:6270", "4711", "train-7"] {
            assert!(refusal.why.contains(part), "{refusal}");
        }
        drop(first);
        // PostgreSQL notices the end of a session a moment later.
        for patience in (0..50).rev() {
            match StoreLock::take(&place.url).await {
                Ok(_) => break,
                Err(e) => assert!(patience > 0, "{e}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_broken_session_is_replaced_unless_another_agent_wrote_meanwhile() {
    on_postgres(async |place| {
        let db = place.db().await;
        let mut other = PgConnection::connect(&place.url_text()).await.unwrap();
        let break_off = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted \
             and database = (select oid from pg_database where datname = current_database())";
        sqlx::query(break_off).fetch_all(&mut other).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        on_tx!(tx, t => sqlx::raw_sql(MARK).execute(&mut *t).await.map(drop)).unwrap();
        tx.commit().await.unwrap();
        assert_eq!(marks(&db).await, 1);

        sqlx::query("update store_writer set epoch = epoch + 1").execute(&mut other).await.unwrap();
        sqlx::query(break_off).fetch_all(&mut other).await.unwrap();
        assert_eq!(db.begin().await.unwrap_err().kind, Kind::Unavailable);
        assert_eq!(marks(&db).await, 1);
    })
    .await;
}
