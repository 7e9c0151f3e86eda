//! The router over real sockets: model servers of the test behind it, plain bytes in front of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opsroom::capability::rollout::link::{Intent, RouterStatus, Swapped, Windows, Wish};
use opsroom::capability::rollout::{Arm, Limits, Protocol, Route, RouteTable, StickyKey};
use opsroom::router::tap::Taken;
use serde_json::{Value, json};

use crate::support::eventually;

/// A model server that keeps connections open and answers `{"predictions": [VERSION]}`, or as `how` says.
pub struct Upstream {
    pub url: String,
    pub answered: Arc<AtomicUsize>,
    /// Connections.
    pub opened: Arc<AtomicUsize>,
}

pub fn upstream(version: u32, how: fn(&str, &mut TcpStream) -> bool) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/model", listener.local_addr().unwrap());
    let answered = Arc::new(AtomicUsize::new(0));
    let opened = Arc::new(AtomicUsize::new(0));
    let (count, connections) = (answered.clone(), opened.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = count.clone();
            connections.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some((head, _body)) = message(&mut reader) {
                    count.fetch_add(1, Ordering::SeqCst);
                    if how(&head, &mut stream) {
                        continue;
                    }
                    let body = format!("{{\"predictions\": [{version}]}}");
                    let text = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Upstream { url, answered, opened }
}

pub fn plainly(_: &str, _: &mut TcpStream) -> bool {
    false
}

/// As version 2 does, with headers between neighbours: that takes the router more than to pass it on.
fn oddly(_: &str, stream: &mut TcpStream) -> bool {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n{\"predictions\": [2]}";
    stream.write_all(text.as_bytes()).is_ok()
}

/// One message: its head and its body, by content-length or in chunks.
pub fn message(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let lower = head.to_lowercase();
    let value = |name: &str| {
        lower.lines().find_map(|l| l.strip_prefix(name).map(|v| v.trim_start_matches(':').trim().to_owned()))
    };
    let mut body = Vec::new();
    if value("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let n = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; n + 2];
            reader.read_exact(&mut chunk).ok()?;
            if n == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..n]);
        }
    } else if let Some(n) = value("content-length").and_then(|v| v.parse().ok()) {
        body = vec![0; n];
        reader.read_exact(&mut body).ok()?;
    }
    Some((head, body))
}

pub struct Router {
    child: Child,
    pub address: String,
    folder: tempfile::TempDir,
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Router {
    pub fn start(table: &RouteTable) -> Self {
        Self::start_with(table, &[])
    }

    pub fn start_with(table: &RouteTable, more: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Some(table), more)
    }

