//! What needs the agent's process or the command line: a restart under a live W&B script, roles, and folders of files.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opsroom::capability::access::{self, Role, digest, no_key, secret};
use opsroom::capability::tracking::RunQuery;
use opsroom::capability::tracking::wandb::run_id;
use opsroom::capability::{self, Envelope};
use serde_json::{Value, json};

use crate::support::{Agent, Home, eventually, wait};

/// A Python with the client of W&B.
fn python() -> Option<String> {
    let python = std::env::var("OPSROOM_TEST_PYTHON").ok();
    let has = |python: &String| Command::new(python).args(["-c", "import wandb"]).output().unwrap().status.success();
    let found = python.filter(has);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "OPSROOM_TEST_PYTHON must have wandb in CI");
        eprintln!("skipped: needs OPSROOM_TEST_PYTHON: a Python with tests/clients/requirements.txt installed");
    }
    found
}

pub fn script(python: &str, folder: &Path, url: &str, text: &str) -> Child {
    let mut command = Command::new(python);
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("WANDB_")) {
        command.env_remove(name);
    }
    let own =
        [("WANDB_DIR", ""), ("WANDB_DATA_DIR", "data"), ("WANDB_CACHE_DIR", "cache"), ("WANDB_CONFIG_DIR", "config")];
    command
        .args(["-c", text])
        .current_dir(folder)
        .env("HOME", folder)
        .env("WANDB_BASE_URL", url)
        .env("WANDB_API_KEY", no_key())
        .env("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1")
        .envs(own.map(|(name, below)| (name, folder.join(below))))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn points(agent: &Agent, project: &str, run: &str, key: &str) -> Vec<(i64, f64)> {
    let series = wait(agent.client().history(run_id(project, run), key, 4000));
    series.map(|s| s.points.iter().map(|p| (p.step, p.value)).collect()).unwrap_or_default()
}

fn status(agent: &Agent, project: &str, run: &str) -> String {
    wait(agent.client().run(run_id(project, run))).map(|r| r.status.name().to_owned()).unwrap_or_default()
}

#[test]
fn a_restart_under_a_live_script_loses_nothing() {
    let Some(python) = python() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = port.to_string();
    let agent = Agent::start_in(Home::new(), &["--listen", &listen]);
    let work = tempfile::tempdir().unwrap();
    let text = "import time, wandb\nrun = wandb.init(project='p', id='r')\n\
                for i in range(100):\n    run.log({'x': i})\n    print('line', i)\n    time.sleep(0.1)\nrun.finish()\n";
    let mut child = script(&python, work.path(), agent.url(), text);
    eventually("a point", || !points(&agent, "p", "r", "x").is_empty());
    let home = agent.kill();
    std::thread::sleep(Duration::from_secs(2));
    let agent = Agent::start_in(home, &["--listen", &listen]);
    assert!(child.wait().unwrap().success());
    let expected: Vec<(i64, f64)> = (0..100).map(|i| (i, i as f64)).collect();
    assert_eq!(points(&agent, "p", "r", "x"), expected);
    assert_eq!(status(&agent, "p", "r"), "FINISHED");
}

#[tokio::test]
async fn roles_hold_for_keys() {
    let agent = Agent::start();
    let token = secret();
    let create = access::Command::CreateToken {
        name: "looker".to_owned(),
        role: Role::Viewer,
        digest: digest(&token),
        expires: None,
    };
    agent.client().perform(&Envelope::new(capability::Command::Access(create), "tests")).await.unwrap();
    let http = reqwest::Client::new();
    let ask = async |query: &str, key: &str| {
        let body = json!({ "query": query, "variables": { "name": "r", "project": "p", "host": "h" } });
        let request = http.post(format!("{}/graphql", agent.url())).basic_auth("api", Some(key)).json(&body);
        request.send().await.unwrap()
    };
    let seen: Value = ask("query Viewer { viewer { id } }", &token).await.json().await.unwrap();
    assert_eq!(seen["data"]["viewer"]["username"], "looker");
    let refused = ask("mutation UpsertBucket { x }", &token).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("may only read"));
    // What an operation is called in the text makes no difference.
    for writing in ["UpsertBucket", "UpsertSweep", "LinkArtifact", "CreateRunFiles", "Heartbeat"] {
        assert_eq!(ask(&format!("query {writing} {{ x }}"), &token).await.status(), 403, "{writing}");
    }
    assert_eq!(ask("query Viewer { viewer { id } }", &"x".repeat(40)).await.status(), 401);
    assert_eq!(ask("mutation UpsertBucket { x }", &no_key()).await.status(), 200);
    let lines = http.post(format!("{}/files/e/p/r/file_stream", agent.url())).basic_auth("api", Some(&token));
    assert_eq!(lines.json(&json!({})).send().await.unwrap().status(), 403);
    assert_eq!(agent.client().search_runs(&RunQuery::default()).await.unwrap().matched, 1);
}

