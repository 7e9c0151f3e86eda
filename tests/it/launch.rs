//! Versions whose servers the agent starts: they come up, answer, are started again, outlive the agent, and are stopped.
//! And services whose traffic others carry.

use std::io::BufReader;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::router::ask;
use crate::support::{Agent, Home, eventually};

const MODEL: &str = r#"{"positive":"late","bias":0.0,"numeric":[
    {"column":"hour","mean":12.0,"scale":4.0,"weight":1.0,"weight_missing":0.0}],"categorical":[]}"#;

/// An agent that may run programs, and a model whose versions answer 0.5 for noon, each with its own bias.
fn agent(exec: bool) -> Agent {
    let mut args = vec!["--router", "127.0.0.1:0"];
    if exec {
        args.extend(["--exec", "true"]);
    }
    let agent = Agent::start_in(Home::new(), &args);
    for (n, bias) in [0.0, 1.0, 2.0].iter().enumerate() {
        let folder = agent.home().path().join(format!("m{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.json"), MODEL.replace("\"bias\":0.0", &format!("\"bias\":{bias:.1}")))
            .unwrap();
        agent.cli(&["model", "push", "delay", folder.to_str().unwrap()]).expect(0);
    }
    agent.cli(&["promote", "delay", "1", "--to", "prod", "--reason", "the first one"]).expect(0);
    agent
}

fn apply(agent: &Agent, more: &str) {
    let text = format!("[service.d]\nmodel = \"delay\"\nprotocol = \"mlflow\"\n{more}\n");
    std::fs::write(agent.home().path().join("s.toml"), text).unwrap();
    agent.cli(&["apply", "s.toml", "--reason", "it is served now"]).expect(0);
}

fn launch(program: &str) -> String {
    format!(
        "launch = {{ command = [{program:?}, \"demo\", \"serve\", \"{{artifact}}\", \"--port\", \"{{port}}\"] }}\n\
         rollout = {{ steps = [{{ weight = 100 }}] }}"
    )
}

fn show(agent: &Agent) -> Value {
    agent.cli(&["service", "show", "d", "--json"]).expect(0).json()
}

fn server(agent: &Agent, version: u64) -> Value {
    let servers = show(agent)["servers"].as_array().unwrap().clone();
    servers.into_iter().find(|s| s["version"] == version).unwrap_or(Value::Null)
}

