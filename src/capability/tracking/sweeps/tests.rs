//! How trials are given to agents.

use super::*;

const NOW: Timestamp = Timestamp(1);

fn sweep(config: &str) -> Sweep {
    let agent = Agent { host: "h".to_owned(), heard: NOW, offer: None };
    Sweep {
        id: "s".to_owned(),
        experiment: 1,
        config: config.to_owned(),
        display_name: None,
        description: None,
        state: State::Pending,
        seed: 1,
        given: 0,
        agents: [("s-a".to_owned(), agent.clone()), ("s-b".to_owned(), agent)].into(),
        created: NOW,
        updated: NOW,
    }
}

fn run_of(next: Next) -> (String, Value) {
    match next {
        Next::Run { run, parameters } => (run, parameters["x"].clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_trial_is_given_once_and_again_only_when_it_never_began() {
    let mut sweep = sweep("method: grid\nparameters: {x: {values: [1, 2, 3]}}");
    let none = BTreeSet::new();
    let mut ask = |agent: &str, under_way: &BTreeSet<String>, begun: &[&str]| {
        sweep.next(agent, under_way, |run| begun.contains(&run), |_| false, NOW).unwrap()
    };
    let (first, x) = run_of(ask("s-a", &none, &[]));
    assert_eq!(x, 1);
    assert_eq!(run_of(ask("s-a", &none, &[])), (first.clone(), Value::from(1)), "the answer was lost");
    assert_eq!(run_of(ask("s-b", &none, &[])).1, 2, "another agent has another trial");
    let busy = BTreeSet::from([first.clone()]);
    assert_eq!(ask("s-a", &busy, &[]), Next::Wait);
    let (second, x) = run_of(ask("s-a", &none, &[&first]));
    assert_eq!(x, 3);
    assert_eq!(ask("s-a", &none, &[&first, &second]), Next::Exit);
    assert_eq!(sweep.state, State::Finished);
    assert_eq!(sweep.given, 3);
    assert!(sweep.next("s-c", &none, |_| true, |_| false, NOW).is_err());
}

#[test]
fn a_trial_that_never_begins_is_given_up() {
    let mut sweep = sweep("method: random\nparameters: {x: {min: 0, max: 1000000}}");
    let mut ask = || run_of(sweep.next("s-a", &BTreeSet::new(), |_| false, |_| false, NOW).unwrap()).0;
    let (first, second, third) = (ask(), ask(), ask());
    assert_eq!(first, second);
    assert_ne!(first, third);
}

#[test]
fn pausing_finishing_and_stopping_reach_the_agents() {
    let mut sweep = sweep("method: random\nparameters: {x: {min: 0, max: 9}}");
    let busy = BTreeSet::from(["r".to_owned()]);
    let none = BTreeSet::new();
    let ask = |sweep: &mut Sweep, under_way: &BTreeSet<String>, stopped: bool| {
        sweep.next("s-a", under_way, |_| true, |_| stopped, NOW).unwrap()
    };
    assert_eq!(ask(&mut sweep, &busy, true), Next::Stop { run: "r".to_owned() });
    sweep.state = State::Paused;
    assert_eq!((ask(&mut sweep, &busy, false), ask(&mut sweep, &none, false)), (Next::Wait, Next::Wait));
    sweep.state = State::Finished;
    assert_eq!((ask(&mut sweep, &busy, false), ask(&mut sweep, &none, false)), (Next::Wait, Next::Exit));
    sweep.state = State::Canceled;
    assert_eq!(ask(&mut sweep, &busy, false), Next::Stop { run: "r".to_owned() });
    assert_eq!(State::parse("cancelled").unwrap(), State::Canceled);
    assert!(State::parse("asleep").is_err());
}
