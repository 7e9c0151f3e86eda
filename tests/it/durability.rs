//! An acknowledged write is there, whatever happens after: kill -9 under load, kill -9 in a fold, and the system calls
//! themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use opsroom::base::clock::Stopwatch;
use opsroom::client::Client;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Agent, Home};

const WRITERS: usize = 12;

async fn call(client: &Client, path: &str, body: Value) -> opsroom::base::fault::Result<Value> {
    client.mlflow(Method::POST, &format!("/api/2.0/mlflow/{path}"), &body).await
}

async fn new_run(client: &Client) -> opsroom::base::fault::Result<String> {
    let run = call(client, "runs/create", json!({"experiment_id": "0", "start_time": 1})).await?;
    Ok(run["run"]["info"]["run_id"].as_str().unwrap().to_owned())
}

/// What one script knows to be stored.
#[derive(Default)]
struct Script {
    run: String,
    /// Numbers given to writes, acknowledged or not: none is used twice.
    next: u64,
    batches: BTreeSet<u64>,
    singles: BTreeSet<u64>,
    runs: Vec<String>,
}

impl Script {
    /// Logs until the agent is gone.
    async fn log_on(&mut self, client: &Client) {
        while self.log_once(client).await.is_ok() {}
    }

    async fn log_once(&mut self, client: &Client) -> opsroom::base::fault::Result<()> {
        if self.run.is_empty() {
            self.run = new_run(client).await?;
        }
        let i = self.next;
        self.next += 1;
        if i % 7 == 3 {
            self.runs.push(new_run(client).await?);
        } else if i.is_multiple_of(2) {
            let metric = |key: &str| json!({"key": key, "value": i as f64, "timestamp": i, "step": i});
            let metrics = [metric("a"), metric("b")];
            let params = [json!({"key": format!("p{i}"), "value": i.to_string()})];
            call(client, "runs/log-batch", json!({"run_id": self.run, "metrics": metrics, "params": params})).await?;
            self.batches.insert(i);
        } else {
            let metric = json!({"run_id": self.run, "key": "c", "value": i as f64, "timestamp": i, "step": i});
            call(client, "runs/log-metric", metric).await?;
            self.singles.insert(i);
        }
        Ok(())
    }

    /// Everything acknowledged is there; a batch is there as a whole or not at all; nothing stands there that was not
    /// sent, nor twice.
    async fn check(&self, client: &Client) {
        if self.run.is_empty() {
            return;
        }
        let (a, b) = (steps(client, &self.run, "a").await, steps(client, &self.run, "b").await);
        let params = params(client, &self.run).await;
        assert!(a.is_superset(&self.batches), "batches lost: {:?}", self.batches.difference(&a));
        assert!(a == b && a == params, "half a batch: {a:?} {b:?} {params:?}");
        let c = steps(client, &self.run, "c").await;
        assert!(c.is_superset(&self.singles), "metrics lost: {:?}", self.singles.difference(&c));
        assert!(a.iter().chain(&c).all(|i| *i < self.next), "nobody sent that");
        for run in &self.runs {
            run_of(client, run).await;
        }
    }
}

async fn run_of(client: &Client, run: &str) -> Value {
    client.mlflow(Method::GET, &format!("/api/2.0/mlflow/runs/get?run_id={run}"), &Value::Null).await.unwrap()
}

async fn params(client: &Client, run: &str) -> BTreeSet<u64> {
    let run = run_of(client, run).await;
    let params = run["run"]["data"]["params"].as_array().cloned().unwrap_or_default();
    params.iter().map(|p| p["key"].as_str().unwrap()[1..].parse().unwrap()).collect()
}

async fn steps(client: &Client, run: &str, key: &str) -> BTreeSet<u64> {
    let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={key}");
    let history = client.mlflow(Method::GET, &path, &Value::Null).await.unwrap();
    let points = history["metrics"].as_array().cloned().unwrap_or_default();
    let steps: BTreeSet<u64> = points
        .iter()
        .map(|p| {
            let step = p["step"].as_u64().unwrap();
            assert!((p["value"].as_f64().unwrap() - step as f64).abs() < f64::EPSILON, "{p}");
            step
        })
        .collect();
    assert_eq!(steps.len(), points.len(), "a point stands twice");
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9_under_load() {
    let mut home = Home::new();
    let mut scripts: Vec<Script> = (0..WRITERS).map(|_| Script::default()).collect();
    let mut acknowledged = 0;
    for round in 0..5 {
        let agent = Agent::start_in(home, &[]);
        let client = agent.client();
        join_all(scripts.iter().map(|s| s.check(&client))).await;
        let load = async { join_all(scripts.iter_mut().map(|s| s.log_on(&client))).await };
        let killed = async {
            tokio::time::sleep(Duration::from_millis(250 + 130 * round)).await;
            agent.kill()
        };
        home = tokio::join!(load, killed).1;
        let now = scripts.iter().map(|s| s.batches.len() + s.singles.len() + s.runs.len()).sum();
        assert!(now > acknowledged, "round {round}: nothing was written");
        acknowledged = now;
    }
    let agent = Agent::start_in(home, &[]);
    let client = agent.client();
    join_all(scripts.iter().map(|s| s.check(&client))).await;
    println!("{acknowledged} acknowledged writes survived 5 kills");
}

/// A fold begins when the stream has rested for two seconds; this one is long enough to be hit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_a_fold_loses_nothing() {
    let mut home = Home::new();
    let mut runs: Vec<String> = Vec::new();
    for round in 0..3_u64 {
        let agent = Agent::start_in(home, &[]);
        let client = agent.client();
        while runs.len() < 400 {
            let some = join_all((0..40).map(|_| new_run(&client))).await;
            runs.extend(some.into_iter().map(Result::unwrap));
        }
        let log = async |run: &String| {
            let metric = |i: u64| json!({"key": "m", "value": (100 * round + i) as f64, "timestamp": 1, "step": 100 * round + i});
            let metrics: Vec<Value> = (0..100).map(metric).collect();
            call(&client, "runs/log-batch", json!({"run_id": run, "metrics": metrics})).await.unwrap();
        };
        join_all(runs.iter().map(&log)).await;
        let rested = Stopwatch::start();
        // Into the fold, a little later each time; where exactly does not matter.
        tokio::time::sleep(Duration::from_millis(2000 + 25 * round).saturating_sub(rested.elapsed())).await;
        home = agent.kill();
    }
    let agent = Agent::start_in(home, &[]);
    let client = agent.client();
    let expected: BTreeSet<u64> = (0..300).collect();
    for run in &runs {
        assert_eq!(steps(&client, run, "m").await, expected);
    }
}

