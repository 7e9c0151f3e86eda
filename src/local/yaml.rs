//! MLflow's `meta.yaml`: values by name, whatever type a version of MLflow wrote them as.

use std::collections::BTreeMap;
use std::path::Path;

use serde_yaml_ng::Value;

/// One file.
pub(super) struct Meta(BTreeMap<String, Value>);

impl Meta {
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        serde_yaml_ng::from_str(&text).map(Self).map_err(|e| e.to_string())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.0.get(name)?)
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        value.as_i64().or_else(|| text(value)?.parse().ok())
    }

    pub(super) fn texts(&self, name: &str) -> BTreeMap<String, String> {
        let Some(Value::Mapping(map)) = self.0.get(name) else { return BTreeMap::new() };
        map.iter().filter_map(|(k, v)| Some((text(k)?, text(v)?))).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
