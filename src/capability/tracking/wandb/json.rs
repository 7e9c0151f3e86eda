//! JSON as Weights & Biases writes it: with bare NaN, Infinity and -Infinity.

use std::borrow::Cow;

use serde_json::Value;

/// Reads a document. What is no number in it becomes one of the three words, as tracking has them in JSON.
///
/// # Errors
/// When it is not JSON otherwise.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(quoted(text).as_bytes())
}

/// The number that a value is: a number, a truth, or one of the three words.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(word) => word_number(word),
        _ => None,
    }
}

/// The number behind one of the three words.
pub fn word_number(word: &str) -> Option<f64> {
    match word {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The same document with the three words in quotation marks.
fn quoted(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        if found.starts_with('"') {
            let (string, after) = found.split_at(string_end(found));
            out.push_str(string);
            rest = after;
            continue;
        }
        if let Some(word) = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| found.starts_with(word)) {
            out.extend(["\"", word, "\""]);
            rest = &found[word.len()..];
        } else {
            out.push_str(&found[..1]);
            rest = &found[1..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the string ends that the text begins with.
fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    // Never closed: the reader says so. A backslash at the very end leads beyond it.
    text.len()
}
