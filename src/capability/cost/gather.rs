//! Reading what a bill is made from: counters of traffic and predictions, runs, prices, placements.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bill::{Piece, Use, pieces};
use super::hours::HourOf;
use super::rates::{self, Listed};
use super::serving::{Budget, Placement};
use super::store;
use super::training::Taken;
use crate::base::id::RunId;
use crate::base::money::HOUR_US;
use crate::base::{Timestamp, fault::Result};
use crate::capability::Ctx;
use crate::capability::monitoring::counters::{Counters, Tally};
use crate::capability::monitoring::{self, ArmRole};
use crate::capability::tracking::{Run, Tracking};
use crate::db::Source;

pub const DAY_US: i64 = 24 * HOUR_US;
/// Tag of the host that a captured run is on.
pub const HOST_TAG: &str = "opsroom.host";
const CPU: &str = "system/process_cpu_seconds";
const MEMORY: &str = "system/process_memory_gib_seconds";
/// A run that says it took more, in seconds of anything, does not know what it took: thirty thousand years of a core.
const TAKEN_MAX: f64 = 1e12;
/// The year 10,000.
const MOMENT_MS_MAX: i64 = 253_402_300_800_000;

/// Prices, placements and budgets as they stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// By moment; the defaults where nobody has given a list.
    pub lists: Vec<Listed>,
    pub placements: Vec<Placement>,
    pub budgets: Vec<Budget>,
}

/// Reads them.
///
/// # Errors
/// The store's.
pub async fn book(mut source: Source<'_>) -> Result<Book> {
    let mut lists = store::rates(source.again()).await?;
    if lists.is_empty() {
        lists.push(rates::defaults()?);
    }
    let placements = store::servings(source.again()).await?;
    Ok(Book { lists, placements, budgets: store::budgets(source).await? })
}

/// What services did between two moments, by pieces that no day, price or placement changes in.
#[derive(Debug, Default)]
pub struct Served {
    pub pieces: Vec<Piece>,
    pub uses: Vec<Use>,
    /// Counters of predictions by piece, service, version and slice; empty: all.
    pub told: Vec<Told>,
}

#[derive(Debug)]
pub struct Told {
    pub piece: usize,
    pub service: String,
    pub version: String,
    pub slices: BTreeMap<String, Tally>,
}

impl Served {
    /// The part between two moments that pieces begin and end at.
    pub fn within(&self, from: Timestamp, to: Timestamp) -> (Vec<Piece>, Vec<Use>) {
        let inside: Vec<usize> =
            (0..self.pieces.len()).filter(|i| from <= self.pieces[*i].from && self.pieces[*i].to <= to).collect();
        let place: BTreeMap<usize, usize> = inside.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let uses = self
            .uses
            .iter()
            .filter_map(|u| place.get(&u.piece).map(|piece| Use { piece: *piece, ..u.clone() }))
            .collect();
        (inside.into_iter().map(|i| self.pieces[i]).collect(), uses)
    }
}

/// Reads what services did. `edges`: where somebody wants to cut besides.
///
/// # Errors
/// The store's.
pub async fn served(ctx: &Ctx, book: &Book, range: (Timestamp, Timestamp), slices: bool) -> Result<Served> {
    let (from, to) = range;
    let mut cut: BTreeSet<Timestamp> =
        pieces(from, to, &book.lists, &book.placements).iter().flat_map(|p| [p.from, p.to]).collect();
    let mut midnight = (from.0.div_euclid(DAY_US) + 1) * DAY_US;
    while midnight < to.0 {
        cut.insert(Timestamp(midnight));
        midnight += DAY_US;
    }
    let edges: Vec<Timestamp> = cut.into_iter().collect();
    let mut served =
        Served { pieces: edges.windows(2).map(|e| Piece { from: e[0], to: e[1] }).collect(), ..Served::default() };
    let standing = ctx.counters.standing().versions;
    let routed = monitoring::routed(Source::Pool(ctx.db.read()), from, to).await?;
    let mut names: BTreeSet<String> = standing.iter().map(|v| v.service.clone()).collect();
    names.extend(routed.iter().cloned());
    for service in names {
        let model = standing.iter().filter(|v| v.service == service).find_map(|v| v.model.clone());
        let span = (from.0.div_euclid(HOUR_US), (to.0 - 1).div_euclid(HOUR_US) + 1);
        let hours = if routed.contains(&service) {
            ctx.hours.of(ctx.db.read(), &service, span, ctx.clock.now()).await?
        } else {
            Vec::new()
        };
        let traffic = by_piece(&served.pieces, &hours);
        told(&ctx.counters, &service, slices, &mut served).await?;
        let mine = (service.as_str(), model.as_deref());
        let uses = uses_of(mine, &served, &traffic);
        served.uses.extend(uses);
    }
    Ok(served)
}

/// Requests, errors, microseconds of work, and how many requests told those.
type Traffic = BTreeMap<(usize, String, ArmRole), (u64, u64, i128, u64)>;

fn by_piece(pieces: &[Piece], hours: &[HourOf]) -> Traffic {
    let mut traffic = Traffic::new();
    for h in hours {
        // Pieces begin and end on the hour, but for the last one.
        let at = Timestamp(h.hour * HOUR_US);
        let Some(piece) = pieces.iter().position(|p| p.from <= at && at < p.to) else { continue };
        let sum = traffic.entry((piece, h.version.to_string(), h.role)).or_default();
        sum.0 += h.requests;
        sum.1 += h.errors;
        sum.2 += h.busy;
        sum.3 += h.told;
    }
    traffic
}

