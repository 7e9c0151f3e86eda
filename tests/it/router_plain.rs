//! Plain requests, and where they end: the router carries them itself and leaves all else to hyper, and nobody can tell.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use opsroom::capability::rollout::link::Windows;

use crate::router::{Router, arm, ask, message, post, status_of, table, upstream};
use crate::support::eventually;

/// Answers with the head that it got as the body; more headers, and which status, as the path says.
fn mirror(head: &str, stream: &mut TcpStream) -> bool {
    let status = if head.contains("/made") { "201 Made" } else { "200 OK" };
    let more = if head.contains("/dated") { "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" } else { "" };
    let hop = if head.contains("/closes") { "Connection: close\r\nKeep-Alive: 5\r\n" } else { "" };
    let length = head.len();
    let fake = "X-Opsroom-Model: fake\r\nX-Two: 1\r\nX-Two: 2\r\n";
    let text = format!("HTTP/1.1 {status}\r\n{more}{hop}{fake}Content-Length: {length}\r\n\r\n{head}");
    stream.write_all(text.as_bytes()).unwrap();
    if !hop.is_empty() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    true
}

/// Lines in order, without what differs from one request to the next.
fn lines(head: &str) -> Vec<String> {
    let lower = head.to_lowercase();
    let differs = |line: &&str| line.starts_with("x-opsroom-prediction-id: 0") || line.starts_with("date: ");
    let mut lines: Vec<String> = lower.lines().filter(|line| !differs(line)).map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_plain_and_what_is_not_is_passed_on_alike() {
    let one = upstream(1, mirror);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    for (begin, headers, body) in [
        ("GET /delay", "", ""),
        ("GET /delay/?a=b&c", "X-User: kim\r\nCookie: a=1\r\nCookie: b=2\r\n", ""),
        (
            "DELETE /delay/dated",
            "Keep-Alive: 3\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nProxy-Authenticate: z\r\n",
            "",
        ),
        (
            "POST /delay/made",
            "X-Opsroom-Prediction-Id: mine\r\nX-Opsroom-Version: 9\r\nX-Opsroom-Model: theirs\r\n",
            "{\"a\": 1}",
        ),
        ("PUT /delay/made/dated", "X-Opsroom-Prediction-Id: \r\n", "x"),
        ("PATCH /delay/closes", "Connection: keep-alive\r\nTrailer: x\r\n", "ab"),
    ] {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let asked = |more: &str| {
            let text = format!("{begin} HTTP/1.1\r\nHost: r\r\nX-Case: 1\r\n{headers}{more}{length}\r\n{body}");
            let mut client = router.client();
            client.get_mut().write_all(text.as_bytes()).unwrap();
            let (head, got) = message(&mut client).unwrap();
            (head, String::from_utf8(got).unwrap())
        };
        // Names keep their case on the plain way only.
        let (plain, by_hyper) = (asked(""), asked("TE: trailers\r\n"));
        assert!(plain.1.contains("\nX-Case: 1") && by_hyper.1.contains("\nx-case: 1"), "{plain:?} {by_hyper:?}");
        assert!(plain.0.to_lowercase().contains("\ndate: "), "{}", plain.0);
        let date = |head: &str| head.contains("1994");
        assert_eq!(date(&plain.0), date(&by_hyper.0));
        let length = |lines: &str| lines.to_lowercase().find("content-length").is_some();
        assert_eq!(length(&plain.1), length(&by_hyper.1), "{} {}", plain.1, by_hyper.1);
        assert_eq!(lines(&plain.0), lines(&by_hyper.0), "to the client");
        assert_eq!(lines(&plain.1), lines(&by_hyper.1), "to the model server");
    }
}

/// Bytes that say which of them is missing.
fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| b'a' + u8::try_from((i + i / 251 + seed) % 26).unwrap()).collect()
}

