//! The grade of a run: a fact about certain bytes, made by the agent, with a record in the audit trail.

use serde::{Deserialize, Serialize};

use super::Comparison;
use crate::base::Timestamp;
use crate::base::id::RunId;
use crate::capability::tracking::artifacts::tree_digest;

/// What came of repeating a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    pub id: i64,
    pub at: Timestamp,
    pub run: RunId,
    /// Who had it repeated.
    pub by: String,
    pub verified: bool,
    pub comparison: Comparison,
    /// What the original had made when it was compared: the grade speaks of these bytes and no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<Made>,
}

/// A file that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// In the artifact store.
    pub path: String,
    pub size: u64,
    /// BLAKE3, hexadecimal.
    pub digest: String,
}

impl Grade {
    pub fn name(&self) -> &'static str {
        self.comparison.verdict.name()
    }

    /// Whether the tree of this digest below a folder is what was compared.
    pub fn covers(&self, folder: &str, digest: &str) -> bool {
        let below = |made: &Made| {
            let path = made.path.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
            Some((path, made.size, made.digest.clone()))
        };
        let mut files: Vec<(String, u64, String)> = self.made.iter().filter_map(below).collect();
        files.sort();
        !files.is_empty() && tree_digest(files.iter().map(|(p, s, d)| (p.as_str(), *s, d.as_str()))) == digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::training::Verdict;

    #[test]
    fn a_grade_speaks_of_the_bytes_that_were_compared() {
        let made = |path: &str, digest: &str| Made { path: path.to_owned(), size: 3, digest: digest.to_owned() };
        let comparison = Comparison::cannot("1", None, Vec::new());
        let grade = Grade {
            id: 1,
            at: Timestamp(0),
            run: RunId(1),
            by: "kim".to_owned(),
            verified: true,
            comparison: Comparison { verdict: Verdict::BitExact, ..comparison },
            made: vec![made("0/m/b", "22"), made("0/m/a", "11"), made("0/mm/a", "33")],
        };
        let digest = tree_digest([("a", 3, "11"), ("b", 3, "22")].into_iter());
        assert!(grade.covers("0/m", &digest));
        assert!(!grade.covers("0/m", &tree_digest([("a", 3, "11"), ("b", 3, "23")].into_iter())), "changed since");
        assert!(!grade.covers("0/m", &tree_digest([("a", 3, "11")].into_iter())), "one file less");
        assert!(!grade.covers("0/other", &tree_digest(std::iter::empty())), "nothing is no proof");
    }
}
