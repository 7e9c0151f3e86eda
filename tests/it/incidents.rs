//! Incidents from the rule to the post-mortem, on both engines and from the command line.

use opsroom::base::{Kind, Timestamp};
use opsroom::capability::monitoring::incident::{self, Action, Alert, Command as Incidents, NoticeKind};
use opsroom::capability::{Command, Ctx, Envelope, perform};
use opsroom::db::Source;

use super::stores::{kim, on_each_engine};
use super::support::Agent;

fn alert(rule: &str, severity: u8) -> Alert {
    Alert {
        rule: rule.to_owned(),
        severity,
        action: Action::Page,
        what: format!("{rule} is 0.5 < 0.6"),
        value: Some(0.5),
        n: 1200,
        from: Timestamp(0),
        to: Timestamp(60_000_000),
        query: "opsroom quality s".to_owned(),
    }
}

async fn raise(ctx: &Ctx, rule: &str, severity: u8) -> opsroom::base::fault::Result<String> {
    let command = Incidents::RaiseAlert { service: "s".to_owned(), alert: alert(rule, severity) };
    perform(ctx, &kim(), Envelope::new(Command::Incidents(command), "")).await.map(|o| o.to)
}

async fn clear(ctx: &Ctx, rule: &str) -> String {
    let command = Incidents::ClearAlert { service: "s".to_owned(), rule: rule.to_owned() };
    perform(ctx, &kim(), Envelope::new(Command::Incidents(command), "")).await.unwrap().to
}

#[tokio::test]
async fn alerts_join_one_incident_and_the_last_to_clear_closes_it() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        assert_eq!(raise(&ctx, "auc", 2).await.unwrap(), "INC-1 SEV2 auc is 0.5 < 0.6");
        assert_eq!(raise(&ctx, "auc", 2).await.unwrap_err().kind, Kind::Conflict);
        assert!(raise(&ctx, "errors", 1).await.unwrap().starts_with("INC-1 SEV1"));
        assert_eq!(clear(&ctx, "auc").await, "INC-1 open");
        assert_eq!(clear(&ctx, "errors").await, "INC-1 closed");
        // Soon after it is the same incident again, and nobody has it.
        assert!(raise(&ctx, "auc", 2).await.unwrap().starts_with("INC-1 "));
        let again = incident::incident(Source::Pool(ctx.db.read()), 1).await.unwrap();
        assert_eq!((again.reopened, again.severity, again.is_open(), again.alerts.len()), (1, 1, true, 3));
        let told = incident::untold(Source::Pool(ctx.db.read())).await.unwrap();
        let kinds: Vec<NoticeKind> = told.iter().map(|n| n.kind).collect();
        assert_eq!(kinds, [NoticeKind::Opened, NoticeKind::Worse, NoticeKind::Closed, NoticeKind::Opened]);
        let mut tx = ctx.db.begin().await.unwrap();
        incident::was_told(&mut tx, told[0].id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(incident::untold(Source::Pool(ctx.db.read())).await.unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_silenced_incident_tells_nobody() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        raise(&ctx, "auc", 2).await.unwrap();
        let until = ctx.clock.now().plus(std::time::Duration::from_mins(10));
        let silence = Command::Incidents(Incidents::SilenceIncident { id: 1, until });
        perform(&ctx, &kim(), Envelope::new(silence, "known")).await.unwrap();
        raise(&ctx, "errors", 1).await.unwrap();
        let kinds: Vec<NoticeKind> =
            incident::untold(Source::Pool(ctx.db.read())).await.unwrap().iter().map(|n| n.kind).collect();
        assert_eq!(kinds, [NoticeKind::Opened]);
    })
    .await;
}

#[test]
fn from_a_phone_call_to_the_post_mortem() {
    let agent = Agent::start();
    agent.cli(&["model", "create", "flight-delay", "--reason", "start"]).expect(0);
    agent.cli(&["incident", "raise", "scorer", "phone", "customers wait", "--severity", "1"]).expect(0);
    let list = agent.cli(&["incident", "list", "--open", "--json"]).expect(0).json();
    assert_eq!((list[0]["id"].as_i64(), list[0]["severity"].as_i64()), (Some(1), Some(1)), "{list}");
    agent.cli(&["incident", "ack", "1"]).expect(0);
    agent.cli(&["incident", "note", "1", "restarted the feature store"]).expect(0);
    let shown = agent.cli(&["incident", "1", "--json"]).expect(0).json();
    assert_eq!(shown["suspects"][0]["change"]["what"], "create-model", "{shown}");
    agent.cli(&["incident", "clear", "scorer", "phone"]).expect(0);
    agent.cli(&["incident", "ack", "1"]).expect(7);
    agent.cli(&["incident", "404"]).expect(4);
    let text = agent.cli(&["incident", "postmortem", "1"]).expect(0).stdout;
    for part in ["# INC-1: SEV1 scorer: customers wait", "create-model flight-delay", "restarted the feature store"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let handover = agent.cli(&["handover", "--since", "1h"]).expect(0).stdout;
    assert!(handover.contains("## Closed since\n\n- INC-1 SEV1 scorer"), "{handover}");
}

#[test]
fn alert_rules_are_applied_and_a_bad_one_names_its_line() {
    let agent = Agent::start();
    let file = agent.home().path().join("alerts.toml");
    let good =
        "[[alert]]\nname = \"slow\"\nsignal = \"latency_p99_ms\"\nabove = 200\nclear = 150\nwindows = 2\nof = 3\n";
    std::fs::write(&file, good).unwrap();
    let path = file.to_str().unwrap();
    agent.cli(&["apply", path, "--reason", "on call"]).expect(0);
    let again = agent.cli(&["apply", path, "--reason", "on call", "--json"]).expect(0).json();
    assert_eq!(again["differences"].as_array().unwrap().len(), 0, "{again}");
    let rules = agent.cli(&["incident", "rules", "--json"]).expect(0).json();
    assert_eq!(rules[0]["signal"], "latency_p99_ms", "{rules}");
    std::fs::write(&file, good.replace("clear = 150", "clear = 250")).unwrap();
    let refused = agent.cli(&["apply", path, "--reason", "on call"]).expect(2);
    assert!(refused.stderr.contains("alerts.toml line 5"), "{}", refused.stderr);
}
