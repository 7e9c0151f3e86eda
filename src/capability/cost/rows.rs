//! The rows of a report: services, versions, slices or runs, each with what one prediction came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bill::{Bill, Charge, Part, Use};
use super::gather::Served;
use super::training::{RunCost, Taken};
use super::{By, Parts, PerCorrect, Row};
use crate::base::Timestamp;
use crate::base::money::{HOUR_US, Micro, split};
use crate::capability::monitoring::ArmRole;
use crate::capability::monitoring::counters::Tally;
use crate::capability::monitoring::quality::accuracy;
use crate::capability::tracking::Run;

/// Rows of services, or of versions.
pub(super) fn service_rows(
    bill: &Bill,
    served: &Served,
    uses: &[Use],
    (from, to): (Timestamp, Timestamp),
    by: By,
) -> Vec<Row> {
    let key = |service: &str, version: &str| {
        (service.to_owned(), if by == By::Version { version.to_owned() } else { String::new() })
    };
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut tallies: BTreeMap<(String, String), Tally> = BTreeMap::new();
    for u in uses {
        let row = rows.entry(key(&u.service, &u.version)).or_default();
        row.model.clone_from(&u.model);
        match u.role {
            ArmRole::Shadow => row.shadow_requests += u.requests,
            ArmRole::Candidate | ArmRole::Stable => {
                row.served += u.requests.saturating_sub(u.errors);
                row.errors += u.errors;
            }
        }
        row.input_tokens += u.input_tokens;
        row.output_tokens += u.output_tokens;
    }
    for charge in bill.lines.keys() {
        rows.entry(key(&charge.service, &charge.version)).or_default();
    }
    for t in &served.told {
        let piece = served.pieces[t.piece];
        if let Some(all) = t.slices.get("").filter(|_| from <= piece.from && piece.to <= to) {
            tallies.entry(key(&t.service, &t.version)).or_default().merge(all);
        }
    }
    for service in bill.unknown.keys() {
        if !rows.keys().any(|(s, _)| s == service) {
            rows.entry((service.clone(), String::new())).or_default();
        }
    }
    for ((service, version), row) in &mut rows {
        let mine = |c: &Charge| c.service == *service && (by != By::Version || c.version == *version);
        let lines: Vec<(&Charge, &Micro)> = bill.lines.iter().filter(|(c, _)| mine(c)).collect();
        let of_role = |role: ArmRole| lines.iter().filter(|(c, _)| c.role == role).map(|(_, m)| **m).sum();
        row.candidate = of_role(ArmRole::Candidate);
        row.shadow = of_role(ArmRole::Shadow);
        let unknown = bill.unknown.get(service).into_iter().flatten().cloned().collect::<Vec<_>>();
        row.unknown = unknown;
        "serve".clone_into(&mut row.kind);
        row.service = Some(service.clone());
        row.model.get_or_insert_with(|| service.clone());
        row.version = (by == By::Version).then(|| version.clone()).filter(|v| !v.is_empty());
        row.what = match &row.version {
            Some(version) => format!("{service} v{version}"),
            None if by == By::Version && !lines.is_empty() => format!("{service} unused"),
            None => service.clone(),
        };
        row.settle(Parts::of(lines.into_iter()), tallies.get(&(service.clone(), version.clone())));
    }
    rows.into_values().collect()
}

/// What each slice of a service's predictions came to: its tokens, and of the rest its share by number.
pub(super) fn slice_rows(bill: &Bill, served: &Served, (from, to): (Timestamp, Timestamp)) -> Vec<Row> {
    let mut sums: BTreeMap<&str, BTreeMap<&str, Tally>> = BTreeMap::new();
    for t in &served.told {
        let piece = served.pieces[t.piece];
        if from <= piece.from && piece.to <= to {
            for (slice, tally) in &t.slices {
                sums.entry(&t.service).or_default().entry(slice).or_default().merge(tally);
            }
        }
    }
    let mut rows = Vec::new();
    for (service, slices) in sums {
        let Some(all) = slices.get("") else { continue };
        let parts = Parts::of(bill.lines.iter().filter(|(c, _)| c.service == service));
        let mut names: BTreeMap<&str, Vec<(&str, &Tally)>> = BTreeMap::new();
        for (slice, tally) in slices.iter().filter(|(s, _)| !s.is_empty()) {
            names.entry(slice.split('=').next().unwrap_or(slice)).or_default().push((slice, tally));
        }
        let unknown: Vec<String> = bill.unknown.get(service).into_iter().flatten().cloned().collect();
        for (name, values) in names {
            rows.extend(of_one_name(service, name, &values, all, parts, &unknown));
        }
    }
    rows
}

