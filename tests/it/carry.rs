//! Taking things elsewhere: a version with its evidence to another agent, whose gates decide; and everything to plain files.

use std::fmt::Write as _;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use serde_json::{Value, json};

use crate::support::{Agent, Done, wait};

const SUITE: &str = "[suite.later]\ndata = 'later.csv'\nlabel = 'late'\ntask = 'binary'\nmetrics = ['auc', 'accuracy']\n\
    command = ['cp', '{artifact}/scores.csv', '{out}']\n";

fn gates(more: &str) -> String {
    format!(
        "{SUITE}[[gate]]\nname = 'floor'\nmodel = 'delay'\nstage = 'prod'\nsuite = 'later'\nmetric = 'accuracy'\nmin = 0.8\n{more}"
    )
}

fn write(agent: &Agent, name: &str, text: &str) {
    let path = agent.home().path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A version whose artifact holds the scores that it gives: every `wrong`-th is wrong.
fn with_version(wrong: usize) -> Agent {
    let agent = Agent::start();
    let (mut data, mut scores) = ("hour,late\n".to_owned(), "score\n".to_owned());
    for i in 0..600 {
        let late = (i * 7919) % 100 < 40;
        let _ = writeln!(data, "{},{}", i % 24, u8::from(late));
        let _ = writeln!(scores, "{}", if late == (i % wrong == 0) { 0.2 } else { 0.8 });
    }
    write(&agent, "later.csv", &data);
    write(&agent, "m/scores.csv", &scores);
    write(&agent, "m/deep/weights.bin", "0123456789");
    agent.cli(&["model", "push", "delay", "m", "--tag", "team=ops"]).expect(0);
    write(&agent, "gates.toml", &gates(""));
    agent.cli(&["apply", "gates.toml"]).expect(0);
    agent.cli(&["eval", "run", "later", "delay", "1"]).expect(0);
    agent
}

fn push(from: &Agent, args: &[&str]) -> Done {
    from.cli(&[&["model", "push", "delay", "1", "--to", "prod", "--json"], args].concat())
}

#[test]
fn a_version_goes_to_another_agent_with_its_evidence_and_the_gates_there_decide() {
    let here = with_version(20);
    let there = Agent::start();
    assert!(push(&here, &[]).expect(2).stderr.contains("no context named prod"));
    write(&here, "config/opsroom/opsroom.toml", &format!("[context.prod]\nagent = \"unix:{}\"\n", there.socket()));
    let dry = push(&here, &["--dry-run"]).expect(0).json();
    assert_eq!((&dry["files"], &dry["evals"]), (&json!(2), &json!(1)));
    assert_eq!(there.cli(&["model", "list", "--json"]).expect(0).json(), json!([]));

    // The other side asks for somebody's word, too.
    write(&there, "gates.toml", &gates("[[gate]]\nname = 'word'\nmodel = 'delay'\nstage = 'prod'\napprovals = 1\n"));
    there.cli(&["apply", "gates.toml"]).expect(0);
    let refused = push(&here, &["--stage", "prod", "--reason", "it is better"]).expect(3);
    assert!(refused.stderr.contains("word"), "{}", refused.stderr);
    let carried = refused.json();
    assert_eq!(
        (&carried["as_version"], &carried["known"], &carried["evals"][0]["suite"]),
        (&json!(1), &json!(false), &json!("later")),
        "{carried}"
    );

    let digest = |agent: &Agent| agent.cli(&["model", "show", "delay", "1", "--json"]).expect(0).json();
    let (own, other) = (digest(&here), digest(&there));
    assert_eq!(own["artifact"]["digest"], other["artifact"]["digest"], "{own} {other}");
    assert_eq!((&other["tags"]["team"], other["stage"].as_str()), (&json!("ops"), Some("dev")));
    let evidence = there.cli(&["eval", "list", "delay", "--json"]).expect(0).json();
    assert_eq!(evidence[0]["metrics"]["accuracy"], 0.95, "computed there: {evidence}");
    // Whoever registered a version does not approve it: somebody else does.
    let made = there.cli(&["token", "create", "lee", "--role", "operator", "--json"]).expect(0).json();
    let approve = ["approve", "delay@1:prod", "--reason", "looked at it"];
    let mut lee = there.home().command(&approve);
    lee.env("OPSROOM_AGENT", there.url()).env("OPSROOM_TOKEN", made["secret"].as_str().unwrap());
    Done::of(&approve, lee.output().unwrap()).expect(0);
    let again = push(&here, &["--stage", "prod", "--reason", "approved"]).expect(0).json();
    assert_eq!(
        (&again["known"], &again["stage"], &again["evals"][0]["result"]),
        (&json!(true), &json!("prod"), &json!("known already"))
    );
    assert_eq!(there.cli(&["model", "list", "--json"]).expect(0).json()[0]["versions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_worse_version_is_carried_and_refused_and_a_strange_suite_is_said_to_be_one() {
    let here = with_version(3);
    let there = Agent::start();
    write(&here, "config/opsroom/opsroom.toml", &format!("[context.prod]\nagent = \"unix:{}\"\n", there.socket()));
    let first = push(&here, &[]).expect(0).json();
    assert_eq!(first["evals"][0]["result"], "there is no such suite there", "{first}");
    write(&there, "gates.toml", &gates(""));
    there.cli(&["apply", "gates.toml"]).expect(0);
    let refused = push(&here, &["--stage", "prod", "--reason", "try"]).expect(3);
    assert!(refused.stderr.contains("floor"), "{}", refused.stderr);
}

fn rows(path: &Path) -> i64 {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows()
}

#[test]
fn everything_is_exported_and_a_second_export_copies_only_what_is_new() {
    let agent = with_version(20);
    agent.cli(&["data", "add", "later.csv", "--name", "later"]).expect(0);
    let client = agent.client();
    let post = |path: &str, body: Value| -> Value {
        wait(client.mlflow(reqwest::Method::POST, &format!("/api/2.0/mlflow/{path}"), &body)).unwrap()
    };
    let run = post("runs/create", json!({"experiment_id": "0", "start_time": 5}));
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    for step in 0..7 {
        post(
            "runs/log-metric",
            json!({"run_id": id, "key": "loss", "value": 0.5 / f64::from(step + 1), "timestamp": step, "step": step}),
        );
    }
    post("runs/log-metric", json!({"run_id": id, "key": "once", "value": 3.25, "timestamp": 9, "step": 1}));
    agent.cli(&["token", "create", "ci", "--role", "viewer"]).expect(0);

    let first = agent.cli(&["export", "--all", "out", "--json"]).expect(0);
    let told = first.json();
    assert_eq!(
        (&told["complete"], &told["points"], &told["datasets"], &told["kept"]),
        (&json!(true), &json!(8), &json!(1), &json!(0)),
        "{told}"
    );
    let out = agent.home().path().join("out");
    assert_eq!(rows(&out.join("metrics.parquet")), 8);
    assert_eq!(rows(&out.join("tables/runs.parquet")), told["tables"]["runs"].as_i64().unwrap());
    assert_eq!(rows(&out.join("tables/audit_chain.parquet")), told["tables"]["audit_chain"].as_i64().unwrap());
    assert!(!out.join("tables/access_tokens.parquet").exists(), "secrets stay");
    let reader = SerializedFileReader::new(std::fs::File::open(out.join("metrics.parquet")).unwrap()).unwrap();
    let once: Vec<f64> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .filter(|r| r.get_string(1).unwrap() == "once")
        .map(|r| r.get_double(4).unwrap())
        .collect();
    assert_eq!(once, [3.25]);
    let models: Value = serde_json::from_slice(&std::fs::read(out.join("json/models.json")).unwrap()).unwrap();
    assert_eq!(models[0]["name"], "delay", "{models}");
    assert_eq!(
        std::fs::read(out.join("data/later@1/later.csv")).unwrap(),
        std::fs::read(agent.home().path().join("later.csv")).unwrap()
    );
    let path = models[0]["versions"][0]["artifact"]["path"].as_str().unwrap();
    assert_eq!(
        std::fs::read_to_string(out.join("artifacts").join(path).join("deep/weights.bin")).unwrap(),
        "0123456789"
    );
    assert_eq!(std::fs::read_dir(out.join("evals")).unwrap().count(), 2);

    // One that broke off goes on: half a file is no file.
    let weights = out.join("artifacts").join(path).join("deep/weights.bin");
    std::fs::write(&weights, "0123").unwrap();
    let again = agent.cli(&["export", "--all", "out", "--json"]).expect(0).json();
    assert_eq!(again["kept"].as_u64().unwrap() + 1, again["files"].as_u64().unwrap(), "{again}");
    assert_eq!(std::fs::read_to_string(&weights).unwrap(), "0123456789");
    std::fs::create_dir(agent.home().path().join("mine")).unwrap();
    write(&agent, "mine/x", "x");
    assert!(agent.cli(&["export", "--all", "mine"]).expect(7).stderr.contains("is not empty"));
    assert_eq!(agent.cli_at(agent.url(), &["export", "--all", "other"]).code, 6);
}
