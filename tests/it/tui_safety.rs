//! Nothing is changed without a sheet that was seen, and no keys whatever break the room.

use opsroom::base::{Fault, Kind, Timestamp};
use opsroom::capability::Command;
use opsroom::capability::registry;
use opsroom::tui::key::{Code, Key};
use opsroom::tui::model::{Change, Envelope, Outcome, Stage};
use opsroom::tui::msg::{Changed, Msg};
use opsroom::tui::overlay::sheet::{ALONE_US, ARMING_US, Phase};
use proptest::prelude::*;

use super::tui_fixture::{Room, UNICODE};

/// The sheet that moves flight-delay v43 to prod, with a reason.
fn promoting() -> Room {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j tab j P 1 t");
    room.types("v43");
    room.keys("enter");
    assert!(room.state.sheet().is_some());
    room
}

#[test]
fn a_sheet_that_was_seen_is_confirmed_by_y_alone() {
    let mut room = promoting();
    room.look_at_sheet();
    room.keys("y");
    assert!(room.performed.is_empty(), "it waits to be alone");
    room.wait(ALONE_US);
    let [sent] = room.performed.as_slice() else { panic!("{:?}", room.performed) };
    let command = registry::Command::SetStage {
        model: "flight-delay".into(),
        version: 43,
        stage: Stage::Prod,
        archive_others: false,
    };
    assert_eq!(sent.change, Change::Decide(vec![Command::Registry(command)]));
    assert_eq!((sent.generation, sent.dry_run), (Some(118), false));
    assert_eq!(sent.reason, "better on the evaluation set");
    room.keys("y y");
    room.wait(ALONE_US);
    assert_eq!(room.performed.len(), 1, "a second y does nothing while the first is under way");
}

#[test]
fn typed_ahead_keys_confirm_nothing() {
    let mut room = promoting();
    room.keys("y y y");
    room.wait(ARMING_US * 10);
    assert!(room.performed.is_empty(), "it was never drawn");
    let token = room.state.sheet().unwrap().token();
    room.give(Msg::Drawn(token));
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty(), "it was drawn only just now");
}

#[test]
fn a_frame_of_the_sheet_as_it_was_does_not_arm_it_as_it_is() {
    let mut room = promoting();
    let before = room.state.sheet().unwrap().token();
    room.keys("left 1");
    room.give(Msg::Drawn(before));
    room.wait(ARMING_US + 1);
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty());
}

#[test]
fn pasted_text_confirms_nothing() {
    for paste in [true, false] {
        let mut room = promoting();
        room.look_at_sheet();
        if paste {
            room.give(Msg::Paste("y\ny\n".into()));
        } else {
            // Without bracketed paste it comes as keys, one right after the other.
            for c in "y, yes y".chars() {
                room.now = Timestamp(room.now.0 + 500);
                room.give(Msg::Key(Key::char(c)));
            }
        }
        room.wait(ALONE_US * 3);
        assert!(room.performed.is_empty(), "paste={paste}");
    }
}

#[test]
fn enter_escape_and_other_keys_never_confirm() {
    let mut room = promoting();
    room.look_at_sheet();
    room.keys("enter space Y ctrl-l tab G");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty() && room.state.sheet().is_some());
    room.keys("esc");
    assert!(room.state.sheet().is_none());
}

#[test]
fn prod_needs_a_reason_of_some_length_and_a_reason_may_be_pasted_while_it_is_written() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j tab j P");
    room.look_at_sheet();
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty());
    room.keys("e");
    room.types("y yes ");
    room.give(Msg::Paste("pasted\nreason".into()));
    room.keys("enter t");
    room.types("v43");
    room.keys("enter");
    room.wait(ARMING_US);
    room.keys("y");
    room.wait(ALONE_US);
    assert_eq!(room.performed[0].reason, "y yes pasted reason");
}

