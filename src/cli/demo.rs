//! `opsroom demo`: an agent on a store of its own, the story told to it, and the room opened on both.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::agent::{self, Agent};
use crate::base::{Fault, fault::Result};
use crate::client::{Address, Client};
use crate::config::AgentSettings;
use crate::demo::story::Story;
use crate::tui;

/// Without anyone watching there is no reason to wait.
const SPEED_HEADLESS: f64 = 1000.0;

/// Plays the whole story on real flights, in a store of its own.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Folder of the demonstration's store; by default below the data folder
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Without a terminal: one line an event, and exit code 0 when the story ends as expected
    #[arg(long)]
    headless: bool,
    /// How many times faster than comfortable to watch; headless it does not wait
    #[arg(long, value_name = "X")]
    speed: Option<f64>,
}

/// # Errors
/// What the agent refused or the room could not do; `Bug` when the story does not end as it should.
pub async fn run(demo: Demo) -> Result<()> {
    let folder = demo.dir.clone().map_or_else(default_folder, Ok)?;
    make_folder(&folder)?;
    let socket = folder.join("opsroom.sock");
    let client = Client::new(Address::Unix(socket.clone()), None, if demo.headless { "cli" } else { "tui" })?;
    if client.status().await.is_ok() {
        return visit(&demo, client, &folder).await;
    }
    let agent = agent::start(settings(&folder, socket)).await?;
    let app = agent.app().clone();
    let played = play(&demo, &client, &agent).await;
    app.stop();
    agent.run().await;
    played
}

/// Another `opsroom demo` holds this store: its room can be shared, its story is not told twice.
async fn visit(demo: &Demo, client: Client, folder: &Path) -> Result<()> {
    if demo.headless {
        return Err(Fault::unavailable(format!("a demonstration is under way in {}", folder.display()))
            .next("wait for its end, or give another folder with --dir"));
    }
    open(client).await
}

async fn play(demo: &Demo, client: &Client, agent: &Agent) -> Result<()> {
    let speed = demo.speed.unwrap_or(if demo.headless { SPEED_HEADLESS } else { 1.0 });
    let headless = demo.headless;
    let story = Story::new(client.clone(), speed, move |line| {
        if headless {
            println!("{line}");
        }
    })?;
    if headless {
        println!("agent listening on {}", agent.address());
        return tokio::select! {
            told = story.tell_once() => told,
            _ = tokio::signal::ctrl_c() => {
                story.break_off().await?;
                Err(Fault::unavailable("the story was broken off").next("run it again: it begins anew"))
            }
        };
    }
    let story = std::sync::Arc::new(story);
    let teller = story.clone();
    let telling = tokio::spawn(async move { teller.tell_once().await });
    let room = open(client.clone()).await;
    if telling.is_finished() {
        let told = telling.await.map_err(|e| Fault::bug("the story broke off").why(e.to_string()))?;
        return room.and(told);
    }
    telling.abort();
    story.break_off().await?;
    room
}

async fn open(client: Client) -> Result<()> {
    let room = tui::run(client, tui::Options::default()).await;
    room.map_err(|e| {
        Fault::unavailable("the room cannot open").why(format!("{e:#}")).next("use a terminal, or --headless")
    })
}

fn default_folder() -> Result<PathBuf> {
    let known = directories::ProjectDirs::from("", "", "opsroom").map(|dirs| dirs.data_dir().join("demo"));
    known.ok_or_else(|| Fault::unavailable("there is no home folder").next("give a folder with --dir"))
}

fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Fault::unavailable(format!("cannot make {}", folder.display())).why(e.to_string()))
}

fn settings(folder: &Path, socket: PathBuf) -> AgentSettings {
    let inside = |name: &str| folder.join(name).display().to_string();
    AgentSettings {
        listen: "127.0.0.1:0".to_owned(),
        store: inside("opsroom.db"),
        artifacts: inside("artifacts"),
        audit_heads: inside("opsroom.heads"),
        socket,
        badge: "demo".to_owned(),
        ..AgentSettings::default()
    }
}
