//! Settings on the command line: layers, origins, and refusals that name the line.

use crate::support::{Done, Home};

fn home_with(text: &str) -> Home {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), text).unwrap();
    home
}

#[test]
fn each_value_says_where_it_came_from() {
    let home =
        home_with("[agent]\nlisten = \"127.0.0.1:1\"\nbadge = \"file\"\n\n[context.prod]\nagent = \"ssh://ops\"\n");
    let mut command = home.command(&["config", "show", "--json", "--read-only"]);
    let output = command.env("OPSROOM_AGENT_BADGE", "staging").output().unwrap();
    let shown = Done::of(&["config", "show"], output).expect(0).json();
    let origin = |key: &str| shown[key]["origin"].as_str().unwrap_or_default().to_owned();
    assert!(origin("agent.listen").ends_with("opsroom.toml:2"), "{shown}");
    assert_eq!(shown["agent.badge"]["value"], "staging");
    assert_eq!(origin("agent.badge"), "OPSROOM_AGENT_BADGE");
    assert_eq!(origin("client.read_only"), "--read-only");
    assert_eq!(origin("registry.reason_required"), "default");
    assert_eq!(shown["context.prod.agent"]["value"], "ssh://ops");
    let store = shown["agent.store"]["value"].as_str().unwrap();
    assert_eq!(std::path::Path::new(store), home.store());
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let home = home_with("[agent]\n\nlisten_on = 1\n");
    let done = home.run(&["config", "show"]).expect(2);
    assert!(done.stderr.contains("opsroom.toml line 3: unknown key agent.listen_on"), "{}", done.stderr);
    assert!(done.stderr.starts_with("opsroom: ") && done.stderr.contains("\n  next: "), "{}", done.stderr);
    home.run(&["agent"]).expect(2);
}

#[test]
fn a_named_file_has_to_be_there() {
    let home = Home::new();
    home.run(&["config", "show", "--config", "nothing.toml"]).expect(4);
    std::fs::write(home.path().join("o.toml"), "[registry]\nreason_required = true\n").unwrap();
    let shown = home.run(&["config", "show", "--config", "o.toml", "--json"]).expect(0).json();
    assert_eq!(shown["registry.reason_required"]["value"], true);
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let home = Home::new();
    home.run(&["no-such-verb"]).expect(2);
    home.run(&["agent", "--listen"]).expect(2);
    home.run(&["agent", "--body-bytes-max", "many"]).expect(2);
    home.run(&["runs", "list", "--since", "yesterday"]).expect(2);
    let help = home.run(&["agent", "--help"]).expect(0);
    for flag in ["--listen", "--store", "--artifacts", "--socket", "--idle-exit-seconds", "--registry-reason-required"]
    {
        assert!(help.stdout.contains(flag), "{flag} is not in the help");
    }
    home.run(&["--version"]).expect(0);
}

#[test]
fn completions_and_manual_pages_come_out() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&["completions", shell]).expect(0).stdout.contains("opsroom"));
    }
    assert!(home.run(&["man"]).expect(0).stdout.starts_with(".ie"));
    home.run(&["man", "--dir", "pages"]).expect(0);
    assert!(home.path().join("pages/opsroom-runs-list.1").exists());
}

#[test]
fn without_a_terminal_the_room_speaks_in_sentences() {
    let home = Home::new();
    let done = home.run(&[]).expect(0);
    assert!(done.stdout.contains("No run has been logged yet."), "{}", done.stdout);
    assert!(!done.stdout.contains('\x1b'), "no escape codes: {}", done.stdout);
    home.run(&["agent", "stop"]).expect(0);
}

#[test]
fn secrets_in_addresses_are_not_shown() {
    let home = home_with(
        "[agent]\nstore = \"postgres://ops:SECRET@db/x\"\nnotify = [\"pagerduty:SECRET\"]\nheartbeat_url = \"https://x/SECRET\"\n",
    );
    for format in [&["config", "show"][..], &["config", "show", "--json"]] {
        let shown = home.run(format).expect(0).stdout;
        assert!(!shown.contains("SECRET") && shown.contains("pagerduty"), "{shown}");
    }
}
