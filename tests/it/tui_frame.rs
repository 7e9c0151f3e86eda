//! The frame around the screens: filter, palette, help, window of time, contexts, mouse, sessions, notices.

use opsroom::base::Timestamp;
use opsroom::tui::action::Action;
use opsroom::tui::model::Outcome;
use opsroom::tui::msg::{Effect, Msg, RunOrder, Want};
use opsroom::tui::overlay::Overlay;
use opsroom::tui::session::Session;
use opsroom::tui::state::View;
use opsroom::tui::update::update;
use opsroom::tui::widget::Spot;

use super::tui_fixture::{Room, UNICODE};

fn room() -> Room {
    Room::open((120, 40), UNICODE)
}

/// Types a command into the palette.
fn command(room: &mut Room, text: &str) {
    room.keys(":");
    room.types(text);
    room.keys("enter");
}

/// What a message leads to, with loads left unanswered.
fn effects_of(room: &mut Room, msg: Msg) -> Vec<Effect> {
    update(&mut room.state, room.now, msg)
}

#[test]
fn a_filter_that_cannot_be_read_says_where_while_it_is_typed() {
    let mut room = room();
    room.keys("/");
    room.types("geo auc>");
    let text = room.text();
    let lines: Vec<&str> = text.lines().collect();
    let row = lines.iter().position(|l| l.contains("filter ▸ geo auc>")).unwrap();
    let column = |line: &str, c: char| line.chars().position(|x| x == c);
    assert!(lines[row + 1].contains("▴ auc needs a value"), "{text}");
    assert_eq!(column(lines[row + 1], '▴'), column(lines[row], '>').map(|x| x - 3), "{text}");
    room.types("0.9");
    assert!(!room.text().contains("needs a value"));
    assert_eq!(room.state.runs.filter.to_string(), "geo auc>0.9");
}

#[test]
fn the_palette_takes_verbs_with_what_they_need() {
    let mut room = room();
    command(&mut room, "runs auc>0.93 tag~geo sort=-val_auc window=6h");
    assert_eq!(room.state.runs.filter_text, "auc>0.93 tag~geo");
    assert_eq!((room.state.runs.order.clone(), room.state.runs.descending), (RunOrder::Metric("val_auc".into()), true));
    assert!(room.text().contains("window 6h"), "{}", room.text());
    command(&mut room, "sort duration");
    assert_eq!(room.state.runs.order, RunOrder::Duration);
    command(&mut room, "window off");
    assert_eq!(room.state.window, None);
    command(&mut room, "models");
    assert_eq!(*room.state.nav.here(), View::Registry);
    command(&mut room, "window soon");
    assert!(room.text().contains("\"soon\" is no length of time; write it as: window 6h"), "{}", room.text());
    command(&mut room, "glyphs ascii");
    assert!(room.state.glyphs.ascii);
    assert_eq!(room.state.recent[0], "glyphs ascii");
    room.keys(":");
    assert!(room.text().contains("recent"), "{}", room.text());
}

#[test]
fn the_palette_finds_by_letters_and_synonyms_and_shows_what_is_ready() {
    let mut room = room();
    room.keys("3 j tab :");
    room.types("deploy");
    let text = room.text();
    assert!(text.contains("change the stage of a version") && text.contains("P  ready ✓"), "{text}");
    room.keys("enter");
    assert!(room.state.sheet().is_some(), "it opens the same sheet as the key");
    room.keys("esc : q");
    room.types("uit");
    room.keys("enter");
    assert!(room.quit);
}

#[test]
fn what_cannot_be_done_stays_in_the_palette_and_says_why() {
    let mut room = room();
    command(&mut room, "readonly on");
    room.keys("3 j tab :");
    room.types("promote");
    assert!(room.text().contains("you asked to look only"), "{}", room.text());
    room.keys("enter");
    assert!(room.state.sheet().is_none() && room.text().contains("READ-ONLY"));
    room.keys("esc");
    command(&mut room, "readonly off");
    assert!(!room.text().contains("READ-ONLY"));
    room.state.own_read_only = Some("opened with --read-only".into());
    command(&mut room, "readonly off");
    assert!(room.text().contains("nothing to lift here: opened with --read-only"), "{}", room.text());
}

#[test]
fn the_help_is_searched_by_typing_and_does_what_it_found() {
    let mut room = room();
    room.keys("?");
    room.types("freeze");
    let text = room.text();
    assert!(!text.contains("choose the columns") && text.contains("KEYS  > freeze_"), "{text}");
    room.keys("esc");
    room.types("choose the col");
    assert!(room.text().contains("choose the columns"));
    room.keys("enter");
    assert!(matches!(&room.state.overlay, Some(Overlay::Picker(p)) if p.title == "COLUMNS"));
}

#[test]
fn windows_of_time_travel_to_every_list() {
    let mut room = room();
    room.keys(")");
    room.keys(") ) )");
    let span = room.state.window.unwrap();
    let effects = effects_of(&mut room, Msg::Tick);
    assert!(effects.is_empty(), "{effects:?}");
    room.state.runs.page.renew();
    let effects = effects_of(&mut room, Msg::Tick);
    let asked = effects.iter().find_map(|e| if let Effect::Load(_, Want::Runs(w)) = e { w.window } else { None });
    assert_eq!(asked, Some(span));
    room.keys("( ( ( ( ( ( (");
    assert_eq!(room.state.window, None);
    room.keys("t");
    assert!(room.text().contains("TIME WINDOW") && room.text().contains("the last 6h"));
}

