//! The screens without a screen: `opsroom runs|registry|audit --plain` and `opsroom room PLACE --plain` say in sentences what
//! the room shows in panes, for screen readers, logs and terminals that cannot draw; with `--follow` one sentence a change.

mod audit;
mod compare;
mod fleet;
mod follow;
mod overview;
mod registry;
mod run;
mod runs;
mod words;

use clap::{Args, ValueEnum};

pub use fleet::Screen as Fleet;

use super::{Exit, Format, Session, print, select, times};
use crate::base::id::RunId;
use crate::base::{Fault, Timestamp, fault::Result};
use crate::client::Client;

/// How a screen is said.
#[derive(Debug, Clone, Args)]
pub struct Saying {
    /// Go on, with a sentence for each change, until interrupted
    #[arg(long, conflicts_with = "json")]
    pub follow: bool,
    /// Rows to say
    #[arg(long, default_value_t = ROWS, value_name = "ROWS")]
    pub rows: usize,
}

const ROWS: usize = 20;

impl Default for Saying {
    fn default() -> Self {
        Self { follow: false, rows: ROWS }
    }
}

/// Open the room at a place; with --plain, without a terminal or with TERM=dumb, say it in sentences.
#[derive(Debug, Args)]
pub struct Room {
    #[arg(value_enum, default_value_t = Name::Overview)]
    place: Name,
    /// A run, the runs to compare, a model and its version, or the number of a record
    which: Vec<String>,
    /// The registry as it stood at a moment: 24h, or a date
    #[arg(long, value_parser = times::past, value_name = "TIME")]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    saying: Saying,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Overview,
    Fleet,
    Incident,
    Live,
    Runs,
    Run,
    Compare,
    Registry,
    Audit,
}

/// The registry: models by stages, a model with its versions, or one version.
#[derive(Debug, Args)]
pub struct Registry {
    model: Option<String>,
    /// 3, v3 or @alias
    version: Option<String>,
    /// As it stood at a moment: 24h, or a date
    #[arg(long, value_parser = times::past, value_name = "TIME")]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    saying: Saying,
}

/// A screen, and which of its things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Overview,
    Fleet,
    Incident(i64),
    /// A service; the worst without a name.
    Live(Option<String>),
    Runs,
    Run(String),
    Compare(Vec<String>),
    Registry {
        model: Option<String>,
        version: Option<String>,
        as_of: Option<Timestamp>,
    },
    Audit(Option<i64>),
}

impl Room {
    /// # Errors
    /// `Invalid` for words that the place does not take.
    pub fn place(self) -> Result<(Place, Saying)> {
        let mut which = self.which.into_iter();
        let place = match self.place {
            Name::Overview => Place::Overview,
            Name::Fleet => Place::Fleet,
            Name::Live => Place::Live(which.next()),
            Name::Incident => {
                let number = which.next().and_then(|n| n.trim_start_matches("INC-").parse().ok());
                Place::Incident(number.ok_or_else(|| Fault::invalid("an incident is named by its number"))?)
            }
            Name::Runs => Place::Runs,
            Name::Run => {
                Place::Run(which.next().ok_or_else(|| Fault::invalid("which run?").next("name it, or its id"))?)
            }
            Name::Compare => {
                let runs: Vec<String> = which.by_ref().collect();
                if runs.len() < 2 {
                    return Err(Fault::invalid("a comparison needs two runs at least"));
                }
                Place::Compare(runs)
            }
            Name::Registry => Place::Registry { model: which.next(), version: which.next(), as_of: self.as_of },
            Name::Audit => {
                let number = which.next().map(|n| n.trim_start_matches('#').parse());
                Place::Audit(number.transpose().map_err(|_| Fault::invalid("a record is named by its number"))?)
            }
        };
        if let Some(more) = which.next() {
            return Err(
                Fault::invalid(format!("this place does not take \"{more}\"")).next("see `opsroom room --help`")
            );
        }
        Ok((place, self.saying))
    }
}

impl Registry {
    pub fn place(self) -> (Place, Saying) {
        (Place::Registry { model: self.model, version: self.version, as_of: self.as_of }, self.saying)
    }
}

