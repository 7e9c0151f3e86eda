//! Sweeps: parameters that runs try, one trial after the other. Agents of W&B's clients ask for the next trial and make a run of
//! it; where the sweep stands is kept here, so agents may come, go and ask again.

mod space;
mod stopping;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use space::{Method, Space};
pub use stopping::Stopping;
pub use store::STATEMENTS;

use crate::base::id::{ExperimentId, random_u128};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::db::{Db, Source};

/// Agents whose last trial is remembered, the newest of them.
const AGENTS_MAX: usize = 1000;
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// A trial that never began is given to its agent so often.
const OFFERS_MAX: u32 = 2;

/// Where a sweep stands, in W&B's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    Pending,
    Running,
    Paused,
    /// No further trials; runs go to their end.
    Finished,
    /// No further trials, and runs are stopped.
    #[serde(alias = "CANCELLED")]
    Canceled,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Finished => "FINISHED",
            Self::Canceled => "CANCELED",
        }
    }

    /// # Errors
    /// `Invalid`.
    pub fn parse(name: &str) -> Result<Self> {
        serde_json::from_value(Value::from(name.to_uppercase()))
            .map_err(|_| Fault::invalid(format!("a sweep has no state {name}")))
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled)
    }
}

/// A sweep and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    pub id: String,
    pub experiment: u64,
    /// As it was sent: YAML or JSON.
    pub config: String,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub state: State,
    seed: u64,
    /// Trials that have been given out.
    pub given: u64,
    agents: BTreeMap<String, Agent>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// Who asks for trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Agent {
    host: String,
    heard: Timestamp,
    offer: Option<Offer>,
}

/// The trial that an agent was given last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Offer {
    run: String,
    number: u64,
    times: u32,
    /// The agent has said that it has it.
    taken: bool,
}

/// What an agent is to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Try this, as a run of that name.
    Run {
        run: String,
        parameters: Map<String, Value>,
    },
    Stop {
        run: String,
    },
    /// There is nothing more to try.
    Exit,
    Wait,
}

impl Sweep {
    pub fn experiment(&self) -> ExperimentId {
        ExperimentId(self.experiment)
    }

    /// # Errors
    /// `Invalid`.
    pub fn space(&self) -> Result<Space> {
        Space::parse(&self.config)
    }

    /// What the agent is to do that has these runs under way. `begun` and `stopped` tell of runs that have come here.
    fn next(
        &mut self,
        agent: &str,
        under_way: &BTreeSet<String>,
        begun: impl Fn(&str) -> bool,
        stopped: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Next> {
        let space = self.space()?;
        let (seed, state, given) = (self.seed, self.state, self.given);
        let known = self.agents.get_mut(agent).ok_or_else(|| missing(agent))?;
        known.heard = now;
        if let Some(run) = under_way.iter().find(|run| state == State::Canceled || stopped(run)) {
            return Ok(Next::Stop { run: run.clone() });
        }
        if let Some(offer) = known.offer.as_mut().filter(|o| under_way.contains(&o.run)) {
            offer.taken = true;
        }
        if !under_way.is_empty() || state == State::Paused {
            return Ok(Next::Wait);
        }
        if state.is_over() {
            return Ok(Next::Exit);
        }
        // It did not hear the answer, or ended before it began anything.
        let again = known.offer.as_mut().filter(|o| !o.taken && o.times < OFFERS_MAX && !begun(&o.run));
        if let Some(offer) = again {
            offer.times += 1;
            return Ok(Next::Run { run: offer.run.clone(), parameters: space.trial(seed, offer.number) });
        }
        if space.trials().is_some_and(|all| given >= all) {
            self.state = State::Finished;
            return Ok(Next::Exit);
        }
        let run = short_id();
        known.offer = Some(Offer { run: run.clone(), number: given, times: 1, taken: false });
        (self.given, self.state) = (given + 1, State::Running);
        Ok(Next::Run { run, parameters: space.trial(seed, given) })
    }
}

/// Eight letters and digits, as W&B's own ids are.
fn short_id() -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let random = random_u128();
    let digit = |nth: u32| DIGITS[usize::try_from((random >> (8 * nth)) % 36).unwrap_or(0)];
    (0..8).map(|nth| char::from(digit(nth))).collect()
}

/// What a client says of a sweep; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub config: Option<String>,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub state: Option<State>,
}

