//! Takes table and chart out of the pane that has the focus.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Form, Grid, Job, What};
use crate::base::{Timestamp, number, show};
use crate::capability::tracking::compare::{Better, Measured};
use crate::chart::Chart;
use crate::tui::format;
use crate::tui::model::{Point, Record, Run, Version};
use crate::tui::msg::AuditWant;
use crate::tui::screen::plot::{Plotted, picture};
use crate::tui::screen::{compare, registry, run, runs};
use crate::tui::state::{State, View};

/// The file that this form of the focused pane is; `None` where the pane has no such thing.
pub fn job(state: &State, form: Form) -> Option<Job> {
    let (name, what) = if Form::CHARTS.contains(&form) {
        let (name, chart) = chart(state)?;
        (name, What::Chart(chart))
    } else {
        table(state)?
    };
    Some(Job { name: format!("opsroom-{name}"), form, what })
}

/// The table of the focused pane, and what it is called.
pub fn table(state: &State) -> Option<(String, What)> {
    let grid = |name: String, grid: Grid| (!grid.rows.is_empty()).then_some((name, What::Grid(grid)));
    match state.nav.here() {
        View::Runs => match state.runs.pane {
            runs::TABLE => (state.runs.total() > 0).then(|| {
                let of = state.runs.experiment.as_ref().map_or(String::new(), |e| format!("-{}", e.name));
                (format!("runs{of}"), What::Runs(runs::question(&state.runs, state.window)))
            }),
            runs::CHART => {
                let key = state.runs.charted_metric()?;
                grid(format!("points-{key}"), points_grid(&runs::view::plotted(&state.runs)))
            }
            _ => state.runs.current().and_then(|r| grid(format!("run-{}", r.name), run_grid(r))),
        },
        View::Run(_) => {
            let run = state.run.row.value()?;
            let name = format!("run-{}", run.name);
            match state.run.pane {
                run::METRICS => grid(format!("{name}-metrics"), metrics_grid(run)),
                run::CHART => {
                    let key = state.run.charted_metric()?;
                    grid(format!("{name}-points-{key}"), points_grid(&run::view::plotted(&state.run)))
                }
                run::PARAMS => grid(format!("{name}-params"), pairs("param", run.params.iter())),
                run::INPUTS => grid(format!("{name}-inputs"), inputs_grid(run)),
                run::ARTIFACTS => grid(format!("{name}-artifacts"), artifacts_grid(state)),
                _ => {
                    let facts = state.run.facts();
                    grid(format!("{name}-tags"), pairs("name", facts.iter().map(|(k, v)| (k, v))))
                }
            }
        }
        View::Compare(ids) => {
            let name = format!("compare-{}", ids.len());
            match state.compare.pane {
                compare::METRICS => grid(format!("{name}-metrics"), compared_grid(&state.compare)),
                compare::CHART => {
                    let key = state.compare.charted_metric()?;
                    grid(format!("{name}-points-{key}"), points_grid(&compare::view::plotted(&state.compare)))
                }
                _ => grid(format!("{name}-config"), settings_grid(&state.compare)),
            }
        }
        View::Data => super::data::table(&state.data).and_then(|(name, of)| grid(name, of)),
        View::Fleet => grid("fleet".into(), super::live::fleet(state)),
        View::Incident(_) | View::Live | View::Recovery(_) => {
            super::live::table(state).and_then(|(name, of)| grid(name, of))
        }
        View::Rollouts => grid("services".into(), services_grid(state)),
        View::Cost => grid("cost".into(), cost_grid(state)),
        View::Readiness => grid("readiness".into(), readiness_grid(state)),
        View::Registry => grid("registry".into(), versions_grid(&state.registry)),
        View::Versus { model, old, new } => {
            let mut rows = Grid::new(&["name", "old", "new", "note"]);
            rows.rows = registry::versus::cells(state).into_iter().map(|c| c.map(|t| json!(t)).into()).collect();
            grid(format!("{model}-v{old}-v{new}"), rows)
        }
        View::Audit => (state.audit.total() > 0).then(|| {
            let want = AuditWant {
                filter: state.audit.filter.clone(),
                window: state.window,
                until: state.past.at,
                offset: 0,
                limit: 0,
            };
            ("audit".to_owned(), What::Audit(want))
        }),
    }
}

