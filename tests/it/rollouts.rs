//! Services as their owner meets them: applied, rolled out by a real router, judged, taken back, also without an agent.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::router::{Upstream, ask, plainly};
use crate::stage::{serve, three_versions};
use crate::support::{Agent, eventually};

/// A model with three versions, of which the first is prod, and servers for them.
struct Stage {
    agent: Agent,
    servers: Vec<Upstream>,
}

fn fails(_: &str, stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    true
}

fn slow(_: &str, _: &mut TcpStream) -> bool {
    std::thread::sleep(Duration::from_millis(60));
    false
}

/// These tests ask what a rollout does, not how fast the machine is that they run on: latency is judged in a test of its own.
const GUARDS: &str = "requests_min = 20, error_margin = 1.0, latency_margin = 100";

fn stage(steps: &str, third: fn(&str, &mut TcpStream) -> bool) -> Stage {
    stage_with(steps, GUARDS, third)
}

fn stage_with(steps: &str, guards: &str, third: fn(&str, &mut TcpStream) -> bool) -> Stage {
    let (agent, servers) = three_versions(third);
    let urls: Vec<String> = servers.iter().map(|s| s.url.clone()).collect();
    serve(&agent, &urls, &format!("rollout = {steps}\nguards = {{ {guards} }}"));
    let again = agent.cli(&["apply", "service.toml", "--json"]).expect(0).json();
    assert_eq!(again["differences"], json!([]), "idempotent");
    Stage { agent, servers }
}

impl Stage {
    fn show(&self) -> Value {
        self.agent.cli(&["service", "show", "delay", "--json"]).expect(0).json()
    }

    /// Where the router takes requests.
    fn router(&self) -> String {
        let mut address = String::new();
        eventually("the router runs", || {
            let status = self.agent.cli(&["status", "--json"]).expect(0).json();
            status["router"].as_str().unwrap().clone_into(&mut address);
            !address.is_empty()
        });
        address.trim_start_matches("http://").to_owned()
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let mut stream = None;
        let address = self.router();
        eventually("it routes", || {
            let mut client = BufReader::new(TcpStream::connect(&address).unwrap());
            let up = ask(&mut client, &request("u")).is_some_and(|a| a.0 != 404);
            stream = Some(client);
            up
        });
        stream.unwrap()
    }

