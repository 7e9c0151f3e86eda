//! Seeded random stories: whatever is logged, folded, crashed and reopened in whatever order, the store says what a
//! plain model in memory says. A failure prints its seed; `OPSROOM_TEST_SEED=N` tells that story alone.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use opsroom::base::id::RunId;
use opsroom::base::{Fault, Kind};
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Key, Lifecycle, MetricPoint, Run, RunStatus, Tracking};
use opsroom::capability::{Command, Ctx, Envelope, Hints, perform, tracking};

use super::stores::{Place, kim, on_postgres};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a run should be, written down as plainly as can be.
#[derive(Default)]
struct Plain {
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    metrics: BTreeMap<String, Vec<Point>>,
    status: &'static str,
    deleted: bool,
}

impl Plain {
    /// All of the batch, or nothing of it.
    fn log(&mut self, batch: &Batch) -> bool {
        let changes = |(k, v): &(String, String)| self.params.get(k).is_some_and(|old| old != v);
        if self.deleted || batch.params.iter().any(changes) {
            return false;
        }
        self.params.extend(batch.params.iter().cloned());
        self.tags.extend(batch.tags.iter().cloned());
        for m in &batch.metrics {
            let point = Point { step: m.step, timestamp: m.timestamp, value: m.value };
            self.metrics.entry(m.key.to_string()).or_default().push(point);
        }
        true
    }
}

/// By (step, timestamp, value), NaN below every number.
fn latest(points: &[Point]) -> Point {
    let order = |p: &&Point| (p.step, p.timestamp, !p.value.is_nan());
    let best = points.iter().map(|p| order(&p)).max().unwrap();
    let equal = points.iter().filter(|p| order(p) == best);
    *equal.reduce(|a, b| if b.value >= a.value { b } else { a }).unwrap()
}

fn some_batch(random: &mut Random) -> Batch {
    let pair = |random: &mut Random, what: &str, values: u64| {
        (format!("{what}{}", random.below(4)), format!("v{}", random.below(values)))
    };
    let params: BTreeMap<_, _> = (0..random.below(3)).map(|_| pair(random, "p", 2)).collect();
    let tags: BTreeMap<_, _> = (0..random.below(3)).map(|_| pair(random, "t", 9)).collect();
    let metrics = (0..random.below(12)).map(|_| some_metric(random)).collect();
    Batch { metrics, params: params.into_iter().collect(), tags: tags.into_iter().collect(), single: false }
}

fn some_metric(random: &mut Random) -> MetricPoint {
    let value = match random.below(8) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        _ => random.below(1000) as f64 / 7.0,
    };
    let key = Key::from(&format!("m{}", random.below(5)));
    let (step, timestamp) = (random.below(40) as i64 - 5, 1000 + random.below(20) as i64);
    MetricPoint { key, value, timestamp, step, model: None, dataset: None }
}

struct Story {
    ctx: Ctx,
    random: Random,
    plain: BTreeMap<RunId, Plain>,
}

