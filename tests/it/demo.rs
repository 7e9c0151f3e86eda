//! The demonstration's story, told to a real agent at full speed.

use std::sync::{Arc, Mutex};

use opsroom::capability::gates::Verdict;
use opsroom::capability::registry::Stage;
use opsroom::capability::tracking::RunQuery;
use opsroom::demo::proof::Workshop;
use opsroom::demo::story::{NAME, Story};

use crate::support::{Agent, Home};

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_and_ends_as_it_should() {
    let agent = Agent::start_in(Home::new(), &["--exec", "true", "--router", "127.0.0.1:0"]);
    let client = agent.client();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let folder = tempfile::tempdir().unwrap();
    let workshop = Workshop { folder: folder.path().to_owned(), program: env!("CARGO_BIN_EXE_opsroom").into() };
    let story = Story::new(client.clone(), 1e6, workshop, move |line| {
        println!("{line}");
        ear.lock().unwrap().push(line.to_owned());
    })
    .unwrap();
    assert!(!story.was_told().await.unwrap());
    story.tell().await.unwrap();
    assert!(story.was_told().await.unwrap());

    let lines = heard.lock().unwrap().clone();
    assert!(
        lines.last().unwrap().starts_with("the end: 15 runs finished, v3 in production, v1 archived"),
        "{lines:#?}"
    );

    // The successor came by its rollout without a failed request; the version that is truly worse was caught.
    let told = |words: &str| lines.iter().any(|l| l.contains(words));
    assert!(told("v3 promoted by its rollout") && told("requests, none failed"), "{lines:#?}");
    assert!(told("v4 dropped by the judge: errors"), "{lines:#?}");
    let service = client.service(NAME).await.unwrap();
    assert_eq!((service.standing.stable, service.standing.previous), (Some(3), Some(1)));

    let view = client.model(NAME, None).await.unwrap();
    let winner = view.in_stage(Stage::Prod).next().unwrap();
    assert_eq!(winner.doc.datasets.len(), 2, "the lineage names the data: May and June");
    let data = client.dataset("flights").await.unwrap();
    assert_eq!(data.versions.len(), 12, "a version a month");
    assert!(data.versions.iter().all(|v| v.version.doc.tables.len() == 1 && v.version.doc.profile.is_some()));
    // Every version was asked the same; one went to prod, one is held back by a slice.
    let standing = client.check_gates(NAME, 2, Stage::Prod).await.unwrap();
    let failing: Vec<&str> =
        standing.gates.iter().filter(|g| g.verdict == Verdict::Fail).map(|g| g.name.as_str()).collect();
    assert!(failing.contains(&"airports"), "{failing:?}");
    assert_eq!(view.version(2).unwrap().stage, Stage::Staging);
    let refused = lines.iter().find(|l| l.contains("REFUSED")).unwrap();
    assert!(refused.contains("v2 to prod REFUSED by gate airports: origin="), "{refused}");
    for version in 1..=3 {
        assert!(!client.evals(NAME, Some(version)).await.unwrap().is_empty());
    }
    assert!(winner.doc.artifact.as_ref().is_some_and(|tree| tree.files == 2), "model and card are frozen");

    // The year in service: watched, paged, and what is in the data.
    assert!(lines.iter().any(|l| l.starts_with("INC-1 opened: SEV1 flight-delay: quality:ece")), "{lines:#?}");
    assert!(lines.iter().any(|l| l.starts_with("left to itself the first model was right in")), "{lines:#?}");
    let fleet = client.fleet(3600, None).await.unwrap();
    let names: Vec<&str> = fleet.services.iter().map(|s| s.service.as_str()).collect();
    assert_eq!(names, ["flight-delay", "flight-delay-untouched"], "the one that is wrong comes first");
    let recount = client.recount(NAME).await.unwrap();
    assert_eq!(recount.same, Some(true), "{}", recount.why);

    // The curves are there, and they go down.
    let query = RunQuery { filter: "attributes.run_name = 'weather'".to_owned(), ..RunQuery::default() };
    let run = client.search_runs(&query).await.unwrap().runs.remove(0);
    let course = client.history(run.id, "heldout/loss", 400).await.unwrap();
    assert_eq!(course.count, 50);
    assert!(course.points.first().unwrap().value > course.points.last().unwrap().value);
    agent.cli(&["agent", "stop"]).expect(0);
}
