//! The tables of expected values, for tests: made by numpy, scipy, scikit-learn and statsmodels.

use serde_json::Value;

pub fn oracle(name: &str) -> Value {
    let path = format!("{}/tests/oracle/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(std::fs::read_to_string(path).unwrap().as_bytes()).unwrap()
}

pub fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some("nan") => f64::NAN,
        _ => value.as_f64().unwrap_or_else(|| panic!("not a number: {value}")),
    }
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Without the missing ones.
pub fn present(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().filter(|v| !v.is_null()).map(number).collect()
}

/// Fails unless `got` is `want` within a relative error (absolute below 1e-3 of it: `rel * 1e-3`).
#[track_caller]
pub fn close(name: &str, got: f64, want: f64, rel: f64) {
    let same = got == want || (got.is_nan() && want.is_nan());
    assert!(
        same || (got - want).abs() <= rel * want.abs().max(if want == 0.0 { 1e-3 } else { 0.0 }),
        "{name}: {got} is not {want}"
    );
}

/// Checks each named value; names that the table has and the list has not are given back.
#[track_caller]
pub fn check(case: &str, expected: &Value, got: &[(&str, f64)], rel: f64) -> Vec<String> {
    for (name, value) in got {
        close(&format!("{case} {name}"), *value, number(&expected[*name]), rel);
    }
    let known = |name: &String| got.iter().any(|(n, _)| n == name);
    expected.as_object().unwrap().keys().filter(|n| !known(n)).cloned().collect()
}
