//! What differs between two versions of a model, name by name. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::show;
use crate::tui::format;
use crate::tui::model::{Card, Version};
use crate::tui::screen::lines::{self, Sign};

/// One line of a difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A heading, and how many names under it are the same in both.
    Heading {
        title: &'static str,
        same: usize,
    },
    Pair {
        name: String,
        old: String,
        new: String,
        note: String,
        differs: bool,
    },
    /// A line of a text that both have.
    Text(Sign, String),
    /// What cannot be told, and why.
    Note(String),
}

/// Everything that can be compared. With `all` also what is the same.
pub fn rows(old: &Version, new: &Version, cards: Option<(&Card, &Card)>, all: bool) -> Vec<Row> {
    let texts = |map: &BTreeMap<String, String>| map.clone();
    let inputs = |v: &Version| -> BTreeMap<String, String> {
        v.inputs.iter().map(|i| (format!("{} {}", i.name, i.context).trim().to_owned(), i.digest.clone())).collect()
    };
    let mut out = section("VERSION", &facts(old), &facts(new), all, |_, _| String::new());
    out.extend(metrics(old, new, all));
    out.extend(section("PARAMS", &texts(&old.params), &texts(&new.params), all, |_, _| String::new()));
    out.extend(section("DATASETS", &inputs(old), &inputs(new), all, |_, _| String::new()));
    out.extend(section("TAGS", &texts(&old.tags), &texts(&new.tags), all, |_, _| String::new()));
    out.extend(prose("DESCRIPTION", &old.description, &new.description, all));
    let Some((a, b)) = cards else {
        out.push(Row::Heading { title: "FILES", same: 0 });
        out.push(Row::Note("asking the agent for the files of both versions…".into()));
        return out;
    };
    let columns = |c: &Card| -> BTreeMap<String, String> {
        let named = |prefix: &str, columns: &[String]| -> Vec<(String, String)> {
            let part =
                |c: &String| c.rsplit_once(' ').map_or((c.clone(), String::new()), |(n, k)| (n.into(), k.into()));
            columns.iter().map(part).map(|(n, k)| (format!("{prefix} {n}"), k)).collect()
        };
        named("in", &c.inputs).into_iter().chain(named("out", &c.outputs)).collect()
    };
    out.extend(section("SIGNATURE", &columns(a), &columns(b), all, |_, _| String::new()));
    out.extend(files(a, b, all));
    out.extend(prose("PAGE FOR ITS READERS", &a.readme, &b.readme, all));
    out
}

fn facts(v: &Version) -> BTreeMap<String, String> {
    let size = v.size.map_or_else(|| "-".to_owned(), format::bytes);
    [
        ("stage", v.stage.name().to_owned()),
        ("aliases", v.aliases.join(" ")),
        ("run", v.run_name.clone().or_else(|| v.run.clone()).unwrap_or_default()),
        ("created", format::full(v.created)),
        ("by", v.by.clone()),
        ("size", size),
        ("digest", v.digest.clone().unwrap_or_default()),
    ]
    .into_iter()
    .map(|(k, t)| (k.to_owned(), t))
    .collect()
}

fn metrics(old: &Version, new: &Version, all: bool) -> Vec<Row> {
    let shown = |v: &Version| v.metrics.iter().map(|(k, m)| (k.clone(), format::number(*m))).collect();
    let change = |name: &str, _: bool| match (old.metrics.get(name), new.metrics.get(name)) {
        (Some(a), Some(b)) if (b - a).is_finite() && (b - a) != 0.0 => {
            let share = if *a == 0.0 { String::new() } else { format!("  {:+.1} %", (b - a) / a.abs() * 100.0) };
            format!("{}{share}", show::difference(b - a))
        }
        _ => String::new(),
    };
    section("METRICS", &shown(old), &shown(new), all, change)
}

fn files(a: &Card, b: &Card, all: bool) -> Vec<Row> {
    let shown = |c: &Card| -> BTreeMap<String, String> {
        let one = |f: &crate::tui::model::CardFile| {
            let digest = f.digest.as_deref().map(|d| format!("  {d}")).unwrap_or_default();
            (f.path.clone(), format!("{} B{digest}", f.size))
        };
        c.files.iter().map(one).collect()
    };
    let file = |c: &Card, path: &str| c.files.iter().find(|f| f.path == path).cloned();
    let note = |path: &str, differs: bool| match (file(a, path), file(b, path)) {
        (None, Some(_)) => "added".to_owned(),
        (Some(_), None) => "removed".to_owned(),
        (Some(x), Some(y)) if x.digest.is_none() || y.digest.is_none() => {
            if differs {
                "changed".to_owned()
            } else {
                "same size, bytes not compared".to_owned()
            }
        }
        _ if differs => "changed".to_owned(),
        _ => String::new(),
    };
    let mut rows = section("FILES", &shown(a), &shown(b), all, note);
    // Sizes to the byte and whole digests are compared; what is shown of them is shorter.
    let short = |card: &Card, path: &str| {
        file(card, path).map_or_else(
            || "-".to_owned(),
            |f| {
                let digest: String = f.digest.unwrap_or_default().chars().take(12).collect();
                format!("{}  {digest}", format::bytes(f.size)).trim_end().to_owned()
            },
        )
    };
    for row in &mut rows {
        if let Row::Pair { name, old, new, .. } = row {
            (*old, *new) = (short(a, name), short(b, name));
        }
    }
    rows.extend([a, b].iter().filter(|c| !c.note.is_empty()).map(|c| Row::Note(format!("v{}: {}", c.version, c.note))));
    rows
}

fn section(
    title: &'static str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    all: bool,
    note: impl Fn(&str, bool) -> String,
) -> Vec<Row> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text = |map: &BTreeMap<String, String>, name: &str| {
        map.get(name).filter(|t| !t.is_empty()).cloned().unwrap_or_else(|| "-".to_owned())
    };
    let (mut rows, mut same) = (Vec::new(), 0);
    for name in names {
        let (was, is) = (text(old, name), text(new, name));
        let differs = was != is;
        same += usize::from(!differs);
        if differs || all {
            rows.push(Row::Pair { name: name.clone(), note: note(name, differs), old: was, new: is, differs });
        }
    }
    if rows.is_empty() && same == 0 {
        return rows;
    }
    rows.insert(0, Row::Heading { title, same });
    rows
}

/// Two texts, line by line; long stretches that both have are left out unless all is wanted.
fn prose(title: &'static str, old: &str, new: &str, all: bool) -> Vec<Row> {
    let told = lines::difference(old, new);
    let same = told.iter().filter(|(s, _)| *s == Sign::Same).count();
    if told.is_empty() || (same == told.len() && !all) {
        return if told.is_empty() { Vec::new() } else { vec![Row::Heading { title, same }] };
    }
    let kept = told.into_iter().filter(|(s, _)| all || *s != Sign::Same).map(|(s, l)| Row::Text(s, l));
    std::iter::once(Row::Heading { title, same }).chain(kept).collect()
}
