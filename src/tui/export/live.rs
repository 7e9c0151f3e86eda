//! The tables of services: the fleet, and the columns, slices and stretches of one service.

use serde_json::{Value, json};

use super::Grid;
use super::take::figure;
use crate::capability::fleet::{Live, Watched};
use crate::capability::registry::Stage;
use crate::chart::Chart;
use crate::tui::screen::{incident, live, watch};
use crate::tui::state::{State, View};

fn number(v: Option<f64>) -> Value {
    v.map_or(Value::Null, figure)
}

pub(super) fn fleet(state: &State) -> Grid {
    let mut grid = Grid::new(&[
        "service",
        "model",
        "stage",
        "version",
        "candidate",
        "share_percent",
        "metric",
        "quality",
        "estimated",
        "labelled",
        "predictions",
        "drift_column",
        "psi",
        "alarm",
        "requests",
        "errors",
        "p99_ms",
    ]);
    grid.rows = state
        .fleet
        .shown()
        .into_iter()
        .map(|r| {
            let (way, drift) = (r.candidate.as_ref(), r.drift.as_ref());
            vec![
                json!(r.service),
                json!(r.model),
                json!(r.stage.map(Stage::name)),
                json!(r.version),
                json!(way.map(|c| c.version)),
                number(way.map(|c| c.share)),
                json!(r.metric),
                number(r.quality.map(|m| m.value)),
                number(r.estimated.map(|m| m.value)),
                json!(r.labelled),
                json!(r.n),
                json!(drift.map(|d| &d.column)),
                number(drift.map(|d| d.psi)),
                json!(drift.map(|d| d.alarm)),
                json!(r.requests),
                json!(r.errors),
                number(r.p99_ms),
            ]
        })
        .collect();
    grid
}

/// The service that the screen shows, with the version that is looked at.
fn shown(state: &State) -> Option<(&Live, &Watched)> {
    match state.nav.here() {
        View::Incident(_) => {
            let page = state.watch.about(&state.incident.known()?.incident.service)?;
            Some((page, incident::arm(state)?))
        }
        View::Recovery(service) => {
            let page = state.watch.about(service)?;
            Some((page, watch::arm(page, None)?))
        }
        _ => Some((state.watch.about(live::service(state)?)?, live::arm(state)?)),
    }
}

/// What the focused pane holds.
pub(super) fn table(state: &State) -> Option<(String, Grid)> {
    let (page, v) = shown(state)?;
    let here = state.nav.here();
    let (is_live, pane) =
        (*here == View::Live, if *here == View::Live { state.live.pane } else { state.incident.pane });
    let name = format!("{}-{}", page.service, watch::words::version(&v.version));
    Some(match (is_live, pane) {
        (true, live::HEAT | live::FEATURE) | (false, incident::INPUT) => (format!("{name}-drift"), columns(v)),
        (true, live::SLICES) | (false, incident::SLICE) => (format!("{name}-slices"), slices(v)),
        _ => (format!("{name}-{}", page.metric), stretches(page, v)),
    })
}

fn columns(v: &Watched) -> Grid {
    let mut grid = Grid::new(&[
        "column",
        "reference",
        "n",
        "psi",
        "limit",
        "p",
        "missing",
        "missing_reference",
        "new",
        "js",
        "wasserstein",
        "alarm",
    ]);
    let all = v.drift.score.iter().chain(&v.drift.columns);
    grid.rows = all
        .map(|c| {
            vec![
                json!(c.name),
                json!(c.reference),
                json!(c.n),
                number(c.psi),
                number(c.limit),
                number(c.p),
                figure(c.missing),
                figure(c.missing_reference),
                figure(c.new),
                number(c.js),
                number(c.wasserstein),
                json!(c.alarm),
            ]
        })
        .collect();
    grid
}

fn slices(v: &Watched) -> Grid {
    let mut grid = Grid::new(&["slice", "n", "labelled", "metric", "value", "loss_share", "label_share"]);
    grid.rows = v
        .quality
        .slices
        .iter()
        .map(|s| {
            vec![
                json!(s.slice),
                json!(s.n),
                json!(s.labelled),
                json!(s.metric),
                figure(s.value),
                figure(s.loss_share),
                figure(s.label_share),
            ]
        })
        .collect();
    grid
}

fn stretches(page: &Live, v: &Watched) -> Grid {
    let mut grid = Grid::new(&["from", "to", "predictions", "errors", "labelled", "measured", "estimated", "p99_ms"]);
    grid.rows = v
        .points
        .iter()
        .map(|p| {
            vec![
                json!(p.from),
                json!(p.to),
                json!(p.n),
                json!(p.errors),
                json!(p.labelled),
                number(p.metrics.get(&page.metric).map(|m| m.value)),
                number(p.estimated.get(&page.metric).map(|m| m.value)),
                number(p.latency_ms.map(|l| l.2)),
            ]
        })
        .collect();
    grid
}

/// The chart of quality over time, with its caption.
pub(super) fn chart(state: &State) -> Option<(String, Chart)> {
    let (service, asked) = match state.nav.here() {
        View::Fleet => (state.fleet.current()?.service.clone(), None),
        View::Incident(_) => (state.incident.known()?.incident.service.clone(), None),
        View::Recovery(service) => (service.clone(), None),
        _ => (live::service(state)?.to_owned(), state.live.arm.as_deref()),
    };
    let page = state.watch.about(&service)?;
    Some((format!("{service}-{}", page.metric), watch::curve::picture(page, asked)))
}
