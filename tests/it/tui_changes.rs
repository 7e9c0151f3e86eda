//! Changes from the screen of runs: sheets, small changes at once, undo; and the table in groups, in views, with what is new.

use std::collections::BTreeMap;

use opsroom::base::{Fault, Timestamp};
use opsroom::capability::{Command, registry};
use opsroom::tui::model::{Change, Outcome, Stage};
use opsroom::tui::msg::Msg;
use opsroom::tui::overlay::sheet::ALONE_US;
use opsroom::tui::theme::Theme;

use super::tui_fixture::{ASCII, NOW, Room, UNICODE, run, text_of};
use super::tui_screens::snapshot;

/// A picture and the keys that lead there.
const PICTURES: [(&str, &str); 8] = [
    ("runs_grouped", "b l r enter enter j"),
    ("runs_views", "v"),
    ("prompt_note", "n"),
    ("prompt_register", "E"),
    ("sheet_register", "E enter 1"),
    ("sheet_stop", "X 2"),
    ("sheet_delete_many", "space space space space space D 1 t 4"),
    ("runs_deleted", "B"),
];

#[test]
fn what_changes_runs_looks_like_this() {
    for (name, keys) in PICTURES {
        for (width, height) in [(120, 40), (80, 24)] {
            let mut room = Room::open((width, height), UNICODE);
            room.keys(keys);
            room.wait(1_000_000);
            snapshot(&format!("{name}_{width}x{height}"), &room.text());
        }
        let mut room = Room::open((80, 24), ASCII);
        room.keys(keys);
        room.wait(1_000_000);
        let text = text_of(&room.draw_in(&Theme::mono()));
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
        snapshot(&format!("{name}_ascii"), &text);
    }
}

fn room() -> Room {
    Room::open((120, 40), UNICODE)
}

/// The agent's answer to the last thing that was sent.
fn answer(room: &mut Room, outcome: Result<Outcome, Fault>) {
    room.give(Msg::Performed(room.last_request, outcome));
}

fn done(said: &str) -> Outcome {
    Outcome { said: said.into(), ..Outcome::default() }
}

fn one_tag(id: &str, key: &str, value: Option<&str>) -> Change {
    let tags = BTreeMap::from([(key.to_owned(), value.map(ToOwned::to_owned))]);
    Change::Tag(BTreeMap::from([(id.to_owned(), tags)]))
}

#[test]
fn a_note_is_written_at_once_and_taken_back_within_ten_seconds() {
    let mut room = room();
    room.keys("n");
    room.types("looks good");
    room.keys("enter");
    let id = run(0).id;
    assert_eq!(room.performed[0].change, one_tag(&id, "mlflow.note.content", Some("looks good")));
    answer(&mut room, Ok(done("1 run tagged")));
    assert!(room.text().contains("note of live-lark-42   u undo (10 s)"), "{}", room.text());
    room.wait(9_000_000);
    room.keys("u");
    assert_eq!(room.performed[1].change, one_tag(&id, "mlflow.note.content", None), "it had none before");
    answer(&mut room, Ok(done("1 run tagged")));
    assert!(room.text().contains("undone: note of live-lark-42"), "{}", room.text());
    room.keys("u");
    assert_eq!(room.performed.len(), 2, "there is nothing more to take back");
}

#[test]
fn after_ten_seconds_a_small_change_is_no_longer_taken_back_by_a_key() {
    let mut room = room();
    room.keys("#");
    room.types("team=growth");
    room.keys("enter");
    assert_eq!(room.performed[0].change, one_tag(&run(0).id, "team", Some("growth")));
    answer(&mut room, Ok(done("1 run tagged")));
    room.wait(11_000_000);
    room.keys("u");
    assert_eq!(room.performed.len(), 1);
    assert!(room.text().contains("too long ago: tag team of live-lark-42"), "{}", room.text());
}

