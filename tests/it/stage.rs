//! A model with three versions, of which the first is prod, and a server for each.

use std::net::TcpStream;

use crate::router::{Upstream, plainly, upstream};
use crate::support::{Agent, Home};

/// The agent, and the servers of versions 1 to 3; `third` is what the last one does with a request.
pub fn three_versions(third: fn(&str, &mut TcpStream) -> bool) -> (Agent, Vec<Upstream>) {
    let agent = Agent::start_in(Home::new(), &["--router", "127.0.0.1:0"]);
    for n in 0..3 {
        let folder = agent.home().path().join(format!("m{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.txt"), format!("{n}")).unwrap();
        agent.cli(&["model", "push", "flight-delay", folder.to_str().unwrap()]).expect(0);
    }
    agent.cli(&["promote", "flight-delay", "1", "--to", "prod", "--reason", "the first one"]).expect(0);
    (agent, vec![upstream(1, plainly), upstream(2, plainly), upstream(3, third)])
}

/// Puts a service before them; `urls` are where versions 1 to 3 are, `more` is the rest of its TOML.
pub fn serve(agent: &Agent, urls: &[String], more: &str) {
    let backends: Vec<String> =
        urls.iter().zip(1..).map(|(url, v)| format!("{{ version = \"{v}\", url = \"{url}\" }}")).collect();
    let text = format!(
        "[service.delay]\nmodel = \"flight-delay\"\nprotocol = \"mlflow\"\nkey = \"header:x-user\"\nbackend = [{}]\n{more}\n",
        backends.join(", ")
    );
    std::fs::write(agent.home().path().join("service.toml"), text).unwrap();
    let told = agent.cli(&["apply", "service.toml", "--reason", "it is served now", "--json"]).expect(0).json();
    assert_eq!(told["differences"][0]["what"], "service delay", "{told}");
}
