//! The bill of serving: what was paid for, cut where prices or placements change, and charged to the versions that worked.
//!
//! A machine's cost is the time it was kept; the part in which it worked is charged by working time, and the rest, its idle
//! part, in the same shares. A candidate and a shadow are charged like any other. Where nobody knows how long requests took,
//! the whole is charged by requests and no marginal cost is told. Pure, and exact until a line is rounded.

use std::collections::{BTreeMap, BTreeSet};

use super::rates::{Listed, Rates, at};
use super::serving::{On, Placement};
use crate::base::money::{Exact, Micro, apportion};
use crate::base::{Timestamp, show};
use crate::capability::monitoring::ArmRole;

/// A stretch of time within which no price and no placement changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Piece {
    fn micros(self) -> i64 {
        self.to.0 - self.from.0
    }
}

/// What one version of a service did within one piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    pub piece: usize,
    pub service: String,
    /// What tokens are priced by when the service is not.
    pub model: Option<String>,
    pub version: String,
    pub role: ArmRole,
    pub requests: u64,
    pub errors: u64,
    /// Microseconds of work; `None` when nobody told.
    pub busy: Option<i128>,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// What a line of the bill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Busy,
    Idle,
    /// Busy and idle, where they cannot be told apart.
    Kept,
    Storage,
    Egress,
    Tokens,
}

/// Whom a line is charged to, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Charge {
    pub service: String,
    /// Empty: no version worked.
    pub version: String,
    pub role: ArmRole,
    pub part: Part,
    /// Host, instance or reservation; empty for tokens.
    pub on: String,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bill {
    pub lines: BTreeMap<Charge, Micro>,
    /// By service: what has no price.
    pub unknown: BTreeMap<String, BTreeSet<String>>,
}

/// Cuts a window at every change of prices and placements.
pub fn pieces(from: Timestamp, to: Timestamp, lists: &[Listed], placements: &[Placement]) -> Vec<Piece> {
    let changes = lists.iter().map(|l| l.since);
    let changes = changes.chain(placements.iter().flat_map(|p| [p.since, p.until]).flatten());
    let mut edges: BTreeSet<Timestamp> = changes.filter(|at| from < *at && *at < to).collect();
    edges.extend([from, to]);
    let edges: Vec<Timestamp> = edges.into_iter().collect();
    edges.windows(2).map(|e| Piece { from: e[0], to: e[1] }).collect()
}

/// What is still being added up: by what was paid for, and whom it is charged to. The lines of one thing come to its price.
type Sums = BTreeMap<(String, Charge), Exact>;

/// Makes the bill. `placements` and `uses` are of any number of services.
pub fn bill(pieces: &[Piece], lists: &[Listed], placements: &[Placement], uses: &[Use]) -> Bill {
    let mut sums = Sums::new();
    let mut bill = Bill::default();
    for (number, piece) in pieces.iter().enumerate() {
        let Some(list) = at(lists, piece.from) else { continue };
        let here: Vec<&Use> = uses.iter().filter(|u| u.piece == number).collect();
        let active: Vec<&Placement> = placements.iter().filter(|p| is_active(p, *piece)).collect();
        for resource in resources(&active) {
            charge(*piece, &list.rates, &active, &resource, &here, &mut sums, &mut bill);
        }
        for u in &here {
            if u.requests > 0 && !active.iter().any(|p| serves(p, u, &active)) {
                bill.tell(&u.service, format!("nothing says what v{} runs on: write a [[serving]]", u.version));
            }
            tokens(&list.rates, u, &mut sums, &mut bill);
        }
    }
    bill.lines = rounded(sums);
    bill
}

