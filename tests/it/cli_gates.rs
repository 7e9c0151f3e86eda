//! Evals and gates as a user meets them: a file is applied, suites run here, versions are judged, promoted, refused.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Agent, Done, Home, eventually, wait};

const ROWS: usize = 600;

/// Labels and two columns; the same each time.
fn data() -> String {
    let mut text = "hour,carrier,late\n".to_owned();
    for i in 0..ROWS {
        let carrier = ["AA", "UA", "ZZ"][i % 3];
        let _ = writeln!(text, "{},{carrier},{}", i % 24, u8::from(late(i)));
    }
    text
}

fn late(i: usize) -> bool {
    (i * 7919) % 100 < 40
}

/// Scores that are right but for every `wrong`-th row, and for all of a carrier.
fn scores(wrong: usize, blind: Option<usize>) -> String {
    let mut text = "score\n".to_owned();
    for i in 0..ROWS {
        let turned = i % wrong == 0 || blind == Some(i % 3);
        let p = if late(i) == turned { 0.2 } else { 0.8 } + (i % 10) as f64 / 100.0;
        let _ = writeln!(text, "{p}");
    }
    text
}

const SUITE: &str = "[suite.later]
data = 'later.csv'
label = 'late'
task = 'binary'
metrics = ['auc', 'accuracy', 'log_loss', 'ece']
slices = ['carrier']
command = ['cp', '{artifact}/scores.csv', '{out}']
";

fn gates(more: &str) -> String {
    format!(
        "{SUITE}\n[[gate]]\nname = 'floor'\nmodel = 'delay'\nstage = 'prod'\nsuite = 'later'\nmetric = 'accuracy'\nmin = 0.8\n{more}"
    )
}

