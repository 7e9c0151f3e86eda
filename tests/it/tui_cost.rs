//! Cost and Readiness in the room: who costs what, budgets, what to do; what is in place and what pays next.

use opsroom::base::Timestamp;
use opsroom::base::id::RunId;
use opsroom::base::money::Micro;
use opsroom::capability::cost::{
    Advice, Asked, By, CostReport, Day, Forecast, HostView, Parts, PerCorrect, Prices, Row, RunCost, Stalled, Standing,
};
use opsroom::capability::hosts::{Figures, Gpu, Host, Minute};
use opsroom::capability::monitoring::quality::Window;
use opsroom::local::doctor::{Capability, Check, Finding, Report, State};
use opsroom::tui::model::Change;
use opsroom::tui::msg::{Page, Want};

use super::tui_fixture::{ASCII, NOW, Room, UNICODE};
use super::tui_screens::snapshot;

const DAY: i64 = 86_400_000_000;

fn usd(units: f64) -> Micro {
    Micro((units * 1e6).round() as i64)
}

fn serve(what: &str, busy: f64, idle: f64, served: u64) -> Row {
    let total = usd(busy) + usd(idle);
    let each = total.units() / served as f64;
    Row {
        what: what.into(),
        kind: "serve".into(),
        service: Some(what.split(' ').next().unwrap().into()),
        total: Some(total),
        parts: Parts { busy: usd(busy), idle: usd(idle), ..Parts::default() },
        served,
        per_prediction: Some(each),
        per_1k: Some(each * 1000.0),
        marginal_per_prediction: Some(busy / served as f64),
        idle_per_prediction: Some(idle / served as f64),
        ..Row::default()
    }
}

fn rows(by: By) -> Vec<Row> {
    if by == By::Run {
        let run = |name: &str, id: u128, cpu: f64, gpu: Option<f64>, idle: Option<f64>| Row {
            what: name.into(),
            kind: "train".into(),
            run: Some(RunId(id)),
            owner: Some("kim".into()),
            hours: Some(4.25),
            total: Some(usd(cpu + gpu.unwrap_or(0.0))),
            detail: Some(RunCost {
                cpu: Some(usd(cpu)),
                gpu: gpu.map(usd),
                gpu_idle: idle.map(usd),
                ..RunCost::default()
            }),
            ..Row::default()
        };
        let mut dark = run("imported", 3, 0.0, None, None);
        (dark.total, dark.detail) = (None, Some(RunCost::default()));
        return vec![run("bert-geo", 1, 1.92, Some(38.5), Some(9.14)), run("sweep-17", 2, 0.61, None, None), dark];
    }
    let flight = Row {
        candidate: usd(11.4),
        shadow: usd(1.2),
        per_correct: Some(PerCorrect {
            value: 0.000_052,
            low: Some(0.000_050),
            high: Some(0.000_055),
            labelled: 91_204,
        }),
        accuracy: Some(0.84),
        ..serve("flight-delay", 402.1, 210.3, 14_020_118)
    };
    let summary = Row {
        total: Some(usd(31.0)),
        parts: Parts { tokens: usd(31.0), ..Parts::default() },
        unknown: vec!["nothing says what v3 runs on: write a [[serving]]".into()],
        ..serve("summary", 0.0, 0.0, 41_222)
    };
    let mut all = vec![
        flight,
        serve("churn", 12.0, 106.0, 2_240_113),
        Row { per_prediction: None, per_1k: None, marginal_per_prediction: None, idle_per_prediction: None, ..summary },
    ];
    if by == By::Version {
        for row in &mut all {
            row.model.clone_from(&row.service);
            row.version = Some("42".into());
        }
    }
    all
}

fn host(name: &str, gpu: f64, run: &str, stalled: Vec<Stalled>) -> HostView {
    let gpu = Gpu { name: "H100".into(), percent: gpu, ..Gpu::default() };
    let figures = Figures { cpu_percent: 12.0, cpus: 32, gpus: vec![gpu], ..Figures::default() };
    let host = Host {
        name: name.into(),
        edge: true,
        version: "0.1.0".into(),
        seen: NOW,
        away: false,
        dropped: 0,
        newest: Some(Minute { at: NOW, looks: 6, figures }),
    };
    let runs = [run].into_iter().filter(|r| !r.is_empty()).map(ToOwned::to_owned).collect();
    HostView { host, runs, stalled }
}

