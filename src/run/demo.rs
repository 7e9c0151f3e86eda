//! `opsroom demo`: an agent on a store of its own, the story told to it, and the room opened on both.

use std::path::{Path, PathBuf};

use crate::agent::{self, Agent};
use crate::base::{Fault, fault::Result};
use crate::cli::{Demo, Exit, Session};
use crate::client::{Address, Client};
use crate::config::AgentSettings;
use crate::demo::story::Story;

/// Without anyone watching there is no reason to wait.
const SPEED_HEADLESS: f64 = 1000.0;

/// # Errors
/// What the agent refused or the room could not do; `Bug` when the story does not end as it should.
pub async fn run(session: &Session, demo: &Demo) -> Result<Exit> {
    let folder = demo.dir.clone().unwrap_or_else(|| session.loaded.paths.data.join("demo"));
    make_folder(&folder)?;
    let socket = folder.join("opsroom.sock");
    let client = Client::new(Address::Unix(socket.clone()), None, if demo.headless { "cli" } else { "tui" })?;
    if client.status().await.is_ok() {
        return visit(session, demo, client, &folder).await;
    }
    let agent = agent::start(settings(&folder, socket)).await?;
    let app = agent.app().clone();
    let played = play(session, demo, &client, &agent).await;
    app.stop();
    agent.run().await;
    played.map(|()| Exit::Done)
}

/// Another `opsroom demo` holds this store: its room can be shared, its story is not told twice.
async fn visit(session: &Session, demo: &Demo, client: Client, folder: &Path) -> Result<Exit> {
    if demo.headless {
        return Err(Fault::unavailable(format!("a demonstration is under way in {}", folder.display()))
            .next("wait for its end, or give another folder with --dir"));
    }
    super::open_room(client, super::room_options(session)).await
}

async fn play(session: &Session, demo: &Demo, client: &Client, agent: &Agent) -> Result<()> {
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
    let room = super::open_room(client.clone(), super::room_options(session)).await.map(drop);
    if telling.is_finished() {
        let told = telling.await.map_err(|e| Fault::bug("the story broke off").why(e.to_string()))?;
        return room.and(told);
    }
    telling.abort();
    story.break_off().await?;
    room
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
