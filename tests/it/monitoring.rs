//! Predictions and labels from the request to the figure: exact after a crash, joined by id and version, on both engines.

use std::fmt::Write as _;

use opsroom::base::Timestamp;
use opsroom::capability::drift;
use opsroom::capability::monitoring::counters::{Counters, parse_labels, parse_predictions};
use opsroom::capability::monitoring::quality::{self, Asked, QualityReport};
use opsroom::db::Db;
use serde_json::{Value, json};

use super::stores::on_each_engine;
use super::support::Agent;

const HOUR: i64 = 3_600_000_000;
const T0: i64 = 1_790_000_000_000_000 / HOUR * HOUR;

fn at(minute: i64) -> Timestamp {
    Timestamp(T0 + minute * 60_000_000)
}

/// A row of a little world: the score tells the truth three times of four.
fn row(i: u64, shift: f64) -> (Value, Value) {
    // splitmix64.
    let spread = |k: u64| {
        let mut z = (i * 8 + k).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 1000
    };
    let score = spread(1) as f64 / 1000.0;
    let prediction = u8::from(score >= 0.5);
    let truth = if spread(2) < 750 { prediction } else { 1 - prediction };
    let time = at(i64::try_from(i % 50).unwrap()).to_string();
    let carrier = ["AA", "DL", "UA"][(spread(4) % 3) as usize];
    let event = json!({
        "id": format!("p{i}"), "service": "delay", "model": "flight-delay", "version": "1", "time": time,
        "features": {"distance": spread(3) as f64 / 100.0 + shift, "carrier": carrier},
        "prediction": prediction, "score": score, "latency_ms": 10.0 + spread(5) as f64 / 10.0,
        "slices": {"origin": if i.is_multiple_of(4) { "JFK" } else { "LAX" }},
    });
    (event, json!({"id": format!("p{i}"), "label": truth}))
}

fn lines(values: impl Iterator<Item = Value>) -> Vec<u8> {
    values
        .fold(String::new(), |mut all, v| {
            let _ = writeln!(all, "{v}");
            all
        })
        .into_bytes()
}

async fn predict(counters: &Counters, rows: std::ops::Range<u64>) -> u64 {
    let body = lines(rows.map(|i| row(i, 0.0).0));
    counters.predictions(parse_predictions(&body, at(60)).unwrap(), at(60)).await.unwrap().accepted
}

async fn label(counters: &Counters, rows: std::ops::Range<u64>) {
    let body = lines(rows.map(|i| row(i, 0.0).1));
    counters.labels(parse_labels(&body, at(70)).unwrap(), at(70)).await.unwrap();
}

async fn asked(counters: &Counters) -> QualityReport {
    let asked = Asked { window: 3600, to: Some(at(60)), ..Asked::default() };
    quality::report(counters, "delay", &asked, at(60)).await.unwrap()
}

async fn open(db: &Db) -> Counters {
    Counters::open(db.clone(), None).await.unwrap()
}

#[tokio::test]
async fn a_crash_at_any_time_neither_loses_nor_doubles() {
    on_each_engine(async |place| {
        let db = place.db().await;
        let whole = open(&db).await;
        // Labels before, between and after predictions; folds in between.
        label(&whole, 0..50).await;
        predict(&whole, 0..400).await;
        whole.fold(at(61)).await.unwrap();
        label(&whole, 0..300).await;
        predict(&whole, 300..700).await;
        let before = asked(&whole).await;
        drop(whole);
        // Nothing was folded since: the journal alone knows.
        let again = open(&db).await;
        assert_eq!(asked(&again).await, before);
        again.fold(at(62)).await.unwrap();
        assert_eq!(asked(&again).await, before);
        label(&again, 200..700).await;
        again.fold(at(63)).await.unwrap();
        let after = asked(&open(&db).await).await;
        let v = &after.versions[0];
        assert_eq!((v.n, v.labelled, v.coverage), (700, 700, Some(1.0)));
        assert_eq!(v.metrics["accuracy"].n, 700);
        // Minutes become hours, and the figures stay.
        again.fold(at(600)).await.unwrap();
        assert_eq!(asked(&again).await.versions[0].metrics, v.metrics);
        let recount = again.recount("delay").await.unwrap();
        assert_eq!(recount.same, Some(true), "{}", recount.why);
        assert_eq!(recount.events, 50 + 400 + 300 + 400 + 500);
        let standing = again.standing();
        assert_eq!((standing.odd.again, standing.odd.differing, standing.waiting), (100, 0, 700));
    })
    .await;
}

