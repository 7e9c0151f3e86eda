//! Fleet, Incident and Live in the room: what is wrong, since when, which input, which slice, and the way back.

use std::collections::BTreeMap;

use opsroom::base::Timestamp;
use opsroom::base::stats::sketch::Sketch;
use opsroom::capability::Command;
use opsroom::capability::drift::{Bar, ColumnDrift, Course, Feature, VersionDrift};
use opsroom::capability::fleet::{Arm, Fleet, Live, Role, Row, Watched, Way, Worst};
use opsroom::capability::monitoring::counters::{Shed, Task};
use opsroom::capability::monitoring::incident::{
    Action, Alert, Bound, Change, Command as Incidents, Incident, Note, Raised, suspects,
};
use opsroom::capability::monitoring::quality::{Metric, Point, SliceQuality, VersionQuality, Window};
use opsroom::capability::registry::Stage;
use opsroom::capability::rollout::Command as Rollouts;
use opsroom::capability::wire::IncidentView;
use opsroom::tui::model::Change as Sent;
use opsroom::tui::msg::{Changed, Effect, Msg, Page, Want};
use opsroom::tui::state::View;
use opsroom::tui::theme::Theme;
use opsroom::tui::update::update;

use super::tui_fixture::{ASCII, NOW, Room, UNICODE, answer as fixture, text_of};
use super::tui_screens::snapshot;

const MINUTE: i64 = 60_000_000;

fn ago(minutes: i64) -> Timestamp {
    Timestamp(NOW.0 - minutes * MINUTE)
}

fn window(minutes: i64) -> Window {
    let to = Timestamp((NOW.0 / MINUTE + 1) * MINUTE);
    Window { from: Timestamp(to.0 - minutes * MINUTE), to }
}

fn metric(value: f64, n: u64) -> Metric {
    Metric { value, low: Some(value - 0.01), high: Some(value + 0.01), n }
}

fn change(
    minutes: i64,
    who: &str,
    what: &str,
    target: &str,
    (from, to): (&str, &str),
    reason: &str,
    audit: i64,
) -> Change {
    Change {
        at: ago(minutes),
        who: who.into(),
        what: what.into(),
        target: target.into(),
        from: from.into(),
        to: to.into(),
        reason: reason.into(),
        audit,
    }
}

fn changes() -> Vec<Change> {
    vec![
        change(
            6,
            "rules",
            "raise-alert",
            "service flight-delay auc",
            ("", "INC-142 SEV1 quality:auc 0.8390 < 0.86"),
            "",
            207,
        ),
        change(21, "kim", "set-weight", "service flight-delay", ("10 %", "25 %"), "gates are green", 206),
        change(34, "ci", "start-rollout", "service flight-delay", ("", "v43 at 10 %"), "beats v42 on June", 205),
        change(55, "rules", "clear-alert", "service churn late", ("requests 0 < 1", "INC-141 closed"), "", 204),
        change(300, "lee", "set-stage", "churn v31", ("staging", "prod"), "newer data", 203),
    ]
}

fn alert(rule: &str, what: &str, severity: u8) -> Alert {
    Alert {
        rule: rule.into(),
        severity,
        action: Action::Page,
        what: what.into(),
        value: Some(0.839),
        n: 126_584,
        from: ago(11),
        to: ago(6),
        query: "opsroom quality flight-delay --window 300s --to 2026-11-22T03:08:00Z".into(),
    }
}

fn incident(id: i64, service: &str, severity: u8, minutes: i64, acknowledged: bool) -> Incident {
    let what = if severity == 1 { "quality:auc 0.8390 < 0.86" } else { "drift of query_len 0.3100 > 0.25" };
    Incident {
        id,
        service: service.into(),
        severity,
        opened: ago(minutes),
        closed: None,
        reopened: 0,
        acknowledged: acknowledged.then(|| ("kim".to_owned(), ago(5))),
        owner: acknowledged.then(|| "kim".to_owned()),
        silenced: None,
        watchers: Vec::new(),
        alerts: vec![Raised { alert: alert("auc", what, severity), at: ago(minutes), cleared: None }],
        notes: Vec::new(),
    }
}

fn incidents() -> Vec<Incident> {
    vec![incident(142, "flight-delay", 1, 6, true), incident(140, "search-rank", 2, 41, false)]
}

fn worst(version: &str, column: &str, psi: f64, alarm: bool) -> Worst {
    Worst { version: version.into(), column: column.into(), psi, limit: Some(0.1), n: 31_646, alarm }
}

