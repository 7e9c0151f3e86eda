//! The search language of `MLflow` clients: one grammar for runs, experiments, logged models and the registry.
//!
//! [`parse()`] checks a filter against what its [`Target`] can be asked, so a [`Condition`] that exists is
//! meaningful: attribute names are canonical, and operator and value fit each other. Nothing here touches a
//! store: callers hand each condition the value they hold.
//!
//! Accepted filters mean what they mean to `MLflow` 3.17.2. The differences are leniencies (lower-case `like`
//! everywhere, any run of spaces, `1e+3`), a doubled quote inside quotes stands for one (`'it''s'`), and what
//! its server answers with a crash is refused here in words.

mod lex;
mod like;
mod order;
mod parse;
#[cfg(test)]
mod properties;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

pub use like::like;
pub use order::{OrderBy, logged_model_order, parse_order_by, parse_order_list};
pub use parse::parse;

/// What is searched. It decides which names, operators and values a filter may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Runs,
    Experiments,
    LoggedModels,
    RegisteredModels,
    ModelVersions,
}

/// A parsed filter: all conditions must hold; none at all holds for everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub conditions: Vec<Condition>,
}

/// One comparison, such as `metrics.loss < 0.5`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub entity: Entity,
    /// The name without its entity; for an attribute the canonical one (`start_time`, never `created`).
    pub key: String,
    pub op: Op,
    pub value: Value,
}

/// Whose value is compared.
///
/// Each [`Entity::Dataset`] condition is met by any one dataset of the run, so two of them may be met by
/// two different datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    Metric,
    Param,
    Tag,
    Attribute,
    Dataset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Like,
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

/// The right-hand side of a condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of `IS NULL` and `IS NOT NULL`.
    None,
    Number(f64),
    /// Milliseconds since 1970, or a version number.
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

/// Why a filter or an order was refused; carries the words `MLflow` clients look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Condition {
    /// Whether a text meets the condition. A missing one meets only `IS NULL`, and not even `!=`.
    pub fn matches_text(&self, actual: Option<&str>) -> bool {
        let Some(actual) = actual else { return self.op == Op::IsNull };
        match (self.op, &self.value) {
            (Op::IsNotNull, _) => true,
            (Op::Eq, Value::Text(text)) => actual == text,
            (Op::Ne, Value::Text(text)) => actual != text,
            (Op::Like, Value::Text(pattern)) => like(pattern, actual, false),
            (Op::ILike, Value::Text(pattern)) => like(pattern, actual, true),
            (Op::In, Value::List(list)) => list.iter().any(|one| one == actual),
            (Op::NotIn, Value::List(list)) => list.iter().all(|one| one != actual),
            _ => false,
        }
    }

    /// Whether a number meets the condition. NaN meets `!=` and no other comparison.
    pub fn matches_number(&self, actual: Option<f64>) -> bool {
        let Some(actual) = actual else { return self.op == Op::IsNull };
        match self.value {
            Value::Number(wanted) => compare(self.op, &actual, &wanted),
            #[allow(clippy::cast_precision_loss)] // only a condition made by hand has an integer here
            Value::Integer(wanted) => compare(self.op, &actual, &(wanted as f64)),
            _ => self.op == Op::IsNotNull,
        }
    }

    /// Whether a time in milliseconds, or a version number, meets the condition.
    pub fn matches_integer(&self, actual: Option<i64>) -> bool {
        let Some(actual) = actual else { return self.op == Op::IsNull };
        match self.value {
            Value::Integer(wanted) => compare(self.op, &actual, &wanted),
            #[allow(clippy::cast_precision_loss)] // exact up to 2^53 milliseconds, the year 287396
            Value::Number(wanted) => compare(self.op, &(actual as f64), &wanted),
            _ => self.op == Op::IsNotNull,
        }
    }
}

fn compare<T: PartialOrd>(op: Op, actual: &T, wanted: &T) -> bool {
    match op {
        Op::Eq => actual == wanted,
        Op::Ne => actual != wanted,
        Op::Gt => actual > wanted,
        Op::Ge => actual >= wanted,
        Op::Lt => actual < wanted,
        Op::Le => actual <= wanted,
        Op::IsNotNull => true,
        Op::Like | Op::ILike | Op::In | Op::NotIn | Op::IsNull => false,
    }
}

impl Op {
    /// As written in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Like => "LIKE",
            Op::ILike => "ILIKE",
            Op::In => "IN",
            Op::NotIn => "NOT IN",
            Op::IsNull => "IS NULL",
            Op::IsNotNull => "IS NOT NULL",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Entity::Metric => "metric",
            Entity::Param => "parameter",
            Entity::Tag => "tag",
            Entity::Attribute => "attribute",
            Entity::Dataset => "dataset",
        })
    }
}

/// Prints a filter that parses back to the same one.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, condition) in self.conditions.iter().enumerate() {
            if nth > 0 {
                f.write_str(" AND ")?;
            }
            condition.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entity {
            Entity::Attribute => f.write_str(&self.key)?,
            Entity::Metric => write!(f, "metrics.{}", quote(&self.key, '`'))?,
            Entity::Param => write!(f, "params.{}", quote(&self.key, '`'))?,
            Entity::Tag => write!(f, "tags.{}", quote(&self.key, '`'))?,
            Entity::Dataset => write!(f, "dataset.{}", self.key)?,
        }
        write!(f, " {}", self.op)?;
        match &self.value {
            Value::None => Ok(()),
            // The grammar has no word for infinity, but a number beyond the range is one.
            Value::Number(number) if number.is_infinite() => {
                write!(f, " {}1e999", if *number < 0.0 { "-" } else { "" })
            }
            Value::Number(number) => write!(f, " {number:?}"),
            Value::Integer(number) => write!(f, " {number}"),
            Value::Text(text) => write!(f, " {}", quote(text, '\'')),
            Value::List(list) => {
                let list: Vec<String> = list.iter().map(|one| quote(one, '\'')).collect();
                write!(f, " ({})", list.join(", "))
            }
        }
    }
}

fn quote(text: &str, mark: char) -> String {
    let doubled = [mark, mark].iter().collect::<String>();
    format!("{mark}{}{mark}", text.replace(mark, &doubled))
}
