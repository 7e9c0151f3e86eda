//! Asking a server that has the version loaded, in MLflow's form or the Open Inference Protocol's, a few rows at a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::data::Data;
use super::predictions::{Row, counted, from_json};
use crate::base::clock::Stopwatch;
use crate::base::{Fault, fault::Result};
use crate::capability::evals::{Endpoint, Protocol, Suite};

/// Predictions of all rows, and the milliseconds of each request.
///
/// # Errors
/// `Invalid` when the server refuses, answers something else, or takes too long.
pub(super) async fn predict(server: &Endpoint, data: &Data, suite: &Suite) -> Result<(Vec<Row>, Vec<f64>)> {
    let limit = Duration::from_secs(suite.timeout_seconds());
    tokio::time::timeout(limit, all(server, data, suite)).await.unwrap_or_else(|_| {
        Err(Fault::invalid(format!("{} took longer than {}", server.url, suite.timeout))
            .next("give the suite a longer timeout"))
    })
}

/// A column as JSON has it: numbers where all of them are, else texts; what is missing is null.
struct Column<'a> {
    name: &'a str,
    numeric: bool,
    cells: Vec<Value>,
}

fn columns<'a>(data: &'a Data, label: &str) -> Vec<Column<'a>> {
    let column = |(name, cells): (&'a str, Vec<&'a str>)| {
        let number = |c: &str| c.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        let numeric = cells.iter().all(|c| c.trim().is_empty() || number(c).is_some());
        let whole = numeric && cells.iter().all(|c| c.trim().parse::<i64>().is_ok());
        let cell = |c: &&str| match (c.trim().is_empty(), numeric) {
            (true, _) => Value::Null,
            (_, true) if whole => json!(c.trim().parse::<i64>().unwrap_or_default()),
            (_, true) => json!(number(c)),
            _ => json!(c),
        };
        let cells = cells.iter().map(cell).collect();
        Column { name, numeric, cells }
    };
    data.features(label).into_iter().map(column).collect()
}

async fn all(server: &Endpoint, data: &Data, suite: &Suite) -> Result<(Vec<Row>, Vec<f64>)> {
    let client =
        reqwest::Client::builder().no_proxy().build().map_err(|e| Fault::bug("HTTP client").why(e.to_string()))?;
    let columns = columns(data, &suite.label);
    let (mut rows, mut latencies) = (Vec::new(), Vec::new());
    let mut from = 0;
    while from < data.len() {
        let to = (from + server.rows).min(data.len());
        let body = match server.protocol {
            Protocol::Mlflow => mlflow(&columns, from, to),
            Protocol::V2 => v2(&columns, from, to),
        };
        let watch = Stopwatch::start();
        let answer = ask(&client, server, &body).await?;
        latencies.push(watch.elapsed().as_secs_f64() * 1e3);
        let part = match server.protocol {
            Protocol::Mlflow => from_json(&answer)?,
            Protocol::V2 => from_v2(&answer, to - from)?,
        };
        rows.extend(
            counted(part, to - from).map_err(|f| f.why(format!("rows {} to {to} of {}", from + 1, server.url)))?,
        );
        from = to;
    }
    Ok((rows, latencies))
}

async fn ask(client: &reqwest::Client, server: &Endpoint, body: &Value) -> Result<Value> {
    let broke = |e: reqwest::Error| {
        Fault::invalid(format!("{} does not answer", server.url))
            .why(e.to_string())
            .next("start the server, or mend the url")
    };
    let answer = client.post(&server.url).json(body).send().await.map_err(broke)?;
    let status = answer.status();
    let text = answer.text().await.map_err(broke)?;
    let shown: String = text.chars().take(300).collect();
    if !status.is_success() {
        return Err(Fault::invalid(format!("{} answered {status}", server.url)).why(shown));
    }
    serde_json::from_slice(text.as_bytes())
        .map_err(|e| Fault::invalid(format!("{} answered no JSON", server.url)).why(format!("{e}: {shown:?}")))
}

fn mlflow(columns: &[Column<'_>], from: usize, to: usize) -> Value {
    let names: Vec<&str> = columns.iter().map(|c| c.name).collect();
    let data: Vec<Vec<&Value>> = (from..to).map(|i| columns.iter().map(|c| &c.cells[i]).collect()).collect();
    json!({ "dataframe_split": { "columns": names, "data": data } })
}

fn v2(columns: &[Column<'_>], from: usize, to: usize) -> Value {
    let input = |c: &Column<'_>| {
        json!({
            "name": c.name,
            "shape": [to - from, 1],
            "datatype": if c.numeric { "FP64" } else { "BYTES" },
            "data": c.cells[from..to],
        })
    };
    json!({ "parameters": { "content_type": "pd" }, "inputs": columns.iter().map(input).collect::<Vec<_>>() })
}

/// The first output, a row an example.
fn from_v2(answer: &Value, rows: usize) -> Result<Vec<Row>> {
    let data = answer["outputs"][0]["data"].as_array().ok_or_else(|| {
        let shown: String = answer.to_string().chars().take(200).collect();
        Fault::invalid("the server gave no outputs").why(shown)
    })?;
    let flat: Vec<Value> = data.iter().flat_map(|v| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()])).collect();
    let width = (flat.len() / rows.max(1)).max(1);
    let list: Vec<Value> = if width == 1 { flat } else { flat.chunks(width).map(|c| json!(c)).collect() };
    from_json(&json!(list))
}
