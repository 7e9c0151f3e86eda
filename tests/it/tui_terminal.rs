//! The room in a real terminal: what it costs on the wire, and that it leaves the terminal as it found it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::support::{Agent, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// `opsroom` on the far side of a pseudo-terminal.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: vt100::Parser,
    bytes: usize,
    all: Vec<u8>,
}

impl Terminal {
    fn open(agent: &Agent, args: &[&str], (columns, rows): (u16, u16)) -> Self {
        Self::open_with(agent, args, (columns, rows), &[])
    }

    fn open_with(agent: &Agent, args: &[&str], (columns, rows): (u16, u16), variables: &[(&str, &str)]) -> Self {
        let pair =
            native_pty_system().openpty(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_opsroom"));
        command.env_clear();
        let home = agent.home().path();
        for (name, value) in [
            ("HOME", home.to_str().unwrap()),
            ("XDG_CONFIG_HOME", home.join("config").to_str().unwrap()),
            ("XDG_DATA_HOME", home.join("data").to_str().unwrap()),
            ("XDG_STATE_HOME", home.join("state").to_str().unwrap()),
            ("XDG_CACHE_HOME", home.join("cache").to_str().unwrap()),
            ("PATH", &std::env::var("PATH").unwrap_or_default()),
            ("TERM", "xterm-256color"),
            ("COLORTERM", "truecolor"),
            ("LANG", "C.UTF-8"),
            ("USER", "kim"),
            ("OPSROOM_AGENT", &format!("unix:{}", agent.socket())),
        ] {
            command.env(name, value);
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        command.args(args);
        command.cwd(home);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let size = |n| NonZeroU16::new(n).unwrap();
        let screen = vt100::Parser::new(size(rows), size(columns), 0);
        let seen = Arc::new(Mutex::new(Seen { screen, bytes: 0, all: Vec::new() }));
        let (mut reader, into) = (pair.master.try_clone_reader().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut part = [0_u8; 65_536];
            while let Ok(n @ 1..) = reader.read(&mut part) {
                let mut seen = into.lock().unwrap();
                seen.bytes += n;
                seen.all.extend_from_slice(&part[..n]);
                seen.screen.process(&part[..n]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, master: Some(pair.master), keys: Some(keys), seen }
    }

    fn text(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        let begin = Instant::now();
        while !self.text().contains(words) {
            assert!(begin.elapsed() < PATIENCE, "\"{words}\" does not show:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn press(&mut self, keys: &str) {
        let out = self.keys.as_mut().unwrap();
        out.write_all(keys.as_bytes()).unwrap();
        out.flush().unwrap();
    }

    /// Bytes written while `does` runs and the time after it passes.
    fn cost(&mut self, does: impl FnOnce(&mut Self), after: Duration) -> usize {
        let before = self.seen.lock().unwrap().bytes;
        does(self);
        std::thread::sleep(after);
        self.seen.lock().unwrap().bytes - before
    }

    /// Waits until nothing more is written than the seconds of the clock.
    fn settle(&mut self) {
        let mut calm = 0;
        while calm < 3 {
            let cost = self.cost(|_| (), Duration::from_millis(120));
            calm = if cost < 100 { calm + 1 } else { 0 };
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// How long the process takes to be gone.
    #[track_caller]
    fn gone(&mut self) -> Duration {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "the room does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        begin.elapsed()
    }

    /// The terminal stands as before: the first screen, the cursor, no mouse, no paste and focus reports.
    #[track_caller]
    fn is_given_back(&self) {
        eventually("the last sequence", || self.seen.lock().unwrap().all.ends_with(b"\x1b[?25h"));
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        let text = String::from_utf8_lossy(&seen.all).into_owned();
        assert!(text.rfind("\x1b[?1004l") > text.rfind("\x1b[?1004h"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent with forty runs that are over, of two metrics with a curve each.
fn agent() -> Agent {
    let agent = Agent::start();
    let home = agent.home().path().join("mlruns");
    write_runs(&home, 40);
    agent.cli(&["import", "mlflow", home.to_str().unwrap()]).expect(0);
    agent
}

/// The file format of MLflow's own store: the plainest way to many runs with curves.
fn write_runs(home: &std::path::Path, count: usize) {
    let put = |path: std::path::PathBuf, text: String| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let experiment = home.join("1");
    put(
        experiment.join("meta.yaml"),
        format!(
            "artifact_location: file://{}\ncreation_time: 1700000000000\nexperiment_id: '1'\nlast_update_time: \
             1700000000000\nlifecycle_stage: active\nname: flights\n",
            experiment.display()
        ),
    );
    for n in 0..count {
        let id = format!("{n:032x}");
        let run = experiment.join(&id);
        let start = 1_700_000_000_000_u64 + u64::try_from(n).unwrap() * 3_600_000;
        put(
            run.join("meta.yaml"),
            format!(
                "artifact_uri: file://{}/artifacts\nend_time: {}\nentry_point_name: ''\nexperiment_id: '1'\n\
                 lifecycle_stage: active\nrun_id: {id}\nrun_name: calm-heron-{n}\nrun_uuid: {id}\nsource_name: ''\n\
                 source_type: 4\nsource_version: ''\nstart_time: {start}\nstatus: 3\ntags: []\nuser_id: kim\n",
                run.display(),
                start + 1_800_000,
            ),
        );
        for (metric, from) in [("val_loss", 0.6), ("val_auc", 0.9)] {
            let lines: String = (0..200)
                .map(|s| format!("{} {} {s}\n", start + s * 1000, from / (1.0 + s as f64 / 50.0) + n as f64 * 0.001))
                .collect();
            put(run.join("metrics").join(metric), lines);
        }
        put(run.join("params").join("lr"), format!("0.00{n}"));
        put(run.join("tags").join("mlflow.user"), "kim".into());
    }
}

/// Bytes of a move of the cursor, of one that scrolls the list, and of a second in which nothing happens.
const MOVE_BYTES: usize = 512;
const SCROLL_BYTES: usize = 800;
const IDLE_BYTES: usize = 100;

#[test]
fn moves_and_idle_seconds_cost_little() {
    let agent = agent();
    let mut room = Terminal::open(&agent, &[], (120, 40));
    room.shows("calm-heron-39");
    room.press("jjj");
    room.settle();
    // A key, and what is written before the panes that follow the cursor are drawn: the cost while a key is held.
    let mut press = |key: &str| room.cost(|room| room.press(key), Duration::from_millis(90));
    let moves: Vec<usize> = "jjjjjjjjkkkk".split_terminator("").skip(1).map(&mut press).collect();
    assert!(moves.iter().all(|m| (1..=MOVE_BYTES).contains(m)), "bytes a move: {moves:?}");
    for _ in 0..12 {
        press("j");
    }
    let scrolls: Vec<usize> = (0..8).map(|_| press("j")).collect();
    assert!(scrolls.iter().all(|m| (1..=SCROLL_BYTES).contains(m)), "bytes a scroll: {scrolls:?}");
    room.settle();
    let idle = room.cost(|_| (), Duration::from_secs(3));
    assert!(idle <= 3 * IDLE_BYTES, "{idle} bytes in three idle seconds");
    println!("bytes a move {moves:?}, a scroll {scrolls:?}, three idle seconds {idle}");
}
