//! The room's questions and changes on a real agent: groups, stopping, tags, batches that break off.

use std::collections::BTreeMap;
use std::sync::Arc;

use opsroom::base::{Fault, Kind};
use opsroom::capability::tracking::{GroupBy, RunGroups};
use opsroom::capability::{Command, tracking};
use opsroom::tui::Source;
use opsroom::tui::model::{Change, Envelope, Outcome, Run, RunStatus};
use opsroom::tui::msg::{GroupsWant, Page, RunOrder, RunsWant, Want};
use opsroom::tui::query::Query;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Agent, wait};

/// An agent with six runs of two learning rates, three of them below a parent, and the room's source on it.
async fn filled(agent: &Agent) -> (Arc<dyn Source>, Vec<String>) {
    let client = agent.client();
    let post = async |path: &str, body: Value| {
        client.mlflow(Method::POST, &format!("/api/2.0/mlflow/{path}"), &body).await.unwrap()
    };
    let mut ids: Vec<String> = Vec::new();
    for i in 0..6_u32 {
        let parent = ids.first().filter(|_| i % 2 == 1).map(|id| json!({"key": "mlflow.parentRunId", "value": id}));
        let sweep = (i < 5).then(|| json!({"key": "wandb.sweep", "value": if i < 2 { "s1" } else { "s2" }}));
        let tags: Vec<Value> = parent.into_iter().chain(sweep).collect();
        let body = json!({"experiment_id": "0", "start_time": 1_700_000_000_000_u64 + u64::from(i), "run_name": format!("run-{i}"), "tags": tags});
        let made = post("runs/create", body).await;
        let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let lr = if i < 4 { "0.1" } else { "0.01" };
        let body = json!({
            "run_id": id,
            "metrics": [{"key": "auc", "value": f64::from(i), "timestamp": 1, "step": 0}],
            "params": [{"key": "lr", "value": lr}],
        });
        post("runs/log-batch", body).await;
        ids.push(id);
    }
    (opsroom::tui::source_on(client), ids)
}

async fn groups(source: &Arc<dyn Source>, by: GroupBy, filter: &str) -> RunGroups {
    let want = GroupsWant {
        experiment: None,
        filter: Query::parse(filter).unwrap(),
        window: None,
        deleted: false,
        by,
        metrics: vec!["auc".into()],
    };
    match source.load(Want::RunGroups(want)).await.unwrap() {
        Page::RunGroups(groups) => groups,
        other => panic!("{other:?}"),
    }
}

async fn runs(source: &Arc<dyn Source>, deleted: bool, within: Option<(GroupBy, Option<String>)>) -> Vec<Run> {
    let want = RunsWant {
        experiment: None,
        filter: Query::default(),
        order: RunOrder::Name,
        descending: false,
        window: None,
        offset: 0,
        limit: 100,
        deleted,
        within,
    };
    match source.load(Want::Runs(want)).await.unwrap() {
        Page::Runs(window) => window.rows,
        other => panic!("{other:?}"),
    }
}

async fn perform(source: &Arc<dyn Source>, change: Change, key: &str, dry_run: bool) -> Result<Outcome, Fault> {
    let (reason, idempotency_key) = ("a test".to_owned(), key.to_owned());
    source.perform(Envelope { change, reason, generation: None, idempotency_key, dry_run }).await
}

fn shown(groups: &RunGroups) -> Vec<(&str, usize, f64)> {
    groups
        .groups
        .iter()
        .map(|g| (g.label.as_str(), g.runs, g.metrics.get("auc").map_or(f64::NAN, |s| s.mean)))
        .collect()
}

