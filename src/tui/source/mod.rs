//! What the room shows, as an agent tells it: the client's types turned into the room's own.

mod audit;
mod card;
mod change;
mod data;
mod files;
mod gates;
mod groups;
mod registry;
mod runs;

use std::collections::HashMap;
use std::sync::Mutex;

use futures::StreamExt;

use super::effect::{Hear, Later, Source};
use super::model::{Envelope, Outcome, Status};
use super::msg::{Changed, Page, Want};
use crate::base::Fault;
use crate::base::fault::Result;
use crate::capability::Hint;
use crate::capability::access::Role;
use crate::capability::fleet::AskedLive;
use crate::capability::monitoring::quality::Asked;
use crate::client::Client;
use crate::config::Paths;
use crate::local::doctor;

/// How long the agent may take to say how it does.
const STATUS_PATIENCE: std::time::Duration = std::time::Duration::from_secs(4);

/// An agent, and what is remembered of it.
pub struct Agent {
    client: Client,
    /// Name and metrics of runs that are over, by id: the registry shows them beside every version.
    finished: Mutex<HashMap<String, registry::Origin>>,
    /// What has to live as long as the client.
    _keep: Box<dyn std::any::Any + Send + Sync>,
}

impl Agent {
    pub fn new(client: Client) -> Self {
        Self::keeping(client, Box::new(()))
    }

    pub fn keeping(client: Client, keep: Box<dyn std::any::Any + Send + Sync>) -> Self {
        Self { client, finished: Mutex::default(), _keep: keep }
    }

    /// The store as the agent tells it, the folder that the room was opened in, and this machine.
    async fn readiness(&self) -> Result<doctor::Report> {
        let around = doctor::Surroundings::here(Paths::from_env().data, String::new());
        let folder = std::env::current_dir().unwrap_or_else(|_| ".".into());
        Ok(doctor::look(Ok(&self.client), &around, &folder).await?.0)
    }

    async fn answer(&self, want: Want) -> Result<Page> {
        Ok(match want {
            Want::Status => Page::Status(self.status().await?),
            Want::Experiments => Page::Experiments(self.experiments().await?),
            Want::Runs(want) => Page::Runs(self.runs(&want).await?),
            Want::RunGroups(want) => Page::RunGroups(self.groups(&want).await?),
            Want::Run(id) => Page::Run(Box::new(self.run(&id).await?)),
            Want::Curves { of, points } => Page::Curves(self.curves(of, points).await?),
            Want::Artifacts { run, path } => Page::Artifacts(self.artifacts(&run, &path).await?),
            Want::Preview { run, path } => Page::Preview(self.preview(&run, path).await?),
            Want::Models => Page::Models(self.models(None).await?),
            Want::Gates { model, version, stage } => {
                Page::Gates(Box::new(self.client.check_gates(&model, version, stage).await?))
            }
            Want::Audit(want) => Page::Audit(self.audit(&want).await?),
            Want::Verify => Page::Verify(self.verify().await?),
            Want::Tail { run, path } => Page::Preview(self.tail(&run, path).await?),
            Want::Logged(ids) => Page::Logged(self.logged(&ids).await?),
            Want::Compared(ids) => Page::Compared(self.views(&ids).await?.into_iter().map(runs::run).collect()),
            Want::Origin { run, repeated } => Page::Origin(Box::new(self.origin(&run, repeated).await?)),
            Want::Measured => Page::Measured(Box::new(self.measured().await?)),
            Want::Standing => Page::Standing(Box::new(self.standing().await?)),
            Want::Datasets => Page::Datasets(self.datasets().await?),
            Want::Profile(of) => Page::Profile(Box::new(self.profile(&of).await?)),
            Want::DataDiff { from, to } => Page::DataDiff(Box::new(self.data_diff(&from, &to).await?)),
            Want::Noise(ids) => Page::Noise(self.client.noises(&self.views(&ids).await?).await?),
            Want::Fleet { window, as_of } => Page::Fleet(Box::new(self.client.fleet(window, as_of).await?)),
            Want::Incidents => Page::Incidents(self.client.incidents(None).await?),
            Want::Incident(id) => Page::Incident(Box::new(self.client.incident(id).await?)),
            Want::Live(of) => {
                let asked = AskedLive { window: of.window, to: of.to, as_of: of.as_of, metric: of.metric };
                Page::Live(Box::new(self.client.live(&of.service, &asked).await?))
            }
            Want::Feature { of, version, column } => {
                let asked = Asked { window: of.window, to: of.to, version: Some(version), slice: None };
                Page::Feature(Box::new(self.client.feature(&of.service, &column, &asked).await?))
            }
            Want::Cost(asked) => Page::Cost(Box::new(self.client.cost(&asked).await?)),
            Want::Readiness => Page::Readiness(Box::new(self.readiness().await?)),
            Want::Services { as_of: None } => Page::Services(self.client.services().await?),
            Want::Services { as_of: Some(at) } => Page::Services(self.client.services_at(at).await?),
            Want::Service { name, as_of: None } => Page::Service(Box::new(self.client.service(&name).await?)),
            Want::Service { name, as_of: Some(at) } => {
                Page::Service(Box::new(self.client.service_at(&name, at).await?))
            }
            Want::Around(ids) => Page::Around(self.client.surroundings(&self.views(&ids).await?).await?),
            Want::ModelsAt(at) => Page::Models(self.models(Some(at)).await?),
            Want::Card { model, version, digests } => Page::Card(Box::new(self.card(model, version, digests).await?)),
        })
    }

    async fn status(&self) -> Result<Status> {
        // An agent that hangs takes the connection and says nothing: that too must show soon.
        let asked = tokio::time::timeout(STATUS_PATIENCE, self.client.status()).await;
        let s = asked.map_err(|_| Fault::unavailable("the agent does not answer"))??;
        let read_only = (s.role < Role::Client).then(|| format!("{} may only look (role {})", s.actor, s.role.name()));
        Ok(Status {
            context: s.badge,
            user: s.actor,
            role: s.role.name().to_owned(),
            tracking_uri: s.address,
            router: s.router,
            read_only,
        })
    }

    /// Tells what hints speak of until the stream breaks.
    async fn hints(&self, hear: Hear) -> Fault {
        let mut events = match self.client.events().await {
            Ok(events) => events,
            Err(fault) => return fault,
        };
        hear(None);
        while let Some(hint) = events.next().await {
            match hint {
                Ok(hint) => hear(Some(changed(hint))),
                Err(fault) => return fault,
            }
        }
        Fault::unavailable("the stream of hints ended")
    }
}

fn changed(hint: Hint) -> Changed {
    match hint {
        Hint::Experiment(_) => Changed::Experiments,
        Hint::Run(id) => Changed::Run(id.to_string()),
        Hint::Model(name) => Changed::Model(name),
        Hint::Dataset(_) => Changed::Data,
        Hint::Audit => Changed::Audit,
        Hint::Incidents => Changed::Incidents,
        Hint::Rollouts => Changed::Rollouts,
        Hint::Hosts => Changed::Hosts,
        Hint::Everything => Changed::Everything,
    }
}

impl Source for Agent {
    fn load(&self, want: Want) -> Later<'_, Result<Page>> {
        Box::pin(self.answer(want))
    }

    fn perform(&self, envelope: Envelope) -> Later<'_, Result<Outcome>> {
        Box::pin(self.change(envelope))
    }

    fn listen(&self, hear: Hear) -> Later<'_, Fault> {
        Box::pin(self.hints(hear))
    }
}
