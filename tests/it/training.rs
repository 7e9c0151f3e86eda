//! Runs under capture, and their repetition: with small shell scripts, and with a real training where Python is at hand.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use opsroom::base::Kind;
use opsroom::base::id::RunId;
use opsroom::capability::access::Role;
use opsroom::capability::registry::{self, Stage, VersionDoc};
use opsroom::capability::tracking::runs::{Batch, NewRun};
use opsroom::capability::tracking::{Key, MetricPoint, RunStatus};
use opsroom::capability::training::{self, Capture};
use opsroom::capability::{Actor, Command as Decision, Ctx, Envelope, gates, perform};
use opsroom::db::Source;
use serde_json::{Value, json};

use crate::stores::{kim, on_each_engine};
use crate::support::{Agent, Done, eventually};

/// Logs a metric and an artifact by plain HTTP, as a client would: what is logged is given by the environment.
const SCRIPT: &str = r#"#!/bin/bash
address=${MLFLOW_TRACKING_URI#http://}
send() {
  exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
    "$1" "$2" "${#3}" "$3" >&3
  cat <&3 >/dev/null
  exec 3>&-
}
for step in 0 1 2; do
  value=$step.5
  if [ $step = 2 ]; then value=${LAST_SEED:-9}; fi
  send POST /api/2.0/mlflow/runs/log-metric "{\"run_id\":\"$MLFLOW_RUN_ID\",\"key\":\"loss\",\"value\":$value,\"timestamp\":1,\"step\":$step}"
done
send PUT "/api/2.0/mlflow-artifacts/artifacts/0/$MLFLOW_RUN_ID/artifacts/out/model" "run $MLFLOW_RUN_ID $(cat words.txt) ${OMP_NUM_THREADS:-all}"
echo said on stdout
echo said on stderr >&2
exit ${STATUS:-0}
"#;

fn git(folder: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=kim", "-c", "user.email=kim@example.com", "-c", "init.defaultBranch=main"];
    let done = Command::new("git").args(identity).args(args).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with the script, changed since its commit, and a file that git does not know.
fn project(agent: &Agent) -> PathBuf {
    let folder = agent.home().path().join("project");
    fs::create_dir(&folder).unwrap();
    git(&folder, &["init", "-q"]);
    fs::write(folder.join("train.sh"), "#!/bin/bash\nexit 7\n").unwrap();
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-q", "-m", "first"]);
    fs::write(folder.join("train.sh"), SCRIPT).unwrap();
    fs::set_permissions(folder.join("train.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("words.txt"), "of a new file").unwrap();
    fs::write(folder.join(".env"), "SECRET=1").unwrap();
    folder
}

fn in_folder(agent: &Agent, folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Done {
    let mut command = agent.home().command(args);
    command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).current_dir(folder);
    for name in ["OMP_NUM_THREADS", "PYTHONHASHSEED", "LAST_SEED", "STATUS"] {
        command.env_remove(name);
    }
    Done::of(args, command.envs(variables.iter().copied()).output().unwrap())
}

const PINNED: &[(&str, &str)] = &[("OMP_NUM_THREADS", "1"), ("OPENBLAS_CORETYPE", "Haswell"), ("MY_TOKEN", "hush")];

#[test]
fn a_run_is_captured_and_repeated_bit_by_bit() {
    let agent = Agent::start();
    let folder = project(&agent);
    let ran = in_folder(&agent, &folder, PINNED, &["run", "--name", "first", "--", "./train.sh", "--api-key", "hush"]);
    let ran = ran.expect(0);
    assert_eq!(ran.stdout, "said on stdout\n");
    let id = agent.cli(&["runs", "show", "first", "--json"]).expect(0).json()["id"].as_str().unwrap().to_owned();
    assert!(ran.stderr.lines().last().unwrap().contains(&id), "{}", ran.stderr);
    let get = |path: &str| agent.cli(&["artifact", "get", &id, path, "-o", "-"]).expect(0).stdout;
    assert_eq!(
        (get("opsroom/stdout.log"), get("opsroom/stderr.log")),
        ("said on stdout\n".into(), "said on stderr\n".into())
    );
    let capture: Value = serde_json::from_str(&get("opsroom/capture.json")).unwrap();
    assert_eq!(capture["program"]["command"], serde_json::json!(["./train.sh", "--api-key", "***"]));
    assert_eq!((&capture["environment"]["OMP_NUM_THREADS"], &capture["ended"]["status"]), (&"1".into(), &0.into()));
    assert!(!capture.to_string().contains("hush") && !get("opsroom/source.patch").contains("SECRET=1"));
    assert_eq!(capture["source"]["left_out"], serde_json::json!([".env"]));
    assert!(get("opsroom/source.patch").contains("of a new file"));

    // A masked secret cannot be given again.
    let refused = in_folder(&agent, &folder, &[], &["rerun", &id, "--json"]).expect(8).json();
    assert_eq!((&refused["verdict"], &refused["rerun"]), (&"cannot-repeat".into(), &Value::Null));

    in_folder(&agent, &folder, PINNED, &["run", "--name", "second", "--", "./train.sh"]).expect(0);
    // What lies in the folder by now does not matter, nor whether the knobs are set.
    fs::write(folder.join("words.txt"), "changed").unwrap();
    fs::write(folder.join("train.sh"), "exit 1").unwrap();
    let same = in_folder(&agent, &folder, &[], &["rerun", "second", "--json"]).expect(0).json();
    assert_eq!((&same["verdict"], &same["first_difference"]), (&"bit-exact".into(), &Value::Null), "{same}");
    assert_eq!(same["normalised"][0]["path"], "artifacts/out/model");
    assert_eq!(fs::read_to_string(folder.join("words.txt")).unwrap(), "changed", "the folder stays as it was");
    assert_eq!(fs::read_dir(agent.home().path().join("cache/opsroom/reruns")).unwrap().count(), 0);
    let shown = agent.cli(&["runs", "show", "second", "--json"]).expect(0).json();
    assert_eq!(
        (&shown["tags"]["opsroom.grade"], &shown["tags"]["opsroom.rerun"]),
        (&"bit-exact".into(), &same["rerun"])
    );

    let threads =
        in_folder(&agent, &folder, &[("OMP_NUM_THREADS", "2")], &["rerun", "second", "--json"]).expect(9).json();
    assert_eq!(threads["first_difference"]["path"], "artifacts/out/model", "{threads}");
    assert_eq!((&threads["causes"][0]["what"], &threads["causes"][0]["now"]), (&"OMP_NUM_THREADS".into(), &"2".into()));
    let seed = in_folder(&agent, &folder, &[("LAST_SEED", "8")], &["rerun", "second", "--json"]).expect(9).json();
    let first = &seed["first_difference"];
    assert_eq!((&first["key"], &first["step"], &first["now"]), (&"loss".into(), &2.into(), &8.0.into()), "{seed}");
    assert_eq!(seed["causes"][0]["what"], "LAST_SEED");
}

#[test]
fn a_run_ends_as_its_command_does_and_outlives_its_terminal() {
    let agent = Agent::start();
    let folder = agent.home().path().to_owned();
    in_folder(&agent, &folder, &[], &["run", "--name", "fails", "--", "sh", "-c", "exit 7"]).expect(7);
    let status = |name: &str| agent.cli(&["runs", "show", name, "--json"]).expect(0).json()["status"].clone();
    assert_eq!(status("fails"), "FAILED");
    in_folder(&agent, &folder, &[], &["run", "--", "no-such-program"]).expect(4);
    let script = "sleep 1; echo late; sleep 0.2";
    let mut command = agent.home().command(&["run", "--name", "long", "--", "sh", "-c", script]);
    command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually("the run", || agent.cli(&["runs", "show", "long"]).code == 0);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(status("long"), "FINISHED");
    assert_eq!(agent.cli(&["artifact", "get", "long", "opsroom/stdout.log", "-o", "-"]).expect(0).stdout, "late\n");
    let lone = in_folder(&agent, &folder, &[], &["rerun", "fails", "--json"]).expect(8).json();
    assert_eq!(lone["causes"][0]["what"], "outputs", "no grade on nothing: {lone}");
}

#[test]
fn data_is_pinned_checked_and_restored() {
    let agent = Agent::start();
    let folder = project(&agent);
    let rows = agent.home().path().join("rows.csv");
    fs::write(&rows, "a\n1\n").unwrap();
    agent.cli(&["data", "add", "rows.csv"]).expect(0);
    let args = ["run", "--name", "reads", "--data", "rows", "--", "sh", "-c", "cat \"$OPSROOM_DATA_ROWS\""];
    assert_eq!(in_folder(&agent, &folder, &[], &args).expect(0).stdout, "a\n1\n");
    let pinned = agent.cli(&["data", "show", "rows@1", "--json"]).expect(0).json();
    assert_eq!(pinned["runs"][0]["name"], "reads");
    fs::write(&rows, "a\n2\n").unwrap();
    let refused = in_folder(&agent, &folder, &[], &args).expect(7);
    assert!(refused.stderr.contains("is not rows v1"), "{}", refused.stderr);
    let same = in_folder(&agent, &folder, &[], &["rerun", "reads", "--json"]).expect(8);
    assert!(same.stderr.starts_with("a\n1\n"), "the version's bytes, not what lies there: {}", same.stderr);
    assert_eq!(fs::read_to_string(&rows).unwrap(), "a\n2\n");
}

#[test]
fn an_environment_that_is_gone_is_made_again_or_named() {
    let Ok(python) = std::env::var("OPSROOM_TEST_PYTHON") else {
        assert!(std::env::var_os("CI").is_none(), "OPSROOM_TEST_PYTHON must be set in CI");
        eprintln!("skipped: an environment needs OPSROOM_TEST_PYTHON");
        return;
    };
    const LOGS: &str = "import json, os, sys, urllib.request as web\n\
        of = os.environ['MLFLOW_TRACKING_URI'] + '/api/2.0/mlflow/runs/log-metric'\n\
        body = dict(run_id=os.environ['MLFLOW_RUN_ID'], key='m', value=0.25, timestamp=1, step=0)\n\
        web.urlopen(web.Request(of, json.dumps(body).encode(), {'Content-Type': 'application/json'}))\n\
        print(sys.prefix)\n";
    let agent = Agent::start();
    let folder = project(&agent);
    fs::write(folder.join("logs.py"), LOGS).unwrap();
    let venv = folder.join("env");
    let make = || {
        let made = Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&venv).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    make();
    fs::write(folder.join(".gitignore"), "env\n").unwrap();
    let offline = [("PIP_NO_INDEX", "1"), ("UV_OFFLINE", "1")];
    let run = |name: &str| in_folder(&agent, &folder, &[], &["run", "--name", name, "--", "env/bin/python", "logs.py"]);
    let again =
        |name: &str, more: &[&str]| in_folder(&agent, &folder, &offline, &[&["rerun", name, "--json"], more].concat());
    assert!(run("bare").expect(0).stdout.contains("project/env"));
    let same = again("bare", &[]).expect(0);
    assert!(same.stderr.contains("project/env"), "as it is: {}", same.stderr);
    // A package that nobody can install, as if it had come from a private index.
    let package =
        venv.join("lib").read_dir().unwrap().next().unwrap().unwrap().path().join("site-packages/ghost-1.0.dist-info");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("METADATA"), "Metadata-Version: 2.1\nName: ghost\nVersion: 1.0\n").unwrap();
    run("haunted").expect(0);
    fs::remove_dir_all(&venv).unwrap();
    let restored = again("bare", &["--reason", "weekly check"]).expect(0);
    assert!(restored.stderr.contains("restoring 0 packages"), "{}", restored.stderr);
    assert!(restored.stderr.contains("/environment\n"), "it ran in an environment of its own: {}", restored.stderr);
    assert_eq!(restored.json()["verdict"], "bit-exact");
    let audit = agent.cli(&["audit", "list", "--json"]).expect(0).json();
    assert_eq!(
        (&audit["records"][0]["command"], &audit["records"][0]["detail"]["reason"]),
        (&"grade-run".into(), &"weekly check".into()),
        "{audit}"
    );
    let cannot = again("haunted", &[]).expect(8).json();
    let why = cannot["causes"][0]["why"].as_str().unwrap();
    assert!(cannot["verdict"] == "cannot-repeat" && why.contains("could not be restored"), "{cannot}");
    make();
    let named = again("haunted", &["--dry-run"]).expect(8).json();
    assert_eq!(named["obstacle"]["what"], "package ghost", "{named}");
    // Asked not to look, it runs with what is there.
    again("haunted", &["--restore-environment", "never"]).expect(0);
    assert_eq!(fs::read_dir(agent.home().path().join("cache/opsroom/reruns")).unwrap().count(), 0);
}

const TRAIN: &str = r#"
import os
import numpy as np, mlflow, mlflow.sklearn
from sklearn.linear_model import LogisticRegression
seed = int(os.environ.get("TRAIN_SEED", "7"))
rng = np.random.default_rng(seed)
X = rng.normal(size=(500, 8)); y = (X[:, 0] + rng.normal(size=500) > 0).astype(int)
mlflow.log_param("seed", seed)
for step in range(3):
    mlflow.log_metric("loss", float(rng.normal()), step=step)
model = LogisticRegression().fit(X, y)
mlflow.log_metric("accuracy", model.score(X, y))
mlflow.sklearn.log_model(model, name="model", input_example=X[:3], registered_model_name="delay")
"#;

#[test]
fn a_real_training_is_repeated_bit_by_bit() {
    let Ok(python) = std::env::var("OPSROOM_TEST_PYTHON") else {
        assert!(std::env::var_os("CI").is_none(), "OPSROOM_TEST_PYTHON must be set in CI");
        eprintln!("skipped: a real training needs OPSROOM_TEST_PYTHON");
        return;
    };
    let agent = Agent::start();
    let folder = project(&agent);
    fs::write(folder.join("train.py"), TRAIN).unwrap();
    let knobs = [("OMP_NUM_THREADS", "1"), ("PYTHONHASHSEED", "0"), ("OPENBLAS_CORETYPE", "Haswell")];
    in_folder(&agent, &folder, &knobs, &["run", "--name", "real", "--", &python, "train.py"]).expect(0);
    let same = in_folder(&agent, &folder, &[], &["rerun", "real", "--json"]).expect(0).json();
    assert_eq!(same["verdict"], "bit-exact", "{same}");
    let version = agent.cli(&["model", "show", "delay", "1", "--json"]).expect(0).json();
    assert_eq!(version["tags"]["opsroom.grade"], "bit-exact");
    let other = in_folder(&agent, &folder, &[("TRAIN_SEED", "8")], &["rerun", "real", "--json"]).expect(9).json();
    assert_eq!((&other["first_difference"]["key"], &other["first_difference"]["step"]), (&"loss".into(), &0.into()));
    assert_eq!(other["causes"][0]["what"], "seed", "{other}");
}

/// A run and a run that says it repeats it: captured, ended, each with a file and a metric that are the same.
pub async fn a_repetition(ctx: &Ctx) -> (RunId, RunId) {
    let mut pair = Vec::new();
    for nth in 0..2 {
        let of = pair.first().map(|first: &RunId| (training::RERUN_OF_TAG.to_owned(), first.to_string()));
        let new = NewRun { tags: of.into_iter().collect(), ..NewRun::default() };
        let run = ctx.tracking.create_run(new).await.unwrap();
        let point =
            MetricPoint { key: Key::from("loss"), value: 0.5, timestamp: nth, step: 3, model: None, dataset: None };
        ctx.tracking.log(run, Batch { metrics: vec![point], ..Batch::default() }).await.unwrap();
        let folder = format!("0/{run}/artifacts");
        let capture = serde_json::to_vec(&Capture::default()).unwrap();
        ctx.artifacts.blobs().put(&format!("{folder}/{}", training::CAPTURE), capture.into()).await.unwrap();
        ctx.artifacts.blobs().put(&format!("{folder}/m/weights"), "w".into()).await.unwrap();
        ctx.tracking.update_run(run, Some(RunStatus::Finished), Some(9), None).await.unwrap();
        pair.push(run);
    }
    (pair[0], pair[1])
}

#[tokio::test]
async fn only_the_agents_own_comparison_makes_a_grade() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let (run, rerun) = a_repetition(&ctx).await;
        let grade = Decision::Training(training::Command::GradeRun { run, rerun });
        let register = |model: &str| {
            let doc = VersionDoc { source: format!("runs:/{run}/m"), ..VersionDoc::default() };
            let (model, import) = (model.to_owned(), None);
            Decision::Registry(registry::Command::RegisterVersion { model, create: true, import, doc })
        };
        perform(&ctx, &kim(), Envelope::new(register("before"), "")).await.unwrap();
        // Nobody writes the word down who has not compared.
        let tag = || vec![("opsroom.grade".to_owned(), "bit-exact".to_owned())];
        let forged = [
            ctx.tracking.log(run, Batch { tags: tag(), ..Batch::default() }).await.unwrap_err(),
            ctx.tracking.create_run(NewRun { tags: tag(), ..NewRun::default() }).await.unwrap_err(),
            ctx.tracking.delete_tag(run, "opsroom.rerun".to_owned()).await.unwrap_err(),
        ];
        assert!(forged.iter().all(|f| f.kind == Kind::Refused), "{forged:?}");
        let tag_version = registry::Command::TagVersion {
            model: "before".to_owned(),
            version: 1,
            key: "opsroom.grade".to_owned(),
            value: Some("bit-exact".to_owned()),
        };
        perform(&ctx, &kim(), Envelope::new(Decision::Registry(tag_version), "")).await.unwrap_err();
        let client = Actor { role: Role::Client, ..kim() };
        assert_eq!(perform(&ctx, &client, Envelope::new(grade.clone(), "")).await.unwrap_err().kind, Kind::Denied);
        let wrong = Decision::Training(training::Command::GradeRun { run: rerun, rerun: run });
        assert_eq!(perform(&ctx, &kim(), Envelope::new(wrong, "")).await.unwrap_err().kind, Kind::Refused);

        let gate = gates::Gate {
            name: "same".to_owned(),
            model: "before".to_owned(),
            stage: Stage::Prod,
            rule: gates::Rule::Reproducible { grade: "bit-exact".to_owned() },
        };
        let set = |model: &str| {
            let gates = vec![gates::Gate { model: model.to_owned(), ..gate.clone() }];
            Decision::Gates(gates::Command::SetGates { model: model.to_owned(), stage: Stage::Prod, gates })
        };
        let verdict = async |model: &str| {
            let (model, version, stage) = (model.to_owned(), 1, Stage::Prod);
            let check = Decision::Gates(gates::Command::CheckGates { model, version, stage });
            perform(&ctx, &kim(), Envelope::new(check, "")).await.unwrap().to
        };
        perform(&ctx, &kim(), Envelope::new(set("before"), "")).await.unwrap();
        assert_eq!(verdict("before").await, "inconclusive");
        let done = perform(&ctx, &kim(), Envelope::new(grade.clone(), "")).await.unwrap();
        assert_eq!((done.from.as_str(), done.to.as_str()), ("none", "bit-exact"));
        assert_eq!(verdict("before").await, "pass");
        let kept = training::grade(Source::Pool(ctx.db.read()), rerun).await.unwrap().unwrap();
        assert_eq!((kept.run, kept.by.as_str(), kept.comparison.compared), (run, "kim", (1, 1)));
        let tags =
            |id: RunId| ctx.tracking.read(|s| s.run(id).unwrap().tags.get("opsroom.grade").map(ToString::to_string));
        assert_eq!((tags(run).as_deref(), tags(rerun).as_deref()), (Some("bit-exact"), Some("bit-exact")));
        // Registered later, it bears the mark as well; other bytes than those that were compared are no proof.
        let other = ctx.artifacts.blobs();
        other.put(&format!("0/{run}/artifacts/later/weights"), "w".into()).await.unwrap();
        let doc = VersionDoc { source: format!("runs:/{run}/later"), ..VersionDoc::default() };
        let (model, import) = ("after".to_owned(), None);
        let later = Decision::Registry(registry::Command::RegisterVersion { model, create: true, import, doc });
        perform(&ctx, &kim(), Envelope::new(later, "")).await.unwrap();
        let view = registry::model(Source::Pool(ctx.db.read()), "after", None).await.unwrap();
        assert_eq!(view.versions[0].doc.tags["opsroom.rerun"], rerun.to_string());
        perform(&ctx, &kim(), Envelope::new(set("after"), "")).await.unwrap();
        assert_eq!(verdict("after").await, "inconclusive");
    })
    .await;
}