#[test]
fn a_small_change_that_fails_says_so_and_leaves_nothing_to_undo() {
    let mut room = room();
    room.keys("#");
    room.types("-team");
    room.keys("enter");
    assert_eq!(room.performed[0].change, one_tag(&run(0).id, "team", None));
    answer(&mut room, Err(Fault::denied("kim may not tag runs")));
    assert!(room.text().contains("kim may not tag runs"));
    room.keys("u");
    assert_eq!(room.performed.len(), 1);
}

#[test]
fn a_tag_goes_to_all_marked_runs_and_its_undo_gives_each_its_own_back() {
    let mut room = room();
    room.keys("space space #");
    room.types("team=growth");
    room.keys("enter");
    let Change::Tag(tags) = &room.performed[0].change else { panic!() };
    assert_eq!(tags.len(), 2);
    answer(&mut room, Ok(done("2 runs tagged")));
    room.keys("u");
    let Change::Tag(tags) = &room.performed[1].change else { panic!() };
    assert!(tags.values().all(|t| t["team"] == Some("risk".to_owned())), "{tags:?}");
}

#[test]
fn many_targets_need_their_number_typed_and_each_is_listed() {
    let mut room = room();
    room.keys("space space space space space D 1");
    room.look_at_sheet();
    let text = room.text();
    assert!(text.contains("DELETE 5 RUNS") && text.contains("tidy-lynx-803"), "{text}");
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty(), "the number is missing, and the key only went to its place");
    room.give(Msg::Paste("5".into()));
    room.keys("enter y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty(), "a pasted number is none");
    room.types("5");
    room.keys("enter y");
    room.wait(ALONE_US);
    let Change::Decide(commands) = &room.performed[0].change else { panic!("{:?}", room.performed) };
    assert_eq!(commands.len(), 5);
    answer(&mut room, Ok(done("5 × delete run: active → deleted")));
    room.keys("u");
    assert!(room.text().contains("RESTORE 5 RUNS"), "the inverse is offered on a sheet: {}", room.text());
    room.keys("n");
    assert_eq!(room.performed.len(), 1);
}

#[test]
fn a_run_that_is_over_cannot_be_stopped_and_a_live_one_is_asked_first() {
    let mut room = room();
    room.keys("j X");
    assert!(room.state.sheet().is_none());
    assert!(room.text().contains("no run that goes on is meant"));
    room.keys("k X 1");
    room.look_at_sheet();
    room.keys("y");
    room.wait(ALONE_US);
    assert_eq!(room.performed[0].change, Change::Stop { runs: vec![run(0).id] });
    assert_eq!(room.performed[0].reason, "diverged");
}

#[test]
fn a_run_becomes_a_version_and_undo_archives_it() {
    let mut room = room();
    room.keys("3 2 E");
    assert!(room.text().contains("flight-delay"), "the name is prefilled");
    room.keys("enter 1");
    room.look_at_sheet();
    assert!(room.text().contains("a version of logged model m-0000"), "{}", room.text());
    room.keys("y");
    room.wait(ALONE_US);
    let Change::Decide(commands) = &room.performed[0].change else { panic!("{:?}", room.performed) };
    let [Command::Registry(registry::Command::RegisterVersion { model, doc, create: true, .. })] = commands.as_slice()
    else {
        panic!("{commands:?}")
    };
    assert_eq!((model.as_str(), doc.user.as_str()), ("flight-delay", "kim"));
    assert_eq!(doc.source, format!("models:/m-{:032x}", 0x77));
    assert_eq!(doc.run_id.as_deref(), Some(run(0).id.as_str()));
    let said = "flight-delay v44 is now dev".to_owned();
    answer(&mut room, Ok(Outcome { said, audit: Some(9), version: Some(44) }));
    room.keys("u");
    let sheet = room.state.sheet().expect("the inverse is offered");
    assert_eq!(sheet.ask.title, "CHANGE STAGE  flight-delay v44");
    assert_eq!(sheet.ask.way().name, Stage::Archived.name());
}

