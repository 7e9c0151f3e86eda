//! Starting an agent that outlives the terminal, and waiting until it answers.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::connect;
use crate::base::clock::Stopwatch;
use crate::base::{Fault, fault::Result};
use crate::capability::wire::Status;
use crate::client::{Address, Client};
use crate::config::Loaded;

/// How long a new agent may take until it answers; a store of an older version is copied and migrated first.
const PATIENCE: Duration = Duration::from_mins(1);

/// Starts a detached agent of the default store and answers where it is. When several callers do so at once, the
/// store's lock lets one agent through, and all of them find that one.
///
/// # Errors
/// `Unavailable` with what the agent said.
pub async fn start(loaded: &Loaded) -> Result<Address> {
    let log = loaded.paths.log();
    let (file, begin) = open_log(&log)?;
    let mut child = spawn(loaded, file)?;
    let watch = Stopwatch::start();
    let mut ended = None;
    while watch.elapsed() < PATIENCE {
        if let Some((address, status)) = answering(loaded).await {
            let wanted = &loaded.config.agent.listen;
            let at = &status.address;
            eprintln!(
                "opsroom: started an agent at {at} ({address}); it ends by itself when it has long had nothing to do"
            );
            if !wanted.ends_with(":0") && !at.ends_with(wanted.as_str()) {
                eprintln!("opsroom: {wanted} is in use by another program, so it listens on another port");
            }
            return Ok(address);
        }
        match ended {
            None => ended = child.try_wait().ok().flatten().map(|_| Stopwatch::start()),
            // It lost to another one that still has to say where it is, or it failed.
            Some(since) if since.elapsed() > Duration::from_secs(3) => break,
            Some(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Fault::unavailable("the agent did not start")
        .why(said(&log, begin))
        .next(format!("run `opsroom agent` to see it, or read {}", log.display())))
}

async fn answering(loaded: &Loaded) -> Option<(Address, Status)> {
    let address = connect::default_address(loaded)?;
    let client = Client::new(address.clone(), None, "cli").ok()?;
    client.status().await.ok().map(|status| (address, status))
}

fn open_log(path: &Path) -> Result<(File, u64)> {
    let problem =
        |e: std::io::Error| Fault::unavailable(format!("cannot write the log {}", path.display())).why(e.to_string());
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(problem)?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(problem)?;
    let begin = file.metadata().map_err(problem)?.len();
    Ok((file, begin))
}

fn spawn(loaded: &Loaded, log: File) -> Result<Child> {
    let problem =
        |e: std::io::Error| Fault::unavailable("cannot start an agent").why(e.to_string()).next("run `opsroom agent`");
    let program = std::env::current_exe().map_err(problem)?;
    let mut command = Command::new(program);
    command.args(["agent", "--detached"]);
    if loaded.file.exists() {
        command.arg("--config").arg(&loaded.file);
    }
    // From the root, so that it keeps no folder busy.
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().map_err(problem)
}

/// The last thing an agent said that did not start.
fn said(log: &Path, begin: u64) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(begin))?;
        file.read_to_string(&mut text)
    });
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    match read {
        Ok(_) if !lines.is_empty() => lines[lines.len().saturating_sub(4)..].join(" ").replace("opsroom: ", ""),
        _ => format!("it did not answer within {} s", PATIENCE.as_secs()),
    }
}
