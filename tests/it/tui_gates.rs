//! Gates, approvals and evals in the room: what was seen against what is asked, why a promotion is refused, and what helps.

use std::collections::BTreeMap;

use opsroom::base::Timestamp;
use opsroom::capability::evals::{Evidence, SliceFigures, Suite};
use opsroom::capability::gates::{Decision, Finding, Gate, Pending, Rule, SliceFinding, Standing, Verdict, Waiver};
use opsroom::capability::{Command, gates};
use opsroom::tui::model::evals::Measured;
use opsroom::tui::model::{Change, Stage};
use opsroom::tui::msg::{Page, Want};
use opsroom::tui::state::View;
use serde_json::{Value, json};

use super::tui_fixture::{NOW, Room, UNICODE, answer as fixture};
use super::tui_screens::snapshot;

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

fn finding(name: &str, verdict: Verdict, observed: Value, bound: &str, why: &str, next: &str) -> Finding {
    Finding {
        name: name.into(),
        kind: "absolute".into(),
        verdict,
        observed,
        bound: bound.into(),
        why: why.into(),
        next: next.into(),
        rows_missing: None,
        waived: None,
        slices: Vec::new(),
    }
}

fn waiver() -> Waiver {
    Waiver {
        id: 3,
        model: "flight-delay".into(),
        version: 43,
        subject: "blake3:1f9c".into(),
        gate: "size".into(),
        by: "lee".into(),
        reason: "the new encoder is larger".into(),
        at: ago(9_000),
        until: Timestamp(NOW.0 + 20 * 86_400_000_000),
        ended: None,
    }
}

/// v43 passes with a waiver; every other version fails on a slice and waits for rows and for people.
fn decision(model: &str, version: u32, stage: Stage) -> Decision {
    let gated = model == "flight-delay" && stage == Stage::Prod;
    let auc = finding("offline auc", Verdict::Pass, json!(0.941), ">= 0.935", "auc is 0.9410 on 26 000 rows", "");
    let size = finding("size", Verdict::Fail, json!(432_013_312), "<= 400 MiB", "432 013 312 bytes", "");
    let gates = match (gated, version) {
        (false, _) => Vec::new(),
        (true, 43) => vec![auc, Finding { waived: Some(waiver()), ..size }],
        (true, _) => {
            let slice = SliceFinding {
                slice: "carrier=HA".into(),
                n: 212,
                observed: Some(0.402),
                p: Some(0.0004),
                verdict: Verdict::Fail,
            };
            let floor = finding(
                "slice floor",
                Verdict::Fail,
                json!(0.402),
                ">= 0.75",
                "carrier=HA lies below the floor",
                "train on more rows of this slice",
            );
            let paired = finding(
                "not worse",
                Verdict::Inconclusive,
                json!(-0.001),
                ">= -0.01 at 95 %",
                "auc differs from prod by -0.0010 (from -0.0140 to +0.0120)",
                "add labelled rows to the suite's data and run it again",
            );
            let people = finding(
                "two people",
                Verdict::Inconclusive,
                json!(1),
                "2 approvals",
                "1 of 2 approvals",
                &format!("opsroom approve {model}@{version}:prod"),
            );
            vec![auc, Finding { slices: vec![slice], ..floor }, Finding { rows_missing: Some(3_200), ..paired }, people]
        }
    };
    Decision {
        id: i64::from(version),
        at: ago(600),
        model: model.into(),
        version,
        stage,
        verdict: Verdict::of_all(gates.iter().map(Finding::counts)),
        ungated: gates.is_empty(),
        gates,
        by: "kim".into(),
        digest: "blake3:77".into(),
        case: None,
    }
}

fn standing() -> Standing {
    let gate = |name: &str, rule| Gate { name: name.into(), model: "flight-delay".into(), stage: Stage::Prod, rule };
    let pending = Pending {
        id: "flight-delay@44:prod".into(),
        model: "flight-delay".into(),
        version: 44,
        stage: Stage::Prod,
        given: 1,
        needed: 2,
        asked_by: "kim".into(),
        since: ago(7_200),
    };
    Standing {
        gates: vec![
            gate("size", Rule::Size { bytes_max: 400 << 20 }),
            gate("two people", Rule::Approvals { approvals: 2 }),
        ],
        waivers: vec![waiver()],
        approvals: Vec::new(),
        decisions: vec![decision("flight-delay", 44, Stage::Prod), decision("flight-delay", 43, Stage::Prod)],
        pending: vec![pending],
        ..Standing::default()
    }
}

fn evidence(id: i64, version: u32, auc: f64) -> Evidence {
    let metrics = |auc: f64| BTreeMap::from([("accuracy".to_owned(), Some(0.871)), ("roc_auc".to_owned(), Some(auc))]);
    let slice =
        |value: &str, n, auc| SliceFigures { column: "carrier".into(), value: value.into(), n, metrics: metrics(auc) };
    Evidence {
        id,
        at: ago(3_600 * (50 - id)),
        model: "flight-delay".into(),
        version,
        suite: "late-spring".into(),
        question: "q".into(),
        subject: "blake3:1f9c8872ac".into(),
        data: "nycflights@3".into(),
        data_digest: "blake3:9f2c81aa".into(),
        rows: 26_000,
        truth: "t".into(),
        predicted: "p".into(),
        metrics: metrics(auc),
        slices: vec![slice("UA", 9_000, auc), slice("HA", 212, 0.402)],
        broken: if auc < 0.93 { vec!["roc_auc".into()] } else { Vec::new() },
        how: "python predict.py".into(),
        seconds: 12.5,
        by: "ci".into(),
        verified: true,
    }
}