fn row(service: &str, version: &str, quality: Option<f64>, drift: Worst) -> Row {
    let arm = Arm {
        version: version.into(),
        role: Role::Stable,
        n: 94_938,
        quality: quality.map(|q| metric(q, 9_000)),
        drift: Some(drift.clone()),
        last: ago(0),
    };
    Row {
        service: service.into(),
        model: Some(service.into()),
        stage: Some(Stage::Prod),
        version: Some(format!("v{version}")),
        candidate: None,
        metric: "auc".into(),
        lower_is_better: false,
        bound: Some(Bound::Below(0.7)),
        raised: false,
        quality: quality.map(|q| metric(q, 9_000)),
        estimated: None,
        course: (0..15).map(|i| quality.map(|q| q + 0.01 * f64::from(i % 4))).collect(),
        n: 94_938,
        labelled: if quality.is_some() { 93_000 } else { 0 },
        label_delay: Some(240.0),
        arms: vec![arm],
        drift: Some(drift),
        requests: 94_938,
        errors: 19,
        p99_ms: Some(41.2),
        batch: None,
        last: Some(ago(0)),
        change: changes().into_iter().rev().find(|c| c.target.contains(service)),
    }
}

fn rows() -> Vec<Row> {
    let delay = Row {
        candidate: Some(Way { version: 43, share: 25.0, state: "running".into() }),
        bound: Some(Bound::Below(0.86)),
        course: (0..15).map(|i| Some(if i < 11 { 0.93 } else { 0.84 })).collect(),
        change: changes().into_iter().nth(1),
        ..row("flight-delay", "42", Some(0.839), worst("43", "card_country", 1.02, true))
    };
    let batch = Row {
        batch: Some(("2026-11-22".into(), ago(192))),
        last: Some(ago(192)),
        p99_ms: None,
        ..row("churn", "31", Some(0.881), worst("31", "age", 0.11, false))
    };
    let unlabelled =
        Row { bound: None, course: vec![None; 15], ..row("doc-embed", "3", None, worst("3", "length", 0.04, false)) };
    let silent = Row { last: Some(ago(9)), ..row("ads-ctr", "56", Some(0.701), worst("56", "slot", 0.09, false)) };
    let guessed = Row {
        estimated: Some(metric(0.744, 3_310)),
        ..row("search-rank", "118", None, worst("118", "query_len", 0.31, true))
    };
    vec![delay, guessed, batch, silent, unlabelled]
}

fn points(of: impl Fn(i64) -> Option<f64>, n: u64) -> Vec<Point> {
    let w = window(60);
    (0..60)
        .map(|i| {
            let value = of(i);
            let metrics = value.map(|v| BTreeMap::from([("auc".to_owned(), metric(v, n / 60))])).unwrap_or_default();
            Point {
                from: Timestamp(w.from.0 + i * MINUTE),
                to: Timestamp(w.from.0 + (i + 1) * MINUTE),
                n: if value.is_some() { n / 60 } else { 0 },
                errors: 0,
                labelled: if value.is_some() { n / 70 } else { 0 },
                metrics,
                estimated: BTreeMap::new(),
                latency_ms: Some((11.2, 28.4 + i as f64 * 0.1, 41.2)),
            }
        })
        .collect()
}

fn column(name: &str, psi: f64, alarm: bool, missing: f64) -> ColumnDrift {
    ColumnDrift {
        name: name.into(),
        reference: "flights@2".into(),
        n: 31_646,
        psi: Some(psi),
        limit: Some(0.1),
        p: Some(if alarm { 1e-12 } else { 0.4 }),
        missing,
        missing_reference: 0.001,
        new: 0.0,
        outside: if alarm { 0.02 } else { 0.0 },
        js: Some(psi / 3.0),
        ks: Some((psi / 4.0, psi / 3.0)),
        wasserstein: None,
        alarm,
    }
}

fn slice(name: &str, value: f64, n: u64, loss_share: f64, label_share: f64) -> SliceQuality {
    SliceQuality { slice: name.into(), n, labelled: n, metric: "accuracy".into(), value, loss_share, label_share }
}

