//! What goes wrong with predictions and labels: more than can be taken, more kinds than can be named, labels for what is gone.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use opsroom::base::Timestamp;
use opsroom::capability::monitoring::counters::{
    BODY_BYTES_MAX, CLASSES_MAX, Counters, parse_labels, parse_predictions,
};
use opsroom::capability::monitoring::quality::{self, Asked, VersionQuality};
use serde_json::{Value, json};

use super::stores::{Place, on_each_engine};
use super::support::{Agent, eventually, wait};

const HOUR: i64 = 3_600_000_000;
const T0: i64 = 1_790_000_000_000_000 / HOUR * HOUR;

fn at(minute: i64) -> Timestamp {
    Timestamp(T0 + minute * 60_000_000)
}

fn lines(values: impl Iterator<Item = Value>) -> Vec<u8> {
    let mut all = String::new();
    values.for_each(|v| writeln!(all, "{v}").unwrap());
    all.into_bytes()
}

async fn predict(counters: &Counters, events: impl Iterator<Item = Value>) -> u64 {
    let parsed = parse_predictions(&lines(events), at(60)).unwrap();
    counters.predictions(parsed, at(60)).await.unwrap().accepted
}

async fn label(counters: &Counters, labels: impl Iterator<Item = Value>) {
    counters.labels(parse_labels(&lines(labels), at(61)).unwrap(), at(61)).await.unwrap();
}

async fn asked(counters: &Counters, service: &str) -> VersionQuality {
    let asked = Asked { window: 3600, to: Some(at(60)), ..Asked::default() };
    quality::report(counters, service, &asked, at(62)).await.unwrap().versions.remove(0)
}

fn of(id: usize, said: &str) -> Value {
    json!({"id": format!("p{id}"), "service": "names", "version": "1", "time": at(5).to_string(), "prediction": said,
        "features": {"who": said}, "slices": {"who": said}, "batch": "b"})
}

/// As many classes, categories and slices as predictions: what is kept of them is bounded, whether each was right is exact, and
/// a correction after a restart finds what it corrects.
#[tokio::test]
async fn more_kinds_than_can_be_named() {
    const N: usize = 20_000;
    on_each_engine(async |place| {
        let db = place.db().await;
        let counters = Counters::open(db.clone(), None).await.unwrap();
        assert_eq!(predict(&counters, (0..N).map(|i| of(i, &format!("class {i}")))).await, N as u64);
        // Every fourth was another one; what it was nobody ever said before.
        let truth = |i: usize| if i.is_multiple_of(4) { format!("never {i}") } else { format!("class {i}") };
        label(&counters, (0..N).map(|i| json!({"id": format!("p{i}"), "label": truth(i)}))).await;
        counters.fold(at(62)).await.unwrap();
        let told = asked(&counters, "names").await;
        assert_eq!((told.n, told.labelled, told.metrics["accuracy"].value), (N as u64, N as u64, 0.75));
        let (number, arm) = counters.arms("names").unwrap().remove(0);
        assert_eq!((arm.classes.len(), arm.slices.len()), (CLASSES_MAX, 200));
        assert!(arm.columns.iter().all(|c| c.counts.bins.len() <= 1000));
        let cell = counters.counted(number, at(0), at(60), Some("")).await.unwrap().all();
        // Pairs of those that have a name, and three of those that have none.
        assert!(cell.tally.confusion.len() <= 2 * CLASSES_MAX + 3, "{}", cell.tally.confusion.len());
        let bytes = serde_json::to_vec(&cell).unwrap().len() + serde_json::to_vec(&arm).unwrap().len();
        assert!(bytes < 400_000, "{bytes}");
        let answer = serde_json::to_string(&told).unwrap();
        assert!(answer.len() < 20_000, "{}", answer.len());
        let warned = |words: &str| told.warnings.iter().any(|w| w.contains(words));
        assert!(warned("told apart by name") && warned("too many to count apart"), "{:?}", told.warnings);
        drop(counters);
        let again = Counters::open(db.clone(), None).await.unwrap();
        label(&again, (0..N).step_by(4).map(|i| json!({"id": format!("p{i}"), "label": format!("class {i}")}))).await;
        again.fold(at(62)).await.unwrap();
        let told = asked(&again, "names").await;
        let well = (told.labelled, told.corrected, told.metrics["accuracy"].value);
        assert_eq!(well, (N as u64, N as u64 / 4, 1.0));
        let cell = again.counted(number, at(0), at(60), Some("")).await.unwrap().all();
        assert!(cell.tally.confusion.values().all(|n| *n > 0), "a pair was taken back that was never counted");
        assert_eq!(again.recount("names").await.unwrap().same, Some(true));
    })
    .await;
}