#[test]
fn a_model_that_moved_is_shown_again_before_it_can_be_confirmed() {
    let mut room = promoting();
    room.look_at_sheet();
    room.answer = Some(|want| match super::tui_fixture::answer(want) {
        opsroom::tui::msg::Page::Models(mut models) => {
            models.iter_mut().for_each(|m| m.generation += 1);
            opsroom::tui::msg::Page::Models(models)
        }
        other => other,
    });
    room.give(Msg::Hint(Changed::Model("flight-delay".into())));
    room.wait(300_000);
    assert!(matches!(&room.state.sheet().unwrap().phase, Phase::Refused(f) if f.kind == Kind::Conflict));
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty());
    room.look_at_sheet();
    room.keys("t");
    room.types("v43");
    room.keys("enter y");
    room.wait(ALONE_US);
    assert_eq!(room.performed[0].generation, Some(119));
}

#[test]
fn a_gate_that_fails_keeps_the_sheet_shut_and_says_which() {
    let mut room = Room::open((120, 40), UNICODE);
    room.answer = Some(|want| match want {
        opsroom::tui::msg::Want::Gates { model, version, stage } => opsroom::tui::msg::Page::Gates(Box::new(
            super::tui_fixture::decision(model, *version, *stage, opsroom::capability::gates::Verdict::Fail),
        )),
        other => super::tui_fixture::answer(other),
    });
    room.keys("3 j tab j P 1");
    room.look_at_sheet();
    let text = room.text();
    assert!(text.contains("✗ slice-floor") && text.contains("✓ offline-auc"), "{text}");
    assert!(text.contains("1 of 2 gates does not pass"), "{text}");
    room.keys("y");
    room.wait(ALONE_US);
    assert!(room.performed.is_empty());
    room.keys("left left");
    assert!(!room.text().contains("slice-floor"), "no gate stands on the way down");
}

#[test]
fn where_nobody_knows_whether_it_was_done_asking_again_cannot_act_twice() {
    let mut room = promoting();
    room.look_at_sheet();
    room.keys("y");
    room.wait(ALONE_US);
    let sent = |room: &Room| match room.state.sheet().unwrap().phase {
        Phase::Sent { request, .. } => request,
        ref other => panic!("{other:?}"),
    };
    let id = sent(&room);
    room.give(Msg::Performed(id, Err(Fault::unavailable("the line broke"))));
    room.keys("y");
    room.wait(ALONE_US);
    let id = sent(&room);
    assert_eq!(room.performed[0].idempotency_key, room.performed[1].idempotency_key);
    room.give(Msg::Performed(id, Err(Fault::refused("gate live-quality fails").why("0.563 < 0.860"))));
    assert!(room.text().contains("0.563 < 0.860"));
    room.keys("y");
    room.wait(ALONE_US);
    assert_ne!(room.performed[1].idempotency_key, room.performed[2].idempotency_key);
    let id = sent(&room);
    room.give(Msg::Performed(id, Ok(Outcome { said: "v43 is in prod".into(), audit: Some(9), version: None })));
    assert!(room.state.sheet().is_none());
    assert!(room.text().contains("v43 is in prod  audit #9"));
}

#[test]
fn a_rehearsal_and_the_command_line_change_nothing() {
    let mut room = promoting();
    room.keys("d");
    assert!(room.performed[0].dry_run);
    let Phase::Sent { request, dry_run: true } = room.state.sheet().unwrap().phase else { panic!() };
    room.give(Msg::Performed(request, Ok(Outcome { said: "v42 would be archived".into(), ..Outcome::default() })));
    assert!(room.text().contains("v42 would be archived"));
    room.keys("c");
    assert_eq!(room.copied, ["opsroom promote flight-delay 43 --to prod --reason 'better on the evaluation set'"]);
}

#[test]
fn a_read_only_room_opens_no_sheet_and_says_why() {
    let mut room = Room::open((120, 40), UNICODE);
    room.state.own_read_only = Some("opened with --read-only".into());
    room.keys("3 j tab P");
    assert!(room.state.sheet().is_none());
    let text = room.text();
    assert!(text.contains("READ-ONLY") && text.contains("opened with --read-only"), "{text}");
}

#[test]
fn escape_steps_out_and_never_quits() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("space enter z / esc esc esc esc esc esc esc");
    assert!(!room.quit);
    room.keys("q");
    assert!(room.quit);
}

