//! Why a repetition may have come out otherwise: what differs between the two captures, then what neither pinned.
//! What changes bits on one machine was measured: threads and CPU model change matrix products, the hash seed changes
//! the order of sets, a missing seed changes everything random.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::environment::{WANTED, WANTED_ON_GPU, is_knob};
use super::{Capture, Difference};

/// A likely cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The knob, package or input by its name.
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    pub why: String,
}

impl Cause {
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), then: None, now: None, why: why.into() }
    }

    #[must_use]
    pub fn changed(mut self, then: Option<&str>, now: Option<&str>) -> Self {
        self.then = then.map(ToOwned::to_owned);
        self.now = now.map(ToOwned::to_owned);
        self
    }

    /// In one line.
    pub fn told(&self) -> String {
        let change = match (&self.then, &self.now) {
            (None, None) => String::new(),
            (then, now) => {
                let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "not set".to_owned());
                format!(" ({} then, {} now)", text(then), text(now))
            }
        };
        format!("{}{change}: {}", self.what, self.why)
    }
}

/// Packages that are named each; more are counted.
const PACKAGES_MAX: usize = 20;

/// The likeliest first. `differences` are what came out otherwise.
pub fn causes(then: &Capture, now: &Capture, differences: &[Difference]) -> Vec<Cause> {
    let mut causes = params(differences);
    causes.extend(environment(&then.environment, &now.environment));
    causes.extend(datasets(then, now));
    causes.extend(interpreter(then, now));
    causes.extend(packages(then, now));
    causes.extend(hardware(then, now));
    let certain = !causes.is_empty();
    causes.extend(unpinned(then));
    if !certain {
        let seeds = Cause::new(
            "seeds",
            "source, data, packages and knobs are the same: a random generator without a seed (random_state, \
             numpy, framework, workers), or files, time or network that the program reads unnoticed",
        );
        causes.insert(0, seeds);
    }
    causes
}

/// A param that changed is what the script itself calls a cause.
fn params(differences: &[Difference]) -> Vec<Cause> {
    let param = |d: &Difference| match d {
        Difference::Param { key, then, now } => {
            let why = if key.to_lowercase().contains("seed") || key.contains("random_state") {
                "another seed gives other random numbers"
            } else {
                "the program was given, or read, another value"
            };
            Some(Cause::new(key.clone(), why).changed(then.as_deref(), now.as_deref()))
        }
        _ => None,
    };
    differences.iter().filter_map(param).collect()
}

fn environment(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Cause> {
    let mut names: Vec<&String> = then.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // Knobs first: the rest rarely changes a number.
    names.sort_by_key(|n| !is_knob(n));
    let changed = names.into_iter().filter(|n| then.get(*n) != now.get(*n));
    changed
        .map(|name| {
            Cause::new(name.clone(), why_knob(name))
                .changed(then.get(name).map(String::as_str), now.get(name).map(String::as_str))
        })
        .collect()
}

fn why_knob(name: &str) -> &'static str {
    let upper = name.to_ascii_uppercase();
    if upper == "PYTHONHASHSEED" {
        "another hash seed gives sets and hashes of text another order"
    } else if upper.contains("SEED") {
        "another seed gives other random numbers"
    } else if upper.contains("THREAD") || upper.contains("CPU_COUNT") || upper.contains("PARALLEL") {
        "another number of threads adds up in another order"
    } else if upper.contains("CORETYPE") || upper.contains("CBWR") || upper.contains("CPU_FEATURES") {
        "other instructions of the CPU round otherwise"
    } else if ["CUBLAS", "CUDA", "CUDNN", "NCCL", "TF32", "TF_", "XLA", "TORCH"].iter().any(|k| upper.contains(k)) {
        "another way of computing on the GPU adds up or rounds otherwise"
    } else {
        "the environment was another"
    }
}

fn datasets(then: &Capture, now: &Capture) -> Vec<Cause> {
    let changed = then.datasets.iter().filter_map(|a| {
        let b = now.datasets.iter().find(|b| b.dataset == a.dataset);
        let same = b.is_some_and(|b| b.digest == a.digest);
        let cause = Cause::new(format!("dataset {}", a.dataset), "the program read other data");
        (!same).then(|| cause.changed(Some(&a.digest), b.map(|b| b.digest.as_str())))
    });
    changed.collect()
}

fn interpreter(then: &Capture, now: &Capture) -> Vec<Cause> {
    match (&then.interpreter, &now.interpreter) {
        (Some(a), Some(b)) if (&a.version, &a.build) != (&b.version, &b.build) => {
            let told = |i: &super::Interpreter| format!("{} {}", i.version, i.build);
            let cause = Cause::new("interpreter", "another build may hash, sort and round otherwise");
            vec![cause.changed(Some(&told(a)), Some(&told(b)))]
        }
        _ => Vec::new(),
    }
}

