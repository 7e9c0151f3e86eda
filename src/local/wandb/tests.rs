//! Tests of reading a run's records.

use serde_json::json;

use super::ahead::Ahead;
use super::log::testing::written;
use super::proto::testing::{with, with_number};
use super::record::Story;
use crate::capability::tracking::points::Point;

fn item(path: &[&str], value: &str) -> Vec<u8> {
    let named = match path {
        [key] => with(Vec::new(), 1, key.as_bytes()),
        nested => nested.iter().fold(Vec::new(), |message, part| with(message, 2, part.as_bytes())),
    };
    with(named, 16, value.as_bytes())
}

fn record(kind: u64, body: &[u8]) -> Vec<u8> {
    with(with_number(Vec::new(), 1, 7), kind, body)
}

fn history(step: u64, items: &[(&[&str], &str)]) -> Vec<u8> {
    let body = items.iter().fold(Vec::new(), |body, (path, value)| with(body, 1, &item(path, value)));
    let time = item(&["_timestamp"], &format!("{}.25e0", 1_700_000_000 + step));
    let body = with(with(body, 1, &item(&["_step"], &step.to_string())), 1, &time);
    record(2, &with(body, 2, &with_number(Vec::new(), 1, step)))
}

fn run() -> Vec<u8> {
    let config = with(Vec::new(), 1, &item(&["lr"], "0.5"));
    let start = with_number(Vec::new(), 1, 1_700_000_000);
    let texts = [(1, "abc"), (3, "flights"), (6, "sweep"), (8, "nice"), (10, "a"), (10, "b"), (13, "host")];
    let body = texts.iter().fold(Vec::new(), |body, (n, text)| with(body, *n, text.as_bytes()));
    record(17, &with(with(body, 4, &config), 17, &start))
}

fn story(records: &[Vec<u8>]) -> Story {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), written(records)).unwrap();
    let mut story = Story::default();
    super::log::Log::default()
        .read(file.path(), |r| {
            story.take(r);
            true
        })
        .unwrap();
    story
}

#[test]
fn a_run_is_read_as_a_live_client_would_have_sent_it() {
    let metric = with(with(Vec::new(), 2, b"val/*"), 4, b"epoch");
    let stats = with(with_number(Vec::new(), 1, 0), 2, &with_number(Vec::new(), 1, 1_700_000_005));
    let mut story = story(&[
        run(),
        record(12, &metric),
        history(0, &[(&["loss"], "1"), (&["nested", "a"], "NaN"), (&["text"], "\"x\"")]),
        history(4, &[(&["loss"], "5e-1"), (&["ok"], "true")]),
        record(7, &with(stats, 3, &item(&["gpu.0.temp"], "61"))),
        record(5, &with(Vec::new(), 1, &item(&["late"], "{\"x\": 1}"))),
        record(18, &with_number(Vec::new(), 2, 9)),
    ]);
    let upsert = &story.upsert;
    assert_eq!(
        (upsert.id.as_str(), upsert.project.as_str(), upsert.started_ms),
        ("abc", "flights", Some(1_700_000_000_000))
    );
    assert_eq!(upsert.tags, Some(vec!["a".to_owned(), "b".to_owned()]));
    let config = upsert.config.clone().unwrap();
    assert_eq!((&config["lr"], &config["late"]), (&json!({"value": 0.5}), &json!({"value": {"x": 1}})));
    assert_eq!(config["_wandb"]["value"]["m"], json!([{"2": "val/*", "4": "epoch"}]));
    assert_eq!((story.history, story.events, story.step, story.exit), (2, 1, 4, Some(0)));
    let mut series = story.columns.take();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let shown: Vec<String> = series
        .iter()
        .flat_map(|(key, points)| points.iter().map(move |p| format!("{key} {} {} {}", p.step, p.timestamp, p.value)))
        .collect();
    assert_eq!(
        shown,
        [
            "loss 0 1700000000250 1",
            "loss 4 1700000004250 0.5",
            "nested.a 0 1700000000250 NaN",
            "ok 4 1700000004250 1",
            "system/gpu.0.temp 0 1700000005000 61",
        ]
    );
}

