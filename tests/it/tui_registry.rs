//! The registry and the audit trail in the room: the past, differences, links between them, what is refused and why.

use std::sync::Mutex;

use opsroom::base::fault::Result;
use opsroom::capability::{Command, registry};
use opsroom::tui::export::{Form, Job, What, write};
use opsroom::tui::model::{Change, Envelope, Event, Happened, Model, Outcome, Record, Stage, Verdict};
use opsroom::tui::msg::{AuditWant, Page, Want};
use opsroom::tui::query::Query;
use opsroom::tui::state::View;
use opsroom::tui::theme::{Depth, Theme, Token};
use opsroom::tui::{Hear, Later, Source};

use super::tui_fixture::{ASCII, Room, UNICODE, answer, models, text_of};
use super::tui_screens::snapshot;

/// A state of these screens and the keys that lead there.
const STATES: [(&str, &str); 7] = [
    ("registry_card", "3 j tab tab"),
    ("registry_timeline", "3 j tab tab tab j"),
    ("registry_as_of", "3 j T 3 d enter"),
    ("registry_diff", "3 j tab space space d"),
    ("registry_diff_pick", "3 j tab d"),
    ("registry_alias", "3 j tab @"),
    ("audit_refused", "7 v j j tab"),
];

#[test]
fn every_state_at_every_layout() {
    for (width, height) in [(120, 40), (100, 30), (80, 24), (64, 18)] {
        for (name, keys) in STATES {
            let mut room = Room::open((width, height), UNICODE);
            room.keys(keys);
            room.wait(1_000_000);
            snapshot(&format!("{name}_{width}x{height}"), &room.text());
        }
    }
}

#[test]
fn every_state_in_ascii_without_colour_is_ascii() {
    for (name, keys) in STATES {
        let mut room = Room::open((80, 24), ASCII);
        room.keys(keys);
        room.wait(1_000_000);
        let text = text_of(&room.draw_in(&Theme::mono()));
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
        snapshot(&format!("{name}_ascii"), &text);
    }
}

#[test]
fn the_past_can_be_looked_at_and_not_changed() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j T 3 d enter");
    let text = room.text();
    assert!(text.contains("AS OF 2026-11-19 03:14:07") && text.contains("this is the past"), "{text}");
    assert!(!text.contains("v44") && text.contains("v41"), "{text}");
    for key in ["P", "R", "A", "@", "n", "#"] {
        room.keys(key);
        assert!(room.state.overlay.is_none(), "{key} opened something in the past");
        let said = &room.state.toast.as_ref().unwrap().text;
        assert!(said.contains("as of 2026-11-19") && said.contains("returns to now"), "{key}: {said}");
    }
    // Looking goes on: cards, differences and links.
    room.keys("tab enter");
    assert!(room.text().contains("MODEL CARD"));
    room.keys("esc");
    let text = room.text();
    assert!(!text.contains("AS OF") && text.contains("v44"), "{text}");
    for wrong in ["n o", "2 1 9 9 - 0 1 - 0 1"] {
        room.keys(&format!("T {wrong} enter"));
        assert!(room.state.registry.as_of.is_none(), "{wrong}");
        assert!(room.state.toast.as_ref().unwrap().bad, "{wrong}");
    }
}

#[test]
fn two_versions_side_by_side_show_what_differs_and_all_of_it_when_asked() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j tab space space d");
    assert!(matches!(room.state.nav.here(), View::Versus { old: 43, new: 44, .. }), "{:?}", room.state.nav.here());
    let text = room.text();
    for words in ["v43 → v44", "val_auc", "+0.0010  +0.1 %", "lr", "model.json", "changed", "+ Learned by v44."] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    for same in ["penalty", "brier", "MLmodel"] {
        assert!(!text.contains(same), "{same} is the same\n{text}");
    }
    room.keys("d");
    let text = room.text();
    assert!(text.contains("penalty") && text.contains("brier"), "{text}");
    room.keys("y");
    assert!(room.copied[0].contains("val_auc\t0.9430\t0.9440\t+0.0010"), "{:?}", room.copied);
    room.keys("esc");
    assert_eq!(*room.state.nav.here(), View::Registry);
    // Without marks one is chosen from a list that begins at prod.
    room.keys("esc k d enter");
    assert!(matches!(room.state.nav.here(), View::Versus { old: 42, .. }), "{:?}", room.state.nav.here());
}

