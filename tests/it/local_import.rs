//! Taking in what MLflow 3.17.2 wrote to folders and to a database: all of it, once, and nothing of it changed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Agent, wait};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A copy of the fixture, which a test may damage.
pub fn folder_in(home: &Path) -> PathBuf {
    let to = home.join("train/mlruns");
    copy(&fixture("mlruns"), &to);
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Makes the database anew from the tables that it had.
pub fn database_in(home: &Path) -> PathBuf {
    let path = home.join("mlflow.db");
    let sql = std::fs::read_to_string(fixture("mlflow.sql")).unwrap();
    execute(&path, &sql);
    path
}

pub fn execute(path: &Path, sql: &str) {
    use sqlx::Connection;
    wait(async {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(false);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Names, sizes and contents of all that lies in a folder.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.push((entry.path(), std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn import(agent: &Agent, path: &Path) -> Value {
    agent.cli(&["import", "mlflow", path.to_str().unwrap(), "--json"]).expect(0).json()
}

fn figures(report: &Value) -> Value {
    json!([report["runs_new"], report["runs_known"], report["models_new"], report["versions_new"], report["skipped"]])
}

/// What must be there, whichever form it came in.
fn check(agent: &Agent, run: &str, model: &str) {
    let shown = agent.cli(&["runs", "show", run, "--json"]).expect(0).json();
    assert_eq!(
        (&shown["name"], &shown["experiment_name"], &shown["status"]),
        (&json!("a/b: first"), &json!("flights"), &json!("FINISHED"))
    );
    assert_eq!(shown["params"]["long"].as_str().unwrap().len(), 300);
    assert_eq!(shown["params"]["multi"], "line1\nline2");
    assert_eq!(shown["tags"]["über"], "ümläut");
    assert_eq!(
        (&shown["metrics"]["nan"]["value"], &shown["metrics"]["inf"]["value"]),
        (&json!("NaN"), &json!("Infinity"))
    );
    assert_eq!(
        (&shown["metrics"]["sub/dir metric"]["value"], &shown["metrics"]["sub/dir metric"]["step"]),
        (&json!(-1.5), &json!(-3))
    );
    assert_eq!(shown["inputs"][0]["digest"], "92a7ac9c");
    assert_eq!(shown["inputs"][0]["tags"], json!([["mlflow.data.context", "training"]]));
    assert_eq!(shown["models"], json!([model]));
    let course = agent.cli(&["runs", "history", run, "loss", "--json"]).expect(0).json();
    assert_eq!((course["count"].as_u64(), course["points"].as_array().unwrap().len()), (Some(120), 120));
    assert_eq!(course["points"][119][2], json!(1.0 / 120.0));
    let deleted = agent.cli(&["runs", "list", "--deleted", "--json"]).expect(0).json();
    assert_eq!(deleted["matched"], 2);
    let experiments = agent.cli(&["experiment", "list", "--deleted", "--json"]).expect(0).json();
    let old = experiments.as_array().unwrap().iter().find(|e| e["name"] == "old").unwrap();
    assert_eq!(old["lifecycle"], "deleted");
    let registered = agent.cli(&["model", "show", "delay", "--json"]).expect(0).json();
    assert_eq!(
        (&registered["description"], &registered["tags"]),
        (&json!("the delay model"), &json!({"owner": "kim"}))
    );
    assert_eq!(registered["aliases"], json!({"champion": 1}));
    let versions: Vec<_> =
        registered["versions"].as_array().unwrap().iter().map(|v| (&v["version"], &v["stage"])).collect();
    assert_eq!(versions, [(&json!(2), &json!("staging")), (&json!(1), &json!("prod"))]);
    assert_eq!(registered["versions"][0]["tags"], json!({"k": "v"}));
    let reason = agent.cli(&["audit", "list", "--command", "register-version", "--json"]).expect(0).json();
    assert!(reason["records"][0]["detail"]["reason"].as_str().unwrap().starts_with("imported from "));
    agent.cli(&["audit", "verify"]).expect(0);
}

#[test]
fn a_folder_comes_in_once_with_files_and_registry() {
    let agent = Agent::start();
    let folder = folder_in(agent.home().path());
    let before = contents(&folder);
    let dry = agent.cli(&["import", "mlflow", folder.to_str().unwrap(), "--dry-run", "--json"]).expect(0).json();
    assert_eq!((&dry["runs"], &dry["versions"], &dry["dry_run"]), (&json!(6), &json!(2), &json!(true)));
    assert_eq!(figures(&import(&agent, &folder)), json!([6, 0, 1, 2, []]));
    // The folder that holds it will do too.
    assert_eq!(figures(&import(&agent, folder.parent().unwrap())), json!([0, 6, 0, 0, []]));
    assert_eq!(contents(&folder), before, "nothing is written there");
    let run = "a944b90e3aa64632803e31710454950c";
    check(&agent, run, "m-6f778851655942e6928326dbaf05b3c8");
    assert_eq!(agent.cli(&["artifact", "get", run, "notes/hello.txt", "-o", "-"]).expect(0).stdout, "hello");
    let version = agent.cli(&["model", "show", "delay", "1", "--json"]).expect(0).json();
    assert_eq!(version["artifact"]["files"], 5, "the logged model's files came along and are frozen");
}

#[test]
fn a_database_comes_in_once() {
    let agent = Agent::start();
    let database = database_in(agent.home().path());
    let before = std::fs::read(&database).unwrap();
    assert_eq!(figures(&import(&agent, &database)), json!([6, 0, 1, 2, []]));
    assert_eq!(figures(&import(&agent, &database)), json!([0, 6, 0, 0, []]));
    assert_eq!(std::fs::read(&database).unwrap(), before);
    assert!(!database.with_extension("db-wal").exists() && !database.with_extension("db-journal").exists());
    check(&agent, "303df31d00aa4c498ec0312be20eb320", "m-7400602d354042c0a0157344528ca8e8");
}

#[test]
fn a_database_of_an_older_mlflow_comes_in_too() {
    let agent = Agent::start();
    let database = database_in(agent.home().path());
    let newer = [
        "logged_models",
        "logged_model_params",
        "logged_model_tags",
        "logged_model_metrics",
        "datasets",
        "input_tags",
        "inputs",
    ];
    let drops: String = newer.iter().flat_map(|t| ["drop table ", t, ";"]).collect();
    execute(
        &database,
        &format!(
            "{drops} drop table registered_model_aliases; update model_versions set source = '/home/kim/mlruns/1/' || run_id || '/artifacts/notes';"
        ),
    );
    assert_eq!(figures(&import(&agent, &database)), json!([6, 0, 0, 2, []]));
    let version = agent.cli(&["model", "show", "delay", "1", "--json"]).expect(0).json();
    assert_eq!(version["source"], "runs:/303df31d00aa4c498ec0312be20eb320/notes");
}

#[test]
fn what_is_damaged_is_named_and_the_rest_comes_in() {
    let agent = Agent::start();
    let folder = folder_in(agent.home().path());
    let experiment = folder.join("673811402507009377");
    let write = |path: &str, text: &str| std::fs::write(experiment.join(path), text).unwrap();
    write("13e4fbc789704cdaa67d0e2aeac3c8d6/meta.yaml", "{: broken");
    write("b7520eea915540c9ab3ad83d0926b802/metrics/auc", "1 0.5 0\nnot a line\n2 0.6 1\n3 0.7");
    std::fs::write(folder.join("models/delay/version-2/meta.yaml"), [0xff, 0xfe]).unwrap();
    let report = import(&agent, &folder);
    assert_eq!((&report["runs_new"], &report["versions_new"]), (&json!(5), &json!(1)));
    let skipped: Vec<&str> = report["skipped"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert!(
        skipped.iter().any(|s| s.contains("metrics/auc: 1 lines cannot be read, the first is line 2")),
        "{skipped:?}"
    );
    let course = agent.cli(&["runs", "history", "failed", "auc", "--json"]).expect(0).json();
    assert_eq!(course["points"], json!([[0, 1, 0.5], [1, 2, 0.6]]), "a line that has no end yet is not read");
    // Mended, what was skipped comes in.
    copy(&fixture("mlruns"), &folder);
    assert_eq!(figures(&import(&agent, &folder)), json!([1, 5, 0, 1, []]));
}

#[test]
fn a_second_prod_version_comes_as_archived_and_it_is_said() {
    let agent = Agent::start();
    let database = database_in(agent.home().path());
    execute(&database, "update model_versions set current_stage = 'Production'");
    let report = import(&agent, &database);
    assert_eq!(report["skipped"], json!(["delay v1: was prod and came as archived: at most one version is prod here"]));
}

#[test]
fn what_mlflow_did_not_write_is_refused() {
    let agent = Agent::start();
    let home = agent.home().path();
    std::fs::write(home.join("text"), "hello").unwrap();
    std::fs::create_dir(home.join("empty")).unwrap();
    agent.cli(&["import", "mlflow", "nothing"]).expect(4);
    agent.cli(&["import", "mlflow", "text"]).expect(2);
    agent.cli(&["import", "mlflow", "empty"]).expect(2);
    agent.cli(&["open", "empty"]).expect(2);
}
