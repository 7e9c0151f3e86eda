//! The answers of `MLflow` 3.17.2 as a table (what its SQL stores accept, refuse and match), and the rules it does not show.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Lines `row target name entity key value` (what was stored), `filter target text ok|err names|words` and
/// `order target text ok|err ..`, asked of its SQL stores on SQLite. Filters that crash them are left out.
const ANSWERS: &str = include_str!("mlflow_answers.tsv");

/// One run, experiment, model or version of the table: values by entity and key.
type Row = Vec<(String, String, String)>;

fn target(name: &str) -> Target {
    match name {
        "runs" => Target::Runs,
        "experiments" => Target::Experiments,
        "logged_models" => Target::LoggedModels,
        "registered_models" => Target::RegisteredModels,
        "model_versions" => Target::ModelVersions,
        other => panic!("no target {other}"),
    }
}

/// Undoes Python's `unicode_escape`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let digits = match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some('x')) => 2,
            (_, Some('u')) => 4,
            (_, Some('U')) => 8,
            (_, Some(escaped)) => {
                out.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                continue;
            }
            _ => {
                out.push(c);
                continue;
            }
        };
        let code: String = chars.by_ref().take(digits).collect();
        out.push(char::from_u32(u32::from_str_radix(&code, 16).unwrap()).unwrap());
    }
    out
}

fn rows() -> BTreeMap<(String, String), Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for line in ANSWERS.lines() {
        if let ["row", target, name, entity, key, value] = line.split('\t').collect::<Vec<_>>()[..] {
            rows.entry((target.into(), name.into())).or_default().push((entity.into(), key.into(), unescape(value)));
        }
    }
    rows
}

fn holds(condition: &Condition, row: &Row) -> bool {
    let entity = match condition.entity {
        Entity::Param => "param".to_owned(),
        other => other.to_string(),
    };
    let values: Vec<&str> =
        row.iter().filter(|(e, k, _)| *e == entity && *k == condition.key).map(|(.., v)| v.as_str()).collect();
    let one = |value: Option<&str>| match value.and_then(|value| value.split_once(':')) {
        Some(("n", number)) => match number.parse() {
            Ok(integer) if condition.entity != Entity::Metric => condition.matches_integer(Some(integer)),
            _ => condition.matches_number(Some(number.parse().unwrap())),
        },
        Some((_, text)) => condition.matches_text(Some(text)),
        None => condition.matches_text(None),
    };
    if values.is_empty() { one(None) } else { values.into_iter().any(|value| one(Some(value))) }
}

