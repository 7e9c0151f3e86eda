//! Who may do what: tokens and their roles, the socket, loopback, read-only sessions and contexts.

use crate::support::{Agent, Done};

fn with_token(agent: &Agent, token: &str, args: &[&str]) -> Done {
    let mut command = agent.home().command(args);
    let output = command.env("OPSROOM_AGENT", agent.url()).env("OPSROOM_TOKEN", token).output().unwrap();
    Done::of(args, output)
}

#[test]
fn roles_of_tokens_are_kept() {
    let agent = Agent::start();
    let secret = |role: &str| {
        let made = agent.cli(&["token", "create", role, "--role", role]).expect(0);
        assert!(made.stderr.contains("shown this once"), "{}", made.stderr);
        made.stdout.trim().to_owned()
    };
    let (viewer, operator, admin) = (secret("viewer"), secret("operator"), secret("admin"));
    assert!(viewer.len() >= 40 && viewer.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    with_token(&agent, &viewer, &["model", "list"]).expect(0);
    with_token(&agent, &viewer, &["model", "create", "m"]).expect(6);
    with_token(&agent, &operator, &["model", "create", "m"]).expect(0);
    with_token(&agent, &operator, &["token", "list"]).expect(6);
    with_token(&agent, &operator, &["token", "create", "x", "--role", "admin"]).expect(6);
    with_token(&agent, &operator, &["agent", "stop"]).expect(6);
    let listed = with_token(&agent, &admin, &["token", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains(&viewer) && listed.json().as_array().unwrap().len() == 3);
    with_token(&agent, &admin, &["token", "revoke", "viewer", "--reason", "left"]).expect(0);
    with_token(&agent, &viewer, &["model", "list"]).expect(6);
    with_token(&agent, &"x".repeat(44), &["model", "list"]).expect(6);
    let about = agent.cli(&["audit", "list", "--target", "token viewer", "--json"]).expect(0).json();
    assert_eq!(about["records"].as_array().unwrap().len(), 2);
}

#[test]
fn loopback_may_do_what_a_script_does_and_no_more() {
    let agent = Agent::start();
    agent.cli_at(agent.url(), &["model", "create", "m"]).expect(0);
    agent.cli_at(agent.url(), &["token", "create", "x", "--role", "admin"]).expect(6);
    agent.cli_at(agent.url(), &["agent", "stop"]).expect(6);
    assert_eq!(agent.cli_at(agent.url(), &["status", "--json"]).expect(0).json()["verified"], false);
    let record = agent.cli(&["audit", "list", "--refused", "--json"]).expect(0).json();
    assert_eq!(record["records"][0]["command"], "create-token");
}

#[test]
fn a_read_only_session_changes_nothing() {
    let agent = Agent::start();
    agent.cli(&["model", "create", "m", "--read-only"]).expect(6);
    agent.cli(&["agent", "stop", "--read-only"]).expect(6);
    agent.cli(&["model", "list", "--read-only"]).expect(0);
}

#[test]
fn a_context_names_agent_token_and_whether_to_look_only() {
    let agent = Agent::start();
    let home = agent.home();
    let secret = agent.cli(&["token", "create", "kim", "--role", "operator", "--json"]).expect(0).json();
    std::fs::write(home.path().join("kim.token"), secret["secret"].as_str().unwrap()).unwrap();
    std::fs::create_dir_all(home.path().join("config/opsroom")).unwrap();
    let file = home.path().join("kim.token");
    let text = format!(
        "[context.ops]\nagent = \"{0}\"\ntoken_file = \"{1}\"\n[context.look]\nagent = \"{0}\"\nread_only = true\n",
        agent.url(),
        file.display()
    );
    std::fs::write(home.path().join("config/opsroom/opsroom.toml"), text).unwrap();
    let status = home.run(&["status", "--context", "ops", "--json"]).expect(0).json();
    assert_eq!(
        (&status["actor"], &status["role"], &status["verified"]),
        (&"kim".into(), &"operator".into(), &true.into())
    );
    home.run(&["model", "create", "a", "--context", "look"]).expect(6);
    let mut command = home.command(&["model", "create", "a"]);
    Done::of(&["model", "create"], command.env("OPSROOM_CONTEXT", "ops").output().unwrap()).expect(0);
}