fn cost_grid(state: &State) -> Grid {
    let mut rows = Grid::new(&[
        "what",
        "kind",
        "currency",
        "total",
        "busy",
        "idle",
        "tokens",
        "candidate",
        "shadow",
        "served",
        "per_prediction",
        "per_correct",
        "unknown",
    ]);
    let currency = state.cost.report().map_or("", |r| r.currency.as_str());
    rows.rows = state
        .cost
        .shown()
        .into_iter()
        .map(|r| {
            let (parts, correct) = (r.parts, r.per_correct.map(|c| c.value));
            vec![
                json!(r.what),
                json!(r.kind),
                json!(currency),
                json!(r.total.map(crate::base::money::Micro::units)),
                json!(parts.busy.units()),
                json!(parts.idle.units()),
                json!(parts.tokens.units()),
                json!(r.candidate.units()),
                json!(r.shadow.units()),
                json!(r.served),
                json!(r.per_prediction),
                json!(correct),
                json!(r.unknown.join("; ")),
            ]
        })
        .collect();
    rows
}

fn readiness_grid(state: &State) -> Grid {
    let mut rows = Grid::new(&["capability", "state", "evidence", "next", "step"]);
    let row = |c: &crate::local::doctor::Capability| {
        vec![json!(c.name), json!(c.state.word()), json!(c.evidence), json!(c.next), json!(c.step)]
    };
    rows.rows = state.readiness.shown().into_iter().map(row).collect();
    rows
}

fn services_grid(state: &State) -> Grid {
    let mut rows = Grid::new(&["service", "model", "stable", "previous", "candidate", "weight_percent", "state"]);
    rows.rows = state
        .rollouts
        .shown()
        .into_iter()
        .map(|s| {
            let on = s.candidate.as_ref();
            let share = on.map(|r| crate::capability::rollout::service::percent(r.weight));
            let word = on.map_or("steady", |r| r.state.words());
            let (name, model) = (&s.service.name, &s.service.model);
            let version = on.map(|r| r.version);
            vec![
                json!(name),
                json!(model),
                json!(s.stable),
                json!(s.previous),
                json!(version),
                json!(share),
                json!(word),
            ]
        })
        .collect();
    rows
}

/// The chart of the screen, with its caption.
pub fn chart(state: &State) -> Option<(String, Chart)> {
    let (name, key, lines, look, command) = match state.nav.here() {
        View::Runs => {
            let key = state.runs.charted_metric()?;
            let lines = runs::view::plotted(&state.runs);
            let ids: Vec<&str> = state.runs.charted().iter().map(|r| short(&r.id)).collect();
            let command = history(&ids, &key);
            (format!("runs-{key}"), key, lines, state.runs.look, command)
        }
        View::Run(id) => {
            let key = state.run.charted_metric()?;
            let name = state.run.row.value().map_or(short(id), |r| r.name.as_str());
            let command = history(&[short(id)], &key);
            (format!("run-{name}-{key}"), key, run::view::plotted(&state.run), state.run.look, command)
        }
        View::Compare(ids) => {
            let key = state.compare.charted_metric()?;
            let short_ids: Vec<&str> = ids.iter().map(|id| short(id)).collect();
            let command = format!("opsroom runs compare {}", short_ids.join(" "));
            let lines = compare::view::plotted(&state.compare);
            (format!("compare-{}-{key}", ids.len()), key, lines, state.compare.look, command)
        }
        View::Fleet | View::Incident(_) | View::Live | View::Recovery(_) => return super::live::chart(state),
        View::Registry
        | View::Versus { .. }
        | View::Rollouts
        | View::Cost
        | View::Readiness
        | View::Audit
        | View::Data => return None,
    };
    let context = state.status.value().map_or("", |s| s.context.as_str());
    let title = if lines.len() == 1 { format!("{key}  {}", lines[0].run) } else { key.clone() };
    let caption =
        format!("{}  {}  {context}  {}", show::moment(state.now), look.words(), format::cut(&command, 90, "…"));
    Some((name, picture(format::clean(&title), caption, &lines, look)))
}