fn any_key() -> impl Strategy<Value = Key> {
    let codes = prop_oneof![
        6 => proptest::char::range(' ', '~').prop_map(Code::Char),
        1 => Just(Code::Char('日')),
        3 => prop_oneof![Just(Code::Enter), Just(Code::Esc), Just(Code::Tab), Just(Code::Backspace)],
        2 => prop_oneof![Just(Code::Up), Just(Code::Down), Just(Code::Left), Just(Code::Right)],
        1 => prop_oneof![Just(Code::Home), Just(Code::End), Just(Code::PageUp), Just(Code::PageDown)],
    ];
    (codes, proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)).prop_map(|(code, ctrl, shift)| Key {
        code,
        ctrl,
        shift,
    })
}

#[derive(Debug, Clone)]
enum Step {
    Key(Key),
    Paste(String),
    Resize(u16, u16),
    Wait(i64),
    Hint,
    Drop,
    Click(u16, u16),
    Wheel(bool),
    Focus(bool),
    /// An answer to some question: the newest, an older one, or one that was never asked.
    Answer(u64, usize),
}

/// Answers that may come at any time, fitting or not.
fn answers(n: usize) -> Result<opsroom::tui::msg::Page, Fault> {
    use opsroom::tui::msg::{Page, Want};
    match n % 7 {
        0 => Err(Fault::unavailable("the line broke")),
        1 => Err(Fault::not_found("it is gone")),
        2 => Ok(Page::Runs(opsroom::tui::model::Window::default())),
        3 => Ok(Page::Models(Vec::new())),
        4 => Ok(super::tui_fixture::answer(&Want::Status)),
        5 => Ok(Page::Curves(Vec::new())),
        _ => Ok(super::tui_fixture::answer(&Want::Models)),
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any_key().prop_map(Step::Key),
        1 => ".{0,12}".prop_map(Step::Paste),
        1 => (0_u16..160, 0_u16..50).prop_map(|(w, h)| Step::Resize(w, h)),
        3 => (0_i64..1_000_000).prop_map(Step::Wait),
        1 => Just(Step::Hint),
        1 => Just(Step::Drop),
        2 => (0_u16..130, 0_u16..45).prop_map(|(x, y)| Step::Click(x, y)),
        1 => any::<bool>().prop_map(Step::Wheel),
        1 => any::<bool>().prop_map(Step::Focus),
        2 => (0_u64..4, 0_usize..100).prop_map(|(back, n)| Step::Answer(back, n)),
    ]
}

/// Changes nothing, or what the same person takes back with one key.
fn is_small(sent: &Envelope) -> bool {
    use registry::Command as R;
    let small = |c: &Command| {
        matches!(c, Command::Registry(R::SetAlias { .. } | R::TagVersion { .. } | R::DescribeVersion { .. }))
    };
    sent.dry_run
        || match &sent.change {
            Change::Tag(_) => true,
            Change::Decide(commands) => commands.iter().all(small),
            Change::Stop { .. } => false,
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence of keys panics, and while no sheet was ever drawn none reaches more than a rehearsal or a tag, which is
    /// small and can be taken back.
    #[test]
    fn no_keys_break_the_room_or_act_without_a_sheet(steps in proptest::collection::vec(any_step(), 1..120)) {
        let mut room = Room::open((120, 40), UNICODE);
        for step in steps {
            match step {
                Step::Key(key) => room.give(Msg::Key(key)),
                Step::Paste(text) => room.give(Msg::Paste(text)),
                Step::Resize(w, h) => room.give(Msg::Resize(w, h)),
                Step::Wait(micros) => room.wait(micros),
                Step::Hint => room.give(Msg::Hint(Changed::Everything)),
                Step::Drop => room.give(Msg::Events(Err("cut".into()))),
                Step::Click(x, y) => {
                    let spot = room.scroll.zones().at(x, y);
                    room.give(Msg::Click { x, y, spot });
                }
                Step::Wheel(down) => room.give(Msg::Wheel { down }),
                Step::Focus(focused) => room.give(Msg::Focus(focused)),
                Step::Answer(back, n) => {
                    let id = room.state.ids.saturating_sub(back);
                    room.give(Msg::Loaded(id, Box::new(answers(n))));
                }
            }
            room.draw();
        }
        prop_assert!(room.performed.iter().all(is_small), "{:?}", room.performed);
    }
}
