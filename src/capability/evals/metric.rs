//! The metrics that suites and gates may name, by task: one table with the direction of each.

use super::rows::{Sample, Task};
use crate::base::stats::{binary, multiclass, regression};
use multiclass::Average;

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    /// Best at zero.
    Zero,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub tasks: &'static [Task],
    pub better: Better,
    /// Needs probabilities, not only decisions.
    pub scores: bool,
}

use Better::{Higher, Lower, Zero};
const TWO: &[Task] = &[Task::Binary];
const MANY: &[Task] = &[Task::Multiclass];
const CLASSES: &[Task] = &[Task::Binary, Task::Multiclass];
const NUMBERS: &[Task] = &[Task::Regression];

const fn decided(name: &'static str, tasks: &'static [Task], better: Better) -> Metric {
    Metric { name, tasks, better, scores: false }
}

const fn scored(name: &'static str, tasks: &'static [Task], better: Better) -> Metric {
    Metric { name, tasks, better, scores: true }
}

/// All of them.
pub const METRICS: &[Metric] = &[
    decided("accuracy", CLASSES, Higher),
    decided("balanced_accuracy", CLASSES, Higher),
    decided("precision", TWO, Higher),
    decided("recall", TWO, Higher),
    decided("specificity", TWO, Higher),
    decided("f1", TWO, Higher),
    decided("precision_macro", MANY, Higher),
    decided("precision_weighted", MANY, Higher),
    decided("recall_macro", MANY, Higher),
    decided("recall_weighted", MANY, Higher),
    decided("f1_macro", CLASSES, Higher),
    decided("f1_weighted", CLASSES, Higher),
    decided("mcc", CLASSES, Higher),
    decided("kappa", CLASSES, Higher),
    // Of several classes: one against the rest, averaged.
    scored("auc", CLASSES, Higher),
    scored("auc_weighted", MANY, Higher),
    scored("auc_ovo", MANY, Higher),
    scored("average_precision", TWO, Higher),
    scored("ks_separation", TWO, Higher),
    scored("log_loss", CLASSES, Lower),
    // Of several classes: summed over them.
    scored("brier", CLASSES, Lower),
    // Of several classes: of the most probable one.
    scored("ece", CLASSES, Lower),
    scored("mce", TWO, Lower),
    scored("ece_mass", TWO, Lower),
    scored("top2_accuracy", MANY, Higher),
    decided("mae", NUMBERS, Lower),
    decided("mse", NUMBERS, Lower),
    decided("rmse", NUMBERS, Lower),
    decided("r2", NUMBERS, Higher),
    decided("mape", NUMBERS, Lower),
    decided("mape_skip_zero", NUMBERS, Lower),
    decided("smape", NUMBERS, Lower),
    decided("wape", NUMBERS, Lower),
    decided("median_ae", NUMBERS, Lower),
    decided("max_error", NUMBERS, Lower),
    decided("bias", NUMBERS, Zero),
    decided("explained_variance", NUMBERS, Higher),
    decided("pearson", NUMBERS, Higher),
    decided("spearman", NUMBERS, Higher),
];

/// Figures of a run itself: ms a request (a row for commands), ms a row on the whole, bytes of the artifact.
pub const OF_THE_RUN: &[&str] = &["latency_ms_p50", "latency_ms_p90", "latency_ms_p99", "ms_per_row", "size_bytes"];

/// Other tools' names of the same.
const ALIASES: &[(&str, &str)] = &[
    ("roc_auc", "auc"),
    ("pr_auc", "average_precision"),
    ("f1_score", "f1"),
    ("precision_score", "precision"),
    ("recall_score", "recall"),
    ("accuracy_score", "accuracy"),
    ("r2_score", "r2"),
    ("brier_score", "brier"),
];

/// By its name or another tool's.
pub fn find(name: &str) -> Option<&'static Metric> {
    let own = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, own)| own);
    METRICS.iter().find(|m| m.name == own)
}

/// The metric on these examples; `None` where it has no value there (one class only, no scores, no rows).
pub fn value(metric: &Metric, sample: &Sample) -> Option<f64> {
    if sample.is_empty() || (metric.scores && sample.scores.is_empty()) {
        return None;
    }
    let value = match sample.task {
        Task::Binary => of_two(metric.name, sample),
        Task::Multiclass => of_many(metric.name, sample),
        Task::Regression => of_numbers(metric.name, sample),
    };
    value.filter(|v| v.is_finite())
}

fn of_two(name: &str, s: &Sample) -> Option<f64> {
    let labels = s.positives();
    let confusion = || binary::Confusion::of(&labels, s.values.iter().map(|v| *v == 1.0));
    match name {
        "accuracy" => Some(confusion().accuracy()),
        "balanced_accuracy" => Some(confusion().balanced_accuracy()),
        "precision" => Some(confusion().precision()),
        "recall" => Some(confusion().recall()),
        "specificity" => Some(confusion().specificity()),
        "f1" => Some(confusion().f1()),
        "f1_macro" => Some(confusion().f1_macro()),
        "f1_weighted" => Some(confusion().f1_weighted()),
        "mcc" => Some(confusion().mcc()),
        "kappa" => Some(confusion().kappa()),
        "auc" => binary::roc_auc(&labels, &s.scores),
        "average_precision" => binary::average_precision(&labels, &s.scores),
        "ks_separation" => binary::ks_separation(&labels, &s.scores),
        "log_loss" => binary::log_loss(&labels, &s.scores),
        "brier" => binary::brier(&labels, &s.scores),
        "ece" => binary::calibration(&labels, &s.scores, 10).map(|c| c.ece),
        "mce" => binary::calibration(&labels, &s.scores, 10).map(|c| c.mce),
        "ece_mass" => binary::ece_mass(&labels, &s.scores, 10),
        _ => None,
    }
}

