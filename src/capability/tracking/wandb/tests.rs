//! Tests of reading what W&B's clients write.

use serde_json::{Map, Value, json};

use super::config::{axes, axis, params, unwrapped};
use super::json::{number, parse};
use super::line::{history, machine};
use super::run_id;

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[test]
fn bare_words_are_numbers_and_words_in_strings_stay() {
    let read = parse(r#"{"a": NaN, "b":[-Infinity,Infinity], "c":"NaN \" Infinity", "d":-1.5, "NaN":1}"#).unwrap();
    assert!(number(&read["a"]).unwrap().is_nan());
    assert_eq!(number(&read["b"][0]), Some(f64::NEG_INFINITY));
    assert_eq!(number(&read["b"][1]), Some(f64::INFINITY));
    assert_eq!(read["c"], json!("NaN \" Infinity"));
    assert_eq!(read["d"], json!(-1.5));
    assert_eq!(read["NaN"], json!(1));
    for bad in ["{\"a\": NaNx}", "\"Infinity\\", "NaN \"", "{"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in ".{0,60}", words in "[{}:,\"\\\\NaInfity-]{0,40}") {
        let _ = (parse(&text), parse(&words));
    }
}

#[test]
fn a_line_of_the_history_is_flat_and_media_stand_apart() {
    let line = parse(
        r#"{"_step": 7, "_timestamp": 1.7958731887121913e+09, "_runtime": 0.5, "loss": 1, "acc": NaN, "ok": true,
            "note": "x", "nested": {"a": 0, "b": {"c": 2.5}}, "h": {"_type": "histogram", "values": [1], "bins": [0, 1]}}"#,
    );
    let line = history(line.unwrap().as_object().unwrap());
    assert_eq!((line.step, line.at_ms, line.runtime), (Some(7), Some(1_795_873_188_712), Some(0.5)));
    let value = |key: &str| line.values.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    assert_eq!(
        (value("loss"), value("ok"), value("nested.a"), value("nested.b.c")),
        (Some(1.0), Some(1.0), Some(0.0), Some(2.5))
    );
    assert!(value("acc").unwrap().is_nan());
    assert_eq!(value("note"), None);
    assert_eq!(line.media.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["h"]);
}

#[test]
fn figures_of_the_machine_have_their_own_place() {
    let line =
        machine(&map(&json!({"_wandb": true, "_timestamp": 1.0, "system.gpu.0.gpu": 3, "system.disk./.usageGB": 1.5})));
    let keys: Vec<_> = line.values.iter().map(|(k, _)| k.as_str()).collect();
    assert_eq!(keys, ["system/disk./.usageGB", "system/gpu.0.gpu"]);
}

#[test]
fn a_configuration_becomes_params() {
    let config = unwrapped(map(&json!({
        "lr": {"value": 0.1}, "m": {"value": {"d": 3, "x": [1, 2], "e": {}}}, "s": {"value": "t"}, "n": {"value": null},
        "_wandb": {"value": {"t": {}}},
    })));
    let expected = [("lr", "0.1"), ("m.d", "3"), ("m.e", "{}"), ("m.x", "[1,2]"), ("n", "null"), ("s", "t")];
    let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert_eq!(params(&config.values), expected);
}

#[test]
fn axes_are_found_by_name_and_by_the_longest_pattern() {
    let client = map(&json!({"m": [
        {"1": "epoch"}, {"2": "val/*", "5": 1}, {"2": "val/top/*", "4": "pass"}, {"1": "acc", "7": [2]}, {"1": "val/own", "5": 9},
    ]}));
    let axes = axes(&client);
    assert_eq!(axis(&axes, "val/loss"), Some("epoch"));
    assert_eq!(axis(&axes, "val/top/x"), Some("pass"));
    assert_eq!(axis(&axes, "epoch"), None);
    assert_eq!(axis(&axes, "acc"), None);
}

#[test]
fn the_id_of_a_run_hangs_on_project_and_name() {
    assert_eq!(run_id("p", "a"), run_id("p", "a"));
    assert_ne!(run_id("p", "a"), run_id("q", "a"));
    assert_ne!(run_id("p", "a"), run_id("p", "b"));
}