fn measured() -> Measured {
    let suite: Suite = serde_json::from_value(json!({
        "name": "late-spring", "data": "nycflights@3", "label": "late", "task": "binary",
        "metrics": ["roc_auc", "accuracy"], "slices": ["carrier"], "command": ["python", "predict.py"],
        "limits": {"roc_auc": {"min": 0.93}},
    }))
    .unwrap();
    Measured {
        suites: vec![suite],
        results: vec![evidence(9, 44, 0.941), evidence(8, 43, 0.938), evidence(4, 42, 0.921)],
    }
}

/// What the agent of the fixture answers.
pub fn answer(want: &Want) -> Option<Page> {
    Some(match want {
        Want::Standing => Page::Standing(Box::new(standing())),
        Want::Gates { model, version, stage } => Page::Gates(Box::new(decision(model, *version, *stage))),
        Want::Measured => Page::Measured(Box::new(measured())),
        _ => return None,
    })
}

/// The newest version, which fails.
fn at_v44() -> Room {
    at_v44_in((120, 40))
}

fn at_v44_in(size: (u16, u16)) -> Room {
    let mut room = Room::with(size, UNICODE, |want| answer(want).unwrap_or_else(|| fixture(want)));
    room.keys("3 j tab");
    room.wait(1_000_000);
    assert_eq!(room.state.registry.version().map(|v| v.number), Some(44));
    room
}

#[test]
fn the_registry_shows_what_was_seen_against_what_is_asked() {
    let mut room = at_v44();
    let text = room.text();
    for words in [
        "✗  slice floor",
        "0.4020 >= 0.75",
        "carrier=HA 0.4020 n=212",
        "3 200 more labelled rows would decide",
        "1 of 2 approvals",
        "✗ fail",
        "✓ waived",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    room.keys("j");
    room.wait(1_000_000);
    assert!(room.text().contains("waived by lee"), "{}", room.text());
    // A model without gates is marked wherever it shows.
    room.keys("shift-tab k");
    room.wait(1_000_000);
    assert!(room.text().contains("! ungated"), "{}", room.text());
}

#[test]
fn a_refused_promotion_says_the_cause_and_the_way_out_and_cannot_be_confirmed() {
    let mut room = at_v44();
    room.keys("P right 1");
    room.wait(1_000_000);
    let text = room.text();
    for words in ["slice floor", "what helps: train on more rows of this slice"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    room.look_at_sheet();
    room.keys("y");
    room.wait(1_000_000);
    assert!(room.performed.is_empty(), "nothing was sent");
    assert!(room.state.toast.as_ref().is_some_and(|t| t.text.contains("3 of 4 gates do not pass")), "{}", room.text());
}

#[test]
fn the_refusal_and_the_way_around_it_at_both_sizes() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut room = at_v44_in((width, height));
        room.keys("P right");
        room.wait(1_000_000);
        snapshot(&format!("promote_refused_{width}x{height}"), &room.text());
        room.keys("W");
        room.wait(1_000_000);
        snapshot(&format!("waive_{width}x{height}"), &room.text());
    }
}

#[test]
fn a_gate_is_waived_by_its_name_typed_and_the_waiver_can_be_taken_back() {
    let mut room = at_v44();
    room.keys("W right 1");
    room.look_at_sheet();
    assert!(room.text().contains("carrier=HA is 0.4020 on 212 rows"), "{}", room.text());
    room.keys("y");
    room.wait(1_000_000);
    assert!(room.performed.is_empty(), "the word comes first");
    room.types("override slice floor");
    room.keys("enter");
    room.wait(1_000_000);
    room.look_at_sheet();
    room.keys("y");
    room.wait(1_000_000);
    let shown = room.text();
    let sent = room.performed.first().unwrap_or_else(|| panic!("{shown}"));
    let Change::Decide(commands) = &sent.change else { panic!("{sent:?}") };
    let [Command::Gates(gates::Command::WaiveGate { gate, until, version: 44, .. })] = commands.as_slice() else {
        panic!("{commands:?}")
    };
    assert_eq!(gate, "slice floor");
    let hours = (until.0 - NOW.0) / 3_600_000_000;
    assert!((167..=168).contains(&hours), "a week: {hours} h");
    assert_eq!(sent.reason, "accepted until the next training");
    // Nothing stands in v43's way.
    let mut room = at_v44();
    room.keys("j");
    room.wait(1_000_000);
    room.keys("W");
    assert!(room.state.sheet().is_none());
    assert!(room.text().contains("every gate passes"), "{}", room.text());
}

#[test]
fn a_word_is_given_with_its_reason_and_can_be_taken_back() {
    let mut room = at_v44();
    room.keys("Y 1");
    room.look_at_sheet();
    assert!(room.text().contains("1 of 2 approvals are given"), "{}", room.text());
    room.keys("y");
    room.wait(1_000_000);
    let shown = room.text();
    let sent = room.performed.first().unwrap_or_else(|| panic!("{shown}"));
    let word =
        Command::Gates(gates::Command::Approve { model: "flight-delay".into(), version: 44, stage: Stage::Prod });
    assert_eq!(sent.change, Change::Decide(vec![word]));
    assert_eq!(sent.reason, "reviewed the evaluation");
    let mut room = at_v44();
    room.keys("j Y");
    assert!(room.state.sheet().is_none(), "v43 waits for nobody");
}

#[test]
fn suites_show_every_version_with_its_slices() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("8 v");
    room.wait(1_000_000);
    let text = room.text();
    for words in ["late-spring", "✗ 1 broken", "carrier=HA", "n=212", "✓ >= 0.93"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    room.keys("enter j j");
    assert!(room.text().contains("flight-delay v42"), "{}", room.text());
    room.keys("enter enter enter");
    assert_eq!(*room.state.nav.here(), View::Registry);
}