/// Labels for what nobody waits for any more: they count as nobody's, the predictions as without a label.
#[tokio::test]
async fn labels_for_predictions_that_have_left_the_ledger() {
    on_each_engine(async |place| {
        let counters = Counters::open(place.db().await, None).await.unwrap();
        let one = |i: usize, version: &str| {
            json!({"id": format!("g{i}"), "service": "gone", "version": version, "prediction": 1, "time": at(5).to_string()})
        };
        predict(&counters, (0..100).map(|i| one(i, "1"))).await;
        label(&counters, (0..10).map(|i| json!({"id": format!("g{i}"), "label": 1}))).await;
        let old = counters.events_before(at(1000)).await.unwrap();
        counters.forget(old.seq, at(62)).await.unwrap();
        predict(&counters, (100..200).map(|i| one(i, "2"))).await;
        label(&counters, (0..200).map(|i| json!({"id": format!("g{i}"), "label": 0}))).await;
        counters.fold(at(63)).await.unwrap();
        let asked = |version: &str| Asked { window: 3600, to: Some(at(60)), version: Some(version.into()), ..Asked::default() };
        let (first, second) = (asked("1"), asked("2"));
        let first = quality::report(&counters, "gone", &first, at(64)).await.unwrap().versions.remove(0);
        let second = quality::report(&counters, "gone", &second, at(64)).await.unwrap().versions.remove(0);
        assert_eq!((first.n, first.labelled, first.evicted, first.corrected), (100, 10, 90, 0));
        assert_eq!((first.metrics["accuracy"].value, second.metrics["accuracy"].value), (1.0, 0.0));
        assert_eq!((second.labelled, counters.standing().labels_early), (100, 100));
    })
    .await;
}

/// A registered version is archived and its model deleted; labels of what it answered come after that and still count as its.
#[test]
fn labels_for_a_version_that_is_deleted() {
    let agent = Agent::start();
    let home = agent.home().path();
    std::fs::create_dir(home.join("m")).unwrap();
    std::fs::write(home.join("m/weights"), "1").unwrap();
    agent.cli(&["model", "push", "late", "m"]).expect(0);
    let now = opsroom::base::clock::SystemClock;
    let time = Timestamp(opsroom::base::Clock::now(&now).0 - 60_000_000).to_string();
    let events = (0..50)
        .map(|i| json!({"id": format!("d{i}"), "service": "late", "version": "1", "prediction": 1, "time": time}));
    std::fs::write(home.join("p.ndjson"), lines(events)).unwrap();
    std::fs::write(home.join("l.ndjson"), lines((0..60).map(|i| json!({"id": format!("d{i}"), "label": 1})))).unwrap();
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    let client = agent.client();
    let body = json!({"name": "late"});
    wait(client.mlflow(reqwest::Method::DELETE, "/api/2.0/mlflow/registered-models/delete", &body)).unwrap();
    agent.cli(&["model", "show", "late"]).expect(4);
    agent.cli(&["labels", "add", "l.ndjson"]).expect(0);
    let told = agent.cli(&["quality", "late", "--json"]).expect(0).json();
    let v = &told["versions"][0];
    assert_eq!((v["labelled"].as_u64(), v["metrics"]["accuracy"]["value"].as_f64()), (Some(50), Some(1.0)), "{v}");
}

/// Senders that say how much they will send, and then hold on to their room.
fn hold_the_door(agent: &Agent) -> Vec<TcpStream> {
    let address = agent.url().strip_prefix("http://").unwrap();
    let hold = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /api/v1/predictions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    (0..2).map(hold).collect()
}

