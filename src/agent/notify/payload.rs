//! The forms that receivers understand. Pure: a notice in, JSON out.

use serde_json::{Value, json};

use crate::capability::monitoring::incident::{self, Incident, Notice, NoticeKind};

/// Alerts that are not sent again end by themselves; a day later nobody is told any more anyway.
const ALERTMANAGER_HOLDS: std::time::Duration = std::time::Duration::from_hours(24);

fn text(notice: &Notice) -> String {
    let mut head = incident::headline(&notice.incident);
    if !notice.incident.watchers.is_empty() {
        head.push_str(&format!(" (followed by {})", notice.incident.watchers.join(", ")));
    }
    match notice.kind {
        NoticeKind::Opened if notice.incident.reopened > 0 => format!("came back: {head}"),
        NoticeKind::Opened => head,
        NoticeKind::Worse => format!("worse: {head}"),
        NoticeKind::Acknowledged => {
            let who = notice.incident.acknowledged.as_ref().map_or("someone", |(who, _)| who.as_str());
            format!("{who} looks after it: {head}")
        }
        NoticeKind::Closed => format!("over: {head}"),
    }
}

/// Everything, for programs of one's own. `notice` is the number to drop doubles by.
pub fn webhook(notice: &Notice, next: &str) -> Value {
    json!({ "notice": notice.id, "kind": notice.kind, "text": text(notice), "next": next, "incident": notice.incident })
}

/// Slack's incoming webhook, which others understand as well.
pub fn slack(notice: &Notice, next: &str) -> Value {
    // Slack reads these three as markup.
    let plain = text(notice).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": format!("*INC-{}* {plain}\n`{next}`", notice.incident.id) })
}

/// PagerDuty's Events API v2. One key an incident, so that a doubled event is the same event.
pub fn pagerduty(notice: &Notice, next: &str, key: &str) -> Value {
    let action = match notice.kind {
        NoticeKind::Opened | NoticeKind::Worse => "trigger",
        NoticeKind::Acknowledged => "acknowledge",
        NoticeKind::Closed => "resolve",
    };
    let i = &notice.incident;
    json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": dedup(i),
        "payload": {
            "summary": text(notice).chars().take(1024).collect::<String>(),
            "source": i.service,
            "severity": match i.severity { 1 => "critical", 2 => "error", _ => "warning" },
            "timestamp": i.opened,
            "component": i.service,
            "class": i.gravest().map(|a| a.alert.rule.clone()),
            "custom_details": { "next": next, "incident": i.id, "alerts": i.alerts },
        },
    })
}

fn dedup(i: &Incident) -> String {
    // An incident that comes back is a new event for the pager.
    format!("opsroom-{}-{}-{}", i.service, i.id, i.reopened)
}

/// Alertmanager's v2 alerts: the labels say which one it is, so they never change while it is open.
pub fn alertmanager(notice: &Notice, next: &str) -> Value {
    let i = &notice.incident;
    let ends = i.closed.unwrap_or_else(|| notice.at.plus(ALERTMANAGER_HOLDS));
    json!([{
        "labels": {
            "alertname": "opsroom_incident",
            "service": i.service,
            "incident": i.id.to_string(),
        },
        "annotations": { "summary": text(notice), "severity": i.severity.to_string(), "next": next },
        "startsAt": i.opened,
        "endsAt": ends,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn notice(kind: NoticeKind) -> Notice {
        let incident: Incident = serde_json::from_value(json!({
            "id": 7, "service": "scorer", "severity": 1, "opened": "2026-11-22T03:08:00Z",
            "alerts": [{
                "rule": "auc", "severity": 1, "action": "page", "what": "auc 0.61 < 0.66", "value": 0.61, "n": 1204,
                "from": "2026-11-22T02:08:00Z", "to": "2026-11-22T03:08:00Z", "query": "opsroom quality scorer",
                "at": "2026-11-22T03:08:00Z"
            }]
        }))
        .unwrap();
        Notice { id: 3, at: Timestamp::parse("2026-11-22T03:08:01Z").unwrap(), kind, incident }
    }

    #[test]
    fn each_receiver_gets_its_form() {
        let opened = notice(NoticeKind::Opened);
        assert_eq!(slack(&opened, "go")["text"], "*INC-7* SEV1 scorer: auc 0.61 &lt; 0.66\n`go`");
        let pager = pagerduty(&opened, "go", "KEY");
        assert_eq!(
            (pager["event_action"].as_str(), pager["payload"]["severity"].as_str()),
            (Some("trigger"), Some("critical"))
        );
        let over = pagerduty(&notice(NoticeKind::Closed), "go", "KEY");
        assert_eq!((over["event_action"].as_str(), &over["dedup_key"]), (Some("resolve"), &pager["dedup_key"]));
        let am = alertmanager(&opened, "go");
        assert_eq!(am[0]["endsAt"], "2026-11-23T03:08:01Z");
        assert_eq!(am[0]["labels"], alertmanager(&notice(NoticeKind::Worse), "go")[0]["labels"]);
        assert_eq!(webhook(&opened, "go")["notice"], 3);
    }
}
