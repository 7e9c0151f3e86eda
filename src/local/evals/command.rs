//! Running the commands of a suite: in a process group of their own, ended with everything they started when they
//! take too long or the caller gives up.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::base::{Fault, fault::Result};
use crate::capability::evals::Suite;

/// Bytes that a command may print.
const PRINTED_BYTES_MAX: u64 = 1 << 30;
const TAIL_LINES: usize = 8;

/// Runs a predictor; what it prints is the prediction when it was not told where to write.
///
/// # Errors
/// `Invalid` with the end of what it said, when it cannot be started, fails, or takes too long.
pub(super) async fn predict(filled: &[String], words: &[String], out: &Path, suite: &Suite) -> Result<()> {
    let told_where = words.iter().any(|w| w.contains("{out}"));
    let printed = if told_where { out.with_extension("printed") } else { out.to_owned() };
    run(filled, &printed, suite).await
}

/// Runs a command and answers what it printed.
///
/// # Errors
/// As [`predict`].
pub(super) async fn printed(filled: &[String], suite: &Suite) -> Result<String> {
    let file = std::env::temp_dir().join(format!("opsroom-{}", crate::base::id::uuid7()));
    let ran = run(filled, &file, suite).await;
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = std::fs::remove_file(&file);
    ran.map(|()| text)
}

async fn run(filled: &[String], printed: &Path, suite: &Suite) -> Result<()> {
    let line = filled.join(" ");
    let problem =
        |e: std::io::Error| Fault::unavailable(format!("cannot write {}", printed.display())).why(e.to_string());
    let said = printed.with_extension("stderr");
    let (stdout, stderr) = (File::create(printed).map_err(problem)?, File::create(&said).map_err(problem)?);
    let (program, arguments) = filled.split_first().ok_or_else(|| Fault::invalid("the suite's command is empty"))?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
    let child = command.spawn().map_err(|e| {
        Fault::invalid(format!("{program} cannot be started")).why(e.to_string()).next("mend the suite's command")
    })?;
    let mut child = Group(child);
    let limit = Duration::from_secs(suite.timeout_seconds());
    let waited = tokio::select! {
        ended = tokio::time::timeout(limit, child.0.wait()) => ended,
        _ = tokio::signal::ctrl_c() => {
            return Err(Fault::invalid(format!("interrupted: {line}")).next("nothing was kept; run it again"));
        }
    };
    let tail = tail(&said, printed);
    let _ = std::fs::remove_file(&said);
    let status = match waited {
        Err(_) => {
            let what = format!("{line} took longer than {}", suite.timeout);
            return Err(Fault::invalid(what).why(tail).next("give the suite a longer timeout, or less data"));
        }
        Ok(status) => status.map_err(problem)?,
    };
    if !status.success() {
        return Err(Fault::invalid(format!("{line} failed: {status}")).why(tail).next("nothing was kept; mend it"));
    }
    let size = std::fs::metadata(printed).map_or(0, |m| m.len());
    if size > PRINTED_BYTES_MAX {
        return Err(Fault::invalid(format!("{line} printed more than {PRINTED_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// The last lines of what it said: stderr, else stdout.
fn tail(said: &Path, printed: &Path) -> String {
    let lines = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4000)..]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n       ")
    };
    let said = lines(said);
    if said.is_empty() { lines(printed) } else { said }
}

/// A process with all that it started; they end together.
struct Group(tokio::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        else {
            return;
        };
        if let Err(e) = rustix::process::kill_process_group(id, rustix::process::Signal::KILL) {
            tracing::debug!("the command's group: {e}");
        }
    }
}
