//! What each screen looks like, on fixed data at fixed sizes.

use opsroom::base::Timestamp;
use opsroom::tui::theme::Theme;

use opsroom::tui::model::{Artifact, Preview};
use opsroom::tui::msg::{Page, Want};

use super::tui_fixture::{ASCII, Room, UNICODE, answer, curve, hostile, nothing, text_of};

/// A screen and the keys that lead there.
const SCREENS: &[(&str, &str)] = &[
    ("runs", "j"),
    ("runs_marked", "space space ] L"),
    ("compare", "space space space = l"),
    ("compare_config", "space space space = tab tab z d"),
    ("compare_many", "space j j j j j j j j j j j V = l l l l l l l % ]"),
    ("export", "space space = e"),
    ("run", "enter"),
    ("run_multiples", "enter v z"),
    ("run_two_metrics", "enter space space tab h h h ]"),
    ("run_inputs", "enter tab tab tab tab"),
    ("run_console", "enter shift-tab shift-tab"),
    ("run_artifacts", "enter shift-tab enter"),
    ("registry", "3 j tab j"),
    ("audit", "7 j v"),
    ("data", "8 j j"),
    ("data_diff", "8 j d"),
    ("evals", "8 v"),
    ("registry_gates", "3 j tab tab tab tab"),
    ("sheet_approve", "3 j tab Y 1"),
    ("sheet", "3 j tab j P 1"),
    ("sheet_rollback", "3 j R 1"),
    ("palette", ":"),
    ("help", "?"),
];

pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn every_screen_at_every_layout() {
    for (width, height) in [(120, 40), (100, 30), (80, 24), (64, 18)] {
        for (name, keys) in SCREENS {
            let mut room = Room::open((width, height), UNICODE);
            room.keys(keys);
            room.wait(1_000_000);
            snapshot(&format!("{name}_{width}x{height}"), &room.text());
        }
    }
}

#[test]
fn every_screen_in_ascii_without_colour_is_ascii() {
    for (name, keys) in SCREENS {
        let mut room = Room::open((80, 24), ASCII);
        room.keys(keys);
        room.wait(1_000_000);
        let text = text_of(&room.draw_in(&Theme::mono()));
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
        snapshot(&format!("{name}_ascii"), &text);
    }
}

#[test]
fn empty_panes_name_the_next_command() {
    let mut room = Room::with((80, 24), UNICODE, nothing);
    let runs = room.text();
    for words in ["export MLFLOW_TRACKING_URI=http://127.0.0.1:6270", "opsroom open mlruns/", "opsroom demo"] {
        assert!(runs.contains(words), "{words}\n{runs}");
    }
    snapshot("runs_empty", &runs);
    room.keys("3");
    snapshot("registry_empty", &room.text());
    room.keys("7");
    snapshot("audit_empty", &room.text());
    room.keys("8");
    assert!(room.text().contains("opsroom data add PATH"));
    snapshot("data_empty", &room.text());
    room.keys("v");
    assert!(room.text().contains("opsroom eval run"));
    snapshot("evals_empty", &room.text());
}

#[test]
fn hostile_names_and_five_thousand_params_keep_their_columns() {
    for (width, height) in [(120, 40), (80, 24)] {
        let mut room = Room::with((width, height), UNICODE, hostile);
        room.keys("enter");
        let buffer = room.draw();
        for y in 3..height - 2 {
            let edge = buffer[(width - 1, y)].symbol();
            assert!("│┃┐┓┘┛".contains(edge) && !edge.is_empty(), "line {y} ends with {edge:?}");
        }
        snapshot(&format!("run_hostile_{width}x{height}"), &room.text());
        room.keys("tab tab G");
        assert!(room.text().contains("5000"), "the last of 5,000 params can be reached");
    }
}

