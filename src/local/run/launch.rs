//! A command in a session of its own: a terminal that goes away takes neither it nor its watcher along. What it says
//! goes to the terminal and, while it says it, to the run's artifacts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::sample::{Sampler, alive};
use crate::base::clock::{Stopwatch, SystemClock};
use crate::base::id::RunId;
use crate::base::{Clock, Fault, fault::Result};
use crate::capability::tracking::rules::{REASON_TAG, STOP_TAG};
use crate::capability::training::capture::Ended;
use crate::capability::training::{STDERR, STDOUT};
use crate::client::Client;

/// How often use is measured and new output goes to the run.
const BEAT: Duration = Duration::from_secs(2);
/// Sending all output again costs more the longer it is: it is sent at most so much of the time.
const SEND_SHARE: u32 = 20;
/// Output may go on after the command ended, when something it started holds the pipe.
const AFTER_END: Duration = Duration::from_secs(2);
/// What was asked to stop has so long to save what it has; then it is killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// Where a command's output goes besides the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// As if it ran by itself.
    AsItIs,
    /// All to stderr: stdout is for the answer.
    Stderr,
}

/// What to launch, and for which run.
pub struct Launch<'a> {
    pub client: &'a Client,
    pub run: RunId,
    /// The run's folder in the artifact store.
    pub artifacts: &'a str,
    pub program: &'a Path,
    pub arguments: &'a [String],
    pub folder: &'a Path,
    /// All of its variables.
    pub environment: &'a BTreeMap<String, String>,
    pub echo: Echo,
}

/// Becomes the leader of a new session and then the program: the small step between `opsroom run` and its command.
///
/// # Errors
/// When the program cannot be run; else it does not return.
pub fn in_session(command: &[OsString]) -> Fault {
    let Some((program, arguments)) = command.split_first() else { return Fault::invalid("no command") };
    // Fails for who leads one already, which is as good.
    let _ = rustix::process::setsid();
    let e = std::process::Command::new(program).args(arguments).exec();
    Fault::invalid(format!("cannot run {}", program.display())).why(e.to_string())
}

/// How a command came to its end.
pub struct End {
    pub ended: Ended,
    pub stop: Stop,
}

/// Whether somebody asked the run to stop, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    NotAsked,
    /// The command was told, and all that it started ended.
    Told,
    /// Something of it went on after its grace, and was killed.
    Killed,
}

/// Runs it to its end.
///
/// # Errors
/// `Invalid` when it cannot be started.
pub async fn launch(what: &Launch<'_>) -> Result<End> {
    let watch = Stopwatch::start();
    let problem =
        |e: std::io::Error| Fault::invalid(format!("cannot run {}", what.program.display())).why(e.to_string());
    let own = std::env::current_exe().map_err(problem)?;
    let mut command = Command::new(own);
    command.arg("in-session").arg("--").arg(what.program).args(what.arguments).current_dir(what.folder);
    command.env_clear().envs(what.environment);
    command.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(problem)?;
    let pid = child.id().unwrap_or(0);
    let scratch = std::env::temp_dir().join(format!("opsroom-run-{}", what.run));
    std::fs::create_dir_all(&scratch).map_err(problem)?;
    let logs = [Log::new(&scratch, "stdout", STDOUT), Log::new(&scratch, "stderr", STDERR)];
    let out = child.stdout.take().map(|pipe| tokio::spawn(tee(pipe, logs[0].file.clone(), what.echo == Echo::Stderr)));
    let err = child.stderr.take().map(|pipe| tokio::spawn(tee(pipe, logs[1].file.clone(), true)));
    let end = watch_over(what, &mut child, pid, &logs).await;
    let rest = async {
        for task in [out, err].into_iter().flatten() {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(AFTER_END, rest).await;
    for mut log in logs {
        log.send(what).await;
    }
    let _ = std::fs::remove_dir_all(&scratch);
    let (status, stop) = end.map_err(problem)?;
    Ok(End { ended: Ended { status, seconds: watch.elapsed().as_secs() }, stop })
}

/// Waits for the end; measures, sends output, and passes signals on meanwhile, also the wish of somebody that the run stops.
/// Answers the status, and what came of that wish.
async fn watch_over(what: &Launch<'_>, child: &mut Child, pid: u32, logs: &[Log; 2]) -> std::io::Result<(u8, Stop)> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // The terminal went away: nothing to do, and nothing to end for.
    let mut hangup = signal(SignalKind::hangup())?;
    let mut sampler = Sampler::new(pid);
    let (mut step, mut told, mut stop) = (0, None, Stop::NotAsked);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut since, mut logs) = (Stopwatch::start(), logs.clone());
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(1);
                if let Some(told) = &told && stop == Stop::Told && !gone(pid, told).await {
                    stop = kill(pid);
                }
                return Ok((u8::try_from(code).unwrap_or(1), stop));
            }
            _ = interrupt.recv() => pass_on(pid, rustix::process::Signal::INT),
            _ = terminate.recv() => pass_on(pid, rustix::process::Signal::TERM),
            _ = hangup.recv() => {}
            _ = beat.tick() => {
                // First: what follows may wait for an agent.
                if stop == Stop::Told && told.as_ref().is_some_and(|told: &Stopwatch| told.elapsed() >= GRACE) {
                    stop = kill(pid);
                }
                let metrics = sampler.look(since.elapsed());
                since = Stopwatch::start();
                log_use(what, &metrics, step).await;
                step += 1;
                if told.is_none() && let Some(why) = asked_to_stop(what).await {
                    (told, stop) = (Some(Stopwatch::start()), Stop::Told);
                    let _ = writeln!(
                        std::io::stderr(),
                        "opsroom: this run was asked to stop{why}; SIGTERM was sent, SIGKILL follows in {} s",
                        GRACE.as_secs()
                    );
                    pass_on(pid, rustix::process::Signal::TERM);
                }
                for log in &mut logs {
                    log.send_if_due(what).await;
                }
            }
        }
    }
}

