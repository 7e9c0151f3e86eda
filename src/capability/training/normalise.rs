//! Formats that differ by nature, made alike before they are compared: ids of runs and models, times of archives,
//! names that are addresses in memory. What was done is listed with the verdict.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::zip;

/// A file that was made alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalised {
    pub path: String,
    pub what: String,
}

/// What stands for one run in its own files.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub run: String,
    pub models: Vec<String>,
}

/// Lines of an MLmodel file that name one run at one time.
const MLMODEL_OWN: &[&str] = &["run_id:", "model_id:", "model_uuid:", "utc_time_created:", "model_size_bytes:"];

/// The bytes without what differs by nature, and what was done to them. Equal answers mean equal content.
pub fn normalise(path: &str, bytes: &[u8], of: &Identity) -> (Vec<u8>, Vec<&'static str>) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut done = Vec::new();
    let mut out = if name == "MLmodel" {
        done.push("ids, times and size of an MLmodel");
        mlmodel(bytes)
    } else if bytes.starts_with(b"PK\x03\x04")
        && let Some(entries) = zip::entries(bytes)
    {
        if entries.iter().any(|e| e.name == b"schema.json") && name.ends_with(".skops") {
            done.push("addresses in memory of a skops file, times of its archive");
            skops(entries)
        } else {
            done.push("times and order of an archive");
            archive(entries)
        }
    } else if let [0x1f, 0x8b, 8, flags, _, _, _, _, rest @ ..] = bytes {
        done.push("time of a gzip file");
        [&[0x1f, 0x8b, 8, *flags, 0, 0, 0, 0][..], rest].concat()
    } else {
        bytes.to_vec()
    };
    for (id, stand_in) in std::iter::once((&of.run, "<run>"))
        .chain(of.models.iter().map(|m| (m, "<model>")))
        .filter(|(id, _)| !id.is_empty())
    {
        if let Some(replaced) = replace(&out, id.as_bytes(), stand_in.as_bytes()) {
            out = replaced;
            done.push("ids of the run and its models");
        }
    }
    done.dedup();
    (out, done)
}

fn mlmodel(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let kept = text.split_inclusive('\n').filter(|line| !MLMODEL_OWN.iter().any(|own| line.starts_with(own)));
    kept.collect::<String>().into_bytes()
}

fn archive(mut entries: Vec<zip::Entry>) -> Vec<u8> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.iter().flat_map(|e| described(&e.name, &e.bytes)).collect()
}

/// The first entry that two archives do not share, by name; `None` when either is none, or when all are the same.
pub fn first_entry(then: &[u8], now: &[u8]) -> Option<String> {
    let by_name = |bytes: &[u8]| {
        let entries = zip::entries(bytes).filter(|_| bytes.starts_with(b"PK\x03\x04"))?;
        Some(entries.into_iter().map(|e| (e.name, e.bytes)).collect::<BTreeMap<_, _>>())
    };
    let (then, now) = (by_name(then)?, by_name(now)?);
    let names: BTreeSet<&Vec<u8>> = then.keys().chain(now.keys()).collect();
    let first = names.into_iter().find(|name| then.get(*name) != now.get(*name))?;
    Some(String::from_utf8_lossy(first).into_owned())
}

fn described(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    [name, b"\0", blake3::hash(bytes).to_hex().as_bytes(), b"\n"].concat()
}

/// A skops file names its arrays, and numbers its objects, by their addresses in memory. An array is known by its
/// bytes here; the numbers go.
fn skops(entries: Vec<zip::Entry>) -> Vec<u8> {
    let (schema, arrays): (Vec<_>, Vec<_>) = entries.into_iter().partition(|e| e.name == b"schema.json");
    let mut text = schema.first().map(|e| String::from_utf8_lossy(&e.bytes).into_owned()).unwrap_or_default();
    let mut contents = Vec::new();
    for array in &arrays {
        let digest = blake3::hash(&array.bytes).to_hex();
        text = text.replace(&*String::from_utf8_lossy(&array.name), digest.as_str());
        contents.push(digest.to_string());
    }
    contents.sort_unstable();
    let mut out = without_numbers(&text, "\"__id__\": ");
    out.push('\n');
    out.push_str(&contents.join("\n"));
    out.into_bytes()
}

/// Takes the digits away that follow a key.
fn without_numbers(text: &str, key: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(key);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(key);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut rest, mut found) = (bytes, false);
    while let Some(at) = find(rest, from) {
        found = true;
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    found.then_some(out)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| *b == first) {
        if bytes[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(run: &str, model: &str) -> Identity {
        Identity { run: run.to_owned(), models: vec![model.to_owned()] }
    }

    #[test]
    fn an_mlmodel_is_compared_without_its_ids() {
        let text = |run: &str, model: &str, size: u32, penalty: &str| {
            format!(
                "artifact_path: mlflow-artifacts:/0/models/{model}/artifacts\nflavors:\n  penalty: {penalty}\n\
                 model_id: {model}\nmodel_size_bytes: {size}\nrun_id: {run}\nutc_time_created: '{size}'\n"
            )
        };
        let made = |run: &str, model: &str, size, penalty: &str| {
            normalise("models/model/MLmodel", text(run, model, size, penalty).as_bytes(), &identity(run, model))
        };
        let (a, what) = made("r1", "m-1", 1, "l2");
        assert_eq!(a, made("r2", "m-2", 2, "l2").0);
        assert_eq!(what, ["ids, times and size of an MLmodel", "ids of the run and its models"]);
        assert_ne!(a, made("r2", "m-2", 2, "l1").0);
    }

    #[test]
    fn other_files_stay_as_they_are() {
        let (out, done) = normalise("artifacts/a.bin", b"PK but none", &identity("r", ""));
        assert_eq!((out.as_slice(), done.len()), (b"PK but none".as_slice(), 0));
        let gzip = |time: u8| [0x1f, 0x8b, 8, 0, time, 0, 0, 0, 0, 3, 1, 2];
        let made = |time| normalise("x.gz", &gzip(time), &Identity::default()).0;
        assert_eq!(made(1), made(2));
    }

    #[test]
    fn numbers_after_a_key_go() {
        assert_eq!(without_numbers("{\"__id__\": 123, \"b\": 4}", "\"__id__\": "), "{\"__id__\": , \"b\": 4}");
    }
}
