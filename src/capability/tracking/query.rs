//! The room's own language of filters: `auc>0.93 status!=failed tag~"geo" -user=ci OR name~retry`.
//!
//! Words side by side must all hold; `OR` separates alternatives; `-` or `!` before a word negates it; `~` is "contains".
//! A word alone is looked for in the name. It says what `MLflow`'s grammar cannot (alternatives, negation, what is missing),
//! and is plain data, so that whoever holds the rows evaluates it: the agent for runs, the room for what it holds itself.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    Lacks,
}

// Longest first, so that `>=` is not read as `>`.
const OPS: [(&str, Op); 8] = [
    ("!=", Op::Ne),
    ("!~", Op::Lacks),
    (">=", Op::Ge),
    ("<=", Op::Le),
    ("=", Op::Eq),
    ("~", Op::Contains),
    (">", Op::Gt),
    ("<", Op::Lt),
];

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    pub negated: bool,
    /// `None`: the name.
    pub field: Option<String>,
    pub op: Op,
    pub value: String,
}

/// Alternatives of terms that must all hold. Without a term it lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub any: Vec<Vec<Term>>,
}

/// Why a filter cannot be read, and at which character (counted from 0).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Misread {
    pub what: String,
    pub at: usize,
}

/// What a field of a row holds, for comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    Number(f64),
    Text(String),
    Missing,
}

impl Query {
    /// # Errors
    /// [`Misread`]: what cannot be read, and where.
    pub fn parse(text: &str) -> Result<Self, Misread> {
        let mut any = vec![Vec::new()];
        let mut last_or = None;
        for (at, word) in words(text)? {
            let misread = |what: String| Misread { what, at };
            match word.as_str() {
                "OR" | "|" if any.last().is_none_or(Vec::is_empty) => {
                    return Err(misread("OR needs a condition before it".into()));
                }
                "OR" | "|" => {
                    last_or = Some(at);
                    any.push(Vec::new());
                }
                "AND" | "&" => {}
                w => {
                    let term = term(w);
                    if term.value.is_empty() && term.op != Op::Eq && term.op != Op::Ne {
                        return Err(misread(format!("{} needs a value", term.field.as_deref().unwrap_or("the word"))));
                    }
                    any.last_mut().into_iter().for_each(|all| all.push(term.clone()));
                }
            }
        }
        if let (Some(at), true) = (last_or, any.last().is_none_or(Vec::is_empty)) {
            return Err(Misread { what: "OR needs a condition after it".into(), at });
        }
        any.retain(|all| !all.is_empty());
        Ok(Self { any })
    }

    pub fn is_empty(&self) -> bool {
        self.any.is_empty()
    }

    /// Whether a row holds it; `held` gives a field's value (`None` asks for the name).
    pub fn matches(&self, held: impl Fn(Option<&str>) -> Held) -> bool {
        self.any.is_empty() || self.any.iter().any(|all| all.iter().all(|t| t.matches(&held(t.field.as_deref()))))
    }
}

impl Term {
    fn matches(&self, held: &Held) -> bool {
        let holds = match held {
            Held::Missing => matches!(self.op, Op::Ne | Op::Lacks),
            Held::Number(n) => {
                self.value.parse::<f64>().map_or_else(|_| self.compare_text(&n.to_string()), |v| self.compare(*n, v))
            }
            Held::Text(t) => match (t.parse::<f64>(), self.value.parse::<f64>()) {
                (Ok(a), Ok(b)) if !matches!(self.op, Op::Contains | Op::Lacks) => self.compare(a, b),
                _ => self.compare_text(t),
            },
        };
        holds != self.negated
    }

    fn compare(&self, a: f64, b: f64) -> bool {
        match self.op {
            #[allow(clippy::float_cmp)] // the person typed the number
            Op::Eq | Op::Contains => a == b,
            #[allow(clippy::float_cmp)] // the person typed the number
            Op::Ne | Op::Lacks => a != b,
            Op::Gt => a > b,
            Op::Ge => a >= b,
            Op::Lt => a < b,
            Op::Le => a <= b,
        }
    }

