//! Notebooks that train without leaving a run behind.

use std::path::Path;

/// Notebooks beyond this are not read, bytes: outputs may hold pictures.
const BYTES_MAX: u64 = 64 << 20;

/// Whether a notebook's code trains something, and tells no tracker about it.
pub fn trains_untracked(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|m| m.len() <= BYTES_MAX);
    small && std::fs::read_to_string(path).is_ok_and(|text| code_trains_untracked(&code(&text)))
}

/// The code cells' text; nothing of what is no notebook.
fn code(text: &str) -> String {
    let Ok(notebook) = serde_json::from_slice::<serde_json::Value>(text.as_bytes()) else { return String::new() };
    let cells = notebook["cells"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut code = String::new();
    for cell in cells.iter().filter(|c| c["cell_type"] == "code") {
        match &cell["source"] {
            serde_json::Value::String(text) => code.push_str(text),
            serde_json::Value::Array(lines) => lines.iter().filter_map(|l| l.as_str()).for_each(|l| code.push_str(l)),
            _ => {}
        }
        code.push('\n');
    }
    code
}

fn code_trains_untracked(code: &str) -> bool {
    const TRAINS: &[&str] =
        &[".fit(", ".fit_transform(", ".partial_fit(", "loss.backward(", "trainer.train(", "lgb.train(", "xgb.train("];
    const TRACKS: &[&str] = &["mlflow", "wandb", "opsroom"];
    let lines = || code.lines().map(str::trim_start).filter(|l| !l.starts_with('#'));
    lines().any(|l| TRAINS.iter().any(|t| l.contains(t))) && !lines().any(|l| TRACKS.iter().any(|t| l.contains(t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(cells: &[(&str, &str)]) -> String {
        let cells: Vec<_> =
            cells.iter().map(|(kind, source)| serde_json::json!({ "cell_type": kind, "source": [source] })).collect();
        serde_json::json!({ "cells": cells, "nbformat": 4 }).to_string()
    }

    #[test]
    fn code_counts_and_prose_does_not() {
        let untracked = |cells: &[(&str, &str)]| code_trains_untracked(&code(&notebook(cells)));
        assert!(untracked(&[("code", "model.fit(x, y)")]));
        assert!(!untracked(&[("markdown", "then call model.fit(x, y)")]));
        assert!(!untracked(&[("code", "import mlflow\nmlflow.autolog()"), ("code", "model.fit(x, y)")]));
        assert!(untracked(&[("code", "# import mlflow"), ("code", "model.fit(x, y)")]));
        assert!(!untracked(&[("code", "df.describe()")]));
        assert!(!code_trains_untracked(&code("no notebook: .fit(")));
    }
}