/// Whether all that the command started ends within what is left of its grace: workers may still save what they have.
async fn gone(pid: u32, told: &Stopwatch) -> bool {
    const PAUSE: Duration = Duration::from_millis(50);
    while !alive(pid).is_empty() {
        if told.elapsed() >= GRACE {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
    true
}

fn kill(pid: u32) -> Stop {
    let _ = writeln!(std::io::stderr(), "opsroom: it went on for {} s and was killed", GRACE.as_secs());
    pass_on(pid, rustix::process::Signal::KILL);
    // Also what made a group of its own, as a shell's jobs do.
    for pid in alive(pid).into_iter().filter_map(process) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    Stop::Killed
}

/// Whether somebody wants the run to stop, and why as far as they said.
async fn asked_to_stop(what: &Launch<'_>) -> Option<String> {
    let run = what.client.run(what.run).await.ok()?;
    run.tags.get(STOP_TAG)?;
    Some(run.tags.get(REASON_TAG).map_or_else(String::new, |why| format!(": {why}")))
}

fn process(pid: u32) -> Option<rustix::process::Pid> {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
}

fn pass_on(pid: u32, signal: rustix::process::Signal) {
    if let Some(group) = process(pid) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

async fn log_use(what: &Launch<'_>, metrics: &[(String, f64)], step: i64) {
    if metrics.is_empty() {
        return;
    }
    let now = SystemClock.now().millis();
    let metrics: Vec<_> =
        metrics.iter().map(|(k, v)| json!({"key": k, "value": v, "timestamp": now, "step": step})).collect();
    let body = json!({"run_id": what.run.to_string(), "metrics": metrics});
    // Use is worth less than the training: what cannot be sent is left out.
    if let Err(fault) = what.client.mlflow(Method::POST, "/api/2.0/mlflow/runs/log-batch", &body).await {
        tracing::debug!("use: {fault}");
    }
}

/// Copies what comes to the terminal and into a file.
async fn tee(mut pipe: impl AsyncRead + Unpin, file: PathBuf, to_stderr: bool) {
    let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file) else { return };
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => &buffer[..read],
        };
        let _ = file.write_all(read);
        // A terminal that went away must not end what is captured.
        let shown = if to_stderr {
            std::io::stderr().write_all(read)
        } else {
            std::io::stdout().write_all(read).and_then(|()| std::io::stdout().flush())
        };
        let _ = shown;
    }
}

/// A file of output on its way to the run.
#[derive(Debug, Clone)]
struct Log {
    file: PathBuf,
    artifact: &'static str,
    sent: u64,
    took: Duration,
    last: Option<Stopwatch>,
}

impl Log {
    fn new(folder: &Path, name: &str, artifact: &'static str) -> Self {
        Self { file: folder.join(name), artifact, sent: 0, took: Duration::ZERO, last: None }
    }

    async fn send_if_due(&mut self, what: &Launch<'_>) {
        if self.last.is_none_or(|l| l.elapsed() >= self.took * SEND_SHARE) {
            self.send(what).await;
        }
    }

    async fn send(&mut self, what: &Launch<'_>) {
        let length = std::fs::metadata(&self.file).map_or(0, |m| m.len());
        if length == self.sent {
            return;
        }
        let watch = Stopwatch::start();
        let Ok(file) = tokio::fs::File::open(&self.file).await else { return };
        let body = reqwest::Body::wrap_stream(crate::client::pieces(file));
        match what.client.put_artifact(&format!("{}/{}", what.artifacts, self.artifact), body).await {
            Ok(()) => self.sent = length,
            Err(fault) => tracing::debug!("output: {fault}"),
        }
        self.took = watch.elapsed();
        self.last = Some(Stopwatch::start());
    }
}
