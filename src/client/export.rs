//! Calls for taking everything elsewhere.

use futures::StreamExt;
use reqwest::Method;

use super::Client;
use crate::base::{Fault, fault::Result};
use crate::capability::wire::{ExportFile, ExportTable};

const NOTHING: [(&str, &str); 0] = [];

impl Client {
    /// # Errors
    /// `Denied`.
    pub async fn export_tables(&self) -> Result<Vec<ExportTable>> {
        self.get("/api/v1/export", &NOTHING).await
    }

    /// # Errors
    /// `Denied`.
    pub async fn export_files(&self) -> Result<Vec<ExportFile>> {
        self.get("/api/v1/export-files", &NOTHING).await
    }

    /// Every row of a table, in order of the store.
    ///
    /// # Errors
    /// `Unavailable` when the line breaks before the end, and whatever `take` says.
    pub async fn export_rows(
        &self,
        table: &str,
        mut take: impl FnMut(Vec<serde_json::Value>) -> Result<()>,
    ) -> Result<()> {
        let broke = |why: String| Fault::unavailable(format!("table {table} broke off")).why(why).next("export again");
        let mut body = self.send(self.request(Method::GET, &format!("/api/v1/export/{table}"))).await?.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(bytes) = body.next().await {
            buffer.extend_from_slice(&bytes.map_err(|e| broke(e.to_string()))?);
            let mut begin = 0;
            while let Some(length) = buffer[begin..].iter().position(|b| *b == b'\n') {
                let row: Option<Vec<serde_json::Value>> =
                    serde_json::from_slice(&buffer[begin..begin + length]).map_err(|e| broke(e.to_string()))?;
                let Some(row) = row else { return Ok(()) };
                take(row)?;
                begin += length + 1;
            }
            buffer.drain(..begin);
        }
        Err(broke("no last line".to_owned()))
    }
}