fn rounded(sums: Sums) -> BTreeMap<Charge, Micro> {
    let mut by_thing: BTreeMap<String, Vec<(Charge, Exact)>> = BTreeMap::new();
    for ((thing, charge), exact) in sums {
        by_thing.entry(thing).or_default().push((charge, exact));
    }
    let mut lines: BTreeMap<Charge, Micro> = BTreeMap::new();
    for parts in by_thing.into_values() {
        let amounts: Vec<Exact> = parts.iter().map(|(_, exact)| *exact).collect();
        for ((charge, _), amount) in parts.into_iter().zip(apportion(&amounts)) {
            *lines.entry(charge).or_default() += amount;
        }
    }
    lines
}

impl Bill {
    fn tell(&mut self, service: &str, what: String) {
        self.unknown.entry(service.to_owned()).or_default().insert(what);
    }
}

fn is_active(p: &Placement, piece: Piece) -> bool {
    p.since.is_none_or(|at| at <= piece.from) && p.until.is_none_or(|at| piece.to <= at)
}

/// Placements that one price is paid for together: those on one host; each other one for itself.
fn resources<'a>(active: &[&'a Placement]) -> Vec<Vec<&'a Placement>> {
    let mut hosts: BTreeMap<&str, Vec<&Placement>> = BTreeMap::new();
    let mut all = Vec::new();
    for p in active {
        match &p.on {
            On::Host(name) => hosts.entry(name).or_default().push(p),
            _ => all.push(vec![*p]),
        }
    }
    all.extend(hosts.into_values());
    all
}

/// Whether a version's work is done here: at a place of its own where it has one, else where all versions work.
fn serves(p: &Placement, u: &Use, active: &[&Placement]) -> bool {
    let of_its_own = |p: &Placement| p.service == u.service && p.version.as_deref() == Some(&u.version);
    p.service == u.service && (of_its_own(p) || (p.version.is_none() && !active.iter().any(|p| of_its_own(p))))
}

/// A version's part of the work at one placement.
struct Share<'a> {
    of: &'a Use,
    placement: &'a Placement,
    /// Of all its slots, how many are here.
    slots: i128,
    all_slots: i128,
}

impl Share<'_> {
    fn part(&self, whole: i128) -> i128 {
        whole * self.slots / self.all_slots.max(1)
    }

    fn busy(&self) -> i128 {
        self.part(self.of.busy.unwrap_or(0))
    }

    /// In thousandths, so that a part of one request is not lost.
    fn requests(&self) -> i128 {
        self.part(i128::from(self.of.requests) * 1000)
    }

    fn charge(&self, part: Part) -> Charge {
        Charge {
            service: self.of.service.clone(),
            version: self.of.version.clone(),
            role: self.of.role,
            part,
            on: name_of(self.placement),
        }
    }
}

fn name_of(p: &Placement) -> String {
    match &p.on {
        On::Host(name) => format!("host {name}"),
        On::Instance(name) => format!("{} x {name}", p.replicas),
        On::Reserved { .. } => show::many(u64::from(p.replicas), "replica", "replicas"),
    }
}

/// Tells what is paid for apart from all else: a host by its name, else by all that was written down of it.
fn thing_of(p: &Placement) -> String {
    match &p.on {
        On::Host(name) => format!("host {name}"),
        _ => format!("{p:?}"),
    }
}

