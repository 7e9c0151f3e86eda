//! Hosts from /proc to the command line: the agent's own, an edge that joined, what waits while the agent is away, and a run that
//! stands still on a machine that does nothing.

use std::time::Duration;

use opsroom::base::Timestamp;
use opsroom::capability::hosts::{self, Figures, Gpu, Minute, Told};
use opsroom::db::Source;
use serde_json::{Value, json};

use super::stores::on_each_engine;
use super::support::{Agent, Home, eventually, wait};

const MINUTE: i64 = 60_000_000;

fn minute(n: i64, cpu: f64) -> Minute {
    let gpu = Gpu { index: 0, name: "H100".to_owned(), percent: 0.0, memory_total: 80 << 30, ..Gpu::default() };
    let figures = Figures { cpu_percent: cpu, cpus: 8, gpus: vec![gpu], ..Figures::default() };
    Minute { at: Timestamp(n * MINUTE), looks: 6, figures }
}

fn told(first: i64, minutes: Vec<Minute>) -> Told {
    Told { edge: "e1".to_owned(), host: "gpu-13".to_owned(), version: "0.1.0".to_owned(), first, minutes, dropped: 0 }
}

#[tokio::test]
async fn a_minute_that_is_told_twice_counts_once() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let now = Timestamp(100 * MINUTE);
        let put = async |told: &Told| {
            let mut tx = db.begin().await.unwrap();
            let taken = hosts::record(&mut tx, told, true, now).await;
            if taken.is_ok() {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await;
            }
            taken.map(|t| t.newest)
        };
        assert_eq!(put(&told(0, vec![minute(10, 1.0), minute(11, 2.0)])).await.unwrap(), 1);
        // The answer was lost: the same again, with one more behind it, and other figures for what counts already.
        assert_eq!(put(&told(0, vec![minute(10, 99.0), minute(11, 99.0), minute(12, 3.0)])).await.unwrap(), 2);
        assert_eq!(put(&told(1, vec![minute(11, 99.0)])).await.unwrap(), 2);
        let cpu = async || -> Vec<f64> {
            let all = hosts::minutes(Source::Pool(db.read()), "gpu-13", Timestamp(0), now).await.unwrap();
            all.iter().map(|m| m.figures.cpu_percent).collect()
        };
        assert_eq!(cpu().await, [1.0, 2.0, 3.0]);
        // One bad minute, and nothing of it is taken.
        let future = told(3, vec![minute(13, 4.0), minute(1000, 4.0)]);
        assert!(put(&future).await.unwrap_err().why.contains("set the clock"));
        assert_eq!(cpu().await.len(), 3);
        let all = hosts::hosts(Source::Pool(db.read()), now).await.unwrap();
        assert_eq!(
            (all.len(), all[0].edge, all[0].away, all[0].newest.as_ref().unwrap().at),
            (1, true, false, Timestamp(12 * MINUTE))
        );
        assert!(hosts::hosts(Source::Pool(db.read()), Timestamp(200 * MINUTE)).await.unwrap()[0].away);
    })
    .await;
}

fn hosts_of(agent: &Agent) -> Value {
    agent.cli(&["hosts", "--json"]).expect(0).json()
}

/// Sends what an edge would.
fn tell(agent: &Agent, told: &Told) {
    let body = serde_json::to_value(told).unwrap();
    wait(agent.client().mlflow(reqwest::Method::POST, "/api/v1/hosts", &body)).unwrap();
}

