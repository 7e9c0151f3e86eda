//! The agent on demand: found, started once, left behind, ended.

use std::process::Stdio;

use crate::support::{Agent, Done, Home, eventually};

/// Ends the detached agent of a home when the test ends.
struct Detached(Home);

impl Drop for Detached {
    fn drop(&mut self) {
        let _ = self.0.command(&["agent", "stop"]).output();
    }
}

fn home_on_a_free_port() -> Detached {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), "[agent]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    Detached(home)
}

#[test]
fn a_verb_starts_an_agent_that_stays_and_says_so() {
    let home = home_on_a_free_port();
    let none = home.0.run(&["agent", "status"]).expect(5);
    assert!(none.stderr.contains("no agent runs"), "{}", none.stderr);
    let done = home.0.run(&["runs", "list", "--json"]).expect(0);
    assert!(done.stderr.contains("started an agent at http://127.0.0.1:"), "{}", done.stderr);
    assert_eq!(done.json()["runs"], serde_json::json!([]));
    let status = home.0.run(&["agent", "status", "--json"]).expect(0).json();
    assert_eq!(status["verified"], true);
    assert_eq!(status["role"], "admin");
    // A second verb finds it and says nothing.
    assert_eq!(home.0.run(&["runs", "list"]).expect(0).stderr, "");
    let stopped = home.0.run(&["agent", "stop", "--json"]).expect(0).json();
    assert_eq!(stopped["pid"], status["pid"]);
    home.0.run(&["agent", "status"]).expect(5);
}

#[test]
fn two_at_once_end_with_one_agent() {
    let home = home_on_a_free_port();
    let start =
        || home.0.command(&["runs", "list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let callers: Vec<_> = (0..4).map(|_| start()).collect();
    for caller in callers {
        Done::of(&["runs", "list"], caller.wait_with_output().unwrap()).expect(0);
    }
    let pid = home.0.run(&["status", "--json"]).expect(0).json()["pid"].as_u64().unwrap();
    let ours = std::fs::read_dir("/proc").unwrap().flatten().filter(|p| {
        let line = std::fs::read(p.path().join("environ")).unwrap_or_default();
        let home = format!("HOME={}\0", home.0.path().display());
        String::from_utf8_lossy(&line).contains(&home)
            && std::fs::read_to_string(p.path().join("cmdline")).is_ok_and(|c| c.contains("--detached"))
    });
    let pids: Vec<String> = ours.map(|p| p.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(pids, [pid.to_string()]);
}

#[test]
fn when_its_port_is_taken_it_takes_another_and_says_so() {
    let home = Detached(Home::new());
    // Whoever holds the usual port already will do as well.
    let _taken = std::net::TcpListener::bind("127.0.0.1:6270");
    let done = home.0.run(&["status", "--json"]);
    assert_eq!(done.code, 5, "a question never starts an agent");
    let done = home.0.run(&["model", "list"]).expect(0);
    assert!(done.stderr.contains("127.0.0.1:6270 is in use by another program"), "{}", done.stderr);
}

#[test]
fn a_named_agent_is_never_started() {
    let home = home_on_a_free_port();
    for address in ["http://127.0.0.1:9", "unix:/nowhere.sock"] {
        home.0.run(&["runs", "list", "--agent", address]).expect(5);
    }
    home.0.run(&["runs", "list", "--agent", "what"]).expect(2);
    home.0.run(&["runs", "list", "--context", "prod"]).expect(2);
    home.0.run(&["agent", "status"]).expect(5);
}

#[test]
fn an_idle_agent_ends_by_itself() {
    let mut agent = Agent::start_in(Home::new(), &["--idle-exit-seconds", "1"]);
    agent.cli(&["status"]).expect(0);
    assert_eq!(agent.ended().code(), Some(0));
}

#[test]
fn both_signals_end_it_in_order_and_the_store_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let mut agent = Agent::start();
    for file in [agent.home().store(), agent.socket().into()] {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
    agent.signal(rustix::process::Signal::TERM);
    assert_eq!(agent.ended().code(), Some(0));
    let home = agent.kill();
    let mut again = Agent::start_in(home, &[]);
    assert_eq!(again.interrupt().code(), Some(0));
}

#[test]
fn a_second_agent_on_a_store_is_refused_and_names_the_first() {
    let agent = Agent::start();
    let done = agent.home().run(&["agent", "--listen", "127.0.0.1:0"]).expect(5);
    assert!(done.stderr.contains(agent.url()), "{}", done.stderr);
}

#[test]
fn another_host_is_reached_by_ssh() {
    use std::os::unix::fs::PermissionsExt;
    let agent = Agent::start();
    let home = agent.home();
    // This ssh stays here: it runs what it is told, and forwards by a link.
    let bin = home.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_opsroom"), bin.join("opsroom")).unwrap();
    let script = "#!/bin/sh\necho \"$*\" >> ssh.log\nforward=\nwhile [ $# -gt 0 ]; do case \"$1\" in\n  -o) shift 2;;\n  -N) shift;;\n  \
                  -L) forward=$2; shift 2;;\n  *) break;; esac; done\nshift\n\
                  if [ -n \"$forward\" ]; then ln -s \"${forward#*:}\" \"${forward%%:*}\"; exec sleep 60; fi\nexec \"$@\"\n";
    std::fs::write(bin.join("ssh"), script).unwrap();
    std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = home.command(&["status", "--json", "--agent", "ssh://kim@gpu-3"]);
    let output = command.env("PATH", path).env("XDG_RUNTIME_DIR", home.path().join("run")).output().unwrap();
    let status = Done::of(&["status"], output).expect(0).json();
    assert_eq!(status["pid"], agent.pid());
    assert_eq!(status["verified"], true);
    let log = std::fs::read_to_string(home.path().join("ssh.log")).unwrap();
    assert!(log.lines().all(|l| l.contains("BatchMode=yes") && l.contains("kim@gpu-3")), "{log}");
    eventually("the forwarded socket is cleared away", || {
        std::fs::read_dir(home.path().join("run/opsroom")).unwrap().count() == 0
    });
}
