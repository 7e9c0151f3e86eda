//! What services run on, and what may be spent: `[[serving]]` and `[[budget]]` in TOML.

use serde::{Deserialize, Serialize};

use super::rates::Rates;
use crate::base::money::{Exact, HOUR_US, Micro, Price};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::form::{Document, Entry};

/// Thousandths: cores, GiB and GPUs are given with at most three decimals.
const PARTS: f64 = 1000.0;
const REPLICAS_MAX: u32 = 10_000;
const CONCURRENCY_MAX: u32 = 100_000;

/// Where a service's versions work, and how much of it is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub service: String,
    /// Only this version works here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub on: On,
    pub replicas: u32,
    /// Requests that one replica works on at once.
    pub concurrency: u32,
    /// MiB.
    #[serde(default)]
    pub storage: u64,
    /// Bytes sent out with an answer.
    #[serde(default)]
    pub answer: u64,
    /// Predictions of a version's whole life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What is paid for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// One machine, which others may work on too.
    Host(String),
    /// As many instances of a type as there are replicas.
    Instance(String),
    /// Thousandths of cores and GPUs, MiB of memory, of each replica.
    Reserved { cpu: u64, memory: u64, gpu: u64 },
}

/// What may be spent in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub name: String,
    pub month: Micro,
    /// A service, `training`, or `*`.
    pub of: String,
}

impl Placement {
    /// # Errors
    /// `Invalid` for what cannot serve.
    pub fn check(&self) -> Result<()> {
        let counts = [("replicas", self.replicas, REPLICAS_MAX), ("concurrency", self.concurrency, CONCURRENCY_MAX)];
        if let Some((what, n, most)) = counts.into_iter().find(|(_, n, most)| *n == 0 || n > most) {
            return Err(Fault::invalid(format!("{what} is between 1 and {most}, not {n}")));
        }
        let odd = [self.since, self.until].into_iter().flatten().find(|at| at.0.rem_euclid(HOUR_US) != 0);
        match odd {
            Some(at) => Err(Fault::invalid(format!("a service is placed on the hour, not at {at}"))
                .why("older counters are kept by the hour")),
            None => Ok(()),
        }
    }

    /// In words, for people.
    pub fn shown(&self) -> String {
        let version = self.version.as_ref().map_or_else(String::new, |v| format!("v{v} on "));
        let place = match &self.on {
            On::Host(name) => format!("host {name}"),
            On::Instance(name) => format!("{} x {name}", self.replicas),
            On::Reserved { cpu, memory, gpu } => format!(
                "{} x ({} cores, {} GiB, {} GPUs)",
                self.replicas,
                *cpu as f64 / PARTS,
                *memory as f64 / 1024.0,
                *gpu as f64 / PARTS
            ),
        };
        format!("{version}{place}, {} at once", self.slots())
    }

    pub fn slots(&self) -> i64 {
        i64::from(self.replicas) * i64::from(self.concurrency)
    }

    /// What its machines cost for a length of time; a host's is the whole of it, whoever else is on it.
    ///
    /// # Errors
    /// What has no price.
    pub fn cost(&self, rates: &Rates, micros: i64) -> Result<Exact, String> {
        let replicas = i128::from(self.replicas);
        let machine = match &self.on {
            On::Host(name) => priced(rates.hosts.get(name), "host", name)?.for_time(micros),
            On::Instance(name) => {
                priced(rates.instances.get(name), "instance", name)?.for_time(micros).scaled(replicas, 1)
            }
            On::Reserved { cpu, memory, gpu } => {
                let of = |price: Price, n: u64, whole: i128| {
                    price.of_part(i128::from(n) * i128::from(micros) * replicas, whole * i128::from(HOUR_US))
                };
                of(rates.cpu, *cpu, 1000) + of(rates.memory, *memory, 1024) + of(rates.gpu, *gpu, 1000)
            }
        };
        Ok(machine)
    }

    /// Its disk for a length of time.
    pub fn storage_cost(&self, rates: &Rates, micros: i64) -> Exact {
        rates.storage.of_part(i128::from(self.storage) * i128::from(micros), 1024 * i128::from(HOUR_US))
    }
}

