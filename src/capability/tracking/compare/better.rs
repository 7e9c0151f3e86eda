//! Which way a metric is better, known by its name, and in which order metrics are read.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    Higher,
    Lower,
}

impl Better {
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
        }
    }

    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Higher => Self::Lower,
            Self::Lower => Self::Higher,
        }
    }
}

const HIGHER: [&str; 38] = [
    "auc",
    "auroc",
    "auprc",
    "roc",
    "accuracy",
    "acc",
    "f1",
    "fbeta",
    "precision",
    "recall",
    "r2",
    "map",
    "ap",
    "ndcg",
    "mrr",
    "iou",
    "dice",
    "bleu",
    "rouge",
    "meteor",
    "kappa",
    "mcc",
    "gini",
    "lift",
    "coverage",
    "reward",
    "return",
    "score",
    "hit",
    "hits",
    "tpr",
    "tnr",
    "sensitivity",
    "specificity",
    "correct",
    "throughput",
    "rps",
    "qps",
];
const LOWER: [&str; 41] = [
    "loss",
    "error",
    "err",
    "errors",
    "rmse",
    "mse",
    "mae",
    "mape",
    "smape",
    "rmsle",
    "msle",
    "ece",
    "brier",
    "latency",
    "perplexity",
    "ppl",
    "logloss",
    "nll",
    "bce",
    "crossentropy",
    "deviance",
    "fpr",
    "fnr",
    "fdr",
    "wer",
    "cer",
    "fid",
    "cost",
    "price",
    "duration",
    "time",
    "seconds",
    "runtime",
    "ms",
    "p50",
    "p90",
    "p95",
    "p99",
    "divergence",
    "regret",
    "misclassification",
];

/// The words of a name: split at signs and at capitals, in lower case.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in key.chars() {
        let begins = small && c.is_uppercase();
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|w| w.extend(c.to_lowercase()));
        }
        small = c.is_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Which way a metric of this name is better; `None` where the name does not say. The first telling word decides:
/// `recall@1%fpr` is a recall. A `neg` before it turns it around, as scikit-learn's `neg_log_loss`.
pub fn of(key: &str) -> Option<Better> {
    let words = words(key);
    let has = |w: &str| words.iter().any(|x| x == w);
    if key.contains('$') {
        return Some(Better::Lower);
    }
    if has("per") && (has("second") || has("sec") || has("s")) {
        return Some(Better::Higher);
    }
    let told = words.iter().find_map(|w| tells(w))?;
    Some(if words.first().is_some_and(|w| w == "neg" || w == "negative") { told.other() } else { told })
}

fn tells(word: &str) -> Option<Better> {
    // Also written together: `rocauc`, `logloss`, `trainloss`.
    let ends = |of: &[&str]| of.iter().any(|w| word == *w || (w.len() > 3 || *w == "auc") && word.ends_with(w));
    if ends(&LOWER) {
        Some(Better::Lower)
    } else if ends(&HIGHER) {
        Some(Better::Higher)
    } else {
        None
    }
}

/// Whether runs are judged by it: not the machine's own figures, and not what training sees of itself.
pub fn judges(key: &str) -> bool {
    let words = words(key);
    !key.starts_with("system/") && !words.iter().any(|w| w == "train" || w == "training" || w == "trn")
}

/// Sorts metrics by how runs are judged by them: quality on held-out data first, the machine's own figures last.
pub fn rank(key: &str) -> (bool, bool, usize, String) {
    let words = words(key);
    let held_out =
        words.iter().any(|w| ["val", "valid", "validation", "test", "eval", "holdout"].contains(&w.as_str()));
    let main = ["auc", "accuracy", "loss", "f1", "rmse", "r2", "error", "mae", "brier"];
    let main = main.iter().position(|m| words.iter().any(|w| w.ends_with(m))).unwrap_or(main.len());
    let machine = key.starts_with("system/");
    (machine, !judges(key) || of(key).is_none(), main * 2 + usize::from(!held_out), key.to_owned())
}
