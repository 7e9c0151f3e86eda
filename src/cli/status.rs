//! `opsroom status`: how the agent does, and who it takes the caller for.

use super::print::{self, Page};
use super::{Exit, Session};
use crate::base::{fault::Result, show};
use crate::capability::wire::Status;

/// Never starts an agent: whether there is one is the question.
///
/// # Errors
/// `Unavailable` when none answers.
pub async fn run(session: &Session) -> Result<Exit> {
    let status = session.running().await?.status().await?;
    print::answer(session.format, &status, page)?;
    Ok(Exit::Done)
}

fn page(status: &Status) -> Page {
    let router = match status.router.as_str() {
        "" => "none: no service is routed".to_owned(),
        address => format!(
            "{address} ({} requests watched, {} dropped, {} unreadable)",
            show::count(status.tap.kept),
            show::count(status.tap.dropped),
            show::count(status.tap.unreadable)
        ),
    };
    let shed = match status.shed {
        shed if shed.events + shed.bodies == 0 => "nothing".to_owned(),
        shed => format!(
            "{} predictions and labels, {} requests unread{}",
            show::count(shed.events),
            show::count(shed.bodies),
            shed.last.map_or(String::new(), |at| format!(" (last at {})", show::moment(at)))
        ),
    };
    let identity = if status.verified { "verified" } else { "claimed" };
    Page::default().pairs([
        ("agent", status.address.clone()),
        ("socket", format!("unix:{}", status.socket)),
        ("version", status.version.clone()),
        ("badge", status.badge.clone()),
        ("store", status.store.clone()),
        ("artifacts", status.artifacts.clone()),
        ("pid", status.pid.to_string()),
        ("up", format!("{} (since {})", show::between(status.started, status.now), show::moment(status.started))),
        ("you are", format!("{} ({identity}, {})", status.actor, status.role.name())),
        ("router", router),
        ("not taken", shed),
        ("experiments", show::count(status.experiments as u64)),
        ("runs", format!("{} ({} running)", show::count(status.runs as u64), status.running)),
        (
            "waiting",
            format!("{} writes, {} points to fold", status.writes_queued, show::count(status.unfolded_points as u64)),
        ),
    ])
}