fn write(agent: &Agent, name: &str, text: &str) {
    let path = agent.home().path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Versions whose artifact holds the scores that they give.
fn with_versions(versions: &[String]) -> Agent {
    start(Agent::start(), versions)
}

fn start(agent: Agent, versions: &[String]) -> Agent {
    write(&agent, "later.csv", &data());
    for (i, scores) in versions.iter().enumerate() {
        write(&agent, &format!("m{i}/scores.csv"), scores);
        agent.cli(&["model", "push", "delay", &format!("m{i}")]).expect(0);
    }
    agent
}

fn apply(agent: &Agent, text: &str) -> Done {
    write(agent, "gates.toml", text);
    agent.cli(&["apply", "gates.toml", "--json"])
}

fn eval(agent: &Agent, version: &str) -> Value {
    agent.cli(&["eval", "run", "later", "delay", version, "--json"]).expect(0).json()
}

fn check(agent: &Agent, version: &str, code: i32) -> Value {
    agent.cli(&["gate", "check", "delay", version, "--to", "prod", "--json"]).expect(code).json()
}

fn promote(agent: &Agent, version: &str) -> Done {
    agent.cli(&["promote", "delay", version, "--to", "prod", "--reason", "better", "--json"])
}

#[test]
fn a_file_is_applied_once_and_shows_what_it_changes() {
    let agent = Agent::start();
    let text = gates("");
    let first = apply(&agent, &text).expect(0).json();
    assert_eq!((first["differences"].as_array().unwrap().len(), &first["audit"]), (2, &json!([1, 2])));
    let again = apply(&agent, &text).expect(0).json();
    assert_eq!((&again["differences"], &again["audit"]), (&json!([]), &json!([])), "idempotent");
    let changed = apply(&agent, &text.replace("min = 0.8", "min = 0.9")).expect(0).json();
    assert_eq!(changed["differences"][0]["from"], "0.8");
    write(&agent, "gates.toml", &text);
    agent.cli(&["apply", "gates.toml", "--dry-run"]).expect(0);
    assert_eq!(agent.cli(&["gate", "list", "--json"]).expect(0).json()["gates"][0]["min"], 0.9);
    for (bad, words) in [
        (text.replace("'accuracy'\nmin", "'acuracy'\nmin"), "gates.toml line 14: unknown metric \"acuracy\""),
        (text.replace("[[gate]]", "[[gates]]"), "gates.toml line 9: unknown section \"gates\""),
        (text.replace("min = 0.8", "mim = 0.8"), "gates.toml line 15: unknown field `mim`"),
        (text.replace("min = 0.8", "min = "), "gates.toml line 15: "),
        (text.replace("data = 'later.csv'", "data = 'later.csv'\ntask = 'binary'"), "gates.toml line "),
    ] {
        let refused = apply(
            &agent,
            &format!("{bad}\n[suite.other]\ndata='x'\nlabel='y'\ntask='binary'\nmetrics=['auc']\ncommand=['p']\n"),
        )
        .expect(2);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert_eq!(
        agent.cli(&["eval", "suites", "--json"]).expect(0).json().as_array().unwrap().len(),
        1,
        "nothing half-done"
    );
    agent.cli(&["gate", "clear", "delay", "--to", "prod"]).expect(0);
    assert_eq!(agent.cli(&["gate", "list", "--json"]).expect(0).json()["gates"], json!([]));
}

#[test]
fn without_a_pass_there_is_no_promotion() {
    let agent = with_versions(&[scores(20, None), scores(3, None)]);
    assert_eq!(check(&agent, "1", 0)["ungated"], true);
    apply(&agent, &gates("")).expect(0);
    let open = check(&agent, "1", 8);
    assert_eq!((&open["verdict"], &open["gates"][0]["observed"]), (&json!("inconclusive"), &Value::Null));
    assert!(promote(&agent, "1").expect(3).stderr.contains("opsroom eval run later delay 1"));
    let evidence = eval(&agent, "1");
    assert_eq!((&evidence["metrics"]["accuracy"], &evidence["rows"]), (&json!(0.95), &json!(600)));
    assert!(
        evidence["metrics"]["auc"].as_f64().unwrap() > 0.9 && evidence["metrics"]["size_bytes"].as_f64().unwrap() > 0.0
    );
    assert_eq!(evidence["slices"].as_array().unwrap().len(), 3);
    let passed = check(&agent, "1", 0);
    assert_eq!((&passed["verdict"], &passed["gates"][0]["observed"]), (&json!("pass"), &json!(0.95)));
    let done = promote(&agent, "1").expect(0).json();
    let kept = agent.cli(&["gate", "show", &done["decision"].to_string(), "--json"]).expect(0).json();
    assert_eq!(
        (&kept["same"], &kept["verdict"], &kept["digest"]),
        (&json!(true), &json!("pass"), &done["decision_digest"])
    );

    eval(&agent, "2");
    check(&agent, "2", 3);
    let refused = promote(&agent, "2").expect(3);
    assert!(
        refused.stderr.contains("may not go to prod: it fails floor") && refused.stderr.contains("0.6667"),
        "{}",
        refused.stderr
    );
    agent.cli(&["promote", "delay", "2", "--to", "staging", "--reason", "x"]).expect(0);
    agent.cli(&["model", "alias", "delay", "champion", "2"]).expect(3);
    agent.cli(&["model", "alias", "delay", "challenger", "2"]).expect(0);
    let audit = agent.cli(&["audit", "list", "--refused", "--json"]).expect(0).json();
    let answer = &audit["records"][0]["detail"]["answer"];
    assert!(answer["decision"].as_i64().is_some(), "a refusal keeps its decision: {answer}");
    // What a script finds beside the artifact.
    let beside = || -> Vec<Value> {
        let folder = agent.home().path().join("data/opsroom/artifacts");
        files(&folder)
            .into_iter()
            .filter(|p| p.contains(".opsroom/delay.v"))
            .map(|p| serde_json::from_str(&std::fs::read_to_string(p).unwrap()).unwrap_or_default())
            .collect()
    };
    crate::support::eventually("eval=pass beside the artifact", || {
        let all = beside();
        let of = |n: u64| all.iter().find(|m| m["version"] == n).map(|m| m["eval"].clone());
        of(1) == Some(json!("pass")) && of(2) == Some(json!("fail"))
    });
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[test]
fn comparisons_with_production_are_paired_and_say_what_is_missing() {
    // v1 is right in 95 %, v2 a little worse, v3 clearly, v4 fails one carrier.
    let agent = with_versions(&[scores(20, None), scores(19, None), scores(6, None), scores(50, Some(2))]);
    let more = |name: &str, keys: &str| {
        format!("\n[[gate]]\nname = '{name}'\nmodel = 'delay'\nstage = 'prod'\nsuite = 'later'\n{keys}\n")
    };
    let text = gates(
        &[
            more("not-worse", "metric = 'accuracy'\nmargin = 0.02"),
            more("auc", "metric = 'auc'\nmargin = 0.05"),
            more("drop", "metric = 'log_loss'\nmax_drop_percent = 60"),
            more("carriers", "metric = 'accuracy'\nslices = ['carrier']\nmin = 0.8"),
            more("flips", "flips_max = 0.07"),
        ]
        .concat(),
    );
    apply(&agent, &text).expect(0);
    for version in ["1", "2", "3", "4"] {
        eval(&agent, version);
    }
    let first = check(&agent, "1", 0);
    assert!(first["gates"][1]["why"].as_str().unwrap().contains("nothing to be worse than"), "{first}");
    promote(&agent, "1").expect(0);
    let gate = |decision: &Value, name: &str| {
        decision["gates"].as_array().unwrap().iter().find(|g| g["name"] == name).unwrap().clone()
    };
    let near = check(&agent, "2", 8);
    let open = gate(&near, "not-worse");
    assert_eq!(open["verdict"], "inconclusive", "{open}");
    assert!(open["rows_missing"].as_u64().unwrap() > 0 && open["why"].as_str().unwrap().contains("McNemar"), "{open}");
    assert!(gate(&near, "auc")["why"].as_str().unwrap().contains("DeLong"));
    let worse = check(&agent, "3", 3);
    assert_eq!(gate(&worse, "not-worse")["verdict"], "fail");
    assert_eq!(gate(&worse, "flips")["verdict"], "fail");
    let sliced = gate(&check(&agent, "4", 3), "carriers");
    assert_eq!((&sliced["verdict"], &sliced["slices"][0]["slice"]), (&json!("fail"), &json!("carrier=ZZ")));
    assert_eq!(sliced["slices"].as_array().unwrap().iter().filter(|s| s["verdict"] == "pass").count(), 2);
    // The same evidence, judged anew: the same word.
    let decisions = agent.cli(&["gate", "list", "delay", "--json"]).expect(0).json()["decisions"].clone();
    for decision in decisions.as_array().unwrap() {
        agent.cli(&["gate", "show", &decision["id"].to_string()]).expect(0);
    }
}

#[test]
fn waivers_say_who_why_and_until_when() {
    let agent = with_versions(&[scores(3, None)]);
    apply(&agent, &gates("")).expect(0);
    eval(&agent, "1");
    let waive = |args: &[&str]| agent.cli(&[&["gate", "waive", "delay", "1"], args].concat());
    waive(&["floor", "--until", "7d"]).expect(3);
    waive(&["flor", "--until", "7d", "--reason", "x"]).expect(4);
    waive(&["floor", "--until", "2020-01-01", "--reason", "x"]).expect(2);
    waive(&["floor", "--until", "2s", "--reason", "a holiday"]).expect(0);
    let waived = check(&agent, "1", 0);
    let gate = &waived["gates"][0];
    assert_eq!((&gate["verdict"], &gate["waived"]["reason"]), (&json!("fail"), &json!("a holiday")), "{gate}");
    let beyond = std::time::Duration::from_millis(2200);
    std::thread::sleep(beyond);
    let expired = check(&agent, "1", 3);
    assert!(expired["gates"][0]["why"].as_str().unwrap().contains("the waiver by"), "{expired}");
    waive(&["floor", "--until", "7d", "--reason", "again"]).expect(0);
    promote(&agent, "1").expect(0);
    waive(&["floor", "--end"]).expect(0);
    waive(&["floor", "--end"]).expect(4);
}

#[test]
fn approvals_come_from_other_verified_people() {
    let agent = with_versions(&[scores(20, None)]);
    let more = "\n[[gate]]\nname = 'two'\nmodel = 'delay'\nstage = 'prod'\napprovals = 2\n";
    apply(&agent, &gates(more)).expect(0);
    eval(&agent, "1");
    check(&agent, "1", 8);
    let pending = agent.cli(&["gate", "list", "--json"]).expect(0).json()["pending"].clone();
    assert_eq!((&pending[0]["id"], &pending[0]["needed"]), (&json!("delay@1:prod"), &json!(2)));
    // The author comes by the socket, as admin all the same.
    assert!(agent.cli(&["approve", "delay@1"]).expect(6).stderr.contains("author and approver"));
    // By TCP without a token anyone can be anyone.
    agent.cli_at(agent.url(), &["approve", "delay@1"]).expect(6);
    for (i, name) in ["ana", "bo"].iter().enumerate() {
        let token = agent.cli(&["token", "create", name, "--role", "operator", "--json"]).expect(0).json();
        let secret = token["token"].as_str().or(token["secret"].as_str()).unwrap().to_owned();
        let mut command = agent.home().command(&["approve", "delay@1:prod", "--reason", "looked at it"]);
        command.env("OPSROOM_AGENT", agent.url()).env("OPSROOM_TOKEN", &secret);
        Done::of(&["approve"], command.output().unwrap()).expect(0);
        let again = Done::of(&["approve"], command.output().unwrap());
        again.expect(7);
        check(&agent, "1", if i == 0 { 8 } else { 0 });
    }
    promote(&agent, "1").expect(0);
}

#[test]
fn other_gates_look_at_size_age_and_lineage() {
    let agent = with_versions(&[scores(20, None)]);
    let gate = |name: &str, keys: &str| format!("\n[[gate]]\nname = '{name}'\nmodel = '*'\nstage = 'prod'\n{keys}\n");
    apply(
        &agent,
        &format!(
            "{SUITE}{}{}{}{}{}",
            gate("small", "bytes_max = 10"),
            gate("fresh", "suite = 'later'\neval_age_max = '1h'"),
            gate("line", "lineage = true"),
            gate("again", "reproducible = 'bit-exact'"),
            gate("sure", "suite = 'later'\nmetric = 'accuracy'\nmin = 0.94\nconfidence = 0.95"),
        ),
    )
    .expect(0);
    eval(&agent, "1");
    let found = check(&agent, "1", 3);
    let verdicts: Vec<&str> =
        found["gates"].as_array().unwrap().iter().map(|g| g["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["fail", "pass", "fail", "inconclusive", "inconclusive"], "{found}");
    let outputs = ["--junit", "out.xml", "--summary", "out.md"];
    agent.cli(&[&["gate", "check", "delay", "1", "--to", "prod"][..], &outputs].concat()).expect(3);
    let read = |name: &str| std::fs::read_to_string(agent.home().path().join(name)).unwrap();
    assert!(read("out.xml").contains("tests=\"5\" failures=\"2\" errors=\"2\""), "{}", read("out.xml"));
    assert!(read("out.md").contains("❌ fail"));
    let mut command = agent.home().command(&["gate", "check", "delay", "1", "--to", "prod", "--json"]);
    command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).env("GITHUB_ACTIONS", "true");
    let done = Done::of(&["gate", "check"], command.output().unwrap()).expect(3);
    assert!(done.stderr.contains("::error title=delay v1 to prod small::") && done.json()["verdict"] == "fail");
}

#[test]
fn what_goes_wrong_in_an_eval_is_said_and_nothing_is_kept() {
    let agent = with_versions(&[scores(20, None)]);
    let with = |command: &str, more: &str| {
        let text = SUITE.replace("['cp', '{artifact}/scores.csv', '{out}']", command);
        apply(&agent, &format!("{text}{more}")).expect(0);
        agent.cli(&["eval", "run", "later", "delay", "1"])
    };
    for (command, more, words) in [
        ("['sh', '-c', 'echo sorry >&2; exit 3']", "", "sorry"),
        ("['sleep', '60']", "timeout = '1s'", "took longer than 1s"),
        ("['no-such-program']", "", "cannot be started"),
        ("['sh', '-c', 'echo segmentation fault; echo really']", "", "begins with \"segmentation fault"),
        ("['sh', '-c', 'head -5 {artifact}/scores.csv']", "", "4 predictions for 600 rows"),
        ("['sh', '-c', 'sed s/^0.*/nan/ {artifact}/scores.csv']", "", "row 1: \"nan\" is no number"),
        ("['true']", "", "the predictions are empty"),
        (
            "['cp', '{artifact}/scores.csv', '{out}']",
            "custom = { command = ['echo', '{}'], metrics = ['gap'] }",
            "printed no number for gap",
        ),
        (
            "['cp', '{artifact}/scores.csv', '{out}']",
            "custom = { command = ['echo', 'x'], metrics = ['gap'] }",
            "did not print one JSON object",
        ),
    ] {
        let failed = with(command, more).expect(2);
        assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
    }
    assert_eq!(agent.cli(&["eval", "list", "delay", "--json"]).expect(0).json(), json!([]));
    // The predictor does not get the labels; the user's own metric does.
    let seen = with("['sh', '-c', 'head -1 {data} >&2; cp {artifact}/scores.csv {out}; exit 1']", "").expect(2);
    assert!(seen.stderr.contains("hour,carrier") && !seen.stderr.contains("late\n"), "{}", seen.stderr);
    let custom = "custom = { command = ['sh', '-c', 'echo {\\\"gap\\\": $(grep -c ,1 {data})}'], metrics = ['gap'] }\nlimits = { gap = { max = 1 } }";
    let custom = custom
        .replace("'echo {\\\"gap\\\": $(grep -c ,1 {data})}'", "'''printf '{\"gap\": %d}' $(grep -c ,1 {data})'''");
    let broken = with("['cp', '{artifact}/scores.csv', '{out}']", &custom).expect(9);
    assert!(broken.stdout.contains("limit broken: gap is 240"), "{}", broken.stdout);
    for (name, text, words) in [
        ("later.csv", "hour,carrier,late\n1,AA,0\n2,UA\n", "line 3"),
        ("later.csv", "hour,carrier,lat\n1,AA,0\n", "no column \"late\"; did you mean \"lat\"?"),
        ("later.csv", "hour,carrier,late\n1,AA,\n1,AA,1\n", "1 rows of later.csv have no late"),
        ("later.csv", "hour,carrier,late\n", "has no rows"),
    ] {
        write(&agent, name, text);
        let failed = agent.cli(&["eval", "run", "later", "delay", "1"]).expect(2);
        assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
    }
    std::fs::remove_file(agent.home().path().join("later.csv")).unwrap();
    agent.cli(&["eval", "run", "later", "delay", "1"]).expect(4);
    agent.cli(&["eval", "run", "latr", "delay", "1"]).expect(4);
    agent.cli(&["eval", "run", "later", "delay", "9"]).expect(4);
    write(&agent, "gates.toml", SUITE);
    agent.cli_at(agent.url(), &["apply", "gates.toml"]).expect(6);
}

#[test]
fn prod_can_require_a_gate() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), "[gates]\nrequired = true\n").unwrap();
    let agent = start(Agent::start_in(home, &[]), &[scores(20, None)]);
    assert!(promote(&agent, "1").expect(3).stderr.contains("gates.required"));
    agent.cli(&["promote", "delay", "1", "--to", "staging", "--reason", "x"]).expect(0);
    check(&agent, "1", 3);
}

#[test]
fn two_promotions_at_once_leave_one_in_prod() {
    let agent = with_versions(&[scores(20, None), scores(25, None)]);
    apply(&agent, &gates("")).expect(0);
    eval(&agent, "1");
    eval(&agent, "2");
    let client = agent.client();
    wait(async {
        use opsroom::capability::registry::{Command, Stage};
        let promote = |version| {
            let command =
                Command::SetStage { model: "delay".to_owned(), version, stage: Stage::Prod, archive_others: false };
            let envelope =
                opsroom::capability::Envelope::new(opsroom::capability::Command::Registry(command), "at once");
            let client = client.clone();
            async move { client.perform(&envelope).await }
        };
        let (a, b) = futures::future::join(promote(1), promote(2)).await;
        a.unwrap();
        b.unwrap();
        let view = client.model("delay", None).await.unwrap();
        assert_eq!(view.in_stage(Stage::Prod).count(), 1);
    });
}

/// A run that read a version of a dataset, with scores as its model, registered.
fn trained_on(agent: &Agent, dataset: &Value) {
    use reqwest::Method;
    let client = agent.client();
    wait(async {
        let post = async |path: &str, body: Value| {
            client.mlflow(Method::POST, &format!("/api/2.0/mlflow/{path}"), &body).await.unwrap()
        };
        let made = post("runs/create", json!({"experiment_id": "0", "start_time": 5, "run_name": "training"})).await;
        let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        // MLflow's digests are short; the first digits name the version.
        let digest: String =
            dataset["digest"].as_str().unwrap().trim_start_matches("blake3:").chars().take(16).collect();
        let input = json!({"name": "flights", "digest": digest, "source_type": "local", "source": "x"});
        post("runs/log-inputs", json!({"run_id": run, "datasets": [{"dataset": input, "tags": []}]})).await;
        client.put_artifact(&format!("0/{run}/artifacts/model/scores.csv"), scores(20, None)).await.unwrap();
        post("runs/update", json!({"run_id": run, "status": "FINISHED", "end_time": 9})).await;
    });
    agent.cli(&["model", "register", "delay", "--run", "training"]).expect(0);
}

#[test]
fn data_is_a_version_of_a_dataset_and_is_checked_against_its_profile() {
    let agent = Agent::start();
    let add = |text: &str| {
        write(&agent, "flights.csv", text);
        agent.cli(&["data", "add", "flights.csv", "--name", "flights", "--json"]).expect(0).json()
    };
    let first = add(&data());
    // The same distribution again, and one in which a carrier is gone and hours are missing.
    add(&data().replace("\n1,", "\n2,"));
    add(&data().replace(",ZZ,", ",AA,").replace("\n3,", "\n,").replace("\n4,", "\n,"));
    trained_on(&agent, &first);
    let gate =
        |name: &str, keys: &str| format!("\n[[gate]]\nname = '{name}'\nmodel = 'delay'\nstage = 'prod'\n{keys}\n");
    let text = SUITE.replace("'later.csv'", "'flights@1'");
    let more = [
        gate("profile", "profile = true"),
        gate("like", "data_like = 'flights@2'"),
        gate("unlike", "data_like = 'flights@3'"),
    ];
    apply(&agent, &format!("{text}{}", more.concat())).expect(0);
    let found = check(&agent, "1", 3);
    let verdicts: Vec<&str> =
        found["gates"].as_array().unwrap().iter().map(|g| g["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["pass", "pass", "fail"], "{found}");
    assert!(found["gates"][2]["why"].as_str().unwrap().contains("carrier has PSI"), "{found}");
    let evidence = eval(&agent, "1");
    assert_eq!((&evidence["data"], &evidence["metrics"]["accuracy"]), (&json!("flights@1"), &json!(0.95)));
    let kept = found["id"].to_string();
    agent.cli(&["gate", "show", &kept]).expect(0);
    let unknown = text.replace("flights@1", "flights@9");
    apply(&agent, &unknown).expect(0);
    agent.cli(&["eval", "run", "later", "delay", "1"]).expect(4);
}

/// A server of one thread that answers every request with as many scores as it has rows.
fn server(answer: fn(usize) -> Value) -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let asked: Value = serde_json::from_slice(&body).unwrap();
            let rows = asked["dataframe_split"]["data"].as_array().or(asked["inputs"][0]["data"].as_array());
            let text = answer(rows.unwrap().len()).to_string();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
                .unwrap();
        }
    });
    url
}