/// Clients ask for what is not offered again and again: each hears so at once, and the log has a line a name.
#[tokio::test]
async fn an_operation_that_is_not_offered_is_logged_once() {
    let home = Home::new();
    let log = home.path().join("agent.log");
    let mut command = home.command(&["agent", "--listen", "127.0.0.1:0"]);
    let command = command.stdout(std::fs::File::create(&log).unwrap());
    let command = command.stderr(std::fs::File::options().append(true).open(&log).unwrap());
    let mut agent = command.spawn().unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let address = || said().lines().find_map(|l| Some(l.strip_prefix("agent listening on ")?.to_owned()));
    eventually("the agent", || address().is_some());
    let http = reqwest::Client::new();
    for name in ["Nobody", "Knows", "Nobody", "Nobody"] {
        let body = json!({ "query": format!("query {name} {{ x }}") });
        let answer = http.post(format!("{}/graphql", address().unwrap())).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(name), "{answer}");
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    let lines = |name: &str| said().lines().filter(|l| l.contains(&format!("{name:?}"))).count();
    assert_eq!((lines("Nobody"), lines("Knows")), (1, 1), "{}", said());
}

/// A folder with an offline run of so many lines.
fn offline(python: &str, folder: &Path, id: &str, lines: usize, more: &str) -> PathBuf {
    let text = format!(
        "import wandb\nrun = wandb.init(project='p', id='{id}', name='nice', mode='offline', tags=['t'], config={{'lr': 0.5, \
         'deep': {{'n': 3}}}})\nrun.define_metric('epoch')\nrun.define_metric('val/*', step_metric='epoch')\n\
         for i in range({lines}):\n    run.log({{'x': i, 'val/y': i / 2, 'epoch': i * 10, 'z': float('nan')}})\n    print('line', i)\n\
         run.summary['best'] = 0.75\n{more}\nrun.finish()\n"
    );
    let ended = script(python, folder, "http://127.0.0.1:1", &text).wait().unwrap();
    assert_eq!(ended.code(), Some(if more.contains("sys.exit(3)") { 3 } else { 0 }));
    let run = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().ends_with(&format!("-{id}"));
    let entries = std::fs::read_dir(folder.join("wandb")).unwrap().map(|e| e.unwrap().path());
    entries.filter(run).max().unwrap().join(format!("run-{id}.wandb"))
}

#[test]
fn a_folder_is_taken_in_and_nothing_is_twice() {
    let Some(python) = python() else { return };
    let (agent, work) = (Agent::start(), tempfile::tempdir().unwrap());
    offline(&python, work.path(), "a", 500, "run.log({'h': wandb.Histogram(np_histogram=([1, 2], [0, 1, 2]))})");
    offline(&python, work.path(), "b", 3, "import sys\nsys.exit(3)");
    let path = work.path().join("wandb");
    let path = path.to_str().unwrap();
    let first = agent.cli(&["import", "wandb", path, "--json"]).expect(0).json();
    assert_eq!((&first["runs_new"], &first["damaged_blocks"], &first["skipped"]), (&json!(2), &json!(0), &json!([])));
    let again = agent.cli(&["import", "wandb", path, "--json"]).expect(0).json();
    assert_eq!((&again["runs_new"], &again["runs_known"], &again["points"]), (&json!(0), &json!(2), &json!(0)));
    assert_eq!(points(&agent, "p", "a", "x"), (0..500).map(|i| (i, i as f64)).collect::<Vec<_>>());
    assert_eq!(points(&agent, "p", "a", "val/y")[..2], [(0, 0.0), (10, 0.5)], "drawn over its own axis");
    let run = wait(agent.client().run(run_id("p", "a"))).unwrap();
    assert_eq!((run.name.as_str(), run.params["lr"].as_str(), run.params["deep.n"].as_str()), ("nice", "0.5", "3"));
    assert_eq!((run.metrics["best"].value, run.tags["t"].as_str()), (0.75, "true"));
    assert_eq!((status(&agent, "p", "a"), status(&agent, "p", "b")), ("FINISHED".to_owned(), "FAILED".to_owned()));
    let id = run.id.to_string();
    let files = agent.cli(&["artifact", "list", &id, "--json"]).expect(0).stdout;
    assert!(files.contains("output.log") && files.contains("media"), "{files}");
}

