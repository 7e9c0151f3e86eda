//! `opsroom hosts`: the machines that agents and edges tell of, and what runs on each.

use clap::Args;

use super::print::{self, Page, Table};
use super::{Exit, Session, times};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Timestamp, fault::Result, show};
use crate::capability::cost::HostView;
use crate::capability::hosts::Minute;

/// The machines that agents and edges tell of; with a name, one of them over time
#[derive(Debug, Args)]
pub struct Hosts {
    /// Its name
    host: Option<String>,
    /// Begin: a date, or how long ago
    #[arg(long, value_name = "TIME", value_parser = times::past, default_value = "1h", requires = "host")]
    since: Timestamp,
}

/// # Errors
/// `NotFound` for a host that nothing was told of.
pub(super) async fn run(session: &Session, it: Hosts) -> Result<Exit> {
    let client = session.client().await?;
    let now = SystemClock.now();
    match it.host {
        None => print::answer(session.format, &client.hosts().await?, |all| page(all, now))?,
        Some(host) => print::answer(session.format, &client.host_minutes(&host, it.since).await?, |all| course(all))?,
    }
    Ok(Exit::Done)
}

fn page(all: &[HostView], now: Timestamp) -> Page {
    if all.is_empty() {
        return Page::default().line("no host has told of itself yet; the agent's own does within two minutes");
    }
    let mut table = Table::new(&["HOST", "CPU>", "MEMORY>", "DISK>", "GPU", "RUNS", "SEEN", ""]);
    for view in all {
        let host = &view.host;
        let f = host.newest.as_ref().map(|m| &m.figures);
        let part = |used: u64, total: u64| format!("{} / {}", show::bytes(used), show::bytes(total));
        let of = |words: Option<String>| words.unwrap_or_else(|| show::MISSING.to_owned());
        let gpus = f.map(|f| f.gpus.iter().map(|g| format!("{:.0}%", g.percent)).collect::<Vec<_>>().join(" "));
        let mut note = Vec::new();
        note.extend(host.away.then(|| "away".to_owned()));
        note.extend((host.dropped > 0).then(|| format!("{} minutes lost", host.dropped)));
        note.extend(view.stalled.iter().map(|s| format!("{} {}", s.name, s.why)));
        table.row([
            host.name.clone(),
            of(f.map(|f| format!("{:.0}% of {}", f.cpu_percent, f.cpus))),
            of(f.map(|f| part(f.memory_bytes, f.memory_total))),
            of(f.map(|f| part(f.disk_bytes, f.disk_total))),
            of(gpus.filter(|g| !g.is_empty())),
            view.runs.join(" "),
            show::age(now, host.seen),
            note.join("; "),
        ]);
    }
    table.into()
}

fn course(all: &[Minute]) -> Page {
    let mut table = Table::new(&["TIME", "CPU>", "LOAD>", "MEMORY>", "DISK>", "GPU"]);
    for m in all {
        let f = &m.figures;
        table.row([
            show::full(m.at),
            format!("{:.0}%", f.cpu_percent),
            format!("{:.1}", f.load),
            show::bytes(f.memory_bytes),
            show::bytes(f.disk_bytes),
            f.gpus.iter().map(|g| format!("{:.0}%", g.percent)).collect::<Vec<_>>().join(" "),
        ]);
    }
    table.into()
}
