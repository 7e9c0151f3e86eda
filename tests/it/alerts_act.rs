//! What a rule does beside the page: it holds a rollout, or goes back to the version before; once, and not for silence.

use serde_json::{Value, json};

use crate::support::{Agent, eventually, wait};

/// A service whose versions answer elsewhere: 2 answers, 1 did before.
fn second_of_two() -> Agent {
    let agent = Agent::start();
    for n in 1..=3 {
        let folder = agent.home().path().join(format!("m{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.txt"), format!("{n}")).unwrap();
        agent.cli(&["model", "push", "delay", folder.to_str().unwrap()]).expect(0);
    }
    agent.cli(&["promote", "delay", "1", "--to", "prod", "--reason", "the first one"]).expect(0);
    let backends = "[{ version = \"1\", url = \"http://127.0.0.1:9\" }, { version = \"2\", url = \"http://127.0.0.1:9\" }, \
        { version = \"3\", url = \"http://127.0.0.1:9\" }]";
    let service = format!(
        "[service.delay]\nmodel = \"delay\"\nprotocol = \"mlflow\"\nbackend = {backends}\nrollout = {{ steps = [{{ weight = 5, for = \"1h\" }}] }}\n"
    );
    write(&agent, "service.toml", &service);
    agent.cli(&["apply", "service.toml", "--reason", "it is served"]).expect(0);
    agent.cli(&["promote", "delay", "2", "--to", "prod", "--all-at-once", "--reason", "better"]).expect(0);
    assert_eq!(stable(&agent), 2);
    agent
}

fn write(agent: &Agent, name: &str, text: &str) {
    std::fs::write(agent.home().path().join(name), text).unwrap();
}

fn stable(agent: &Agent) -> u64 {
    agent.cli(&["service", "show", "delay", "--json"]).expect(0).json()["stable"].as_u64().unwrap()
}

fn notes(agent: &Agent, incident: &str) -> Vec<String> {
    let shown = agent.cli(&["incident", incident, "--json"]).expect(0).json();
    let all = shown["notes"].as_array().cloned().unwrap_or_default();
    all.iter().map(|n| n["text"].as_str().unwrap().to_owned()).collect()
}

fn raise(agent: &Agent, rule: &str, action: &str) {
    let now = opsroom::base::Clock::now(&opsroom::base::clock::SystemClock);
    let from = opsroom::base::Timestamp(now.0 - 60_000_000).to_string();
    let alert = json!({"rule": rule, "severity": 1, "action": action, "what": format!("{rule} 0.5 < 0.6"), "value": 0.5,
        "n": 1000, "from": from, "to": now.to_string(), "query": "opsroom quality delay"});
    let command = json!({"room": "incidents", "do": "raise-alert", "service": "delay", "alert": alert});
    let body = json!({"command": command, "reason": ""});
    wait(agent.client().mlflow(reqwest::Method::POST, "/api/v1/commands", &body)).unwrap();
}

#[test]
fn two_alerts_on_one_bad_version_go_back_once() {
    let agent = second_of_two();
    raise(&agent, "auc", "rollback");
    eventually("the way back", || stable(&agent) == 1);
    raise(&agent, "errors", "rollback");
    eventually("the second is seen to", || notes(&agent, "1").len() == 2);
    let said = notes(&agent, "1");
    assert_eq!(said[0], "rolled back by alert auc: v2 → v1");
    assert!(said[1].starts_with("not rolled back by alert errors: v2 was taken back at "), "{said:?}");
    assert_eq!(stable(&agent), 1);
    let trail = agent.cli(&["audit", "list", "--json"]).expect(0).json();
    let all = trail["records"].as_array().unwrap();
    let back: Vec<&Value> = all.iter().filter(|r| r["command"] == "rollback").collect();
    assert_eq!((back.len(), back[0]["detail"]["reason"].as_str()), (1, Some("alert auc: auc 0.5 < 0.6")), "{back:?}");
    let told = agent.cli(&["handover", "--since", "1h", "--to", "out", "--json"]).expect(0).json();
    let text = std::fs::read_to_string(agent.home().path().join(told["files"][0].as_str().unwrap())).unwrap();
    for part in
        ["| delay | v1 | - | no labels |", "rules rollback", "\"alert auc: auc 0.5 < 0.6\"", "nobody looks after it"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("**ok**"), "{text}");
    // The next agent finds the open alerts and does nothing once more.
    let home = agent.kill();
    let agent = Agent::start_in(home, &[]);
    raise(&agent, "phone", "page");
    agent.cli(&["incident", "note", "1", "looked at it"]).expect(0);
    assert_eq!(stable(&agent), 1);
}

