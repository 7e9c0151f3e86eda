//! The data in the room: versions, profiles, what changed between two, and who read them.

use opsroom::base::Timestamp;
use opsroom::base::id::RunId;
use opsroom::capability::datasets::profile::{CategoryTally, Column, Kind, NumberTally, Profile, TableProfile};
use opsroom::capability::datasets::{
    DatasetVersion, Diff, Digest, FileEntry, LoggedDataset, Manifest, PinnedRun, TableSummary, VersionDoc, VersionView,
    diff,
};
use opsroom::tui::export::{Form, What};
use opsroom::tui::model::data::{DataKind, DataRow, ModelUse, VersionId};
use opsroom::tui::model::{Origin, Stage};
use opsroom::tui::msg::{Changed, Effect, Msg, Page, Want};
use opsroom::tui::state::View;
use opsroom::tui::update::update;

use super::tui_fixture::{NOW, Room, UNICODE, run};
use crate::support::Agent;

fn pinned(i: usize) -> PinnedRun {
    let run = run(i);
    PinnedRun { run: run.id.parse::<RunId>().unwrap(), name: run.name, context: "training".into() }
}

fn doc(version: u32) -> DatasetVersion {
    let rows = 28_504 + u64::from(version) * 1_000;
    DatasetVersion {
        dataset: "nycflights".into(),
        version,
        created: Timestamp(NOW.0 - i64::from(4 - version) * 86_400_000_000 * 5),
        doc: VersionDoc {
            digest: format!("blake3:9f2c81aa{version:02x}77d04e51b6c0d2c3a4f1e09b8d7c6f5a4e3b2c1d0e9f8a7b6c"),
            files: u64::from(version),
            bytes: 2_411_724 * u64::from(version),
            bytes_stored: 611_724,
            source: "/data/flights".into(),
            host: "gpu-3".into(),
            user: "kim".into(),
            tables: vec![TableSummary { path: "01.csv".into(), files: u64::from(version), rows, columns: 4 }],
            ..VersionDoc::default()
        },
    }
}

pub fn rows() -> Vec<DataRow> {
    let used = |version, stage| ModelUse { model: "flight-delay".into(), version, stage };
    let kept = |version: u32, runs: usize, models: Vec<ModelUse>| DataRow {
        dataset: "nycflights".into(),
        what: DataKind::Kept(Box::new(VersionView { version: doc(version), runs: (0..runs).map(pinned).collect() })),
        models,
    };
    let logged = LoggedDataset {
        name: "airports".into(),
        digest: "77aa01bc".into(),
        source_type: "http".into(),
        source: "https://example.org/airports.csv".into(),
        runs: vec![pinned(5)],
    };
    vec![
        DataRow { dataset: "airports".into(), what: DataKind::Logged(logged), models: Vec::new() },
        kept(3, 0, Vec::new()),
        kept(2, 6, vec![used(43, Stage::Staging), used(42, Stage::Prod)]),
        kept(1, 2, Vec::new()),
    ]
}

/// Delays that grow late and carriers of which one is new, in the bins of the first version.
fn table(version: u32) -> TableProfile {
    let numbers = |version: u32, scale: f64, missing: bool| {
        let mut tally = NumberTally::default();
        for i in 0..2_000_u32 {
            let p = (f64::from(i) + 0.5) / 2_000.0;
            if missing && i % 40 == 0 {
                tally.add(f64::NAN);
            } else {
                tally.add(-15.0 + scale * -(1.0 - p).ln() * 20.0 + f64::from(version) * (scale - 1.0) * 10.0);
            }
        }
        tally
    };
    let carriers = |version: u32| {
        let mut tally = CategoryTally::default();
        for (name, n) in [("UA", 800), ("B6", 700), ("EV", 400), ("HA", 100 * u64::from(version))] {
            tally.add(name.as_bytes(), n);
        }
        if version > 1 {
            tally.add(b"OO", 31);
        }
        tally
    };
    let number = |name: &str, kind, scale: f64, missing| {
        let (first, _) = numbers(1, 1.0, missing).finish(None);
        let (reference, counts) = numbers(version, scale, missing).finish((version > 1).then_some(&first));
        let (counts, baseline) = counts.unwrap();
        Column::new(name, kind, reference, counts, baseline)
    };
    let (first, ..) = carriers(1).finish(None);
    let (reference, counts, baseline) = carriers(version).finish((version > 1).then_some(&first));
    let mut columns = vec![
        number("dep_delay", Kind::Number, if version > 2 { 1.8 } else { 1.0 }, true),
        number("distance", Kind::Integer, 1.0, false),
        Column::new("carrier", Kind::Text, reference, counts, baseline),
    ];
    if version > 2 {
        columns.push(number("wind_gust", Kind::Number, 1.0, true));
    }
    let files = (1..=version).map(|i| format!("{i:02}.csv")).collect();
    TableProfile { files, rows: 28_504 + u64::from(version) * 1_000, columns, baseline: (version > 1).then_some(1) }
}

