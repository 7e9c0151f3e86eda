//! Runs of W&B's client, of MLflow's, and mirrored from a server of MLflow's are one kind of thing: compared, put together,
//! registered from, and read by the same words.

use opsroom::capability::tracking::wandb::run_id;
use opsroom::capability::tracking::{GroupBy, GroupQuery, RunQuery};
use serde_json::{Value, json};

use crate::mirror::{Server, python, script};
use crate::support::{Agent, wait};
use crate::wandb;

/// A run with a model, as MLflow's client logs one.
const WITH_MODEL: &str = "
import os, tempfile
from mlflow.entities import LoggedModelOutput
from mlflow.tracking.fluent import *
name = os.environ.get('NAME', 'by mlflow')
e = c.create_experiment('one ' + name)
parent = c.create_run(e, run_name='parent')
r = c.create_run(e, run_name=name, tags={'mlflow.parentRunId': parent.info.run_id})
c.log_param(r.info.run_id, 'lr', '0.25')
for s in range(5): c.log_metric(r.info.run_id, 'loss', 1 / (s + 2), step=s)
m = c.create_logged_model(e, name='net', source_run_id=r.info.run_id)
d = tempfile.mkdtemp()
open(d + '/model.txt', 'w').write(name)
c.log_model_artifacts(m.model_id, d)
c.finalize_logged_model(m.model_id, 'READY')
c.log_outputs(r.info.run_id, [LoggedModelOutput(m.model_id, 0)])
c.log_text(r.info.run_id, 'hello from ' + name, 'notes/a b.txt')
c.set_terminated(r.info.run_id)
c.set_terminated(parent.info.run_id)
";

const BY_WANDB: &str = "
import wandb
for sweep in ['s1', 's1', 's2']:
    run = wandb.init(project='one', group='g', job_type='train', config={'lr': 0.5}, settings=wandb.Settings(sweep_id=sweep))
    for s in range(5): run.log({'loss': 1 / (s + 1)})
    run.finish()
run = wandb.init(project='one', id='r', name='by wandb', job_type='eval', config={'lr': 0.5})
for s in range(5): run.log({'loss': 1 / (s + 1)})
art = wandb.Artifact('weights', type='model')
with art.new_file('model.txt') as f: f.write('by wandb')
run.log_artifact(art).wait()
run.finish()
";

fn named(agent: &Agent, name: &str) -> String {
    let runs = wait(agent.client().search_runs(&RunQuery::default())).unwrap().runs;
    runs.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no run {name}")).id.to_string()
}

fn groups(agent: &Agent, by: GroupBy) -> Vec<(String, usize)> {
    let query = GroupQuery { runs: RunQuery::default(), by, metrics: Vec::new() };
    let groups = wait(agent.client().run_groups(&query)).unwrap().groups;
    groups.into_iter().map(|g| (g.label, g.runs)).collect()
}

#[test]
fn runs_of_all_clients_are_one_kind_of_thing() {
    let Some(python) = python() else { return };
    let (folder, work, agent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Agent::start());
    let server = Server::start(&python, folder.path());
    script(&python, &server.url, &format!("import os\nos.environ['NAME'] = 'mirrored'\n{WITH_MODEL}"));
    script(&python, agent.url(), WITH_MODEL);
    assert!(wandb::script(&python, work.path(), agent.url(), BY_WANDB).wait().unwrap().success());
    let taken = agent.cli(&["import", "mlflow", &server.url, "--json"]).expect(0).json();
    assert_eq!((&taken["runs_new"], &taken["models_new"], &taken["skipped"]), (&json!(2), &json!(1), &json!([])));
    let ids = [run_id("one", "r").to_string(), named(&agent, "by mlflow"), named(&agent, "mirrored")];

    // Compared with each other.
    let compared = agent.cli(&["runs", "compare", &ids[0], &ids[1], &ids[2], "--json"]).expect(0).stdout;
    for part in ["loss", "lr", "by wandb", "by mlflow", "mirrored", "0.25", "0.5"] {
        assert!(compared.contains(part), "{part} is not in {compared}");
    }

    // A version of any of them, from the model that each logged.
    for (nth, id) in ids.iter().enumerate() {
        agent.cli(&["model", "register", "net", "--run", id, "--reason", "a test", "--json"]).expect(0);
        let shown = agent.cli(&["model", "show", "net", "--json"]).expect(0).json();
        let version = shown["versions"].as_array().unwrap().iter().find(|v| v["version"] == nth + 1).unwrap();
        assert_eq!(version["run_id"], json!(id));
        assert!(version["source"].as_str().unwrap().starts_with("models:/m-"), "{version}");
        // What lies on the other server stays there, and nothing is said to hold it still.
        let frozen = version["artifact"]["files"].as_u64();
        assert_eq!(frozen, (nth < 2).then_some(1), "{version}");
    }

    // Artifacts of the mirrored run are fetched from its server when someone asks.
    let list = agent.cli(&["artifact", "list", &ids[2], "-r", "--json"]).expect(0).json();
    assert_eq!(list, json!([{ "path": "notes/a b.txt", "is_dir": false, "size": 19 }]));
    let said = agent.cli(&["artifact", "get", &ids[2], "notes/a b.txt", "-o", "-"]).expect(0).stdout;
    assert_eq!(said, "hello from mirrored");

    // Put together by sweep, group, job type and parent.
    let tag = |key: &str| GroupBy::Tag(key.to_owned());
    let mut sweeps = groups(&agent, tag("wandb.sweep"));
    sweeps.sort();
    assert_eq!(sweeps, [("none".to_owned(), 5), ("s1".to_owned(), 2), ("s2".to_owned(), 1)]);
    assert!(groups(&agent, tag("wandb.job_type")).contains(&("train".to_owned(), 3)));
    assert!(groups(&agent, tag("wandb.group")).contains(&("g".to_owned(), 3)));
    let parents = groups(&agent, GroupBy::Parent);
    assert_eq!(parents.iter().filter(|g| **g == ("parent".to_owned(), 1)).count(), 2, "{parents:?}");

    // With its server away, the mirrored run is there, and its artifacts say where they are.
    drop(server);
    let said = agent.cli(&["artifact", "list", &ids[2]]).expect(5).stderr;
    assert!(said.contains("does not answer") && said.contains("mirrored"), "{said}");
    let view: Value = agent.cli(&["runs", "show", &ids[2], "--json"]).expect(0).json();
    assert_eq!(view["metrics"]["loss"]["count"], json!(5));
}
