//! Orders of a search: one field each, with its direction.

use super::lex::{Kind, lex};
use super::{Entity, Invalid, Target, rules};

/// One field to sort by. Missing values come last in both directions, NaN metrics after the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    pub entity: Entity,
    pub key: String,
    pub ascending: bool,
}

/// Canonical names and aliases of the attributes a target can be ordered by.
fn orderable(target: Target) -> &'static [(&'static str, &'static [&'static str])] {
    match target {
        Target::Runs => &[
            ("run_id", &[]),
            ("run_name", &["run name", "Run name", "Run Name"]),
            ("user_id", &[]),
            ("status", &[]),
            ("artifact_uri", &[]),
            ("start_time", &["created", "Created"]),
            ("end_time", &[]),
        ],
        Target::Experiments => {
            &[("name", &[]), ("experiment_id", &[]), ("creation_time", &[]), ("last_update_time", &[])]
        }
        Target::LoggedModels => &[
            ("name", &[]),
            ("model_id", &[]),
            ("model_type", &[]),
            ("status", &[]),
            ("source_run_id", &[]),
            ("creation_timestamp", &["creation_time", "creation_timestamp_ms"]),
            ("last_updated_timestamp", &["last_updated_time", "last_updated_timestamp_ms"]),
        ],
        // To the registry `timestamp` has always been the time of the last update.
        Target::RegisteredModels => {
            &[("name", &[]), ("creation_timestamp", &[]), ("last_updated_timestamp", &["timestamp"])]
        }
        Target::ModelVersions => {
            &[("name", &[]), ("version_number", &[]), ("creation_timestamp", &[]), ("last_updated_timestamp", &[])]
        }
    }
}

/// Reads one order, such as `metrics.loss DESC`. Without a direction it ascends.
///
/// # Errors
/// [`Invalid`] when the text is no order, or names what the target cannot be ordered by.
pub fn parse_order_by(text: &str, target: Target) -> Result<OrderBy, Invalid> {
    let refuse = || {
        Invalid(format!(
            "Invalid order_by clause '{text}'. Could not be parsed. Write one field and ASC or DESC, with a name \
             that has other characters than letters, digits, '_' and '.' between backticks."
        ))
    };
    let tokens = lex(text, target == Target::LoggedModels);
    let (name, ascending) = match tokens.as_slice() {
        [name] => (name, true),
        [name, way] if way.is("ASC") => (name, true),
        [name, way] if way.is("DESC") => (name, false),
        [_, way] if way.kind == Kind::Word => {
            return Err(Invalid(format!(
                "Invalid ordering key in order_by clause '{text}'. Could not be parsed. Use ASC or DESC."
            )));
        }
        _ => return Err(refuse()),
    };
    if !matches!(name.kind, Kind::Word | Kind::Double) {
        return Err(refuse());
    }
    let (entity, key) = rules::split_name(name.raw, target)?;
    checked(entity, key, ascending, target)
}

/// The structured order of a logged-model search. The field name is taken as it is, without quotes: either an
/// attribute or `metrics.<name>`.
///
/// # Errors
/// [`Invalid`] for any other field.
pub fn logged_model_order(field_name: &str, ascending: bool) -> Result<OrderBy, Invalid> {
    match field_name.split_once('.') {
        Some(("metrics", key)) => Ok(OrderBy { entity: Entity::Metric, key: key.to_owned(), ascending }),
        Some(_) => {
            Err(Invalid(format!("Invalid order by field name: {field_name}, only `metrics.<name>` is allowed.")))
        }
        None => checked(Entity::Attribute, field_name.trim().to_owned(), ascending, Target::LoggedModels),
    }
}

/// Reads all orders of a search.
///
/// # Errors
/// [`Invalid`] when one of them is, or when two name the same field.
pub fn parse_order_list<S: AsRef<str>>(texts: &[S], target: Target) -> Result<Vec<OrderBy>, Invalid> {
    let mut orders: Vec<OrderBy> = Vec::new();
    for text in texts {
        let order = parse_order_by(text.as_ref(), target)?;
        if orders.iter().any(|one| one.entity == order.entity && one.key == order.key) {
            return Err(Invalid(format!(
                "`order_by` contains duplicate fields: '{}' is there twice. Name each field once.",
                order.key
            )));
        }
        orders.push(order);
    }
    Ok(orders)
}

fn checked(entity: Entity, key: String, ascending: bool, target: Target) -> Result<OrderBy, Invalid> {
    match (entity, target) {
        (Entity::Attribute, _) => {}
        (Entity::Metric | Entity::Param | Entity::Tag, Target::Runs) | (Entity::Metric, Target::LoggedModels) => {
            return Ok(OrderBy { entity, key, ascending });
        }
        _ => return Err(Invalid(format!("Invalid order_by entity: {entity}. '{key}' has no order here."))),
    }
    let known = orderable(target);
    let Some((name, _)) = known.iter().find(|(name, aliases)| *name == key || aliases.contains(&key.as_str())) else {
        let valid: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        return Err(Invalid(format!(
            "Invalid attribute key '{key}' specified: invalid order by key. Valid keys are {valid:?}"
        )));
    };
    Ok(OrderBy { entity, key: (*name).to_owned(), ascending })
}
