//! The harness itself: an agent starts, answers, and ends in order.

use crate::support::Agent;

#[test]
fn an_agent_answers_and_ends_in_order() {
    let mut agent = Agent::start();
    assert!(agent.url().starts_with("http://127.0.0.1:"));
    assert!(std::path::Path::new(agent.socket()).exists());
    assert_eq!(agent.interrupt().code(), Some(0));
    assert!(!std::path::Path::new(agent.socket()).exists(), "the socket is cleared away");
}
