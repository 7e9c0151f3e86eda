//! One service in full: quality, drift and slices of its versions, stretch by stretch.

use std::time::Duration;

use super::overview::way;
use super::types::Watched;
use super::{Live, MINUTE_US, bound, changes, of_batches, raised, role};
use crate::base::{Timestamp, fault::Result};
use crate::capability::drift::{self, VersionDrift};
use crate::capability::monitoring::counters::{self, Counters, PREDICTION, together};
use crate::capability::monitoring::incident;
use crate::capability::monitoring::quality::{self, Asked, STEPS, Window, lower_is_better, main_metric, step_minutes};
use crate::capability::rollout;
use crate::db::{Pool, Source};

/// Changes of so long before the window are shown too.
const BEFORE: Duration = Duration::from_hours(24);
/// Labels that a stretch is to have, on average; and how many stretches a window has at least.
const LABELS_OF_ONE: i64 = 20;
const STRETCHES_MIN: i64 = 6;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AskedLive {
    /// Seconds.
    pub window: u64,
    /// End of the window; now, if nobody said.
    pub to: Option<Timestamp>,
    /// Also who answers, as it stood then: the window ends there.
    pub as_of: Option<Timestamp>,
    /// Instead of the one that a rule watches.
    pub metric: Option<String>,
}

/// # Errors
/// `NotFound` for a service of which nothing ever came, `Invalid` for less than a minute.
pub async fn live(pool: &Pool, counters: &Counters, service: &str, asked: &AskedLive, now: Timestamp) -> Result<Live> {
    let to = asked.as_of.or(asked.to);
    let window = Asked { window: asked.window, to, ..Asked::default() }.bounds(now)?;
    let standings = match asked.as_of {
        None => rollout::services(Source::Pool(pool)).await?,
        Some(at) => rollout::services_at(Source::Pool(pool), at).await?,
    };
    let standing = standings.iter().find(|s| s.service.name == service);
    let rules = incident::rules(Source::Pool(pool)).await?;
    let arms = match counters.arms(service) {
        Ok(arms) => arms,
        // A service of which nothing came yet is empty, not missing.
        Err(_) if standing.is_some() => Vec::new(),
        Err(fault) => return Err(fault),
    };
    let window = if asked.to.is_none() { of_batches(arms.iter().map(|(_, arm)| arm), window) } else { window };
    let minutes = stretch(counters, &arms, window, now).await?;
    // Stretches begin on a fixed grid, so that they stay where they are while time goes on.
    let grid = minutes * MINUTE_US;
    let window = Window { from: Timestamp(window.from.0.div_euclid(grid) * grid), to: window.to };
    let mut versions = Vec::new();
    for (number, arm) in &arms {
        let stretches = counters.stretches(*number, (window.from, window.to), minutes, None).await?;
        let counted = together(arm, &stretches);
        let all = counted.all();
        if all.tally.n == 0 && all.tally.labelled == 0 {
            continue;
        }
        let before = quality::before(counters, *number, window.from).await?;
        let told = quality::of_counts(arm, &counted, &before);
        let labels = drift::labels(&before, &all.tally);
        let drift = VersionDrift { labels, ..drift::of_cell(arm, &all, window) };
        let mut courses = drift::course(arm, &stretches);
        courses.retain(|c| c.name != PREDICTION);
        let place = |name: &str| drift.columns.iter().position(|c| c.name == name).unwrap_or(usize::MAX);
        courses.sort_by_key(|c| place(&c.name));
        versions.push(Watched {
            version: arm.version.clone(),
            role: role(standing, &arm.version),
            quality: told,
            drift,
            points: quality::points(arm, &stretches, &before),
            courses,
        });
    }
    versions.sort_by_key(|v| (!v.role.serves(), v.role != super::Role::Stable, std::cmp::Reverse(v.quality.last)));
    let first = versions.first().and_then(|v| arms.iter().find(|(_, a)| a.version == v.version));
    let (metric, bound) = match bound(&rules, service) {
        Some((metric, bound)) => (metric, Some(bound)),
        None => (first.map_or("accuracy", |(_, a)| main_metric(a)).to_owned(), None),
    };
    let chosen = asked.metric.clone().filter(|m| *m != metric);
    let (metric, bound) = chosen.map_or((metric, bound), |m| (m, None));
    let model = standing.map(|s| s.service.model.clone()).or_else(|| first.and_then(|(_, a)| a.model.clone()));
    let mut changes = changes(pool, window.from.minus(BEFORE), window.to).await?;
    changes.retain(|c| c.concerns(service, model.as_deref()));
    let mut incidents = incident::incidents(Source::Pool(pool), Some(service)).await?;
    if let Some(at) = to {
        incidents = incidents.iter().filter_map(|i| i.as_of(at)).collect();
    }
    Ok(Live {
        service: service.to_owned(),
        model,
        window,
        at: asked.as_of.unwrap_or(now),
        step: u64::try_from(minutes * 60).unwrap_or(60),
        lower_is_better: lower_is_better(&metric),
        raised: raised(&rules, &incidents, service, &metric),
        metric,
        bound,
        candidate: standing.and_then(way),
        versions,
        changes,
        last: arms.iter().map(|(_, arm)| arm.last).filter(|at| at.0 > 0).max(),
        batch: arms.iter().filter_map(|(_, arm)| arm.batch.clone()).max_by_key(|(_, at)| *at),
    })
}

/// How long the stretches are, minutes: as short as they can be drawn, and so long that there are labels enough in each to say
/// something.
async fn stretch(counters: &Counters, arms: &[(u32, counters::Arm)], window: Window, now: Timestamp) -> Result<i64> {
    let minutes = i64::try_from(step_minutes(window, now)).unwrap_or(60);
    let mut labelled = 0;
    for (number, _) in arms {
        labelled = labelled.max(counters.tally(*number, window.from, window.to).await?.labelled);
    }
    let whole = (window.to.0 - window.from.0) / MINUTE_US;
    let enough = |minutes: &i64| labelled == 0 || labelled * minutes / whole.max(1) >= LABELS_OF_ONE;
    let longer = STEPS.into_iter().filter_map(|s| i64::try_from(s).ok()).filter(|s| *s >= minutes);
    let fits = longer.take_while(|s| s * STRETCHES_MIN <= whole || *s == minutes);
    Ok(fits.clone().find(enough).or_else(|| fits.last()).unwrap_or(minutes))
}
