//! The parameters that a sweep tries: every combination of a grid in order, or draws. The n-th trial of a sweep is a
//! function of its seed and of n, so it is the same however often it is asked for.

use serde_json::{Map, Value};

use super::stopping::Stopping;
use crate::base::stats::special::normal_ppf;
use crate::base::{Fault, fault::Result};

/// Parameters that one sweep may have.
const AXES_MAX: usize = 1000;
/// Values that one axis of a grid may have.
const VALUES_MAX: i64 = 1_000_000;
const DEPTH_MAX: usize = 16;

/// How the next trial is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Grid,
    Random,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random => "random",
        }
    }
}

/// What one parameter may be.
#[derive(Debug, Clone, PartialEq)]
enum Domain {
    Constant(Value),
    /// With weights, where they are not all alike.
    Choice(Vec<Value>, Option<Vec<f64>>),
    Int(i64, i64),
    /// A distribution over numbers, with the step that its draws are rounded to.
    Real(Real, Option<f64>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Real {
    Uniform(f64, f64),
    /// Uniform in the logarithm; the bounds are logarithms.
    LogUniform(f64, f64),
    Normal(f64, f64),
    LogNormal(f64, f64),
}

#[derive(Debug, Clone, PartialEq)]
struct Axis {
    /// From the outermost name inwards.
    path: Vec<String>,
    domain: Domain,
}

/// All that a sweep's configuration says about what is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    pub method: Method,
    pub name: Option<String>,
    pub description: Option<String>,
    /// At most so many runs.
    pub runs_max: Option<u64>,
    /// What the configuration asks for and is not done here.
    pub warnings: Vec<String>,
    /// Which runs end early.
    pub stopping: Option<Stopping>,
    axes: Vec<Axis>,
}

impl Space {
    /// Reads a configuration, YAML or JSON.
    ///
    /// # Errors
    /// `Invalid` with the parameter that cannot be read, or a method that is not offered.
    pub fn parse(config: &str) -> Result<Self> {
        let invalid = |why: String| Fault::invalid("the configuration of the sweep cannot be read").why(why);
        let whole: Value = serde_yaml_ng::from_str(config).map_err(|e| invalid(e.to_string()))?;
        let method = match whole.get("method").and_then(Value::as_str) {
            Some("grid") => Method::Grid,
            Some("random") => Method::Random,
            other => {
                let other = other.unwrap_or("none");
                return Err(Fault::invalid(format!("the method {other} of a sweep is not offered"))
                    .why("this server chooses by grid or random")
                    .next("set method: random, or choose the parameters in the script itself"));
            }
        };
        let parameters = whole.get("parameters").and_then(Value::as_object);
        let parameters = parameters.ok_or_else(|| invalid("there are no parameters".to_owned()))?;
        let mut axes = Vec::new();
        collect(&mut axes, &mut Vec::new(), parameters)?;
        if method == Method::Grid {
            axes.iter_mut().try_for_each(listed)?;
        }
        let text = |name: &str| whole.get(name).and_then(Value::as_str).map(str::to_owned);
        let (stopping, warnings) = match Stopping::parse(&whole) {
            Ok(stopping) => (stopping, Vec::new()),
            Err(why) => (None, vec![format!("early_terminate is not carried out, every run goes to its end: {why}")]),
        };
        Ok(Self {
            method,
            name: text("name"),
            description: text("description"),
            runs_max: whole.get("run_cap").and_then(Value::as_u64),
            warnings,
            stopping,
            axes,
        })
    }