#[test]
fn registry_audit_and_runs_lead_to_each_other() {
    let mut room = Room::open((120, 40), UNICODE);
    // A change in the timeline leads to its record.
    room.keys("3 j tab tab tab enter");
    assert_eq!(*room.state.nav.here(), View::Audit);
    assert_eq!(room.state.audit.current().map(|r| r.seq), Some(384));
    // A record leads to its version.
    room.keys("o");
    assert_eq!(*room.state.nav.here(), View::Registry);
    assert_eq!(room.state.registry.version().map(|v| v.number), Some(40));
    // A version leads to its run, and the run to its versions.
    let run = room.state.registry.version().and_then(|v| v.run.clone()).unwrap();
    room.keys("tab enter");
    assert_eq!(*room.state.nav.here(), View::Run(run));
    room.keys("o");
    assert_eq!(*room.state.nav.here(), View::Registry);
    assert_eq!(room.state.registry.version().map(|v| v.number), Some(40));
    // What a client loads goes to the clipboard.
    room.keys("o");
    assert_eq!(room.copied, ["models:/flight-delay/40"]);
    room.keys("k k o");
    assert_eq!(room.copied[1], "models:/flight-delay@champion");
}

#[test]
fn a_model_card_of_several_lines_is_written_at_once() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j tab n");
    room.types("not for Alaska");
    room.keys("enter");
    room.types("nor for Hawaii");
    snapshot("registry_card_edit", &room.text());
    room.keys("tab");
    let Change::Decide(commands) = &room.performed[0].change else { panic!("{:?}", room.performed) };
    let described = |text: &str| {
        let (model, description) = ("flight-delay".to_owned(), text.to_owned());
        vec![Command::Registry(registry::Command::DescribeVersion { model, version: 44, description })]
    };
    assert_eq!(*commands, described("not for Alaska\nnor for Hawaii"));
}

#[test]
fn a_broken_chain_names_its_first_bad_record_and_goes_there() {
    fn broken(want: &Want) -> Page {
        match want {
            Want::Verify => Page::Verify(Verdict {
                records: 250,
                broken: Some("record #251: the record was changed, or a record before it was".into()),
                first_bad: Some(251),
                erased: 0,
                heads: 3,
            }),
            other => answer(other),
        }
    }
    let mut room = Room::with((120, 40), UNICODE, broken);
    room.keys("7 v");
    let text = room.text();
    assert_eq!(room.state.audit.current().map(|r| r.seq), Some(251));
    for words in ["BROKEN: record #251", "✗ BAD", "the audit chain is broken"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let lines: Vec<&str> = text.lines().filter(|l| l.contains("set-stage")).collect();
    let of = |n: &str| lines.iter().find(|l| l.contains(n)).unwrap_or_else(|| panic!("{n}\n{text}")).to_string();
    assert!(of(" 252 ").contains('?') && of(" 250 ").contains('✓'), "{text}");
}

#[test]
fn a_lost_agent_leaves_registry_and_trail_marked_and_nothing_green() {
    for keys in ["3", "7 v"] {
        let mut room = Room::open((120, 40), UNICODE);
        room.keys(keys);
        room.answer = None;
        room.keys("r");
        room.wait(252_000_000);
        let text = room.text();
        assert!(text.contains("NO AGENT") && text.contains('~'), "{text}");
        if keys == "3" {
            snapshot("registry_stale", &text);
        } else {
            snapshot("audit_stale", &text);
        }
        let green = Theme::shipped("dark", Depth::True).unwrap().style(Token::Ok).fg;
        let buffer = room.draw();
        let lit = buffer.content.iter().skip(120).filter(|c| Some(c.fg) == green && c.symbol() != " ").count();
        assert_eq!(lit, 0, "{text}");
        room.keys("P R @ n v");
        assert!(room.state.overlay.is_none() && room.performed.is_empty());
    }
}

/// 500 characters, emoji, right-to-left text and escapes wherever a name can stand.
fn hostile(want: &Want) -> Page {
    let name = format!("{}🚀\u{202e}אבג\u{1b}[2J日本{}", "x".repeat(240), "y".repeat(250));
    match want {
        Want::Models | Want::ModelsAt(_) => {
            let mut all: Vec<Model> = models();
            for model in &mut all {
                model.name.clone_from(&name);
                model.description.clone_from(&name);
                model.tags.insert(name.clone(), name.clone());
                model.history.push(Event {
                    at: super::tui_fixture::NOW,
                    version: 40,
                    what: Happened::Alias(name.clone()),
                    by: name.clone(),
                    reason: name.clone(),
                    audit: Some(i64::MAX),
                });
                for v in &mut model.versions {
                    v.run_name = Some(name.clone());
                    v.aliases = vec![name.clone()];
                    v.description = format!("{name}\n{name}");
                    v.params.insert(name.clone(), name.clone());
                    v.metrics.insert(name.clone(), f64::NAN);
                    v.moves[0].reason.clone_from(&name);
                    v.digest = Some("é".into());
                }
            }
            Page::Models(all)
        }
        Want::Audit(_) => {
            let Page::Audit(mut w) = answer(want) else { unreachable!() };
            for r in &mut w.rows {
                r.target.clone_from(&name);
                r.actor.clone_from(&name);
                r.reason.clone_from(&name);
                r.to = format!("{name}\n{name}");
            }
            Page::Audit(w)
        }
        other => answer(other),
    }
}

#[test]
fn hostile_names_stay_in_their_places() {
    for (size, glyphs) in [((120, 40), UNICODE), ((80, 24), UNICODE), ((64, 18), ASCII), ((20, 5), ASCII)] {
        for keys in ["3 tab tab tab", "3 tab space space d d", "3 tab @", "3 T 3 d enter", "7 tab tab", "7 d", "7 v e"]
        {
            let mut room = Room::with(size, glyphs, hostile);
            for key in keys.split_whitespace() {
                room.keys(key);
                let text = room.text();
                assert!(!text.contains(['\x1b', '\u{202e}']), "{keys}\n{text}");
                let wide = text.lines().map(unicode_width::UnicodeWidthStr::width).max().unwrap_or(0);
                assert!(wide <= usize::from(size.0), "{keys} is {wide} wide\n{text}");
            }
        }
    }
}

/// A trail that grows while it is read.
struct Growing(Mutex<usize>);

impl Source for Growing {
    fn load(&self, want: Want) -> Later<'_, Result<Page>> {
        let Want::Audit(w) = want else { unreachable!() };
        let mut total = self.0.lock().unwrap();
        let (all, offset) = (*total, w.offset);
        *total += 1;
        let rows: Vec<Record> = (offset..(offset + w.limit).min(all))
            .map(|i| {
                let Page::Audit(one) = answer(&Want::Audit(AuditWant {
                    filter: Query::default(),
                    window: None,
                    until: None,
                    offset: 0,
                    limit: 1,
                })) else {
                    unreachable!()
                };
                Record { seq: (all - i) as i64, reason: "with, \"quotes\"\nand lines".into(), ..one.rows[0].clone() }
            })
            .collect();
        Box::pin(async move { Ok(Page::Audit(opsroom::tui::model::Window { offset, total: all, rows })) })
    }

    fn perform(&self, _: Envelope) -> Later<'_, Result<Outcome>> {
        unreachable!()
    }

    fn listen(&self, _: Hear) -> Later<'_, opsroom::base::Fault> {
        unreachable!()
    }
}

