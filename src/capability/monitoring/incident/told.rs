//! What is said of an incident: in a line, as the reason of what is done about it, and as a post-mortem.

use std::fmt::Write;

use super::{Incident, Suspect};
use crate::base::{Timestamp, show};

/// A line for a pager: what, how bad, where.
pub fn headline(incident: &Incident) -> String {
    let what = incident.gravest().map_or_else(|| "no alert".to_owned(), |r| r.alert.what.clone());
    let more = incident.alerts.iter().filter(|a| a.cleared.is_none()).count().saturating_sub(1);
    let more = if more > 0 { format!(" (+{more} more)") } else { String::new() };
    format!("SEV{} {}: {what}{more}", incident.severity, incident.service)
}

/// The drafted reason of an action against it.
pub fn reason(incident: &Incident, suspects: &[Suspect]) -> String {
    let what = incident.gravest().map_or_else(String::new, |r| r.alert.what.clone());
    let mut text = format!("INC-{} {what}", incident.id);
    if let Some(suspect) = suspects.first().filter(|s| s.score >= 0.3) {
        let _ = write!(text, "; after {} {}", suspect.change.what, suspect.change.target);
    }
    text
}

/// A post-mortem to fill in, in Markdown. Every number stands with the read that gives it again.
pub fn post_mortem(incident: &Incident, suspects: &[Suspect], now: Timestamp) -> String {
    let i = incident;
    let until = i.closed.unwrap_or(now);
    let mut text = format!("# INC-{}: {}\n\n", i.id, headline(i));
    let state = if i.is_open() { "still open" } else { "closed" };
    let _ = writeln!(text, "| | |\n|---|---|\n| service | {} |\n| severity | {} |", i.service, i.severity);
    let _ = writeln!(text, "| opened | {} |\n| {state} | {} |", show::moment(i.opened), show::moment(until));
    let _ = writeln!(text, "| lasted | {} |", show::between(i.opened, until));
    if let Some((who, at)) = &i.acknowledged {
        let _ = writeln!(text, "| acknowledged | {who}, after {} |", show::between(i.opened, *at));
    }
    if let Some(owner) = &i.owner {
        let _ = writeln!(text, "| owner | {owner} |");
    }
    if i.reopened > 0 {
        let _ = writeln!(text, "| came back | {} times |", i.reopened);
    }
    text.push_str("\n## What happened\n\n");
    for raised in &i.alerts {
        let a = &raised.alert;
        let ended = raised.cleared.map_or_else(|| "not cleared".to_owned(), |t| format!("cleared {}", show::clock(t)));
        let _ = writeln!(
            text,
            "- {} **{}** {} (n {}), {ended}: `{}`",
            show::clock(raised.at),
            a.rule,
            a.what,
            show::count(a.n),
            a.query
        );
    }
    text.push_str("\n## What changed before\n\n");
    if suspects.is_empty() {
        text.push_str("Nothing in the 24 hours before.\n");
    }
    for s in suspects.iter().take(10) {
        let c = &s.change;
        let moved =
            if c.from.is_empty() && c.to.is_empty() { String::new() } else { format!(" ({} -> {})", c.from, c.to) };
        let because = if c.reason.is_empty() { String::new() } else { format!(", \"{}\"", c.reason) };
        let _ = writeln!(
            text,
            "- {} before, by {}: {} {}{moved}{because}; suspect {:.2} = {:.2} near × {:.1} scope, `opsroom audit show {}`",
            show::span(s.before),
            c.who,
            c.what,
            c.target,
            s.score,
            s.nearness,
            s.scope,
            c.audit
        );
    }
    text.push_str("\n## What was done\n\n");
    if i.notes.is_empty() {
        text.push_str("Nothing was noted.\n");
    }
    for note in &i.notes {
        let _ = writeln!(text, "- {} {}: {}", show::clock(note.at), note.by, note.text);
    }
    text.push_str("\n## Why it happened\n\n_To be written._\n\n## What will be different\n\n_To be written._\n");
    text
}