#[tokio::test]
async fn labels_late_corrected_doubled_and_unknown() {
    on_each_engine(async |place| {
        let counters = open(&place.db().await).await;
        let send = async |body: &str| {
            let parsed = parse_predictions(body.as_bytes(), at(60)).unwrap();
            counters.predictions(parsed, at(60)).await.unwrap()
        };
        let told =
            async |body: &str| counters.labels(parse_labels(body.as_bytes(), at(90)).unwrap(), at(90)).await.unwrap();
        let time = at(5);
        // Two versions answer under one id; NaN, the future and a bad line cost only themselves.
        let body = format!(
            "{{\"id\":\"a\",\"service\":\"s\",\"version\":\"1\",\"prediction\":\"late\",\"time\":\"{time}\"}}\n\
             {{\"id\":\"a\",\"service\":\"s\",\"version\":\"2\",\"prediction\":\"early\",\"time\":\"{time}\"}}\n\
             {{\"id\":\"b\",\"service\":\"s\",\"version\":\"1\",\"prediction\":NaN}}\n\
             {{\"id\":\"c\",\"service\":\"s\",\"prediction\":1,\"time\":\"2999-01-01\"}}\nnonsense\n"
        );
        let answer = send(&body).await;
        let rejected: Vec<u64> = answer.rejected.iter().map(|r| r.index).collect();
        assert_eq!((answer.accepted, rejected), (2, vec![2, 3, 4]));
        told(r#"{"id":"a","label":"late"}"#).await;
        told(r#"[{"id":"a","label":"late"},{"id":"nobody","label":1}]"#).await;
        let accuracy = async |version: &str| {
            let asked = Asked { window: 3600, to: Some(at(60)), version: Some(version.to_owned()), ..Asked::default() };
            let v = quality::report(&counters, "s", &asked, at(60)).await.unwrap().versions.remove(0);
            (v.metrics["accuracy"].value, v.labelled, v.corrected)
        };
        assert_eq!((accuracy("1").await, accuracy("2").await), ((1.0, 1, 0), (0.0, 1, 0)));
        told(r#"{"id":"a","label":"early"}"#).await;
        assert_eq!((accuracy("1").await, accuracy("2").await), ((0.0, 1, 1), (1.0, 1, 1)));
        let standing = counters.standing();
        assert_eq!((standing.odd.labels_again, standing.labels_early), (2, 1));
        // The same id with another content is not counted; the first one holds.
        let answer = send(&format!(
            "{{\"id\":\"a\",\"service\":\"s\",\"version\":\"1\",\"prediction\":\"x\",\"time\":\"{time}\"}}"
        ))
        .await;
        assert_eq!(answer.accepted, 1);
        assert_eq!(counters.standing().odd.differing, 1);
        assert_eq!(counters.recount("s").await.unwrap().same, Some(true));
    })
    .await;
}

#[tokio::test]
async fn numbers_and_judgements_have_their_own_metrics() {
    let place = super::stores::Place::sqlite();
    let counters = open(&place.db().await).await;
    let time = at(1).to_string();
    let predictions = (0..40).map(|i| {
        json!({
            "id": format!("r{i}"), "service": "price", "prediction": f64::from(i) + 0.5, "time": time,
        })
    });
    let texts = (0..10).map(|i| json!({
        "id": format!("t{i}"), "service": "chat", "prediction": "a text", "time": time,
        "usage": {"input_tokens": 100, "output_tokens": 7}, "error": if i == 0 { json!("timeout") } else { Value::Null },
    }));
    let body = lines(predictions.chain(texts));
    counters.predictions(parse_predictions(&body, at(2)).unwrap(), at(2)).await.unwrap();
    let labels = (0..40).map(|i| json!({"id": format!("r{i}"), "label": i}));
    let judged = (0..10).map(|i| json!({"id": format!("t{i}"), "label": if i < 5 { 0.8 } else { 0.4 }}));
    let body = lines(labels.chain(judged));
    counters.labels(parse_labels(&body, at(2)).unwrap(), at(2)).await.unwrap();
    let asked = Asked { window: 3600, to: Some(at(60)), ..Asked::default() };
    let price = quality::report(&counters, "price", &asked, at(60)).await.unwrap().versions.remove(0);
    assert!((price.metrics["mae"].value - 0.5).abs() < 1e-9 && (price.metrics["bias"].value - 0.5).abs() < 1e-9);
    let chat = quality::report(&counters, "chat", &asked, at(60)).await.unwrap().versions.remove(0);
    assert!((chat.metrics["judgement"].value - 0.6).abs() < 1e-6);
    assert_eq!((chat.input_tokens, chat.output_tokens, chat.errors), (1000, 70, 1));
}

#[tokio::test]
async fn the_first_window_is_the_reference_where_there_is_no_other() {
    let place = super::stores::Place::sqlite();
    let counters = open(&place.db().await).await;
    predict(&counters, 0..1000).await;
    let told = async |to: i64| {
        let asked = Asked { window: 3600, to: Some(at(to)), ..Asked::default() };
        drift::report(&counters, "delay", &asked, at(to)).await.unwrap().versions.remove(0)
    };
    let send = async |rows: std::ops::Range<u64>, shift: f64, minute: i64| {
        let body = lines(rows.map(|i| {
            let mut event = row(i, shift).0;
            event["time"] = json!(at(minute).to_string());
            event
        }));
        counters.predictions(parse_predictions(&body, at(400)).unwrap(), at(400)).await.unwrap();
    };
    send(1000..2000, 0.0, 100).await;
    send(2000..3000, 4.0, 200).await;
    let (quiet, loud) = (told(120).await, told(220).await);
    assert_eq!((quiet.alarms, quiet.n, quiet.reference.as_str()), (0, 1000, "first window"));
    assert_eq!((loud.alarms, loud.columns[0].name.as_str()), (1, "distance"), "{:?}", loud.columns);
    assert!(loud.columns[0].alarm && loud.score.is_some());
    assert_eq!(counters.recount("delay").await.unwrap().same, Some(true));
}

#[tokio::test]
async fn odd_events_cost_only_themselves() {
    let place = super::stores::Place::sqlite();
    let counters = open(&place.db().await).await;
    predict(&counters, 0..1000).await;
    let event = |i: usize, features: Value, time: String| json!({"id": format!("o{i}"), "service": "delay", "version": "1", "prediction": 1, "time": time, "features": features});
    let now = at(60).to_string();
    let mut odd: Vec<Value> = Vec::new();
    // So many categories that nobody has ever seen.
    odd.extend((0..30_000).map(|i| event(i, json!({"distance": 1.0, "carrier": format!("new-{i}")}), now.clone())));
    // A feature of another type, a number in words, and what is no number at all.
    for (i, value) in
        [json!("far"), json!("12.5"), json!("inf"), json!("NaN"), json!([1]), json!(true)].iter().enumerate()
    {
        odd.push(event(100_000 + i, json!({"distance": value, "carrier": 7}), now.clone()));
    }
    // Clocks: long ago counts in its own minute, minutes ahead are taken, hours ahead are not.
    odd.push(event(200_000, json!({"distance": 1.0, "carrier": "AA"}), "1971-01-01T00:00:00Z".to_owned()));
    odd.push(event(200_001, json!({"distance": 1.0, "carrier": "AA"}), at(64).to_string()));
    odd.push(event(200_002, json!({"distance": 1.0}), at(66).to_string()));
    odd.push(event(200_003, json!({"distance": 1.0}), "1969-12-31T23:59:59Z".to_owned()));
    // An event of 10 MB among the others.
    odd.push(event(200_004, json!({"distance": "x".repeat(10 << 20)}), now.clone()));
    odd.push(event(200_005, json!({"distance": 1.0, "carrier": "AA"}), now.clone()));
    let mut body = lines(odd.into_iter());
    body.extend_from_slice(
        b"{\"id\":\"x\",\"service\":\"delay\",\"prediction\":1,\"features\":{\"distance\":Infinity}}\n",
    );
    let parsed = parse_predictions(&body, at(60)).unwrap();
    let answer = counters.predictions(parsed, at(60)).await.unwrap();
    let why: Vec<&str> = answer.rejected.iter().map(|r| r.why.as_str()).collect();
    assert_eq!(why.len(), 4, "{why:?}");
    let says = |i: usize, words: &str| assert!(why[i].contains(words), "{}", why[i]);
    says(0, "lies in the future");
    says(1, "before 1970");
    says(2, "at most 1048576 are taken");
    says(3, "expected value");
    assert_eq!(answer.accepted, 30_009);
    // Only names of the training are bins; what is new is a number, and about how many there were.
    let (number, arm) = counters.arms("delay").unwrap().remove(0);
    let counted = counters.counted(number, at(60), at(66), Some("")).await.unwrap();
    let all = counted.all();
    let of = |name: &str| &all.columns[arm.columns.iter().position(|c| c.name == name).unwrap()];
    let (carrier, distance) = (of("carrier"), of("distance"));
    assert_eq!((carrier.n, carrier.bins.len(), carrier.new), (30_008, 3, 30_006));
    assert!((29_000..31_000).contains(&carrier.distinct.estimate()), "{}", carrier.distinct.estimate());
    assert_eq!((distance.n, distance.missing, distance.infinite_high), (30_008, 3, 1));
    assert_eq!(counters.counted(number, Timestamp(0), at(-1_000_000), Some("")).await.unwrap().all().tally.n, 1);
    assert_eq!(counters.recount("delay").await.unwrap().same, Some(true));
}

#[test]
fn from_a_file_to_the_figures_and_over_a_kill() {
    let agent = Agent::start();
    let rows: Vec<(Value, Value)> = (0..600).map(|i| row(i, 0.0)).collect();
    let mut csv = "id,prediction,score,time,distance,carrier,slice.origin\n".to_owned();
    for (event, _) in &rows {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned);
        let cells =
            [&event["id"], &event["prediction"], &event["score"], &event["time"], &event["features"]["distance"]];
        let cells: Vec<String> = cells.into_iter().map(text).collect();
        let _ = writeln!(
            csv,
            "{},{},{}",
            cells.join(","),
            text(&event["features"]["carrier"]),
            text(&event["slices"]["origin"])
        );
    }
    let folder = agent.home().path().to_owned();
    std::fs::write(folder.join("p.csv"), csv).unwrap();
    std::fs::write(folder.join("l.ndjson"), lines(rows.iter().map(|r| r.1.clone()))).unwrap();
    let added = ["predictions", "add", "p.csv", "--service", "delay", "--version", "1", "--json"];
    assert_eq!(agent.cli(&added).expect(0).json(), json!({"accepted": 600, "rejected": []}));
    assert_eq!(agent.cli(&["labels", "add", "l.ndjson", "--json"]).expect(0).json()["accepted"], 600);
    let to = at(60).to_string();
    let quality = ["quality", "delay", "--to", &to, "--json"];
    let told = agent.cli(&quality).expect(0).json();
    let v = &told["versions"][0];
    assert_eq!((v["n"].as_u64(), v["labelled"].as_u64()), (Some(600), Some(600)));
    let (real, estimate) = (&v["metrics"]["accuracy"]["value"], &v["estimated"]["accuracy"]["value"]);
    assert!((real.as_f64().unwrap() - estimate.as_f64().unwrap()).abs() < 0.03, "{v}");
    assert_eq!(v["slices"].as_array().unwrap().len(), 2);
    let home = agent.kill();
    let agent = Agent::start_in(home, &[]);
    assert_eq!(agent.cli(&quality).expect(0).json()["versions"][0]["metrics"], v["metrics"]);
    let recount = agent.cli(&["quality", "delay", "--recompute", "--json"]).expect(0).json();
    assert_eq!((recount["same"].as_bool(), recount["kept"] == recount["anew"]), (Some(true), true));
    agent.cli(&["drift", "delay", "--to", &to]).expect(0);
    agent.cli(&["quality", "nobody"]).expect(4);
}

/// Rules are watched by the agent: quality falls and an incident opens; it is well again and the incident closes.
#[test]
fn a_rule_opens_an_incident_and_closes_it() {
    let agent = Agent::start();
    let rules = "[[alert]]\nname = \"wrong\"\nservice = \"delay\"\nsignal = \"quality:accuracy\"\nbelow = 0.6\n\
                 window = \"1h\"\nn_min = 50\nabsent = \"3h\"\nseverity = 1\n";
    std::fs::write(agent.home().path().join("rules.toml"), rules).unwrap();
    agent.cli(&["apply", "rules.toml", "--reason", "watch it"]).expect(0);
    // The last whole hour.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64;
    let before = Timestamp(now / HOUR * HOUR - HOUR / 2).to_string();
    let event = |i: usize| json!({"id": format!("w{i}"), "service": "delay", "prediction": 1, "time": before});
    let truth = |i: usize, label: u8| json!({"id": format!("w{i}"), "label": label});
    let put = |name: &str, all: Vec<u8>| std::fs::write(agent.home().path().join(name), all).unwrap();
    put("p.ndjson", lines((0..100).map(event)));
    put("bad.ndjson", lines((0..100).map(|i| truth(i, 0))));
    put("good.ndjson", lines((0..100).map(|i| truth(i, 1))));
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    agent.cli(&["labels", "add", "bad.ndjson"]).expect(0);
    // The monitor looks when something of incidents changes, and every ten seconds.
    let incident = || agent.cli(&["incident", "list", "--json"]).expect(0).json();
    super::support::eventually("the incident", || incident()[0]["alerts"][0]["rule"] == "wrong");
    let alert = incident()[0]["alerts"][0].clone();
    assert_eq!((alert["n"].as_u64(), alert["value"].as_f64()), (Some(100), Some(0.0)));
    // The line that the alert names gives the figure again.
    let line = alert["query"].as_str().unwrap().to_owned();
    let words: Vec<&str> = line.split(' ').skip(1).chain(["--json"]).collect();
    let again = agent.cli(&words).expect(0).json();
    assert_eq!(again["versions"][0]["metrics"]["accuracy"]["value"], 0.0);
    // Labels are corrected.
    agent.cli(&["labels", "add", "good.ndjson"]).expect(0);
    super::support::eventually("the end", || !incident()[0]["closed"].is_null());
}
