//! The command line.

mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::agent;
use crate::config::AgentSettings;

#[derive(Parser)]
#[command(name = "opsroom", version, about = "A terminal control room for models in production")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The agent in the foreground.
    Agent {
        #[arg(long, default_value = "127.0.0.1:6270")]
        listen: String,
        #[arg(long)]
        store: String,
        #[arg(long)]
        artifacts: Option<String>,
    },
    /// The whole story on bundled real data, in a store of its own
    Demo(demo::Demo),
}

/// Parses, runs, and answers with the exit code.
pub fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(1);
        }
    };
    let ended = runtime.block_on(async {
        match Arguments::parse().verb {
            Verb::Demo(demo) => demo::run(demo).await,
            Verb::Agent { listen, store, artifacts } => serve(agent_settings(listen, store, artifacts)).await,
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("opsroom: {fault}");
            ExitCode::from(5)
        }
    }
}

fn agent_settings(listen: String, store: String, artifacts: Option<String>) -> AgentSettings {
    AgentSettings {
        listen,
        artifacts: artifacts.unwrap_or_else(|| format!("{store}.artifacts")),
        socket: format!("{store}.sock").into(),
        audit_heads: format!("{store}.heads"),
        store,
        ..AgentSettings::default()
    }
}

async fn serve(settings: AgentSettings) -> crate::base::fault::Result<()> {
    let agent = agent::start(settings).await?;
    println!("agent listening on {}", agent.address());
    println!("agent socket unix:{}", agent.socket().display());
    let app = agent.app().clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        app.stop();
    });
    agent.run().await;
    Ok(())
}