#[test]
fn a_rollout_is_held_and_a_refusal_is_said_on_the_incident() {
    let agent = second_of_two();
    raise(&agent, "early", "hold");
    eventually("the refusal", || notes(&agent, "1").len() == 1);
    assert!(notes(&agent, "1")[0].starts_with("could not be held by alert early: "), "{:?}", notes(&agent, "1"));
    agent.cli(&["incident", "clear", "delay", "early"]).expect(0);
    agent.cli(&["rollout", "start", "delay", "3", "--reason", "try"]).expect(0);
    raise(&agent, "canary", "hold");
    let state = || agent.cli(&["rollout", "status", "delay", "--json"]).expect(0).json().to_string();
    eventually("it is held", || state().contains("\"held\""));
    raise(&agent, "worse", "rollback");
    let shown = || agent.cli(&["service", "show", "delay", "--json"]).expect(0).json();
    eventually("the canary is dropped", || shown()["candidate"].is_null());
    assert_eq!(stable(&agent), 2, "the version that all others see stays");
}

/// Nothing came: somebody is told, and the version that answers goes on.
#[test]
fn silence_takes_nothing_back() {
    let agent = second_of_two();
    let rule = "[[alert]]\nname = \"quiet\"\nservice = \"delay\"\nsignal = \"error_rate\"\nabove = 0.5\nabsent = \"1m\"\naction = \"rollback\"\n";
    write(&agent, "rules.toml", rule);
    let event = json!({"id": "1", "service": "delay", "version": "2", "prediction": 1, "time": "2026-01-01T00:00:00Z"});
    write(&agent, "p.ndjson", &event.to_string());
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    agent.cli(&["apply", "rules.toml", "--reason", "watch"]).expect(0);
    let list = || agent.cli(&["incident", "list", "--json"]).expect(0).json();
    eventually("somebody is told", || list().as_array().is_some_and(|l| !l.is_empty()));
    assert_eq!(list()[0]["alerts"][0]["action"], "page", "{}", list());
    // Whatever follows from an alert follows in the same look.
    agent.cli(&["incident", "ack", "1"]).expect(0);
    assert_eq!(stable(&agent), 2);
}

/// A model that answers in batches: its newest batch is what is looked at, however old, and a late one is called a batch.
#[test]
fn a_late_batch_is_named_and_the_one_before_is_still_looked_at() {
    let agent = Agent::start();
    let folder = agent.home().path().join("m");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model.txt"), "1").unwrap();
    agent.cli(&["model", "push", "churn", "m"]).expect(0);
    agent.cli(&["promote", "churn", "1", "--to", "prod", "--reason", "the first one"]).expect(0);
    let event = |i: usize| {
        json!({"id": format!("c{i}"), "service": "churn", "version": "1", "prediction": i % 2, "score": (i % 10) as f64 / 10.0,
            "time": "2026-01-05T03:00:00Z", "batch": "2026-01-05"})
    };
    let lines = |all: Vec<Value>| all.iter().map(|v| format!("{v}\n")).collect::<String>();
    write(&agent, "p.ndjson", &lines((0..200).map(event).collect()));
    write(&agent, "l.ndjson", &lines((0..200).map(|i| json!({"id": format!("c{i}"), "label": i % 2})).collect()));
    agent.cli(&["predictions", "add", "p.ndjson"]).expect(0);
    agent.cli(&["labels", "add", "l.ndjson"]).expect(0);
    let rules = "[service.churn]\nmodel = \"churn\"\nprotocol = \"none\"\n\n\
        [[alert]]\nname = \"late\"\nservice = \"churn\"\nsignal = \"requests\"\nbelow = 1\nwindow = \"1h\"\nabsent = \"1s\"\n";
    write(&agent, "rules.toml", rules);
    agent.cli(&["apply", "rules.toml", "--reason", "every night"]).expect(0);
    let list = || agent.cli(&["incident", "list", "--json"]).expect(0).json();
    eventually("it is late", || list().as_array().is_some_and(|l| !l.is_empty()));
    let what = list()[0]["alerts"][0]["what"].as_str().unwrap().to_owned();
    assert!(what.starts_with("no batch came for ") && what.ends_with("the last one was 2026-01-05"), "{what}");
    let get = |path: &str| wait(agent.client().mlflow(reqwest::Method::GET, path, &Value::Null)).unwrap();
    let fleet = get("/api/v1/fleet");
    let row = &fleet["services"][0];
    assert_eq!((row["n"].as_u64(), row["quality"]["value"].as_f64().is_some()), (Some(200), true), "{row}");
    let live = get("/api/v1/monitoring/churn/live");
    assert_eq!(live["versions"][0]["quality"]["labelled"], 200, "{live}");
    assert_eq!(
        (live["window"]["to"].as_str(), live["batch"][0].as_str()),
        (Some("2026-01-05T03:01:00Z"), Some("2026-01-05"))
    );
}