#[test]
fn a_run_that_stands_still_on_an_idle_host_is_flagged_with_what_an_hour_costs() {
    let agent = Agent::start();
    std::fs::write(agent.home().path().join("r.toml"), "[rates.host.gpu-13]\nhour = 9.14\n").unwrap();
    agent.cli(&["apply", "r.toml"]).expect(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let ago = |minutes: i64| now - minutes * 60_000;
    let client = agent.client();
    let post = |path: &str, body: Value| -> Value {
        wait(client.mlflow(reqwest::Method::POST, &format!("/api/2.0/mlflow/runs/{path}"), &body)).unwrap()
    };
    let tags = json!([{"key": "opsroom.host", "value": "gpu-13"}, {"key": "mlflow.runName", "value": "big"}]);
    let made = post("create", json!({"experiment_id": "0", "start_time": ago(120), "tags": tags}));
    let id = made["run"]["info"]["run_id"].as_str().unwrap();
    for step in 0..60 {
        post(
            "log-metric",
            json!({"run_id": id, "key": "loss", "value": 0.5, "timestamp": ago(90 - step), "step": step}),
        );
    }
    let begin = now / 60_000 - 3;
    tell(&agent, &told(0, (begin..begin + 3).map(|n| minute(n, 1.0)).collect()));
    let all = hosts_of(&agent);
    let host = all.as_array().unwrap().iter().find(|h| h["name"] == "gpu-13").unwrap().clone();
    assert_eq!(host["runs"], json!(["big"]), "{all}");
    let stalled = &host["stalled"][0];
    assert!(
        stalled["why"].as_str().unwrap().starts_with("no step for 3")
            && stalled["why"].as_str().unwrap().ends_with("GPU 0%"),
        "{all}"
    );
    assert_eq!(stalled["hour_micros"], 9_140_000, "{all}");
    // The list of what to do says it as well.
    let cost = agent.cli(&["cost", "--json"]).expect(0).json();
    let advice = cost["advice"].as_array().unwrap().iter().find(|a| a["run"] == id).unwrap();
    assert!(advice["why"].as_str().unwrap().contains("gpu-13: GPU 0%"), "{advice}");
    // Busy, it may think for as long as it likes.
    let mut busy = minute(begin + 3, 1.0);
    busy.figures.gpus[0].percent = 97.0;
    tell(&agent, &told(3, vec![busy]));
    let all = hosts_of(&agent);
    let host = all.as_array().unwrap().iter().find(|h| h["name"] == "gpu-13").unwrap().clone();
    assert_eq!(host["stalled"], json!([]), "{all}");
    assert_eq!(agent.cli(&["hosts", "gpu-13", "--json"]).expect(0).json().as_array().unwrap().len(), 4);
    assert_eq!(agent.cli(&["hosts", "nowhere"]).code, 4);
}

/// An edge of its own home; ended when dropped.
struct Edge {
    home: Home,
    child: std::process::Child,
}

impl Edge {
    fn start(home: Home, url: &str, token: &str) -> Self {
        let mut command = home.command(&["agent", "--join", url]);
        let child = command.env("OPSROOM_TOKEN", token).env("OPSROOM_AGENT_HOST", "edge-7").spawn().unwrap();
        Self { home, child }
    }

    fn spool(&self) -> Vec<Value> {
        let text =
            std::fs::read_to_string(self.home.path().join("state/opsroom/edge/spool.ndjson")).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_edge_tells_of_its_host_and_what_waited_while_the_agent_was_away() {
    let mut agent = Agent::start();
    let made = agent.cli(&["token", "create", "edge", "--role", "operator", "--json"]).expect(0).json();
    let token = made["secret"].as_str().unwrap().to_owned();
    let url = agent.url().to_owned();
    // A token that is none is refused at once.
    let refused = Home::new();
    let wrong = refused.command(&["agent", "--join", &url]).env("OPSROOM_TOKEN", "x".repeat(40)).output().unwrap();
    assert_ne!(wrong.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("token"), "{wrong:?}");

    // Two minutes that waited from before.
    let home = Home::new();
    let folder = home.path().join("state/opsroom/edge");
    std::fs::create_dir_all(&folder).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64 / 60;
    let waiting: Vec<String> = (now - 5..now - 3).map(|n| serde_json::to_string(&minute(n, 50.0)).unwrap()).collect();
    std::fs::write(folder.join("spool.ndjson"), waiting.join("\n") + "\n").unwrap();
    std::fs::write(folder.join("edge.json"), r#"{"edge":"e7","first":40,"dropped":2}"#).unwrap();

    // The agent is away first: nothing is lost.
    let listen = url.trim_start_matches("http://").to_owned();
    let kept = agent.kill();
    let edge = Edge::start(home, &url, &token);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(edge.spool().len(), 2);
    agent = Agent::start_in(kept, &["--listen", &listen]);
    let of_edge = || hosts_of(&agent).as_array().unwrap().iter().find(|h| h["edge"] == true).cloned();
    eventually("the edge's host", || of_edge().is_some());
    let host = of_edge().unwrap();
    assert_eq!(host["dropped"], 2, "{host}");
    assert_eq!(host["name"], "edge-7");
    let minutes = agent.cli(&["hosts", "edge-7", "--json"]).expect(0).json();
    assert!(minutes.as_array().unwrap().iter().filter(|m| m["cpu_percent"] == 50.0).count() == 2, "{minutes}");
    eventually("an empty spool", || edge.spool().is_empty());
}
