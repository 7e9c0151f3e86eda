//! The ends of logs, and the models that a run logged, from an agent.

use futures::TryStreamExt;
use serde_json::Value;

use super::Agent;
use super::runs::run_id;
use crate::base::fault::Result;
use crate::base::{Fault, Kind, show};
use crate::capability::training::CAPTURE;
use crate::tui::model::{Logged, Origin, Preview};

/// Bytes of a log that are read to come to its end, and that are kept of it.
const LOG_BYTES_MAX: u64 = 32 << 20;
const TAIL_BYTES: usize = 128 << 10;

impl Agent {
    /// The end of a text file, as a terminal would show it.
    pub(super) async fn tail(&self, run: &str, path: String) -> Result<Preview> {
        let mut stream = std::pin::pin!(self.client.artifact(run_id(run)?, &path, Some(LOG_BYTES_MAX)).await?);
        let (mut kept, mut read): (Vec<u8>, u64) = (Vec::new(), 0);
        while let Some(part) = stream.try_next().await? {
            read += part.len() as u64;
            kept.extend_from_slice(&part);
            if kept.len() > 2 * TAIL_BYTES {
                kept.drain(..kept.len() - TAIL_BYTES);
            }
        }
        let note = match read {
            LOG_BYTES_MAX.. => format!("only the first {} were read", show::bytes(LOG_BYTES_MAX)),
            n if n > kept.len() as u64 => format!("the end of {}", show::bytes(n)),
            _ => String::new(),
        };
        Ok(Preview { path, text: as_shown(&String::from_utf8_lossy(&kept)), note })
    }

    /// The capture of a run, and what came of repeating it.
    pub(super) async fn origin(&self, run: &str, repeated: bool) -> Result<Origin> {
        let capture = self.document(run, CAPTURE).await?;
        let grade = if repeated { self.client.grade(run_id(run)?).await? } else { None };
        Ok(Origin { capture, comparison: grade.map(|g| g.comparison) })
    }

    /// A JSON document among a run's artifacts; `None` where there is none.
    async fn document<T: serde::de::DeserializeOwned>(&self, run: &str, path: &str) -> Result<Option<T>> {
        let bytes = match self.client.artifact_bytes(run_id(run)?, path).await {
            Err(fault) if fault.kind == Kind::NotFound => return Ok(None),
            other => other?,
        };
        let unreadable = |e: serde_json::Error| {
            let next = "it may be of a newer opsroom; use the version that wrote it";
            Fault::invalid(format!("{path} cannot be read")).why(e.to_string()).next(next)
        };
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    pub(super) async fn logged(&self, ids: &[String]) -> Result<Vec<Logged>> {
        let mut all = Vec::new();
        for id in ids {
            let answer = self.client.logged_model(id).await?;
            all.push(logged(id, &answer["model"]));
        }
        Ok(all)
    }
}

fn logged(id: &str, model: &Value) -> Logged {
    let text = |key: &str| model["info"][key].as_str().unwrap_or_default().to_owned();
    let metric = |m: &Value| Some((m["key"].as_str()?.to_owned(), m["value"].as_f64()?));
    let status = text("status");
    Logged {
        id: id.to_owned(),
        name: text("name"),
        kind: text("model_type"),
        status: status.strip_prefix("LOGGED_MODEL_").unwrap_or(&status).to_lowercase(),
        metrics: model["data"]["metrics"].as_array().into_iter().flatten().filter_map(metric).collect(),
    }
}

/// Without colours, and of a line that was written over (a progress bar) what it last said.
fn as_shown(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let last = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        let mut plain = String::new();
        let mut chars = last.chars();
        while let Some(c) = chars.next() {
            if c != '\u{1b}' {
                plain.push(c);
            } else if chars.next() == Some('[') {
                // A control sequence ends with a letter or a sign from @ to ~.
                let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
        }
        lines.push(plain);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_reads_as_on_a_terminal() {
        let text = "\u{1b}[32mepoch 1\u{1b}[0m ok\r\n10%\r50%\r100%\nend";
        assert_eq!(as_shown(text), "epoch 1 ok\n100%\nend");
    }
}