fn report(asked: &Asked) -> CostReport {
    let midnight = NOW.0.div_euclid(DAY) * DAY;
    let day = |i: i64| {
        let wave = ((i * 7919) % 13) as f64;
        let serving = usd((18.0 + wave) * if i == 29 { 0.14 } else { 1.0 });
        // Today has only begun.
        let part = if i == 29 { 0.14 } else { 1.0 };
        let services =
            [("flight-delay", (14.0 + wave) * part), ("churn", 4.0 * part)].map(|(n, v)| (n.to_owned(), usd(v)));
        let training = usd(if i % 4 == 0 { 12.0 } else { 1.5 });
        Day {
            day: Timestamp(midnight - (29 - i) * DAY),
            serving,
            training,
            storage: usd(2.0),
            services: services.into(),
        }
    };
    let budget = |name: &str, of: &str, share: f64, within: bool| Standing {
        name: name.into(),
        of: of.into(),
        month: usd(1000.0),
        spent: usd(1000.0 * share),
        today: usd(21.0),
        share,
        burn_hour: Some(usd(0.91)),
        forecast: Some(Forecast { value: usd(if within { 912.0 } else { 1240.0 }), half: Some(usd(38.0)), days: 7 }),
        within: Some(within),
        days_left: (!within).then_some(4.2),
    };
    let stalled = Stalled {
        run: RunId(1),
        name: "bert-geo".into(),
        why: "no step for 19m, GPU 0%".into(),
        hour: Some(usd(9.14)),
    };
    let away = |view: HostView| HostView { host: Host { away: true, ..view.host }, ..view };
    CostReport {
        currency: "USD".into(),
        window: Window { from: Timestamp(midnight - 20 * DAY), to: NOW },
        by: asked.by,
        prices: vec![Prices { since: Timestamp(midnight - 40 * DAY), defaults: false }],
        total: usd(823.4),
        complete: false,
        unknown: vec!["summary: nothing says what v3 runs on: write a [[serving]]".into()],
        parts: Parts { busy: usd(414.1), idle: usd(316.3), tokens: usd(31.0), training: usd(62.0), ..Parts::default() },
        rows: rows(asked.by),
        rows_left_off: 0,
        budgets: vec![budget("everything", "*", 0.69, true), budget("training", "training", 0.93, false)],
        days: (0..30).map(day).collect(),
        hosts: vec![
            host("gpu-13", 0.0, "bert-geo", vec![stalled]),
            host("gpu-11", 94.0, "xgb-geo", Vec::new()),
            away(host("old-2", 0.0, "", Vec::new())),
        ],
        advice: vec![
            Advice {
                what: "stop bert-geo".into(),
                why: "no step for 19m".into(),
                saves_day: Some(usd(219.0)),
                run: Some(RunId(1)),
                service: None,
                next: "opsroom runs stop 1".into(),
            },
            Advice {
                what: "churn: 2 of 3 replicas less".into(),
                why: "3 replicas, busy 9 % of 7 days".into(),
                saves_day: Some(usd(2.8)),
                run: None,
                service: Some("churn".into()),
                next: "change its replicas, then its [[serving]], and `opsroom apply` it".into(),
            },
        ],
    }
}

