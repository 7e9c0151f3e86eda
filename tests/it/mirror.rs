//! A live MLflow server of MLflow's own, mirrored: runs, registry, what goes on there, and what is told back.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use opsroom::capability::tracking::RunQuery;
use serde_json::json;

use crate::fault_proxy::{Fault, Proxy};
use crate::support::{Agent, eventually, wait};

/// A Python that can serve MLflow.
pub fn python() -> Option<String> {
    let python = std::env::var("OPSROOM_TEST_PYTHON").ok();
    let serves = |python: &String| {
        Command::new(python).args(["-c", "import mlflow.server, uvicorn"]).output().unwrap().status.success()
    };
    let found = python.filter(serves);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "OPSROOM_TEST_PYTHON must have mlflow's server in CI");
        eprintln!("skipped: needs OPSROOM_TEST_PYTHON: a Python with tests/clients/requirements.txt installed");
    }
    found
}

pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(python: &str, folder: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        // Its workers end with it: they are in its group.
        let child = std::os::unix::process::CommandExt::process_group(&mut Command::new(python), 0)
            .args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
            .args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"])
            .current_dir(folder)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, url: format!("http://{address}") };
        // It takes seconds of work before it listens: minutes, where the machine is busy.
        for _ in 0..900 {
            if std::net::TcpStream::connect(&address).is_ok() {
                return server;
            }
            assert_eq!(server.child.try_wait().unwrap(), None, "MLflow's server ended");
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("MLflow's server does not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

pub fn script(python: &str, url: &str, text: &str) {
    let head = format!("import mlflow\nc = mlflow.MlflowClient('{url}')\n");
    let mut command = Command::new(python);
    // MLflow's client tries for minutes where no server is: a test that went wrong would seem to hang.
    command.args(["-c", &format!("{head}{text}")]).env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2");
    command.env("MLFLOW_TRACKING_URI", url);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub const FILL: &str = "
e = c.create_experiment('flights')
for i in range(3):
    r = c.create_run(e, run_name=f'r{i}', tags={'team': 'ops'})
    c.log_param(r.info.run_id, 'lr', i)
    for s in range(10): c.log_metric(r.info.run_id, 'loss', float('nan') if s == 3 else 1 / (s + 1), step=s)
    c.log_text(r.info.run_id, f'hello {i}', 'a.txt')
    if i < 2: c.set_terminated(r.info.run_id)
c.create_registered_model('net')
for _ in range(2): c.create_model_version('net', f'runs:/{r.info.run_id}/model', run_id=r.info.run_id)
c.set_registered_model_alias('net', 'champion', '1')
";

#[test]
fn a_live_server_is_mirrored_and_told_only_what_is_decided() {
    let Some(python) = python() else { return };
    let (folder, agent) = (tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&python, folder.path());
    script(&python, &server.url, FILL);
    let import = |more: &[&str]| {
        let all = [&["import", "mlflow", &server.url, "--json"], more].concat();
        agent.cli(&all).expect(0).json()
    };
    let first = import(&[]);
    assert_eq!((&first["runs_new"], &first["points"], &first["versions_new"]), (&json!(3), &json!(30), &json!(2)));
    assert_eq!(first["skipped"], json!([]));
    let second = import(&[]);
    assert_eq!((&second["runs_new"], &second["points"], &second["versions_new"]), (&json!(0), &json!(0), &json!(0)));
    // What goes on there comes with the next pass; so does what began since.
    script(
        &python,
        &server.url,
        "r = c.search_runs(['1'], \"attributes.status = 'RUNNING'\")[0].info.run_id\n\
         c.log_metric(r, 'loss', 0.5, step=10)\nc.set_terminated(r)\nc.create_run('1', run_name='new')\n",
    );
    assert_eq!(import(&[])["runs_new"], json!(1));
    let runs = wait(agent.client().search_runs(&RunQuery::default())).unwrap().runs;
    let named = |name: &str| runs.iter().find(|r| r.name == name).unwrap();
    assert_eq!((named("r2").status.name(), named("r2").metrics["loss"].count), ("FINISHED", 11));
    assert!(named("r0").artifact_uri.starts_with(&format!("{}/api/2.0/mlflow-artifacts/", server.url)));
    // Told back: what was decided here, and nothing else.
    agent.cli(&["promote", "net", "2", "--to", "staging", "--reason", "tried here"]).expect(0);
    import(&["--write-back"]);
    script(
        &python,
        &server.url,
        "assert c.get_model_version('net', '2').current_stage == 'Staging'\n\
         assert c.get_model_version('net', '1').current_stage == 'None'\n\
         assert c.get_registered_model('net').aliases == {'champion': '1'}\n",
    );
    let address = server.url.clone();
    drop(server);
    eventually("the server's end", || std::net::TcpStream::connect(address.trim_start_matches("http://")).is_err());
    let said = agent.cli(&["import", "mlflow", &address]).expect(5).stderr;
    assert!(said.contains("does not answer") && said.contains("nothing is lost or doubled"), "{said}");
}

/// What is here of a mirrored run: its points of `loss`, and how it stands.
fn here(agent: &Agent) -> Vec<(String, String, u32)> {
    let runs = wait(agent.client().search_runs(&RunQuery::default())).unwrap().runs;
    let mut all: Vec<_> = runs
        .iter()
        .map(|r| (r.name.clone(), r.status.name().to_owned(), r.metrics.get("loss").map_or(0, |m| m.count)))
        .collect();
    all.sort();
    all
}

#[test]
fn a_server_that_is_slow_busy_cut_or_away_costs_nothing_but_time() {
    let Some(python) = python() else { return };
    let (folder, agent) = (tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&python, folder.path());
    script(&python, &server.url, FILL);
    let proxy = Proxy::start(&server.url);
    let import = || agent.cli(&["import", "mlflow", &proxy.url, "--json"]);
    // The line breaks somewhere in the middle: what failed is said, and nothing is half here.
    for after in [1, 3, 6] {
        proxy.set(Fault::Cut(after));
        let said = import();
        assert!(said.code == 5 || said.json()["skipped"] != json!([]), "{said:?}");
        assert!(here(&agent).iter().all(|(_, _, points)| *points == 10), "{:?}", here(&agent));
    }
    proxy.set(Fault::Away);
    let said = import().expect(5).stderr;
    assert!(said.contains("does not answer") && said.contains("nothing is lost or doubled"), "{said}");
    // A restart behind a proxy answers 503 for a while, and is waited for.
    proxy.set(Fault::Busy(2));
    import().expect(0);
    assert!(proxy.seen() > 2);
    let all = |state: &str| {
        (0..3).map(|n| (format!("r{n}"), if n < 2 { "FINISHED" } else { state }.to_owned(), 10)).collect::<Vec<_>>()
    };
    assert_eq!(here(&agent), all("RUNNING"));
    proxy.set(Fault::Slow(Duration::from_millis(150)));
    script(
        &python,
        &server.url,
        "r = c.search_runs(['1'], \"attributes.status = 'RUNNING'\")[0].info.run_id\nc.set_terminated(r)\n",
    );
    let slow = import().expect(0).json();
    assert_eq!((&slow["runs_new"], &slow["points"]), (&json!(0), &json!(0)));
    assert_eq!(here(&agent), all("FINISHED"));
    // A second pass with nothing new asks for little.
    proxy.set(Fault::None);
    import().expect(0);
    assert!(proxy.seen() < 30, "{} requests", proxy.seen());
}

#[test]
fn a_server_that_loses_runs_takes_none_from_here() {
    let Some(python) = python() else { return };
    let (folder, agent) = (tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&python, folder.path());
    script(&python, &server.url, FILL);
    let import =
        |url: &str, more: &[&str]| agent.cli(&[&["import", "mlflow", url, "--json"], more].concat()).expect(0).json();
    import(&server.url, &[]);
    let before = here(&agent);
    // Deleted there, one and all; then the same address with an empty store, as after an upgrade that went wrong.
    script(
        &python,
        &server.url,
        "for r in c.search_runs(['1']): c.delete_run(r.info.run_id)\nc.delete_registered_model('net')\n",
    );
    let again = import(&server.url, &["--full"]);
    assert_eq!((&again["runs_new"], &again["skipped"]), (&json!(0), &json!([])));
    assert_eq!(here(&agent), before);
    drop(server);
    let empty = tempfile::tempdir().unwrap();
    let other = Server::start(&python, empty.path());
    script(&python, &other.url, "e = c.create_experiment('flights')\nr = c.create_run(e, run_name='begun anew')\n");
    let new = import(&other.url, &[]);
    assert_eq!((&new["runs_new"], &new["skipped"]), (&json!(1), &json!([])));
    let now = here(&agent);
    assert_eq!(now.len(), before.len() + 1);
    assert!(before.iter().all(|run| now.contains(run)));
    let versions =
        agent.cli(&["model", "show", "net", "--json"]).expect(0).json()["versions"].as_array().unwrap().len();
    assert_eq!(versions, 2, "the registry stays too");
}
