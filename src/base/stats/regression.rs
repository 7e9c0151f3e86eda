//! Metrics of predicted numbers against true ones.

use super::{moments, rank};

/// All figures of a regression; what cannot be computed (no spread, no rows that count) is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    pub mae: f64,
    pub mse: f64,
    pub rmse: f64,
    pub r2: Option<f64>,
    /// Mean of |error| / max(|truth|, machine epsilon): explodes where the truth is 0.
    pub mape: f64,
    /// The same over rows whose truth is not 0.
    pub mape_skip_zero: Option<f64>,
    /// Mean of 2|error| / (|truth| + |prediction|); 0 where both are 0.
    pub smape: f64,
    /// Sum of |error| over sum of |truth|.
    pub wape: Option<f64>,
    pub median_ae: f64,
    pub max_error: f64,
    /// Mean of prediction minus truth.
    pub bias: f64,
    pub explained_variance: Option<f64>,
    pub pearson: Option<f64>,
    pub spearman: Option<f64>,
}

/// `None` for no rows.
pub fn regression(truth: &[f64], predicted: &[f64]) -> Option<Regression> {
    if truth.is_empty() || truth.len() != predicted.len() {
        return None;
    }
    let n = truth.len() as f64;
    let errors: Vec<f64> = truth.iter().zip(predicted).map(|(y, p)| p - y).collect();
    let absolute: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    let mean = |f: &dyn Fn(usize) -> f64| (0..truth.len()).map(f).sum::<f64>() / n;
    let mse = mean(&|i| errors[i] * errors[i]);
    let (center, bias) = (mean(&|i| truth[i]), mean(&|i| errors[i]));
    let spread = mean(&|i| (truth[i] - center).powi(2));
    let error_spread = mean(&|i| (errors[i] - bias).powi(2));
    let counted: Vec<usize> = (0..truth.len()).filter(|i| truth[*i] != 0.0).collect();
    let whole: f64 = truth.iter().map(|y| y.abs()).sum();
    let smape = |i: usize| {
        let base = truth[i].abs() + predicted[i].abs();
        if base == 0.0 { 0.0 } else { 2.0 * absolute[i] / base }
    };
    Some(Regression {
        mae: mean(&|i| absolute[i]),
        mse,
        rmse: mse.sqrt(),
        r2: (spread > 0.0).then(|| 1.0 - mse / spread),
        mape: mean(&|i| absolute[i] / truth[i].abs().max(f64::EPSILON)),
        mape_skip_zero: super::mean(&counted.iter().map(|i| absolute[*i] / truth[*i].abs()).collect::<Vec<_>>()),
        smape: mean(&smape),
        wape: (whole > 0.0).then(|| absolute.iter().sum::<f64>() / whole),
        median_ae: moments::quantile(&moments::sorted(&absolute), 0.5)?,
        max_error: absolute.iter().copied().fold(0.0, f64::max),
        bias,
        explained_variance: (spread > 0.0).then(|| 1.0 - error_spread / spread),
        pearson: moments::pearson(truth, predicted),
        spearman: moments::pearson(&rank::ranks(truth), &rank::ranks(predicted)),
    })
}

/// Mean pinball loss of a predicted quantile.
pub fn pinball(truth: &[f64], predicted: &[f64], quantile: f64) -> Option<f64> {
    let loss = |(y, p): (&f64, &f64)| if y >= p { quantile * (y - p) } else { (1.0 - quantile) * (p - y) };
    super::mean(&truth.iter().zip(predicted).map(loss).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::stats::testing::{check, numbers, oracle};

    #[test]
    fn every_value_of_the_table() {
        for case in oracle("quality")["regression"].as_array().unwrap() {
            let (y, p) = (numbers(&case["y"]), numbers(&case["yhat"]));
            let r = regression(&y, &p).unwrap();
            let got = [
                ("mae", r.mae),
                ("rmse", r.rmse),
                ("mse", r.mse),
                ("r2", r.r2.unwrap()),
                ("mape_sklearn", r.mape),
                ("mape_skip_zero", r.mape_skip_zero.unwrap()),
                ("smape", r.smape),
                ("wape", r.wape.unwrap()),
                ("median_ae", r.median_ae),
                ("max_error", r.max_error),
                ("bias_mean_error", r.bias),
                ("explained_variance", r.explained_variance.unwrap()),
                ("pinball_0_9", pinball(&y, &p, 0.9).unwrap()),
                ("pearson", r.pearson.unwrap()),
                ("spearman", r.spearman.unwrap()),
            ];
            assert!(check(case["name"].as_str().unwrap(), &case["expected"], &got, 1e-9).is_empty());
        }
        assert_eq!(regression(&[], &[]), None);
        assert_eq!(regression(&[1.0, 1.0], &[1.0, 2.0]).unwrap().r2, None);
    }
}
