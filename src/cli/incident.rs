//! `opsroom incident`: what is wrong, and who takes care of it.

use clap::{Args, Subcommand};

use super::change::Change;
use super::print::{self, Format, Page, Table};
use super::{Exit, Session, times};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Timestamp, fault::Result, show};
use crate::capability::Command;
use crate::capability::monitoring::incident::{self, Action, Alert, Command as Incidents};
use crate::capability::wire::IncidentView;

/// One incident; with a verb look after incidents
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Of {
    /// Number of the incident; without one, all are listed
    id: Option<i64>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Incidents, open ones first
    List {
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Only those that are open
        #[arg(long)]
        open: bool,
    },
    /// Say that you look after it
    Ack {
        id: i64,
        #[command(flatten)]
        change: Change,
    },
    /// Give it to someone
    Assign {
        id: i64,
        to: String,
        #[command(flatten)]
        change: Change,
    },
    /// Follow it, or no longer: you are named in what is told about it
    Watch {
        id: i64,
        #[command(flatten)]
        change: Change,
    },
    /// Tell nobody about it for a while
    Silence {
        id: i64,
        /// A date, or how long from now: 30m
        #[arg(long, value_name = "TIME", value_parser = times::future, default_value = "30m")]
        until: Timestamp,
        #[command(flatten)]
        change: Change,
    },
    /// Write something down on it
    Note {
        id: i64,
        text: String,
        #[command(flatten)]
        change: Change,
    },
    /// Close it by hand
    Close {
        id: i64,
        #[command(flatten)]
        change: Change,
    },
    /// A post-mortem to fill in, in Markdown, with everything that is known
    Postmortem {
        id: i64,
        /// Write it into this folder, with charts beside it
        #[arg(long, value_name = "FOLDER")]
        to: Option<std::path::PathBuf>,
    },
    /// Alert rules
    Rules,
    /// Remove an alert rule
    RemoveRule {
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Raise an alert by hand, such as for what someone told you
    Raise {
        service: String,
        /// Name of the alert
        rule: String,
        /// What is wrong
        what: String,
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        severity: u8,
        #[command(flatten)]
        change: Change,
    },
    /// Say that an alert is over
    Clear {
        service: String,
        rule: String,
        #[command(flatten)]
        change: Change,
    },
}

impl Of {
    /// The incident that is only to be shown.
    pub fn alone(&self) -> Option<i64> {
        self.id.filter(|_| self.verb.is_none())
    }
}

/// # Errors
/// `NotFound`.
pub async fn show(session: &Session, id: i64) -> Result<Exit> {
    let view = session.client().await?.incident(id).await?;
    print::answer(session.format, &view, |v| shown(v, session.format))?;
    Ok(Exit::Done)
}

/// # Errors
/// What the agent refused.
pub async fn run(session: &Session, of: Of) -> Result<Exit> {
    let Some(verb) = of.verb else {
        return match of.id {
            Some(id) => show(session, id).await,
            None => list(session, None, false).await,
        };
    };
    let (change, command) = match verb {
        Verb::List { service, open } => return list(session, service.as_deref(), open).await,
        Verb::Rules => return rules(session).await,
        Verb::Postmortem { id, to } => return super::postmortem::write(session, id, to.as_deref()).await,
        Verb::Ack { id, change } => (change, Incidents::AckIncident { id }),
        Verb::Assign { id, to, change } => (change, Incidents::AssignIncident { id, to }),
        Verb::Silence { id, until, change } => (change, Incidents::SilenceIncident { id, until }),
        Verb::Note { id, text, change } => (change, Incidents::NoteIncident { id, text }),
        Verb::Watch { id, change } => (change, Incidents::WatchIncident { id }),
        Verb::Close { id, change } => (change, Incidents::CloseIncident { id }),
        Verb::RemoveRule { name, change } => (change, Incidents::RemoveAlert { name }),
        Verb::Clear { service, rule, change } => (change, Incidents::ClearAlert { service, rule }),
        Verb::Raise { service, rule, what, severity, change } => {
            let now = SystemClock.now();
            let query = "by hand".to_owned();
            let alert =
                Alert { rule, severity, action: Action::Page, what, value: None, n: 0, from: now, to: now, query };
            (change, Incidents::RaiseAlert { service, alert })
        }
    };
    change.run(session, Command::Incidents(command)).await
}

async fn list(session: &Session, service: Option<&str>, open: bool) -> Result<Exit> {
    let mut all = session.client().await?.incidents(service).await?;
    all.retain(|i| !open || i.is_open());
    let now = SystemClock.now();
    print::answer(session.format, &all, |all| {
        let mut table = Table::new(&["ID>", "SEV>", "AGE>", "SERVICE", "WHAT", "STATE", "OWNER"]);
        for i in all {
            let what = i.gravest().map_or_else(String::new, |r| r.alert.what.clone());
            let owner = i.owner.clone().unwrap_or_else(|| "-".to_owned());
            let (age, state) = (show::age(now, i.opened), i.state(now).to_owned());
            table.row([i.id.to_string(), i.severity.to_string(), age, i.service.clone(), what, state, owner]);
        }
        let open = all.iter().filter(|i| i.is_open()).count();
        let line = match all.len() {
            0 => "no incidents; rules are written as [[alert]] and taken by `opsroom apply`".to_owned(),
            n => format!("{open} open of {n}"),
        };
        Page::default().table(table).line(line)
    })?;
    Ok(Exit::Done)
}

fn shown(view: &IncidentView, format: Format) -> Page {
    let (i, now) = (&view.incident, SystemClock.now());
    let mut page = Page::default().pairs([
        ("incident", incident::headline(i)),
        ("state", i.state(now).to_owned()),
        ("opened", show::full(i.opened)),
        ("owner", i.owner.clone().unwrap_or_else(|| "nobody yet".to_owned())),
        ("watched by", if i.watchers.is_empty() { "nobody".to_owned() } else { i.watchers.join(", ") }),
    ]);
    let mut alerts = Table::new(&["SINCE", "ALERT", "WHAT", "N>", "CLEARED", "AGAIN BY"]);
    for a in &i.alerts {
        let cleared = a.cleared.map_or_else(|| "-".to_owned(), show::clock);
        let alert = &a.alert;
        alerts.row([
            show::clock(a.at),
            alert.rule.clone(),
            alert.what.clone(),
            show::count(alert.n),
            cleared,
            alert.query.clone(),
        ]);
    }
    let mut suspects = Table::new(&["BEFORE>", "WHO", "CHANGE", "SUSPECT>", "AUDIT>"]);
    for s in view.suspects.iter().take(8) {
        let c = &s.change;
        suspects.row([
            show::span(s.before),
            c.who.clone(),
            format!("{} {}", c.what, c.target),
            format!("{:.2}", s.score),
            format!("#{}", c.audit),
        ]);
    }
    let mut notes = Table::new(&["", "", ""]);
    i.notes.iter().for_each(|n| notes.row([show::clock(n.at), n.by.clone(), n.text.clone()]));
    page = page.titled("Alerts", alerts).titled("What changed before", suspects).titled("Notes", notes);
    if i.is_open() && i.acknowledged.is_none() && format == Format::Table {
        page = page.line("").line(format!("next: `opsroom incident ack {}`", i.id));
    }
    page
}

async fn rules(session: &Session) -> Result<Exit> {
    let rules = session.client().await?.alert_rules().await?;
    print::answer(session.format, &rules, |rules| {
        let mut table = Table::new(&["RULE", "SERVICE", "SIGNAL", "BOUND", "CLEAR>", "WINDOWS", "SEV>", "ACTION"]);
        for r in rules {
            let windows = format!("{} of {} × {}", r.windows, r.of, show::span(r.window as f64));
            let action =
                serde_json::to_value(r.action).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default();
            table.row([
                r.name.clone(),
                r.service.clone(),
                r.signal.clone().into(),
                r.bound.shown(),
                r.clear.to_string(),
                windows,
                r.severity.to_string(),
                action,
            ]);
        }
        let line = match rules.len() {
            0 => "no rules; write them as [[alert]], `opsroom apply` takes them".to_owned(),
            n => format!("{n} watched"),
        };
        Page::default().table(table).line(line)
    })?;
    Ok(Exit::Done)
}
