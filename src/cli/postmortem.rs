//! `opsroom incident postmortem`: everything that is known, to fill in; with a folder, charts beside it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::print::{self, Format, Page};
use super::{Exit, Session};
use crate::base::clock::SystemClock;
use crate::base::{Clock, Fault, Timestamp, fault::Result};
use crate::capability::fleet::{AskedLive, Live};
use crate::capability::monitoring::incident::{self, Incident};
use crate::chart::{self, Chart, Line, Scale};

/// So much before and after it is drawn.
const BEFORE: Duration = Duration::from_mins(30);
const AFTER: Duration = Duration::from_mins(10);
const SIZE: (u32, u32) = (960, 360);
/// Columns whose drift is drawn.
const COLUMNS: usize = 5;

/// # Errors
/// `NotFound`; `Unavailable` when the folder cannot be written to.
pub async fn write(session: &Session, id: i64, folder: Option<&Path>) -> Result<Exit> {
    let client = session.client().await?;
    let view = client.incident(id).await?;
    let now = SystemClock.now();
    let mut text = incident::post_mortem(&view.incident, &view.suspects, now);
    let Some(folder) = folder else {
        if session.format == Format::Json {
            print::answer(session.format, &serde_json::json!({ "markdown": text }), |_| Page::default())?;
        } else {
            print::out(text.as_bytes())?;
        }
        return Ok(Exit::Done);
    };
    let asked = window(&view.incident, now);
    // A service whose predictions nobody told of has no curves.
    let page = client.live(&view.incident.service, &asked).await.ok();
    let unwritable =
        |e: std::io::Error| Fault::unavailable(format!("cannot write into {}", folder.display())).why(e.to_string());
    let mut files: Vec<PathBuf> = Vec::new();
    if let Some(page) = &page {
        text.push_str("\n## Charts\n");
        let both = vec![(format!("INC-{id}-quality"), quality(page)), (format!("INC-{id}-drift"), drift(page))];
        charts(folder, &mut text, both, &mut files)?;
    }
    let path = folder.join(format!("INC-{id}.md"));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &text)).map_err(unwritable)?;
    files.push(path);
    let paths: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
    print::answer(session.format, &serde_json::json!({ "files": paths }), |_| {
        paths.iter().fold(Page::default(), |page, path| page.line(path.clone()))
    })?;
    Ok(Exit::Done)
}

/// Writes charts into a folder and where they are into the text; those without a curve are left out.
///
/// # Errors
/// `Unavailable` when the folder cannot be written to.
pub(super) fn charts(
    folder: &Path,
    text: &mut String,
    all: Vec<(String, Chart)>,
    files: &mut Vec<PathBuf>,
) -> Result<()> {
    for (name, drawn) in all.into_iter().filter(|(_, drawn)| drawn.lines.iter().any(|l| l.points.len() > 1)) {
        let svg = chart::svg(&drawn, SIZE.0, SIZE.1).map_err(|why| Fault::bug("the chart").why(why))?;
        let path = folder.join(format!("{name}.svg"));
        let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, svg));
        kept.map_err(|e| Fault::unavailable(format!("cannot write into {}", folder.display())).why(e.to_string()))?;
        files.push(path);
        let _ = writeln!(text, "\n![{}]({name}.svg)\n\nAgain by `{}`.", drawn.title, drawn.caption);
    }
    Ok(())
}

fn window(incident: &Incident, now: Timestamp) -> AskedLive {
    let first = incident.alerts.first().map_or(incident.opened, |a| a.alert.from.min(incident.opened));
    let (from, to) = (first.minus(BEFORE), incident.closed.map_or(now, |at| at.plus(AFTER)).min(now));
    let seconds = u64::try_from((to.0 - from.0) / 1_000_000).unwrap_or(3600).max(3600);
    let to = incident.closed.map(|_| Timestamp((to.0 / 60_000_000 + 1) * 60_000_000));
    AskedLive { window: seconds.div_ceil(60) * 60, to, ..AskedLive::default() }
}

fn command(page: &Live, verb: &str) -> String {
    let seconds = (page.window.to.0 - page.window.from.0) / 1_000_000;
    format!("opsroom {verb} {} --window {seconds}s --to {}", page.service, page.window.to)
}

fn drawn(title: String, caption: String, lines: Vec<Line>) -> Chart {
    Chart { title, caption, x_label: "UTC".to_owned(), y_label: String::new(), lines, x: Scale::Clock, log: false }
}

/// Quality of each version; where there are no labels, what scores let expect.
pub(super) fn quality(page: &Live) -> Chart {
    let line = |v: &crate::capability::fleet::Watched| {
        let real: Vec<(f64, f64)> = points(v, |p| p.metrics.get(&page.metric).map(|m| m.value));
        let (points, word) = if real.is_empty() {
            (points(v, |p| p.estimated.get(&page.metric).map(|m| m.value)), ", estimated")
        } else {
            (real, "")
        };
        Line { name: format!("{} {}{word}", v.version, v.role.words()), points }
    };
    let lines = page.versions.iter().map(line).collect();
    drawn(format!("{} of {}", page.metric, page.service), command(page, "quality"), lines)
}

fn points(
    v: &crate::capability::fleet::Watched,
    of: impl Fn(&crate::capability::monitoring::quality::Point) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let at = |p: &crate::capability::monitoring::quality::Point| (p.from.0 + p.to.0) as f64 / 2e6;
    v.points.iter().filter_map(|p| of(p).filter(|x| x.is_finite()).map(|x| (at(p), x))).collect()
}

/// The columns that drifted most, of the version that drifted most.
fn drift(page: &Live) -> Chart {
    let worst = page.versions.iter().max_by_key(|v| v.drift.alarms);
    let lines = worst.map_or_else(Vec::new, |v| {
        let line = |c: &crate::capability::drift::Course| {
            let at = v.points.iter().map(|p| (p.from.0 + p.to.0) as f64 / 2e6);
            Line { name: c.name.clone(), points: at.zip(&c.psi).filter_map(|(x, y)| y.map(|y| (x, y))).collect() }
        };
        v.courses.iter().take(COLUMNS).map(line).collect()
    });
    let name = worst.map_or(String::new(), |v| format!(" version {} against {}", v.version, v.drift.reference));
    drawn(format!("PSI of {}{name}", page.service), command(page, "drift"), lines)
}