fn watched(version: &str, role: Role, n: u64, q: f64, bad: bool) -> Watched {
    let country =
        if bad { column("card_country", 1.02, true, 0.183) } else { column("card_country", 0.02, false, 0.001) };
    let columns = vec![
        country,
        column("amount_log", 0.06, false, 0.001),
        column("device_age", 0.04, false, 0.001),
        column("merchant_cat", 0.03, false, 0.0),
    ];
    let course = |name: &str, of: &dyn Fn(usize) -> f64| Course {
        name: name.into(),
        psi: (0..60).map(|i| Some(of(i))).collect(),
        missing: (0..60).map(|i| Some(of(i) / 6.0)).collect(),
    };
    let courses = vec![
        course("card_country", &|i| if bad && i > 40 { (i - 40) as f64 / 18.0 } else { 0.0 }),
        course("amount_log", &|i| if i % 17 == 3 { 0.06 } else { 0.0 }),
        course("device_age", &|_| 0.0),
        course("merchant_cat", &|_| 0.0),
    ];
    let slices = if bad {
        vec![
            slice("country=BR", 0.402, 18_204, 0.83, 0.575),
            slice("country=MX", 0.611, 6_110, 0.165, 0.193),
            slice("channel=pos", 0.921, 2_877, 0.005, 0.09),
        ]
    } else {
        vec![slice("country=BR", 0.931, 54_612, 0.6, 0.575), slice("country=MX", 0.931, 18_330, 0.2, 0.193)]
    };
    let quality = VersionQuality {
        version: version.into(),
        model: Some("flight-delay".into()),
        task: Some(Task::Classes),
        counted: window(60),
        n,
        errors: n / 5000,
        labelled: n * 98 / 100,
        coverage: Some(0.98),
        evicted: 0,
        corrected: 0,
        label_delay: Some((240.0, 300.0)),
        latency_ms: Some((11.2, 28.4, 41.2)),
        latency: Sketch::default(),
        metrics: BTreeMap::from([
            ("auc".to_owned(), metric(q, n * 98 / 100)),
            ("accuracy".to_owned(), metric(q - 0.1, n * 98 / 100)),
        ]),
        estimated: BTreeMap::from([("accuracy".to_owned(), metric(0.82, n))]),
        trust: None,
        calibration: Vec::new(),
        input_tokens: 0,
        output_tokens: 0,
        batch: None,
        last: ago(0),
        warnings: Vec::new(),
        slices,
    };
    Watched {
        version: version.into(),
        role,
        quality,
        drift: VersionDrift {
            version: version.into(),
            model: Some("flight-delay".into()),
            reference: "flights@2".into(),
            counted: window(60),
            n,
            alarms: u64::from(bad),
            columns,
            score: Some(column("(score)", if bad { 0.21 } else { 0.01 }, bad, 0.0)),
            prediction: None,
            labels: None,
            not_sent: Vec::new(),
        },
        points: points(|i| if bad { (i > 25).then_some(if i > 52 { 0.563 } else { 0.92 }) } else { Some(0.931) }, n),
        courses,
    }
}

fn live(service: &str) -> Live {
    Live {
        service: service.into(),
        model: Some(service.into()),
        window: window(60),
        at: NOW,
        step: 60,
        metric: "auc".into(),
        lower_is_better: false,
        bound: Some(Bound::Below(0.86)),
        raised: false,
        candidate: Some(Way { version: 43, share: 25.0, state: "running".into() }),
        versions: vec![
            watched("42", Role::Stable, 94_938, 0.931, false),
            watched("43", Role::Candidate, 31_646, 0.563, true),
        ],
        changes: changes().into_iter().filter(|c| c.concerns(service, Some(service))).collect(),
        last: Some(NOW),
        batch: None,
    }
}

fn feature(version: &str, name: &str) -> Feature {
    let bar = |label: &str, reference: f64, now: f64| Bar { label: label.into(), reference, now };
    Feature {
        service: "flight-delay".into(),
        version: version.into(),
        name: name.into(),
        reference: "flights@2".into(),
        window: window(60),
        n_reference: 50_009,
        n: 31_646,
        mean_reference: None,
        mean: None,
        bars: vec![
            bar("BR", 0.57, 0.39),
            bar("MX", 0.19, 0.18),
            bar("DE", 0.15, 0.16),
            bar("US", 0.089, 0.087),
            bar("(missing)", 0.001, 0.183),
        ],
    }
}

