//! Who is told: a webhook, Slack or what speaks as it does, PagerDuty, Alertmanager.

use std::fmt;

use reqwest::Url;

use super::payload;
use crate::base::Fault;
use crate::base::fault::{Result, root_cause};
use crate::capability::monitoring::incident::Notice;

const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Webhook,
    Slack,
    PagerDuty,
    Alertmanager,
}

/// One of them. Its address and key are secrets: only its host is ever shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    kind: Kind,
    url: Url,
    key: String,
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Webhook => "webhook",
            Kind::Slack => "slack",
            Kind::PagerDuty => "pagerduty",
            Kind::Alertmanager => "alertmanager",
        };
        write!(f, "{kind} at {}", self.url.host_str().unwrap_or("?"))
    }
}

impl Receiver {
    /// `webhook:URL`, `slack:URL`, `alertmanager:URL`, `pagerduty:KEY` or `pagerduty:KEY@URL`.
    ///
    /// # Errors
    /// `Invalid`, without what may be a secret.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Fault::invalid(format!("agent.notify: {what}"))
                .next("write webhook:URL, slack:URL, alertmanager:URL or pagerduty:KEY")
        };
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("a receiver has no kind"))?;
        let (kind, key, url) = match kind {
            "webhook" => (Kind::Webhook, "", rest),
            "slack" => (Kind::Slack, "", rest),
            "alertmanager" => (Kind::Alertmanager, "", rest),
            "pagerduty" => {
                let (key, url) = rest.split_once('@').unwrap_or((rest, PAGERDUTY));
                (Kind::PagerDuty, key, url)
            }
            other => return Err(wrong(&format!("{other:?} is no kind of receiver"))),
        };
        let url = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let mut url = url.ok_or_else(|| wrong("a receiver's address is no http(s) URL"))?;
        if kind == Kind::PagerDuty && key.is_empty() {
            return Err(wrong("pagerduty needs its routing key"));
        }
        if kind == Kind::Alertmanager && !url.path().ends_with("/api/v2/alerts") {
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}/api/v2/alerts"));
        }
        Ok(Self { kind, url, key: key.to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Tells one notice; `next` is the line to type.
    pub(super) async fn send(&self, http: &reqwest::Client, notice: &Notice, next: &str) -> Result<(), String> {
        let body = match self.kind {
            Kind::Webhook => payload::webhook(notice, next),
            Kind::Slack => payload::slack(notice, next),
            Kind::PagerDuty => payload::pagerduty(notice, next, &self.key),
            Kind::Alertmanager => payload::alertmanager(notice, next),
        };
        let sent = http.post(self.url.clone()).json(&body).send().await.map_err(|e| told(&e))?;
        if sent.status().is_success() {
            return Ok(());
        }
        Err(format!("it answered {}", sent.status()))
    }
}

/// A failure without the address, which may hold a secret.
pub(super) fn told(e: &reqwest::Error) -> String {
    let text = match (e.is_timeout(), e.is_connect(), e.status()) {
        (true, ..) => "no answer in time".to_owned(),
        (_, true, _) => "no connection".to_owned(),
        (_, _, Some(status)) => format!("it answered {status}"),
        _ => "the request failed".to_owned(),
    };
    match std::error::Error::source(e) {
        Some(cause) => format!("{text} ({})", root_cause(cause)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_read_and_show_no_secret() {
        let shown = |text: &str| Receiver::parse(text).unwrap().to_string();
        assert_eq!(shown("slack:https://hooks.example/services/T0/SECRET"), "slack at hooks.example");
        assert_eq!(shown("pagerduty:KEY"), "pagerduty at events.pagerduty.com");
        assert_eq!(shown("pagerduty:KEY@http://127.0.0.1:9/x"), "pagerduty at 127.0.0.1");
        let am = Receiver::parse("alertmanager:http://am:9093").unwrap();
        assert_eq!(am.url.as_str(), "http://am:9093/api/v2/alerts");
        for text in ["SECRET", "mail:a@b", "slack:SECRET", "pagerduty:", "webhook:ftp://x/SECRET"] {
            let fault = Receiver::parse(text).unwrap_err().to_string();
            assert!(!fault.contains("SECRET"), "{fault}");
        }
    }
}