    /// How many trials there are; `None` without an end.
    pub fn trials(&self) -> Option<u64> {
        let grid = (self.method == Method::Grid)
            .then(|| self.axes.iter().fold(1_u64, |all, axis| all.saturating_mul(axis.domain.len())));
        match (grid, self.runs_max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The parameters of one trial.
    pub fn trial(&self, seed: u64, number: u64) -> Map<String, Value> {
        let mut rest = number;
        let mut all = Map::new();
        // The last axis of a grid turns fastest.
        for axis in self.axes.iter().rev() {
            let value = match (&axis.domain, self.method) {
                (Domain::Choice(values, _), Method::Grid) => {
                    let place = rest % axis.domain.len();
                    rest /= axis.domain.len();
                    values.get(usize::try_from(place).unwrap_or(0)).cloned().unwrap_or_default()
                }
                (domain, _) => domain.drawn(uniform(seed, number, &axis.path)),
            };
            put(&mut all, &axis.path, value);
        }
        all
    }
}

/// Puts a value in its place, making the objects around it.
fn put(all: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => drop(all.insert(name.clone(), value)),
        [name, rest @ ..] => {
            let inner = all.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// A number in (0, 1) that seed, trial and parameter stand for.
fn uniform(seed: u64, number: u64, path: &[String]) -> f64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(path.join("\0").as_bytes());
    let mut eight = [0; 8];
    eight.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    ((u64::from_le_bytes(eight) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

fn collect(axes: &mut Vec<Axis>, path: &mut Vec<String>, parameters: &Map<String, Value>) -> Result<()> {
    for (name, one) in parameters {
        path.push(name.clone());
        if let Some(inner) = one.get("parameters").and_then(Value::as_object).filter(|_| path.len() < DEPTH_MAX) {
            collect(axes, path, inner)?;
        } else {
            let problem = |why: String| {
                Fault::invalid(format!("the parameter {} of the sweep cannot be tried", path.join("."))).why(why)
            };
            if axes.len() >= AXES_MAX {
                return Err(problem(format!("a sweep has at most {AXES_MAX} parameters")));
            }
            axes.push(Axis { path: path.clone(), domain: domain(one).map_err(problem)? });
        }
        path.pop();
    }
    Ok(())
}

/// Reads what a parameter may be; the distribution may be left to be seen from the rest.
fn domain(of: &Value) -> std::result::Result<Domain, String> {
    let number = |name: &str| of.get(name).and_then(Value::as_f64);
    let needed = |name: &str| number(name).ok_or_else(|| format!("{name} is missing, or no number"));
    if let Some(value) = of.get("value") {
        return Ok(Domain::Constant(value.clone()));
    }
    if let Some(values) = of.get("values").and_then(Value::as_array) {
        return choice(values, of.get("probabilities"));
    }
    let whole = |name: &str| of.get(name).is_some_and(Value::is_i64);
    let named = of.get("distribution").and_then(Value::as_str);
    let distribution = named.unwrap_or(if whole("min") && whole("max") { "int_uniform" } else { "uniform" });
    let bounds = || {
        let (min, max) = (needed("min")?, needed("max")?);
        if min <= max && max.is_finite() { Ok((min, max)) } else { Err(format!("min {min} is above max {max}")) }
    };
    let logs = || {
        let (min, max) = bounds()?;
        if min > 0.0 { Ok((min.ln(), max.ln())) } else { Err(format!("min {min} has no logarithm")) }
    };
    let (plain, step) = match distribution.strip_prefix("q_") {
        Some(plain) => (plain, Some(number("q").filter(|q| *q > 0.0).unwrap_or(1.0))),
        None => (distribution, None),
    };
    let bell = || (number("mu").unwrap_or(0.0), number("sigma").unwrap_or(1.0));
    let real = match plain {
        "int_uniform" => {
            let int = |name: &str| of.get(name).and_then(Value::as_i64).ok_or_else(|| format!("{name} is no integer"));
            let (min, max) = (int("min")?, int("max")?);
            return if min <= max { Ok(Domain::Int(min, max)) } else { Err(format!("min {min} is above max {max}")) };
        }
        "uniform" => bounds().map(|(a, b)| Real::Uniform(a, b)),
        "log_uniform" => bounds().map(|(a, b)| Real::LogUniform(a, b)),
        "inv_log_uniform" => bounds().map(|(a, b)| Real::LogUniform(-b, -a)),
        "log_uniform_values" | "inv_log_uniform_values" => logs().map(|(a, b)| Real::LogUniform(a, b)),
        "normal" => Ok(Real::Normal(bell().0, bell().1)),
        "log_normal" => Ok(Real::LogNormal(bell().0, bell().1)),
        other => Err(format!("the distribution {other} is not offered")),
    };
    Ok(Domain::Real(real?, step))
}

fn choice(values: &[Value], weights: Option<&Value>) -> std::result::Result<Domain, String> {
    if values.is_empty() {
        return Err("values is empty".to_owned());
    }
    let Some(weights) = weights.filter(|w| !w.is_null()) else { return Ok(Domain::Choice(values.to_vec(), None)) };
    let weights: Vec<f64> = weights.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let sum: f64 = weights.iter().sum();
    if weights.len() != values.len() || weights.iter().any(|w| *w < 0.0) || sum <= 0.0 {
        return Err("probabilities are as many as values, not below 0, and not all 0".to_owned());
    }
    Ok(Domain::Choice(values.to_vec(), Some(weights.iter().map(|w| w / sum).collect())))
}

/// An axis of a grid is a list.
fn listed(axis: &mut Axis) -> Result<()> {
    let too_many = |n: f64| n > VALUES_MAX as f64;
    let values: Vec<Value> = match &axis.domain {
        Domain::Constant(_) | Domain::Choice(..) => return Ok(()),
        Domain::Int(min, max) if !too_many(*max as f64 - *min as f64) => (*min..=*max).map(Value::from).collect(),
        Domain::Real(Real::Uniform(min, max), Some(step)) if !too_many((max - min) / step) => {
            let count = ((max - min) / step + 1e-9).floor();
            let at = |n: i64| Value::from(min + n as f64 * step);
            (0..=VALUES_MAX).take_while(|n| *n as f64 <= count).map(at).collect()
        }
        _ => {
            return Err(Fault::invalid(format!("the parameter {} is no list of values", axis.path.join(".")))
                .why("a grid tries every value, so it needs `values`, whole numbers, or q_uniform with its step")
                .next("list its values, or set method: random"));
        }
    };
    axis.domain = Domain::Choice(values, None);
    Ok(())
}

impl Domain {
    /// Values on a grid.
    fn len(&self) -> u64 {
        if let Self::Choice(values, _) = self { values.len() as u64 } else { 1 }
    }

    /// The value that a uniform number stands for.
    fn drawn(&self, u: f64) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Choice(values, None) => values[place(u, values.len() as f64).min(values.len() - 1)].clone(),
            Self::Choice(values, Some(weights)) => {
                let mut sum = 0.0;
                let reached = weights.iter().position(|w| {
                    sum += w;
                    u < sum
                });
                values[reached.unwrap_or(values.len() - 1)].clone()
            }
            Self::Int(min, max) => {
                let span = (*max as f64) - (*min as f64) + 1.0;
                Value::from(min.saturating_add(i64::try_from(place(u, span)).unwrap_or(i64::MAX)).min(*max))
            }
            Self::Real(real, step) => {
                let value = real.drawn(u);
                Value::from(step.map_or(value, |step| (value / step).round() * step))
            }
        }
    }
}

/// Which of `n` equal parts a uniform number falls in.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and n
fn place(u: f64, n: f64) -> usize {
    (u * n) as usize
}

impl Real {
    fn drawn(self, u: f64) -> f64 {
        match self {
            Self::Uniform(min, max) => min + u * (max - min),
            Self::LogUniform(min, max) => (min + u * (max - min)).exp(),
            Self::Normal(mu, sigma) => mu + sigma * normal_ppf(u),
            Self::LogNormal(mu, sigma) => (mu + sigma * normal_ppf(u)).exp(),
        }
    }
}

#[cfg(test)]
mod tests;
