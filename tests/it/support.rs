//! What tests share: a home of their own, and the real binary serving in it.
#![allow(dead_code)] // each test takes what it needs

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use opsroom::client::{Address, Client};

const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary home: every XDG folder is inside of it, and no variable of the caller leaks in.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The default store's path.
    pub fn store(&self) -> PathBuf {
        self.path().join("data/opsroom/opsroom.db")
    }

    /// `opsroom ARGS`, to be run in this home.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opsroom"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OPSROOM_") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(args, self.command(args).output().unwrap())
    }
}

/// What an agent leaves behind that is killed (its router, model servers) is meant to outlive it, but not its home.
impl Drop for Home {
    fn drop(&mut self) {
        const ROUNDS: usize = 50;
        for _ in 0..ROUNDS {
            let left = processes_of(self.path());
            if left.is_empty() {
                return;
            }
            for pid in left {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            // One that was being started is seen in the next round.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Processes that have a home of a test in their environment or on their command line. Its name is this test's alone.
fn processes_of(home: &Path) -> Vec<rustix::process::Pid> {
    let home = home.as_os_str().as_encoded_bytes();
    let names = |text: &[u8]| text.windows(home.len()).any(|part| part == home);
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_home = entries.filter(|entry| {
        ["environ", "cmdline"].iter().any(|file| std::fs::read(entry.path().join(file)).is_ok_and(|text| names(&text)))
    });
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    of_home.filter_map(pid).filter_map(rustix::process::Pid::from_raw).collect()
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Done {
    pub args: Vec<String>,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(args: &[&str], output: Output) -> Self {
        Self {
            args: args.iter().map(ToString::to_string).collect(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "opsroom {}\nstdout: {}\nstderr: {}",
            self.args.join(" "),
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("opsroom {}: {e}\n{}", self.args.join(" "), self.stdout))
    }
}

/// The real agent in a temporary home on a free port; killed when dropped.
pub struct Agent {
    home: Home,
    child: Child,
    url: String,
    socket: String,
}

impl Agent {
    pub fn start() -> Self {
        Self::start_in(Home::new(), &[])
    }

    /// Starts it on the home's default store; `args` are added to the command line.
    pub fn start_in(home: Home, args: &[&str]) -> Self {
        let store = home.store();
        let mut all = vec!["agent"];
        if !args.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        if !args.contains(&"--store") {
            all.extend(["--store", store.to_str().unwrap()]);
        }
        all.extend(args);
        let mut child = home.command(&all).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |prefix: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            line.strip_prefix(prefix)
                .unwrap_or_else(|| panic!("expected {prefix:?}, the agent said {line:?}"))
                .to_owned()
        };
        let url = next("agent listening on ");
        let socket = next("agent socket unix:");
        Self { home, child, url, socket }
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The Unix socket's path.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client on the Unix socket: a verified admin.
    pub fn client(&self) -> Client {
        Client::new(Address::Unix(self.socket.clone().into()), None, "cli").unwrap()
    }

    /// `opsroom ARGS` by the agent's socket.
    pub fn cli(&self, args: &[&str]) -> Done {
        self.cli_at(&format!("unix:{}", self.socket), args)
    }

    /// `opsroom ARGS` by an address of the caller's choice.
    pub fn cli_at(&self, address: &str, args: &[&str]) -> Done {
        Done::of(args, self.home.command(args).env("OPSROOM_AGENT", address).output().unwrap())
    }

    /// SIGINT, and how it ended.
    pub fn interrupt(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::INT);
        self.ended()
    }

    /// SIGKILL, as a crash; answers with the home, for the next agent.
    pub fn kill(mut self) -> Home {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.home, Home::new())
    }

    /// Another agent on the same home; the one before has ended.
    pub fn start_again(&mut self, args: &[&str]) {
        let home = std::mem::replace(&mut self.home, Home::new());
        *self = Self::start_in(home, args);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the agent does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what} does not come to be");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a future of the client to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
