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
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
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
            let mut part = vec![0_u8; 65_536];
            while let Ok(n @ 1..) = reader.read(&mut part) {
                let mut seen = into.lock().unwrap();
                seen.bytes += n;
                seen.all.extend_from_slice(&part[..n]);
                seen.screen.process(&part[..n]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, master: pair.master, keys, seen }
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
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
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

#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    let agent = agent();
    for end in ["q", "ctrl-c", "TERM", "INT"] {
        let mut room = Terminal::open(&agent, &[], (100, 30));
        room.shows("calm-heron-39");
        match end {
            "q" => room.press("q"),
            "ctrl-c" => room.press("\x03\x03"),
            "TERM" => room.signal(rustix::process::Signal::TERM),
            _ => room.signal(rustix::process::Signal::INT),
        }
        let took = room.gone();
        assert!(took < Duration::from_secs(2), "{end}: {took:?}");
        room.is_given_back();
    }
}

#[test]
fn a_terminal_that_hangs_up_takes_the_room_with_it() {
    let agent = agent();
    let mut room = Terminal::open(&agent, &[], (100, 30));
    room.shows("calm-heron-39");
    room.signal(rustix::process::Signal::HUP);
    let took = room.gone();
    assert!(took < Duration::from_secs(2), "{took:?}");
    room.is_given_back();
}

