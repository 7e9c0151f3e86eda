//! What to set so that others log here; completions and manual pages.

use std::path::Path;

use clap::Subcommand;
use clap_mangen::Man;

use super::print::{self, Page};
use super::{Exit, Session};
use crate::base::{Fault, fault::Result};
use crate::capability::access;

/// Clients that can log here.
#[derive(Debug, Subcommand)]
pub enum Connect {
    /// Print the variables for MLflow's client: eval "$(opsroom connect mlflow)"
    Mlflow,
    /// Print the variables for Weights & Biases' client: eval "$(opsroom connect wandb)"
    Wandb,
}

/// # Errors
/// `Unavailable` when no agent answers.
pub async fn connect(session: &Session, to: &Connect) -> Result<Exit> {
    let address = session.client().await?.status().await?.address;
    let token = std::env::var_os("OPSROOM_TOKEN").map(|_| "$OPSROOM_TOKEN".to_owned());
    let (variables, whose) = match to {
        Connect::Mlflow => (mlflow(address, token), "an MLflow script"),
        Connect::Wandb => (wandb(address, token), "a W&B script"),
    };
    let exports: serde_json::Map<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), v.clone().into())).collect();
    print::answer(session.format, &serde_json::json!({ "variables": exports }), |_| {
        // Both for people and for `eval`: a comment is no line of the shell.
        let mut table = print::Table::new(&[""]);
        variables.iter().for_each(|(k, v)| table.row([format!("export {k}=\"{v}\"")]));
        Page::default().table(table).line(format!("# {whose} that is started now logs to this agent"))
    })?;
    Ok(Exit::Done)
}

fn mlflow(address: String, token: Option<String>) -> Vec<(&'static str, String)> {
    let mut variables = vec![("MLFLOW_TRACKING_URI", address)];
    variables.extend(token.map(|t| ("MLFLOW_TRACKING_TOKEN", t)));
    variables
}

/// The client wants a key in any case, and by itself sends only every 15 seconds.
fn wandb(address: String, token: Option<String>) -> Vec<(&'static str, String)> {
    vec![
        ("WANDB_BASE_URL", address),
        ("WANDB_API_KEY", token.unwrap_or_else(access::no_key)),
        ("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1".to_owned()),
    ]
}

/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::tree(), "opsroom", &mut script);
    print::out(&script)?;
    Ok(Exit::Done)
}

/// # Errors
/// `Unavailable` when it cannot be written.
pub fn man(folder: Option<&Path>) -> Result<Exit> {
    let problem = |e: std::io::Error| Fault::unavailable("cannot write the manual").why(e.to_string());
    match folder {
        None => {
            let mut page = Vec::new();
            Man::new(super::tree()).render(&mut page).map_err(problem)?;
            print::out(&page)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(problem)?;
            clap_mangen::generate_to(super::tree(), folder).map_err(problem)?;
        }
    }
    Ok(Exit::Done)
}
