//! The screens in sentences, by the real binary: no boxes, no escape codes, one sentence a change.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use opsroom::base::id::{ExperimentId, RunId};
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::types::KeyMap;
use opsroom::capability::tracking::{Key, Lifecycle, Run, RunStatus, Text};
use opsroom::capability::wire::ImportRun;

use super::support::{Agent, wait};

const LOSSES: [f64; 5] = [0.93, 0.88, 0.85, 0.836, 0.839];

fn run(id: u128, name: &str, status: RunStatus) -> ImportRun {
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (Key::from(k), Text::from(*v))).collect::<KeyMap<Text>>();
    let run = Run {
        id: RunId(id),
        experiment: ExperimentId(0),
        name: Text::from(name),
        user: Key::from("kim"),
        status,
        lifecycle: Lifecycle::Active,
        start_ms: 1_700_000_000_000,
        end_ms: status.is_over().then_some(1_700_002_040_000),
        artifact_uri: None,
        params: texts(&[("lr", if id == 1 { "0.001" } else { "0.0005" })]),
        tags: texts(&[("mlflow.runName", name), ("team", "risk")]),
        metrics: KeyMap::default(),
        inputs: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    };
    let point = |(i, v): (usize, &f64)| Point { step: 100 * i as i64, timestamp: 1_700_000_000_000, value: *v };
    let nan = Point { step: 0, timestamp: 1_700_000_000_000, value: f64::NAN };
    let loss: Vec<Point> = LOSSES.iter().enumerate().map(point).collect();
    ImportRun { run, series: BTreeMap::from([("loss".to_owned(), loss), ("broken".to_owned(), vec![nan])]) }
}

fn agent() -> Agent {
    let agent = Agent::start();
    wait(async {
        let client = agent.client();
        client.import_run(&run(1, "calm-heron", RunStatus::Finished)).await.unwrap();
        client.import_run(&run(2, "evil\u{1b}[2J日本-🚀", RunStatus::Running)).await.unwrap();
    });
    agent.cli(&["model", "register", "delay", "--source", "s3://elsewhere/m", "--reason", "first try"]).expect(0);
    agent.cli(&["promote", "delay", "1", "--to", "prod", "--reason", "better on the evaluation set"]).expect(0);
    agent.cli(&["model", "alias", "delay", "champion", "1"]).expect(0);
    agent
}

/// What a screen reader would stumble over.
#[track_caller]
fn sentences(text: &str) -> Vec<String> {
    let noise = |c: char| c == '\x1b' || ('\u{2500}'..='\u{28ff}').contains(&c) || c.is_control() && c != '\n';
    assert!(!text.contains(noise), "{text:?}");
    let lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    assert!(!lines.is_empty() && lines.iter().all(|l| l.ends_with(['.', ':'])), "{text}");
    lines
}

