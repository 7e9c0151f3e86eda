//! Rollouts in the room: what is on its way, what the judge says, and the sheets that change who answers whom.

use opsroom::base::Timestamp;
use opsroom::capability::rollout::judge::{Advice, Finding, Guards, Judgement, Sums};
use opsroom::capability::rollout::service::{Backend, Launch, Plan, Step};
use opsroom::capability::rollout::{
    Command as Rollouts, Forbidden, Limits, Protocol, Recovery, Rollout, Service, ServiceView, Standing, State,
    StickyKey, Traffic, Turn,
};
use opsroom::capability::{Command, rollout};
use opsroom::tui::model::{Change, Outcome};
use opsroom::tui::msg::{Msg, Page, Want};
use opsroom::tui::state::View;

use super::tui_fixture::{ASCII, NOW, Room, UNICODE, answer as fixture};
use super::tui_screens::snapshot;

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

fn on_its_way() -> Rollout {
    Rollout {
        id: 12,
        service: "flight-delay".into(),
        version: 43,
        against: 42,
        salt: "s".into(),
        state: State::Held,
        step: 1,
        weight: 2500,
        shadow: false,
        started: ago(2_040),
        step_since: ago(1_260),
        by: "kim".into(),
        reason: "beats v42 on June".into(),
        ended: None,
        why: "latency is looked into".into(),
    }
}

fn standing(name: &str, candidate: Option<Rollout>) -> Standing {
    let backend = |version| Backend { version, url: format!("http://127.0.0.1:90{version}") };
    let step = |percent: u16, minutes: u64, requests| Step { weight: percent * 100, seconds: minutes * 60, requests };
    let steps = vec![step(10, 10, 1000), step(25, 30, 5000), step(50, 30, 0)];
    Standing {
        service: Service {
            name: name.into(),
            model: name.into(),
            protocol: Protocol::Mlflow,
            key: StickyKey::Header("x-user-id".into()),
            backend: vec![backend(41), backend(42), backend(43)],
            answers: rollout::Answers::Values,
            slices: Vec::new(),
            launch: None,
            traffic: Traffic::Router,
            deploy: None,
            envoy: None,
            listen: None,
            health: None,
            rollout: Plan { steps, automatic: true, shadow: false },
            guards: Guards::default(),
            limits: Limits::default(),
        },
        stable: Some(42),
        previous: Some(41),
        candidate,
        awaited: None,
        turned: None,
        generation: 118,
    }
}

fn judgement() -> Judgement {
    let finding = |guard: &str, advice, ln_e, why: &str| Finding {
        guard: guard.into(),
        advice,
        ln_e,
        stops_at: ln_e.map(|_| 3.219),
        why: why.into(),
    };
    Judgement {
        advice: Advice::Continue,
        why: "no guard has enough against it".into(),
        findings: vec![
            finding("errors", Advice::Continue, Some(0.412), "9 errors hit the candidate, 21 the stable version"),
            finding("latency", Advice::Continue, Some(-0.871), "310 requests of the candidate took longer than 41 ms"),
            finding("not worse", Advice::NotEnoughData, None, "812 of 1000 requests that promotion needs"),
        ],
        stable: Sums { requests: 18_204, errors: 21, p50_ms: Some(12.1), p99_ms: Some(39.0) },
        candidate: Sums { requests: 6_031, errors: 9, p50_ms: Some(12.9), p99_ms: Some(41.2) },
    }
}

/// The judge took v43 back four minutes ago.
fn turn() -> Turn {
    Turn {
        at: ago(240),
        from: 43,
        to: 42,
        by: "judge".into(),
        reason: "errors: 31 errors hit the candidate, 2 the stable version".into(),
        rollout: Some(Box::new(on_its_way())),
    }
}

fn churn() -> Standing {
    Standing { turned: Some(turn()), ..standing("churn", None) }
}