#[test]
fn a_server_predicts_in_either_protocol() {
    let agent = with_versions(&[scores(20, None)]);
    let suite = |endpoint: &str| {
        SUITE.replace("command = ['cp', '{artifact}/scores.csv', '{out}']", &format!("endpoint = {{ {endpoint} }}"))
    };
    let mlflow = server(|n| json!({ "predictions": vec![0.7; n] }));
    apply(&agent, &suite(&format!("url = '{mlflow}/invocations', rows = 100"))).expect(0);
    let first = eval(&agent, "1");
    assert_eq!((&first["rows"], &first["metrics"]["accuracy"]), (&json!(600), &json!(0.4)));
    assert!(first["metrics"]["latency_ms_p99"].as_f64().unwrap() > 0.0);
    let v2 = server(|n| {
        let data = [0.9, 0.1].repeat(n);
        json!({"outputs": [{"name": "p", "shape": [n, 2], "datatype": "FP64", "data": data}]})
    });
    apply(&agent, &suite(&format!("url = '{v2}/v2/models/m/infer', protocol = 'v2'"))).expect(0);
    assert_eq!(eval(&agent, "1")["metrics"]["accuracy"], 0.6);
    let short = server(|_| json!({ "predictions": [0.5] }));
    apply(&agent, &suite(&format!("url = '{short}'"))).expect(0);
    assert!(agent.cli(&["eval", "run", "later", "delay", "1"]).expect(2).stderr.contains("1 predictions for 32 rows"));
    apply(&agent, &suite("url = 'http://127.0.0.1:9'")).expect(0);
    assert!(agent.cli(&["eval", "run", "later", "delay", "1"]).expect(2).stderr.contains("does not answer"));
}