#[tokio::test]
async fn an_export_holds_each_record_once_also_while_the_trail_grows() {
    for form in [Form::Csv, Form::Json, Form::Ndjson] {
        let folder = tempfile::tempdir().unwrap();
        let want = AuditWant { filter: Query::default(), window: None, until: None, offset: 0, limit: 0 };
        let job = Job { name: "opsroom-audit".into(), form, what: What::Audit(want) };
        let said = write(job, &Growing(Mutex::new(2_500)), folder.path(), super::tui_fixture::NOW).await.unwrap();
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(file).unwrap();
        let of = |v: &serde_json::Value| v["seq"].as_i64().unwrap();
        let seqs: Vec<i64> = match form {
            Form::Csv => {
                csv::Reader::from_reader(text.as_bytes()).records().map(|r| r.unwrap()[0].parse().unwrap()).collect()
            }
            Form::Json => serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap().iter().map(of).collect(),
            _ => text.lines().map(|l| of(&serde_json::from_str(l).unwrap())).collect(),
        };
        // Two came while it was read, and were not on any page.
        assert_eq!(seqs, (1..=2_500).rev().collect::<Vec<i64>>(), "{form:?}");
        assert!(said.contains("2 500 rows"), "{said}");
    }
}

#[test]
fn archive_and_alias_stand_in_the_list_of_actions() {
    let mut room = Room::open((120, 40), UNICODE);
    room.keys("3 j tab a");
    let text = room.text();
    assert!(text.contains("archive a version…") && text.contains("alias"), "{text}");
    room.types("archive");
    room.keys("enter");
    let sheet = room.state.sheet().expect("archiving has its sheet");
    assert_eq!(sheet.ask.way().name, Stage::Archived.name());
}
