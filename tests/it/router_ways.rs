//! Other ways to a router: HTTP/2, encryption, a service's own address, and another program that takes over.

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opsroom::capability::rollout::link::{RouterStatus, Windows};
use serde_json::json;

use crate::router::{Router, arm, ask, plainly, post, table, upstream};
use crate::support::eventually;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/certificate.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/key.pem");
const BODY: &str = "{\"inputs\": [{\"hour\": 7}]}";

fn request(host: &str, version: hyper::Version) -> Request<Full<Bytes>> {
    let uri = if version == hyper::Version::HTTP_2 { format!("http://{host}/delay/x") } else { "/delay/x".to_owned() };
    let request = Request::post(uri).version(version).header("x-user", "kim");
    let request = if version == hyper::Version::HTTP_2 { request } else { request.header("host", host) };
    request.body(Full::new(Bytes::from_static(BODY.as_bytes()))).unwrap()
}

async fn told<B: Body<Error = hyper::Error>>(answer: Response<B>) -> (StatusCode, String, String)
where
    B::Data: std::fmt::Debug,
{
    let version = answer.headers()["x-opsroom-version"].to_str().unwrap().to_owned();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, version, String::from_utf8_lossy(&body).into_owned())
}

fn wanted() -> (StatusCode, String, String) {
    (StatusCode::OK, "1".to_owned(), "{\"predictions\": [1]}".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_by_prior_knowledge_carries_many_requests_at_once() {
    let one = upstream(1, plainly);
    let router = Router::start(&table(1, arm(1, &one), None, 0));
    let stream = tokio::net::TcpStream::connect(&router.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let asks = (0..50).map(|_| {
        let (mut sender, host) = (sender.clone(), router.address.clone());
        tokio::spawn(async move {
            let answer = sender.send_request(request(&host, hyper::Version::HTTP_2)).await.unwrap();
            told(answer).await
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap(), wanted());
    }
    assert_eq!(one.answered.load(Ordering::SeqCst), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_encrypt_and_choose_the_protocol() {
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let one = upstream(1, plainly);
    let router =
        Router::start_with(&table(1, arm(1, &one), None, 0), &["--tls-certificate", CERTIFICATE, "--tls-key", KEY]);
    for (protocol, version) in [("http/1.1", hyper::Version::HTTP_11), ("h2", hyper::Version::HTTP_2)] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(CERTIFICATE).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = tokio::net::TcpStream::connect(&router.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let answer = if version == hyper::Version::HTTP_2 {
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            told(sender.send_request(request("localhost", version)).await.unwrap()).await
        } else {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            told(sender.send_request(request("localhost", version)).await.unwrap()).await
        };
        assert_eq!(answer, wanted(), "{protocol}");
    }
    // Whoever does not encrypt gets no answer, and nobody else is hurt.
    let mut plain = BufReader::new(TcpStream::connect(&router.address).unwrap());
    assert_eq!(ask(&mut plain, &post("u", BODY)), None);
}

#[test]
fn how_many_headers_a_request_may_have_can_be_set() {
    let one = upstream(1, plainly);
    let many: String = (0..150).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let request = format!("GET /delay/x HTTP/1.1\r\nhost: r\r\n{many}\r\n");
    for (more, status) in [(&[][..], 431), (&["--headers-max", "200"][..], 200)] {
        let router = Router::start_with(&table(1, arm(1, &one), None, 0), more);
        assert_eq!(ask(&mut router.client(), &request).unwrap().0, status);
    }
}

#[test]
fn a_service_may_have_an_address_of_its_own() {
    let (one, two) = (upstream(1, plainly), upstream(2, plainly));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let with = |generation, listen: Option<String>| {
        let mut table = table(generation, arm(1, &one), Some(arm(2, &two)), 10_000);
        table.routes[0].listen = listen;
        table
    };
    let router = Router::start(&with(1, Some(free.clone())));
    let direct =
        format!("POST /invocations HTTP/1.1\r\nhost: r\r\nx-user: u\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let answer = |address: &str| {
        let mut client = BufReader::new(TcpStream::connect(address).ok()?);
        ask(&mut client, &direct)
    };
    eventually("it answers there", || answer(&free).is_some_and(|a| a.0 == 200 && a.2.contains("[2]")));
    // Taken by somebody else: said, and the rest goes on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(router.put(&with(2, Some(taken.local_addr().unwrap().to_string()))), 200);
    eventually("it is said", || router.status().problems.iter().any(|p| p.contains("delay cannot have")));
    assert_eq!(ask(&mut router.client(), &post("u", BODY)).unwrap().0, 200);
    eventually("the one before is closed", || answer(&free).is_none());
    assert_eq!(router.put(&with(3, None)), 200);
    eventually("nothing to say", || router.status().problems.is_empty());
}

/// Whoever has the address at the end.
struct Last<'a>(&'a Router);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.control("POST", "/v1/stop", "");
    }
}

/// Callers all the while: five times another process takes the address, and nobody is refused or sent elsewhere.
#[test]
fn another_program_takes_over_without_a_failed_request() {
    let one = upstream(1, plainly);
    let router = Router::start(&table(7, arm(1, &one), None, 0));
    let _last = Last(&router);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|n| {
            let (stop, asked, address) = (stop.clone(), asked.clone(), router.address.clone());
            std::thread::spawn(move || {
                let connect = || BufReader::new(TcpStream::connect(&address).unwrap());
                let mut client = connect();
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(&mut client, &post(&format!("u{n}"), BODY));
                    let (status, head, body) = answer.expect("every request is answered");
                    assert_eq!((status, body.as_str()), (200, "{\"predictions\": [1]}"));
                    asked.fetch_add(1, Ordering::SeqCst);
                    if head.contains("connection: close") {
                        client = connect();
                    }
                }
            })
        })
        .collect();
    let mut ids = vec![router.status().id];
    for _ in 0..5 {
        let body = json!({"program": env!("CARGO_BIN_EXE_opsroom"), "after": 0}).to_string();
        let (status, told) = router.control("POST", "/v1/upgrade", &body);
        assert_eq!(status, 200, "{told}");
        let next: RouterStatus = serde_json::from_value(told).unwrap();
        assert_eq!((next.generation, next.address.clone()), (7, format!("http://{}", router.address)));
        assert!(!ids.contains(&next.id));
        ids.push(next.id);
        std::thread::sleep(Duration::from_millis(200));
    }
    stop.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|c| c.join().unwrap());
    // Nothing that was counted on the way is lost: each router told the next one.
    let mut counted = 0;
    let mut after = 0;
    let began = Instant::now();
    while counted < asked.load(Ordering::SeqCst) as u64 && began.elapsed() < Duration::from_secs(20) {
        let windows: Windows =
            serde_json::from_value(router.control("GET", &format!("/v1/windows?after={after}"), "").1).unwrap();
        after = windows.sequence;
        counted += windows.windows.iter().map(|w| w.requests).sum::<u64>();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counted, asked.load(Ordering::SeqCst) as u64);
    // A program that cannot take over changes nothing.
    let (status, told) =
        router.control("POST", "/v1/upgrade", &json!({"program": "/bin/false", "after": 0}).to_string());
    assert_eq!((status, told["what"].as_str()), (503, Some("the router was not replaced")));
    assert_eq!(ask(&mut router.client(), &post("u", BODY)).unwrap().0, 200);
    let last = router.control("GET", "/v1/status", "").1;
    assert_eq!(last["id"].as_str(), ids.last().map(String::as_str));
}
