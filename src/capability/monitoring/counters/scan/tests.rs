//! The short way and the long way come to the same.

use super::super::rows::Val;
use super::*;
use crate::capability::monitoring::Prediction;

/// A row with its texts, so that two of different bodies can be held against each other.
fn told(rows: &Rows, row: &Row) -> String {
    let value = |v: Val| match rows.text_of(v) {
        Some(text) => format!("text {text:?}"),
        None => match v {
            Val::Other(part) => {
                format!("{}", serde_json::from_slice::<serde_json::Value>(rows.text(part).as_bytes()).unwrap())
            }
            other => format!("{other:?}"),
        },
    };
    let mut cells: Vec<String> =
        rows.features_of(row).map(|(key, v)| format!("{}: {}", rows.keys.name(key), value(v))).collect();
    cells.sort();
    let score = match row.score {
        Scored::Classes(part) => {
            let all = rows.classes_of(part).iter().map(|(key, x)| (rows.keys.name(*key), *x));
            format!(
                "{:?}",
                all.collect::<std::collections::BTreeMap<_, _>>()
                    .iter()
                    .map(|(k, x)| format!("{k} {x}"))
                    .collect::<Vec<_>>()
            )
        }
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
        cells,
        row.batch.map(|b| rows.text(b)),
        row.usage,
    )
}

/// Both ways come to the same, or the short one leaves the line to the long one.
fn agree(line: &str) -> bool {
    let (mut short, mut long) = (Rows::default(), Rows::default());
    let mark = short.mark();
    let taken = Scan::new(line).event(&mut short, 0).filter(|(_, end)| *end == line.len());
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

/// An event in one of several ways: other members, other features, other slices, another order, other spaces.
fn line(way: u32, n: u32) -> String {
    let comma = [",", ", ", " ,\t"][way as usize % 3];
    let mut features =
        vec![format!("\"x\":{n}"), format!("\"a_name_that_is_long\": -{n}.5"), format!("\"t\":\"v{n}\"")];
    features.rotate_left(way as usize / 3 % 3);
    features.truncate(way as usize / 9 % 4);
    let slices =
        ["", "\"c\":\"BR\"", "\"c\":\"US\",\"d\":\"x y\"", "\"d\":\"a slice that is no word\""][way as usize / 5 % 4];
    let mut members = vec![
        format!("\"id\":\"p{n}\""),
        "\"service\": \"s\"".to_owned(),
        format!("\"prediction\":{}", ["1", "null", "\"yes\"", "-2.25"][n as usize % 4]),
        format!("\"features\":{{{}}}", features.join(comma)),
        format!("\"slices\":{{{slices}}}"),
    ];
    members.rotate_left(way as usize / 7 % 5);
    if way.is_multiple_of(4) {
        members.push("\"version\":\"2\"".to_owned());
    }
    format!("{{{}}}", members.join(comma))
}

proptest::proptest! {
    #[test]
    fn any_number_and_text_is_the_same_both_ways(
        x in proptest::num::f64::NORMAL, n in proptest::num::i64::ANY, text in ".{0,40}", digits in "-?[0-9]{1,19}\\.[0-9]{1,19}"
    ) {
        let features = serde_json::json!({"x": x, "n": n, &text: &text, "t": &text[..text.floor_char_boundary(9)]});
        agree(&format!(
            "{{\"id\":\"a\",\"service\":\"s\",\"prediction\":{digits},\"features\":{features}}}"
        ));
    }

    #[test]
    fn lines_that_differ_do_not_disturb_each_other(ways in proptest::collection::vec((0..200_u32, 0..30_u32), 1..25)) {
        let lines: Vec<String> = ways.iter().map(|(way, n)| line(*way, *n)).collect();
        let body = lines.join("\n");
        let (mut scan, mut rows, mut at) = (Scan::new(&body), Rows::default(), 0);
        for line in &lines {
            let (row, end) = scan.event(&mut rows, at).unwrap_or_else(|| panic!("{line}"));
            proptest::prop_assert_eq!(&body[at..end], line.as_str());
            let mut alone = Rows::default();
            let p: Prediction = serde_json::from_slice(line.as_bytes()).unwrap();
            let other = alone.row_of(&p);
            proptest::prop_assert_eq!(told(&rows, &row), told(&alone, &other));
            at = end + 1;
        }
    }
}