pub fn answer(want: &Want) -> Option<Page> {
    Some(match want {
        Want::Fleet { .. } => Page::Fleet(Box::new(Fleet {
            window: window(60),
            at: NOW,
            services: rows(),
            incidents: incidents(),
            changes: changes(),
            shed: Shed::default(),
        })),
        Want::Incidents => Page::Incidents(incidents()),
        Want::Incident(id) => {
            let note = |minutes: i64, text: &str| Note { at: ago(minutes), by: "kim".into(), text: text.into() };
            let notes = vec![note(5, "acknowledged"), note(3, "BR nulls in card_country only on the v43 path")];
            let incident = Incident { notes, ..incident(*id, "flight-delay", 1, 6, true) };
            let suspects = suspects(changes(), "flight-delay", Some("flight-delay"), ago(6));
            let reason = "INC-142 quality:auc 0.8390 < 0.86; after set-weight service flight-delay".to_owned();
            Page::Incident(Box::new(IncidentView { incident, suspects, reason }))
        }
        Want::Live(of) => Page::Live(Box::new(live(&of.service))),
        Want::Feature { version, column, .. } => Page::Feature(Box::new(feature(version, column))),
        other => return super::tui_rollouts::answer(other),
    })
}

fn empty_fleet() -> Fleet {
    let (services, incidents, changes) = (Vec::new(), Vec::new(), Vec::new());
    Fleet { window: window(60), at: NOW, services, incidents, changes, shed: Shed::default() }
}

/// An agent that serves nothing yet.
pub fn nothing(want: &Want) -> Option<Page> {
    let fleet = empty_fleet();
    Some(match want {
        Want::Fleet { .. } => Page::Fleet(Box::new(fleet)),
        Want::Incidents => Page::Incidents(Vec::new()),
        other => return answer(other),
    })
}

fn of_services(want: &Want) -> Page {
    answer(want).unwrap_or_else(|| fixture(want))
}

fn room(size: (u16, u16), keys: &str) -> Room {
    let mut room = Room::with(size, UNICODE, of_services);
    room.keys(keys);
    room.wait(1_000_000);
    room
}

#[test]
fn every_layout() {
    let screens = [
        ("fleet", "1"),
        ("incident", "1 i"),
        ("incident_input", "1 i tab tab v"),
        ("live", "1 tab 4"),
        ("live_feature", "4 tab tab tab v v"),
        ("explain", "4 enter"),
        ("explain_drift", "4 tab tab j enter"),
    ];
    for (name, keys) in screens {
        for (width, height) in [(120, 40), (100, 30), (80, 24)] {
            snapshot(&format!("{name}_{width}x{height}"), &room((width, height), keys).text());
        }
        let mut ascii = Room::with((80, 24), ASCII, of_services);
        ascii.keys(keys);
        ascii.wait(1_000_000);
        let text = text_of(&ascii.draw_in(&Theme::mono()));
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
    }
    let mut none = Room::open((120, 40), UNICODE);
    none.keys("1");
    none.wait(1_000_000);
    assert!(none.text().contains("/api/v1/predictions"), "{}", none.text());
    snapshot("fleet_empty", &none.text());
}

/// What could not be taken is missing in every figure: it stands over them.
#[test]
fn what_was_shed_is_said_over_the_services() {
    fn flooded(want: &Want) -> Page {
        let mut page = of_services(want);
        if let Page::Fleet(fleet) = &mut page {
            fleet.shed = Shed { events: 12_400, bodies: 3, last: Some(ago(2)) };
        }
        page
    }
    for (size, text) in
        [((120, 40), "12 400 events and 3 requests not taken, last 2m ago"), ((80, 24), "12 400 events and 3 requests")]
    {
        let mut room = Room::with(size, UNICODE, flooded);
        room.keys("1");
        room.wait(1_000_000);
        assert!(room.text().contains(text), "{}", room.text());
        room.answer = Some(of_services);
        room.keys("r");
        room.wait(2_000_000);
        assert!(!room.text().contains("not taken"), "{}", room.text());
    }
}

#[test]
fn a_room_opens_at_fleet_while_something_is_wrong_or_a_service_exists() {
    let room = Room::with((120, 40), UNICODE, of_services);
    assert_eq!(*room.state.nav.here(), View::Fleet);
    assert_eq!(room.state.fleet.pane, opsroom::tui::screen::fleet::INCIDENTS);
    assert_eq!(*Room::open((120, 40), UNICODE).state.nav.here(), View::Runs);
    // Whoever pressed a key already is left where they are.
    let mut busy = Room::with((120, 40), UNICODE, of_services);
    busy.keys("2");
    busy.wait(6_000_000);
    assert_eq!(*busy.state.nav.here(), View::Runs);
}