/// `script` holds the near side of the terminal; killed, it leaves a terminal that is gone, as a broken line does.
#[test]
fn a_terminal_that_goes_away_takes_the_room_with_it() {
    let agent = agent();
    let number = agent.home().path().join("room.pid");
    let inner = format!(
        "stty rows 30 cols 100; echo $$ > {}; exec {} --agent unix:{}",
        number.display(),
        env!("CARGO_BIN_EXE_opsroom"),
        agent.socket()
    );
    let mut script = agent.home().command(&[]);
    let envs: Vec<_> = script.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
    script = std::process::Command::new("script");
    for (name, value) in envs {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut script = script
        .args(["-qfc", &inner, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = script.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut part = [0_u8; 4096];
    while !String::from_utf8_lossy(&seen).contains("calm-heron-39") {
        let n = out.read(&mut part).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    let room: u32 = std::fs::read_to_string(&number).unwrap().trim().parse().unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{room}/stat")).unwrap_or_default();
    // Gone, or dead and not yet waited for by whoever inherited it.
    let is_gone = || {
        state().rsplit(')').next().is_none_or(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with('Z'))
    };
    assert!(!is_gone());
    script.kill().unwrap();
    script.wait().unwrap();
    let begin = Instant::now();
    while !is_gone() {
        assert!(begin.elapsed() < Duration::from_secs(2), "{}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_size_is_drawn_anew() {
    let agent = agent();
    let room = Terminal::open(&agent, &[], (120, 40));
    room.shows("calm-heron-39");
    for (columns, rows, words) in
        [(80, 24, "calm-heron-39"), (60, 16, "RUNS"), (20, 5, "ctl"), (100, 30, "calm-heron-39")]
    {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let wanted = NonZeroU16::new(rows).zip(NonZeroU16::new(columns)).unwrap();
        room.seen.lock().unwrap().screen.screen_mut().set_size(wanted.0, wanted.1);
        room.master.resize(size).unwrap();
        room.shows(words);
    }
}

#[test]
fn an_agent_that_dies_leaves_what_was_known_and_is_found_again() {
    let mut agent = agent();
    let room = Terminal::open(&agent, &[], (120, 40));
    room.shows("calm-heron-39");
    room.shows("ctl \u{2713}");
    let address = format!("unix:{}", agent.socket());
    let home = agent.kill();
    room.shows("NO AGENT");
    room.shows("calm-heron-39");
    room.shows("~");
    // Another one on the same store: the socket is where it was.
    agent = Agent::start_in(home, &[]);
    assert_eq!(format!("unix:{}", agent.socket()), address);
    let begin = Instant::now();
    while room.text().contains("NO AGENT") {
        assert!(begin.elapsed() < PATIENCE, "{}", room.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    room.shows("calm-heron-39");
}

#[test]
fn a_session_goes_on_where_the_last_one_ended() {
    let agent = agent();
    let mut room = Terminal::open(&agent, &[], (120, 40));
    room.shows("calm-heron-39");
    room.press("/heron-1\r");
    room.shows("calm-heron-19");
    room.press(" ");
    room.shows("1 marked");
    room.press(":sort name\r");
    room.settle();
    room.press("q");
    room.gone();
    let mut room = Terminal::open(&agent, &[], (120, 40));
    room.shows("heron-1");
    room.shows("1 marked");
    room.shows("11 runs");
    room.press("q");
    room.gone();
    // A file that was damaged costs the session, not the room.
    std::fs::write(agent.home().path().join("state/opsroom/session.json"), "{ not json").unwrap();
    let room = Terminal::open(&agent, &[], (120, 40));
    room.shows("the last session is lost");
    room.shows("40 runs");
}

#[test]
fn broken_files_leave_the_defaults_and_say_where() {
    let agent = agent();
    let config = agent.home().path().join("config/opsroom");
    std::fs::create_dir_all(config.join("themes")).unwrap();
    std::fs::write(config.join("keymap.toml"), "[global]\n\"refresh\" = [\"z\"]\n").unwrap();
    std::fs::write(config.join("themes/mine.toml"), "ok = \"green\"\nwran = \"red\"\n").unwrap();
    let room = Terminal::open(&agent, &["--theme", "mine"], (120, 40));
    room.shows("z is both");
    room.shows("theme mine line 2: no token is called \"wran\"");
    room.shows("calm-heron-39");
}

#[test]
fn the_terminal_is_asked_for_its_background() {
    let agent = agent();
    let mut room = Terminal::open(&agent, &[], (120, 40));
    room.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c");
    room.shows("calm-heron-39");
    let light = b"38;2;27;31;39";
    let seen = |room: &Terminal| room.seen.lock().unwrap().all.windows(light.len()).any(|w| w == light);
    assert!(seen(&room), "a light terminal is written on in dark");
    // No answer, and one that comes when keys are read already: neither types anything.
    let mut room = Terminal::open(&agent, &[], (120, 40));
    room.shows("calm-heron-39");
    room.press("\x1b]11;rgb:ffff/ffff/ffff\x1b\\");
    room.press("j");
    room.settle();
    assert!(!seen(&room) && !room.text().contains("ignored"), "{}", room.text());
    assert!(room.text().contains("[2 Runs]"), "{}", room.text());
}

#[test]
fn the_room_changes_between_contexts() {
    let (here, there) = (agent(), Agent::start());
    let config = here.home().path().join("config/opsroom");
    std::fs::create_dir_all(&config).unwrap();
    let context = |name: &str, agent: &Agent, more: &str| {
        format!("[context.{name}]\nagent = \"unix:{}\"\n{more}\n", agent.socket())
    };
    let text = context("full", &here, "") + &context("bare", &there, "read_only = true");
    std::fs::write(config.join("opsroom.toml"), text).unwrap();
    let mut room = Terminal::open_with(&here, &["--context", "full"], (120, 40), &[("OPSROOM_AGENT", "")]);
    room.shows("calm-heron-39");
    room.press(" :env bare\r");
    room.shows("on bare");
    room.shows("READ-ONLY");
    room.shows("No runs yet");
    room.press(":env full\r");
    room.shows("calm-heron-39");
    assert!(!room.text().contains("READ-ONLY"));
    room.press(":env\r");
    room.shows("ENVIRONMENT");
}

#[test]
fn the_agent_evaluates_the_rooms_own_filters_and_orders() {
    use opsroom::capability::tracking::RunQuery;
    use opsroom::capability::tracking::query::Query;

    let agent = agent();
    let client = agent.client();
    let names = |search: &str, order: &str| -> Vec<String> {
        let query = RunQuery {
            search: Query::parse(search).unwrap(),
            order_by: vec![order.to_owned()],
            limit: 100,
            ..RunQuery::default()
        };
        let page = super::support::wait(client.search_runs(&query)).unwrap();
        assert_eq!(page.matched, page.runs.len());
        page.runs.into_iter().map(|r| r.name).collect()
    };
    assert_eq!(names("heron-7 OR lr=0.0012", "run_name"), ["calm-heron-12", "calm-heron-7"]);
    assert_eq!(names("-heron", "run_name"), [""; 0]);
    assert_eq!(
        names("user=kim -name~1 -name~2 -name~3 val_loss<0.13", "step DESC").len(),
        names("-name~1 -name~2 -name~3 metrics.val_loss<0.13", "duration").len()
    );
    assert_eq!(names("id~00000000000000000000000000000f", "note").len(), 1);
    assert_eq!(names("experiment=flights step>=199 dur=1800 state=done", "experiment_name").len(), 40);
    assert_eq!(names("tag~mlflow.user=kim nothing=1", "duration DESC").len(), 0);
    assert_eq!(names("nothing!=1 lr!~9", "duration DESC").len(), 40 - 4);
}
