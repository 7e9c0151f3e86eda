//! What one may decide about prices, placements and budgets.

use serde::{Deserialize, Serialize};

use super::rates::Rates;
use super::serving::{Budget, Placement};
use super::store;
use crate::base::money::{HOUR_US, Micro};
use crate::base::{Fault, Timestamp, fault::Result, show};
use crate::db::{Source, Tx};

/// Every change of what things cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Command {
    /// A price list that holds from a moment on; without one, from this hour, and the first for all that was before.
    SetRates {
        since: Option<Timestamp>,
        rates: Rates,
    },
    /// What a service runs on; nothing: nobody knows any more.
    SetServing {
        service: String,
        placements: Vec<Placement>,
    },
    SetBudget {
        budget: Budget,
    },
    RemoveBudget {
        name: String,
    },
}

impl Command {
    /// Kebab name, as `audit` and the command line show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetRates { .. } => "set-rates",
            Self::SetServing { .. } => "set-serving",
            Self::SetBudget { .. } => "set-budget",
            Self::RemoveBudget { .. } => "remove-budget",
        }
    }

    /// One sentence of help.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SetRates { .. } => "Sets what things cost from a moment on.",
            Self::SetServing { .. } => "Says what a service runs on.",
            Self::SetBudget { .. } => "Sets what may be spent in a month.",
            Self::RemoveBudget { .. } => "Removes a budget.",
        }
    }

    /// What it is about, for people.
    pub fn target(&self) -> String {
        match self {
            Self::SetRates { .. } => "prices".to_owned(),
            Self::SetServing { service, .. } => format!("service {service}"),
            Self::SetBudget { budget } => format!("budget {}", budget.name),
            Self::RemoveBudget { name } => format!("budget {name}"),
        }
    }
}

/// Applies a command; answers with what was and what is.
///
/// # Errors
/// `NotFound`, `Invalid`.
pub async fn apply(tx: &mut Tx, command: &Command, now: Timestamp) -> Result<(String, String)> {
    match command {
        Command::SetRates { since, rates } => {
            rates.check()?;
            let lists = store::rates(Source::Tx(tx)).await?;
            let hour = Timestamp(now.0.div_euclid(HOUR_US) * HOUR_US);
            let since = match (since, lists.is_empty()) {
                (Some(since), _) => *since,
                (None, true) => Timestamp(0),
                (None, false) => hour,
            };
            if since.0.rem_euclid(HOUR_US) != 0 {
                return Err(Fault::invalid("prices change on the hour").next("give a moment on the hour"));
            }
            if let Some(other) = lists.iter().find(|l| l.rates.currency != rates.currency) {
                return Err(Fault::invalid(format!("these prices are in {}", rates.currency))
                    .why(format!(
                        "those from {} on are in {}, and nothing is converted",
                        other.since, other.rates.currency
                    ))
                    .next("write all prices in one currency"));
            }
            let before = super::rates::at(&lists, since).map(|l| l.rates.asked()).unwrap_or_default();
            store::put_rates(tx, since, rates).await?;
            Ok((before, rates.asked()))
        }
        Command::SetServing { service, placements } => {
            if let Some(other) = placements.iter().find(|p| p.service != *service) {
                return Err(Fault::invalid(format!("a placement of {} among those of {service}", other.service)));
            }
            placements.iter().try_for_each(Placement::check)?;
            let words = |n: usize| show::many(n as u64, "placement", "placements");
            let before = store::servings(Source::Tx(tx)).await?;
            let before = before.iter().filter(|p| p.service == *service).count();
            store::put_serving(tx, service, placements).await?;
            Ok((words(before), words(placements.len())))
        }
        Command::SetBudget { budget } => {
            if budget.month <= Micro(0) || budget.name.trim().is_empty() {
                return Err(Fault::invalid("a budget has a name and an amount above 0"));
            }
            let known = store::budgets(Source::Tx(tx)).await?;
            let words = |b: &Budget| format!("{:.2} a month of {}", b.month.units(), b.of);
            let before = known.iter().find(|b| b.name == budget.name).map(words).unwrap_or_default();
            store::put_budget(tx, budget).await?;
            Ok((before, words(budget)))
        }
        Command::RemoveBudget { name } => match store::remove_budget(tx, name).await? {
            0 => Err(Fault::not_found(format!("no budget {name}")).next("see `opsroom cost`")),
            _ => Ok((name.clone(), "removed".to_owned())),
        },
    }
}