/// What the router answers for noon, to one decimal; `None` while nothing is routed.
fn noon(agent: &Agent) -> Option<(String, String)> {
    let status = agent.cli(&["status", "--json"]).expect(0).json();
    let address = status["router"].as_str()?.strip_prefix("http://")?.to_owned();
    let mut client = BufReader::new(TcpStream::connect(address).ok()?);
    let body = "{\"dataframe_records\": [{\"hour\": 12.0}]}";
    let text = format!("POST /d/invocations HTTP/1.1\r\nhost: r\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (status, head, body) = ask(&mut client, &text)?;
    let version = head.lines().find_map(|l| l.strip_prefix("x-opsroom-version: "))?.trim().to_owned();
    (status == 200).then_some((version, body))
}

#[test]
fn a_launched_version_answers_is_started_again_and_outlives_the_agent() {
    let mut agent = agent(true);
    apply(&agent, &launch(env!("CARGO_BIN_EXE_opsroom")));
    eventually("v1 answers", || noon(&agent).is_some_and(|(v, body)| v == "1" && body.contains("[0.5]")));
    let first = server(&agent, 1);
    assert_eq!((&first["state"], first["command"][2].as_str().unwrap()), (&json!("ready"), "serve"), "{first}");
    // All callers go only to a server that is there; a rollout starts it beside the one that answers.
    let refused = agent.cli(&["service", "switch", "d", "2", "--reason", "at once"]);
    assert!(refused.expect(3).stderr.contains("no server of d v2 runs"));
    agent.cli(&["rollout", "start", "d", "2", "--reason", "better"]).expect(0);
    eventually("v2 answers", || noon(&agent).is_some_and(|(v, body)| v == "2" && body.contains("[0.73")));
    agent.cli(&["rollout", "finish", "d", "--reason", "it is good"]).expect(0);
    // It is killed: another process at the same address.
    let pid = |v| server(&agent, v)["pid"].as_i64().unwrap();
    let before = server(&agent, 2);
    let kill = |pid: i64| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    kill(before["pid"].as_i64().unwrap());
    eventually("it is started again", || {
        server(&agent, 2)["pid"] != before["pid"] && server(&agent, 2)["state"] == "ready"
    });
    assert_eq!(server(&agent, 2)["url"], before["url"]);
    // The agent dies: the servers go on, and the next agent finds them; the version before is still warm.
    let pids = (pid(1), pid(2));
    agent.signal(rustix::process::Signal::KILL);
    agent.ended();
    agent.start_again(&["--router", "127.0.0.1:0", "--exec", "true"]);
    eventually("they are adopted", || noon(&agent).is_some_and(|(v, _)| v == "2"));
    let pid = |v| server(&agent, v)["pid"].as_i64().unwrap();
    assert_eq!((pid(1), pid(2)), pids);
    agent.cli(&["rollback", "d", "--reason", "quality fell"]).expect(0);
    eventually("v1 answers again", || noon(&agent).is_some_and(|(v, _)| v == "1"));
    agent.cli(&["agent", "stop"]).expect(0);
    let lives = |pid: i64| std::path::Path::new(&format!("/proc/{pid}")).exists();
    eventually("they end with the agent", || !lives(pids.0) && !lives(pids.1));
}

#[test]
fn a_version_that_never_gets_ready_is_dropped_and_says_why() {
    let agent = agent(true);
    // It serves the first version only: the second finds no model.
    let script = "case $1 in *) exec \"$0\" demo serve \"$1\" --port $2;; esac";
    let program = env!("CARGO_BIN_EXE_opsroom");
    apply(
        &agent,
        &format!(
            "launch = {{ command = [\"sh\", \"-c\", '[ {{version}} = 1 ] || {{ echo no such weights; exit 3; }}; {script}', \
             {program:?}, \"{{artifact}}\", \"{{port}}\"] }}\nrollout = {{ steps = [{{ weight = 50 }}] }}"
        ),
    );
    eventually("v1 answers", || noon(&agent).is_some());
    agent.cli(&["rollout", "start", "d", "2", "--reason", "let us see"]).expect(0);
    eventually("it is dropped", || show(&agent)["candidate"].is_null());
    let last = show(&agent)["history"][0].clone();
    let why = last["why"].as_str().unwrap();
    assert!(why.contains("v2 cannot be started") && why.contains("no such weights"), "{last}");
    assert!(noon(&agent).is_some_and(|(v, _)| v == "1"), "traffic went on");
    agent.cli(&["agent", "stop"]).expect(0);
}

#[test]
fn without_permission_nothing_is_started_and_it_is_said() {
    let agent = agent(false);
    apply(&agent, &launch(env!("CARGO_BIN_EXE_opsroom")));
    eventually("it says why", || server(&agent, 1)["why"].as_str().is_some_and(|w| w.contains("agent.exec is off")));
    assert_eq!(noon(&agent), None);
    agent.cli(&["agent", "stop"]).expect(0);
}

#[test]
fn where_others_carry_the_traffic_the_deployment_is_told_and_predictions_prove_it() {
    let agent = agent(true);
    apply(&agent, "traffic = \"external\"\ndeploy = { command = [\"./deploy.sh\", \"{version}\"] }");
    let refused = agent.cli(&["rollout", "start", "d", "2", "--reason", "a part of it"]);
    assert!(refused.expect(3).stderr.contains("carried by others"));
    agent.cli(&["promote", "delay", "2", "--to", "prod", "--all-at-once", "--reason", "better"]).expect(0);
    let shown = agent.cli(&["service", "show", "d"]).expect(0).stdout;
    assert!(shown.contains("v2 is awaited; deploy it with: ./deploy.sh 2"), "{shown}");
    let stage = || {
        let model = agent.cli(&["model", "show", "delay", "--json"]).expect(0).json();
        let all = model["versions"].as_array().unwrap().clone();
        all.iter().find(|v| v["stage"] == "prod").unwrap()["version"].as_u64().unwrap()
    };
    assert_eq!((stage(), &show(&agent)["stable"]), (1, &json!(1)), "nothing moved yet");
    agent.cli(&["deployed", "d", "2", "--reason", "the pipeline says so"]).expect(0);
    assert_eq!((stage(), &show(&agent)["stable"], &show(&agent)["awaited"]), (2, &json!(2), &Value::Null));
    // The predictions say otherwise.
    let file = agent.home().path().join("p.ndjson");
    std::fs::write(&file, "{\"id\":\"1\",\"service\":\"d\",\"version\":\"1\",\"prediction\":1,\"score\":0.7}\n")
        .unwrap();
    agent.cli(&["predictions", "add", file.to_str().unwrap()]).expect(0);
    assert_eq!(show(&agent)["difference"], "predictions come from v1, decided is v2");
    // The agent may run the line itself, and says how it went.
    apply(
        &agent,
        "traffic = \"external\"\ndeploy = { command = [\"sh\", \"-c\", \"echo no quota >&2; exit 4\"], run = true }",
    );
    agent.cli(&["rollback", "d", "--reason", "it is worse"]).expect(0);
    eventually("it failed", || show(&agent)["awaited"]["failed"].as_str().is_some_and(|w| w.contains("no quota")));
    assert_eq!(stage(), 2);
    apply(&agent, "traffic = \"external\"\ndeploy = { command = [\"true\"], run = true }");
    agent.cli(&["rollback", "d", "--reason", "once more"]).expect(0);
    eventually("it is deployed", || show(&agent)["stable"] == 1);
    assert_eq!(stage(), 1);
    agent.cli(&["audit", "verify"]).expect(0);
    agent.cli(&["agent", "stop"]).expect(0);
}