mod calls {
    //! What the kernel saw: no answer of success leaves before the sync of what it answers for.

    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    const PARALLEL: usize = 8;
    const EACH: usize = 25;

    /// `None` when it is not to be had here; in CI it has to be.
    fn trace(pid: u32, into: &Path) -> Option<Child> {
        let started = Command::new("strace")
            .args([
                "-f",
                "-q",
                "-s",
                "200000",
                "-e",
                "trace=fsync,fdatasync,pwrite64,recvfrom,sendto,writev,write,read",
            ])
            .args(["-p", &pid.to_string(), "-o", into.to_str().unwrap()])
            .stderr(Stdio::null())
            .spawn();
        let mut child = started.ok()?;
        // Attached as soon as something has been written down.
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(50));
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if std::fs::read_to_string(format!("/proc/{pid}/status"))
                .unwrap()
                .lines()
                .any(|l| l.starts_with("TracerPid:") && !l.ends_with("\t0"))
            {
                return Some(child);
            }
        }
        None
    }

    async fn write_on(url: &str, run: &str, writer: usize) {
        // A connection of its own, so that requests and answers pair up.
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for i in 0..EACH {
            let metric =
                json!({"run_id": run, "key": format!("key-{writer}-{i}-"), "value": 1.0, "timestamp": 1, "step": 1});
            let sent = http.post(format!("{url}/api/2.0/mlflow/runs/log-metric")).json(&metric).send().await.unwrap();
            assert_eq!(sent.status(), 200);
        }
    }

    /// Number of the file a line speaks of: `12345 sendto(17, …`.
    fn file_of(line: &str) -> Option<&str> {
        let (_, rest) = line.split_once('(')?;
        rest.split([',', ')']).next()
    }

    fn is_sync(line: &str) -> bool {
        let call = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        let whole = (call.starts_with("fdatasync(") || call.starts_with("fsync(")) && call.ends_with("= 0");
        whole || (call.starts_with("<... fdatasync resumed>") || call.starts_with("<... fsync resumed>"))
    }

    /// The line on which a request came in, its write to the log, the end of a sync after it, and its answer.
    fn follow(lines: &[&str], key: &str) -> [usize; 4] {
        let find = |from: usize, what: &dyn Fn(&str) -> bool| {
            from + lines[from..].iter().position(|l| what(l)).unwrap_or_else(|| panic!("{key}: the trace breaks off"))
        };
        let came = find(0, &|l| l.contains("recvfrom") && l.contains(key));
        let socket = if let Some(file) = file_of(lines[came]).filter(|f| f.bytes().all(|b| b.is_ascii_digit())) {
            file.to_owned()
        } else {
            // `<... recvfrom resumed>`: the call began on an earlier line of the same thread.
            let thread = lines[came].split(' ').next().unwrap();
            let began = lines[..came].iter().rfind(|l| l.starts_with(thread) && l.contains("recvfrom(")).unwrap();
            file_of(began).unwrap().to_owned()
        };
        let wrote = find(came, &|l| l.contains("pwrite64(") && l.contains(key));
        let synced = find(wrote, &is_sync);
        let answered = find(came, &|l| l.contains("HTTP/1.1 200") && file_of(l) == Some(&socket));
        [came, wrote, synced, answered]
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_answer_leaves_before_the_sync_and_writers_share_syncs() {
        let agent = Agent::start();
        let run = new_run(&agent.client()).await.unwrap();
        let file = agent.home().path().join("trace");
        let Some(mut strace) = trace(agent.pid(), &file) else {
            assert!(
                std::env::var("CI").is_err(),
                "this test needs strace and the right to trace: apt-get install strace"
            );
            eprintln!("skipped: watching the system calls needs strace and the right to trace");
            return;
        };
        join_all((0..PARALLEL).map(|w| write_on(agent.url(), &run, w))).await;
        kill_process(Pid::from_raw(i32::try_from(strace.id()).unwrap()).unwrap(), Signal::INT).unwrap();
        strace.wait().unwrap();

        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let (mut first, mut last) = (usize::MAX, 0);
        for writer in 0..PARALLEL {
            for i in 0..EACH {
                let [came, wrote, synced, answered] = follow(&lines, &format!("key-{writer}-{i}-"));
                assert!(came < wrote && wrote < synced && synced < answered, "{came} {wrote} {synced} {answered}");
                (first, last) = (first.min(came), last.max(answered));
            }
        }
        let syncs = lines[first..last].iter().filter(|l| is_sync(l)).count();
        println!("{} writes, each acknowledged durable, took {syncs} syncs", PARALLEL * EACH);
        assert!(syncs < PARALLEL * EACH / 2, "{syncs} syncs for {} writes", PARALLEL * EACH);
    }
}
