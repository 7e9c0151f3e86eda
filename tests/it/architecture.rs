//! The house as a test: who may import whom, the rooms' order, and the habits of the files.
//!
//! It reads every path in the source, not only `use` lines: `crate::db::x()` in a body counts as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of `src`, and which other folders it may name.
const FLOORS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("db", &["base"]),
    ("capability", &["base", "db"]),
    ("config", &["base", "capability"]),
    ("chart", &["base"]),
    ("client", &["base", "capability"]),
    ("local", &["base", "client", "capability"]),
    // Of the router: what it says of itself, and the reading of its tap.
    ("agent", &["base", "db", "capability", "config", "router"]),
    // Of the rooms only the route table, the link and the event types: see `the_router_knows_two_rooms`.
    ("router", &["base", "capability"]),
    ("tui", &["base", "capability", "client", "local", "chart", "config"]),
    ("demo", &["base", "capability", "client", "config", "local"]),
    ("cli", &["base", "capability", "client", "local", "chart", "config"]),
    // Where everything is put together: agents and rooms are started here.
    (
        "run",
        &["base", "db", "capability", "client", "local", "chart", "config", "agent", "router", "tui", "demo", "cli"],
    ),
];

/// A room, and the rooms below it that it may name (through their `mod.rs`).
const ROOMS: &[(&str, &[&str])] = &[
    ("audit", &[]),
    ("access", &[]),
    ("hosts", &[]),
    ("tracking", &[]),
    ("datasets", &["tracking"]),
    ("training", &["audit", "tracking", "datasets"]),
    ("registry", &["tracking"]),
    ("evals", &["audit", "tracking", "datasets", "registry"]),
    ("monitoring", &["registry", "datasets"]),
    ("drift", &["monitoring", "datasets"]),
    ("cost", &["hosts", "tracking", "registry", "monitoring"]),
    ("gates", &["tracking", "datasets", "training", "registry", "evals", "monitoring", "cost"]),
    ("rollout", &["registry", "gates", "monitoring", "drift", "cost"]),
    ("keeping", &["audit", "hosts", "tracking", "datasets", "training", "registry", "evals", "monitoring"]),
    ("fleet", &["audit", "registry", "monitoring", "drift", "rollout"]),
];

/// Crates that a floor must never name.
const FOREIGN: &[(&str, &[&str])] = &[
    ("base", &["axum", "ratatui", "clap", "plotters", "reqwest", "sqlx", "tokio"]),
    ("db", &["axum", "ratatui", "clap", "plotters", "reqwest"]),
    ("capability", &["axum", "ratatui", "clap", "plotters", "reqwest"]),
    ("config", &["axum", "ratatui", "plotters", "reqwest", "sqlx"]),
    ("client", &["axum", "ratatui", "clap", "plotters", "sqlx"]),
    ("agent", &["ratatui", "clap", "plotters", "sqlx"]),
    ("router", &["axum", "ratatui", "clap", "plotters", "sqlx", "reqwest"]),
    ("tui", &["axum", "clap", "plotters", "reqwest", "sqlx"]),
    ("cli", &["axum", "sqlx", "plotters"]),
    ("local", &["axum", "ratatui", "clap", "plotters"]),
    ("chart", &["axum", "ratatui", "clap", "reqwest", "sqlx"]),
    ("demo", &["axum", "ratatui", "clap", "plotters", "sqlx"]),
];