#[test]
fn runs_are_put_together_with_mean_and_spread_over_all_that_match() {
    let agent = Agent::start();
    wait(async {
        let (source, ids) = filled(&agent).await;
        let by_lr = groups(&source, GroupBy::Param("lr".into()), "").await;
        assert_eq!(shown(&by_lr), [("0.01", 2, 4.5), ("0.1", 4, 1.5)]);
        let sd = by_lr.groups[1].metrics["auc"].sd().unwrap();
        assert!((sd - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{sd}");
        assert_eq!(by_lr.groups[1].running, 4);
        let by_parent = groups(&source, GroupBy::Parent, "").await;
        assert_eq!(shown(&by_parent)[0], ("run-0", 3, 3.0), "a parent has its name");
        assert_eq!(by_parent.groups[1].value, None);
        let sweep = || GroupBy::Tag("wandb.sweep".into());
        assert_eq!(shown(&groups(&source, sweep(), "").await), [("s2", 3, 3.0), ("s1", 2, 0.5), ("none", 1, 5.0)]);
        assert_eq!(runs(&source, false, Some((sweep(), Some("s1".into())))).await.len(), 2);
        assert_eq!(shown(&groups(&source, GroupBy::Experiment, "metrics.auc>2").await), [("Default", 3, 4.0)]);
        // A filter that the agent's grammar cannot say is sifted, and means the same.
        let sifted = groups(&source, GroupBy::Param("lr".into()), "name=run-0 OR metrics.auc>4").await;
        assert_eq!(shown(&sifted), [("0.01", 1, 5.0), ("0.1", 1, 0.0)]);
        let lr = |value: &str| Some((GroupBy::Param("lr".into()), Some(value.to_owned())));
        let names = |rows: &[Run]| rows.iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&runs(&source, false, lr("0.01")).await), ["run-4", "run-5"]);
        assert_eq!(runs(&source, false, Some((GroupBy::Parent, Some(ids[0].clone())))).await.len(), 3);
        assert_eq!(names(&runs(&source, false, Some((GroupBy::Parent, None))).await), ["run-0", "run-2", "run-4"]);
    });
}

#[test]
fn stopping_marks_runs_and_says_which_were_over() {
    let agent = Agent::start();
    wait(async {
        let (source, ids) = filled(&agent).await;
        let stop = |runs: &[&String]| Change::Stop { runs: runs.iter().map(ToString::to_string).collect() };
        let rehearsed = perform(&source, stop(&[&ids[0]]), "k1", true).await.unwrap();
        assert_eq!(rehearsed.said, "1 run would be stopped");
        assert!(
            runs(&source, false, None).await.iter().all(|r| r.status == RunStatus::Running),
            "a rehearsal changes nothing"
        );
        perform(&source, stop(&[&ids[0]]), "k2", false).await.unwrap();
        let said = perform(&source, stop(&[&ids[0], &ids[1]]), "k3", false).await.unwrap().said;
        assert_eq!(said, "1 run marked as killed and asked to stop; 1 were over already");
        let first = runs(&source, false, None).await.swap_remove(0);
        assert_eq!(first.status, RunStatus::Killed);
        assert_eq!(first.tags["opsroom.reason"], "a test");
        assert!(first.tags.contains_key("opsroom.stop_requested"));
        let refused = perform(&source, stop(&[&ids[0], &ids[1]]), "k4", false).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict);
    });
}

#[test]
fn tags_are_set_and_removed_and_a_rehearsal_sets_none() {
    let agent = Agent::start();
    wait(async {
        let (source, ids) = filled(&agent).await;
        let tag = |value: Option<&str>| {
            let tags = BTreeMap::from([("team".to_owned(), value.map(ToOwned::to_owned))]);
            Change::Tag(BTreeMap::from([(ids[0].clone(), tags)]))
        };
        let held = async || runs(&source, false, None).await[0].tags.get("team").cloned();
        perform(&source, tag(Some("risk")), "t1", true).await.unwrap();
        assert_eq!(held().await, None);
        perform(&source, tag(Some("risk")), "t2", false).await.unwrap();
        assert_eq!(held().await.as_deref(), Some("risk"));
        perform(&source, tag(None), "t3", false).await.unwrap();
        assert_eq!(held().await, None);
    });
}

#[test]
fn a_batch_that_breaks_off_says_how_far_it_came_and_repeats_without_harm() {
    let agent = Agent::start();
    wait(async {
        let (source, ids) = filled(&agent).await;
        let delete = |id: &str| Command::Tracking(tracking::Command::DeleteRun { id: id.parse().unwrap() });
        let unknown = "f".repeat(32);
        let broken = Change::Decide(vec![delete(&ids[0]), delete(&unknown), delete(&ids[1])]);
        let fault = perform(&source, broken, "b1", false).await.unwrap_err();
        assert!(fault.what.starts_with("1 of 3 done, then: "), "{fault}");
        let whole = Change::Decide(vec![delete(&ids[0]), delete(&ids[1])]);
        let outcome = perform(&source, whole.clone(), "b2", false).await.unwrap();
        assert!(outcome.said.starts_with("2 × delete run"), "{}", outcome.said);
        let again = perform(&source, whole, "b2", false).await.unwrap();
        assert_eq!(again.audit, outcome.audit, "the same key acts once");
        assert_eq!(runs(&source, true, None).await.len(), 2, "deleted runs are listed apart");
        assert_eq!(runs(&source, false, None).await.len(), 4);
    });
}
