//! Telemetry out: what Prometheus is told, and what DogStatsD and OTLP receivers hear, by sockets of their own kind.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::support::{Agent, Home, eventually};

fn post(agent: &Agent, from: usize, to: usize) {
    let event = |i: usize| {
        json!({"id": format!("p{i}"), "service": "delay", "model": "flight-delay", "version": "7",
            "prediction": 1, "score": 0.9, "latency_ms": 12.0, "features": {"a|b,c": i}})
    };
    let lines: Vec<String> = (from..to).map(|i| event(i).to_string()).collect();
    std::fs::write(agent.home().path().join("p.ndjson"), lines.join("\n")).unwrap();
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
}

fn metrics(agent: &Agent) -> String {
    let address = agent.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("version=0.0.4"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Whether Prometheus' own tool has no complaint; where it is installed.
fn promtool(text: &str) {
    let tool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut tool) = tool else { return };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn prometheus_is_told_with_the_model_on_every_point() {
    let agent = Agent::start();
    post(&agent, 0, 40);
    let labels: Vec<String> =
        (0..40).map(|i| json!({"id": format!("p{i}"), "label": u8::from(i % 4 != 0)}).to_string()).collect();
    std::fs::write(agent.home().path().join("l.ndjson"), labels.join("\n")).unwrap();
    agent.cli(&["labels", "add", "l.ndjson"]).expect(0);
    // What takes a while to work out is there at the second scrape at the latest; no scrape waits for it.
    eventually("quality", || metrics(&agent).contains("opsroom_quality{"));
    let text = metrics(&agent);
    let subject = "model_id=\"flight-delay\",version=\"7\",service=\"delay\",stage=\"none\"";
    for line in [
        format!("opsroom_predictions_total{{{subject}}} 40"),
        format!("opsroom_quality{{{subject},metric=\"accuracy\"}} 0.75"),
        format!("opsroom_label_coverage_ratio{{{subject}}} 1"),
        "opsroom_telemetry_dropped_total{receiver=\"otlp\"} 0".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    promtool(&text);
    // The order of lines is the same each time.
    let names = |text: &str| text.lines().map(|l| l.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&text), names(&metrics(&agent)));
}

/// A receiver that reads HTTP requests and answers each with 200.
fn otlp_receiver() -> (String, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let (tell, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = Vec::new();
            let mut piece = [0; 8192];
            loop {
                let n = stream.read(&mut piece).unwrap_or(0);
                bytes.extend(&piece[..n]);
                let text = String::from_utf8_lossy(&bytes);
                let length = text
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
                let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
                if n == 0 || head.zip(length).is_some_and(|(h, l)| bytes.len() >= h + 4 + l) {
                    break;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if tell.send(bytes).is_err() {
                return;
            }
        }
    });
    (url, heard)
}

#[test]
fn receivers_hear_what_came_on_top() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let statsd = format!("udp:{}", udp.local_addr().unwrap());
    let (otlp, heard) = otlp_receiver();
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    let settings = format!("[agent]\ndogstatsd = \"{statsd}\"\notlp = \"{otlp}\"\ntelemetry_seconds = 1\n");
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), settings).unwrap();
    let agent = Agent::start_in(home, &[]);
    let mut seen = BTreeSet::new();
    let mut listen = |until: &str| {
        let mut bytes = [0; 2048];
        for _ in 0..400 {
            let n = udp.recv(&mut bytes).unwrap();
            assert!(n <= 1432 && bytes[n - 1] == b'\n');
            let text = std::str::from_utf8(&bytes[..n]).unwrap();
            for line in text.lines() {
                let (name, rest) = line.split_once(':').unwrap();
                let (value, rest) = rest.split_once('|').unwrap();
                assert!(name.starts_with("opsroom.") && value.parse::<f64>().is_ok(), "{line}");
                assert!(rest == "g" || rest == "c" || rest.starts_with("g|#") || rest.starts_with("c|#"), "{line}");
                seen.insert(line.to_owned());
            }
            if seen.iter().any(|l| l.starts_with(until)) {
                return;
            }
        }
        panic!("{until}: {seen:?}");
    };
    post(&agent, 0, 5);
    // The first telling of a counter is where it begins; what comes after is told as it comes.
    listen("opsroom.runs_running:0|g");
    std::thread::sleep(Duration::from_millis(2500));
    post(&agent, 5, 12);
    listen("opsroom.predictions:7|c|#model_id:flight-delay,version:7,service:delay,stage:none");
    eventually("OTLP", || {
        heard.try_iter().any(|request| {
            let text = String::from_utf8_lossy(&request).into_owned();
            text.starts_with("POST /v1/metrics")
                && text.contains("application/x-protobuf")
                && text.contains("opsroom.predictions")
                && text.contains("flight-delay")
        })
    });
    assert!(metrics(&agent).contains("opsroom_telemetry_dropped_total{receiver=\"dogstatsd\"} 0"));
}

#[test]
fn a_receiver_that_cannot_be_read_is_refused_at_the_start() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), "[agent]\ndogstatsd = \"tcp:x\"\n").unwrap();
    let done = home.run(&["agent", "--listen", "127.0.0.1:0"]).expect(2);
    assert!(done.stderr.contains("udp:HOST:PORT or unix:PATH"), "{}", done.stderr);
}

