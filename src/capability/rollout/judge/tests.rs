//! The judge on seeded traffic.

use super::*;
use crate::base::Timestamp;
use crate::base::stats::bootstrap::Random;
use crate::capability::datasets::profile::{CategoryBins, Counts, NumberBins, Reference};
use crate::capability::drift::{self, Compared};
use crate::capability::rollout::split::BUCKETS;

/// In [0, 1).
fn unit(dice: &mut Random) -> f64 {
    (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64
}

struct Traffic {
    weight: u16,
    /// Error rates and mean latencies of stable and candidate.
    errors: (f64, f64),
    latency_ms: (f64, f64),
    a_minute: usize,
    /// Shares of labelled answers that are wrong.
    wrong: (f64, f64),
    /// By how much the candidate's input lies higher.
    shift: f64,
}

impl Traffic {
    /// Both alike.
    fn even(weight: u16, a_minute: usize) -> Self {
        Self { weight, errors: (0.005, 0.005), latency_ms: (20.0, 20.0), a_minute, wrong: (0.2, 0.2), shift: 0.0 }
    }
}

/// What is seen beside the router's counts.
#[derive(Default)]
struct Seen {
    labelled: Vec<Beside>,
    /// Of two columns, by arm.
    columns: [[Counts; 2]; 2],
    /// Requests and their milliseconds.
    time: [(u64, f64); 2],
}

fn references() -> [Reference; 2] {
    let edges = (1..10).map(|i| f64::from(i) / 10.0).collect();
    let top = ["a", "b", "c"].map(Into::into).to_vec();
    [
        Reference::Numbers(NumberBins { edges, scale: 20, ..NumberBins::default() }),
        Reference::Categories(CategoryBins { top, ..CategoryBins::default() }),
    ]
}

impl Seen {
    /// Half of the answers get a label.
    fn minute(&mut self, dice: &mut Random, windows: &[TrafficWindow], traffic: &Traffic) {
        let references = references();
        let mut moment = Beside::default();
        for (arm, w) in windows.iter().enumerate() {
            let columns = &mut self.columns[arm];
            for (column, reference) in columns.iter_mut().zip(&references).filter(|(c, _)| c.n == 0) {
                *column = reference.empty();
            }
            let (answers, wrong, shift) = match arm {
                0 => (&mut moment.stable, traffic.wrong.0, 0.0),
                _ => (&mut moment.candidate, traffic.wrong.1, traffic.shift),
            };
            for _ in 0..w.requests {
                if unit(dice) < 0.5 {
                    answers.classes += 1;
                    answers.wrong += u64::from(unit(dice) < wrong);
                }
                if let Reference::Numbers(bins) = &references[0] {
                    columns[0].add_number(bins, unit(dice) + shift, 1);
                }
                columns[1].n += 1;
                columns[1].bins[usize::try_from(dice.draw() % 3).unwrap()] += 1;
                let mean = if arm == 0 { traffic.latency_ms.0 } else { traffic.latency_ms.1 };
                self.time[arm].0 += 1;
                self.time[arm].1 += -mean * (1.0 - unit(dice)).ln();
            }
        }
        self.labelled.push(moment);
    }

    fn evidence(&self) -> Evidence {
        let references = references();
        let compared = |i: usize| Compared {
            name: ["x", "kind"][i],
            source: "version 1",
            reference: &references[i],
            before: &self.columns[0][i],
            now: &self.columns[1][i],
        };
        let rows = (self.columns[0][0].n, self.columns[1][0].n);
        let columns = if rows.0.min(rows.1) > 0 { drift::judge(&[compared(0), compared(1)]) } else { Vec::new() };
        let cost = |(n, ms): (u64, f64)| (n > 0).then(|| ms / n as f64 * 1e-6);
        Evidence {
            labelled: self.labelled.clone(),
            inputs: Some(Inputs { rows, columns, not_compared: 0, score: None }),
            spend: Some(Spend {
                currency: "USD".into(),
                stable: cost(self.time[0]),
                candidate: cost(self.time[1]),
                served: (self.time[0].0, self.time[1].0),
                unknown: Vec::new(),
            }),
        }
    }
}

fn minute(dice: &mut Random, traffic: &Traffic, minute: i64) -> [TrafficWindow; 2] {
    let window = |arm, version| TrafficWindow {
        service: "s".into(),
        version,
        arm,
        minute,
        weight: traffic.weight,
        requests: 0,
        errors: 0,
        latency: Sketch::default(),
        differing: 0,
        last: Timestamp(minute * 60_000_000),
    };
    let mut pair = [window(ArmRole::Stable, 1), window(ArmRole::Candidate, 2)];
    for _ in 0..traffic.a_minute {
        let candidate = unit(dice) < f64::from(traffic.weight) / f64::from(BUCKETS);
        let (rate, mean) =
            if candidate { (traffic.errors.1, traffic.latency_ms.1) } else { (traffic.errors.0, traffic.latency_ms.0) };
        let w = &mut pair[usize::from(candidate)];
        w.requests += 1;
        w.errors += u64::from(unit(dice) < rate);
        if mean > 0.0 {
            w.latency.add(-mean * (1.0 - unit(dice)).ln());
        }
    }
    pair
}

/// Requests after which the judge says roll back or hold; `None` when it never does.
fn stopped(seed: u64, traffic: &Traffic, requests_max: usize) -> Option<usize> {
    let mut dice = Random::seeded(seed);
    let (mut windows, mut seen) = (Vec::new(), Seen::default());
    for at in 0..requests_max / traffic.a_minute {
        windows.extend(minute(&mut dice, traffic, i64::try_from(at).unwrap()));
        seen.minute(&mut dice, &windows[windows.len() - 2..], traffic);
        if at % 2 == 1 {
            continue;
        }
        let guards = Guards { cost_rise_max: Some(0.25), ..Guards::default() };
        let found = judge(&windows, guards, false, &seen.evidence());
        if matches!(found.advice, Advice::RollBack | Advice::Hold) {
            return Some((at + 1) * traffic.a_minute);
        }
    }
    None
}

#[test]
fn a_candidate_without_an_effect_is_stopped_in_few_rollouts() {
    let mut stops = 0;
    for seed in 0..400 {
        let weight = [500, 1000, 5000][usize::try_from(seed % 3).unwrap()];
        let traffic = Traffic::even(weight, 1000);
        stops += usize::from(stopped(seed, &traffic, 20_000).is_some());
    }
    assert!(stops <= 20, "{stops} of 400");
}

#[test]
fn four_times_the_errors_at_a_small_weight_are_found_soon() {
    let traffic = Traffic { errors: (0.005, 0.02), latency_ms: (0.0, 0.0), ..Traffic::even(500, 250) };
    let mut when: Vec<usize> = (1000..1200).map(|seed| stopped(seed, &traffic, 60_000).unwrap_or(usize::MAX)).collect();
    when.sort_unstable();
    assert!(when[100] <= 7_500, "median {}", when[100]);
    println!("median {}", when[100]);
    assert!(when.iter().filter(|n| **n == usize::MAX).count() <= 2, "{when:?}");
}

#[test]
fn a_slow_candidate_is_found_and_a_good_one_may_be_promoted() {
    let slow = Traffic { errors: (0.0, 0.0), latency_ms: (20.0, 40.0), ..Traffic::even(1000, 500) };
    assert!(stopped(7, &slow, 20_000).is_some());
    let good = Traffic { errors: (0.002, 0.002), ..Traffic::even(5000, 2000) };
    let mut dice = Random::seeded(3);
    let mut windows = Vec::new();
    assert_eq!(judge(&windows, Guards::default(), false, &Evidence::default()).advice, Advice::NotEnoughData);
    for at in 0..15 {
        windows.extend(minute(&mut dice, &good, at));
    }
    let found = judge(&windows, Guards::default(), false, &Evidence::default());
    assert_eq!(found.advice, Advice::Promote, "{found:?}");
    assert!(found.why.ends_with("not known: quality, inputs, cost"), "{}", found.why);
    // Who asks for labels waits for them.
    let asks = Guards { labels_min: 100, ..Guards::default() };
    assert_eq!(judge(&windows, asks, false, &Evidence::default()).advice, Advice::Continue);
    let asks = Guards { cost_rise_max: Some(0.25), ..Guards::default() };
    assert_eq!(judge(&windows, asks, false, &Evidence::default()).advice, Advice::Continue);
}

#[test]
fn a_split_that_is_not_as_its_weight_says_holds() {
    let odd = |sticky| {
        let traffic = Traffic { errors: (0.0, 0.0), ..Traffic::even(1500, 5000) };
        let mut dice = Random::seeded(5);
        let windows: Vec<TrafficWindow> =
            minute(&mut dice, &traffic, 1).into_iter().map(|w| TrafficWindow { weight: 1000, ..w }).collect();
        judge(&windows, Guards::default(), sticky, &Evidence::default()).advice
    };
    assert_eq!(odd(false), Advice::Hold);
    assert_ne!(odd(true), Advice::Hold, "unequal callers are no fault of the split");
}

/// Minutes until a candidate is stopped, and by which word.
fn words(traffic: &Traffic, guards: Guards) -> Option<(usize, Judgement)> {
    let mut dice = Random::seeded(11);
    let (mut windows, mut seen) = (Vec::new(), Seen::default());
    (0..60).find_map(|at| {
        windows.extend(minute(&mut dice, traffic, i64::try_from(at).unwrap()));
        seen.minute(&mut dice, &windows[windows.len() - 2..], traffic);
        let found = judge(&windows, guards, false, &seen.evidence());
        matches!(found.advice, Advice::RollBack | Advice::Hold).then_some((at, found))
    })
}

#[test]
fn labels_inputs_and_cost_each_stop_what_is_worse() {
    let even = || Traffic::even(1000, 1000);
    let (at, found) = words(&Traffic { wrong: (0.2, 0.3), ..even() }, Guards::default()).unwrap();
    assert!(at < 40 && found.advice == Advice::RollBack && found.why.starts_with("quality: "), "{at} {}", found.why);
    let (at, found) = words(&Traffic { shift: 0.3, ..even() }, Guards::default()).unwrap();
    assert!(at < 8 && found.advice == Advice::Hold && found.why.starts_with("inputs: x differs"), "{at} {}", found.why);
    // Half as dear again is allowed to nobody who says so, and to those who do not.
    let dear = Traffic { latency_ms: (20.0, 30.0), errors: (0.0, 0.0), ..even() };
    let guards = Guards { cost_rise_max: Some(0.25), ..Guards::default() };
    let mut seen = Seen::default();
    let mut dice = Random::seeded(2);
    for at in 0..15 {
        let windows = minute(&mut dice, &dear, at);
        seen.minute(&mut dice, &windows, &dear);
    }
    let told = spend::finding(seen.evidence().spend.as_ref(), Guards::default());
    assert_eq!(told.advice, Advice::Continue, "{}", told.why);
    let told = spend::finding(seen.evidence().spend.as_ref(), guards);
    assert_eq!(told.advice, Advice::Hold, "{}", told.why);
    // What is unknown says so, and is no pass for who asks.
    let none = Spend { unknown: vec!["no price for host a".into()], ..Spend::default() };
    assert_eq!(spend::finding(Some(&none), guards).advice, Advice::NotEnoughData);
}

#[test]
fn numbers_and_judgements_are_judged_too() {
    let losses = |n: u64, mean: f64| Losses { n, sum: mean * n as f64, squares: (mean * mean + 1.0) * n as f64 };
    let seen = |mean: f64, n: u64| {
        let stable = Answers { numbers: losses(5000, 2.0), ..Answers::default() };
        [Beside { stable, candidate: Answers { numbers: losses(n, mean), ..Answers::default() } }]
    };
    let asked = |mean, n| quality::finding(&seen(mean, n), Guards::default()).advice;
    assert_eq!(
        (asked(2.0, 1000), asked(2.5, 1000), asked(1.5, 1000)),
        (Advice::Continue, Advice::RollBack, Advice::Continue)
    );
    assert_eq!(asked(9.0, 50), Advice::NotEnoughData, "too few");
    let strict = Guards { labels_min: 500, quality_margin: 0.2, ..Guards::default() };
    assert_eq!(quality::finding(&seen(2.0, 400), strict).advice, Advice::NotEnoughData);
    assert_eq!(quality::finding(&seen(2.0, 5000), strict).advice, Advice::Continue);
}