#[test]
fn a_csv_is_a_table_and_its_columns_scroll() {
    let mut room = Room::with((100, 30), UNICODE, |want| match want {
        Want::Preview { path, .. } => Page::Preview(Preview {
            path: path.clone(),
            text: "name,auc,note\n\"a, b\",0.5,x\n日本語,10.25,\"two\nlines\"\n".into(),
            note: "61 B".into(),
        }),
        Want::Artifacts { .. } => {
            Page::Artifacts(vec![Artifact { path: "table.csv".into(), is_dir: false, size: Some(61) }])
        }
        other => answer(other),
    });
    room.keys("enter shift-tab enter z");
    let text = room.text();
    assert!(text.contains("name    auc    note") && text.contains("a, b      0.5  x"), "{text}");
    snapshot("run_csv", &text);
    room.keys("l");
    assert!(!room.text().contains("name    auc") && room.text().contains("auc    note"), "{}", room.text());
}

#[test]
fn a_lost_agent_leaves_the_last_values_marked_and_none_of_them_green() {
    let mut room = Room::open((80, 24), UNICODE);
    room.answer = None;
    room.keys("r");
    room.wait(252_000_000);
    let text = room.text();
    assert!(text.contains("ctl ✗") && text.contains("NO AGENT") && text.contains("~0.150"), "{text}");
    snapshot("runs_stale", &text);
    let buffer = room.draw();
    let green = opsroom::tui::theme::Theme::shipped("dark", opsroom::tui::theme::Depth::True)
        .unwrap()
        .style(opsroom::tui::theme::Token::Ok)
        .fg;
    // All but the first line, where the link that still stands may say so.
    assert!(buffer.content.iter().skip(80).all(|cell| Some(cell.fg) != green), "something stale is green");
    room.answer = Some(answer);
    room.keys("8 j");
    room.wait(20_000_000);
    room.answer = None;
    room.keys("r");
    room.wait(252_000_000);
    assert!(room.text().contains("~ last known"), "{}", room.text());
    snapshot("data_stale", &room.text());
    room.keys("3 P");
    assert!(room.state.sheet().is_none(), "no sheet opens while nothing can be changed");
}

#[test]
fn a_small_terminal_still_says_what_matters() {
    for (width, height) in [(50, 12), (20, 5), (1, 1), (0, 0)] {
        let mut room = Room::open((width, height), UNICODE);
        for keys in ["j", "3", "P", "esc", "7", "?", "esc", "esc", ":"] {
            room.keys(keys);
            room.draw();
        }
    }
    let mut room = Room::open((50, 12), UNICODE);
    snapshot("mini", &room.text());
}

#[test]
fn idle_seconds_change_the_clock_alone() {
    let mut room = Room::open((120, 40), UNICODE);
    room.wait(1_000_000);
    let before = room.draw();
    room.now = Timestamp(room.now.0 + 1_000_000);
    room.give(opsroom::tui::msg::Msg::Tick);
    let after = room.draw();
    let changed = before.diff(&after);
    // The clock, and the lengths of the runs that go on.
    assert!(changed.len() <= 12, "{} cells changed", changed.len());
}

#[test]
fn a_tick_of_three_curves_costs_little_on_the_wire() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("space space space");
    room.wait(1_000_000);
    let mut wire = opsroom::tui::wire::Wire::default();
    let whole = wire.write(room.draw()).len();
    assert!(whole <= 16 * 1024, "{whole} bytes for a whole screen");
    // Each of the three has logged some more: every curve is drawn anew, and the table's figures with it.
    room.answer = Some(|want| match want {
        opsroom::tui::msg::Want::Curves { of, points } => {
            opsroom::tui::msg::Page::Curves(of.iter().map(|(run, key)| curve(run, key, points - points / 50)).collect())
        }
        opsroom::tui::msg::Want::Runs(w) => match answer(want) {
            opsroom::tui::msg::Page::Runs(mut window) => {
                for row in window.rows.iter_mut().take(3) {
                    row.metrics.values_mut().for_each(|m| m.count += 20);
                }
                assert_eq!(w.offset, window.offset);
                opsroom::tui::msg::Page::Runs(window)
            }
            other => other,
        },
        other => answer(other),
    });
    room.give(opsroom::tui::msg::Msg::Hint(opsroom::tui::msg::Changed::Everything));
    room.wait(1_000_000);
    room.wait(1_000_000);
    let tick = wire.write(room.draw()).len();
    assert!((200..=4 * 1024).contains(&tick), "{tick} bytes for a tick of three curves");
}