/// An agent that tells two receivers once a second.
fn telling(statsd: &str, otlp: &str) -> Agent {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    let settings = format!("[agent]\ndogstatsd = \"{statsd}\"\notlp = \"{otlp}\"\ntelemetry_seconds = 1\n");
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), settings).unwrap();
    Agent::start_in(home, &[])
}

/// What the agent says a receiver did not take.
fn dropped(agent: &Agent, receiver: &str) -> f64 {
    let text = metrics(agent);
    let line = format!("opsroom_telemetry_dropped_total{{receiver=\"{receiver}\"}} ");
    text.lines().find_map(|l| l.strip_prefix(&line)).unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn what_receivers_do_not_take_is_dropped_counted_and_holds_up_nobody() {
    // One that takes nothing it is told, and a socket where nobody is.
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let otlp = format!("http://{}/v1/metrics", refusing.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in refusing.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            // What still comes is read, so that the answer is not lost with a reset connection.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let agent = telling("unix:/nowhere/dsd.sock", &otlp);
    post(&agent, 0, 5);
    for receiver in ["dogstatsd", "otlp"] {
        eventually(receiver, || dropped(&agent, receiver) > 0.0);
    }
    let first = dropped(&agent, "otlp");
    eventually("more of them", || dropped(&agent, "otlp") > first);
}

#[test]
fn a_receiver_that_never_answers_holds_up_neither_those_who_ask_nor_the_end() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let otlp = format!("http://{}/v1/metrics", silent.local_addr().unwrap());
    let (came, connected) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in silent.incoming() {
            open.push(stream);
            let _ = came.send(());
        }
    });
    let mut agent = telling("udp:127.0.0.1:9", &otlp);
    post(&agent, 0, 5);
    connected.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(metrics(&agent).contains("opsroom_predictions_total{model_id=\"flight-delay\""));
    post(&agent, 5, 9);
    agent.signal(rustix::process::Signal::TERM);
    assert_eq!(agent.ended().code(), Some(0));
}

#[test]
fn odd_names_stay_one_line_and_one_tag() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (otlp, heard) = otlp_receiver();
    let agent = telling(&format!("udp:{}", udp.local_addr().unwrap()), &otlp);
    let model = "größe|a,b\"d\\e\u{1f600}#f:g";
    let event = |i: usize| {
        json!({"id": format!("o{i}"), "service": "délai|x,y", "model": model, "version": "7", "prediction": 1})
            .to_string()
    };
    let tell = |from: usize, to: usize| {
        let lines: Vec<String> = (from..to).map(event).collect();
        std::fs::write(agent.home().path().join("p.ndjson"), lines.join("\n")).unwrap();
        agent.cli(&["predictions", "add", "p.ndjson"])
    };
    // No name of a model or service breaks a line: that is refused at the door. A budget's may.
    std::fs::write(agent.home().path().join("b.toml"), "[[budget]]\nname = \"a\\nb|c,d\"\nmonth = 10\n").unwrap();
    agent.cli(&["apply", "b.toml", "--reason", "odd"]).expect(0);
    tell(0, 5).expect(0);
    eventually("budgets", || metrics(&agent).contains("opsroom_budget_spent_ratio{"));
    let text = metrics(&agent);
    assert!(text.contains("opsroom_budget_spent_ratio{budget=\"a\\nb|c,d\",of=\"*\"} 0\n"), "{text}");
    let wanted = "opsroom_predictions_total{model_id=\"größe|a,b\\\"d\\\\e\u{1f600}#f:g\",version=\"7\",service=\"délai|x,y\",stage=\"none\"} 5";
    assert!(text.lines().any(|l| l == wanted), "{wanted}\n{text}");
    promtool(&text);
    let mut seen = Vec::new();
    let mut bytes = [0; 2048];
    let wanted = "|c|#model_id:größe_a_b\"d\\e\u{1f600}#f:g,version:7,service:délai_x_y,stage:none";
    // Counters are told as what came on top, so there has to be something after the first telling.
    for round in 1..40 {
        tell(round * 5, round * 5 + 5).expect(0);
        let n = udp.recv(&mut bytes).unwrap();
        seen.extend(std::str::from_utf8(&bytes[..n]).unwrap().lines().map(ToOwned::to_owned));
        if seen.iter().any(|l| l.starts_with("opsroom.predictions:") && l.ends_with(wanted)) {
            break;
        }
    }
    assert!(seen.iter().any(|l| l.starts_with("opsroom.predictions:") && l.ends_with(wanted)), "{seen:#?}");
    assert!(seen.iter().any(|l| l == "opsroom.budget_spent_ratio:0|g|#budget:a_b_c_d,of:*"), "{seen:#?}");
    assert!(seen.iter().all(|l| l.starts_with("opsroom.") && l.matches('|').count() <= 2), "{seen:#?}");
    // OTLP carries the name as it is.
    eventually("OTLP", || heard.try_iter().any(|r| String::from_utf8_lossy(&r).contains(model)));
}