pub fn answer(want: &Want) -> Option<Page> {
    let flight = || standing("flight-delay", Some(on_its_way()));
    Some(match want {
        Want::Services { .. } => Page::Services(vec![churn(), flight()]),
        Want::Service { name, .. } if name == "churn" => Page::Service(Box::new(ServiceView {
            standing: churn(),
            judgement: None,
            history: Vec::new(),
            recovery: Some(Recovery {
                turn: turn(),
                answered: 212,
                failed: 31,
                last: Some(opsroom::base::Timestamp(ago(240).0 + 12_000)),
                since: 3_201,
            }),
            servers: Vec::new(),
            forbidden: Vec::new(),
            seen: Vec::new(),
            envoy_status: None,
        })),
        Want::Service { .. } => {
            let dropped = Rollout {
                id: 11,
                version: 41,
                state: State::Dropped,
                ended: Some(ago(90_000)),
                why: "errors: 14 errors hit the candidate, 3 the stable version".into(),
                ..on_its_way()
            };
            Page::Service(Box::new(ServiceView {
                standing: flight(),
                judgement: Some(judgement()),
                history: vec![dropped],
                recovery: None,
                servers: Vec::new(),
                forbidden: Vec::new(),
                seen: Vec::new(),
                envoy_status: None,
            }))
        }
        _ => return None,
    })
}

fn room(size: (u16, u16)) -> Room {
    let mut room = Room::with(size, UNICODE, |want| answer(want).unwrap_or_else(|| fixture(want)));
    room.keys("5 j");
    room.wait(1_000_000);
    room
}

#[test]
fn what_the_teams_envoy_says_stands_beside_what_was_decided() {
    use opsroom::capability::rollout::{Envoy, EnvoyStatus};
    fn through_envoy(want: &Want) -> Page {
        let Some(mut page) = answer(want) else { return fixture(want) };
        let of = |s: &mut Standing| {
            s.service.traffic = Traffic::Envoy;
            s.service.envoy = Some(Envoy { admin: vec!["http://127.0.0.1:9901".into()] });
            s.service.key = StickyKey::Json("/user".into());
        };
        match &mut page {
            Page::Services(all) => all.iter_mut().for_each(of),
            Page::Service(view) => {
                of(&mut view.standing);
                view.envoy_status = Some(EnvoyStatus {
                    folder: "/var/lib/opsroom/envoy".into(),
                    generation: 118,
                    confirmed: None,
                    problem: Some("the admin interface http://127.0.0.1:9901 does not answer".into()),
                });
            }
            _ => {}
        }
        page
    }
    let mut room = Room::with((120, 40), UNICODE, through_envoy);
    room.keys("5 j");
    room.wait(1_000_000);
    let going = room.text();
    assert!(going.contains("Envoy has not confirmed generation 118: the admin interface"), "{going}");
    room.keys("k");
    room.wait(1_000_000);
    let steady = room.text();
    assert!(steady.contains("split by itself"), "{steady}");
}

#[test]
fn after_a_way_back_its_proof_opens_by_itself() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut room = room((width, height));
        // The steady service was turned lately: Enter shows what became of it.
        room.keys("k enter");
        room.wait(1_000_000);
        snapshot(&format!("recovery_{width}x{height}"), &room.text());
    }
    let mut room = room((120, 40));
    room.keys("0");
    room.look_at_sheet();
    room.keys("1");
    room.look_at_sheet();
    room.keys("y");
    room.wait(1_000_000);
    let outcome = Outcome { said: "v43 dropped".into(), audit: Some(9), version: None };
    room.give(Msg::Performed(room.last_request, Ok(outcome)));
    let here = room.state.nav.here().clone();
    assert_eq!(here, View::Recovery("flight-delay".into()), "{}", room.text());
}

#[test]
fn every_layout() {
    for (width, height) in [(120, 40), (100, 30), (80, 24)] {
        let mut room = room((width, height));
        snapshot(&format!("rollouts_{width}x{height}"), &room.text());
        room.keys("%");
        room.wait(1_000_000);
        snapshot(&format!("rollouts_weight_{width}x{height}"), &room.text());
        // After a way back: the proof.
        room.keys("esc k");
        room.wait(1_000_000);
        snapshot(&format!("rollouts_taken_back_{width}x{height}"), &room.text());
    }
    let mut ascii = Room::with((80, 24), ASCII, |want| answer(want).unwrap_or_else(|| fixture(want)));
    ascii.keys("5 j");
    ascii.wait(1_000_000);
    assert!(ascii.text().is_ascii(), "{}", ascii.text());
    // Nothing there teaches what to do.
    let mut none = Room::open((120, 40), UNICODE);
    none.keys("5");
    none.wait(1_000_000);
    snapshot("rollouts_empty", &none.text());
}