pub fn profile(version: u32) -> Profile {
    Profile::new(vec![table(version)])
}

fn manifest(version: u32) -> Manifest {
    let file = |i: u32| FileEntry {
        path: format!("{i:02}.csv"),
        size: 2_411_724,
        digest: Digest::of(format!("{i} {}", if i == 1 { version } else { 0 }).as_bytes()),
        executable: false,
        chunks: Vec::new(),
    };
    Manifest { packs: Vec::new(), files: (1..=version).map(file).collect() }
}

pub fn changed(from: &VersionId, to: &VersionId) -> Diff {
    let (x, y) = (profile(from.version), profile(to.version));
    diff((&doc(from.version), &manifest(from.version), Some(&x)), (&doc(to.version), &manifest(to.version), Some(&y)))
}

fn at_data() -> Room {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("8 j");
    room.wait(1_000_000);
    assert_eq!(*room.state.nav.here(), View::Data);
    room
}

fn line(room: &mut Room, words: &str) -> String {
    let text = room.text();
    let found = text.lines().find(|l| l.contains(words)).map(str::to_owned);
    found.unwrap_or_else(|| panic!("no line with {words}:\n{text}"))
}

#[test]
fn a_version_shows_its_profile_and_who_read_it() {
    let mut room = at_data();
    assert!(line(&mut room, "wind_gust").contains("2.5 %"), "{}", room.text());
    assert!(line(&mut room, "carrier").contains("UA "), "{}", room.text());
    room.keys("j");
    room.wait(1_000_000);
    assert!(!room.text().contains("wind_gust"), "the second version has no such column");
    assert!(room.text().contains("6 runs · 2 models"), "{}", room.text());
    // The first reader is a model: Enter leads to it in the registry.
    room.keys("tab tab tab enter");
    assert_eq!(*room.state.nav.here(), View::Registry);
    assert_eq!(room.state.registry.version().map(|v| v.number), Some(43));
    room.keys("8 j j enter");
    assert!(matches!(room.state.nav.here(), View::Run(id) if *id == run(0).id));
}

#[test]
fn the_greatest_change_of_distribution_comes_first_and_chance_is_named() {
    let mut room = at_data();
    room.keys("d");
    room.wait(1_000_000);
    let text = room.text();
    let at = |words: &str| text.lines().position(|l| l.contains(words)).unwrap_or_else(|| panic!("{words}\n{text}"));
    assert!(text.contains("v2 → v3") && text.contains("+ wind_gust"), "{text}");
    assert!(at("!! shifted") < at("carrier") && at("carrier") < at("distance"), "{text}");
    assert!(line(&mut room, "dep_delay").contains("!! shifted"));
    assert!(line(&mut room, "~ 01.csv").contains("2.30 MiB"), "{text}");
    assert!(line(&mut room, "1 added, 1 changed").contains("1 the same"));
    // Esc leads back to the profile, and not out of the place.
    room.keys("esc");
    assert!(room.state.data.between.is_none() && *room.state.nav.here() == View::Data);
    // Marked versions are compared, the older one first.
    room.keys("shift-tab space j j space d");
    let between = room.state.data.between.clone().map(|(a, b)| (a.version, b.version));
    assert_eq!(between, Some((1, 3)));
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut room = at_data();
    room.keys("G d");
    assert!(room.state.toast.as_ref().is_some_and(|t| t.text.contains("is the first version")), "{}", room.text());
    room.keys("gg d");
    assert!(room.state.data.between.is_none());
    assert!(room.text().contains("opsroom data add PATH"), "{}", room.text());
}

#[test]
fn a_profile_is_loaded_once_the_cursor_rests_and_once_for_a_version() {
    let mut room = at_data();
    let wants =
        |effects: Vec<Effect>| effects.into_iter().filter(|e| matches!(e, Effect::Load(_, Want::Profile(_)))).count();
    let key = Msg::Key(opsroom::tui::key::Key::parse_sequence("j").unwrap()[0]);
    assert_eq!(wants(update(&mut room.state, room.now, key)), 0, "the cursor is on its way");
    room.wait(1_000_000);
    assert_eq!(room.state.data.profile_of.as_ref().map(|v| v.version), Some(2));
    let later = Timestamp(room.now.0 + 5_000_000);
    assert_eq!(wants(update(&mut room.state, later, Msg::Hint(Changed::Data))), 0, "a version never changes");
}

