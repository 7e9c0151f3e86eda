//! The route table: all that a router needs to serve, as plain data. It is swapped whole and never changed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the router serves by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteTable {
    /// Grows with every change; a router takes no older one.
    pub generation: i64,
    pub routes: Vec<Route>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub service: String,
    pub model: String,
    pub protocol: Protocol,
    pub key: StickyKey,
    #[serde(default)]
    pub answers: Answers,
    /// Features that predictions are sliced by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    /// Of the rollout: another one picks other callers.
    pub salt: String,
    /// An address of its own beside `/SERVICE/…` on the router's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    pub stable: Arm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Arm>,
    /// The version before the stable one, kept warm: where a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Arm>,
    /// Buckets of 10,000 that the candidate answers.
    pub weight: u16,
    /// The candidate answers too, is never returned, and differences are counted.
    #[serde(default)]
    pub shadow: bool,
    #[serde(default)]
    pub limits: Limits,
}

impl Route {
    /// All versions that it knows an address of.
    pub fn arms(&self) -> impl Iterator<Item = &Arm> {
        std::iter::once(&self.stable).chain(&self.candidate).chain(&self.previous)
    }
}

/// A version, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    pub version: u32,
    /// Base addresses, `http://HOST:PORT[/PREFIX]`; requests are spread over those that are healthy.
    pub urls: Vec<String>,
    /// Path of the health check; none means that only failing requests tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// The form of requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Mlflow,
    V2,
    Json,
    /// Nothing is routed: predictions are posted.
    None,
}

/// What the numbers of an answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    /// What is predicted.
    #[default]
    Values,
    /// Probabilities of the positive class: it is predicted from a half on.
    Scores,
}

/// What keeps a caller on one arm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StickyKey {
    Header(String),
    Cookie(String),
    /// A JSON pointer into the request's body.
    Json(String),
    /// Every request by itself.
    None,
}

impl fmt::Display for StickyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for StickyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.to_owned())),
            Some(("json", pointer)) if pointer.starts_with('/') => Ok(Self::Json(pointer.to_owned())),
            None if text == "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is no sticky key: header:NAME, cookie:NAME, json:/pointer, or none")),
        }
    }
}

impl TryFrom<String> for StickyKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StickyKey> for String {
    fn from(key: StickyKey) -> Self {
        key.to_string()
    }
}

/// Bounds of one service's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub connect_timeout_ms: u64,
    /// From the request's last byte to the answer's first.
    pub timeout_ms: u64,
    pub body_bytes_max: u64,
    pub requests_max: u32,
    /// A POST whose connection broke before any answer is sent again: it can reach the model twice.
    pub retry_post: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 1000,
            timeout_ms: 30_000,
            body_bytes_max: 64 << 20,
            requests_max: 1024,
            retry_post: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["header:x-user-id", "cookie:sid", "json:/user/id", "none"] {
            assert_eq!(text.parse::<StickyKey>().unwrap().to_string(), text);
        }
        for text in ["", "header:", "json:user", "query:x"] {
            assert!(text.parse::<StickyKey>().is_err(), "{text}");
        }
    }
}
