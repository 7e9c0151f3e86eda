//! Truth and predictions of every example, kept compactly so that two versions can be compared example by example.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use crate::base::{Fault, fault::Result};

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    Binary,
    Multiclass,
    Regression,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Multiclass => "multiclass",
            Self::Regression => "regression",
        }
    }
}

/// A column that cuts the examples into slices.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slices {
    pub name: String,
    pub values: Vec<String>,
    /// Which of `values`, an example each.
    pub of: Vec<u32>,
}

/// What is known of the examples, whatever predicts them.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub task: Task,
    /// Names of classes, the negative one first for two.
    pub classes: Vec<String>,
    /// 0 or 1, a class's number, or the value itself.
    pub labels: Vec<f64>,
    pub slices: Vec<Slices>,
}

/// What one version said about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// As `Truth::labels`.
    pub values: Vec<f64>,
    /// Probabilities: of the positive class for two classes, a row of all classes for more. Empty: none given.
    pub scores: Vec<f64>,
}

/// Examples of a packed file.
pub const EXAMPLES_MAX: usize = 20_000_000;

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    rows: usize,
    scores: usize,
    #[serde(default)]
    task: Option<Task>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    slices: Vec<(String, Vec<String>)>,
}

impl Truth {
    /// Header in JSON, then columns of little-endian numbers, deflated.
    ///
    /// # Errors
    /// `Bug` when it cannot be written down.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let head = Head {
            format: 1,
            rows: self.labels.len(),
            scores: 0,
            task: Some(self.task),
            classes: self.classes.clone(),
            slices: self.slices.iter().map(|s| (s.name.clone(), s.values.clone())).collect(),
        };
        let codes = self.slices.iter().flat_map(|s| &s.of).flat_map(|c| c.to_le_bytes());
        pack(&head, self.labels.iter().flat_map(|v| v.to_le_bytes()).chain(codes))
    }

    /// # Errors
    /// `Invalid` for bytes that are no such file.
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        let (head, mut body) = unpack(bytes)?;
        let task = head.task.ok_or_else(|| garbled("it holds predictions, not labels"))?;
        let labels = numbers(&mut body, head.rows)?;
        let mut slices = Vec::new();
        for (name, values) in head.slices {
            let bytes = taken(&mut body, head.rows * 4)?;
            let of: Vec<u32> = bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
            if of.iter().any(|code| *code as usize >= values.len()) {
                return Err(garbled("a slice has no name"));
            }
            slices.push(Slices { name, values, of });
        }
        let classes = head.classes;
        let known = task == Task::Regression || labels.iter().all(|l| *l >= 0.0 && *l < classes.len() as f64);
        if !known || labels.iter().any(|l| !l.is_finite()) {
            return Err(garbled("a label is none of the classes"));
        }
        Ok(Self { task, classes, labels, slices })
    }
}

impl Predicted {
    /// # Errors
    /// As [`Truth::pack`].
    pub fn pack(&self) -> Result<Vec<u8>> {
        let head = Head {
            format: 1,
            rows: self.values.len(),
            scores: self.scores.len(),
            task: None,
            classes: Vec::new(),
            slices: Vec::new(),
        };
        pack(&head, self.values.iter().chain(&self.scores).flat_map(|v| v.to_le_bytes()))
    }

    /// # Errors
    /// As [`Truth::unpack`].
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        let (head, mut body) = unpack(bytes)?;
        let values = numbers(&mut body, head.rows)?;
        let scores = numbers(&mut body, head.scores)?;
        if values.iter().chain(&scores).any(|v| !v.is_finite()) {
            return Err(garbled("a prediction is not a number"));
        }
        Ok(Self { values, scores })
    }
}

fn pack(head: &Head, columns: impl Iterator<Item = u8>) -> Result<Vec<u8>> {
    let bug = |e: std::io::Error| Fault::bug("examples cannot be packed").why(e.to_string());
    let mut raw = serde_json::to_vec(head).map_err(|e| Fault::bug("examples").why(e.to_string()))?;
    raw.push(b'\n');
    raw.extend(columns);
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&raw).map_err(bug)?;
    deflate.finish().map_err(bug)
}

fn unpack(bytes: &[u8]) -> Result<(Head, std::vec::IntoIter<u8>)> {
    let mut raw = Vec::new();
    // What unpacks to more than so many examples can hold is no such file.
    let limit = (EXAMPLES_MAX as u64) * 16 * 8;
    DeflateDecoder::new(bytes).take(limit).read_to_end(&mut raw).map_err(|e| garbled(&e.to_string()))?;
    let end = raw.iter().position(|b| *b == b'\n').ok_or_else(|| garbled("no header"))?;
    let head: Head = serde_json::from_slice(&raw[..end]).map_err(|e| garbled(&e.to_string()))?;
    if head.format != 1 || head.rows > EXAMPLES_MAX {
        return Err(garbled("a newer opsroom wrote it, or it is too large"));
    }
    raw.drain(..=end);
    Ok((head, raw.into_iter()))
}

