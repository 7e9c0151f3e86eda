//! The bill of training: what each run used, or its part of a host that has a price. Pure, and exact until it is rounded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::rates::{Listed, at};
use crate::base::Timestamp;
use crate::base::id::RunId;
use crate::base::money::{Exact, HOUR_US, Micro};

/// What a run took, as far as it was captured.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    pub run: RunId,
    pub host: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Microseconds of cores.
    pub cpu: Option<i128>,
    /// MiB times microseconds.
    pub memory: Option<i128>,
    /// GPUs that were kept for it, for as long as it ran.
    pub gpus: u32,
    /// Microseconds in which they worked, all together.
    pub gpu_busy: Option<i128>,
}

/// What a run cost within a window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunCost {
    /// `None`: nothing is known of it.
    #[serde(rename = "total_micros")]
    pub total: Option<Micro>,
    #[serde(rename = "cpu_micros")]
    pub cpu: Option<Micro>,
    #[serde(rename = "memory_micros")]
    pub memory: Option<Micro>,
    #[serde(rename = "gpu_micros")]
    pub gpu: Option<Micro>,
    /// Its part of a host that has a price; then the host's parts are not charged.
    #[serde(rename = "host_micros")]
    pub host: Option<Micro>,
    /// Of the total: GPUs that were kept and did nothing.
    #[serde(rename = "gpu_idle_micros")]
    pub gpu_idle: Option<Micro>,
    /// What could not be told.
    pub unknown: Vec<String>,
}

/// Bills runs, in their order. `serving` names hosts that services are billed for already: there a run is charged by use.
pub fn bill(
    window: (Timestamp, Timestamp),
    lists: &[Listed],
    runs: &[Taken],
    serving: &BTreeSet<String>,
) -> Vec<RunCost> {
    let hosted = by_host(window, lists, runs, serving);
    runs.iter()
        .zip(hosted)
        .map(|(run, hosted)| match hosted {
            Some(whole) => of_host(run, whole),
            None => by_use(window, lists, run),
        })
        .collect()
}

fn of_host(run: &Taken, whole: Exact) -> RunCost {
    let idle = run.gpu_busy.filter(|_| run.gpus > 0).map(|busy| {
        let kept = i128::from(run.gpus) * i128::from(run.to.0 - run.from.0);
        whole.scaled((kept - busy).max(0), kept.max(1)).rounded()
    });
    let rounded = Some(whole.rounded());
    RunCost { total: rounded, host: rounded, gpu_idle: idle, ..RunCost::default() }
}

/// A host is paid for while runs are on it, in equal parts by those that are on it at a time.
fn by_host(
    (from, to): (Timestamp, Timestamp),
    lists: &[Listed],
    runs: &[Taken],
    serving: &BTreeSet<String>,
) -> Vec<Option<Exact>> {
    let priced = |host: &String| !serving.contains(host) && lists.iter().any(|l| l.rates.hosts.contains_key(host));
    let mut on: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (i, run) in runs.iter().enumerate() {
        if let Some(host) = run.host.as_ref().filter(|h| priced(h)) {
            on.entry(host).or_default().push(i);
        }
    }
    let mut amounts = vec![None; runs.len()];
    for (host, members) in on {
        // Arrivals and departures in order, and who is there in between.
        let mut turns: Vec<(Timestamp, bool, usize)> = Vec::new();
        for i in members {
            let (first, last) = (runs[i].from.max(from), runs[i].to.min(to));
            if first < last {
                turns.extend([(first, true, i), (last, false, i)]);
            }
        }
        turns.sort_unstable();
        let mut edges: BTreeSet<Timestamp> = lists.iter().map(|l| l.since).collect();
        edges.extend(turns.iter().map(|t| t.0));
        let (mut there, mut turns) = (BTreeSet::new(), turns.into_iter().peekable());
        let edges: Vec<Timestamp> = edges.into_iter().collect();
        for stretch in edges.windows(2) {
            while let Some((_, comes, i)) = turns.next_if(|t| t.0 <= stretch[0]) {
                if comes {
                    there.insert(i)
                } else {
                    there.remove(&i)
                };
            }
            let price = at(lists, stretch[0]).and_then(|l| l.rates.hosts.get(host));
            let Some(price) = price.filter(|_| !there.is_empty()) else { continue };
            let part = price.for_time(stretch[1].0 - stretch[0].0).scaled(1, there.len() as i128);
            for i in &there {
                *amounts[*i].get_or_insert(Exact::default()) += part;
            }
        }
    }
    amounts
}