/// Runs a shell script under `opsroom run`, stops the run, and answers how that ended and the run.
fn stopped(script: &str) -> (std::process::Output, Value, Duration) {
    let agent = Agent::start();
    let mut command = agent.home().command(&["run", "--name", "looper", "--", "sh", "-c", script]);
    command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs = || agent.cli(&["runs", "list", "--json"]).expect(0).json()["runs"].clone();
    eventually("a run", || runs().as_array().is_some_and(|all| !all.is_empty()));
    let id = runs()[0]["id"].as_str().unwrap().to_owned();
    // The script is at work, as its metrics show.
    eventually("its use", || runs()[0]["metrics"].as_object().is_some_and(|all| !all.is_empty()));
    agent.cli(&["runs", "stop", &id, "--reason", "it learns nothing"]).expect(0);
    let begin = Instant::now();
    let done = child.wait_with_output().unwrap();
    (done, agent.cli(&["runs", "show", &id, "--json"]).expect(0).json(), begin.elapsed())
}

#[test]
fn a_command_is_told_that_its_run_is_to_stop() {
    let (done, run, _) = stopped("trap 'echo saved; exit 0' TERM; while :; do sleep 0.1; done");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!((done.status.code(), out.trim()), (Some(0), "saved"), "{err}");
    assert!(err.contains("this run was asked to stop: it learns nothing"), "{err}");
    // What it ended with by itself does not hide that it was stopped.
    assert_eq!((&run["status"], &run["tags"]["opsroom.killed"]), (&json!("KILLED"), &Value::Null), "{run}");
}

/// The command does not listen, and nor does a process of a group of its own that outlives it.
#[test]
fn a_command_that_does_not_stop_is_killed_with_all_that_it_started() {
    for script in [
        "trap '' TERM; while :; do sleep 0.1; done",
        "set -m; (trap '' TERM; while :; do sleep 0.1; done) & trap 'exit 0' TERM; while :; do sleep 0.1; done",
    ] {
        let (done, run, took) = stopped(script);
        let err = String::from_utf8_lossy(&done.stderr);
        assert!(err.contains("it went on for 10 s and was killed"), "{err}");
        assert!(took >= Duration::from_secs(10), "{took:?}");
        assert_eq!((&run["status"], &run["tags"]["opsroom.reason"]), (&json!("KILLED"), &json!("it learns nothing")));
        let how = run["tags"]["opsroom.killed"].as_str().unwrap();
        assert!(how.contains("SIGKILL"), "{how}");
    }
}
