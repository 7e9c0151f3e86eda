//! `opsroom open PATH`: a read-only room over files. An agent of its own, in a private folder that goes when the room
//! closes, on a socket alone, is kept level with the files; the room comes to it with a viewer's token.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent;
use crate::base::id::random_u128;
use crate::base::{Fault, fault::Result, show};
use crate::capability::access::{self, Role};
use crate::capability::tracking::RunQuery;
use crate::capability::{Command, Envelope};
use crate::cli::{Exit, Session, import::progress};
use crate::client::{Address, Client};
use crate::config::AgentSettings;
use crate::local::found::Damage;
use crate::local::{Files, Follow, Store, wandb};
use crate::tui::state::View;

/// Between two looks at the files.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// # Errors
/// `NotFound`, `Invalid` for a path that holds no runs; `Unavailable`.
pub async fn run(session: &Session, path: &Path) -> Result<Exit> {
    super::check_terminal()?;
    let source = Source::open(path).await?;
    let folder = Private::make()?;
    let agent = agent::start(settings(&folder.0)).await?;
    let app = agent.app().clone();
    let address = Address::Unix(agent.socket().to_owned());
    let shown = tokio::select! {
        shown = show_it(session, source, &folder.0, address) => shown,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
    };
    app.stop();
    agent.run().await;
    drop(folder);
    shown
}

async fn show_it(session: &Session, source: Source, folder: &Path, address: Address) -> Result<Exit> {
    let client = Client::new(address.clone(), None, "cli")?;
    let secret = access::secret();
    let token = access::Command::CreateToken {
        name: "open".to_owned(),
        role: Role::Viewer,
        digest: access::digest(&secret),
        expires: None,
    };
    client.perform(&Envelope::new(Command::Access(token), "the room over files may only look")).await?;
    let (place, kind) = (source.path().display().to_string(), source.kind());
    let mut level = Level::new(client.clone(), source, Files::Link(folder.join("artifacts")));
    let bar = progress();
    let told = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let begun = level.begin(&told).await;
    bar.finish_and_clear();
    let (runs, skipped) = begun?;
    for damage in &skipped {
        eprintln!("opsroom: {}: {}", damage.place, damage.why);
    }
    eprintln!("opsroom: {} runs in {place}", show::count(runs));
    let following = tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            if let Err(fault) = level.look().await {
                tracing::warn!("{fault}");
            }
        }
    });
    let mut options = super::room_options(session);
    options.place = only_run(&client).await;
    options.context = format!("open {place}");
    options.read_only = Some(format!("{place} is only looked at; `opsroom import {kind}` takes it in"));
    let ended = super::open_room(Client::new(address, Some(secret), "tui")?, options).await;
    following.abort();
    ended
}

/// Where there is one run, the room opens on it.
async fn only_run(client: &Client) -> Option<View> {
    let found = client.search_runs(&RunQuery { limit: 2, ..RunQuery::default() }).await.ok()?;
    match found.runs.as_slice() {
        [only] => Some(View::Run(only.id.to_string())),
        _ => None,
    }
}

/// What is looked at.
enum Source {
    Mlflow(Store),
    Wandb(wandb::Begun),
}

impl Source {
    async fn open(path: &Path) -> Result<Self> {
        match wandb::Folder::find(path) {
            Some(folder) => Ok(Self::Wandb(folder.begin())),
            None => Store::open(path).await.map(Self::Mlflow),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Mlflow(store) => store.path(),
            Self::Wandb(begun) => begun.path(),
        }
    }

    /// As `opsroom import` calls it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Mlflow(_) => "mlflow",
            Self::Wandb(_) => "wandb",
        }
    }
}

/// Keeps the room's agent level with it.
enum Level {
    Mlflow(Box<Follow>),
    Wandb(Box<wandb::Taking>),
}

impl Level {
    fn new(client: Client, source: Source, files: Files) -> Self {
        match source {
            Source::Mlflow(store) => Self::Mlflow(Box::new(Follow::new(client, store, files))),
            Source::Wandb(begun) => Self::Wandb(Box::new(wandb::Taking::go_on(client, begun, files))),
        }
    }

    /// Everything as it stands: how many runs there are, and what could not be read.
    async fn begin(&mut self, told: &(dyn Fn(u64, u64) + Sync)) -> Result<(u64, Vec<Damage>)> {
        match self {
            Self::Mlflow(follow) => follow.begin(told).await.map(|r| (r.runs_new, r.skipped)),
            Self::Wandb(taking) => taking.look(told).await.map(|t| (t.runs_new, t.skipped)),
        }
    }

    async fn look(&mut self) -> Result<()> {
        match self {
            Self::Mlflow(follow) => follow.look().await.map(drop),
            Self::Wandb(taking) => taking.look(&|_, _| {}).await.map(drop),
        }
    }
}

fn settings(folder: &Path) -> AgentSettings {
    let inside = |name: &str| folder.join(name).display().to_string();
    AgentSettings {
        listen: String::new(),
        store: inside("opsroom.db"),
        artifacts: inside("artifacts"),
        audit_heads: inside("heads"),
        socket: folder.join("sock"),
        badge: "files".to_owned(),
        passing: true,
        ..AgentSettings::default()
    }
}

/// A folder for us alone that goes with us.
struct Private(PathBuf);

impl Private {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("opsroom-open-{:x}", random_u128()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| Fault::unavailable(format!("cannot make {}", path.display())).why(e.to_string()))?;
        Ok(Self(path))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Links in it are removed, not what they lead to.
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{}: {e}", self.0.display());
        }
    }
}