/// What a sheet sends once its reason and its word are given.
fn sent(keys: &str, word: Option<&str>) -> Rollouts {
    let mut room = room((120, 40));
    room.keys(keys);
    room.look_at_sheet();
    room.keys("1");
    if let Some(word) = word {
        room.keys("y");
        room.types(word);
        room.keys("enter");
        room.wait(1_000_000);
    }
    room.look_at_sheet();
    room.keys("y");
    room.wait(1_000_000);
    let shown = room.text();
    let Some(envelope) = room.performed.first() else { panic!("{keys}: nothing was sent\n{shown}") };
    let Change::Decide(commands) = &envelope.change else { panic!("{envelope:?}") };
    assert!(envelope.reason.len() >= 4);
    match commands.as_slice() {
        [Command::Rollouts(command)] => command.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_lowers_the_risk_needs_a_reason_and_what_raises_it_a_word_too() {
    let service = || "flight-delay".to_owned();
    assert_eq!(sent("0", None), Rollouts::DropRollout { service: service() });
    assert_eq!(sent("R", None), Rollouts::Rollback { service: service(), to: None });
    assert_eq!(sent("H", None), Rollouts::ResumeRollout { service: service() });
    assert_eq!(sent("P", Some("v43")), Rollouts::FinishRollout { service: service() });
    assert_eq!(sent("%", Some("v43")), Rollouts::SetWeight { service: service(), weight: 5000 });
    assert_eq!(sent("% left left", None), Rollouts::SetWeight { service: service(), weight: 1000 });
    let model = "flight-delay".to_owned();
    assert_eq!(sent("F", None), Rollouts::ForbidVersion { model, version: 43 });
    let start = rollout::Command::StartRollout { service: "churn".into(), version: 43 };
    assert_eq!(sent("k C", Some("v43")), start);
}

#[test]
fn where_opsroom_starts_the_servers_any_version_may_begin() {
    fn launched(want: &Want) -> Page {
        let Want::Services { .. } = want else { return fixture(want) };
        let mut here = standing("flight-delay", None);
        here.service.backend.clear();
        let command = vec!["serve".into(), "{port}".into()];
        here.service.launch = Some(Launch { command, ready: "/ping".into(), ready_seconds: 60, memory_mib: None });
        Page::Services(vec![here])
    }
    let mut room = Room::with((120, 40), UNICODE, launched);
    room.keys("5 C");
    room.wait(1_000_000);
    // The one in staging is meant first, and the one that answers not at all.
    let shown = room.text();
    assert!(shown.contains("to     [v43] v44  v41  v40"), "{shown}");
}

#[test]
fn a_forbidden_version_says_so_before_anybody_asks_for_it() {
    fn forbidden(want: &Want) -> Page {
        let Some(mut page) = answer(want) else { return fixture(want) };
        if let Page::Service(view) = &mut page {
            view.forbidden = vec![Forbidden { version: 43, reason: "it leaks memory".into() }];
        }
        page
    }
    let mut room = Room::with((120, 40), UNICODE, forbidden);
    room.keys("5");
    room.wait(1_000_000);
    room.keys("C");
    room.wait(1_000_000);
    let shown = room.text();
    assert!(shown.contains("v43 is forbidden: it leaks memory"), "{shown}");
    assert!(shown.contains("opsroom allow churn 43"), "{shown}");
}

#[test]
fn a_key_that_does_nothing_says_why() {
    let mut room = room((120, 40));
    for (keys, words) in
        [("C", "a rollout goes on; 0 drops it"), ("k 0", "no rollout goes on; C in Rollouts starts one")]
    {
        room.keys(keys);
        assert!(room.state.sheet().is_none());
        assert!(room.text().contains(words), "{keys}: {}", room.text());
    }
}