    fn compare_text(&self, text: &str) -> bool {
        let (a, b) = (text.to_lowercase(), self.value.to_lowercase());
        match self.op {
            Op::Eq => a == b,
            Op::Ne => a != b,
            Op::Contains => a.contains(&b),
            Op::Lacks => !a.contains(&b),
            Op::Gt => a > b,
            Op::Ge => a >= b,
            Op::Lt => a < b,
            Op::Le => a <= b,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternatives: Vec<String> =
            self.any.iter().map(|all| all.iter().map(Term::to_string).collect::<Vec<_>>().join(" ")).collect();
        f.write_str(&alternatives.join(" OR "))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("-")?;
        }
        let value =
            if self.value.contains(char::is_whitespace) { format!("\"{}\"", self.value) } else { self.value.clone() };
        match &self.field {
            None => f.write_str(&value),
            Some(field) => {
                let op = OPS.iter().find(|(_, op)| *op == self.op).map_or("=", |(s, _)| s);
                write!(f, "{field}{op}{value}")
            }
        }
    }
}

/// Words apart at spaces, except inside double quotes, each with the character it begins at.
fn words(text: &str) -> Result<Vec<(usize, String)>, Misread> {
    let (mut words, mut word, mut begun, mut quoted) = (Vec::new(), String::new(), None, None);
    for (at, c) in text.chars().enumerate() {
        match c {
            '"' => {
                quoted = if quoted.is_some() { None } else { Some(at) };
                begun.get_or_insert(at);
            }
            c if c.is_whitespace() && quoted.is_none() => {
                words.extend(begun.take().map(|from| (from, std::mem::take(&mut word))));
            }
            c => {
                word.push(c);
                begun.get_or_insert(at);
            }
        }
    }
    if let Some(at) = quoted {
        return Err(Misread { what: "the quotation mark is never closed".into(), at });
    }
    words.extend(begun.map(|from| (from, word)));
    Ok(words)
}

fn term(word: &str) -> Term {
    let (negated, rest) = match word.strip_prefix(['-', '!']) {
        Some(rest) if !rest.is_empty() && rest.parse::<f64>().is_err() => (true, rest),
        _ => (false, word),
    };
    let first = OPS.iter().filter_map(|(sign, op)| rest.find(sign).filter(|at| *at > 0).map(|at| (at, *sign, *op)));
    // The earliest sign splits; at one place the longer sign wins.
    let split = first.min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()));
    match split {
        Some((at, sign, op)) => {
            Term { negated, field: Some(rest[..at].to_owned()), op, value: rest[at + sign.len()..].to_owned() }
        }
        None => Term { negated, field: None, op: Op::Contains, value: rest.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(field: Option<&str>) -> Held {
        match field {
            None => Held::Text("Geo-Retry 3".into()),
            Some("auc") => Held::Number(0.94),
            Some("lr") => Held::Text("3e-4".into()),
            Some("status") => Held::Text("done".into()),
            _ => Held::Missing,
        }
    }

    #[test]
    fn reads_comparisons_negation_alternatives_and_quotes() {
        for (text, expected) in [
            ("", true),
            ("geo", true),
            ("\"retry 3\"", true),
            ("-geo", false),
            ("auc>0.93", true),
            ("auc>=0.94 status!=failed", true),
            ("auc<0.9 OR lr=0.0003", true),
            ("auc<0.9 | status=failed", false),
            ("status~on lr<1e-3", true),
            ("nothing=1", false),
            ("nothing!=1", true),
            ("-status=done", false),
            ("status!~one", false),
        ] {
            assert_eq!(Query::parse(text).unwrap().matches(held), expected, "{text}");
        }
    }

    #[test]
    fn says_what_it_cannot_read_and_writes_what_it_read() {
        let wrong = |text: &str| Query::parse(text).map_err(|e| (e.at, e.what)).unwrap_err();
        assert_eq!(wrong("tag~\"geo"), (4, "the quotation mark is never closed".into()));
        assert_eq!(wrong("a=1 OR"), (4, "OR needs a condition after it".into()));
        assert_eq!(wrong("OR a=1"), (0, "OR needs a condition before it".into()));
        assert_eq!(wrong("name auc>"), (5, "auc needs a value".into()));
        let text = "auc>=0.9 -user=ci OR tag~\"two words\" plain";
        let query = Query::parse(text).unwrap();
        assert_eq!(Query::parse(&query.to_string()).unwrap(), query);
    }
}