impl Story {
    fn some_run(&mut self) -> Option<RunId> {
        let n = self.plain.len() as u64;
        (n > 0).then(|| *self.plain.keys().nth(self.random.below(n) as usize).unwrap())
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => self.create().await,
            3..=12 => self.log_some().await,
            13 => self.end().await,
            14 => self.delete_tag().await,
            15 => self.delete_or_restore().await,
            16 | 17 => self.ctx.tracking.fold().await.unwrap(),
            18 => self.crash().await,
            _ => self.check().await,
        }
    }

    async fn create(&mut self) {
        let run = self.ctx.tracking.create_run(NewRun::default()).await.unwrap();
        self.plain.insert(run, Plain { status: "RUNNING", ..Plain::default() });
    }

    /// Several writers at once: they share a commit, and the first in the queue decides first.
    async fn log_some(&mut self) {
        let (tracking, beside) = (self.ctx.tracking.clone(), self.random.one_in(3));
        let mut writes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..=self.random.below(6) {
            let Some(run) = self.some_run() else { return };
            let batch = some_batch(&mut self.random);
            expected.push(self.plain.get_mut(&run).unwrap().log(&batch));
            writes.push(tracking.log(run, batch));
        }
        // A fold goes on beside some of them.
        let fold = async {
            if beside {
                tracking.fold().await.unwrap();
            }
        };
        let (done, ()) = tokio::join!(join_all(writes), fold);
        for (done, expected) in done.into_iter().zip(expected) {
            assert_eq!(done.is_ok(), expected, "{done:?}");
            assert!(done.err().is_none_or(|f: Fault| f.kind == Kind::Invalid));
        }
    }

    async fn end(&mut self) {
        let Some(run) = self.some_run() else { return };
        let done = self.ctx.tracking.update_run(run, Some(RunStatus::Finished), Some(5), None).await;
        let plain = self.plain.get_mut(&run).unwrap();
        assert_eq!(done.is_ok(), !plain.deleted);
        if !plain.deleted {
            plain.status = "FINISHED";
        }
    }

    async fn delete_tag(&mut self) {
        let Some(run) = self.some_run() else { return };
        let key = format!("t{}", self.random.below(4));
        let done = self.ctx.tracking.delete_tag(run, key.clone()).await;
        let plain = self.plain.get_mut(&run).unwrap();
        let gone = !plain.deleted && plain.tags.remove(&key).is_some();
        assert_eq!(done.is_ok(), gone);
    }

    async fn delete_or_restore(&mut self) {
        let Some(id) = self.some_run() else { return };
        let deleted = self.random.one_in(3);
        let command = if deleted { tracking::Command::DeleteRun { id } } else { tracking::Command::RestoreRun { id } };
        let envelope = Envelope { dry_run: self.random.one_in(4), ..Envelope::new(Command::Tracking(command), "") };
        let dry_run = envelope.dry_run;
        perform(&self.ctx, &kim(), envelope).await.unwrap();
        if !dry_run {
            self.plain.get_mut(&id).unwrap().deleted = deleted;
        }
    }

    /// What was not folded is in the journal only.
    async fn crash(&mut self) {
        self.ctx.tracking = Tracking::open(self.ctx.db.clone(), Hints::default()).await.unwrap();
        self.check().await;
    }

    async fn check(&self) {
        let tracking = &self.ctx.tracking;
        assert_eq!(
            tracking.read(|s| s.runs().iter().map(|r| r.id).collect::<BTreeSet<_>>()),
            self.plain.keys().copied().collect()
        );
        for (id, plain) in &self.plain {
            let run = tracking.read(|s| s.run(*id).cloned()).unwrap();
            self.check_document(&run, plain);
            for (key, points) in &plain.metrics {
                let told = tracking.history(*id, key).await.unwrap();
                assert_eq!(as_set(&told), as_set(points), "history of {key}");
            }
        }
    }

    fn check_document(&self, run: &Run, plain: &Plain) {
        let params: BTreeMap<_, _> = run.params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(params, plain.params);
        let mut tags: BTreeMap<_, _> = run.tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        tags.remove("mlflow.runName");
        assert_eq!(tags, plain.tags);
        assert_eq!((run.status.name(), run.lifecycle == Lifecycle::Deleted), (plain.status, plain.deleted));
        assert_eq!(run.metrics.len(), plain.metrics.len());
        for (key, points) in &plain.metrics {
            let (told, expected) = (run.metrics.get(key).unwrap(), latest(points));
            assert_eq!(
                (told.step, told.timestamp, told.count),
                (expected.step, expected.timestamp, points.len() as u32)
            );
            assert_eq!(told.value.to_bits(), expected.value.to_bits(), "latest of {key}");
        }
    }
}

fn as_set(points: &[Point]) -> BTreeSet<(i64, i64, u64)> {
    points.iter().map(|p| (p.step, p.timestamp, p.value.to_bits())).collect()
}

async fn tell(place: &Place, seed: u64, steps: usize) {
    let mut story = Story { ctx: place.ctx().await, random: Random(seed), plain: BTreeMap::new() };
    for _ in 0..steps {
        story.step().await;
    }
    story.crash().await;
    story.ctx.tracking.fold().await.unwrap();
    story.crash().await;
}

/// Says which seed it was when a story fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the story that failed: OPSROOM_TEST_SEED={}", self.0);
        }
    }
}

fn seeds(from: u64, many: u64) -> Vec<u64> {
    match std::env::var("OPSROOM_TEST_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => vec![seed],
        None => (from..from + many).collect(),
    }
}

#[tokio::test]
async fn any_order_of_writes_folds_and_crashes_gives_the_same_store() {
    for seed in seeds(0, 16) {
        let _told = Seed(seed);
        tell(&Place::sqlite(), seed, 80).await;
    }
}

#[tokio::test]
async fn also_on_postgres() {
    on_postgres(async |place| {
        let seed = seeds(1000, 1)[0];
        let _told = Seed(seed);
        tell(place, seed, 200).await;
    })
    .await;
}