/// Where we differ from `MLflow` on purpose: a piece of the filter, the targets ("" is all), and why.
const ON_PURPOSE: &[(&str, &str, &str)] = &[
    // Refused by MLflow, plain enough to take.
    ("1e+3", "", "a number"),
    (" ", "", "nothing but space is the empty filter"),
    ("\t\n", "", "nothing but space is the empty filter"),
    (" in (", "experiments", "keywords in lower case, as with every other target"),
    (" like '", "experiments", "the same"),
    (" ilike '", "experiments", "the same"),
    ("NOT  NULL", "", "spaces do not matter"),
    ("`name`", "", "names may be quoted with every target"),
    ("\"name\"", "", "the same"),
    ("`tags`.", "", "the same, for entities"),
    ("`metrics`.", "logged_models", "the same"),
    ("metrics. > 0", "logged_models", "an empty name matches nothing, as with runs"),
    ("last_updated_time >", "logged_models", "its own client documents it"),
    ("C:\\data\\' AND", "", "a backslash is only a character, so a path may end in one"),
    // Taken by MLflow, and meant otherwise or nothing.
    ("it''s", "", "a doubled quote stands for one; MLflow keeps both"),
    ("\"\"x\"\"", "", "the same"),
    ("it\\'s", "", "a backslash does not hide a quote; MLflow takes both literally"),
    ("\"alpha\"", "logged_models", "double quotes are quotes; MLflow compares with them included"),
    ("\"it's\"", "logged_models", "the same"),
    ("\"0.01\"", "logged_models", "the same"),
    ("\"team\"", "logged_models", "the same"),
    ("'team'", "logged_models", "the same"),
    ("= `", "logged_models", "backticks quote names, not values"),
    ("NULL", "logged_models", "MLflow compares with the text NULL"),
    ("null", "logged_models", "the same"),
    ("IN (1", "logged_models", "lists hold texts"),
    (", 1)", "logged_models", "the same"),
    ("= (1)", "logged_models", "the same"),
    ("IN ()", "logged_models", "an empty list"),
    ("'alpha' 'x'", "", "Python joins neighbouring texts; a forgotten comma is likelier"),
    ("(('alpha'))", "", "lists do not nest"),
    ("1_000", "", "Python's way to write a number"),
    ("'1_0'", "", "the same"),
    ("inf", "logged_models", "the same"),
    ("nan", "logged_models", "the same"),
    ("NaN", "logged_models", "the same"),
    ("Infinity", "logged_models", "the same"),
    ("lifecycle_stage", "logged_models", "a column of its table that is not documented as searchable"),
    ("experiment_id", "logged_models", "the same"),
    ("artifact_location", "logged_models", "the same"),
    ("is_prompt", "", "the registry takes this tag as a switch before it looks at conditions"),
    // Refused by both, in other words.
    ("0x10", "", "words"),
    ("1.2.3", "", "words"),
    ("0.5and", "", "words"),
    (" 1 +", "", "words"),
    (" 1 *", "", "words"),
    ("name . x", "", "words"),
    (".team = 'x'", "", "words"),
    ("version = 1", "model_versions", "words"),
    ("source = 'x'", "model_versions", "words"),
];

fn on_purpose(target: &str, text: &str) -> Option<&'static str> {
    let known = ON_PURPOSE.iter().find(|(piece, of, _)| {
        let here = if *piece == " " { text == " " } else { text.contains(piece) };
        here && (of.is_empty() || *of == target)
    });
    known.map(|(piece, ..)| *piece)
}