fn by_use((from, to): (Timestamp, Timestamp), lists: &[Listed], run: &Taken) -> RunCost {
    let lived = i128::from((run.to.0 - run.from.0).max(1));
    let (first, last) = (run.from.max(from), run.to.min(to));
    let mut edges: BTreeSet<Timestamp> = lists.iter().map(|l| l.since).filter(|at| first < *at && *at < last).collect();
    edges.extend([first, last.max(first)]);
    let edges: Vec<Timestamp> = edges.into_iter().collect();
    let (mut cpu, mut memory, mut gpu) = (Exact::default(), Exact::default(), Exact::default());
    for stretch in edges.windows(2) {
        let Some(list) = at(lists, stretch[0]) else { continue };
        let (rates, time) = (&list.rates, i128::from(stretch[1].0 - stretch[0].0));
        let hour = i128::from(HOUR_US);
        // What it took is spread evenly over the time that it ran.
        cpu += rates.cpu.of_part(run.cpu.unwrap_or(0) * time / lived, hour);
        memory += rates.memory.of_part(run.memory.unwrap_or(0) * time / lived, 1024 * hour);
        gpu += rates.gpu.of_part(i128::from(run.gpus) * time, hour);
    }
    let told = |known: bool, amount: Exact| known.then(|| amount.rounded());
    let (cpu, memory, gpu) =
        (told(run.cpu.is_some(), cpu), told(run.memory.is_some(), memory), told(run.gpus > 0, gpu));
    let mut unknown = Vec::new();
    if cpu.is_none() {
        unknown.push("its CPU time was not captured: run it under `opsroom run`, or price its host".to_owned());
    }
    let parts: Vec<Micro> = [cpu, memory, gpu].into_iter().flatten().collect();
    let kept = i128::from(run.gpus) * lived;
    let gpu_idle = gpu.zip(run.gpu_busy).map(|(gpu, busy)| {
        #[allow(clippy::cast_possible_truncation)] // a part of a figure that fits
        let idle = (i128::from(gpu.0) * (kept - busy).max(0) / kept.max(1)) as i64;
        Micro(idle)
    });
    RunCost {
        total: (!parts.is_empty()).then(|| parts.into_iter().sum()),
        cpu,
        memory,
        gpu,
        host: None,
        gpu_idle,
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::{Rates, defaults};
    use super::*;
    use crate::base::money::Price;

    const H: i64 = HOUR_US;

    fn hour(n: i64) -> Timestamp {
        Timestamp(n * H)
    }

    fn list(since: i64, change: impl FnOnce(&mut Rates)) -> Listed {
        let mut rates = defaults().unwrap().rates;
        change(&mut rates);
        Listed { since: hour(since), defaults: false, rates }
    }

    fn taken(from: i64, to: i64) -> Taken {
        let (from, to) = (hour(from), hour(to));
        Taken { run: RunId(1), host: None, from, to, cpu: None, memory: None, gpus: 0, gpu_busy: None }
    }

    #[test]
    fn a_run_costs_what_it_used() {
        let run = Taken {
            cpu: Some(i128::from(H) * 8),
            memory: Some(i128::from(H) * 2048 * 2),
            gpus: 2,
            gpu_busy: Some(i128::from(H)),
            ..taken(0, 2)
        };
        let cost = bill((hour(0), hour(10)), &[list(0, |_| {})], &[run], &BTreeSet::new()).remove(0);
        // 8 x 0.031611, 4 x 0.004237, 4 x 0.95 of which three quarters stood still.
        assert_eq!(
            (cost.cpu, cost.memory, cost.gpu),
            (Some(Micro(252_888)), Some(Micro(16_948)), Some(Micro(3_800_000)))
        );
        assert_eq!((cost.total, cost.gpu_idle), (Some(Micro(4_069_836)), Some(Micro(2_850_000))));
    }

    #[test]
    fn a_price_that_changes_on_the_way_counts_from_then_on() {
        let lists = [list(0, |r| r.gpu = Price(1_000_000_000)), list(3, |r| r.gpu = Price(2_000_000_000))];
        let run = Taken { gpus: 1, cpu: Some(0), ..taken(1, 6) };
        let cost = bill((hour(0), hour(5)), &lists, &[run], &BTreeSet::new()).remove(0);
        assert_eq!(cost.total, Some(Micro(2_000_000 + 4_000_000)), "two hours at 1, and two of three at 2");
    }

    #[test]
    fn runs_on_a_host_share_it_while_they_are_on_it() {
        let lists = [list(0, |r| r.hosts = BTreeMap::from([("h".to_owned(), Price(6_000_000_000))]))];
        let on = |from, to| Taken { host: Some("h".to_owned()), ..taken(from, to) };
        let runs = [on(0, 2), on(1, 3), on(1, 2)];
        let costs = bill((hour(0), hour(9)), &lists, &runs, &BTreeSet::new());
        let totals: Vec<i64> = costs.iter().map(|c| c.total.unwrap().0).collect();
        assert_eq!(totals, [8_000_000, 8_000_000, 2_000_000]);
        assert_eq!(totals.iter().sum::<i64>(), 3 * 6_000_000);
        // A host that services are billed for is not billed twice.
        let served = bill((hour(0), hour(9)), &lists, &runs, &BTreeSet::from(["h".to_owned()]));
        assert_eq!(served[0].total, None);
    }

    #[test]
    fn what_was_not_captured_is_unknown_and_not_zero() {
        let cost = bill((hour(0), hour(9)), &[list(0, |_| {})], &[taken(0, 1)], &BTreeSet::new()).remove(0);
        assert_eq!((cost.total, cost.unknown.len()), (None, 1));
    }
}
