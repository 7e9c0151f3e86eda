//! Time travel in the room: a moment of the past over all places that can show it, never mistaken for now.

use std::cell::Cell;

use opsroom::base::Timestamp;
use opsroom::tui::action::Action;
use opsroom::tui::msg::{Page, Want};
use opsroom::tui::state::View;

use super::tui_fixture::{NOW, Room, UNICODE, answer as fixture};
use super::tui_fleet;
use super::tui_screens::snapshot;

const MINUTE: i64 = 60_000_000;

thread_local! {
    /// The moment that everything has to be asked for.
    static MOMENT: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// An agent that notices when now is asked for instead of then, or then instead of now.
fn strict(want: &Want) -> Page {
    let asked = match want {
        Want::Fleet { as_of, .. } | Want::Services { as_of } | Want::Service { as_of, .. } => Some(*as_of),
        Want::Live(of) => Some(of.as_of),
        Want::Audit(want) => Some(want.until),
        Want::Cost(asked) => Some(asked.as_of),
        Want::ModelsAt(at) => Some(Some(*at)),
        _ => None,
    };
    if let Some(asked) = asked {
        assert_eq!(asked, MOMENT.get(), "{want:?}");
    }
    let page = tui_fleet::answer(want).unwrap_or_else(|| fixture(want));
    match (page, MOMENT.get()) {
        (Page::Fleet(mut fleet), Some(at)) => {
            fleet.at = at;
            fleet.incidents.clear();
            fleet.services.truncate(1);
            fleet.changes.retain(|c| c.at <= at);
            Page::Fleet(fleet)
        }
        (Page::Cost(mut bill), Some(at)) => {
            bill.window.to = Timestamp(at.0 / (60 * MINUTE) * (60 * MINUTE));
            bill.hosts.clear();
            bill.advice.clear();
            Page::Cost(bill)
        }
        (page, _) => page,
    }
}

fn room(size: (u16, u16), keys: &str) -> Room {
    MOMENT.set(None);
    let mut room = Room::with(size, UNICODE, strict);
    room.keys(keys);
    room.wait(1_000_000);
    room
}

fn travel(room: &mut Room, minutes: i64) {
    let at = Timestamp((room.now.0 - minutes * MINUTE) / 1_000_000 * 1_000_000);
    room.keys("T");
    room.types(&at.to_string());
    MOMENT.set(Some(at));
    room.keys("enter");
    room.wait(500_000);
}

#[test]
fn every_place_that_shows_decisions_and_counters_is_seen_as_of_one_moment() {
    let mut room = room((120, 40), "1");
    travel(&mut room, 30);
    let at = room.state.in_past().unwrap();
    // The banner stays, wherever one goes within the past, and what is shown is of that moment.
    for (keys, name) in
        [("1", "fleet"), ("4", "live"), ("5", "rollouts"), ("3", "registry"), ("6", "cost"), ("7", "audit")]
    {
        room.keys(keys);
        room.wait(8_000_000);
        let text = room.text();
        assert!(text.contains("AS OF") && text.contains("this is the past"), "{name}\n{text}");
        assert_eq!(room.state.in_past(), Some(at), "{name}");
        assert!(!text.lines().any(|l| l.contains("this is the past") && l.contains('…')), "{text}");
        if ["fleet", "live", "rollouts", "cost"].contains(&name) {
            snapshot(&format!("past_{name}"), &text);
        }
    }
}

#[test]
fn a_bill_of_the_past_is_of_then_and_nothing_in_it_is_of_now() {
    let mut room = room((80, 24), "6");
    assert!(room.text().contains("month to date"), "{}", room.text());
    travel(&mut room, 90);
    let text = room.text();
    assert!(text.contains("month to 01:00Z") && !text.contains("month to date"), "{text}");
    assert!(text.contains("AS OF 2026-11-22 01:44:08Z, 1h ago") && text.contains("nothing can be changed"), "{text}");
    assert!(text.contains("told of now only"), "{text}");
    room.keys("X");
    assert!(room.state.overlay.is_none() && room.text().contains("this is the past"), "{}", room.text());
    let line = opsroom::tui::screen::cost::command(&room.state);
    assert_eq!(line, "opsroom cost --by service --as-of 2026-11-22T01:44:08Z");
    MOMENT.set(None);
    room.keys("esc");
    room.wait(1_000_000);
    assert!(room.text().contains("month to date"), "{}", room.text());
}

#[test]
fn nothing_can_be_changed_in_the_past_and_the_keys_say_why() {
    for place in ["1 tab", "4", "5", "1 i", "6"] {
        let mut room = room((120, 40), place);
        travel(&mut room, 2);
        for action in [Action::RollbackSheet, Action::DropSheet, Action::Ack, Action::Silence, Action::Undo] {
            let why = room.state.why_not(action).unwrap_or_default();
            let past = why.contains("this is the past") && why.contains("returns to now");
            assert!(past || action == Action::Undo, "{place} {action:?}: {why:?}");
        }
        room.keys("R");
        assert!(room.state.overlay.is_none() && room.performed.is_empty(), "{place}");
        assert!(room.text().contains("this is the past"), "{}", room.text());
    }
}

#[test]
fn esc_and_places_that_show_only_now_lead_back() {
    let mut room = room((120, 40), "1");
    travel(&mut room, 30);
    MOMENT.set(None);
    room.keys("esc");
    assert!(room.state.past.at.is_none() && *room.state.nav.here() == View::Fleet);
    assert!(!room.text().contains("AS OF"), "{}", room.text());
    travel(&mut room, 30);
    MOMENT.set(None);
    room.keys("2");
    assert!(room.state.past.at.is_none());
    room.keys("T");
    assert!(room.text().contains("this place shows now"), "{}", room.text());
    room.keys("1 T");
    room.types("2199-01-01");
    room.keys("enter");
    assert!(room.state.past.at.is_none() && room.text().contains("still to come"), "{}", room.text());
}

#[test]
fn one_steps_by_minutes_and_from_change_to_change() {
    let mut room = room((120, 40), "1");
    travel(&mut room, 30);
    let at = room.state.past.at.unwrap();
    let step = |room: &mut Room, key: &str, to: Option<Timestamp>| {
        MOMENT.set(to);
        room.keys(key);
        assert_eq!(room.state.past.at, to, "{key}");
    };
    step(&mut room, "left", Some(Timestamp(at.0 - MINUTE)));
    step(&mut room, "right", Some(at));
    step(&mut room, "<", Some(Timestamp(at.0 - 15 * MINUTE)));
    step(&mut room, ">", Some(at));
    // The next change or alert that the room knows of, just after it.
    let next = *room.state.past.events.range(Timestamp(at.0 + 1)..).next().unwrap();
    assert!(next > at && next < NOW);
    step(&mut room, "]", Some(Timestamp(next.0 + 1)));
    step(&mut room, "0", None);
}