#[test]
fn an_alias_points_here_at_once_and_undo_points_it_back() {
    let mut room = room();
    room.keys("3 j tab j @");
    room.types("champion");
    room.keys("enter");
    let point = |version| {
        let alias = "champion".to_owned();
        Change::Decide(vec![Command::Registry(registry::Command::SetAlias {
            model: "flight-delay".into(),
            alias,
            version: Some(version),
        })])
    };
    assert_eq!(room.performed[0].change, point(43));
    assert_eq!(room.performed[0].generation, Some(118));
    answer(&mut room, Ok(done("flight-delay v43")));
    assert!(room.text().contains("alias champion of flight-delay v43   u undo (10 s)"), "{}", room.text());
    room.keys("u");
    assert_eq!(room.performed[1].change, point(42), "where it pointed before");
    room.keys("#");
    room.types("stage gate");
    room.keys("enter");
    assert_eq!(room.performed.len(), 2, "that is no tag");
}

#[test]
fn where_the_registry_is_not_loaded_yet_the_sheet_waits_for_it() {
    let mut room = room();
    room.state.registry.models = opsroom::tui::remote::Slot::default();
    let topic = opsroom::tui::ask::Topic::Stage { model: "flight-delay".into(), version: 43, to: Stage::Staging };
    opsroom::tui::ask::open(&mut room.state, &topic);
    assert!(room.state.sheet().is_none());
    room.wait(10_000);
    room.wait(10_000);
    assert!(room.state.sheet().is_some(), "{}", room.text());
}

#[test]
fn a_read_only_room_changes_nothing_at_once_either() {
    let mut room = room();
    room.state.own_read_only = Some("opened with --read-only".into());
    for key in ["n", "#", "E", "X", "D"] {
        room.keys(key);
        assert!(room.state.overlay.is_none(), "{key}");
        assert!(room.text().contains("opened with --read-only"), "{key}");
    }
}

#[test]
fn groups_open_close_and_mark_their_runs() {
    let mut room = room();
    room.keys("b l r enter");
    let text = room.text();
    assert!(text.contains("RUNS  by lr") && text.contains("n=20") && text.contains(" ±"), "{text}");
    room.keys("enter");
    assert!(room.text().contains("calm-heron-729"), "its runs: {}", room.text());
    room.keys("space");
    assert_eq!(room.state.runs.marks.len(), 7);
    room.keys("left");
    assert_eq!(room.state.runs.lines().len(), 3);
    room.keys("b o n e enter");
    assert!(!room.state.runs.is_grouped());
}

#[test]
fn a_view_is_saved_shown_and_forgotten() {
    let mut room = room();
    room.keys("/");
    room.types("val_auc>0.9");
    room.keys("enter b l r enter v");
    room.types("save");
    room.keys("enter");
    room.types("good ones");
    room.keys("enter esc");
    assert_eq!(room.state.views.len(), 1);
    room.keys("b o n e enter");
    assert!(room.state.runs.filter_text.is_empty());
    room.keys("v enter");
    assert_eq!(room.state.runs.filter_text, "val_auc>0.9");
    assert!(room.text().contains("by lr"));
    room.keys("v");
    room.types("forget");
    room.keys("enter enter");
    assert!(room.state.views.is_empty());
}

#[test]
fn what_is_new_since_the_last_look_bears_a_plus() {
    let mut room = room();
    room.state.runs.last_look = Some(Timestamp(NOW.0 - 6_000_000_000));
    let text = room.text();
    assert!(text.contains("+ live-lark-42") && !text.contains("+ sweep"), "{text}");
    assert!(text.contains("new since 01:34:07Z"), "{text}");
}

#[test]
fn a_stalled_and_a_diverged_run_say_so_in_words() {
    let mut room = room();
    let text = room.text();
    assert!(text.contains("! stalled 3h") && text.contains("✗ nan"), "{text}");
}
