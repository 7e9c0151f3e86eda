//! Journals that earlier builds wrote: their rows are lines of JSON, short ones as they came, others packed. They count, wait for
//! labels and are counted anew as what is written now.

use opsroom::base::Timestamp;
use opsroom::capability::monitoring::counters::{Counters, parse_labels, parse_predictions};
use opsroom::db::Db;
use opsroom::on_tx;
use serde_json::json;

use super::stores::on_each_engine;

const T0: i64 = 1_790_000_000_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp(T0 + second * 1_000_000)
}

fn lines(rows: std::ops::Range<i64>) -> Vec<u8> {
    let line = |i: i64| {
        let event = json!({
            "id": format!("p{i}"), "service": "s", "version": "1", "time": at(i).to_string(),
            "features": {"x": i as f64 / 8.0, "t": format!("v{}", i % 7), "deep": [i, {"a": null}], "none": null},
            "prediction": i % 2, "score": (i % 100) as f64 / 100.0, "slices": {"c": format!("{}", i % 3)},
        });
        format!("{event}\n")
    };
    rows.map(line).collect::<String>().into_bytes()
}

async fn open(db: &Db) -> Counters {
    Counters::open(db.clone(), None).await.unwrap()
}

async fn predict(counters: &Counters, body: &[u8]) -> u64 {
    counters.predictions(parse_predictions(body, at(9000)).unwrap(), at(9000)).await.unwrap().accepted
}

/// As builds before this one wrote it.
async fn write_as_before(db: &Db, seq: i64, lines: &[u8]) {
    let body = if lines.len() <= 1024 { lines.to_vec() } else { zstd::bulk::compress(lines, 1).unwrap() };
    let mut tx = db.begin().await.unwrap();
    let sql = "update monitor_journal set body = $1 where seq = $2";
    on_tx!(tx, t => sqlx::query(sql).bind(body).bind(seq).execute(&mut *t).await.map(drop)).unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn journals_of_earlier_builds_count_as_they_did() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let now = open(&db).await;
        let (long, short, unfolded) = (lines(0..1500), lines(1500..1502), lines(1502..1900));
        for body in [&long, &short] {
            predict(&now, body).await;
        }
        now.fold(at(9001)).await.unwrap();
        predict(&now, &unfolded).await;
        let label = json!({"id": "p1501", "label": 1}).to_string().into_bytes();
        now.labels(parse_labels(&label, at(9002)).unwrap(), at(9002)).await.unwrap();
        let (number, _) = now.arms("s").unwrap().remove(0);
        let counted = async |of: &Counters| of.counted(number, Timestamp(0), at(9000), None).await.unwrap().slices;
        let before = counted(&now).await;
        drop(now);
        for (seq, body) in [(1, &long), (2, &short), (3, &unfolded)] {
            write_as_before(&db, seq, body).await;
        }
        let again = open(&db).await;
        assert_eq!(counted(&again).await, before);
        let recount = again.recount("s").await.unwrap();
        assert_eq!((recount.same, recount.events), (Some(true), 1901), "{}", recount.why);
        // Those that wait are known again: none of them counts twice, and none is taken for another.
        assert_eq!(predict(&again, &lines(1000..1900)).await, 900);
        let standing = again.standing();
        assert_eq!((standing.waiting, standing.odd.again, standing.odd.differing), (1900, 900, 0));
        assert_eq!(counted(&again).await, before);
        // Old and new rows side by side.
        predict(&again, &lines(1900..2000)).await;
        again.fold(at(9003)).await.unwrap();
        let last = open(&db).await;
        assert_eq!(counted(&last).await, counted(&again).await);
        assert_eq!(last.recount("s").await.unwrap().same, Some(true));
    })
    .await;
}
