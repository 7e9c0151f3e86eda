//! Where the store is: a path, `sqlite:PATH` or `postgres://…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::Fault;

/// A store's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Postgres(String),
}

impl FromStr for StoreUrl {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(Fault::invalid(format!("not a store: {text:?}"))
                .next("give a path, sqlite:PATH or postgres://USER@HOST/DATABASE"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// Without the password, so that it may be shown and logged.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split('?').next().unwrap_or(rest);
    let Some((user, place)) = rest.rsplit_once('@') else { return format!("{scheme}://{rest}") };
    let user = user.split(':').next().unwrap_or(user);
    format!("{scheme}://{user}@{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let url: StoreUrl = "postgres://kim:s3cret@db:5432/ops?password=x".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://kim@db:5432/ops");
    }

    #[test]
    fn paths_and_prefixes() {
        assert_eq!("a/b.db".parse::<StoreUrl>().unwrap(), StoreUrl::Sqlite("a/b.db".into()));
        assert_eq!("sqlite:/a/b.db".parse::<StoreUrl>().unwrap(), StoreUrl::Sqlite("/a/b.db".into()));
        assert!("mysql://x".parse::<StoreUrl>().is_err());
    }
}