impl Place {
    /// With every name turned into an id, so that the room can go there.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn found(self, client: &Client) -> Result<Self> {
        Ok(match self {
            Self::Run(text) => Self::Run(select::run(client, &text).await?.to_string()),
            Self::Compare(texts) => {
                let mut ids = Vec::new();
                for text in texts {
                    ids.push(select::run(client, &text).await?.to_string());
                }
                Self::Compare(ids)
            }
            Self::Registry { model: Some(model), version: Some(version), as_of } => {
                let version = select::version(client, &model, &version).await?.to_string();
                Self::Registry { model: Some(model), version: Some(version), as_of }
            }
            other => other,
        })
    }
}

/// Says a place, and goes on if asked to.
///
/// # Errors
/// `NotFound` for what is named, `Unavailable`.
pub async fn say(session: &Session, place: Place, saying: &Saying) -> Result<Exit> {
    let client = session.client().await?;
    let place = place.found(client).await?;
    if session.format == Format::Json {
        json(session, client, &place, saying.rows).await?;
        return Ok(Exit::Done);
    }
    if let Place::Incident(id) = place {
        return super::incident::show(session, id).await;
    }
    let now = client.status().await?.now;
    tell(&sentences(client, &place, saying.rows, now).await?)?;
    if saying.follow {
        follow::changes(client, &place).await?;
    }
    Ok(Exit::Done)
}

async fn sentences(client: &Client, place: &Place, rows: usize, now: Timestamp) -> Result<Vec<String>> {
    match place {
        Place::Overview => overview::say(client, now).await,
        Place::Fleet | Place::Live(None) => fleet::say(client, rows, now).await,
        Place::Live(Some(service)) => fleet::one(client, service, now).await,
        // Said as a page, see `say`.
        Place::Incident(_) => Ok(Vec::new()),
        Place::Runs => runs::say(client, rows, now).await,
        Place::Run(id) => run::say(client, run_id(id)?, now).await,
        Place::Compare(ids) => compare::say(client, ids).await,
        Place::Registry { model, version, as_of } => {
            registry::say(client, model.as_deref(), version.as_deref(), *as_of, now).await
        }
        Place::Audit(seq) => audit::say(client, *seq, rows).await,
    }
}

async fn json(session: &Session, client: &Client, place: &Place, rows: usize) -> Result<()> {
    let empty = print::Page::default;
    match place {
        Place::Fleet | Place::Live(None) => print::answer(session.format, &fleet::document(client).await?, |_| empty()),
        Place::Live(Some(service)) => print::answer(session.format, &fleet::live(client, service).await?, |_| empty()),
        Place::Incident(id) => print::answer(session.format, &client.incident(*id).await?, |_| empty()),
        Place::Overview => print::answer(session.format, &overview::document(client).await?, |_| empty()),
        Place::Runs => print::answer(session.format, &runs::page(client, rows).await?, |_| empty()),
        Place::Run(id) => print::answer(session.format, &client.run(run_id(id)?).await?, |_| empty()),
        Place::Compare(ids) => print::answer(session.format, &compare::document(client, ids).await?, |_| empty()),
        Place::Registry { model: None, as_of, .. } => {
            print::answer(session.format, &client.models(*as_of).await?, |_| empty())
        }
        Place::Registry { model: Some(model), version, as_of } => {
            let view = client.model(model, *as_of).await?;
            match version {
                None => print::answer(session.format, &view, |_| empty()),
                Some(v) => print::answer(session.format, registry::version_of(&view, v)?, |_| empty()),
            }
        }
        Place::Audit(None) => print::answer(session.format, &audit::page(client, None, rows).await?, |_| empty()),
        Place::Audit(Some(seq)) => print::answer(session.format, &client.audit_record(*seq).await?, |_| empty()),
    }
}

fn run_id(text: &str) -> Result<RunId> {
    text.parse().map_err(|()| Fault::not_found(format!("no run {text}")))
}

/// Prints sentences, a line each; foreign control characters have been taken out of them.
fn tell(sentences: &[String]) -> Result<()> {
    let mut text = String::new();
    for sentence in sentences {
        text.push_str(&crate::base::show::line(sentence));
        text.push('\n');
    }
    print::out(text.as_bytes())
}