/// Status and body of an answer, however small the room of the agent is.
fn asks(agent: &Agent, line: &str, body: &[u8]) -> (u16, String) {
    let address = agent.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn post(agent: &Agent, body: &[u8]) -> (u16, Value) {
    let (status, text) = asks(agent, "POST /api/v1/predictions", body);
    (status, serde_json::from_str(&text).unwrap())
}

/// More is under way than there is room for: who comes then is refused and counted, everybody else is answered as ever, and
/// what was acknowledged, and no more, is counted.
#[test]
fn a_flood_is_shed_visibly_and_nothing_else_waits() {
    let agent = Agent::start();
    let event = |i: usize| json!({"id": format!("f{i}"), "service": "flood", "version": "1", "prediction": 1});
    let body = |from: usize| lines((from..from + 100).map(event));
    assert_eq!(post(&agent, &body(0)).0, 200);
    let held = hold_the_door(&agent);
    eventually("the room is theirs", || post(&agent, &body(0)).0 == 503);
    let shed = || agent.cli(&["status", "--json"]).expect(0).json()["shed"].clone();
    let get = |path: &str| {
        let (status, text) = asks(&agent, &format!("GET {path}"), b"");
        assert_eq!(status, 200, "{path}: {text}");
        text
    };
    let refused = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|i| {
                scope.spawn({
                    let (agent, body) = (&agent, body(1000 + i * 100));
                    move || post(agent, &body)
                })
            })
            .collect();
        // While they wait for room, nobody else does.
        for path in ["/api/v1/status", "/api/v1/fleet", "/api/v1/monitoring/flood/quality", "/metrics", "/health"] {
            get(path);
        }
        waiting.into_iter().map(|w| w.join().unwrap()).collect::<Vec<_>>()
    });
    for (status, told) in &refused {
        assert_eq!((*status, told["kind"].as_str()), (503, Some("unavailable")), "{told}");
        assert!(told["next"].as_str().unwrap().contains("again"), "{told}");
    }
    assert_eq!((shed()["bodies"].as_u64(), shed()["events"].as_u64()), (Some(4), Some(0)));
    assert!(get("/metrics").contains("\nopsroom_bodies_shed_total 4\n"));
    let fleet: Value = serde_json::from_str(&get("/api/v1/fleet")).unwrap();
    assert_eq!(fleet["shed"]["bodies"], 4, "{fleet}");
    let status = agent.cli(&["status"]).expect(0).stdout;
    assert!(status.contains("4 requests unread"), "{status}");
    // Those that held the room are gone: the next one is taken.
    drop(held);
    eventually("room again", || post(&agent, &body(2000)).0 == 200);
    let told = agent.cli(&["quality", "flood", "--json"]).expect(0).json();
    // The last body may have been sent more than once; its ids count once.
    assert_eq!(told["versions"][0]["n"], 200, "{told}");
    assert_eq!(agent.cli(&["quality", "flood", "--recompute", "--json"]).expect(0).json()["same"], true);
}

/// So many senders at once that they queue: every answer is either an acknowledgement or a refusal, and the sum of the
/// acknowledged ones is what is counted.
#[test]
fn what_was_acknowledged_under_load_is_counted_exactly() {
    let agent = Agent::start();
    let acknowledged: u64 = std::thread::scope(|scope| {
        let sender = |w: usize| {
            let agent = &agent;
            move || {
                let mut taken = 0;
                for k in 0..4 {
                    let event = |i: usize| json!({"id": format!("l{w}-{k}-{i}"), "service": "load", "version": format!("{}", w % 3), "prediction": i % 2, "features": {"x": i}});
                    let (status, told) = post(agent, &lines((0..300).map(event)));
                    assert!(status == 200 || status == 503, "{told}");
                    taken += told["accepted"].as_u64().unwrap_or(0);
                }
                taken
            }
        };
        let all: Vec<_> = (0..24).map(|w| scope.spawn(sender(w))).collect();
        all.into_iter().map(|s| s.join().unwrap()).sum()
    });
    let home = agent.kill();
    let agent = Agent::start_in(home, &[]);
    let told = agent.cli(&["quality", "load", "--json"]).expect(0).json();
    let counted: u64 = told["versions"].as_array().unwrap().iter().map(|v| v["n"].as_u64().unwrap()).sum();
    assert_eq!(counted, acknowledged);
    assert_eq!(acknowledged, 24 * 4 * 300, "nothing was beyond capacity");
}

/// A body that stops in the middle costs only its sender.
#[tokio::test]
async fn room_is_given_back_by_whoever_goes_away() {
    let place = Place::sqlite();
    let counters = Counters::open(place.db().await, None).await.unwrap();
    let (first, second) =
        (counters.admit(None, at(1)).await.unwrap(), counters.admit(Some(BODY_BYTES_MAX), at(1)).await.unwrap());
    let third = tokio::spawn({
        let counters = counters.clone();
        async move { counters.admit(Some(1), at(2)).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop((first, second));
    third.await.unwrap().unwrap();
    assert_eq!(counters.shed(), opsroom::capability::monitoring::counters::Shed::default());
}