fn readiness() -> Report {
    let capability = |name: &'static str, state, evidence: &str, next: &str, step| Capability {
        name: name.into(),
        state,
        evidence: evidence.into(),
        next: next.into(),
        step,
    };
    let check = |name: &'static str, state, found: &str, next: &str| Check {
        name: name.into(),
        state,
        found: found.into(),
        next: next.into(),
    };
    Report {
        capabilities: vec![
            capability("experiment tracking", State::Good, "412 runs", "", 1),
            capability("model registry", State::Good, "2 models, 44 versions, 2 in prod", "", 1),
            capability("eval harness", State::Good, "2 suites, 2 of 2 prod versions have results", "", 2),
            capability("pre-deploy gates", State::Partly, "3 gates, 61 kept, 1 of 2 prod versions gated", "write a gate for every model in prod (`opsroom init`), and `opsroom apply` it", 2),
            capability("canary deployment", State::Good, "2 services, 2 routed, 1 on their way, 9 ended", "", 3),
            capability("production monitoring", State::Partly, "3 versions of 2 services told of, 2 with labels in a week, 0 alert rules", "write an [[alert]] for what must not happen, and `opsroom apply` it", 3),
            capability("rollback path", State::Good, "2 of 2 prod versions have one to go back to", "", 4),
            capability("audit trail", State::Good, "90413 records, the chain holds", "", 4),
            capability("drift detection", State::Missing, "0 of 0 versions held against training data, 0 alarms now", "predictions with their features come first: `opsroom predictions add FILE`", 5),
            capability("data versioning", State::Good, "12 versions of 2 datasets, 9 read by runs, 12 profiled; 0 named by scripts only", "", 5),
            capability("cost", State::Missing, "default prices, 0 of 2 services placed, 0 budgets", "write your prices into a file like config/rates.toml, and `opsroom apply` it", 6),
            capability("reproducible training", State::Good, "31 of 412 runs captured, 4 repeated", "", 6),
        ],
        findings: vec![Finding {
            what: "git keeps 212 MiB of model files, in every clone".into(),
            places: vec!["models/delay.pkl (180 MiB, 9 contents)".into(), "old/churn.joblib (32.0 MiB, in the history only)".into()],
            more: 3,
            next: "log them as models (`mlflow.sklearn.log_model`), register the version, and add their ending to .gitignore".into(),
        }],
        checks: vec![check("clock", State::Good, "0.1 s from the agent's", ""), check("open files", State::Partly, "256 at once", "`ulimit -n 1024` before the agent starts, or fewer clients can connect")],
    }
}

pub fn answer(want: &Want) -> Option<Page> {
    Some(match want {
        Want::Cost(asked) => Page::Cost(Box::new(report(asked))),
        Want::Readiness => Page::Readiness(Box::new(readiness())),
        _ => return None,
    })
}

fn room(size: (u16, u16), keys: &str) -> Room {
    let mut room = Room::open(size, UNICODE);
    room.keys(keys);
    room.wait(1_000_000);
    room
}

#[test]
fn every_layout() {
    for (width, height) in [(120, 40), (100, 30), (80, 24), (64, 18)] {
        snapshot(&format!("cost_{width}x{height}"), &room((width, height), "6").text());
        snapshot(&format!("readiness_{width}x{height}"), &room((width, height), "9 j j j").text());
    }
    snapshot("cost_runs_120x40", &room((120, 40), "6 b b b").text());
    for keys in ["6", "9"] {
        let mut ascii = Room::open((80, 24), ASCII);
        ascii.keys(keys);
        ascii.wait(1_000_000);
        assert!(ascii.text().is_ascii(), "{}", ascii.text());
        snapshot(&format!("{}_ascii", if keys == "6" { "cost" } else { "readiness" }), &ascii.text());
    }
}

#[test]
fn what_is_unknown_is_marked_and_a_run_can_be_stopped_from_the_advice() {
    let mut room = room((120, 40), "6");
    let text = room.text();
    assert!(text.contains("$823.40 +?") && text.contains("$31.00 +?"), "{text}");
    assert!(text.contains("training"), "training is a row among services: {text}");
    room.keys("X");
    assert!(room.state.sheet().is_none() && room.text().contains("no run here; b shows"), "{}", room.text());
    room.keys("tab X");
    room.look_at_sheet();
    room.keys("2");
    room.look_at_sheet();
    room.keys("y");
    room.wait(1_000_000);
    let Some(envelope) = room.performed.first() else { panic!("nothing was sent\n{}", room.text()) };
    let Change::Stop { runs } = &envelope.change else { panic!("{envelope:?}") };
    assert_eq!(*runs, [RunId(1).to_string()]);
}

#[test]
fn what_a_thousand_predictions_cost_stands_beside_what_else_is_said_of_a_version() {
    let answer = |want: &Want| super::tui_fleet::answer(want).unwrap_or_else(|| super::tui_fixture::answer(want));
    let mut room = Room::with((120, 40), UNICODE, answer);
    room.keys("1");
    room.wait(2_000_000);
    let text = room.text();
    let line = text.lines().find(|l| l.contains("flight-delay") && l.contains("v42")).unwrap_or_default();
    assert!(text.contains("PER 1K") && line.contains("$0.0437"), "{text}");
    room.keys("3");
    room.wait(2_000_000);
    room.keys("j l l");
    room.wait(1_000_000);
    assert!(room.text().contains("$0.0437 a thousand, $0.0520 a thousand correct"), "{}", room.text());
}
