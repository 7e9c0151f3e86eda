//! What luck alone does to a metric: the spread between runs that differ in their seed and in nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Dataset, Subject};
use crate::base::number;

/// Noise by metric; a metric without repeats is missing.
pub type Noises = BTreeMap<String, Noise>;

/// The pooled spread of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Standard deviation of one run, in the metric's unit: the square root of the squared distances from each group's
    /// mean, summed over all groups and divided by the degrees of freedom.
    #[serde(with = "number")]
    pub sigma: f64,
    /// Degrees of freedom: runs less groups.
    pub freedom: u32,
    /// Configurations that were run more than once.
    pub groups: u32,
    pub runs: u32,
}

impl Noise {
    /// Standard deviation of the difference of two runs, which both have their luck: `sigma` times the root of two.
    pub fn of_difference(&self) -> f64 {
        self.sigma * std::f64::consts::SQRT_2
    }

    /// How many standard deviations are beyond luck as one is when `sigma` is known exactly (68.3 % of luck lies within).
    pub fn beyond_one(&self) -> f64 {
        threshold(self.freedom, &ONE, 1.0)
    }

    /// The same for three (99.7 %). A `sigma` from few repeats may be too small by chance, so they ask for more.
    pub fn beyond_three(&self) -> f64 {
        threshold(self.freedom, &THREE, 3.0)
    }
}

/// Quantiles of Student's t distribution at the normal distribution's probabilities of one and three standard
/// deviations, for 1 to 20 degrees of freedom.
const ONE: [f64; 20] = [
    1.8373, 1.3213, 1.1969, 1.1416, 1.1105, 1.0906, 1.0767, 1.0665, 1.0587, 1.0526, 1.0476, 1.0434, 1.0400, 1.0370,
    1.0345, 1.0322, 1.0303, 1.0286, 1.0270, 1.0256,
];
const THREE: [f64; 20] = [
    235.8015, 19.2067, 9.2189, 6.6202, 5.5071, 4.9041, 4.5300, 4.2766, 4.0943, 3.9569, 3.8499, 3.7643, 3.6942, 3.6358,
    3.5864, 3.5441, 3.5075, 3.4755, 3.4472, 3.4222,
];

/// Beyond the table the expansion of Fisher (1926) in the degrees of freedom is exact to four digits.
fn threshold(freedom: u32, table: &[f64; 20], z: f64) -> f64 {
    let at = usize::try_from(freedom).unwrap_or(usize::MAX).saturating_sub(1);
    table.get(at).copied().unwrap_or_else(|| {
        let v = f64::from(freedom);
        let first = (z.powi(3) + z) / (4.0 * v);
        let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v);
        z + first + second
    })
}

/// Whether a param only starts the random numbers: `seed`, `random_state`, `model.seed`, `numpy-seed`.
pub fn is_seed(param: &str) -> bool {
    let last = param.rsplit(['.', '/', ':']).next().unwrap_or(param).to_lowercase();
    let last = last.replace('-', "_");
    last == "seed" || last.ends_with("_seed") || last.ends_with("random_state") || last == "randomstate"
}

/// Everything that makes a run what it is, but its seed.
type Setup<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<Dataset<'a>>, &'a str);
/// What told repeats apart: their seeds, or the run itself where it logged none.
type Luck<'a> = (Vec<(&'a str, &'a str)>, &'a str);

/// Estimates noise from all repeats in `pool`. Runs are repeats when experiment, params but seeds, data and commit are the
/// same. A run without params is none, because nothing says what it did; of two runs with the same seed one counts,
/// because a program that repeats itself exactly tells nothing about luck.
pub fn noises<'a>(pool: impl IntoIterator<Item = Subject<'a>>) -> Noises {
    let mut groups: BTreeMap<Setup<'a>, BTreeMap<Luck<'a>, BTreeMap<&'a str, f64>>> = BTreeMap::new();
    for run in pool.into_iter().filter(|r| r.finished && !r.params.is_empty()) {
        let (setup, luck) = setup(&run);
        groups.entry(setup).or_default().entry(luck).or_insert(run.metrics);
    }
    let mut sums: BTreeMap<&str, (f64, Noise)> = BTreeMap::new();
    for repeats in groups.values().filter(|g| g.len() > 1) {
        let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (key, value) in repeats.values().flatten().filter(|(_, v)| v.is_finite()) {
            values.entry(key).or_default().push(*value);
        }
        for (key, values) in values.into_iter().filter(|(_, v)| v.len() > 1) {
            let none = Noise { sigma: 0.0, freedom: 0, groups: 0, runs: 0 };
            let (squares, noise) = sums.entry(key).or_insert((0.0, none));
            let n = u32::try_from(values.len()).unwrap_or(u32::MAX);
            let mean = values.iter().sum::<f64>() / f64::from(n);
            *squares += values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            noise.freedom += n - 1;
            noise.groups += 1;
            noise.runs += n;
        }
    }
    let pooled = |(key, (squares, noise)): (&str, (f64, Noise))| {
        (key.to_owned(), Noise { sigma: (squares / f64::from(noise.freedom.max(1))).sqrt(), ..noise })
    };
    sums.into_iter().map(pooled).collect()
}

fn setup<'a>(run: &Subject<'a>) -> (Setup<'a>, Luck<'a>) {
    let (seeds, settings): (Vec<_>, Vec<_>) =
        run.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).partition(|(k, _)| is_seed(k));
    let mut inputs = run.inputs.clone();
    inputs.sort_unstable();
    let commit = run.tags.get("mlflow.source.git.commit").map_or("", String::as_str);
    let own = if seeds.is_empty() { run.id } else { "" };
    ((run.experiment, settings, inputs, commit), (seeds, own))
}