fn history(ids: &[&str], key: &str) -> String {
    ids.first().map_or(String::new(), |id| {
        let more = if ids.len() > 1 { format!(" (and {} more)", ids.len() - 1) } else { String::new() };
        format!("opsroom runs history {id} {key}{more}")
    })
}

/// The beginning of an id names a run.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// What is no number is its word, since JSON has none for it.
pub(super) fn figure(v: f64) -> Value {
    number::word(v).map_or_else(|| json!(v), Into::into)
}

fn moment(t: Timestamp) -> Value {
    t.to_string().into()
}

pub(super) fn runs_grid(runs: &[Run]) -> Grid {
    let keys = |of: fn(&Run) -> Vec<&String>| runs.iter().flat_map(of).cloned().collect::<BTreeSet<String>>();
    let (params, metrics) = (keys(|r| r.params.keys().collect()), keys(|r| r.metrics.keys().collect()));
    let tags: BTreeSet<String> = keys(|r| r.tags.keys().collect());
    let mut grid = Grid::new(&["run_id", "name", "experiment", "status", "user", "started", "ended"]);
    grid.heads.extend(metrics.iter().map(|k| format!("metrics.{k}")));
    grid.heads.extend(params.iter().map(|k| format!("params.{k}")));
    grid.heads.extend(tags.iter().map(|k| format!("tags.{k}")));
    for r in runs {
        let text = |t: &str| Value::from(t);
        let ended = r.ended.map_or(Value::Null, moment);
        let mut row = vec![
            text(&r.id),
            text(&r.name),
            text(&r.experiment),
            text(r.status.name()),
            text(&r.user),
            moment(r.started),
            ended,
        ];
        row.extend(metrics.iter().map(|k| r.metrics.get(k).map_or(Value::Null, |m| figure(m.value))));
        row.extend(params.iter().map(|k| r.params.get(k).map_or(Value::Null, |v| text(v))));
        row.extend(tags.iter().map(|k| r.tags.get(k).map_or(Value::Null, |v| text(v))));
        grid.rows.push(row);
    }
    grid
}

pub(super) fn records_grid(records: &[Record]) -> Grid {
    let mut grid = Grid::new(&[
        "seq", "at", "actor", "verified", "via", "action", "target", "from", "to", "ok", "result", "reason", "before",
        "after", "digest",
    ]);
    let row = |r: &Record| {
        vec![
            json!(r.seq),
            moment(r.at),
            json!(r.actor),
            json!(r.verified),
            json!(r.via),
            json!(r.action),
            json!(r.target),
            json!(r.from),
            json!(r.to),
            json!(r.ok),
            json!(r.result),
            json!(r.reason),
            r.before.clone(),
            r.after.clone(),
            json!(r.digest),
        ]
    };
    grid.rows = records.iter().map(row).collect();
    grid
}

fn pairs<'a>(head: &str, of: impl Iterator<Item = (&'a String, &'a String)>) -> Grid {
    let mut grid = Grid::new(&[head, "value"]);
    grid.rows = of.map(|(k, v)| vec![json!(k), json!(v)]).collect();
    grid
}

fn metrics_grid(run: &Run) -> Grid {
    let mut grid = Grid::new(&["metric", "value", "step", "at", "points"]);
    let row = |(k, m): (&String, &crate::tui::model::Latest)| {
        vec![json!(k), figure(m.value), json!(m.step), moment(m.at), json!(m.count)]
    };
    grid.rows = run.metrics.iter().map(row).collect();
    grid
}

