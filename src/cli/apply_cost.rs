//! What a file that is applied says about cost: prices, what services run on, budgets.

use super::apply::{Difference, fields};
use crate::base::{Timestamp, fault::Result};
use crate::capability::cost::{self, Book, Budget, Listed, Placement};
use crate::capability::form::Document;

pub(super) struct Declared {
    rates: Option<cost::Declared>,
    serving: Vec<Placement>,
    budgets: Vec<Budget>,
}

impl Declared {
    pub fn parse(document: &mut Document<'_>) -> Result<Self> {
        Ok(Self {
            rates: cost::parse_rates(document)?,
            serving: cost::parse_serving(document)?,
            budgets: cost::parse_budgets(document)?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rates.is_none() && self.serving.is_empty() && self.budgets.is_empty()
    }

    /// What differs from how it stands, each with the command that makes it so.
    pub fn changes(self, book: &Book, now: Timestamp) -> Found {
        let mut found = prices(book, self.rates, now);
        found.extend(places_of_work(book, self.serving));
        let words = |b: &Budget| format!("{:.2} a month of {}", b.month.units(), b.of);
        for budget in self.budgets {
            let old = book.budgets.iter().find(|b| b.name == budget.name);
            if old != Some(&budget) {
                let difference = Difference {
                    sign: if old.is_some() { '~' } else { '+' },
                    what: format!("budget {}", budget.name),
                    from: old.map(words).unwrap_or_default(),
                    to: words(&budget),
                };
                found.push((vec![difference], cost::Command::SetBudget { budget }));
            }
        }
        found
    }
}

type Found = Vec<(Vec<Difference>, cost::Command)>;

/// A price list that says something else than the one that holds at its moment.
fn prices(book: &Book, declared: Option<cost::Declared>, now: Timestamp) -> Found {
    let Some(cost::Declared { since, rates }) = declared else { return Vec::new() };
    let own: Vec<Listed> = book.lists.iter().filter(|l| !l.defaults).cloned().collect();
    let old = match since {
        Some(since) => own.iter().find(|l| l.since == since),
        None => cost::at(&own, now),
    };
    if old.is_some_and(|l| l.rates == rates) {
        return Vec::new();
    }
    let what = since.map_or_else(|| "prices".to_owned(), |at| format!("prices from {at} on"));
    let differences = match old {
        Some(old) => fields(
            &what,
            &serde_json::to_value(&old.rates).unwrap_or_default(),
            &serde_json::to_value(&rates).unwrap_or_default(),
        ),
        None => vec![Difference { sign: '+', what, from: String::new(), to: rates.asked() }],
    };
    vec![(differences, cost::Command::SetRates { since, rates })]
}

/// Placements of a service that the file names become exactly those of the file.
fn places_of_work(book: &Book, declared: Vec<Placement>) -> Found {
    let mut by_service: std::collections::BTreeMap<String, Vec<Placement>> = std::collections::BTreeMap::new();
    for placement in declared {
        by_service.entry(placement.service.clone()).or_default().push(placement);
    }
    let mut found = Vec::new();
    for (service, placements) in by_service {
        let old: Vec<Placement> = book.placements.iter().filter(|p| p.service == service).cloned().collect();
        if old != placements {
            let difference = Difference {
                sign: if old.is_empty() { '+' } else { '~' },
                what: format!("serving of {service}"),
                from: old.iter().map(Placement::shown).collect::<Vec<_>>().join(", "),
                to: placements.iter().map(Placement::shown).collect::<Vec<_>>().join(", "),
            };
            found.push((vec![difference], cost::Command::SetServing { service, placements }));
        }
    }
    found
}