#[test]
fn a_lost_agent_leaves_nothing_green_and_nothing_blank() {
    for (name, keys) in [("fleet_stale", "1"), ("incident_stale", "1 i"), ("live_stale", "4")] {
        let mut room = room((120, 40), keys);
        room.answer = None;
        room.keys("r");
        room.wait(252_000_000);
        let text = room.text();
        assert!(text.contains("NO AGENT") && text.contains('~'), "{name}\n{text}");
        snapshot(name, &text);
        let green =
            Theme::shipped("dark", opsroom::tui::theme::Depth::True).unwrap().style(opsroom::tui::theme::Token::Ok).fg;
        let buffer = room.draw();
        let at = buffer.content.iter().enumerate().skip(120).find(|(_, c)| Some(c.fg) == green && c.symbol() != " ");
        assert!(at.is_none(), "{name}: {at:?} is green");
    }
}

fn sent(room: &Room) -> Vec<Command> {
    let of = |e: &opsroom::tui::model::Envelope| match &e.change {
        Sent::Decide(commands) => commands.clone(),
        other => panic!("{other:?}"),
    };
    room.performed.iter().flat_map(of).collect()
}

#[test]
fn the_way_back_is_two_keys_with_the_reason_drafted() {
    let mut room = room((120, 40), "1 i");
    room.keys("R");
    room.look_at_sheet();
    assert!(room.text().contains("INC-142 quality:auc"), "{}", room.text());
    room.keys("y");
    room.wait(1_000_000);
    let back = Rollouts::Rollback { service: "flight-delay".into(), to: None };
    assert_eq!(sent(&room), [Command::Rollouts(back)]);
    assert!(room.performed[0].reason.starts_with("INC-142"));
}

#[test]
fn an_incident_is_taken_given_silenced_and_noted() {
    let mut room = room((120, 40), "1 i A");
    room.keys("m");
    room.keys("enter n");
    room.types("looked at BR");
    room.keys("enter O");
    room.types("lee");
    room.keys("enter w");
    let commands = sent(&room);
    let [
        Command::Incidents(a),
        Command::Incidents(b),
        Command::Incidents(c),
        Command::Incidents(d),
        Command::Incidents(Incidents::WatchIncident { id: 142 }),
    ] = commands.as_slice()
    else {
        panic!("{commands:?}")
    };
    assert_eq!(*a, Incidents::AckIncident { id: 142 });
    assert!(matches!(b, Incidents::SilenceIncident { id: 142, until } if *until > NOW));
    assert_eq!(*c, Incidents::NoteIncident { id: 142, text: "looked at BR".into() });
    assert_eq!(*d, Incidents::AssignIncident { id: 142, to: "lee".into() });
}

#[test]
fn a_new_incident_is_told_aloud_once_and_only_behind_other_windows() {
    fn one(want: &Want) -> Page {
        if *want == Want::Incidents {
            Page::Incidents(vec![incident(140, "search-rank", 2, 41, false)])
        } else {
            of_services(want)
        }
    }
    let mut room = Room::with((120, 40), UNICODE, one);
    room.keys("2");
    room.give(Msg::Focus(false));
    room.wait(1_000_000);
    let hear = |room: &mut Room| {
        let mut told = Vec::new();
        let mut waiting = vec![Msg::Hint(Changed::Incidents), Msg::Tick];
        room.now = Timestamp(room.now.0 + 1_000_000);
        while let Some(msg) = waiting.pop() {
            for effect in update(&mut room.state, room.now, msg) {
                match effect {
                    Effect::Load(id, want) => waiting.insert(0, Msg::Loaded(id, Box::new(Ok(of_services(&want))))),
                    Effect::Notify(text) => told.push(text),
                    _ => {}
                }
            }
        }
        told
    };
    assert_eq!(hear(&mut room), ["SEV1 flight-delay: quality:auc 0.8390 < 0.86"]);
    assert!(room.text().contains("SEV1 flight-delay"), "{}", room.text());
    assert_eq!(hear(&mut room), Vec::<String>::new());
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut room = room((120, 40), "1 tab j j j j");
    room.keys("A");
    assert!(room.text().contains("no incident here"), "{}", room.text());
    room.keys("4 m");
    assert!(room.text().contains("METRIC"), "{}", room.text());
}