/// Makes a sweep.
///
/// # Errors
/// `Invalid` for a configuration that cannot be tried.
pub async fn create(db: &Db, experiment: ExperimentId, change: Change, now: Timestamp) -> Result<(Sweep, Space)> {
    let config = change.config.filter(|c| !c.trim().is_empty());
    let config = config.ok_or_else(|| Fault::invalid("a sweep needs a configuration"))?;
    let space = checked(&config)?;
    #[allow(clippy::cast_possible_truncation)] // any 64 of them
    let seed = random_u128() as u64;
    let sweep = Sweep {
        id: short_id(),
        experiment: experiment.0,
        config,
        display_name: change.display_name.or_else(|| space.name.clone()),
        description: change.description.or_else(|| space.description.clone()),
        state: change.state.unwrap_or(State::Pending),
        seed,
        given: 0,
        agents: BTreeMap::new(),
        created: now,
        updated: now,
    };
    let mut tx = db.begin().await?;
    store::put(&mut tx, &sweep).await?;
    tx.commit().await?;
    Ok((sweep, space))
}

fn checked(config: &str) -> Result<Space> {
    if config.len() > CONFIG_BYTES_MAX {
        return Err(Fault::invalid(format!("the configuration of a sweep has at most {CONFIG_BYTES_MAX} bytes")));
    }
    Space::parse(config)
}

/// Changes a sweep: its state, or what is tried from now on.
///
/// # Errors
/// `NotFound`, `Invalid`.
pub async fn change(db: &Db, id: &str, change: Change, now: Timestamp) -> Result<Sweep> {
    let config = change.config.filter(|c| !c.trim().is_empty());
    config.as_deref().map(checked).transpose()?;
    edit(db, id, now, |sweep| {
        sweep.config = config.unwrap_or_else(|| std::mem::take(&mut sweep.config));
        sweep.display_name = change.display_name.or_else(|| sweep.display_name.take());
        sweep.description = change.description.or_else(|| sweep.description.take());
        sweep.state = change.state.unwrap_or(sweep.state);
        Ok(())
    })
    .await
    .map(|(sweep, ())| sweep)
}

async fn edit<T>(db: &Db, id: &str, now: Timestamp, edit: impl FnOnce(&mut Sweep) -> Result<T>) -> Result<(Sweep, T)> {
    let mut tx = db.begin().await?;
    let mut sweep = store::by_id(Source::Tx(&mut tx), id).await?.ok_or_else(|| missing(id))?;
    let answer = edit(&mut sweep)?;
    sweep.updated = now;
    store::put(&mut tx, &sweep).await?;
    tx.commit().await?;
    Ok((sweep, answer))
}

/// Takes an agent on. Its id names the sweep, so that it is found by it.
///
/// # Errors
/// `NotFound`.
pub async fn join(db: &Db, id: &str, host: &str, now: Timestamp) -> Result<String> {
    let agent = format!("{id}-{}", short_id());
    let new = Agent { host: host.to_owned(), heard: now, offer: None };
    edit(db, id, now, |sweep| {
        sweep.agents.insert(agent.clone(), new);
        while sweep.agents.len() > AGENTS_MAX {
            let oldest = sweep.agents.iter().min_by_key(|(_, a)| a.heard).map(|(name, _)| name.clone());
            oldest.and_then(|name| sweep.agents.remove(&name));
        }
        Ok(())
    })
    .await?;
    Ok(agent)
}

/// What an agent is to do that has these runs under way.
///
/// # Errors
/// `NotFound` for an agent that has not joined.
pub async fn next(
    db: &Db,
    agent: &str,
    under_way: &BTreeSet<String>,
    begun: impl Fn(&Sweep, &str) -> bool,
    stopped: impl Fn(&Sweep, &str) -> bool,
    now: Timestamp,
) -> Result<Next> {
    let id = agent.split_once('-').map(|(sweep, _)| sweep).ok_or_else(|| missing(agent))?;
    let (_, next) = edit(db, id, now, |sweep| {
        let as_it_is = sweep.clone();
        sweep.next(agent, under_way, |run| begun(&as_it_is, run), |run| stopped(&as_it_is, run), now)
    })
    .await?;
    Ok(next)
}

/// # Errors
/// The store's.
pub async fn find(source: Source<'_>, id: &str) -> Result<Option<Sweep>> {
    store::by_id(source, id).await
}

/// The sweeps of an experiment, newest first.
///
/// # Errors
/// The store's.
pub async fn of(source: Source<'_>, experiment: ExperimentId) -> Result<Vec<Sweep>> {
    let mut all = store::of(source, experiment).await?;
    all.sort_by_key(|s| std::cmp::Reverse(s.created));
    Ok(all)
}

fn missing(what: &str) -> Fault {
    Fault::not_found(format!("no sweep or agent {what}")).next("make one with wandb.sweep")
}

#[cfg(test)]
mod tests;