#[test]
fn a_file_that_grows_is_followed_and_damage_is_counted() {
    let Some(python) = python() else { return };
    let work = tempfile::tempdir().unwrap();
    let log = offline(&python, work.path(), "c", 3000, "");
    let whole = std::fs::read(&log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run-20260102_030405-c");
    std::fs::create_dir(&run).unwrap();
    let (log, agent) = (run.join("run-c.wandb"), Agent::start());
    std::fs::write(&log, &whole[..whole.len() / 2 + 11]).unwrap();
    let mut following = agent.home().command(&["import", "wandb", folder.path().to_str().unwrap(), "--follow"]);
    let following = following.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).spawn().unwrap();
    eventually("half of it", || points(&agent, "p", "c", "x").len() > 500);
    assert_eq!(status(&agent, "p", "c"), "RUNNING");
    std::fs::write(&log, &whole).unwrap();
    eventually("the end", || status(&agent, "p", "c") == "FINISHED");
    let mut following = following;
    following.kill().unwrap();
    following.wait().unwrap();
    let run = wait(agent.client().run(run_id("p", "c"))).unwrap();
    assert_eq!((run.metrics["x"].count, run.metrics["x"].value), (3000, 2999.0));
    // The same with a block that cannot be read, elsewhere.
    let other = Agent::start();
    let mut bad = whole.clone();
    bad[3 * 32_768 + 1000] ^= 0xff;
    std::fs::write(&log, &bad).unwrap();
    let taken = other.cli(&["import", "wandb", log.to_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!(taken["damaged_blocks"], 1);
    let run = wait(other.client().run(run_id("p", "c"))).unwrap();
    let count = run.metrics["x"].count;
    assert!(count < 3000 && count > 2700, "{count}");
    assert_eq!(run.status.name(), "FINISHED");
}

#[test]
fn what_is_no_folder_of_wandb_is_said() {
    let (agent, empty) = (Agent::start(), tempfile::tempdir().unwrap());
    let said = agent.cli(&["import", "wandb", empty.path().to_str().unwrap()]).expect(2).stderr;
    assert!(said.contains("holds no runs of W&B"), "{said}");
    agent.cli(&["import", "wandb", "/nowhere/at/all"]).expect(4);
    let log = empty.path().join("run-x.wandb");
    std::fs::write(&log, b"no log at all").unwrap();
    let taken = agent.cli(&["import", "wandb", log.to_str().unwrap(), "--json"]).expect(0).json();
    assert!(taken["skipped"][0].as_str().unwrap().contains("no .wandb file"), "{taken}");
}

/// Offline scripts leave artifacts and alerts in their logs; both come with an import, once.
#[test]
fn artifacts_and_alerts_of_files_come_along() {
    let Some(python) = python() else { return };
    let (agent, work) = (Agent::start(), tempfile::tempdir().unwrap());
    let more = "import os\nos.makedirs('d/deep')\nopen('d/a.txt', 'w').write('one')\nopen('d/deep/b.bin', 'wb').write(b'x' * 70000)\n\
                art = wandb.Artifact('weights', type='model', metadata={'of': 1}, description='first')\nart.add_dir('d')\n\
                art.add_reference('https://example.org/far.csv', 'far', checksum=False)\nrun.log_artifact(art, aliases=['best'])\n\
                run.alert('loss is odd', text='look', level='ERROR')";
    offline(&python, work.path(), "withart", 3, more);
    let path = work.path().join("wandb");
    let path = path.to_str().unwrap();
    let first = agent.cli(&["import", "wandb", path, "--json"]).expect(0).json();
    assert_eq!((&first["artifacts"], &first["alerts"], &first["skipped"]), (&json!(1), &json!(1), &json!([])));
    agent.cli(&["import", "wandb", path, "--json"]).expect(0);
    let run = wait(agent.client().run(run_id("p", "withart"))).unwrap();
    assert_eq!(run.models.len(), 1, "a model once");
    // An alert of long ago stands on its run and wakes nobody.
    assert_eq!(run.tags["wandb.alert.loss is odd"], "ERROR loss is odd: look");
    assert!(wait(agent.client().incidents(None)).unwrap().is_empty());
    let id = run.id.to_string();
    agent.cli(&["model", "register", "net", "--run", &id, "--reason", "a test"]).expect(0);
    let shown = agent.cli(&["model", "show", "net", "--json"]).expect(0).json();
    assert_eq!(shown["versions"][0]["artifact"]["files"], json!(2));
    assert_eq!(shown["versions"][0]["artifact"]["bytes"], json!(70003));
    // With the client's copies gone it is said which file is missing, and the rest comes.
    let other = Agent::start();
    std::fs::remove_dir_all(work.path().join("data")).unwrap();
    let taken = other.cli(&["import", "wandb", path, "--json"]).expect(0).json();
    assert_eq!((&taken["runs_new"], &taken["artifacts"]), (&json!(1), &json!(0)));
    let said = taken["skipped"][0].as_str().unwrap();
    assert!(said.contains("artifact weights") && said.contains("not on this machine"), "{said}");
}