#[test]
fn another_agent_takes_the_place_of_this_one_with_nothing_of_it_left() {
    let mut room = room();
    room.keys("space space");
    assert_eq!(room.state.runs.marks.len(), 2);
    room.keys(":");
    room.types("env staging");
    room.now = Timestamp(room.now.0 + 1);
    let effects = effects_of(&mut room, Msg::Key(opsroom::tui::key::Key::plain(opsroom::tui::key::Code::Enter)));
    assert!(effects.contains(&Effect::Enter("staging".into())), "{effects:?}");
    let before = room.state.ids;
    let effects = effects_of(&mut room, Msg::Entered("staging".into(), Ok(Some("only looked at".into()))));
    assert!(effects.contains(&Effect::Exchange("staging".into())));
    assert!(room.state.runs.marks.is_empty() && room.state.runs.rows().is_empty());
    assert!(room.state.ids >= before && room.state.context == "staging");
    room.give(Msg::Tick);
    assert!(room.text().contains("READ-ONLY"));
    let gone = opsroom::base::Fault::unavailable("no agent answers");
    room.give(Msg::Entered("prod".into(), Err(gone)));
    assert!(room.state.context == "staging" && room.text().contains("prod: no agent answers"));
}

#[test]
fn a_click_focuses_chooses_and_sorts_but_confirms_nothing() {
    let mut room = room();
    let click = |room: &mut Room, words: &str| {
        let text = room.text();
        let (y, line) = text.lines().enumerate().find(|(_, l)| l.contains(words)).unwrap();
        let x = line.chars().position(|c| words.starts_with(c) && line.contains(words)).unwrap();
        let column = line[..line.find(words).unwrap()].chars().count().max(x);
        let (x, y) = (u16::try_from(column).unwrap(), u16::try_from(y).unwrap());
        let spot = room.scroll.zones().at(x, y);
        room.give(Msg::Click { x, y, spot });
    };
    click(&mut room, "calm-heron-729");
    assert_eq!(room.state.runs.cursor, 3);
    click(&mut room, "live-lark-42");
    assert_eq!(room.state.runs.cursor, 0);
    click(&mut room, "DUR");
    assert_eq!((room.state.runs.order.clone(), room.state.runs.descending), (RunOrder::Duration, false));
    click(&mut room, "DUR");
    assert!(room.state.runs.descending, "a click on the sorted title reverses it");
    click(&mut room, "EMA off");
    assert_eq!(room.state.runs.pane, opsroom::tui::screen::runs::CHART);
    click(&mut room, "3 Registry");
    assert_eq!(*room.state.nav.here(), View::Registry);
    room.keys("j tab P 1");
    room.look_at_sheet();
    for y in 0..40 {
        for x in (0..120).step_by(3) {
            room.give(Msg::Click { x, y, spot: Some(Spot::Action(Action::Confirm)) });
            room.give(Msg::Wheel { down: true });
        }
    }
    room.wait(10_000_000);
    assert!(room.performed.is_empty() && room.state.sheet().is_some());
}

#[test]
fn a_session_comes_back_but_never_its_sheet() {
    let mut left = room();
    left.keys("space j space L ]");
    command(&mut left, "runs val_auc>0.9 sort=-val_auc");
    left.keys("3 j tab P");
    let session = Session::of(&left.state);
    let text = serde_json::to_string(&session).unwrap();
    let back: Session = serde_json::from_str(&text).unwrap();
    assert_eq!(back, session);
    let mut found = room();
    found.give(Msg::Restore(Box::new(back)));
    assert_eq!(*found.state.nav.here(), View::Registry);
    assert!(found.state.sheet().is_none() && found.state.overlay.is_none());
    assert_eq!(found.state.runs.marks, left.state.runs.marks);
    assert_eq!(found.state.runs.filter.to_string(), "val_auc>0.9");
    assert_eq!((found.state.runs.look, found.state.runs.descending), (left.state.runs.look, true));
    // What an older or newer version wrote is taken as far as it is known.
    let partly: Session = serde_json::from_str("{\"marks\": [\"a\"], \"moon\": 1}").unwrap();
    assert_eq!(partly.marks.len(), 1);
}

#[test]
fn the_end_of_an_action_is_told_while_the_terminal_is_behind_others() {
    let mut room = room();
    let done = || Ok(Outcome { said: "v43 is in prod".into(), audit: Some(9), version: None });
    let told = |room: &mut Room| {
        effects_of(room, Msg::Performed(900, done())).contains(&Effect::Notify("v43 is in prod".into()))
    };
    assert!(!told(&mut room));
    room.give(Msg::Focus(false));
    assert!(told(&mut room));
}

#[test]
fn what_follows_the_cursor_waits_until_it_rests() {
    let mut room = room();
    room.keys("j");
    assert!(room.state.is_moving());
    assert!(room.state.deadline().is_some_and(|at| at.0 <= room.now.0 + 150_000));
    room.wait(151_000);
    assert!(!room.state.is_moving());
    room.keys("j z");
    assert!(!room.state.is_moving(), "another key shows everything at once");
}
