//! Comparing runs in the room, and what it writes to files.

use opsroom::tui::export::{Form, What};
use opsroom::tui::state::View;

use super::tui_fixture::{Room, UNICODE, run};

/// live-lark-42, geo_v3 retry and stalled-mole-3, which began first and so is the base.
fn comparing() -> Room {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("space space space =");
    assert!(matches!(room.state.nav.here(), View::Compare(ids) if ids.len() == 3));
    room
}

fn line(room: &mut Room, beginning: &str) -> String {
    let text = room.text();
    let found = text.lines().find(|l| l.contains(beginning)).map(str::to_owned);
    found.unwrap_or_else(|| panic!("no line with {beginning}:\n{text}"))
}

#[test]
fn differences_are_graded_against_a_base_that_can_be_chosen() {
    let mut room = comparing();
    assert!(line(&mut room, "val_auc ↑").contains("0.9380          0.9390 +0.0010 +"));
    assert!(line(&mut room, "Verdict").contains("live-lark-42 beats stalled-mole-3"));
    room.keys("l b");
    assert_eq!(room.state.compare.base, Some(run(0).id), "the run under the cursor is the base now");
    assert!(line(&mut room, "val_auc ↑").contains("0.9400          0.9380 -0.0020 -"));
    assert!(line(&mut room, "Verdict").contains("No run is better than live-lark-42 beyond luck"));
    room.keys("h b");
    assert_eq!(room.state.compare.base, Some(run(0).id), "the base cannot be its own base");
}

#[test]
fn per_cent_only_what_differs_and_which_way_is_better() {
    let mut room = comparing();
    room.keys("%");
    assert!(line(&mut room, "val_auc ↑").contains("+0.11% +"));
    assert!(!room.text().contains("system/cpu"), "it is the same in all");
    room.keys("d");
    assert!(line(&mut room, "system/cpu ?").contains("91"));
    room.keys("> >");
    assert!(line(&mut room, "val_auc ↓").contains("+0.11% -"), "whoever says that lower is better turns grades around");
    room.keys(">");
    assert!(line(&mut room, "val_auc ↑").contains("+0.11% +"));
}

#[test]
fn two_to_twenty_runs_can_be_compared() {
    let mut room = Room::open((80, 24), UNICODE);
    room.keys("=");
    assert!(room.text().contains("mark 2 to 20 runs"), "{}", room.text());
    room.keys("space =");
    assert!(
        matches!(room.state.nav.here(), View::Compare(ids) if ids.len() == 2),
        "the marked one and the one under the cursor"
    );
    room.keys("esc * =");
    assert!(room.text().contains("20 at most"), "{}", room.text());
    let mut room = Room::open((80, 24), UNICODE);
    room.keys("V j j j j j j j j j j j j j j j j j j j V =");
    assert!(matches!(room.state.nav.here(), View::Compare(ids) if ids.len() == 20));
    for _ in 0..25 {
        room.keys("l");
    }
    assert_eq!(room.state.compare.column, 19);
    assert!(line(&mut room, "METRIC  ").contains("live-lark"), "the newest run is the last: {}", room.text());
}

#[test]
fn a_registered_run_is_promoted_from_here_by_the_registrys_sheet() {
    let mut room = comparing();
    // v42 of the fixture came from stalled-mole-3, v41 from geo_v3 retry, v40 from live-lark-42.
    room.keys("l P 1");
    let sheet = room.state.sheet().expect("a sheet");
    let _ = sheet;
    room.look_at_sheet();
    room.keys("y");
    room.wait(opsroom::tui::overlay::sheet::ALONE_US);
    let [sent] = room.performed.as_slice() else { panic!("{:?}", room.performed) };
    let said = format!("{:?}", sent.change);
    assert!(said.contains("flight-delay") && said.contains("version: 40"), "{said}");
}

#[test]
fn the_cursor_waits_on_the_winner_and_e_registers_it() {
    let mut room = comparing();
    assert_eq!(room.state.compare.current().map(|r| r.id.clone()), Some(run(0).id), "live-lark-42 won");
    room.keys("E");
    assert!(room.text().contains("REGISTER") && room.text().contains("live-lark-42"), "{}", room.text());
}

#[test]
fn every_pane_with_rows_is_a_table_and_every_curve_a_chart() {
    for (keys, name, rows) in [
        ("enter", "opsroom-run-live-lark-42-metrics", 3),
        ("enter tab tab", "opsroom-run-live-lark-42-params", 3),
        ("space space space =", "opsroom-compare-3-metrics", 2),
        ("space space space = tab tab", "opsroom-compare-3-config", 1),
        ("3", "opsroom-registry", 6),
    ] {
        let mut room = Room::open((120, 40), UNICODE);
        room.keys(keys);
        room.keys("e enter");
        let [job] = room.exported.as_slice() else { panic!("{keys}: {}", room.text()) };
        let What::Grid(grid) = &job.what else { panic!("{job:?}") };
        assert_eq!((job.name.as_str(), job.form, grid.rows.len()), (name, Form::Csv, rows), "{keys}");
        assert!(grid.rows.iter().all(|r| r.len() == grid.heads.len()), "{keys}: ragged");
    }
    // The list is written as a whole, not as far as it was scrolled.
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("e enter");
    assert!(matches!(room.exported.as_slice(), [job] if matches!(job.what, What::Runs(_))));
    let mut room = comparing();
    room.keys("] e");
    room.types("png");
    room.keys("enter");
    let [job] = room.exported.as_slice() else { panic!("{}", room.text()) };
    let What::Chart(chart) = &job.what else { panic!("{job:?}") };
    assert_eq!((job.name.as_str(), job.form, chart.lines.len()), ("opsroom-compare-3-val_auc", Form::Png, 3));
    assert!(
        chart.caption.contains("2026-11-22 03:14") && chart.caption.contains("opsroom runs compare"),
        "{}",
        chart.caption
    );
    // A screen without curves says so instead.
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("7 e");
    room.types("svg");
    room.keys("enter");
    assert!(room.exported.is_empty() && room.text().contains("no curve"), "{}", room.text());
}
