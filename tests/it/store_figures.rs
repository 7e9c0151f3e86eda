//! How long the store takes for what is large. Not run by default: `cargo test --release --test it figures -- --ignored
//! --nocapture --test-threads 1`.

use opsroom::base::Timestamp;
use opsroom::base::clock::Stopwatch;
use opsroom::base::id::RunId;
use opsroom::capability::Hints;
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Key, MetricPoint, Tracking};

use super::stores::Place;

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn batch(seed: usize, metrics: usize, params: usize) -> Batch {
    let metric = |k: usize| MetricPoint {
        key: Key::from(&format!("metric_{k}")),
        value: ((seed * 31 + k * 7) % 1000) as f64 / 1000.0,
        timestamp: 1_700_000_000_000 + seed as i64,
        step: seed as i64,
        model: None,
        dataset: None,
    };
    let params = (0..params).map(|k| (format!("param_{k}"), format!("value-{}", (seed + k) % 97))).collect();
    Batch { metrics: (0..metrics).map(metric).collect(), params, ..Batch::default() }
}

async fn many_runs(tracking: &Tracking, many: usize) {
    for part in (0..many).collect::<Vec<_>>().chunks(500) {
        let made = part.iter().map(|_| tracking.create_run(NewRun { start_ms: 1, ..NewRun::default() }));
        let runs: Vec<RunId> = futures::future::join_all(made).await.into_iter().map(Result::unwrap).collect();
        let logged = part.iter().zip(&runs).map(|(i, run)| tracking.log(*run, batch(*i, 10, 10)));
        futures::future::join_all(logged).await.into_iter().for_each(Result::unwrap);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn figures_opening_100_000_runs() {
    let place = Place::sqlite();
    let db = place.db().await;
    let tracking = Tracking::open(db.clone(), Hints::default()).await.unwrap();
    tracking.ensure_default(Timestamp(0)).await.unwrap();
    let written = Stopwatch::start();
    many_runs(&tracking, 100_000).await;
    tracking.fold().await.unwrap();
    println!("100,000 runs of 10 metrics and 10 params: written in {:.1} s", written.elapsed().as_secs_f64());
    drop(tracking);
    db.close().await;
    println!("store {} MiB", std::fs::metadata(place.file()).unwrap().len() >> 20);
    let before = resident_mib();
    let db = place.db().await;
    let opened = Stopwatch::start();
    let tracking = Tracking::open(db, Hints::default()).await.unwrap();
    println!(
        "opened in {:.2} s; resident {before} MiB before (allocator keeps), {} MiB after",
        opened.elapsed().as_secs_f64(),
        resident_mib()
    );
    assert_eq!(tracking.read(|s| s.runs().len()), 100_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn figures_folding() {
    let place = Place::sqlite();
    let db = place.db().await;
    let tracking = Tracking::open(db.clone(), Hints::default()).await.unwrap();
    tracking.ensure_default(Timestamp(0)).await.unwrap();
    let made = (0..1999).map(|_| tracking.create_run(NewRun::default()));
    let runs: Vec<RunId> = futures::future::join_all(made).await.into_iter().map(Result::unwrap).collect();
    tracking.fold().await.unwrap();
    for (keys, what) in [(1, "1 key a run"), (10, "10 keys a run")] {
        for round in 0..3 {
            let part: Vec<_> = runs.iter().map(|run| tracking.log(*run, many_points(keys, 50, round))).collect();
            futures::future::join_all(part).await.into_iter().for_each(Result::unwrap);
            let tail = tracking.read(opsroom::capability::tracking::State::tail_points);
            let folded = Stopwatch::start();
            tracking.fold().await.unwrap();
            println!("fold of {tail} points in 1999 runs, {what}: {:.0} ms", folded.elapsed().as_secs_f64() * 1e3);
        }
    }
}

fn many_points(keys: usize, points: usize, round: usize) -> Batch {
    let metric = |i: usize| MetricPoint {
        key: Key::from(&format!("k{}", i % keys)),
        value: i as f64,
        timestamp: (round * points + i) as i64,
        step: (round * points + i) as i64,
        model: None,
        dataset: None,
    };
    Batch { metrics: (0..points).map(metric).collect(), ..Batch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn figures_history_of_a_million_points() {
    let place = Place::sqlite();
    let db = place.db().await;
    let tracking = Tracking::open(db.clone(), Hints::default()).await.unwrap();
    tracking.ensure_default(Timestamp(0)).await.unwrap();
    let run = tracking.create_run(NewRun::default()).await.unwrap();
    let written = Stopwatch::start();
    for round in 0..1000 {
        tracking.log(run, many_points(1, 1000, round)).await.unwrap();
    }
    println!("a million points in batches of 1000, one writer: {:.1} s", written.elapsed().as_secs_f64());
    tracking.fold().await.unwrap();
    for _ in 0..3 {
        let read = Stopwatch::start();
        let all: Vec<Point> = tracking.history(run, "k0").await.unwrap();
        let whole = read.elapsed().as_secs_f64() * 1e3;
        let read = Stopwatch::start();
        let chart = tracking.chart(run, "k0", 400).await.unwrap();
        println!(
            "history of {} points: {whole:.0} ms; as {} for a chart: {:.0} ms",
            all.len(),
            chart.points.len(),
            read.elapsed().as_secs_f64() * 1e3
        );
    }
}
