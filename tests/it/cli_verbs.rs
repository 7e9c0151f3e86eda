//! The verbs on a real agent: what they print, what they change, and how they end.

use std::collections::BTreeMap;

use opsroom::base::id::{ExperimentId, RunId};
use opsroom::capability::tracking::points::Point;
use opsroom::capability::tracking::types::KeyMap;
use opsroom::capability::tracking::{Key, Lifecycle, Run, RunStatus, Text};
use opsroom::capability::wire::ImportRun;

use crate::support::{Agent, wait};

const A: &str = "aaaa0000000000000000000000000001";
const B: &str = "bbbb0000000000000000000000000002";

fn a_run(id: &str, name: &str, status: RunStatus, c: &str, auc: f64) -> ImportRun {
    let point = |step: i64, value| Point { step, timestamp: 1_700_000_000_000 + step * 1000, value };
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (Key::from(k), Text::from(*v))).collect::<KeyMap<Text>>();
    let run = Run {
        id: id.parse::<RunId>().unwrap(),
        experiment: ExperimentId(0),
        name: Text::from(name),
        user: Key::from("kim"),
        status,
        lifecycle: Lifecycle::Active,
        start_ms: 1_700_000_000_000,
        end_ms: status.is_over().then_some(1_700_000_075_000),
        artifact_uri: None,
        params: texts(&[("C", c), ("penalty", "l2")]),
        tags: texts(&[("mlflow.runName", name), ("team", "ops")]),
        metrics: KeyMap::default(),
        inputs: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    };
    let series = BTreeMap::from([
        ("auc".to_owned(), vec![point(0, 0.5), point(1, auc)]),
        ("loss".to_owned(), vec![point(0, f64::NAN)]),
    ]);
    ImportRun { run, series }
}

/// An agent with two runs, and files logged to the first.
fn with_runs() -> Agent {
    let agent = Agent::start();
    wait(async {
        let client = agent.client();
        client.import_run(&a_run(A, "first", RunStatus::Finished, "1.0", 0.75)).await.unwrap();
        client.import_run(&a_run(B, "second", RunStatus::Running, "0.1", 0.7)).await.unwrap();
    });
    agent
}