#[test]
fn every_screen_is_said_and_has_its_json() {
    let agent = agent();
    let runs = agent.cli(&["runs", "--plain"]).expect(0).stdout;
    let said = sentences(&runs);
    assert!(said[0].starts_with("2 runs, 1 going on."), "{runs}");
    assert!(runs.contains("Run calm-heron of Default finished after 34m"), "{runs}");
    assert!(runs.contains("evil [2J日本-🚀 of Default is going on for"), "{runs}");
    assert_eq!(agent.cli(&["runs", "--json"]).expect(0).json()["total"], 2);

    let one = agent.cli(&["room", "run", "calm-heron", "--plain"]).expect(0).stdout;
    sentences(&one);
    for words in [
        "loss fell from 0.9300 to 0.8390 over 400 steps, lowest 0.8360 at step 300.",
        "broken is nan at step 0.",
        "Its params are lr 0.001.",
        "Its tags are team risk.",
        "It has logged no artifact.",
    ] {
        assert!(one.contains(words), "{words}\n{one}");
    }
    assert_eq!(agent.cli(&["room", "run", "calm-heron", "--json"]).expect(0).json()["name"], "calm-heron");

    let id = format!("{:032x}", 2);
    let compared = agent.cli(&["room", "compare", "calm-heron", &id, "--plain"]).expect(0).stdout;
    sentences(&compared);
    assert!(compared.contains("Param lr: calm-heron has 0.001; evil [2J"), "{compared}");
    let json = agent.cli(&["room", "compare", "calm-heron", &id, "--json"]).expect(0).json();
    assert_eq!(json["params"]["lr"], serde_json::json!(["0.001", "0.0005"]));

    let registry = agent.cli(&["registry", "--plain"]).expect(0).stdout;
    sentences(&registry);
    assert!(registry.contains("delay: v1 is in prod for "), "{registry}");
    assert!(registry.contains("because \"better on the evaluation set\"; alias champion points at v1."), "{registry}");
    assert_eq!(agent.cli(&["registry", "--json"]).expect(0).json()[0]["name"], "delay");
    let version = agent.cli(&["registry", "delay", "@champion", "--plain"]).expect(0).stdout;
    sentences(&version);
    assert!(version.contains("put v1 into prod of delay") && version.contains("(audit record 2)"), "{version}");
    assert_eq!(agent.cli(&["registry", "delay", "1", "--json"]).expect(0).json()["stage"], "prod");
    let past = agent.cli(&["registry", "--plain", "--as-of", "2020-01-01"]).expect(0).stdout;
    assert!(past.starts_with("As it stood at 2020-01-01"), "{past}");

    let trail = agent.cli(&["audit", "--plain"]).expect(0).stdout;
    let said = sentences(&trail);
    assert!(said[0].starts_with("3 records."), "{trail}");
    assert!(said[2].contains("set-stage delay v1, from \"dev\" to \"prod\", because \"better on"), "{trail}");
    assert_eq!(agent.cli(&["audit", "--json"]).expect(0).json()["total"], 3);
    assert!(agent.cli(&["room", "audit", "2", "--plain"]).expect(0).stdout.starts_with("Record 2 of "));

    // Without a terminal the room is its overview, said once.
    let overview = agent.cli(&[]).expect(0).stdout;
    sentences(&overview);
    assert!(
        overview.contains("2 runs in 1 experiment, 1 going on.") && overview.contains("3 audit records."),
        "{overview}"
    );
    assert_eq!(agent.cli(&["--json"]).expect(0).json()["models"][0]["name"], "delay");
}

#[test]
fn an_empty_room_says_what_to_do() {
    let agent = Agent::start();
    assert!(agent.cli(&["runs", "--plain"]).expect(0).stdout.contains("opsroom demo"));
    assert!(agent.cli(&["registry", "--plain"]).expect(0).stdout.contains("opsroom model register"));
    assert!(agent.cli(&["audit", "--plain"]).expect(0).stdout.contains("Nothing has been changed yet"));
    assert_eq!(agent.cli(&["room", "run", "none", "--plain"]).expect(4).stdout, "");
    agent.cli(&["room", "compare", "one"]).expect(2);
    agent.cli(&["room", "nowhere"]).expect(2);
}

#[test]
fn following_says_one_sentence_a_change() {
    let agent = agent();
    let mut child = agent
        .home()
        .command(&["--plain", "room", "registry", "--follow"])
        .env("OPSROOM_AGENT", format!("unix:{}", agent.socket()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    while next() != "Following; interrupt to end." {}
    agent.cli(&["promote", "delay", "1", "--to", "archived", "--reason", "quality fell in the north"]).expect(0);
    let said = next();
    assert!(
        said.contains("put v1 into archived of delay, because \"quality fell in the north\" (audit record 4)."),
        "{said}"
    );
    agent.cli(&["model", "delete", "delay", "--all", "--reason", "no longer used"]).expect(0);
    assert_eq!(next(), "Model delay is gone.");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn following_ends_when_its_reader_leaves() {
    let agent = agent();
    let mut child = agent
        .home()
        .command(&["audit", "--plain", "--follow"])
        .env("OPSROOM_AGENT", format!("unix:{}", agent.socket()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "Following; interrupt to end." {}
    drop(lines);
    super::support::eventually("its end", || child.try_wait().unwrap().is_some());
}