fn priced(price: Option<&Price>, what: &str, name: &str) -> Result<Price, String> {
    price.copied().ok_or_else(|| format!("{what} {name} has no price: give it one under [rates.{what}.{name}]"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    service: String,
    version: Option<String>,
    host: Option<String>,
    instance: Option<String>,
    cpu: Option<f64>,
    memory_gib: Option<f64>,
    gpu: Option<f64>,
    #[serde(default = "one")]
    replicas: u32,
    #[serde(default = "one")]
    concurrency: u32,
    #[serde(default)]
    storage_gib: f64,
    #[serde(default)]
    answer_kib: f64,
    expected_predictions: Option<u64>,
    since: Option<String>,
    until: Option<String>,
}

fn one() -> u32 {
    1
}

/// The `[[serving]]` tables of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Vec<Placement>> {
    document.entries("serving", false)?.iter().map(read).collect()
}

fn read(entry: &Entry<'_>) -> Result<Placement> {
    let form: Form = entry.read()?;
    let amount = |key: &str, given: f64, unit: f64| {
        let fits = given.is_finite() && (0.0..=1e9).contains(&given);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked
        fits.then(|| (given * unit).round() as u64)
            .ok_or_else(|| entry.fault(key, format!("{key} is a number of 0 or more, not {given}")))
    };
    let reserved = form.cpu.is_some() || form.memory_gib.is_some() || form.gpu.is_some();
    let on = match (form.host, form.instance, reserved) {
        (Some(host), None, false) => On::Host(host),
        (None, Some(instance), false) => On::Instance(instance),
        (None, None, true) => On::Reserved {
            cpu: amount("cpu", form.cpu.unwrap_or(0.0), PARTS)?,
            memory: amount("memory_gib", form.memory_gib.unwrap_or(0.0), 1024.0)?,
            gpu: amount("gpu", form.gpu.unwrap_or(0.0), PARTS)?,
        },
        _ => {
            let what = "a service runs on a host, on instances, or on cpu, memory_gib and gpu: one of the three";
            return Err(entry.fault("", what));
        }
    };
    if matches!(on, On::Host(_)) && form.replicas != 1 {
        return Err(entry.fault("replicas", "a host is one machine: name each in a [[serving]] of its own"));
    }
    for (key, n, most) in
        [("replicas", form.replicas, REPLICAS_MAX), ("concurrency", form.concurrency, CONCURRENCY_MAX)]
    {
        if n == 0 || n > most {
            return Err(entry.fault(key, format!("{key} is between 1 and {most}, not {n}")));
        }
    }
    let moment = |key: &str, text: Option<String>| {
        text.map(|text| {
            let at = Timestamp::parse(&text).filter(|t| t.0.rem_euclid(HOUR_US) == 0);
            at.ok_or_else(|| entry.fault(key, format!("{key} is a date, or a moment on the hour, not {text:?}")))
        })
        .transpose()
    };
    let (since, until) = (moment("since", form.since)?, moment("until", form.until)?);
    if since.zip(until).is_some_and(|(a, b)| a >= b) {
        return Err(entry.fault("until", "until lies after since"));
    }
    Ok(Placement {
        service: form.service,
        version: form.version.map(|v| v.trim_start_matches('v').to_owned()),
        on,
        replicas: form.replicas,
        concurrency: form.concurrency,
        storage: amount("storage_gib", form.storage_gib, 1024.0)?,
        answer: amount("answer_kib", form.answer_kib, 1024.0)?,
        expected: form.expected_predictions.filter(|n| *n > 0),
        since,
        until,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetForm {
    name: String,
    month: f64,
    #[serde(default = "all")]
    of: String,
}

fn all() -> String {
    "*".to_owned()
}

/// The `[[budget]]` tables of a file.
///
/// # Errors
/// `Invalid` with file and line.
pub fn budgets(document: &mut Document<'_>) -> Result<Vec<Budget>> {
    let mut found: Vec<Budget> = Vec::new();
    for entry in document.entries("budget", false)? {
        let form: BudgetForm = entry.read()?;
        if !form.month.is_finite() || form.month <= 0.0 || form.month > 1e12 {
            return Err(entry.fault("month", format!("a budget is an amount above 0, not {}", form.month)));
        }
        if form.name.trim().is_empty() || found.iter().any(|b| b.name == form.name) {
            return Err(entry.fault("name", format!("a budget has a name of its own, not {:?}", form.name)));
        }
        #[allow(clippy::cast_possible_truncation)] // checked
        found.push(Budget { name: form.name, month: Micro((form.month * 1e6).round() as i64), of: form.of });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Placement> {
        parse(&mut Document::parse("s.toml", text).unwrap()).map(|mut all| all.remove(0))
    }

    #[test]
    fn a_reservation_costs_each_of_its_parts() {
        let text = "[[serving]]\nservice = 'a'\ncpu = 1.5\nmemory_gib = 2\nreplicas = 2\nstorage_gib = 10\n";
        let placement = one(text).unwrap();
        let rates = super::super::rates::defaults().unwrap().rates;
        // 2 x (1.5 x 0.031611 + 2 x 0.004237).
        assert_eq!(placement.cost(&rates, HOUR_US).unwrap().rounded(), Micro(111_781));
        assert_eq!(placement.slots(), 2);
        // 0.040004 a month, which is 54.7625 millionths an hour.
        assert_eq!(placement.storage_cost(&rates, HOUR_US).rounded(), Micro(548));
    }

    #[test]
    fn what_has_no_price_is_unknown() {
        let placement = one("[[serving]]\nservice = 'a'\nhost = 'h'\n").unwrap();
        let why = placement.cost(&super::super::rates::defaults().unwrap().rates, HOUR_US).unwrap_err();
        assert!(why.contains("host h has no price"), "{why}");
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, words) in [
            ("service = 'a'\n", "s.toml line 1: a service runs on a host"),
            ("service = 'a'\nhost = 'h'\ncpu = 1\n", "s.toml line 1: a service runs on a host"),
            ("service = 'a'\nhost = 'h'\nreplicas = 2\n", "s.toml line 4: a host is one machine"),
            ("service = 'a'\ncpu = -1\n", "s.toml line 3: cpu is a number of 0 or more"),
            ("service = 'a'\ncpu = 1\nconcurrency = 0\n", "s.toml line 4: concurrency is between"),
            ("service = 'a'\ncpu = 1\nsince = '2026-11-01T00:01:00Z'\n", "s.toml line 4: since is a date"),
        ] {
            let fault = one(&format!("[[serving]]\n{text}")).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
        let mut bad = Document::parse("s.toml", "[[budget]]\nname = 'x'\nmonth = 0\n").unwrap();
        assert!(budgets(&mut bad).unwrap_err().to_string().contains("s.toml line 3: a budget is an amount above 0"));
    }
}