#[test]
fn every_pane_can_be_written_to_a_file() {
    let mut room = at_data();
    let rows = |room: &Room| match opsroom::tui::export::job(&room.state, Form::Csv).map(|j| j.what) {
        Some(What::Grid(grid)) => grid.rows.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(rows(&room), 4);
    room.keys("tab");
    assert_eq!(rows(&room), 4, "the columns of the profile");
    room.keys("d");
    room.wait(1_000_000);
    assert_eq!(rows(&room), 4, "the columns that changed");
}

/// What the first run was captured with; its repetition came out otherwise.
pub fn origin() -> Page {
    let capture = serde_json::from_value(serde_json::json!({
        "capture": 1,
        "program": {"command": ["python", "train.py"], "path": "/usr/bin/python", "folder": "/home/kim/flights"},
        "source": {"root": "/home/kim/flights", "commit": "a81f0e2b55aa77cc", "branch": "main", "patch": "77aa"},
        "environment": {"PYTHONHASHSEED": "0"},
        "datasets": [
            {"dataset": "nycflights", "version": 2, "digest": "blake3:9f", "path": "data/01.csv", "one_file": true},
        ],
        "hardware": {"host": "gpu-3", "system": "Linux", "cpu": "EPYC", "cores": 16, "memory_bytes": 68_719_476_736_u64},
        "ended": {"status": 0, "seconds": 75},
    }));
    let comparison = serde_json::from_value(serde_json::json!({
        "run": "a", "rerun": "b", "verdict": "differs", "normalised": [],
        "first_difference": {"kind": "metric", "key": "loss", "step": 3, "then": 0.5, "now": 0.25},
        "causes": [{"what": "OMP_NUM_THREADS", "why": "threads add up in another order"}],
        "compared": [4, 2],
    }));
    Page::Origin(Box::new(Origin { capture: Some(capture.unwrap()), comparison: Some(comparison.unwrap()) }))
}

#[test]
fn a_captured_run_shows_code_data_environment_and_grade() {
    let mut room = Room::with((120, 40), UNICODE, |want| match super::tui_fixture::answer(want) {
        Page::Run(mut run) => {
            run.tags.insert("opsroom.captured".into(), "1".into());
            run.tags.insert("opsroom.grade".into(), "differs".into());
            Page::Run(run)
        }
        other => other,
    });
    room.keys("enter shift-tab");
    room.wait(1_000_000);
    let text = room.text();
    for words in [
        "CAPTURE",
        "✗ differs",
        "metric loss at step 3",
        "OMP_NUM_THREADS",
        "a81f0e2b55aa main  with",
        "nycflights@2",
        "status 0",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_agent_answers_what_the_place_asks() {
    let agent = Agent::start();
    let file = agent.home().path().join("flights.csv");
    let table = |shift: u32| -> String {
        let rows: String =
            (0..800_u32).map(|i| format!("{i},{},{}\n", i % 50 + shift, ["UA", "B6"][i as usize % 2])).collect();
        format!("id,delay,carrier\n{rows}")
    };
    for shift in [0, 40] {
        std::fs::write(&file, table(shift)).unwrap();
        agent.cli(&["data", "add", file.to_str().unwrap(), "--name", "flights"]).expect(0);
    }
    let source = opsroom::tui::source_on(agent.client());
    let Page::Datasets(rows) = source.load(Want::Datasets).await.unwrap() else { panic!("another page") };
    let versions: Vec<VersionId> = rows.iter().filter_map(DataRow::version).collect();
    let [second, first] = versions.as_slice() else { panic!("{versions:?}") };
    assert_eq!((first.version, second.version, rows[0].rows(), rows[0].columns()), (1, 2, Some(800), Some(3)));
    let Page::Profile(profile) = source.load(Want::Profile(first.clone())).await.unwrap() else {
        panic!("another page")
    };
    assert_eq!((*profile).unwrap().tables[0].columns.len(), 3);
    let want = Want::DataDiff { from: first.clone(), to: second.clone() };
    let Page::DataDiff(diff) = source.load(want).await.unwrap() else { panic!("another page") };
    let delay = diff.tables[0].columns.iter().find(|c| c.name == "delay").unwrap();
    assert!(delay.psi > delay.limit && delay.psi.unwrap() > 0.2, "{delay:?}");
    let id = diff.tables[0].columns.iter().find(|c| c.name == "id").unwrap();
    assert_eq!(id.psi, Some(0.0), "nothing of it changed");
    // Nothing is measured and nothing gated yet; the questions have answers all the same.
    let Page::Measured(measured) = source.load(Want::Measured).await.unwrap() else { panic!("another page") };
    let Page::Standing(standing) = source.load(Want::Standing).await.unwrap() else { panic!("another page") };
    assert!(measured.suites.is_empty() && standing.gates.is_empty());
}

/// What the agent of the fixture answers.
pub fn answer(want: &Want) -> Option<Page> {
    Some(match want {
        Want::Datasets => Page::Datasets(rows()),
        Want::Profile(of) => Page::Profile(Box::new(Some(profile(of.version)))),
        Want::DataDiff { from, to } => Page::DataDiff(Box::new(changed(from, to))),
        _ => return None,
    })
}
