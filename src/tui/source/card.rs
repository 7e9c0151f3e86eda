//! What the files of a version say of it: its columns, its flavors, the page for its readers.

use serde::Deserialize;
use serde_yaml_ng::Value;

use super::Agent;
use crate::base::Kind;
use crate::base::fault::Result;
use crate::tui::model::{Card, CardFile};

/// Bytes read of the model's own description, and of its page.
const MLMODEL_BYTES_MAX: u64 = 1 << 20;
const README_BYTES_MAX: u64 = 32 * 1024;

impl Agent {
    pub(super) async fn card(&self, model: String, version: u32, digests: bool) -> Result<Card> {
        let files = match self.client.version_files(&model, version, digests).await {
            Ok(files) => files,
            // Registered from elsewhere, or gone: the rest of the card stands without them.
            Err(fault) if fault.kind == Kind::NotFound => {
                return Ok(Card { model, version, note: fault.to_string(), ..Card::default() });
            }
            Err(fault) => return Err(fault),
        };
        let mut card = Card { model, version, ..Card::default() };
        if files.iter().any(|f| f.path == "MLmodel") {
            let text = self.text(&card, "MLmodel", MLMODEL_BYTES_MAX).await?;
            describe(&mut card, &text);
        }
        let page = files.iter().find(|f| is_page(&f.path)).map(|f| f.path.clone());
        if let Some(path) = page {
            card.readme = self.text(&card, &path, README_BYTES_MAX).await?;
        }
        card.files = files.into_iter().map(|f| CardFile { path: f.path, size: f.size, digest: f.digest }).collect();
        Ok(card)
    }

    async fn text(&self, card: &Card, path: &str, first_bytes: u64) -> Result<String> {
        let bytes = self.client.version_file(&card.model, card.version, path, first_bytes).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A page for readers at the top of the tree.
fn is_page(path: &str) -> bool {
    matches!(path.to_lowercase().as_str(), "readme.md" | "model_card.md" | "card.md" | "readme.txt")
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    flavors: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    signature: Option<Signature>,
}

/// Both are JSON texts within the YAML.
#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
    #[serde(default)]
    outputs: Option<String>,
}

/// Takes in what an `MLmodel` file says; one that cannot be read says so in the note.
fn describe(card: &mut Card, text: &str) {
    let described: Described = match serde_yaml_ng::from_str(text) {
        Ok(described) => described,
        Err(e) => return card.note = format!("MLmodel cannot be read: {e}"),
    };
    card.flavors = described.flavors.into_keys().collect();
    let Some(signature) = described.signature else { return };
    card.inputs = columns(signature.inputs.as_deref());
    card.outputs = columns(signature.outputs.as_deref());
}

/// `distance double`, `carrier string?` where it may be missing, `tensor float32 [-1, 28]`.
fn columns(json: Option<&str>) -> Vec<String> {
    let Some(Ok(serde_json::Value::Array(columns))) = json.map(|text| serde_json::from_slice(text.as_bytes())) else {
        return Vec::new();
    };
    let one = |c: &serde_json::Value| {
        let text = |at: &serde_json::Value, key: &str| at.get(key).and_then(|v| v.as_str()).map(ToOwned::to_owned);
        let tensor = c.get("tensor-spec");
        let kind = match tensor {
            None => text(c, "type").unwrap_or_default(),
            Some(t) => format!(
                "{} {}",
                text(t, "dtype").unwrap_or_default(),
                t.get("shape").unwrap_or(&serde_json::Value::Null)
            ),
        };
        let optional = if c.get("required").and_then(serde_json::Value::as_bool) == Some(false) { "?" } else { "" };
        format!("{} {kind}{optional}", text(c, "name").unwrap_or_default()).trim().to_owned()
    };
    columns.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_out_of_json_in_yaml() {
        let text = "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n  sklearn: {}\n\
                    signature:\n  inputs: '[{\"type\": \"double\", \"name\": \"distance\", \"required\": true}, \
                    {\"type\": \"string\", \"name\": \"carrier\", \"required\": false}]'\n\
                    \u{20} outputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\", \"shape\": [-1]}}]'\n";
        let mut card = Card::default();
        describe(&mut card, text);
        assert_eq!(card.inputs, ["distance double", "carrier string?"]);
        assert_eq!(card.outputs, ["float32 [-1]"]);
        assert_eq!(card.flavors, ["python_function", "sklearn"]);
    }

    #[test]
    fn a_description_that_cannot_be_read_says_so() {
        let mut card = Card::default();
        describe(&mut card, "flavors: [");
        assert!(card.note.contains("MLmodel cannot be read"), "{}", card.note);
    }
}