fn packages(then: &Capture, now: &Capture) -> Vec<Cause> {
    let by_name = |c: &Capture| -> BTreeMap<String, (String, Option<String>)> {
        c.packages.iter().map(|p| (p.name.clone(), (p.version.clone(), p.hash.clone()))).collect()
    };
    let (a, b) = (by_name(then), by_name(now));
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let changed: Vec<Cause> = names
        .into_iter()
        .filter(|n| a.get(*n) != b.get(*n))
        .map(|name| {
            let version = |m: &BTreeMap<String, (String, Option<String>)>| m.get(name).map(|(v, _)| v.clone());
            let (x, y) = (version(&a), version(&b));
            let why = if x == y { "the same version with other files" } else { "another version of the package" };
            Cause::new(format!("package {name}"), why).changed(x.as_deref(), y.as_deref())
        })
        .collect();
    if changed.len() <= PACKAGES_MAX {
        return changed;
    }
    let more = format!("{} packages", changed.len());
    let names: Vec<String> = changed.iter().take(PACKAGES_MAX).map(|c| c.what.replace("package ", "")).collect();
    vec![Cause::new(more, format!("other versions: {}, …", names.join(", ")))]
}

fn hardware(then: &Capture, now: &Capture) -> Vec<Cause> {
    let (a, b) = (&then.hardware, &now.hardware);
    let mut causes = Vec::new();
    let pinned = ["OPENBLAS_CORETYPE", "MKL_CBWR"].iter().any(|k| then.environment.contains_key(*k));
    if (&a.cpu, &a.cpu_features) != (&b.cpu, &b.cpu_features) && !pinned {
        let cause =
            Cause::new("CPU model", "other instructions round otherwise; OPENBLAS_CORETYPE and MKL_CBWR pin them");
        causes.push(cause.changed(Some(&a.cpu), Some(&b.cpu)));
    }
    let threads = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];
    if a.cores != b.cores && !threads.iter().any(|k| then.environment.contains_key(*k)) {
        let cause = Cause::new("number of cores", "libraries take a thread a core, and add up in another order");
        causes.push(cause.changed(Some(&a.cores.to_string()), Some(&b.cores.to_string())));
    }
    if a.gpus != b.gpus {
        let cause = Cause::new("GPU", "another GPU or driver adds up in another order");
        causes.push(cause.changed(Some(&a.gpus.join(", ")), Some(&b.gpus.join(", "))));
    }
    causes
}

/// Knobs that the original did not pin.
fn unpinned(then: &Capture) -> Vec<Cause> {
    let python = then.interpreter.is_some();
    let gpu = (!then.hardware.gpus.is_empty()).then_some(&WANTED_ON_GPU);
    let free =
        WANTED.iter().chain(gpu).filter(|(_, names, _)| !names.iter().any(|n| then.environment.contains_key(*n)));
    free.filter(|(what, ..)| python || *what != "PYTHONHASHSEED")
        .map(|(what, names, why)| Cause::new(*what, format!("not pinned ({}): {why}", names.join(", "))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(environment: &[(&str, &str)]) -> Capture {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Capture { environment, interpreter: Some(super::super::Interpreter::default()), ..Capture::default() }
    }

    const PINNED: [(&str, &str); 3] =
        [("OMP_NUM_THREADS", "1"), ("PYTHONHASHSEED", "0"), ("OPENBLAS_CORETYPE", "Haswell")];

    #[test]
    fn what_changed_comes_first_and_by_its_name() {
        let mut other = PINNED;
        other[0].1 = "2";
        let found = causes(&capture(&PINNED), &capture(&other), &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].told(),
            "OMP_NUM_THREADS (1 then, 2 now): another number of threads adds up in another order"
        );
        let seed = Difference::Param { key: "seed".to_owned(), then: Some("7".to_owned()), now: Some("8".to_owned()) };
        assert_eq!(causes(&capture(&PINNED), &capture(&PINNED), &[seed])[0].what, "seed");
    }

    #[test]
    fn with_a_gpu_its_knobs_count_and_the_card_itself() {
        let on = |gpu: &str, knobs: &[(&str, &str)]| {
            let mut capture = capture(&[&PINNED[..], knobs].concat());
            capture.hardware.gpus = vec![gpu.to_owned()];
            capture
        };
        let pinned = [("CUBLAS_WORKSPACE_CONFIG", ":4096:8")];
        let names =
            |then: &Capture, now: &Capture| causes(then, now, &[]).into_iter().map(|c| c.what).collect::<Vec<_>>();
        let (free, held) = (on("A100, 550", &[]), on("A100, 550", &pinned));
        assert_eq!(names(&free, &free), ["seeds", "cuBLAS workspace"]);
        assert_eq!(names(&held, &held), ["seeds"]);
        assert_eq!(names(&held, &on("H100, 550", &pinned)), ["GPU"]);
        let other = causes(&held, &on("A100, 550", &[("CUBLAS_WORKSPACE_CONFIG", ":16:8")]), &[]);
        assert!(other[0].what == "CUBLAS_WORKSPACE_CONFIG" && other[0].why.contains("GPU"), "{other:?}");
    }

    #[test]
    fn when_nothing_changed_it_is_the_seeds_or_what_was_not_pinned() {
        let all = causes(&capture(&PINNED), &capture(&PINNED), &[]);
        assert_eq!(all.iter().map(|c| c.what.as_str()).collect::<Vec<_>>(), ["seeds"]);
        let free = causes(&capture(&[]), &capture(&[]), &[]);
        let names: Vec<&str> = free.iter().map(|c| c.what.as_str()).collect();
        assert_eq!(names, ["seeds", "thread counts", "PYTHONHASHSEED", "BLAS core type"]);
    }
}
