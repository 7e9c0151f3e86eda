//! `opsroom open`: a room over files that follows them, writes nothing there, and leaves nothing behind.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::local_import::{contents, database_in, execute, folder_in};
use crate::support::{Home, eventually};

/// The real binary in a terminal.
struct Room {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    _terminal: Box<dyn MasterPty + Send>,
}

impl Room {
    fn open(home: &Home, path: &Path) -> Self {
        let size = PtySize { rows: 30, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_opsroom"));
        command.args(["open", path.to_str().unwrap()]);
        command.cwd(home.path());
        for (name, folder) in [
            ("HOME", "."),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
            ("TMPDIR", "tmp"),
        ] {
            command.env(name, home.path().join(folder));
        }
        command.env("TERM", "xterm-256color");
        std::fs::create_dir_all(home.path().join("tmp")).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let keys = pair.master.take_writer().unwrap();
        let mut out = pair.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(30.try_into().unwrap(), 120.try_into().unwrap(), 0)));
        let seen = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = out.read(&mut bytes)
                && n > 0
            {
                seen.lock().unwrap().process(&bytes[..n]);
            }
        });
        Self { child, keys, screen, _terminal: pair.master }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        eventually(&format!("{text:?} on the screen"), || self.text().contains(text));
    }

    fn leave(mut self, home: &Home) {
        self.keys.write_all(b"q").unwrap();
        eventually("the room ends", || self.child.try_wait().unwrap().is_some());
        assert_eq!(std::fs::read_dir(home.path().join("tmp")).unwrap().count(), 0, "nothing is left behind");
        assert!(!home.path().join("data").exists(), "no store is made");
    }
}

#[test]
fn a_folder_is_shown_and_followed_and_not_written_to() {
    let home = Home::new();
    let folder = folder_in(home.path());
    let before = contents(&folder);
    let room = Room::open(&home, &folder);
    room.shows("a/b: first");
    room.shows("READ-ONLY");
    assert_eq!(contents(&folder), before);
    // The running run logs on, and another one begins.
    let experiment = folder.join("673811402507009377");
    let run = experiment.join("7a6f921cc47e4f5cbfe828657d342bb6");
    std::fs::create_dir_all(run.join("metrics")).unwrap();
    std::fs::write(run.join("metrics/auc"), "1795380577000 0.8642 0\n").unwrap();
    room.shows("0.8642");
    let new = experiment.join("c".repeat(32));
    std::fs::create_dir(&new).unwrap();
    let meta = std::fs::read_to_string(run.join("meta.yaml")).unwrap();
    std::fs::write(
        new.join("meta.yaml"),
        meta.replace("running", "newcomer").replace("7a6f921cc47e4f5cbfe828657d342bb6", &"c".repeat(32)),
    )
    .unwrap();
    room.shows("newcomer");
    let before = contents(&folder);
    room.leave(&home);
    assert_eq!(contents(&folder), before, "nothing is written there");
}

#[test]
fn a_database_is_shown_and_followed() {
    let home = Home::new();
    let database = database_in(home.path());
    let room = Room::open(&home, &database);
    room.shows("a/b: first");
    execute(
        &database,
        "insert into metrics (key, value, timestamp, run_uuid, step, is_nan) select 'auc', 0.8642, 5, run_uuid, 0, 0 from runs where name = 'running'",
    );
    room.shows("0.8642");
    room.leave(&home);
}