fn number(head: &str, name: &str) -> usize {
    let at = head.find(name).unwrap() + name.len();
    head[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Answers with a body of the length that the path says, framed and cut as it says.
fn framed(head: &str, stream: &mut TcpStream) -> bool {
    let (length, how, seed) = (number(head, "length="), number(head, "how="), number(head, "seed="));
    let body = body(length, seed);
    let mut text = Vec::new();
    match how {
        0 | 1 => text.extend_from_slice(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes()),
        2 => text.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        3 => text.extend_from_slice(
            format!(
                "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
            )
            .as_bytes(),
        ),
        _ => text.extend_from_slice(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
    }
    if how == 2 {
        for chunk in body.chunks(1 + seed % 5000) {
            text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
    } else {
        text.extend_from_slice(&body);
    }
    let piece = if how == 1 { 1 + seed % 9000 } else { text.len() };
    for (i, piece) in text.chunks(piece).enumerate() {
        stream.write_all(piece).unwrap();
        if how == 1 && i < 5 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if how > 3 {
        let _ = stream.shutdown(Shutdown::Both);
    }
    true
}

/// Whatever a connection carries, in whatever pieces: every request has its answer, whole and in its place.
#[test]
fn answers_are_whole_and_in_order_whatever_lies_between_them() {
    let one = upstream(1, framed);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let mut seed = 0x9e37_79b9_u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((seed >> 33) % below).unwrap()
    };
    let lengths = [0, 1, 100, 8_000, 9_000, 66_000, 300_000];
    let mut odd_ones = Vec::new();
    for generation in 2..62 {
        let (mut text, mut expected) = (Vec::new(), Vec::new());
        // Most connections carry what is plain only. The others have a server of their own, which is not known to be odd.
        let odd = next(3) == 0;
        let server = if odd {
            odd_ones.push(upstream(1, framed));
            odd_ones.last().unwrap()
        } else {
            &one
        };
        assert_eq!(router.put(&table(generation, arm(1, server), None, 0)), 200);
        for _ in 0..=next(6) {
            let (length, seed) = (lengths[next(7)], next(1000));
            let how = next(if odd { 4 } else { 2 });
            let asked = body(lengths[next(if odd { 7 } else { 5 })], seed);
            let path = format!("/delay/x?length={length}&how={how}&seed={seed}");
            let chunked = odd && next(3) == 0;
            let framing = if chunked {
                "transfer-encoding: chunked".to_owned()
            } else {
                format!("content-length: {}", asked.len())
            };
            text.extend_from_slice(format!("POST {path} HTTP/1.1\r\nhost: r\r\n{framing}\r\n\r\n").as_bytes());
            if chunked && !asked.is_empty() {
                text.extend_from_slice(format!("{:x}\r\n", asked.len()).as_bytes());
            }
            text.extend_from_slice(&asked);
            if chunked {
                text.extend_from_slice(if asked.is_empty() { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" });
            }
            expected.push(body(length, seed));
        }
        let mut client = router.client();
        let mut writer = client.get_ref().try_clone().unwrap();
        let (piece, waits) = (1 + next(20_000), next(3));
        let writing = std::thread::spawn(move || {
            for (i, piece) in text.chunks(piece).enumerate() {
                writer.write_all(piece).unwrap();
                if i < 2 * waits {
                    std::thread::sleep(Duration::from_millis(3));
                }
            }
        });
        for (i, expected) in expected.iter().enumerate() {
            let (head, body) = message(&mut client).unwrap();
            let (head, body) = if status_of(&head) == 103 { message(&mut client).unwrap() } else { (head, body) };
            assert_eq!(status_of(&head), 200, "{head}");
            assert!(body == *expected, "answer {i}: {} bytes, not {}: {head}", body.len(), expected.len());
        }
        writing.join().unwrap();
    }
    let windows: Windows = serde_json::from_value(router.control("GET", "/v1/windows?after=0", "").1).unwrap();
    assert!(windows.windows.iter().all(|w| w.errors == 0 && w.requests > 60));
    // An answer that ends with its connection is told from one that breaks off.
    let one = upstream(1, framed);
    assert_eq!(router.put(&table(62, arm(1, &one), None, 0)), 200);
    let (status, _, got) =
        ask(&mut router.client(), "GET /delay/x?length=9000&how=4&seed=1 HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    assert_eq!((status, got.into_bytes()), (200, body(9000, 1)));
}

/// A server whose answers are odd, and clients that ask once each: connections to it are used again.
#[test]
fn clients_that_ask_once_need_no_connection_each() {
    let one = upstream(1, framed);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    for how in [2, 0] {
        let before = one.opened.load(Ordering::SeqCst);
        for _ in 0..50 {
            let text = format!("GET /delay/x?length=10&how={how}&seed=1 HTTP/1.1\r\nhost: r\r\n\r\n");
            assert_eq!(ask(&mut router.client(), &text).unwrap().0, 200);
        }
        // A slow machine may take more than the second for which an odd answer is remembered.
        let opened = one.opened.load(Ordering::SeqCst) - before;
        assert!(opened < 15, "{opened} of 50");
    }
}

/// The router's patience is for clients that ask nothing: not for those whose answer takes long, or who are refused.
#[test]
fn who_waits_for_an_answer_or_asks_in_vain_is_not_sent_away() {
    /// In chunks, with a pause that is longer than the router's patience.
    fn slow(_: &str, stream: &mut TcpStream) -> bool {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(18));
        stream.write_all(b"1\r\nc\r\n0\r\n\r\n").is_ok()
    }
    let one = upstream(1, slow);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let mut waiting = router.client();
    waiting.get_mut().set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    waiting.get_mut().write_all(b"GET /delay/x HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    let mut refused = router.client();
    for _ in 0..9 {
        assert_eq!(ask(&mut refused, "GET /nobody HTTP/1.1\r\nhost: r\r\n\r\n").unwrap().0, 404);
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(message(&mut waiting).unwrap().1, b"abc");
}

/// Says on the port in the path that something happened.
fn tell(head: &str) -> TcpStream {
    TcpStream::connect(("127.0.0.1", u16::try_from(number(head, "port=")).unwrap())).unwrap()
}

#[test]
fn an_answer_comes_as_it_is_made_and_its_end_is_the_servers() {
    /// Half of it, the rest when it is asked for, and not all of it where the path says so.
    fn halves(head: &str, stream: &mut TcpStream) -> bool {
        let half = body(40_000, 3);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 80000\r\n\r\n").unwrap();
        stream.write_all(&half).unwrap();
        tell(head).read_exact(&mut [0]).unwrap();
        if head.contains("/cut") {
            let _ = stream.shutdown(Shutdown::Both);
        } else {
            stream.write_all(&half).unwrap();
        }
        true
    }
    let one = upstream(1, halves);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let gate = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gate.local_addr().unwrap().port();
    for (path, whole) in [("whole", true), ("cut", false)] {
        let mut client = router.client();
        let text = format!("GET /delay/{path}?port={port} HTTP/1.1\r\nhost: r\r\n\r\n");
        client.get_mut().write_all(text.as_bytes()).unwrap();
        let mut waiting = gate.accept().unwrap().0;
        let mut first = vec![0; 40_000];
        client.read_exact(&mut first).unwrap();
        waiting.write_all(b"!").unwrap();
        let mut rest = Vec::new();
        client.get_mut().set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let ended = client.read_to_end(&mut rest);
        assert_eq!((ended.is_ok(), rest.len() > 39_000), (!whole, whole), "{path}: {ended:?} {}", rest.len());
    }
}

#[test]
fn a_request_whose_client_leaves_is_taken_back() {
    fn waits(head: &str, stream: &mut TcpStream) -> bool {
        let mut told = tell(head);
        told.write_all(b"asked").unwrap();
        let left = stream.read(&mut [0]);
        told.write_all(if matches!(left, Ok(0)) { b" left" } else { b" more" }).unwrap();
        true
    }
    let one = upstream(1, waits);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let gate = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gate.local_addr().unwrap().port();
    let mut client = router.client();
    client.get_mut().write_all(format!("GET /delay/x?port={port} HTTP/1.1\r\nhost: r\r\n\r\n").as_bytes()).unwrap();
    let mut said = BufReader::new(gate.accept().unwrap().0);
    let mut text = [0; 5];
    said.read_exact(&mut text).unwrap();
    assert_eq!(router.status().open, 1);
    drop(client);
    said.read_exact(&mut text).unwrap();
    assert_eq!(&text, b" left");
    eventually("it is no longer open", || router.status().open == 0);
}

/// A server that closes each connection after an answer, without saying so: what can be asked twice never fails, and
/// nothing else is asked twice.
#[test]
fn connections_that_were_closed_meanwhile_cost_no_request() {
    fn closes(_: &str, stream: &mut TcpStream) -> bool {
        // What came meanwhile is read, and cannot be answered.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let _ = stream.shutdown(Shutdown::Both);
        true
    }
    let one = upstream(1, closes);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let mut client = router.client();
    for i in 0..400 {
        let answer = ask(&mut client, "GET /delay/x HTTP/1.1\r\nhost: r\r\n\r\n").map(|a| (a.0, a.2));
        assert_eq!(answer, Some((200, "ok".to_owned())), "request {i}");
    }
    let before = one.answered.load(Ordering::SeqCst);
    let (mut fine, mut refused) = (0, 0);
    for _ in 0..100 {
        match ask(&mut client, &post("u", "{}")).unwrap().0 {
            200 => fine += 1,
            502 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let reached = one.answered.load(Ordering::SeqCst) - before;
    assert!(fine + refused == 100 && (fine..=100).contains(&reached), "{fine} fine, {reached} reached it");
    // The router's own answer leaves the connection as it was.
    let nobody = ask(&mut client, "GET /nobody HTTP/1.1\r\nhost: r\r\n\r\n").unwrap();
    assert_eq!(nobody.0, 404);
    assert_eq!(ask(&mut client, "GET /delay/x HTTP/1.1\r\nhost: r\r\n\r\n").unwrap().0, 200);
}