/// Counters of posted predictions, piece by piece.
async fn told(counters: &Counters, service: &str, slices: bool, served: &mut Served) -> Result<()> {
    // A service that is only routed has none.
    let Ok(arms) = counters.arms(service) else { return Ok(()) };
    for (number, arm) in arms {
        for (piece, p) in served.pieces.iter().enumerate() {
            if arm.last < p.from {
                continue;
            }
            let wanted = if slices { None } else { Some("") };
            let counted = counters.counted(number, p.from, p.to, wanted).await?;
            let slices: BTreeMap<String, Tally> = counted.slices.into_iter().map(|(s, c)| (s, c.tally)).collect();
            if slices.values().any(|t| t.n > 0 || t.labelled != 0) {
                let version = arm.version.trim_start_matches('v').to_owned();
                served.told.push(Told { piece, service: service.to_owned(), version, slices });
            }
        }
    }
    Ok(())
}

/// Requests as the router counted them where it did, else as predictions told; tokens always as predictions told.
fn uses_of((service, model): (&str, Option<&str>), served: &Served, traffic: &Traffic) -> Vec<Use> {
    let blank = |piece: usize, version: &str, role: ArmRole| Use {
        piece,
        service: service.to_owned(),
        model: model.map(ToOwned::to_owned),
        version: version.to_owned(),
        role,
        requests: 0,
        errors: 0,
        busy: Some(0),
        input_tokens: 0,
        output_tokens: 0,
    };
    let mut uses: Vec<Use> = traffic
        .iter()
        .map(|((piece, version, role), (requests, errors, work, told))| Use {
            requests: *requests,
            errors: *errors,
            busy: busy(*requests, *work, *told),
            ..blank(*piece, version, *role)
        })
        .collect();
    for told in served.told.iter().filter(|t| t.service == service) {
        let Some(all) = told.slices.get("") else { continue };
        let routed = uses.iter_mut().find(|u| u.piece == told.piece && u.version == told.version);
        if let Some(routed) = routed {
            routed.input_tokens += all.input_tokens;
            routed.output_tokens += all.output_tokens;
            continue;
        }
        let is_routed = traffic.keys().any(|(piece, ..)| *piece == told.piece);
        let mut of = blank(told.piece, &told.version, ArmRole::Stable);
        (of.input_tokens, of.output_tokens) = (all.input_tokens, all.output_tokens);
        if !is_routed {
            (of.requests, of.errors, of.busy) =
                (all.n, all.errors, busy(all.n, all.latency.sum_thousandths(), all.latency.count()));
        }
        uses.push(of);
    }
    uses
}

/// Microseconds of work of so many requests, when some of them told how long they took.
fn busy(requests: u64, work: i128, told: u64) -> Option<i128> {
    match told {
        0 if requests == 0 => Some(0),
        0 => None,
        told => Some(work * i128::from(requests) / i128::from(told)),
    }
}

/// Runs that were on the way between two moments, with what they took.
pub fn runs(tracking: &Tracking, range: (Timestamp, Timestamp), now: Timestamp) -> Vec<(std::sync::Arc<Run>, Taken)> {
    let all = tracking.read(|s| s.runs().to_vec());
    all.into_iter()
        .map(|run| {
            let taken = taken(&run, now);
            (run, taken)
        })
        .filter(|(_, t)| t.from < range.1 && range.0 < t.to)
        .collect()
}

/// What a run took, by its own metrics.
pub fn taken(run: &Run, now: Timestamp) -> Taken {
    // Whoever logs a run may say anything of its time.
    let moment = |ms: i64| Timestamp::from_millis(ms.clamp(0, MOMENT_MS_MAX));
    let (from, end) = (moment(run.start_ms), run.end_ms.map(moment));
    // What is over and does not say since when is taken as over at once: unknown time is not charged.
    let to = end.unwrap_or(if run.status.is_over() { from } else { now }).max(from);
    let value = |key: &str| run.metrics.get(key).map(|m| m.value).filter(|v| (0.0..=TAKEN_MAX).contains(v));
    #[allow(clippy::cast_possible_truncation)] // seconds of a run, in millionths
    let micros = |seconds: f64| (seconds * 1e6) as i128;
    let gpu = |suffix: &str| {
        let keys = run.metrics.iter().map(|(k, _)| k).filter(|k| k.starts_with("system/gpu_") && k.ends_with(suffix));
        keys.map(|k| k.to_string()).collect::<Vec<_>>()
    };
    let worked = gpu("_busy_seconds");
    Taken {
        run: RunId(run.id.0),
        host: run.tags.get(HOST_TAG).map(ToString::to_string),
        from,
        to,
        cpu: value(CPU).map(micros),
        memory: value(MEMORY).map(|v| micros(v * 1024.0)),
        gpus: u32::try_from(gpu("_utilization_percentage").len()).unwrap_or(0),
        gpu_busy: (!worked.is_empty()).then(|| worked.iter().filter_map(|k| value(k)).map(micros).sum()),
    }
}