    fn start_in(folder: tempfile::TempDir, table: Option<&RouteTable>, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opsroom"));
        command.args(["router", "--listen", "127.0.0.1:0", "--folder"]).arg(folder.path()).args(more);
        if let Some(table) = table {
            let file = folder.path().join("given.json");
            std::fs::write(&file, serde_json::to_vec(table).unwrap()).unwrap();
            command.arg("--table").arg(file);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let address = line.split_once("://").unwrap().1.to_owned();
        Self { child, address, folder }
    }

    pub fn client(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        BufReader::new(stream)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("router.sock")
    }

    /// Status and answer of the control socket.
    pub fn control(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.told(method, path, body);
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn told(&self, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let text = format!("{method} {path} HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).unwrap();
        let (head, body) = message(&mut BufReader::new(stream)).unwrap();
        (status_of(&head), body)
    }

    /// What an agent would make of the requests that wait.
    fn taken(&self) -> Taken {
        opsroom::router::tap::read(&self.told("GET", "/v1/events", "").1).unwrap()
    }

    pub fn put(&self, table: &RouteTable) -> u16 {
        self.control("PUT", "/v1/table", &serde_json::to_string(table).unwrap()).0
    }

    pub fn status(&self) -> RouterStatus {
        serde_json::from_value(self.control("GET", "/v1/status", "").1).unwrap()
    }
}

pub fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Sends bytes and reads one answer: status, head in lower case, body.
pub fn ask(client: &mut BufReader<TcpStream>, request: &str) -> Option<(u16, String, String)> {
    client.get_mut().write_all(request.as_bytes()).ok()?;
    let (head, body) = message(client)?;
    Some((status_of(&head), head.to_lowercase(), String::from_utf8_lossy(&body).into_owned()))
}

pub fn post(user: &str, body: &str) -> String {
    format!(
        "POST /delay/invocations HTTP/1.1\r\nhost: r\r\nx-user: {user}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const BODY: &str = "{\"dataframe_split\": {\"columns\": [\"hour\"], \"data\": [[7]]}}";

pub fn arm(version: u32, upstream: &Upstream) -> Arm {
    Arm { version, urls: vec![upstream.url.clone()], health: None }
}

pub fn table(generation: i64, stable: Arm, candidate: Option<Arm>, weight: u16) -> RouteTable {
    let route = Route {
        answers: opsroom::capability::rollout::Answers::Values,
        slices: Vec::new(),
        service: "delay".into(),
        model: "flight-delay".into(),
        protocol: Protocol::Mlflow,
        key: StickyKey::Header("x-user".into()),
        salt: "s1".into(),
        listen: None,
        stable,
        candidate,
        previous: None,
        weight,
        shadow: false,
        limits: Limits { timeout_ms: 1500, connect_timeout_ms: 500, body_bytes_max: 1 << 20, ..Limits::default() },
    };
    RouteTable { generation, routes: vec![route] }
}

#[test]
fn callers_stay_on_their_version_and_answers_say_which() {
    let (one, two) = (upstream(1, plainly), upstream(2, oddly));
    let router = Router::start(&table(1, arm(1, &one), Some(arm(2, &two)), 3000));
    let mut client = router.client();
    let mut on_two = Vec::new();
    for user in 0..200 {
        let user = format!("user-{user}");
        let first = ask(&mut client, &post(&user, BODY)).unwrap();
        let again = ask(&mut client, &post(&user, BODY)).unwrap();
        assert_eq!((first.0, &first.2), (200, &again.2), "{user} went over");
        let version = if first.2.contains("[2]") { 2 } else { 1 };
        assert!(first.1.contains("x-opsroom-model: flight-delay"), "{}", first.1);
        assert!(first.1.contains(&format!("x-opsroom-version: {version}")), "{}", first.1);
        assert!(first.1.contains("x-opsroom-prediction-id: ") && !first.1.contains("x-hop"), "{}", first.1);
        if version == 2 {
            on_two.push(user);
        }
    }
    assert!((35..90).contains(&on_two.len()), "{} of 200", on_two.len());
    // A higher weight moves nobody back.
    assert_eq!(router.put(&table(2, arm(1, &one), Some(arm(2, &two)), 6000)), 200);
    for user in &on_two {
        assert!(ask(&mut client, &post(user, BODY)).unwrap().2.contains("[2]"), "{user} went back");
    }
    // What is older is refused; what was counted is given until it has arrived.
    assert_eq!(router.put(&table(1, arm(1, &one), None, 0)), 409);
    let windows: Windows = serde_json::from_value(router.control("GET", "/v1/windows?after=0", "").1).unwrap();
    let requests: u64 = windows.windows.iter().map(|w| w.requests).sum();
    assert_eq!(requests, 400 + on_two.len() as u64);
    assert!(windows.windows.iter().all(|w| w.errors == 0 && w.latency.count() == w.requests));
    let taken = router.taken();
    let event = &taken.events[0];
    assert_eq!((event.features["hour"].as_i64(), event.service.as_str()), (Some(7), "delay"));
    assert_eq!(router.status().events_dropped, 0);
}

#[test]
fn what_cannot_be_sent_safely_is_refused_and_counted_nowhere() {
    let one = upstream(1, plainly);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    for (request, wanted) in [
        ("POST /delay/x HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 400),
        ("GET /nobody/x HTTP/1.1\r\nhost: r\r\n\r\n", 404),
        ("POST /delay/x HTTP/1.1\r\nhost: r\r\ncontent-length: 2000000\r\n\r\n", 413),
        ("POST /delay/x HTTP/1.1\r\nhost: r\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nab", 400),
        ("POST /delay/x HTTP/1.1\r\nhost: r\r\ntransfer-encoding: xchunked\r\n\r\n", 400),
        ("POST /delay/x HTTP/1.1\r\nhost: r\r\ncontent-length: +3\r\n\r\nabc", 400),
        ("GET /delay/x HTTP/1.1\r\nhost : r\r\n\r\n", 400),
        ("POST /delay/x HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    ] {
        let answer = ask(&mut router.client(), request);
        assert_eq!(answer.as_ref().map(|a| a.0), Some(wanted), "{request:?}: {answer:?}");
    }
    assert_eq!(one.answered.load(Ordering::SeqCst), 0);
    // A body in chunks, and one beyond what is looked at, arrive whole; several requests may wait on one connection.
    let mut client = router.client();
    let chunked =
        "POST /delay/x HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
    assert_eq!(ask(&mut client, chunked).unwrap().0, 200);
    assert_eq!(ask(&mut client, &post("u", &"x".repeat(300_000))).unwrap().0, 200);
    let three = post("u", BODY).repeat(3);
    client.get_mut().write_all(three.as_bytes()).unwrap();
    for _ in 0..3 {
        assert_eq!(status_of(&message(&mut client).unwrap().0), 200);
    }
    // Invalid JSON is routed all the same, and counted as not looked at.
    assert_eq!(ask(&mut client, &post("u", "no json")).unwrap().0, 200);
    assert!(router.taken().unreadable >= 1 && router.status().events_dropped >= 1);
}

#[test]
fn a_server_that_fails_is_told_from_a_caller_who_does() {
    fn moody(head: &str, stream: &mut TcpStream) -> bool {
        let write = |stream: &mut TcpStream, text: &str| {
            let _ = stream.write_all(text.as_bytes());
        };
        if head.contains("/hang") {
            std::thread::sleep(Duration::from_secs(4));
        } else if head.contains("/die") {
            write(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        } else if head.contains("/garbage") {
            write(stream, "garbage\r\n\r\n");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        } else if head.contains("/broken") {
            write(stream, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
        } else {
            return false;
        }
        true
    }
    let one = upstream(1, moody);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let get = |path: &str| ask(&mut router.client(), &format!("GET /delay/{path} HTTP/1.1\r\nhost: r\r\n\r\n"));
    assert_eq!(get("hang").unwrap().0, 504);
    assert_eq!(get("garbage").unwrap().0, 502);
    assert_eq!(get("broken").unwrap().0, 500);
    // Cut, and not ended as if it were whole.
    assert_eq!(get("die"), None);
    assert_eq!(get("fine").unwrap().0, 200);
    let gone = Arm { version: 1, urls: vec!["http://127.0.0.1:1".into()], health: None };
    assert_eq!(router.put(&table(2, gone, None, 0)), 200);
    let refused = get("fine").unwrap();
    assert!(refused.0 == 502 && refused.1.contains("x-opsroom-version: 1"), "{refused:?}");
    let windows: Windows = serde_json::from_value(router.control("GET", "/v1/windows?after=0", "").1).unwrap();
    let (requests, errors) = windows.windows.iter().fold((0, 0), |(r, e), w| (r + w.requests, e + w.errors));
    assert_eq!((requests, errors), (6, 4));
}

/// Weights go up and down, versions go back and forth, and nobody notices but by the version.
#[test]
fn no_request_fails_while_the_table_is_swapped() {
    let (one, two) = (upstream(1, plainly), upstream(2, oddly));
    let router = Arc::new(Router::start(&table(1, arm(1, &one), Some(arm(2, &two)), 100)));
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|n| {
            let (router, stop) = (router.clone(), stop.clone());
            std::thread::spawn(move || {
                let (mut client, mut asked) = (router.client(), 0);
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&mut client, &post(&format!("u{n}-{}", asked % 50), BODY));
                    assert_eq!(answer.map(|a| a.0), Some(200));
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for generation in 2..1_002 {
        let weight = u16::try_from(generation * 97 % 10_000).unwrap();
        let next = if generation % 3 == 0 {
            table(generation, arm(2, &two), None, 0)
        } else {
            table(generation, arm(1, &one), Some(arm(2, &two)), weight)
        };
        assert_eq!(router.put(&next), 200);
    }
    stop.store(true, Ordering::Relaxed);
    let asked: u64 = callers.into_iter().map(|c| c.join().unwrap()).sum();
    let windows: Windows = serde_json::from_value(router.control("GET", "/v1/windows?after=0", "").1).unwrap();
    assert_eq!(windows.windows.iter().map(|w| w.requests).sum::<u64>(), asked, "counts never drop");
    assert!(windows.windows.iter().all(|w| w.errors == 0));
}

/// The second way in: no agent is needed to go back, and the intent survives a crash.
#[test]
fn an_intent_lies_in_the_journal_before_the_swap() {
    let (one, two) = (upstream(1, plainly), upstream(2, plainly));
    let mut with = table(5, arm(2, &two), None, 0);
    with.routes[0].previous = Some(arm(1, &one));
    let router = Router::start(&with);
    let intent = Intent {
        id: "key-1".into(),
        at: opsroom::base::Timestamp(1),
        who: "kim".into(),
        reason: "quality fell".into(),
        service: "delay".into(),
        what: Wish::Rollback,
    };
    assert!(ask(&mut router.client(), &post("u", BODY)).unwrap().2.contains("[2]"));
    let (status, swapped) = router.control("POST", "/v1/intents", &serde_json::to_string(&intent).unwrap());
    let swapped: Swapped = serde_json::from_value(swapped).unwrap();
    assert_eq!((status, swapped.version, swapped.generation), (200, 1, 6));
    assert!(ask(&mut router.client(), &post("u", BODY)).unwrap().2.contains("[1]"));
    // Killed and started again: the table and the intent are still there.
    let mut router = router;
    router.child.kill().unwrap();
    router.child.wait().unwrap();
    let folder = std::mem::replace(&mut router.folder, tempfile::tempdir().unwrap());
    let router = Router::start_in(folder, None, &[]);
    assert!(ask(&mut router.client(), &post("u", BODY)).unwrap().2.contains("[1]"));
    let kept: Vec<Intent> = serde_json::from_value(router.control("GET", "/v1/intents", "").1).unwrap();
    assert_eq!(kept, [intent]);
    assert_eq!(router.control("DELETE", "/v1/intents/key-1", "").0, 200);
    assert_eq!(router.control("GET", "/v1/intents", "").1, json!([]));
    // A rollout is dropped the same way.
    assert_eq!(router.put(&table(9, arm(1, &one), Some(arm(2, &two)), 10_000)), 200);
    assert!(ask(&mut router.client(), &post("u", BODY)).unwrap().2.contains("[2]"));
    let drop = json!({"id": "k2", "at": "2026-11-27T00:00:00Z", "who": "kim", "reason": "r", "service": "delay", "what": "drop"});
    assert_eq!(router.control("POST", "/v1/intents", &drop.to_string()).0, 200);
    assert!(ask(&mut router.client(), &post("u", BODY)).unwrap().2.contains("[1]"));
}

#[test]
fn a_shadow_answers_too_and_only_differences_are_told() {
    let (one, two) = (upstream(1, plainly), upstream(2, plainly));
    let mut with = table(1, arm(1, &one), Some(arm(2, &two)), 0);
    with.routes[0].shadow = true;
    let router = Router::start(&with);
    let mut client = router.client();
    for _ in 0..10 {
        assert!(ask(&mut client, &post("u", BODY)).unwrap().2.contains("[1]"));
    }
    eventually("the shadow has answered", || two.answered.load(Ordering::SeqCst) == 10);
    let (mut sequence, mut differing) = (0, 0);
    eventually("its differences are counted", || {
        let path = format!("/v1/windows?after={sequence}");
        let more: Windows = serde_json::from_value(router.control("GET", &path, "").1).unwrap();
        sequence = more.sequence;
        differing += more.windows.iter().filter(|w| w.version == 2).map(|w| w.differing).sum::<u64>();
        differing == 10
    });
}

#[test]
fn a_router_that_ends_lets_requests_finish() {
    fn slow(_: &str, _: &mut TcpStream) -> bool {
        std::thread::sleep(Duration::from_millis(600));
        false
    }
    let one = upstream(1, slow);
    let mut router = Router::start(&table(1, arm(1, &one), None, 0));
    let mut client = router.client();
    client.get_mut().write_all(post("u", BODY).as_bytes()).unwrap();
    eventually("the request is open", || router.status().open == 1);
    assert_eq!(router.control("POST", "/v1/stop", "").0, 200);
    let (head, body) = message(&mut client).unwrap();
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert!(String::from_utf8_lossy(&body).contains("[1]"));
    let began = Instant::now();
    assert!(router.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_does_not_finish_its_headers_is_sent_away_and_one_that_asks_stays() {
    let one = upstream(1, plainly);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let mut asking = router.client();
    let mut silent = router.client();
    silent.get_mut().write_all(b"POST /s/invocations HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        assert!(ask(&mut asking, &post("u", BODY)).is_some(), "after {:?}", began.elapsed());
        std::thread::sleep(Duration::from_secs(2));
    }
    silent.get_mut().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.get_mut().read(&mut [0; 16]).unwrap(), 0, "its connection is closed");
}