/// Values of one slice name, and those that have none: their parts come to the service's.
fn of_one_name(
    service: &str,
    name: &str,
    values: &[(&str, &Tally)],
    all: &Tally,
    parts: Parts,
    unknown: &[String],
) -> Vec<Row> {
    let tokens = |t: &Tally| t.input_tokens + t.output_tokens;
    let rest = |of: &dyn Fn(&Tally) -> u64| of(all).saturating_sub(values.iter().map(|(_, t)| of(t)).sum());
    let weights =
        |of: &dyn Fn(&Tally) -> u64| values.iter().map(|(_, t)| of(t)).chain([rest(of)]).collect::<Vec<u64>>();
    let (by_number, by_tokens) = (weights(&|t| t.n), weights(&tokens));
    let cut = |of: Micro, weights: &[u64]| split(of, weights);
    let (busy, idle, kept) = (cut(parts.busy, &by_number), cut(parts.idle, &by_number), cut(parts.kept, &by_number));
    let (storage, egress) = (cut(parts.storage, &by_number), cut(parts.egress, &by_number));
    let of_tokens = cut(parts.tokens, &by_tokens);
    let without = format!("{name} (none)");
    (0..=values.len())
        .filter(|i| by_number[*i] > 0)
        .map(|i| {
            let value = values.get(i);
            let tally = value.map(|(_, t)| *t);
            let slice = value.map_or(without.as_str(), |(s, _)| s);
            let errors = tally.map_or_else(|| rest(&|t| t.errors), |t| t.errors);
            let mut row = Row {
                what: format!("{service} {slice}"),
                kind: "serve".to_owned(),
                service: Some(service.to_owned()),
                slice: Some(slice.to_owned()),
                served: by_number[i].saturating_sub(errors),
                errors,
                input_tokens: tally.map_or_else(|| rest(&|t| t.input_tokens), |t| t.input_tokens),
                output_tokens: tally.map_or_else(|| rest(&|t| t.output_tokens), |t| t.output_tokens),
                unknown: unknown.to_vec(),
                ..Row::default()
            };
            let mine = Parts {
                busy: busy[i],
                idle: idle[i],
                kept: kept[i],
                storage: storage[i],
                egress: egress[i],
                tokens: of_tokens[i],
                training: Micro(0),
            };
            row.settle(mine, tally);
            row
        })
        .collect()
}

pub(super) fn run_rows(taken: &[(Arc<Run>, Taken)], (from, to): (Timestamp, Timestamp), costs: &[RunCost]) -> Vec<Row> {
    let inside = |t: &Taken| t.from < to && from < t.to;
    taken
        .iter()
        .zip(costs)
        .filter(|((_, taken), _)| inside(taken))
        .map(|((run, taken), cost)| {
            let parts = Parts { training: cost.total.unwrap_or_default(), ..Parts::default() };
            Row {
                what: run.name.to_string(),
                kind: "train".to_owned(),
                run: Some(run.id),
                owner: Some(run.user.to_string()).filter(|u| !u.is_empty()),
                hours: Some((taken.to.min(to).0 - taken.from.max(from).0) as f64 / HOUR_US as f64),
                total: cost.total,
                parts,
                unknown: cost.unknown.clone(),
                detail: Some(cost.clone()),
                ..Row::default()
            }
        })
        .collect()
}

impl Parts {
    pub(super) fn of<'a>(lines: impl Iterator<Item = (&'a Charge, &'a Micro)>) -> Self {
        let mut parts = Self::default();
        for (charge, amount) in lines {
            *match charge.part {
                Part::Busy => &mut parts.busy,
                Part::Idle => &mut parts.idle,
                Part::Kept => &mut parts.kept,
                Part::Storage => &mut parts.storage,
                Part::Egress => &mut parts.egress,
                Part::Tokens => &mut parts.tokens,
            } += *amount;
        }
        parts
    }

    pub fn total(&self) -> Micro {
        [self.busy, self.idle, self.kept, self.storage, self.egress, self.tokens, self.training].into_iter().sum()
    }
}

impl Row {
    /// Works out what one prediction came to. What is not known in part has a total of what is, and no unit costs.
    fn settle(&mut self, parts: Parts, tally: Option<&Tally>) {
        let known = self.unknown.is_empty();
        self.total = (known || parts.total() > Micro(0)).then(|| parts.total());
        self.parts = parts;
        let each = |amount: Micro| (known && self.served > 0).then(|| amount.units() / self.served as f64);
        self.per_prediction = each(parts.total());
        self.per_1k = self.per_prediction.map(|p| p * 1000.0);
        if parts.kept == Micro(0) {
            self.marginal_per_prediction = each(parts.busy + parts.egress + parts.tokens);
            self.idle_per_prediction = each(parts.idle + parts.storage);
        }
        let right = tally.and_then(accuracy);
        self.accuracy = right.map(|m| m.value);
        self.per_correct = self.per_prediction.zip(right).and_then(|(each, right)| {
            // The more are right, the less each of them costs.
            (right.value > 0.0).then(|| PerCorrect {
                value: each / right.value,
                low: right.high.map(|high| each / high),
                high: right.low.filter(|low| *low > 0.0).map(|low| each / low),
                labelled: right.n,
            })
        });
    }
}
