//! What each target can be asked: its names and their aliases, and the operators and values they take.

use super::lex::{Kind as Lexeme, Token, unquote};
use super::parse::{Clause, Operand};
use super::{Condition, Entity, Invalid, Op, Target, Value};

/// What an attribute holds, and so how it may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Metric,
    Text,
    /// Text that may also be compared with a list.
    Listable,
    /// An experiment id: digits, compared for identity only.
    Id,
    /// Milliseconds; a fraction is allowed and compared as such.
    Time,
    /// Milliseconds without fraction.
    WholeTime,
    /// A version number, which clients also send quoted.
    Version,
}

/// Canonical name, other names, kind.
type Attribute = (&'static str, &'static [&'static str], Kind);

fn attributes(target: Target) -> &'static [Attribute] {
    match target {
        Target::Runs => &[
            ("run_id", &[], Kind::Listable),
            ("run_name", &["run name", "Run name", "Run Name"], Kind::Text),
            ("user_id", &[], Kind::Text),
            ("status", &[], Kind::Text),
            ("artifact_uri", &[], Kind::Text),
            ("start_time", &["created", "Created"], Kind::Time),
            ("end_time", &[], Kind::Time),
        ],
        Target::Experiments => &[
            ("name", &[], Kind::Text),
            ("experiment_id", &[], Kind::Id),
            ("creation_time", &[], Kind::WholeTime),
            ("last_update_time", &[], Kind::WholeTime),
        ],
        Target::LoggedModels => &[
            ("name", &[], Kind::Listable),
            ("model_id", &[], Kind::Listable),
            ("model_type", &[], Kind::Listable),
            ("status", &[], Kind::Listable),
            ("source_run_id", &[], Kind::Listable),
            ("creation_timestamp", &["creation_time", "creation_timestamp_ms"], Kind::Time),
            ("last_updated_timestamp", &["last_updated_time", "last_updated_timestamp_ms"], Kind::Time),
        ],
        Target::RegisteredModels => &[("name", &[], Kind::Listable)],
        Target::ModelVersions => &[
            ("name", &[], Kind::Listable),
            ("run_id", &[], Kind::Listable),
            ("source_path", &[], Kind::Text),
            ("version_number", &[], Kind::Version),
        ],
    }
}

const DATASET_KEYS: [&str; 3] = ["name", "digest", "context"];

/// Checks a comparison as written and makes it a condition.
pub(super) fn condition(clause: &Clause<'_>, target: Target) -> Result<Condition, Invalid> {
    let (entity, key) = split_name(clause.name, target)?;
    let (key, kind) = match entity {
        Entity::Metric => (key, Kind::Metric),
        Entity::Param | Entity::Tag if target == Target::LoggedModels => (key, Kind::Listable),
        Entity::Param | Entity::Tag => (key, Kind::Text),
        Entity::Dataset if DATASET_KEYS.contains(&key.as_str()) => (key, Kind::Listable),
        Entity::Dataset => {
            return Err(Invalid(format!("Invalid dataset key '{key}' specified. Valid keys are {DATASET_KEYS:?}")));
        }
        Entity::Attribute => {
            let known = attributes(target);
            let found = known.iter().find(|(name, aliases, _)| *name == key || aliases.contains(&key.as_str()));
            let Some((name, _, kind)) = found else {
                let valid: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
                return Err(Invalid(format!("Invalid attribute key '{key}' specified. Valid keys are {valid:?}")));
            };
            ((*name).to_owned(), *kind)
        }
    };
    let value = match &clause.operand {
        Operand::Absent => null_test(entity, &key, target)?,
        Operand::One(token) => one(*token, entity, &key, kind, target)?,
        Operand::List(tokens) => list(tokens, entity, &key, kind, target)?,
    };
    let op = allowed(clause, kind, &value)?;
    let value = settle(value, &key, kind)?;
    Ok(Condition { entity, key, op, value })
}

/// Splits `entity.key` at the first dot; without one it is an attribute.
pub(super) fn split_name(raw: &str, target: Target) -> Result<(Entity, String), Invalid> {
    let Some((entity, key)) = raw.split_once('.') else { return Ok((Entity::Attribute, bare(raw))) };
    let entity = unquote(entity, '`').unwrap_or_else(|| entity.to_owned());
    let (found, valid): (Option<Entity>, &[&str]) = match target {
        Target::Runs => (run_entity(&entity), &["metric", "parameter", "tag", "attribute", "dataset"]),
        Target::LoggedModels => {
            let valid: &[&str] = &["attributes", "metrics", "params", "tags"];
            (valid.contains(&entity.as_str()).then(|| run_entity(&entity)).flatten(), valid)
        }
        Target::Experiments | Target::RegisteredModels | Target::ModelVersions => {
            let valid: &[&str] = &["attribute", "tag", "tags"];
            (valid.contains(&entity.as_str()).then(|| run_entity(&entity)).flatten(), valid)
        }
    };
    match found {
        Some(found) => Ok((found, bare(key))),
        None => Err(Invalid(format!("Invalid entity type '{entity}'. Valid values are {valid:?}"))),
    }
}

fn run_entity(name: &str) -> Option<Entity> {
    Some(match name {
        "metric" | "metrics" => Entity::Metric,
        "parameter" | "parameters" | "param" | "params" => Entity::Param,
        "tag" | "tags" => Entity::Tag,
        "attribute" | "attributes" | "attr" | "run" => Entity::Attribute,
        "dataset" | "datasets" => Entity::Dataset,
        _ => return None,
    })
}

fn bare(key: &str) -> String {
    ['`', '"', '\''].into_iter().find_map(|mark| unquote(key, mark)).unwrap_or_else(|| key.to_owned())
}

fn null_test(entity: Entity, key: &str, target: Target) -> Result<Value, Invalid> {
    match (target, entity) {
        (Target::Runs, Entity::Param | Entity::Tag) | (Target::Experiments, Entity::Tag) => Ok(Value::None),
        _ => Err(Invalid(format!(
            "Invalid comparator: IS NULL / IS NOT NULL is only supported for tags (of runs and experiments) and \
             params (of runs), not for {entity} '{key}'."
        ))),
    }
}

fn one(token: Token<'_>, entity: Entity, key: &str, kind: Kind, target: Target) -> Result<Value, Invalid> {
    let raw = token.raw;
    match kind {
        Kind::Metric | Kind::Time | Kind::WholeTime => number(token, key, kind),
        Kind::Text | Kind::Listable | Kind::Id | Kind::Version => match (text(token), token.kind) {
            (Some(text), _) => Ok(Value::Text(text)),
            (None, Lexeme::Number) if kind == Kind::Version => Ok(Value::Text(raw.to_owned())),
            // MLflow's own hint for logged models reads `params.lr = 0.01`.
            (None, Lexeme::Number) if target == Target::LoggedModels => Ok(Value::Text(raw.to_owned())),
            (None, Lexeme::Word) if target == Target::LoggedModels && !raw.contains('`') && !token.is("NULL") => {
                Ok(Value::Text(raw.to_owned()))
            }
            (None, Lexeme::Word) if !token.is("NULL") => Err(unquoted(raw)),
            _ => Err(not_text(raw, entity)),
        },
    }
}

fn text(token: Token<'_>) -> Option<String> {
    match token.kind {
        Lexeme::Single => unquote(token.raw, '\''),
        Lexeme::Double => unquote(token.raw, '"'),
        _ => None,
    }
}

fn number(token: Token<'_>, key: &str, kind: Kind) -> Result<Value, Invalid> {
    let raw = token.raw;
    let parsed = if token.kind == Lexeme::Number { raw.parse::<f64>().ok() } else { None };
    let Some(number) = parsed else {
        let what = match kind {
            Kind::Metric => "metric".to_owned(),
            _ => format!("numeric attribute: {key}"),
        };
        return Err(Invalid(format!("Expected numeric value type for {what}. Found {raw}. Write it without quotes.")));
    };
    match raw.parse() {
        Ok(integer) if kind != Kind::Metric => Ok(Value::Integer(integer)),
        _ => Ok(Value::Number(number)),
    }
}

/// What is left to check and convert once the operator is known to fit, so that a wrong operator is named first.
fn settle(value: Value, key: &str, kind: Kind) -> Result<Value, Invalid> {
    match (kind, value) {
        (Kind::Version, Value::Text(text)) => {
            text.trim().parse().map(Value::Integer).map_err(|_| not_whole(&text, key))
        }
        (Kind::WholeTime, Value::Number(number)) => Err(not_whole(&number.to_string(), key)),
        (Kind::Id, Value::Text(text)) => experiment_id(&text).map(Value::Text),
        (Kind::Id, Value::List(list)) => {
            list.iter().map(|text| experiment_id(text)).collect::<Result<_, _>>().map(Value::List)
        }
        (_, value) => Ok(value),
    }
}

/// Ids are stored as `MLflow` prints them, so `'01'` has to become `'1'`.
fn experiment_id(text: &str) -> Result<String, Invalid> {
    text.trim().parse::<i64>().map(|id| id.to_string()).map_err(|_| {
        Invalid(format!("Invalid experiment ID: {text:?}. An experiment ID is a whole number, such as '1'."))
    })
}

fn list(tokens: &[Token<'_>], entity: Entity, key: &str, kind: Kind, target: Target) -> Result<Value, Invalid> {
    match (kind, entity) {
        (Kind::Listable | Kind::Id, _) => {}
        (Kind::Metric, _) => return Err(Invalid("Expected numeric value type for metric. Found a list.".into())),
        (Kind::Time | Kind::WholeTime, _) => {
            return Err(Invalid(format!("Expected numeric value type for numeric attribute: {key}. Found a list.")));
        }
        (_, Entity::Attribute) => {
            let lists = attributes(target).iter().filter(|(.., kind)| matches!(kind, Kind::Listable | Kind::Id));
            let valid: Vec<&str> = lists.map(|(name, ..)| *name).collect();
            return Err(Invalid(format!(
                "Only {valid:?} attributes support comparison with a list of quoted string values."
            )));
        }
        _ => return Err(not_text("a list", entity)),
    }
    let mut values = Vec::new();
    for (nth, token) in tokens.iter().enumerate() {
        let comma = nth % 2 == 1;
        match (comma, token.kind, text(*token)) {
            (true, Lexeme::Comma, _) => {}
            (false, _, Some(text)) => values.push(text),
            (false, Lexeme::Number | Lexeme::Word, _) => {
                return Err(Invalid(format!(
                    "While parsing a list in the query, expected string value, punctuation, or whitespace, but got \
                     different type in list: {}. Quote every value.",
                    token.raw
                )));
            }
            _ => return Err(bad_list("ill-formed list")),
        }
    }
    if values.is_empty() { Err(bad_list("empty list")) } else { Ok(Value::List(values)) }
}

fn allowed(clause: &Clause<'_>, kind: Kind, value: &Value) -> Result<Op, Invalid> {
    use Op::{Eq, Ge, Gt, ILike, In, IsNotNull, IsNull, Le, Like, Lt, Ne, NotIn};
    let ops: &[Op] = match (kind, value) {
        (_, Value::None) => &[IsNull, IsNotNull],
        (_, Value::List(_)) => &[In, NotIn],
        (Kind::Metric | Kind::Time | Kind::WholeTime | Kind::Version, _) => &[Eq, Ne, Gt, Ge, Lt, Le],
        (Kind::Text | Kind::Listable, _) => &[Eq, Ne, Like, ILike],
        (Kind::Id, _) => &[Eq, Ne],
    };
    match clause.op {
        Some(op) if ops.contains(&op) => Ok(op),
        _ => {
            let valid: Vec<&str> = ops.iter().map(|op| op.as_str()).collect();
            Err(Invalid(format!(
                "Invalid comparator '{}' for {} and this value: not one of {valid:?}",
                clause.op_written, clause.name
            )))
        }
    }
}

fn not_text(raw: &str, entity: Entity) -> Invalid {
    let (what, example) = match entity {
        Entity::Attribute => ("attributes".to_owned(), ""),
        Entity::Dataset => ("dataset attributes".to_owned(), ""),
        _ => (entity.to_string(), " (e.g. 'my-value')"),
    };
    Invalid(format!("Expected a quoted string value for {what}{example}. Got value {raw}"))
}

fn unquoted(raw: &str) -> Invalid {
    Invalid(format!(
        "Parameter value is either not quoted or unidentified quote types used for string value {raw}. Use either \
         single or double quotes."
    ))
}

fn not_whole(raw: &str, key: &str) -> Invalid {
    Invalid(format!("Invalid value for numeric attribute '{key}': '{raw}'. It takes a whole number."))
}

fn bad_list(what: &str) -> Invalid {
    Invalid(format!(
        "While parsing a list in the query, expected a non-empty list of string values, but got {what}. Write it as \
         ('a', 'b')."
    ))
}
