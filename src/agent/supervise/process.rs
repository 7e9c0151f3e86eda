//! One model server's process, known by its number and by when it began, so that it can be found again by another agent.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::http;
use crate::base::{Fault, fault::Result};
use crate::capability::rollout::Server;

/// How long it may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);
const READY_TIMEOUT: Duration = Duration::from_millis(500);
/// A longer log is put aside before the next start.
const LOG_BYTES_MAX: u64 = 10 << 20;
const LAST_LINE_BYTES: u64 = 400;

/// A process that leads a group of its own.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    pub pid: u32,
    /// Kernel's ticks since boot.
    pub began: u64,
}

impl Process {
    pub fn of(server: &Server) -> Self {
        Self { pid: server.pid, began: server.pid_began }
    }

    /// Starts it with its output in `log`.
    ///
    /// # Errors
    /// `Unavailable` when the program cannot be started.
    pub fn start(command: &[String], log: &str) -> Result<Self> {
        let (program, words) = command.split_first().ok_or_else(|| Fault::invalid("the launch command is empty"))?;
        let problem = |e: std::io::Error| Fault::unavailable(format!("{program} cannot be started")).why(e.to_string());
        let output = open_log(Path::new(log)).map_err(problem)?;
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(problem)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(problem)?;
        let pid = child.id();
        let began = began(pid).unwrap_or_default();
        // Its end must not leave a corpse while we run.
        std::thread::spawn(move || child.wait());
        Ok(Self { pid, began })
    }

    pub fn lives(&self) -> bool {
        self.pid != 0 && began(self.pid) == Some(self.began)
    }

    /// Asks its whole group to end, and ends it.
    pub async fn stop(&self) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| self.lives()) else { return };
        // A group that is gone is what we want.
        let _ = kill_process_group(pid, Signal::TERM);
        let watch = crate::base::clock::Stopwatch::start();
        while self.lives() && watch.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = kill_process_group(pid, Signal::KILL);
    }

    /// Resident memory of all processes of its group.
    pub fn memory_mib(&self) -> u64 {
        let Ok(all) = std::fs::read_dir("/proc") else { return 0 };
        let pids = all.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let pages: u64 = pids.filter(|p| field(*p, 2) == Some(u64::from(self.pid))).filter_map(|p| field(p, 21)).sum();
        pages * rustix::param::page_size() as u64 / (1 << 20)
    }
}

/// A field of `/proc/PID/stat` after the name, from 0: 2 is the group, 19 when it began, 21 its resident pages. A corpse
/// has none.
fn field(pid: u32, nth: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if rest.starts_with('Z') {
        return None;
    }
    fields.nth(nth)?.parse().ok()
}

fn began(pid: u32) -> Option<u64> {
    field(pid, 19)
}

fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    if std::fs::metadata(path).is_ok_and(|m| m.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// What a server said last, without its control characters.
pub fn last_line(log: &str) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_LINE_BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    };
    let text = read().unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    last.chars().filter(|c| !c.is_control()).collect()
}

/// The port that it had, or one that is free.
///
/// # Errors
/// `Unavailable` when none can be had.
pub fn port(url: &str) -> Result<u16> {
    if let Some(port) = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
        return Ok(port);
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    free.map(|a| a.port()).map_err(|e| Fault::unavailable("no free port").why(e.to_string()))
}

/// Whether it answers 2xx there.
pub async fn is_ready(url: &str, path: &str) -> bool {
    let asked = async {
        let client = http::client(READY_TIMEOUT, [url]).ok()?;
        client.get(format!("{url}/{}", path.trim_start_matches('/'))).send().await.ok()
    };
    asked.await.is_some_and(|answer| answer.status().is_success())
}
