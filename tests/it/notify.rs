//! Receivers of notices as they really are: one that answers, one that is away for a while, and a watchdog.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{Agent, Home, eventually};

/// Answers every POST with a status, and keeps what it got.
struct Sink {
    url: String,
    got: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
    status: Arc<Mutex<u16>>,
}

impl Sink {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (got, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(status)));
        let (keep, answer) = (got.clone(), status.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut path, mut length) = (String::new(), 0);
                reader.read_line(&mut path).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if line.trim().is_empty() {
                        break;
                    }
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = *answer.lock().unwrap();
                if status < 300 {
                    let path = path.split(' ').nth(1).unwrap_or_default().to_owned();
                    keep.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap_or_default()));
                }
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                (&stream).write_all(head.as_bytes()).unwrap();
            }
        });
        Self { url, got, status }
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

#[test]
fn who_is_away_hears_it_after_and_nobody_twice() {
    let (hook, pager, watchdog) = (Sink::start(200), Sink::start(503), Sink::start(200));
    let file = format!(
        "[agent]\nnotify = [\"webhook:{}/hook\", \"pagerduty:KEY@{}/v2/enqueue\"]\nnotify_host = \"ops\"\n\
         heartbeat_url = \"{}/beat\"\nheartbeat_seconds = 1\n",
        hook.url, pager.url, watchdog.url
    );
    let home = Home::new();
    std::fs::write(home.path().join("o.toml"), file).unwrap();
    let agent = Agent::start_in(home, &["--config", "o.toml"]);
    agent.cli(&["incident", "raise", "scorer", "phone", "customers wait", "--severity", "1"]).expect(0);
    eventually("the webhook", || hook.count() == 1);
    let (path, body) = hook.got.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), body["next"].as_str()), ("/hook", Some("ssh -t ops opsroom incident 1")), "{body}");
    // The pager comes back; what it missed is told, and the webhook is not told again.
    *pager.status.lock().unwrap() = 202;
    eventually("the pager", || pager.count() == 1);
    assert_eq!(pager.got.lock().unwrap()[0].1["event_action"], "trigger");
    agent.cli(&["incident", "clear", "scorer", "phone"]).expect(0);
    eventually("the end", || pager.count() == 2 && hook.count() == 2);
    assert_eq!(pager.got.lock().unwrap()[1].1["event_action"], "resolve");
    eventually("the heartbeat", || watchdog.count() >= 2);
    drop(agent);
    std::thread::sleep(Duration::from_millis(200));
    let beats = watchdog.count();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(watchdog.count(), beats, "a dead agent beats");
}

#[test]
fn a_receiver_that_cannot_be_is_refused_without_its_secret() {
    let home = Home::new();
    let mut command = home.command(&["agent", "--listen", "127.0.0.1:0"]);
    let output = command.env("OPSROOM_AGENT_NOTIFY", "slack:T0SECRET").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("agent.notify") && !told.contains("T0SECRET"), "{told}");
}
