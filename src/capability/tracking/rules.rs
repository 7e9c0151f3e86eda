//! Limits and forms of what clients log, in the words that `MLflow`'s clients know.

use crate::base::{Fault, fault::Result};

pub const KEY_CHARS_MAX: usize = 250;
pub const PARAM_VALUE_CHARS_MAX: usize = 6000;
pub const RUN_TAG_CHARS_MAX: usize = 8000;
pub const EXPERIMENT_NAME_CHARS_MAX: usize = 500;
pub const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
pub const ARTIFACT_LOCATION_CHARS_MAX: usize = 2048;
pub const RUN_NAME_CHARS_MAX: usize = 250;
pub const BATCH_METRICS_MAX: usize = 1000;
pub const BATCH_PARAMS_MAX: usize = 100;
pub const BATCH_TAGS_MAX: usize = 100;
pub const BATCH_ENTITIES_MAX: usize = 1000;

/// Where `MLflow`'s own interface keeps a run's description.
pub const NOTE_TAG: &str = "mlflow.note.content";
/// What a script may look at to end by itself: the moment at which it was asked to.
pub const STOP_TAG: &str = "opsroom.stop_requested";
/// Of a run whose command did not stop when asked: how it was ended.
pub const KILLED_TAG: &str = "opsroom.killed";
/// Where the reason of a tag stays: logging is not recorded in the trail.
pub const REASON_TAG: &str = "opsroom.reason";

/// Tags that mirror what the agent itself found out; see [`refuse_reserved`].
pub const RESERVED_TAGS: [&str; 2] = [GRADE_TAG, RERUN_TAG];
/// Of a run and its versions: the grade of the last repetition.
pub const GRADE_TAG: &str = "opsroom.grade";
/// Of a run and its versions: the run that repeated it.
pub const RERUN_TAG: &str = "opsroom.rerun";

/// Tags in which libraries and opsroom keep their own notes; people look at the others first.
pub fn is_library_tag(key: &str) -> bool {
    ["mlflow.", "opsroom.wandb.", "opsroom.axes", "wandb.tags"].iter().any(|own| key.starts_with(own))
}

/// No writer sets these: what they say is a fact with a record in the audit trail.
///
/// # Errors
/// `Refused`.
pub fn refuse_reserved(key: &str) -> Result<()> {
    if RESERVED_TAGS.contains(&key) {
        return Err(Fault::refused(format!("the tag {key} is opsroom's own"))
            .why("it says what came of repeating the run, and only that comparison sets it")
            .next("repeat the run: opsroom rerun RUN"));
    }
    Ok(())
}

/// A param, metric or tag name: 1 to 250 of word characters, `_ - . space : /`, and a normal relative path.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub fn check_key(kind: &str, key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Fault::invalid(format!("Missing value for required parameter '{kind}'. A name cannot be empty.")));
    }
    let shown: String = key.chars().take(60).collect();
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(Fault::invalid(format!("'{kind}' exceeds the maximum length of {KEY_CHARS_MAX} characters"))
            .why(format!("'{shown}…' has {}", key.chars().count())));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/');
    if !key.chars().all(allowed) {
        return Err(Fault::invalid(format!(
            "Invalid value \"{shown}\" for parameter '{kind}' supplied: Names may only contain alphanumerics, \
             underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )));
    }
    let normal = !key.starts_with('/')
        && key != "."
        && key.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !normal {
        return Err(Fault::invalid(format!(
            "Invalid value \"{shown}\" for parameter '{kind}' supplied: Names may be treated as files in certain \
             cases, and must not resolve to other names when treated as such."
        )));
    }
    Ok(())
}

/// Cut at a number of characters, as the reference server does unless told otherwise.
pub fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(at, _)| &text[..at])
}

/// # Errors
/// `Invalid` when longer than `chars_max`.
pub fn check_length(what: &str, text: &str, chars_max: usize) -> Result<()> {
    let chars = text.chars().count();
    if chars > chars_max {
        let shown: String = text.chars().take(40).collect();
        return Err(Fault::invalid(format!(
            "'{what}' exceeds the maximum length of {chars_max} characters: '{shown}…' had length {chars}, which \
             exceeded length limit of {chars_max}"
        )));
    }
    Ok(())
}

/// # Errors
/// `Invalid` for an empty or over-long name.
pub fn check_experiment_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Fault::invalid("Invalid experiment name: ''. An experiment name cannot be empty."));
    }
    check_length("name", name, EXPERIMENT_NAME_CHARS_MAX)
}

/// # Errors
/// `Invalid` when a batch holds more than the limits.
pub fn check_batch(metrics: usize, params: usize, tags: usize) -> Result<()> {
    let check = |what: &str, n: usize, max: usize| {
        if n > max {
            return Err(Fault::invalid(format!(
                "A batch logging request can contain at most {max} {what}. Got {n} {what}. Please split up {what} \
                 across multiple requests and try again."
            )));
        }
        Ok(())
    };
    check("metrics", metrics, BATCH_METRICS_MAX)?;
    check("params", params, BATCH_PARAMS_MAX)?;
    check("tags", tags, BATCH_TAGS_MAX)?;
    check("metrics, params, and tags", metrics + params + tags, BATCH_ENTITIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_that_could_be_files() {
        for good in ["loss", "a/b c-d_e.f:1", "ä", &"x".repeat(250)] {
            assert!(check_key("name", good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a//b", "a/../b", ".", "..", "a\n", "a;b", "a/", &"x".repeat(251)] {
            assert!(check_key("name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