fn garbled(why: &str) -> Fault {
    Fault::invalid("the packed examples cannot be read").why(why.to_owned()).next("run the evaluation again")
}

fn taken(body: &mut std::vec::IntoIter<u8>, bytes: usize) -> Result<Vec<u8>> {
    if body.len() < bytes {
        return Err(garbled("it breaks off"));
    }
    Ok(body.by_ref().take(bytes).collect())
}

fn numbers(body: &mut std::vec::IntoIter<u8>, n: usize) -> Result<Vec<f64>> {
    let bytes = taken(body, n.checked_mul(8).ok_or_else(|| garbled("too large"))?)?;
    let number = |c: &[u8]| f64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]);
    Ok(bytes.chunks_exact(8).map(number).collect())
}

/// Examples with their truth and one version's word: what metrics are computed of.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub task: Task,
    pub classes: usize,
    pub labels: Vec<f64>,
    pub values: Vec<f64>,
    pub scores: Vec<f64>,
}

impl Sample {
    /// # Errors
    /// `Invalid` when the two are not about the same examples.
    pub fn new(truth: &Truth, predicted: &Predicted) -> Result<Self> {
        let (n, classes) = (truth.labels.len(), truth.classes.len());
        if predicted.values.len() != n {
            let what = format!("{} predictions for {n} examples", predicted.values.len());
            return Err(Fault::invalid(what).next("predict every row, in the data's order"));
        }
        let width = if truth.task == Task::Multiclass { classes } else { 1 };
        if !predicted.scores.is_empty() && predicted.scores.len() != n * width {
            return Err(Fault::invalid(format!("{} scores for {n} examples", predicted.scores.len())));
        }
        let known = |v: &f64| *v >= 0.0 && *v < classes as f64 && v.fract() == 0.0;
        if truth.task != Task::Regression && !predicted.values.iter().all(known) {
            return Err(Fault::invalid("a prediction is none of the classes"));
        }
        Ok(Self {
            task: truth.task,
            classes,
            labels: truth.labels.clone(),
            values: predicted.values.clone(),
            scores: predicted.scores.clone(),
        })
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Scores a row.
    pub fn width(&self) -> usize {
        if self.scores.is_empty() { 0 } else { self.scores.len() / self.labels.len().max(1) }
    }

    /// The rows of these numbers.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let width = self.width();
        Self {
            task: self.task,
            classes: self.classes,
            labels: rows.iter().map(|r| self.labels[*r]).collect(),
            values: rows.iter().map(|r| self.values[*r]).collect(),
            scores: rows.iter().flat_map(|r| &self.scores[r * width..(r + 1) * width]).copied().collect(),
        }
    }

    /// Labels of two classes.
    pub fn positives(&self) -> Vec<bool> {
        self.labels.iter().map(|l| *l == 1.0).collect()
    }

    /// Labels of several classes; they were checked to be whole and small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn label_classes(&self) -> Vec<usize> {
        self.labels.iter().map(|l| *l as usize).collect()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn value_classes(&self) -> Vec<usize> {
        self.values.iter().map(|l| *l as usize).collect()
    }

    pub fn probabilities(&self) -> Vec<Vec<f64>> {
        let width = self.width();
        if width == 0 { Vec::new() } else { self.scores.chunks_exact(width).map(<[f64]>::to_vec).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_bit() {
        let truth = Truth {
            task: Task::Binary,
            classes: vec!["0".to_owned(), "1".to_owned()],
            labels: vec![0.0, 1.0, 1.0],
            slices: vec![Slices {
                name: "carrier".to_owned(),
                values: vec!["AA".to_owned(), "UA".to_owned()],
                of: vec![1, 0, 1],
            }],
        };
        let predicted = Predicted { values: vec![0.0, 1.0, 0.0], scores: vec![0.1, 0.300_000_000_000_000_04, 1e-300] };
        assert_eq!(Truth::unpack(&truth.pack().unwrap()).unwrap(), truth);
        assert_eq!(Predicted::unpack(&predicted.pack().unwrap()).unwrap(), predicted);
        assert!(Truth::unpack(&predicted.pack().unwrap()).is_err());
        assert!(Predicted::unpack(b"garbage").is_err());
        let mut cut = truth.pack().unwrap();
        cut.truncate(20);
        assert!(Truth::unpack(&cut).is_err());
        let sample = Sample::new(&truth, &predicted).unwrap();
        assert_eq!(sample.take(&[2, 0]).scores, [1e-300, 0.1]);
        assert!(Sample::new(&truth, &Predicted { values: vec![0.0], scores: Vec::new() }).is_err());
    }

    #[test]
    fn what_is_not_finite_does_not_come_in() {
        let predicted = Predicted { values: vec![f64::NAN], scores: Vec::new() };
        assert!(Predicted::unpack(&predicted.pack().unwrap()).is_err());
    }
}