#[test]
fn floors_know_only_what_is_below_them() {
    let mut breaches = Vec::new();
    for file in sources() {
        let Some(floor) = folder(&file) else { continue };
        let allowed = FLOORS.iter().find(|(name, _)| *name == floor).map_or(&[][..], |(_, a)| a);
        for named in crate_paths(&code(&file)).into_iter().filter_map(|p| p.first().cloned()) {
            let is_floor = FLOORS.iter().any(|(name, _)| *name == named);
            if is_floor && named != floor && !allowed.contains(&named.as_str()) {
                breaches.push(format!("{} names crate::{named}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_folder_has_a_floor() {
    let unknown: BTreeSet<String> =
        sources().iter().filter_map(|f| folder(f)).filter(|f| !FLOORS.iter().any(|(name, _)| name == f)).collect();
    assert!(unknown.is_empty(), "write them into FLOORS and ARCHITECTURE.md: {unknown:?}");
}

#[test]
fn rooms_form_a_dag() {
    let mut breaches = Vec::new();
    for file in sources() {
        let parts: Vec<String> = components(&file);
        let [first, room, ..] = parts.as_slice() else { continue };
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| first == "capability" && name == room) else { continue };
        let text = code(&file);
        for path in crate_paths(&text) {
            let [top, other, ..] = path.as_slice() else { continue };
            let is_room = ROOMS.iter().any(|(name, _)| name == other);
            if top == "capability" && is_room && other != room && !below.contains(&other.as_str()) {
                breaches.push(format!("{} names {other}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    // The list itself goes downwards.
    for (i, (room, below)) in ROOMS.iter().enumerate() {
        for lower in *below {
            let place = ROOMS.iter().position(|(name, _)| name == lower);
            assert!(place.is_some_and(|p| p < i), "{room} may only stand on rooms listed before it");
        }
    }
}

#[test]
fn every_room_is_listed() {
    let rooms: BTreeSet<String> = sources()
        .iter()
        .filter_map(|f| match components(f).as_slice() {
            [top, room, _, ..] if top == "capability" => Some(room.clone()),
            _ => None,
        })
        .collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(rooms, listed);
}

#[test]
fn foreign_crates_stay_on_their_floors() {
    let mut breaches = Vec::new();
    for file in sources() {
        let Some(floor) = folder(&file) else { continue };
        let banned = FOREIGN.iter().find(|(name, _)| *name == floor).map_or(&[][..], |(_, b)| b);
        let text = code(&file);
        let words = path_heads(&text);
        // Reading a foreign file is the one reason for SQL outside of the store.
        breaches.extend(banned.iter().filter(|b| words.contains(**b)).map(|b| format!("{} names {b}", file.display())));
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn sql_of_ours_stands_in_stores_only() {
    let allowed = |file: &Path| {
        let parts = components(file);
        parts.first().is_some_and(|p| p == "db" || p == "local") || file.ends_with("store.rs")
    };
    let with_sql: Vec<_> =
        sources().into_iter().filter(|f| !allowed(f)).filter(|f| path_heads(&code(f)).contains("sqlx")).collect();
    assert!(with_sql.is_empty(), "SQL outside of a store.rs: {with_sql:?}");
}

#[test]
fn colours_stand_in_the_theme_only() {
    let coloured: Vec<_> = sources()
        .into_iter()
        .filter(|f| folder(f).as_deref() == Some("tui") && !components(f).iter().any(|p| p.starts_with("theme")))
        // It writes whatever colours a frame holds as the terminal's sequences.
        .filter(|f| !f.ends_with("wire.rs"))
        .filter(|f| code(f).contains("Color::"))
        .collect();
    assert!(coloured.is_empty(), "Color:: outside of the theme: {coloured:?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|f| !fs::read_to_string(f).unwrap_or_default().trim_start().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no //! sentence on top: {silent:?}");
}

#[test]
fn files_stay_readable() {
    const LINES_MAX: usize = 500;
    let long: BTreeMap<String, usize> = sources()
        .iter()
        .map(|f| (f.display().to_string(), code(f).lines().filter(|l| !l.trim().is_empty()).count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines of code: {long:?}");
}

#[test]
fn time_comes_from_the_clock() {
    let elsewhere: Vec<_> = sources()
        .into_iter()
        .filter(|f| !f.ends_with("base/clock.rs"))
        .filter(|f| {
            let text = code(f);
            ["SystemTime::now", "Instant::now", "Utc::now", "Local::now"].iter().any(|call| text.contains(call))
        })
        .collect();
    assert!(elsewhere.is_empty(), "asks the machine for the time itself: {elsewhere:?}");
}

#[test]
fn one_ratatui_and_no_cmake() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let count = |name: &str| lock.matches(&format!("\nname = \"{name}\"\n")).count();
    for once in ["ratatui", "ratatui-core", "crossterm", "sqlx"] {
        assert_eq!(count(once), 1, "{once}");
    }
    for never in ["aws-lc-rs", "aws-lc-sys", "cmake", "openssl-sys"] {
        assert_eq!(count(never), 0, "{never}");
    }
}

#[test]
fn the_test_would_see_a_breach() {
    let text = "fn f() { crate::db::open(); } use crate::{base::id, agent::{app, auth}};";
    let named: Vec<String> = crate_paths(text).into_iter().map(|p| p.join("::")).collect();
    assert_eq!(named, ["db::open", "base::id", "agent::app", "agent::auth"]);
    assert!(
        path_heads("let x = sqlx::query(1); use axum::{Router};")
            .is_superset(&["sqlx", "axum"].map(String::from).into())
    );
    assert_eq!(without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n x\n}\n"), "fn a() {}\n");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Parts of the path below `src`, without the file's ending.
fn components(file: &Path) -> Vec<String> {
    let below = file.strip_prefix(root().join("src")).unwrap_or(file).with_extension("");
    below.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect()
}

fn folder(file: &Path) -> Option<String> {
    let parts = components(file);
    (parts.len() > 1).then(|| parts[0].clone())
}

/// The file without comments and without its tests.
fn code(file: &Path) -> String {
    let is_test = file.file_name().is_some_and(|n| n == "tests.rs" || n == "properties.rs" || n == "testing.rs");
    if is_test {
        return String::new();
    }
    let text = fs::read_to_string(file).expect("source");
    let lines = without_tests(&text);
    lines.lines().map(|l| l.split("//").next().unwrap_or(l)).collect::<Vec<_>>().join("\n")
}

/// Cuts at the first `#[cfg(test)]` that opens a module: by habit it stands last.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(found) = text[from..].find("#[cfg(test)]\nmod ") {
        let at = from + found;
        let line = text[at..].lines().nth(1).unwrap_or_default();
        if line.trim_end().ends_with('{') {
            return &text[..at];
        }
        from = at + 1;
    }
    text
}

/// Every path that begins with `crate::`, groups in braces spread out; at most two parts deep.
fn crate_paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        spread(&text[at + "crate::".len()..], &[], &mut paths);
    }
    paths
}

fn spread(text: &str, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    if prefix.len() == 2 {
        paths.push(prefix.to_vec());
        return;
    }
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let (mut depth, mut start) = (1, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (c == ',' && depth == 1) || depth == 0 {
                if !group[start..i].trim().is_empty() {
                    spread(&group[start..i], prefix, paths);
                }
                start = i + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        paths.push(prefix.to_vec());
        return;
    }
    let mut prefix = prefix.to_vec();
    let rest = &text[name.len()..];
    prefix.push(name);
    match rest.strip_prefix("::") {
        Some(rest) => spread(rest, &prefix, paths),
        None => paths.push(prefix),
    }
}

/// First names of all paths, such as `sqlx` in `sqlx::query`.
fn path_heads(text: &str) -> BTreeSet<String> {
    let mut heads = BTreeSet::new();
    for (at, _) in text.match_indices("::") {
        let word: String = text[..at].chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let before = text[..at - word.len()].chars().next_back();
        if !word.is_empty() && before != Some(':') {
            heads.insert(word.chars().rev().collect());
        }
    }
    heads
}