/// What is registered is evaluated by the agent, and what is good goes to staging; a broken limit and a program that fails
/// keep it in dev.
#[test]
fn a_policy_evaluates_what_is_registered_and_moves_what_is_green() {
    let agent = Agent::start_in(Home::new(), &["--exec", "true"]);
    write(&agent, "later.csv", &data());
    let place = agent.home().path().join("later.csv");
    let suite = SUITE.replace("later.csv", place.to_str().unwrap());
    let text = format!(
        "{suite}limits = {{ accuracy = {{ min = 0.7 }} }}\n[policy.delay]\nevals = ['later']\npromote = 'staging'\n"
    );
    let told = apply(&agent, &text).expect(0).json();
    assert_eq!(told["differences"][1]["to"], "runs later on registration, then to staging when green", "{told}");
    assert_eq!(apply(&agent, &text).expect(0).json()["differences"], json!([]), "idempotent");

    let artifacts = [scores(10, None), scores(2, None), "no scores\n".to_owned()];
    for (i, scores) in artifacts.iter().enumerate() {
        write(&agent, &format!("m{i}/scores.csv"), scores);
        agent.cli(&["model", "push", "delay", &format!("m{i}")]).expect(0);
    }
    let stage = |version: usize| {
        let shown = agent.cli(&["model", "show", "delay", "--json"]).expect(0).json();
        let all = shown["versions"].as_array().unwrap().clone();
        all.iter().find(|v| v["version"] == version).unwrap()["stage"].clone()
    };
    eventually("the good one is in staging", || stage(1) == "staging");
    let failed = || {
        let tries = agent.cli(&["gate", "list", "--json"]).expect(0).json()["tries"].clone();
        let third = |t: &&Value| t["version"] == 3;
        tries.as_array().unwrap().iter().find(third).is_some_and(|t| t["tries"] == 2 && t["outcome"] != "")
    };
    eventually("the one without predictions was tried twice", failed);
    assert_eq!((stage(2), stage(3)), (json!("dev"), json!("dev")));
    let second = agent.cli(&["eval", "list", "delay", "2", "--json"]).expect(0).json();
    assert_eq!(second[0]["broken"], json!(["accuracy is 0.5, allowed is >= 0.7"]));
    let trail = agent.cli(&["audit", "list", "--json"]).expect(0).json().to_string();
    assert!(trail.contains("\"policy\"") && trail.contains("its evals are good"), "{trail}");
    agent.cli(&["gate", "no-policy", "delay"]).expect(0);
    agent.cli(&["gate", "no-policy", "delay"]).expect(4);
}
