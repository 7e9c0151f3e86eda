//! `opsroom demo`: an agent on a store of its own, the story told to it, and the room opened on both.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::{self, Agent};
use crate::base::{Fault, fault::Result};
use crate::cli::{Demo, DemoVerb, Exit, Session};
use crate::client::{Address, Client};
use crate::config::AgentSettings;
use crate::demo::predict::predict;
use crate::demo::proof::Workshop;
use crate::demo::serve::serve;
use crate::demo::story::Story;

/// Without anyone watching there is no reason to wait.
const SPEED_HEADLESS: f64 = 1000.0;

/// # Errors
/// What the agent refused or the room could not do; `Bug` when the story does not end as it should.
pub async fn run(session: &Session, demo: &Demo) -> Result<Exit> {
    if let Some(DemoVerb::Predict { artifact, data, out }) = &demo.verb {
        return predict(artifact, data, out).map(|()| Exit::Done);
    }
    if let Some(DemoVerb::Serve { artifact, port }) = &demo.verb {
        return serve(artifact, *port).await.map(|()| Exit::Done);
    }
    let folder = demo.dir.clone().unwrap_or_else(|| session.loaded.paths.data.join("demo"));
    make_folder(&folder)?;
    let socket = folder.join("opsroom.sock");
    let client = |via| Client::new(Address::Unix(socket.clone()), None, via);
    let room = client("tui")?;
    if room.status().await.is_ok() {
        return visit(session, demo, room, &folder).await;
    }
    let agent = agent::start(settings(&folder, socket.clone())).await?;
    let app = agent.app().clone();
    // The story is a program: the audit trail must not show its doings as a person's.
    let program = std::env::current_exe().map_err(|e| Fault::bug("no program").why(e.to_string()))?;
    let workshop = Workshop { folder: folder.join("work"), program };
    let story = Story::new(client("api")?, speed(demo), workshop, say(demo.headless))?;
    let played = if demo.headless { tell(&story, &agent).await } else { show(session, story, room).await };
    app.stop_all();
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

fn speed(demo: &Demo) -> f64 {
    demo.speed.unwrap_or(if demo.headless { SPEED_HEADLESS } else { 1.0 })
}

/// Lines on stdout when there is no room; whoever reads them may leave early.
fn say(headless: bool) -> impl Fn(&str) + Send + Sync {
    move |line| {
        if headless {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
}

async fn tell(story: &Story, agent: &Agent) -> Result<()> {
    say(true)(&format!("agent listening on {}", agent.address()));
    tokio::select! {
        told = story.tell_once() => told,
        _ = tokio::signal::ctrl_c() => {
            story.break_off().await?;
            Err(Fault::unavailable("the story was broken off").next("run it again: it begins anew"))
        }
    }
}

/// Tells the story while the person looks at it, and no longer than that.
async fn show(session: &Session, story: Story, room: Client) -> Result<()> {
    let story = Arc::new(story);
    let teller = story.clone();
    let telling = tokio::spawn(async move { teller.tell_once().await });
    let left = super::open_room(room, super::room_options(session)).await.map(drop);
    if telling.is_finished() {
        let told = telling.await.map_err(|e| Fault::bug("the story broke off").why(e.to_string()))?;
        return left.and(told);
    }
    telling.abort();
    story.break_off().await?;
    left
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
        router: "127.0.0.1:0".to_owned(),
        // It serves its models by a program of its own: this one.
        exec: true,
        store: inside("opsroom.db"),
        artifacts: inside("artifacts"),
        audit_heads: inside("opsroom.heads"),
        socket,
        badge: "demo".to_owned(),
        ..AgentSettings::default()
    }
}
