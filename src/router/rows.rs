//! Requests and answers of the protocols that models speak, as rows: features and what was answered.

use serde_json::{Map, Value};

use crate::capability::rollout::Protocol;

/// Rows of one request that are looked at.
const ROWS_MAX: usize = 256;

/// Rows of a request and their answers, as the protocol writes them; empty when they cannot be read.
pub fn rows(protocol: Protocol, request: &[u8], answer: &[u8]) -> Vec<(Map<String, Value>, Value)> {
    let (Ok(request), Ok(answer)) = (serde_json::from_slice::<Value>(request), serde_json::from_slice::<Value>(answer))
    else {
        return Vec::new();
    };
    let (features, predictions) = match protocol {
        Protocol::None => return Vec::new(),
        Protocol::Mlflow => (of_mlflow(&request), listed(answer.get("predictions").unwrap_or(&answer))),
        Protocol::V2 => (of_v2(&request), answer.pointer("/outputs/0/data").map(listed).unwrap_or_default()),
        Protocol::Json => (vec![object(&request)], vec![answer]),
    };
    features.into_iter().zip(predictions).take(ROWS_MAX).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| Map::from_iter([("input".to_owned(), value.clone())]))
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// `dataframe_split`, `dataframe_records`, `instances` or `inputs` of MLflow's scoring protocol.
fn of_mlflow(request: &Value) -> Vec<Map<String, Value>> {
    if let Some(split) = request.get("dataframe_split") {
        let names: Vec<String> = listed(&split["columns"]).iter().map(name).collect();
        let row = |row: &Value| names.iter().cloned().zip(listed(row)).collect();
        return split["data"].as_array().map(|rows| rows.iter().map(row).collect()).unwrap_or_default();
    }
    let rows = ["dataframe_records", "instances", "inputs"].into_iter().find_map(|key| request.get(key));
    match rows {
        Some(Value::Array(rows)) => rows.iter().map(object).collect(),
        // Columns by name: turned into rows.
        Some(Value::Object(columns)) => {
            let rows = columns.values().map(|c| listed(c).len()).max().unwrap_or(0);
            let cell = |column: &Value, i: usize| listed(column).get(i).cloned().unwrap_or_default();
            let row = |i: usize| columns.iter().map(|(k, c)| (k.clone(), cell(c, i))).collect();
            (0..rows.min(ROWS_MAX)).map(row).collect()
        }
        _ => Vec::new(),
    }
}

fn name(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Inputs of the Open Inference Protocol: a column each, or one matrix.
fn of_v2(request: &Value) -> Vec<Map<String, Value>> {
    let inputs = request["inputs"].as_array().cloned().unwrap_or_default();
    let rows = inputs.first().and_then(|i| i["shape"][0].as_u64()).unwrap_or(0);
    let rows = usize::try_from(rows).unwrap_or(0).min(ROWS_MAX);
    let mut all = vec![Map::new(); rows];
    for input in &inputs {
        let (title, data) = (name(&input["name"]), listed(&input["data"]));
        let width = data.len().checked_div(rows).unwrap_or(0);
        for (i, row) in all.iter_mut().enumerate() {
            let cells = data.iter().skip(i * width).take(width);
            if width == 1 {
                row.extend(cells.map(|cell| (title.clone(), cell.clone())));
            } else {
                row.extend(cells.enumerate().map(|(j, cell)| (format!("{title}_{j}"), cell.clone())));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_protocol_gives_rows_with_their_answers() {
        let read = |protocol, request: Value, answer: Value| {
            let all = rows(protocol, request.to_string().as_bytes(), answer.to_string().as_bytes());
            all.into_iter().map(|(f, p)| (Value::Object(f), p)).collect::<Vec<_>>()
        };
        let wanted = vec![(json!({"a": 1, "b": "x"}), json!(0.1)), (json!({"a": 2, "b": "y"}), json!(0.9))];
        let answer = json!({"predictions": [0.1, 0.9]});
        let split = json!({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}});
        assert_eq!(read(Protocol::Mlflow, split, answer.clone()), wanted);
        let records = json!({"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]});
        assert_eq!(read(Protocol::Mlflow, records, answer.clone()), wanted);
        let columns = json!({"inputs": {"a": [1, 2], "b": ["x", "y"]}});
        assert_eq!(read(Protocol::Mlflow, columns, answer), wanted);
        let v2 = json!({"inputs": [{"name": "a", "shape": [2, 1], "data": [1, 2]},
                                   {"name": "b", "shape": [2, 1], "data": ["x", "y"]}]});
        assert_eq!(read(Protocol::V2, v2, json!({"outputs": [{"data": [0.1, 0.9]}]})), wanted);
        let one = read(Protocol::Json, json!({"a": 1}), json!({"score": 0.3}));
        assert_eq!(one, [(json!({"a": 1}), json!({"score": 0.3}))]);
        assert!(rows(Protocol::Json, b"no json", b"{}").is_empty());
    }
}