fn of_many(name: &str, s: &Sample) -> Option<f64> {
    let labels = s.label_classes();
    let matrix = || multiclass::Matrix::of(s.classes, &labels, &s.value_classes());
    let proba = || s.probabilities();
    match name {
        "accuracy" => Some(matrix().accuracy()),
        "balanced_accuracy" => Some(matrix().balanced_accuracy()),
        "precision_macro" => Some(matrix().precision(Average::Macro)),
        "precision_weighted" => Some(matrix().precision(Average::Weighted)),
        "recall_macro" => Some(matrix().recall(Average::Macro)),
        "recall_weighted" => Some(matrix().recall(Average::Weighted)),
        "f1_macro" => Some(matrix().f1(Average::Macro)),
        "f1_weighted" => Some(matrix().f1(Average::Weighted)),
        "mcc" => Some(matrix().mcc()),
        "kappa" => Some(matrix().kappa()),
        "auc" => multiclass::roc_auc_ovr(&labels, &proba(), Average::Macro),
        "auc_weighted" => multiclass::roc_auc_ovr(&labels, &proba(), Average::Weighted),
        "auc_ovo" => multiclass::roc_auc_ovo(&labels, &proba()),
        "log_loss" => multiclass::log_loss(&labels, &proba()),
        "brier" => multiclass::brier_sum(&labels, &proba()),
        "ece" => multiclass::ece_top_label(&labels, &proba(), 10),
        "top2_accuracy" => multiclass::top_k(&labels, &proba(), 2),
        _ => None,
    }
}

fn of_numbers(name: &str, s: &Sample) -> Option<f64> {
    let r = regression::regression(&s.labels, &s.values)?;
    match name {
        "mae" => Some(r.mae),
        "mse" => Some(r.mse),
        "rmse" => Some(r.rmse),
        "r2" => r.r2,
        "mape" => Some(r.mape),
        "mape_skip_zero" => r.mape_skip_zero,
        "smape" => Some(r.smape),
        "wape" => r.wape,
        "median_ae" => Some(r.median_ae),
        "max_error" => Some(r.max_error),
        "bias" => Some(r.bias),
        "explained_variance" => r.explained_variance,
        "pearson" => r.pearson,
        "spearman" => r.spearman,
        _ => None,
    }
}

/// What each example adds to a metric that is a plain mean; `None` for metrics that are not.
pub fn parts(metric: &Metric, s: &Sample) -> Option<Vec<f64>> {
    if metric.scores && s.scores.is_empty() {
        return None;
    }
    let each = |f: &dyn Fn(usize) -> f64| (0..s.len()).map(f).collect::<Vec<f64>>();
    let width = s.width();
    let error = |i: usize| s.values[i] - s.labels[i];
    Some(match (metric.name, s.task) {
        ("accuracy", _) => each(&|i| f64::from(s.values[i] == s.labels[i])),
        ("log_loss", Task::Binary) => each(&|i| binary::log_loss_of(s.labels[i] == 1.0, s.scores[i])),
        ("brier", Task::Binary) => each(&|i| (s.scores[i] - s.labels[i]).powi(2)),
        ("log_loss", Task::Multiclass) => {
            let labels = s.label_classes();
            each(&|i| -s.scores[i * width + labels[i]].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
        }
        ("mae", _) => each(&|i| error(i).abs()),
        ("mse", _) => each(&|i| error(i).powi(2)),
        ("mape", _) => each(&|i| error(i).abs() / s.labels[i].abs().max(f64::EPSILON)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(task: Task) -> Sample {
        let labels: Vec<f64> = (0..60).map(|i| f64::from(i % if task == Task::Multiclass { 3 } else { 2 })).collect();
        let values = labels.iter().enumerate().map(|(i, l)| if i % 7 == 0 { 0.0 } else { *l }).collect();
        let scores = match task {
            Task::Binary => (0..60).map(|i| f64::from((i * 37) % 60) / 60.0).collect(),
            Task::Multiclass => {
                (0..60).flat_map(|i| [0.2 + f64::from(i % 3) / 10.0, 0.3, 0.5 - f64::from(i % 3) / 10.0]).collect()
            }
            Task::Regression => Vec::new(),
        };
        Sample { task, classes: if task == Task::Multiclass { 3 } else { 2 }, labels, values, scores }
    }

    #[test]
    fn every_metric_has_a_value_for_each_of_its_tasks_and_a_mean_is_the_mean_of_its_parts() {
        for metric in METRICS {
            for task in metric.tasks {
                let s = sample(*task);
                let value = value(metric, &s);
                assert!(value.is_some(), "{} of {}", metric.name, task.name());
                if let Some(parts) = parts(metric, &s) {
                    let mean = crate::base::stats::mean(&parts).unwrap();
                    assert!((mean - value.unwrap()).abs() < 1e-12, "{}", metric.name);
                }
            }
        }
        assert_eq!(find("roc_auc").unwrap().name, "auc");
        assert!(find("acuracy").is_none());
    }
}