#[test]
fn filters_are_taken_refused_and_met_as_by_mlflow() {
    let rows = rows();
    let mut seen = 0;
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for line in ANSWERS.lines() {
        let ["filter", name, text, answer, detail] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        seen += 1;
        let text = unescape(text);
        let difference = match (answer, parse(&text, target(name))) {
            ("ok", Ok(filter)) => {
                let theirs: BTreeSet<&str> = detail.split(',').filter(|one| !one.is_empty()).collect();
                let ours: BTreeSet<&str> = rows
                    .iter()
                    .filter(|((of, _), row)| of == name && filter.conditions.iter().all(|c| holds(c, row)))
                    .map(|((_, name), _)| name.as_str())
                    .collect();
                (theirs != ours).then(|| format!("matches {ours:?}, MLflow {theirs:?}"))
            }
            ("ok", Err(e)) => Some(format!("refused: {e}")),
            ("err", Ok(_)) => Some(format!("taken, MLflow: {detail}")),
            ("err", Err(e)) if detail != "-" && !e.0.contains(detail) => Some(format!("says {e}, MLflow: {detail}")),
            _ => None,
        };
        match difference.map(|difference| (difference, on_purpose(name, &text))) {
            Some((_, Some(piece))) => drop(used.insert(piece)),
            Some((difference, None)) => wrong.push(format!("{name}: {text:?} {difference}")),
            None => {}
        }
    }
    let unused: Vec<&str> = ON_PURPOSE.iter().map(|(piece, ..)| *piece).filter(|piece| !used.contains(piece)).collect();
    assert!(unused.is_empty(), "no difference any more: {unused:?}");
    assert!(seen > 3000, "{seen} filters in the table");
    assert!(wrong.is_empty(), "{} of {seen} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Orders `MLflow` refuses and we take.
const LENIENT_ORDERS: [&str; 6] = ["name ", "metrics.acc DESC ", "`", "attribute.", "creation_timestamp", "\"name\""];

#[test]
fn orders_are_taken_and_refused_as_by_mlflow() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for line in ANSWERS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let ["order", name, text, answer, rest @ ..] = &fields[..] else { continue };
        seen += 1;
        let text = unescape(text);
        match (*answer, rest, parse_order_by(&text, target(name))) {
            ("ok", [entity, key, way], Ok(order)) => {
                let key = if *key == "timestamp" { "last_updated_timestamp" } else { key };
                let same =
                    order.entity.to_string() == *entity && order.key == key && order.ascending == (*way == "asc");
                if !same {
                    wrong.push(format!("{name}: {text:?} is {order:?}, MLflow {rest:?}"));
                }
            }
            ("ok", _, Err(e)) => wrong.push(format!("{name}: {text:?} refused: {e}")),
            ("err", _, Ok(order)) if !LENIENT_ORDERS.iter().any(|one| text.contains(one)) => {
                wrong.push(format!("{name}: {text:?} taken as {order:?}, MLflow: {rest:?}"));
            }
            _ => {}
        }
    }
    assert!(seen > 300, "{seen} orders in the table");
    assert!(wrong.is_empty(), "{} of {seen} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn orders_of_logged_models_take_the_field_as_it_is() {
    let order = logged_model_order("metrics.my metric/x", false).unwrap();
    assert_eq!(order, OrderBy { entity: Entity::Metric, key: "my metric/x".into(), ascending: false });
    assert_eq!(logged_model_order("creation_time", true).unwrap().key, "creation_timestamp");
    assert!(logged_model_order("params.lr", true).unwrap_err().0.contains("only `metrics.<name>` is allowed"));
    assert!(logged_model_order("nope", true).unwrap_err().0.contains("order by"));
}

#[test]
fn a_field_is_ordered_by_once() {
    let twice = parse_order_list(&["created", "metrics.a", "start_time DESC"], Target::Runs).unwrap_err();
    assert!(twice.0.contains("duplicate fields"), "{twice}");
    assert_eq!(parse_order_list(&["metrics.a", "params.a"], Target::Runs).unwrap().len(), 2);
}

#[test]
fn aliases_become_canonical_names() {
    let key = |text, target| parse(text, target).unwrap().conditions.remove(0).key;
    assert_eq!(key("Created > 5", Target::Runs), "start_time");
    assert_eq!(key("attributes.`Run Name` = 'x'", Target::Runs), "run_name");
    assert_eq!(key("creation_time > 5", Target::LoggedModels), "creation_timestamp");
    assert_eq!(key("tags.created = 'x'", Target::Runs), "created");
}

#[test]
fn values_become_what_they_are_compared_as() {
    let value = |text, target| parse(text, target).unwrap().conditions.remove(0).value;
    assert_eq!(value("metrics.a > 1", Target::Runs), Value::Number(1.0));
    assert_eq!(value("start_time > 1", Target::Runs), Value::Integer(1));
    assert_eq!(value("start_time > 1.5", Target::Runs), Value::Number(1.5));
    assert_eq!(value("version_number = '7'", Target::ModelVersions), Value::Integer(7));
    assert_eq!(value("experiment_id = '007'", Target::Experiments), Value::Text("7".into()));
    assert_eq!(value("params.lr = 0.10", Target::LoggedModels), Value::Text("0.10".into()));
}

#[test]
fn nan_meets_only_inequality_and_a_missing_value_only_is_null() {
    let one = |text| parse(text, Target::Runs).unwrap().conditions.remove(0);
    for (text, met) in [("metrics.a != 1", true), ("metrics.a = 1", false), ("metrics.a < 1", false)] {
        assert_eq!(one(text).matches_number(Some(f64::NAN)), met, "{text}");
        assert!(!one(text).matches_number(None), "{text}");
    }
    assert!(one("tags.a IS NULL").matches_text(None));
    assert!(!one("tags.a IS NULL").matches_text(Some("")));
    assert!(!one("tags.a != 'x'").matches_text(None));
    assert!(!one("start_time != 1").matches_integer(None));
    assert!(one("metrics.a > 1e308").matches_number(Some(f64::INFINITY)));
}
