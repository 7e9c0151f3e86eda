//! `opsroom doctor` and `opsroom init` as a newcomer meets them.

use crate::support::{Agent, Home};

#[test]
fn a_newcomer_is_told_what_to_do_first() {
    let home = Home::new();
    let done = home.run(&["doctor", "--json"]).expect(0);
    let report = done.json();
    assert_eq!(report["capabilities"][0]["state"], "unknown", "{report}");
    let agent = report["checks"].as_array().unwrap().iter().find(|c| c["name"] == "agent").unwrap();
    assert_eq!(agent["state"], "missing");
    let agent = Agent::start_in(home, &[]);
    let report = agent.cli(&["doctor", "--json"]).expect(0).json();
    assert_eq!(report["capabilities"].as_array().unwrap().len(), 12);
    let first = &report["capabilities"][0];
    assert_eq!((first["name"].as_str(), first["state"].as_str()), (Some("experiment tracking"), Some("missing")));
    assert!(first["next"].as_str().unwrap().contains("opsroom connect mlflow"), "{first}");
    let told = agent.cli(&["doctor"]).expect(0).stdout;
    assert!(told.contains("next: experiment tracking: "), "{told}");
}

#[test]
fn what_init_writes_is_taken_by_apply_and_nothing_is_overwritten() {
    let agent = Agent::start();
    agent.cli(&["init", "repo", "--model", "churn"]).expect(0);
    let model = agent.home().path().join("repo/opsroom/model.toml");
    agent.cli(&["apply", model.to_str().unwrap(), "--reason", "start"]).expect(0);
    let gates = agent.cli(&["gate", "list", "--json"]).expect(0).json();
    assert_eq!(gates["gates"].as_array().unwrap().len(), 3, "{gates}");
    agent.cli(&["config", "show", "--config", "repo/opsroom.toml"]).expect(0);
    std::fs::write(&model, "mine").unwrap();
    let again = agent.cli(&["init", "repo", "--json"]).expect(0).json();
    assert!(again.as_array().unwrap().iter().all(|f| f["written"] == false), "{again}");
    assert_eq!(std::fs::read_to_string(&model).unwrap(), "mine");
    agent.cli(&["init", "repo", "--model", "a\"b"]).expect(2);
}
