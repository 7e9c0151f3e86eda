//! The short way and the long way come to the same.

use super::super::rows::Val;
use super::*;
use crate::capability::monitoring::Prediction;

/// A row with its texts, so that two of different bodies can be held against each other.
fn told(rows: &Rows, row: &Row) -> String {
    let value = |v: Val| match v {
        Val::Text(part) => format!("text {:?}", rows.text(part)),
        other => format!("{other:?}"),
    };
    let cells = |part: Part| {
        let mut all: Vec<String> =
            rows.cells_of(part).iter().map(|(key, v)| format!("{}: {}", rows.keys.name(*key), value(*v))).collect();
        all.sort();
        all
    };
    let score = match row.score {
        Scored::Classes(part) => format!("{:?}", cells(part)),
        other => format!("{other:?}"),
    };
    let mut slices: Vec<(&str, &str)> = rows.slices_of(row).iter().map(|s| rows.slice(*s)).collect();
    slices.sort_unstable();
    let who = &rows.who[row.who as usize];
    format!(
        "{} {who:?} {:?} {} {score} {:?} {} {:?} {slices:?} {:?} {:?}",
        rows.text(row.id),
        row.time,
        value(row.said),
        row.latency_ms,
        row.failed,
        cells(row.features),
        row.batch.map(|b| rows.text(b)),
        row.usage,
    )
}

/// Both ways come to the same, or the short one leaves the line to the long one.
fn agree(line: &str) -> bool {
    let (mut short, mut long) = (Rows::default(), Rows::default());
    let mark = short.mark();
    let taken = event(&mut short, line, 0).filter(|(_, end)| *end == line.len());
    let Some((row, _)) = taken else {
        short.back(mark);
        return false;
    };
    let p: Prediction = serde_json::from_slice(line.as_bytes()).unwrap_or_else(|e| panic!("{line}: {e}"));
    let other = long.row_of(&p);
    assert_eq!(told(&short, &row), told(&long, &other), "{line}");
    true
}

#[test]
fn the_short_way_takes_what_the_long_one_takes() {
    let with = |more: &str| format!("{{\"id\":\"a\",\"service\":\"s\",\"prediction\":1{more}}}");
    for more in [
        "",
        ", \"features\": {\"x\": 0.1, \"y\": -3, \"z\": null, \"t\": \"S\\u00e3o \\\"P\\\" \\ud83d\\ude00\\n\"}",
        ",\"features\":{\"a\":1e3,\"b\":1.5E-7,\"c\":0.13436424411240122,\"d\":true,\"e\":[1,{\"f\":\"]\"}],\"g\":-0.0}",
        ",\"features\":{},\"slices\":{}, \"score\":0.25 , \"version\":\"3\",\"model\":\"m\" ",
        ",\"score\":{\"late\":0.25,\"early\":0.75},\"slices\":{\"country\":\"BR\",\"é\":\"ü\"}",
        ",\"time\":\"2026-05-03T14:00:00.25Z\",\"latency_ms\":3,\"error\":\"timeout\",\"batch\":\"b\"",
        ",\"usage\":{\"input_tokens\":812,\"output_tokens\":64},\"unknown\":{\"deep\":[null,\"x\\\\\"]}",
        ",\"score\":null,\"version\":null,\"time\":null,\"latency_ms\":null,\"error\":null,\"usage\":null",
        ",\"latency_ms\":123456789012345678,\"features\":{\"x\":12345678901234567.5}",
    ] {
        assert!(agree(&with(more)), "{more}");
    }
    // What it leaves to the other.
    for more in [
        ",\"id\":\"b\"",
        ",\"features\":{\"x\":1,\"x\":2}",
        ",\"features\":{\"x\":NaN}",
        ",\"features\":{\"x\":01}",
        ",\"features\":{\"x\":1.}",
        ",\"features\":{\"x\":1e999}",
        ",\"features\":{\"x\":\"\\ud800\"}",
        ",\"features\":{\"x\":\"\t\"}",
        ",\"features\":{\"x\":1,}",
        ",\"features\":{\"x\":-0}",
        ",\"features\":{\"x\":12345678901234567890}",
        ",\"features\":null",
        ",\"slices\":{\"a\":1}",
        ",\"time\":\"yesterday\"",
        ",\"x\":{]}",
        ",\"unknown\":tru",
        ",",
    ] {
        assert!(!agree(&with(more)), "{more}");
    }
    for line in ["", "{", "{}", "[1]", "{\"id\":\"a\"}", "{\"id\":\"a\",\"service\":\"s\",\"prediction\":\"\\"] {
        assert!(!agree(line), "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn any_number_and_text_is_the_same_both_ways(
        x in proptest::num::f64::NORMAL, n in proptest::num::i64::ANY, text in ".{0,40}", digits in "-?[0-9]{1,19}\\.[0-9]{1,19}"
    ) {
        let features = serde_json::json!({"x": x, "n": n, &text: &text});
        agree(&format!(
            "{{\"id\":\"a\",\"service\":\"s\",\"prediction\":{digits},\"features\":{features}}}"
        ));
    }
}
