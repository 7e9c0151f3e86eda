//! A server of MLflow's that is upgraded while it is mirrored, and what MLflow's order of points and late writers do to a mirror.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use opsroom::capability::tracking::{RunQuery, RunView};
use serde_json::json;

use crate::fault_proxy::{Fault, Proxy};
use crate::mirror::{FILL, Server, python, script};
use crate::support::{Agent, eventually, wait};

/// `opsroom import mlflow URL --follow`, and what it says.
struct Mirror {
    child: Child,
    said: std::path::PathBuf,
}

impl Mirror {
    fn start(agent: &Agent, url: &str) -> Self {
        let said = agent.home().path().join("mirror.log");
        let mut command = agent.home().command(&["import", "mlflow", url, "--follow"]);
        command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).stdout(Stdio::null());
        let child = command.stderr(std::fs::File::create(&said).unwrap()).spawn().unwrap();
        Self { child, said }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

fn run(agent: &Agent, name: &str) -> Option<RunView> {
    wait(agent.client().search_runs(&RunQuery::default())).unwrap().runs.into_iter().find(|r| r.name == name)
}

/// Status, points that were received, and the steps of those that are there, in their order.
fn stands(agent: &Agent, name: &str) -> (String, u32, Vec<i64>) {
    let Some(run) = run(agent, name) else { return Default::default() };
    let mut steps: Vec<i64> = wait(agent.client().points(run.id, "loss")).unwrap().iter().map(|p| p.step).collect();
    steps.sort_unstable();
    (run.status.name().to_owned(), run.metrics.get("loss").map_or(0, |m| m.count), steps)
}

fn whole(status: &str, steps: impl IntoIterator<Item = i64>) -> (String, u32, Vec<i64>) {
    let steps: Vec<i64> = steps.into_iter().collect();
    (status.to_owned(), steps.len() as u32, steps)
}

fn upgrade(python: &str, folder: &Path) {
    let args = ["-m", "mlflow", "db", "upgrade", "sqlite:///mlflow.db"];
    let done = Command::new(python).args(args).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The address stays, and behind it: a server, nobody, what proxies say meanwhile, and the new server over the same store.
/// `OPSROOM_TEST_PYTHON_BEFORE` may name a Python with an older MLflow, which then serves first; without it the version is
/// the same before and after, and what the mirror meets in between is all the same.
#[test]
fn an_upgrade_under_the_mirror_costs_nothing_but_time() {
    let Some(python) = python() else { return };
    let before = std::env::var("OPSROOM_TEST_PYTHON_BEFORE").unwrap_or_else(|_| python.clone());
    let (folder, agent) = (tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&before, folder.path());
    script(&before, &server.url, FILL);
    let proxy = Proxy::start(&server.url);
    let mirror = Mirror::start(&agent, &proxy.url);
    eventually("the mirror", || stands(&agent, "r2") == whole("RUNNING", 0..10));
    script(
        &before,
        &server.url,
        "r = c.search_runs(['1'], \"attributes.status = 'RUNNING'\")[0].info.run_id\n\
         c.log_metric(r, 'loss', 0.05, step=10)\n\
         n = c.create_run('1', run_name='just before')\nc.log_metric(n.info.run_id, 'loss', 1.0, step=0)\n",
    );
    proxy.set(Fault::Upgrading);
    drop(server);
    eventually("word of it", || mirror.said().contains("does not answer") || mirror.said().contains("answered"));
    eventually("all that is said meanwhile", || proxy.seen() >= 4);
    upgrade(&python, folder.path());
    let server = Server::start(&python, folder.path());
    proxy.lead_to(&server.url);
    proxy.set(Fault::None);
    // Those that went on end, one that had ended is begun again, one is new; a point comes from a clock that is behind.
    script(
        &python,
        &server.url,
        "from mlflow.entities import Dataset, DatasetInput\n\
         for run in c.search_runs(['1'], \"attributes.status = 'RUNNING'\"):\n    \
             c.log_metric(run.info.run_id, 'loss', 0.04, step=11)\n    \
             c.log_metric(run.info.run_id, 'loss', 0.5, step=5, timestamp=1000)\n    \
             c.log_inputs(run.info.run_id, [DatasetInput(Dataset('late', 'd1', 'local', '{}'))])\n    \
             c.set_terminated(run.info.run_id)\n\
         again = c.search_runs(['1'], \"attributes.run_name = 'r0'\")[0].info.run_id\n\
         c.update_run(again, status='RUNNING')\nc.log_metric(again, 'loss', 7.0, step=99)\nc.set_terminated(again)\n\
         new = c.create_run('1', run_name='after')\nc.log_metric(new.info.run_id, 'loss', 0.5, step=0)\n\
         c.set_terminated(new.info.run_id)\n",
    );
    eventually("the new run", || stands(&agent, "after") == whole("FINISHED", [0]));
    let all = [
        ("r0", whole("FINISHED", (0..10).chain([99]))),
        ("r1", whole("FINISHED", 0..10)),
        ("r2", whole("FINISHED", (0..6).chain(5..12))),
        ("just before", whole("FINISHED", [0, 5, 11])),
        ("after", whole("FINISHED", [0])),
    ];
    for (name, expected) in &all {
        eventually(name, || stands(&agent, name) == *expected);
    }
    let inputs = run(&agent, "r2").unwrap().inputs;
    assert_eq!(inputs.iter().map(|i| (i.name.as_str(), i.digest.as_str())).collect::<Vec<_>>(), [("late", "d1")]);
    assert!(mirror.said().contains("it goes on"), "{}", mirror.said());
    drop(mirror);
    // Another process finds nothing to do, also when it asks for everything.
    for more in [&[][..], &["--full"]] {
        let args = [&["import", "mlflow", &proxy.url, "--json"], more].concat();
        let taken = agent.cli(&args).expect(0).json();
        assert_eq!((&taken["runs_new"], &taken["points"], &taken["skipped"]), (&json!(0), &json!(0), &json!([])));
        all.iter().for_each(|(name, expected)| assert_eq!(stands(&agent, name), *expected, "{name}"));
    }
}

/// One run that the server has lost its way with does not stand for the server: the others come, and it comes later.
#[test]
fn what_the_server_cannot_tell_of_one_run_is_asked_for_again() {
    let Some(python) = python() else { return };
    let (folder, agent) = (tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&python, folder.path());
    script(&python, &server.url, FILL);
    script(
        &python,
        &server.url,
        "r = c.create_run('1', run_name='ill')\nc.log_metric(r.info.run_id, 'loss', 1.0)\n\
         c.log_metric(r.info.run_id, 'bitter', 1.0)\nc.set_terminated(r.info.run_id)\n",
    );
    let proxy = Proxy::start(&server.url);
    let import = || agent.cli(&["import", "mlflow", &proxy.url, "--json"]).expect(0).json();
    proxy.set(Fault::Poison("metric_key=bitter"));
    let first = import();
    assert_eq!((&first["runs_new"], first["skipped"].as_array().map(Vec::len)), (&json!(3), Some(1)), "{first}");
    assert!(first["skipped"][0].as_str().unwrap().contains("no row"), "{first}");
    proxy.set(Fault::None);
    assert_eq!(import()["runs_new"], json!(1));
    assert_eq!(stands(&agent, "ill"), whole("FINISHED", [0]));
}