    fn prod(&self) -> u64 {
        let shown = self.agent.cli(&["model", "show", "flight-delay", "--json"]).expect(0).json();
        let all = shown["versions"].as_array().unwrap().clone();
        all.iter().find(|v| v["stage"] == "prod").unwrap()["version"].as_u64().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The router outlives an agent that is killed.
        let _ = self.agent.cli(&["agent", "stop"]);
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn request(user: &str) -> String {
    let body = "{\"inputs\": [{\"hour\": 7}]}";
    format!(
        "POST /delay/invocations HTTP/1.1\r\nhost: r\r\nx-user: {user}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Callers who never stop, until the answer is dropped.
struct Callers(Arc<AtomicBool>, Vec<std::thread::JoinHandle<()>>);

impl Callers {
    fn call(stage: &Stage) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..2)
            .map(|n| {
                let (stop, mut client) = (stop.clone(), stage.connect());
                std::thread::spawn(move || {
                    for i in 0.. {
                        if stop.load(Ordering::Relaxed) || ask(&mut client, &request(&format!("u{n}-{i}"))).is_none() {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        Self(stop, threads)
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|t| drop(t.join()));
    }
}

#[test]
fn a_good_version_goes_step_by_step_to_prod_and_can_be_taken_back() {
    let steps = "{ steps = [{ weight = 20, for = '1s', requests = 5 }, { weight = 50, for = '1s', requests = 5 }], automatic = true }";
    let stage = stage(steps, plainly);
    let callers = Callers::call(&stage);
    assert_eq!(stage.show()["stable"], 1);
    // Past the service there is no way to prod, nor to be forgotten.
    let refused = stage.agent.cli(&["promote", "flight-delay", "2", "--to", "prod", "--reason", "better"]);
    assert!(refused.expect(3).stderr.contains("is served by delay"));
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", ""]).expect(3);
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", "better on later months"]).expect(0);
    stage.agent.cli(&["rollout", "start", "delay", "3", "--reason", "this one too"]).expect(7);
    let started = stage.show();
    assert_eq!((&started["candidate"], &started["weight"]), (&json!(2), &json!(20.0)), "{started}");
    eventually("it is promoted", || stage.show()["stable"] == 2);
    let done = stage.show();
    assert_eq!((&done["previous"], &done["state"]), (&json!(1), &json!("steady")));
    assert_eq!(done["history"][0]["state"], "promoted");
    assert_eq!(stage.prod(), 2, "stage and traffic move together");
    let mut client = stage.connect();
    eventually("everybody gets it", || ask(&mut client, &request("u")).unwrap().2.contains("[2]"));
    // A drill changes nothing; then back, and the stage goes with it.
    stage.agent.cli(&["rollback", "delay", "--drill", "--reason", "we rehearse this"]).expect(0);
    assert_eq!(stage.show()["stable"], 2);
    stage.agent.cli(&["rollback", "delay", "--reason", "quality fell"]).expect(0);
    eventually("the one before answers", || ask(&mut client, &request("u")).unwrap().2.contains("[1]"));
    assert_eq!((stage.prod(), stage.show()["previous"].as_u64()), (1, Some(2)));
    // It can be taken back for a while, and that is a decision of its own; a second time there is nothing.
    stage.agent.cli(&["rollback", "delay", "--undo", "--reason", "it was the network"]).expect(0);
    assert_eq!((stage.prod(), stage.show()["previous"].as_u64()), (2, Some(1)));
    stage.agent.cli(&["rollback", "delay", "--undo", "--reason", "once more"]).expect(3);
    stage.agent.cli(&["rollback", "delay", "--reason", "quality fell all the same"]).expect(0);
    assert_eq!(stage.prod(), 1);
    // Once more takes it back; a forbidden version stays away.
    stage.agent.cli(&["forbid", "flight-delay", "2", "--reason", "it leaks"]).expect(0);
    stage.agent.cli(&["rollback", "delay", "--reason", "forth again"]).expect(3);
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", "again"]).expect(3);
    drop(callers);
    stage.agent.cli(&["audit", "verify"]).expect(0);
}

#[test]
fn a_version_that_fails_is_dropped_by_the_judge() {
    let stage = stage("{ steps = [{ weight = 30, for = '10m', requests = 100000 }] }", fails);
    let callers = Callers::call(&stage);
    stage.agent.cli(&["rollout", "start", "delay", "3", "--reason", "let us see"]).expect(0);
    eventually("it is dropped", || stage.show()["candidate"].is_null());
    let shown = stage.show();
    let last = &shown["history"][0];
    assert_eq!((&last["state"], &shown["stable"]), (&json!("dropped"), &json!(1)), "{shown}");
    assert!(last["why"].as_str().unwrap().starts_with("errors: "), "{last}");
    let mut client = stage.connect();
    eventually("nobody gets it", || (0..50).all(|i| ask(&mut client, &request(&format!("c{i}"))).unwrap().0 == 200));
    drop(callers);
    // By hand: a weight, held until resumed, and dropped.
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", "by hand"]).expect(0);
    stage.agent.cli(&["rollout", "weight", "delay", "2.5", "--reason", "less"]).expect(0);
    let held = stage.show();
    assert_eq!((&held["weight"], &held["state"]), (&json!(2.5), &json!("held")));
    stage.agent.cli(&["rollout", "weight", "delay", "250", "--reason", "more"]).expect(2);
    stage.agent.cli(&["rollout", "resume", "delay", "--reason", "go on"]).expect(0);
    assert_eq!(stage.show()["weight"], 30.0);
    stage.agent.cli(&["rollout", "drop", "delay", "--reason", "enough"]).expect(0);
    stage.agent.cli(&["rollout", "drop", "delay", "--reason", "twice"]).expect(3);
    // Dropped by mistake: the same callers get it again, and it waits there.
    let salt = |shown: &Value| shown["rollout"]["salt"].as_str().map(ToOwned::to_owned);
    stage.agent.cli(&["undo", "--reason", "the wrong one"]).expect(0);
    let again = stage.show();
    assert_eq!((&again["candidate"], &again["weight"], &again["state"]), (&json!(2), &json!(30.0), &json!("held")));
    assert_eq!(salt(&again), salt(&held));
    stage.agent.cli(&["rollout", "drop", "delay", "--reason", "enough"]).expect(0);
    assert!(stage.servers[1].answered.load(Ordering::SeqCst) < 1_000_000);
}

/// With the guards as they are when nobody sets them: what the stable version took before says what is slow.
#[test]
fn a_version_that_is_slower_is_dropped_by_the_judge() {
    let steps = "{ steps = [{ weight = 10, for = '4s', requests = 20 }, { weight = 50, for = '10m', requests = 100000 }], automatic = true }";
    let stage = stage_with(steps, "requests_min = 20, error_margin = 1.0", slow);
    let callers = Callers::call(&stage);
    stage.agent.cli(&["rollout", "start", "delay", "3", "--reason", "let us see"]).expect(0);
    eventually("it is dropped", || stage.show()["candidate"].is_null());
    let last = stage.show()["history"][0].clone();
    assert_eq!(last["state"], "dropped", "{last}");
    assert!(last["why"].as_str().unwrap().starts_with("latency: "), "{last}");
    drop(callers);
}

/// The agent is killed: the router serves on, a rollback works, and the next agent records it.
#[test]
fn without_an_agent_the_way_back_is_open_and_is_recorded_later() {
    let mut stage = stage("{ steps = [{ weight = 100, for = '10m', requests = 100000 }] }", plainly);
    stage.agent.cli(&["service", "switch", "delay", "2", "--reason", "all at once"]).expect(0);
    let mut client = stage.connect();
    eventually("v2 answers", || ask(&mut client, &request("u")).unwrap().2.contains("[2]"));
    stage.agent.signal(rustix::process::Signal::KILL);
    stage.agent.ended();
    assert!(ask(&mut client, &request("u")).unwrap().2.contains("[2]"), "it serves on");
    let back = stage.agent.cli(&["rollback", "delay", "--reason", "v2 is wrong", "--json"]);
    let back = back.expect(0);
    assert!(back.stderr.contains("the router did it"), "{}", back.stderr);
    assert_eq!(back.json()["version"], 1);
    assert!(ask(&mut client, &request("u")).unwrap().2.contains("[1]"), "at once");
    stage.agent.start_again(&["--router", "127.0.0.1:0"]);
    eventually("it is recorded", || stage.show()["stable"] == 1);
    assert_eq!(stage.prod(), 1);
    let trail = stage.agent.cli(&["audit", "list", "--json"]).expect(0).json().to_string();
    assert!(trail.contains("v2 is wrong (at the router"), "{trail}");
    assert!(ask(&mut client, &request("u")).unwrap().2.contains("[1]"), "and nothing was lost");
}

/// Callers who count what they got, until the answer is asked for.
struct Counting {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<(usize, Vec<String>)>>,
}

impl Counting {
    fn call(stage: &Stage) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let (stop, mut client) = (stop.clone(), stage.connect());
                std::thread::spawn(move || {
                    let (mut good, mut bad) = (0, Vec::new());
                    for i in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        match ask(&mut client, &request(&format!("u{n}-{i}"))) {
                            Some((200, ..)) => good += 1,
                            other => bad.push(format!("{other:?}")),
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    (good, bad)
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// Good answers; none of them may have failed.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.threads.into_iter().map(|t| t.join().unwrap());
        all.map(|(good, bad)| {
            assert!(bad.is_empty(), "{} failed, such as {}", bad.len(), bad[0]);
            good
        })
        .sum()
    }
}

/// Killed at whatever it is doing, over every step of a rollout: traffic goes on, each step is done once, and the end is
/// the one that it would have come to anyway.
#[test]
fn an_agent_that_is_killed_at_every_step_loses_nothing_and_does_nothing_twice() {
    let seed: u64 = std::env::var("OPSROOM_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_131_231);
    println!("OPSROOM_TEST_SEED={seed}");
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let steps = "{ steps = [{ weight = 10, for = '1s', requests = 5 }, { weight = 30, for = '1s', requests = 5 }, \
                 { weight = 60, for = '1s', requests = 5 }], automatic = true }";
    let mut stage = stage(steps, plainly);
    let callers = Counting::call(&stage);
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", "better"]).expect(0);
    let mut kills = 0;
    while kills < 8 && stage.show()["stable"] == 1 {
        std::thread::sleep(Duration::from_millis(random(900)));
        stage.agent.signal(rustix::process::Signal::KILL);
        stage.agent.ended();
        kills += 1;
        std::thread::sleep(Duration::from_millis(random(200)));
        stage.agent.start_again(&["--router", "127.0.0.1:0"]);
        let shown = stage.show();
        let word = shown["state"].as_str().unwrap();
        assert!(["running", "held", "steady"].contains(&word), "a person can read it: {shown}");
    }
    eventually("it is promoted", || stage.show()["stable"] == 2);
    let shown = stage.show();
    assert_eq!((shown["history"].as_array().unwrap().len(), stage.prod()), (1, 2), "{shown}");
    assert!(callers.end() > 100);
    // Each step once, whoever did it.
    let trail = stage.agent.cli(&["audit", "list", "--limit", "200", "--json"]).expect(0).json();
    let records = trail["records"].as_array().unwrap();
    let done = |name: &str| {
        let of = |r: &&Value| r["command"] == name && r["outcome"] == "ok";
        records.iter().filter(of).count()
    };
    assert_eq!((done("start-rollout"), done("advance-rollout"), done("finish-rollout")), (1, 2, 1), "{trail}");
    stage.agent.cli(&["audit", "verify"]).expect(0);
    println!("{kills} kills");
}