#[test]
fn runs_are_listed_for_people_and_for_scripts() {
    let agent = with_runs();
    let json = agent.cli(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!((json["matched"].as_u64(), json["running"].as_u64()), (Some(2), Some(1)));
    let table = agent.cli(&["runs", "list", "-p", "C", "--order", "metrics.auc DESC"]).expect(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("ID            NAME"), "{table}");
    assert!(lines[1].starts_with("aaaa00000000  first") && lines[1].contains("1m15s  1.0  0.7500"), "{table}");
    assert!(lines[2].ends_with(" nan") && lines[3].starts_with("2 of 2 runs, 1 running"), "{table}");
    assert!(!table.contains('\x1b'), "no colours without a terminal");
    let plain = agent.cli(&["runs", "list", "--plain", "-m", "auc", "--order", "metrics.auc"]).expect(0).stdout;
    assert_eq!(plain.lines().map(|l| l.split('\t').count()).collect::<Vec<_>>(), [7, 7], "{plain}");
    let found =
        agent.cli(&["runs", "search", "metrics.auc > 0.72 and params.penalty = 'l2'", "--json"]).expect(0).json();
    assert_eq!(found["runs"][0]["id"], A);
    agent.cli(&["runs", "search", "metrics.auc >"]).expect(2);
    assert_eq!(agent.cli(&["runs", "list", "--since", "24h", "--json"]).expect(0).json()["matched"], 0);
    agent.cli(&["runs", "list", "--experiment", "none"]).expect(4);
}

#[test]
fn a_run_is_named_by_id_beginning_or_name() {
    let agent = with_runs();
    for name in [A, "aaaa", "first"] {
        assert_eq!(agent.cli(&["runs", "show", name, "--json"]).expect(0).json()["id"], A);
    }
    let missing = agent.cli(&["runs", "show", "third"]).expect(4);
    assert!(missing.stderr.starts_with("opsroom: no run third\n"), "{}", missing.stderr);
    agent.cli(&["runs", "show", &"0".repeat(32)]).expect(4);
    let page = agent.cli(&["runs", "show", "first"]).expect(0).stdout;
    assert!(page.contains("auc") && page.contains("0.7500") && page.contains("penalty"), "{page}");
}

#[test]
fn compare_history_and_export() {
    let agent = with_runs();
    let compared = agent.cli(&["runs", "compare", "first", "second", "--json"]).expect(0).json();
    assert_eq!(compared["params"], serde_json::json!({"C": ["1.0", "0.1"]}));
    assert_eq!(compared["metrics"]["auc"], serde_json::json!([0.75, 0.7]));
    assert_eq!(compared["tags"], serde_json::json!({}));
    assert_eq!(compared["grades"][0]["cells"][1]["grade"], "?", "no repeats, no grade: {compared}");
    assert_eq!((&compared["base"]["name"], &compared["winner"]), (&"first".into(), &serde_json::Value::Null));
    let page = agent.cli(&["runs", "compare", "first", "second", "--base", "second"]).expect(0).stdout;
    assert!(page.contains("second base") && page.contains("3 seeds"), "{page}");
    agent.cli(&["runs", "compare", "first", A]).expect(2);
    agent.cli(&["runs", "compare", "first"]).expect(2);
    let history = agent.cli(&["runs", "history", "first", "auc", "--json"]).expect(0).json();
    assert_eq!(
        history["points"],
        serde_json::json!([[0, 1_700_000_000_000_u64, 0.5], [1, 1_700_000_001_000_u64, 0.75]])
    );
    agent.cli(&["runs", "history", "first", "nothing"]).expect(4);
    let csv = agent.cli(&["runs", "export", "--order", "metrics.auc"]).expect(0).stdout;
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].contains("params.C,params.penalty,metrics.auc,metrics.loss"), "{csv}");
    assert!(rows.len() == 3 && rows[1].starts_with(B) && rows[1].contains(",0.7,NaN"), "{csv}");
    let drawn = agent.cli(&["runs", "export", "-m", "auc", "--svg", "auc.svg", "--json"]).expect(0).json();
    assert_eq!(drawn["lines"], 2);
    assert!(std::fs::read_to_string(agent.home().path().join("auc.svg")).unwrap().starts_with("<svg"));
    agent.cli(&["runs", "export", "-m", "auc", "--chart", "auc.png"]).expect(0);
    assert!(std::fs::read(agent.home().path().join("auc.png")).unwrap().starts_with(b"\x89PNG"));
    agent.cli(&["runs", "export", "-m", "auc", "--chart", "auc.gif"]).expect(2);
    agent.cli(&["runs", "export", "-m", "nothing", "--chart", "no.svg"]).expect(4);
    agent.cli(&["runs", "export", "--format", "json", "-o", "runs.json"]).expect(0);
    let written = std::fs::read_to_string(agent.home().path().join("runs.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn tags_notes_deleting_and_restoring() {
    let agent = with_runs();
    agent.cli(&["runs", "tag", "first", "a=1", "--remove", "team", "--dry-run"]).expect(0);
    let tags = || agent.cli(&["runs", "show", "first", "--json"]).expect(0).json()["tags"].clone();
    assert_eq!(tags()["team"], "ops", "a dry run changes nothing");
    agent.cli(&["runs", "tag", "first", "a=1", "--remove", "team", "--reason", "moved"]).expect(0);
    assert_eq!((&tags()["a"], &tags()["team"], &tags()["opsroom.reason"]), (&"1".into(), &().into(), &"moved".into()));
    agent.cli(&["runs", "note", "first", "the best so far"]).expect(0);
    assert_eq!(agent.cli(&["runs", "note", "first"]).expect(0).stdout, "the best so far\n");
    let outcome = agent.cli(&["runs", "delete", "first", "--reason", "a mistake", "--json"]).expect(0).json();
    assert_eq!(outcome[0]["to"], "deleted");
    assert_eq!(agent.cli(&["runs", "list", "--json"]).expect(0).json()["matched"], 1);
    agent.cli(&["runs", "restore", "first"]).expect(0);
    assert_eq!(agent.cli(&["runs", "list", "--json"]).expect(0).json()["matched"], 2);
    agent.cli(&["runs", "stop", "first"]).expect(7);
}

/// Registers two versions on files of the first run.
fn registered() -> Agent {
    let agent = with_runs();
    let folder = agent.home().path().join(format!("data/opsroom/artifacts/0/{A}/artifacts/model"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("weights"), "w").unwrap();
    agent.cli(&["model", "register", "delay", "--run", "first", "--json"]).expect(0);
    let second = agent.cli(&["model", "register", "delay", "--run", "first", "--json"]).expect(0).json();
    assert_eq!(second["version"], 2);
    agent
}

#[test]
fn promotion_needs_a_reason_and_leaves_one_prod_version() {
    let agent = registered();
    let refused = agent.cli(&["promote", "delay", "1", "--to", "prod"]).expect(3);
    assert!(refused.stderr.contains("needs a reason") && refused.stderr.contains("  next: "), "{}", refused.stderr);
    let before = agent.cli(&["audit", "list", "--json"]).expect(0).json()["total"].as_u64().unwrap();
    let dry = agent
        .cli(&["promote", "delay", "1", "--to", "prod", "--reason", "good", "--dry-run", "--json"])
        .expect(0)
        .json();
    assert_eq!((&dry["dry_run"], &dry["audit"]), (&true.into(), &0.into()));
    agent.cli(&["promote", "delay", "v1", "--to", "prod", "--reason", "good"]).expect(0);
    let done = agent.cli(&["promote", "delay", "2", "--to", "prod", "--reason", "better", "--json"]).expect(0).json();
    assert_eq!((&done["to"], &done["command"]), (&"prod".into(), &"set-stage".into()));
    let shown = agent.cli(&["model", "show", "delay", "--json"]).expect(0).json();
    assert_eq!((&shown["versions"][0]["stage"], &shown["versions"][1]["stage"]), (&"prod".into(), &"archived".into()));
    let after = agent.cli(&["audit", "list", "--json"]).expect(0).json()["total"].as_u64().unwrap();
    assert_eq!(after - before, 2, "one record a command, none for a dry run");
    agent.cli(&["promote", "delay", "9", "--to", "prod", "--reason", "x"]).expect(4);
    agent.cli(&["promote", "none", "1", "--to", "prod", "--reason", "x"]).expect(4);
    agent.cli(&["promote", "delay", "1", "--to", "heaven", "--reason", "x"]).expect(2);
    let generation = shown["generation"].as_i64().unwrap();
    agent.cli(&["promote", "delay", "1", "--to", "staging", "--generation", &(generation - 1).to_string()]).expect(7);
    agent.cli(&["promote", "delay", "1", "--to", "staging", "--generation", &generation.to_string()]).expect(0);
}

#[test]
fn the_registry_is_read_as_it_stood() {
    let agent = registered();
    let list = agent.cli(&["model", "list", "--as-of", "2020-01-01", "--json"]).expect(0).json();
    assert_eq!(list, serde_json::json!([]));
    let frozen = agent.cli(&["model", "show", "delay", "1", "--json"]).expect(0).json();
    assert_eq!((&frozen["artifact"]["files"], &frozen["run_id"]), (&1.into(), &A.into()));
    agent.cli(&["model", "alias", "delay", "champion", "1"]).expect(0);
    assert_eq!(agent.cli(&["model", "show", "delay", "@champion", "--json"]).expect(0).json()["version"], 1);
    agent.cli(&["model", "card", "delay", "1", "--set", "# card"]).expect(0);
    assert_eq!(agent.cli(&["model", "card", "delay", "@champion"]).expect(0).stdout, "# card\n");
    agent.cli(&["model", "tag", "delay", "a=b", "--of", "1"]).expect(0);
    agent.cli(&["model", "create", "delay"]).expect(7);
    agent.cli(&["model", "rename", "delay", "lateness"]).expect(0);
    agent.cli(&["model", "delete", "lateness", "2"]).expect(0);
    agent.cli(&["model", "delete", "lateness", "--all"]).expect(0);
    agent.cli(&["model", "show", "lateness"]).expect(4);
}

#[test]
fn files_of_a_run_are_listed_and_fetched() {
    let agent = registered();
    let list = agent.cli(&["artifact", "list", "first", "--recursive", "--json"]).expect(0).json();
    let weights = serde_json::json!({"path": "model/weights", "is_dir": false, "size": 1});
    assert!(list.as_array().unwrap().contains(&weights), "{list}");
    assert_eq!(agent.cli(&["artifact", "get", "first", "model/weights", "-o", "-"]).expect(0).stdout, "w");
    agent.cli(&["artifact", "get", "first", "model"]).expect(0);
    assert_eq!(std::fs::read(agent.home().path().join("model/weights")).unwrap(), b"w");
    agent.cli(&["artifact", "get", "first", "nothing"]).expect(4);
    assert!(!agent.home().path().join("nothing").exists());
}

#[test]
fn the_audit_trail_holds_and_says_when_it_does_not() {
    let agent = registered();
    let found = agent.cli(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!((&found["ok"], &found["records"]), (&true.into(), &2.into()));
    let record = agent.cli(&["audit", "show", "1", "--json"]).expect(0).json();
    assert_eq!(
        (&record["command"], &record["via"], &record["verified"]),
        (&"register-version".into(), &"cli".into(), &true.into())
    );
    agent.cli(&["audit", "show", "99"]).expect(4);
    assert_eq!(agent.cli(&["audit", "evidence", "2", "--json"]).expect(0).json()["chain"]["ok"], true);
    // The last decision is taken back, and what has moved on since is not.
    agent.cli(&["model", "alias", "delay", "blue", "1", "--reason", "try"]).expect(0);
    let back = agent.cli(&["undo", "--json"]).expect(0).json();
    assert_eq!((back["command"].as_str(), back["to"].as_str()), (Some("set-alias"), Some("blue=none")));
    let again = agent.cli(&["undo", "1"]).expect(3);
    assert!(again.stderr.contains("opsroom model delete delay VERSION"), "{}", again.stderr);
    // All that an auditor asks of one version, in one folder.
    agent.cli(&["audit", "evidence", "delay"]).expect(2);
    agent.cli(&["audit", "evidence", "delay", "9"]).expect(4);
    let told = agent.cli(&["audit", "evidence", "delay", "v1", "--to", "proof", "--json"]).expect(0).json();
    assert_eq!(told["chain_holds"], true);
    let folder = agent.home().path().join("proof");
    for file in
        ["README.md", "version.json", "files.json", "training/run.json", "gates/gates.json", "audit/records.json"]
    {
        let digest = format!("blake3:{}", blake3::hash(&std::fs::read(folder.join(file)).unwrap()).to_hex());
        assert_eq!(told["files"][file], digest.as_str(), "{file}");
    }
    let records = std::fs::read_to_string(folder.join("audit/records.json")).unwrap();
    assert!(records.contains("register-version"), "{records}");
    agent.cli(&["audit", "evidence", "delay", "1", "--to", "proof"]).expect(2);
    // A head that someone kept and that says otherwise.
    let heads = std::fs::read_to_string(agent.home().path().join("data/opsroom/opsroom.db.heads")).unwrap();
    let forged =
        heads.lines().next().unwrap().replacen("\"seq\":1", "\"seq\":2", 1).replacen("\"seq\":2,", "\"seq\":7,", 1);
    std::fs::write(agent.home().path().join("heads"), &forged).unwrap();
    let bad = agent.cli(&["audit", "verify", "--checkpoint", "heads", "--json"]).expect(9).json();
    assert_eq!(bad["ok"], false);
    agent.cli(&["audit", "verify", "--checkpoint", "nothing"]).expect(2);
}

#[test]
fn clients_are_told_what_to_set() {
    let agent = Agent::start();
    let told = agent.cli(&["connect", "mlflow"]).expect(0).stdout;
    assert!(told.starts_with(&format!("export MLFLOW_TRACKING_URI=\"{}\"\n", agent.url())), "{told}");
    let told = agent.cli(&["connect", "wandb"]).expect(0).stdout;
    assert!(told.starts_with(&format!("export WANDB_BASE_URL=\"{}\"\n", agent.url())), "{told}");
    let key = told.lines().find_map(|l| l.strip_prefix("export WANDB_API_KEY=\"")).unwrap().trim_end_matches('"');
    assert!(key.len() >= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric()), "W&B's client refuses {key}");
}