fn charge(
    piece: Piece,
    rates: &Rates,
    active: &[&Placement],
    resource: &[&Placement],
    here: &[&Use],
    sums: &mut Sums,
    bill: &mut Bill,
) {
    let mut shares = Vec::new();
    for p in resource {
        for u in here.iter().filter(|u| u.requests > 0 && serves(p, u, active)) {
            let all: i64 = active.iter().filter(|other| serves(other, u, active)).map(|p| p.slots()).sum();
            shares.push(Share { of: u, placement: p, slots: p.slots().into(), all_slots: all.into() });
        }
        storage_and_egress(piece, rates, p, &shares, sums);
    }
    let Some(first) = resource.first() else { return };
    let whole = match first.cost(rates, piece.micros()) {
        Ok(whole) => whole,
        Err(why) => {
            resource.iter().for_each(|p| bill.tell(&p.service, why.clone()));
            return;
        }
    };
    let thing = resource.iter().map(|p| thing_of(p)).min().unwrap_or_default();
    let mut add = |charge: Charge, amount: Exact| *sums.entry((thing.clone(), charge)).or_default() += amount;
    let requests: i128 = shares.iter().map(Share::requests).sum();
    if shares.iter().any(|s| s.of.busy.is_none()) {
        for s in &shares {
            add(s.charge(Part::Kept), whole.scaled(s.requests(), requests));
        }
        return;
    }
    let slots: i128 = resource.iter().map(|p| i128::from(p.slots())).sum();
    let busy: i128 = shares.iter().map(Share::busy).sum();
    // Busier than it can be: then it was never idle.
    let capacity = (slots * i128::from(piece.micros())).max(busy);
    let mut idle = whole;
    for s in shares.iter().filter(|s| s.busy() > 0) {
        let amount = whole.scaled(s.busy(), capacity);
        idle = idle - amount;
        add(s.charge(Part::Busy), amount);
    }
    match (busy > 0, requests > 0) {
        (true, _) => shares.iter().for_each(|s| add(s.charge(Part::Idle), idle.scaled(s.busy(), busy))),
        (false, true) => shares.iter().for_each(|s| add(s.charge(Part::Idle), idle.scaled(s.requests(), requests))),
        // Nobody worked: those who could have share it by their slots.
        (false, false) => {
            for p in resource {
                add(of_nobody(p, Part::Idle), idle.scaled(p.slots().into(), slots));
            }
        }
    }
}

fn of_nobody(p: &Placement, part: Part) -> Charge {
    let version = p.version.clone().unwrap_or_default();
    Charge { service: p.service.clone(), version, role: ArmRole::Stable, part, on: name_of(p) }
}

fn storage_and_egress(piece: Piece, rates: &Rates, p: &Placement, shares: &[Share<'_>], sums: &mut Sums) {
    let here: Vec<&Share<'_>> = shares.iter().filter(|s| std::ptr::eq(s.placement, p)).collect();
    let requests: i128 = here.iter().map(|s| s.requests()).sum();
    let disk = format!("storage {}", thing_of(p));
    if p.storage > 0 {
        let whole = p.storage_cost(rates, piece.micros());
        if requests == 0 {
            *sums.entry((disk.clone(), of_nobody(p, Part::Storage))).or_default() += whole;
        }
        for s in &here {
            *sums.entry((disk.clone(), s.charge(Part::Storage))).or_default() += whole.scaled(s.requests(), requests);
        }
    }
    // What a shadow answers stays inside.
    for s in here.iter().filter(|s| p.answer > 0 && s.of.role != ArmRole::Shadow) {
        let bytes = s.requests() * i128::from(p.answer);
        *sums.entry(("egress".to_owned(), s.charge(Part::Egress))).or_default() +=
            rates.egress.of_part(bytes, 1000 << 30);
    }
}

fn tokens(rates: &Rates, u: &Use, sums: &mut Sums, bill: &mut Bill) {
    if u.input_tokens == 0 && u.output_tokens == 0 {
        return;
    }
    let model = u.model.as_ref().and_then(|model| rates.tokens.get(model));
    let Some((input, output)) = rates.tokens.get(&u.service).or(model) else {
        bill.tell(&u.service, format!("its tokens have no price: give them one under [rates.tokens.{}]", u.service));
        return;
    };
    const MILLION: i128 = 1_000_000;
    let amount = input.of_part(u.input_tokens.into(), MILLION) + output.of_part(u.output_tokens.into(), MILLION);
    let charge = Charge {
        service: u.service.clone(),
        version: u.version.clone(),
        role: u.role,
        part: Part::Tokens,
        on: String::new(),
    };
    *sums.entry(("tokens".to_owned(), charge)).or_default() += amount;
}

#[cfg(test)]
mod tests;