fn run_grid(run: &Run) -> Grid {
    let one = runs_grid(std::slice::from_ref(run));
    let mut grid = Grid::new(&["name", "value"]);
    let values = one.rows.into_iter().next().unwrap_or_default();
    grid.rows = one.heads.into_iter().zip(values).map(|(k, v)| vec![json!(k), v]).collect();
    grid
}

/// The points as they are drawn: of a long history the first, last, least and greatest of each column.
fn points_grid(lines: &[Plotted<'_>]) -> Grid {
    let mut grid = Grid::new(&["run", "metric", "step", "at", "value"]);
    for line in lines {
        let row = |p: &Point| vec![json!(line.run), json!(line.metric), json!(p.step), moment(p.at), figure(p.value)];
        grid.rows.extend(line.points.unwrap_or_default().iter().map(row));
    }
    grid
}

fn inputs_grid(run: &Run) -> Grid {
    let mut grid = Grid::new(&["name", "digest", "context", "source"]);
    let row = |i: &crate::tui::model::Input| vec![json!(i.name), json!(i.digest), json!(i.context), json!(i.source)];
    grid.rows = run.inputs.iter().map(row).collect();
    grid
}

fn artifacts_grid(state: &State) -> Grid {
    let mut grid = Grid::new(&["path", "directory", "bytes"]);
    grid.rows =
        state.run.tree().into_iter().map(|(_, a)| vec![json!(a.path), json!(a.is_dir), json!(a.size)]).collect();
    grid
}

fn compared_grid(compare: &compare::Compare) -> Grid {
    let order = compare.order();
    let mut grid = Grid::new(&["metric", "better", "noise"]);
    for (n, run) in order.iter().filter_map(|i| compare.runs().get(*i)).enumerate() {
        grid.heads.push(run.name.clone());
        if n > 0 {
            grid.heads.extend(["difference", "sigmas", "grade"].map(|w| format!("{} {w}", run.name)));
        }
    }
    let row = |m: &&Measured| {
        let better = m.better.map(|b| if b == Better::Higher { "higher" } else { "lower" });
        let mut row = vec![json!(m.key), json!(better), m.noise.map_or(Value::Null, |n| figure(n.of_difference()))];
        let option = |v: Option<f64>| v.map_or(Value::Null, figure);
        for (n, cell) in order.iter().filter_map(|i| m.cells.get(*i)).enumerate() {
            row.push(option(cell.value));
            if n > 0 {
                row.extend([option(cell.difference), option(cell.sigmas), json!(cell.grade.sign())]);
            }
        }
        row
    };
    grid.rows = compare.metrics().iter().map(row).collect();
    grid
}

fn settings_grid(compare: &compare::Compare) -> Grid {
    let order = compare.order();
    let mut grid = Grid::new(&["section", "key"]);
    grid.heads.extend(order.iter().filter_map(|i| compare.runs().get(*i)).map(|r| r.name.clone()));
    for s in compare.settings() {
        let values = order.iter().map(|i| json!(s.values.get(*i).cloned().flatten()));
        grid.rows.push([json!(s.section.title().to_lowercase()), json!(s.key)].into_iter().chain(values).collect());
    }
    grid
}

fn versions_grid(registry: &registry::Registry) -> Grid {
    let mut grid = Grid::new(&[
        "model",
        "version",
        "stage",
        "aliases",
        "run_id",
        "run",
        "source",
        "digest",
        "bytes",
        "created",
        "by",
        "description",
    ]);
    for model in registry.shown() {
        let row = |v: &Version| {
            vec![
                json!(model.name),
                json!(v.number),
                json!(v.stage.name()),
                json!(v.aliases.join(" ")),
                json!(v.run),
                json!(v.run_name),
                json!(v.source),
                json!(v.digest),
                json!(v.size),
                moment(v.created),
                json!(v.by),
                json!(v.description),
            ]
        };
        grid.rows.extend(model.versions.iter().map(row));
    }
    grid
}