#[test]
fn histograms_are_no_metrics() {
    let parts: [(&[&str], &str); 4] =
        [(&["h", "_type"], "\"histogram\""), (&["h", "values"], "[1,2]"), (&["h", "n"], "3"), (&["x"], "1")];
    let mut story = story(&[run(), history(3, &parts)]);
    assert_eq!(story.columns.take().into_iter().map(|(k, _)| k).collect::<Vec<_>>(), ["x"]);
    assert_eq!(story.media, [(3, "h".to_owned(), json!({"_type": "histogram", "values": [1, 2], "n": 3}))]);
}

#[test]
fn the_summary_says_what_the_history_does_not() {
    let update = |items: &[(&[&str], &str)]| {
        record(3, &items.iter().fold(Vec::new(), |body, (path, value)| with(body, 1, &item(path, value))))
    };
    let gone = record(3, &with(Vec::new(), 2, &item(&["gone"], "")));
    let story = story(&[
        run(),
        history(0, &[(&["loss"], "1"), (&["acc"], "NaN")]),
        update(&[(&["loss"], "9"), (&["acc"], "NaN"), (&["gone"], "1"), (&["_wandb", "runtime"], "7")]),
        gone,
        update(&[
            (&["best", "max"], "0.5"),
            (&["word"], "\"good\""),
            (&["h", "_type"], "\"histogram\""),
            (&["h", "n"], "3"),
        ]),
    ]);
    let (mut values, texts) = story.conclusion();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(values, [("best.max".to_owned(), 0.5), ("summary/loss".to_owned(), 9.0)]);
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), [("summary.word".to_owned(), "good".to_owned())]);
}

#[test]
#[allow(clippy::field_reassign_with_default)] // its other fields are its own
fn lines_that_the_store_has_are_not_sent_again() {
    let file = written(&[run(), history(0, &[(&["x"], "1")]), history(1, &[(&["x"], "2")])]);
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), file).unwrap();
    let mut story = Story::default();
    story.known = (1, 0);
    super::log::Log::default()
        .read(path.path(), |r| {
            story.take(r);
            true
        })
        .unwrap();
    assert_eq!((story.history, story.columns.waiting, story.columns.newest("x")), (2, 1, Some(2.0)));
}

#[tokio::test]
async fn what_is_read_ahead_is_all_of_it() {
    let names: Vec<String> = (0..8).map(|n| format!("m{n}")).collect();
    let line = |step: u64| {
        let value = step.to_string();
        let paths: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let items: Vec<(&[&str], &str)> = paths.iter().map(|path| (path.as_slice(), value.as_str())).collect();
        history(step, &items)
    };
    const LINES: u64 = 20_000;
    let end = record(18, &with_number(Vec::new(), 2, 9));
    let late = record(5, &with(Vec::new(), 1, &item(&["late"], "1")));
    let records: Vec<_> = std::iter::once(run()).chain((0..LINES).map(line)).chain([late, end]).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), written(&records)).unwrap();

    let mut ahead = Ahead::begin(file.path().to_owned());
    let (mut points, mut stretches, mut told) = (vec![0_u64; names.len()], 0, 0);
    let mut count = |series: Vec<(String, Vec<Point>)>| {
        for (key, series) in series {
            let seen = &mut points[names.iter().position(|n| *n == key).unwrap()];
            series.iter().for_each(|p| {
                assert_eq!((p.step.cast_unsigned(), p.value), (*seen, *seen as f64));
                *seen += 1;
            });
        }
    };
    while let Some((news, stretch)) = ahead.next().await {
        assert!(stretches > 0 || news.as_ref().is_some_and(|n| n.id == "abc" && n.from_file), "it is named first");
        told += u64::from(news.is_some());
        stretches += 1;
        count(stretch.series);
    }
    let (log, mut story) = ahead.end().await.unwrap();
    count(story.columns.take());
    assert!(points.iter().all(|n| *n == LINES) && stretches > 2, "{points:?} in {stretches}");
    assert_eq!((told, story.news().is_some(), story.exit, story.history), (1, true, Some(0), LINES));
    assert_eq!(log.read_bytes(), file.as_file().metadata().unwrap().len());
}

proptest::proptest! {
    #[test]
    fn whatever_a_record_holds_nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120)) {
        let mut story = Story::default();
        for kind in [2, 3, 5, 7, 12, 13, 17, 18, 26] {
            story.take(&record(kind, &bytes));
        }
        story.conclusion();
    }
}
