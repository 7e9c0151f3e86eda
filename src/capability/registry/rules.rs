//! Names and limits of the registry, in the words that `MLflow`'s clients know.

use crate::base::{Fault, fault::Result};
use crate::capability::tracking::rules::{check_key, check_length};

pub const TAG_VALUE_CHARS_MAX: usize = 100_000;
pub const ALIAS_CHARS_MAX: usize = 255;
pub const MODEL_NAME_CHARS_MAX: usize = 256;

/// # Errors
/// `Invalid`.
pub fn check_model_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Fault::invalid("Registered model name cannot be empty."));
    }
    if name.contains(['/', ':']) {
        return Err(Fault::invalid(format!(
            "Invalid registered model name: '{name}'. Registered model name cannot contain '/' or ':'."
        )));
    }
    check_length("name", name, MODEL_NAME_CHARS_MAX)
}

/// # Errors
/// `Invalid`.
pub fn check_tag(key: &str, value: &str) -> Result<()> {
    check_key("key", key)?;
    check_length("value", value, TAG_VALUE_CHARS_MAX)
}

/// Word characters and '-', up to 255; not `latest`, not `v` and digits.
///
/// # Errors
/// `Invalid`.
pub fn check_alias(alias: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if alias.is_empty() || !alias.chars().all(allowed) {
        return Err(Fault::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_) and dashes (-)."
        )));
    }
    check_length("alias", alias, ALIAS_CHARS_MAX)?;
    let lower = alias.to_lowercase();
    let like_a_version =
        lower.strip_prefix('v').is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
    if lower == "latest" {
        return Err(Fault::invalid("'latest' alias name (case insensitive) is reserved."));
    }
    if like_a_version {
        return Err(Fault::invalid(format!("Version alias name '{alias}' is reserved.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_that_would_confuse_are_refused() {
        for bad in ["", "v1", "V12", "latest", "Latest", "a b", "a.b", &"x".repeat(256)] {
            assert!(check_alias(bad).is_err(), "{bad}");
        }
        for good in ["champion", "v1x", "v", "a-b_c", "vv1"] {
            assert!(check_alias(good).is_ok(), "{good}");
        }
    }
}
