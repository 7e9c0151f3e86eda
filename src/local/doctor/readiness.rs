//! The twelve capabilities as they stand in a store, and in which order what is missing pays.

use super::{Capability, Evidence, State};

/// Rows in the order that pays: tracking and registry; evals and gates; monitoring and canary; rollback and audit; drift
/// and data versions; cost and reproducibility. Without an agent's answer all is unknown.
pub fn readiness(evidence: Option<&Evidence>) -> Vec<Capability> {
    let Some(e) = evidence else {
        let unknown = |(name, step): (&'static str, u8)| Capability {
            name: name.into(),
            state: State::Unknown,
            evidence: "no agent answers".to_owned(),
            next: String::new(),
            step,
        };
        return NAMES.into_iter().map(unknown).collect();
    };
    let mut rows = vec![
        tracking(e),
        registry(e),
        evals(e),
        gates(e),
        canary(e),
        monitoring(e),
        rollback(e),
        audit(e),
        drift(e),
        data(e),
        cost(e),
        reproducible(e),
    ];
    rows.sort_by_key(|c| c.step);
    rows
}

const NAMES: [(&str, u8); 12] = [
    ("experiment tracking", 1),
    ("model registry", 1),
    ("eval harness", 2),
    ("pre-deploy gates", 2),
    ("canary deployment", 3),
    ("production monitoring", 3),
    ("rollback path", 4),
    ("audit trail", 4),
    ("drift detection", 5),
    ("data versioning", 5),
    ("cost", 6),
    ("reproducible training", 6),
];

/// A state by what there is: everything, some, nothing.
fn grade(whole: bool, some: bool) -> State {
    match (whole, some) {
        (true, _) => State::Good,
        (false, true) => State::Partly,
        (false, false) => State::Missing,
    }
}

fn row(name: &'static str, state: State, evidence: String, next: &str) -> Capability {
    let step = NAMES.iter().find(|(n, _)| *n == name).map_or(9, |(_, step)| *step);
    let next = if state == State::Good { String::new() } else { next.to_owned() };
    Capability { name: name.into(), state, evidence, next, step }
}

fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn tracking(e: &Evidence) -> Capability {
    let next = "`eval \"$(opsroom connect mlflow)\"` and run a script, or `opsroom import mlflow mlruns/`";
    row("experiment tracking", grade(e.runs > 0, false), counted(e.runs, "run"), next)
}

fn registry(e: &Evidence) -> Capability {
    let evidence =
        format!("{}, {}, {} in prod", counted(e.models, "model"), counted(e.versions, "version"), e.in_prod.len());
    let next = if e.versions == 0 {
        "`opsroom model register MODEL --run RUN --reason WHY`"
    } else {
        "say what is in production: `opsroom promote MODEL VERSION --to prod --reason WHY`"
    };
    row("model registry", grade(!e.in_prod.is_empty(), e.versions > 0), evidence, next)
}

fn evals(e: &Evidence) -> Capability {
    let with = e.in_prod.iter().filter(|p| p.evals > 0).count();
    let evidence = format!("{}, {with} of {} prod versions have results", counted(e.suites, "suite"), e.in_prod.len());
    let whole = e.suites > 0 && !e.in_prod.is_empty() && with == e.in_prod.len();
    let next = if e.suites == 0 {
        "`opsroom init` writes a suite to start from; `opsroom apply` takes it"
    } else {
        "`opsroom eval run SUITE MODEL VERSION` for what is in prod"
    };
    row("eval harness", grade(whole, e.suites > 0), evidence, next)
}

fn gates(e: &Evidence) -> Capability {
    let with = e.in_prod.iter().filter(|p| p.gated).count();
    let evidence = format!(
        "{}, {} kept, {with} of {} prod versions gated",
        counted(e.gates, "gate"),
        counted(e.decisions, "decision"),
        e.in_prod.len()
    );
    let whole = e.gates > 0 && with == e.in_prod.len();
    row(
        "pre-deploy gates",
        grade(whole, e.gates > 0),
        evidence,
        "write a gate for every model in prod (`opsroom init`), and `opsroom apply` it",
    )
}

fn canary(e: &Evidence) -> Capability {
    let evidence = format!(
        "{}, {} routed, {} on their way, {} ended",
        counted(e.services, "service"),
        e.services_routed,
        e.rollouts_going,
        e.rollouts_ended
    );
    let next = if e.services == 0 {
        "write [service.NAME] with its model and addresses into a file, and `opsroom apply` it"
    } else {
        "bring the next version by steps: `opsroom rollout start SERVICE VERSION --reason WHY`"
    };
    let went = e.rollouts_going + e.rollouts_ended > 0;
    row("canary deployment", grade(e.services_routed > 0 && went, e.services > 0), evidence, next)
}

fn monitoring(e: &Evidence) -> Capability {
    let evidence = format!(
        "{} of {} told of, {} with labels in a week, {}",
        counted(e.versions_told, "version"),
        counted(e.services_told, "service"),
        e.versions_labelled,
        counted(e.alerts, "alert rule")
    );
    let next = if e.versions_told == 0 {
        "route a service, or send what models said: `opsroom predictions add FILE`"
    } else if e.versions_labelled == 0 {
        "send what turned out to be true: `opsroom labels add FILE`"
    } else {
        "write an [[alert]] for what must not happen, and `opsroom apply` it"
    };
    row("production monitoring", grade(e.versions_labelled > 0 && e.alerts > 0, e.versions_told > 0), evidence, next)
}

fn drift(e: &Evidence) -> Capability {
    let evidence = format!(
        "{} of {} held against training data, {} alarms now",
        e.versions_profiled,
        counted(e.versions_told, "version"),
        e.drift_alarms
    );
    let next = if e.versions_told == 0 {
        "predictions with their features come first: `opsroom predictions add FILE`"
    } else {
        "give the training data a version (`opsroom data add`), and register from a run that read it"
    };
    row("drift detection", grade(e.versions_profiled > 0, e.versions_told > 0), evidence, next)
}

fn cost(e: &Evidence) -> Capability {
    let prices = if e.own_prices { "your own prices" } else { "default prices" };
    let evidence = format!(
        "{prices}, {} of {} placed, {}",
        e.services_placed,
        counted(e.services_told.max(e.services), "service"),
        counted(e.budgets, "budget")
    );
    let next = if e.own_prices {
        "say what each service runs on ([[serving]]) and what may be spent ([[budget]]), and `opsroom apply` it"
    } else {
        "write your prices into a file like config/rates.toml, and `opsroom apply` it"
    };
    let whole = e.own_prices && e.services_placed > 0 && e.budgets > 0;
    row("cost", grade(whole, e.own_prices || e.services_placed > 0 || e.budgets > 0), evidence, next)
}

fn rollback(e: &Evidence) -> Capability {
    let with = e.in_prod.iter().filter(|p| p.previous.is_some()).count();
    let evidence = format!("{with} of {} prod versions have one to go back to", e.in_prod.len());
    let whole = with > 0 && with == e.in_prod.len();
    row(
        "rollback path",
        grade(whole, with > 0),
        evidence,
        "the second version that goes to prod leaves the first to go back to",
    )
}

fn audit(e: &Evidence) -> Capability {
    let records = format!("{} records", e.audit_records);
    match e.audit_whole {
        Some(true) if e.audit_records > 0 => row("audit trail", State::Good, format!("{records}, the chain holds"), ""),
        Some(true) => row("audit trail", State::Missing, records, "the first decision leaves the first record"),
        Some(false) => row(
            "audit trail",
            State::Partly,
            format!("{records}, the chain does NOT hold"),
            "`opsroom audit verify` names the first bad record",
        ),
        None => row("audit trail", State::Unknown, format!("{records}, not checked"), "`opsroom audit verify`"),
    }
}

fn data(e: &Evidence) -> Capability {
    let evidence = format!(
        "{} of {}, {} read by runs, {} profiled; {} named by scripts only",
        counted(e.dataset_versions, "version"),
        counted(e.datasets, "dataset"),
        e.dataset_versions_used,
        e.dataset_profiles,
        e.datasets_logged
    );
    let whole = e.dataset_versions_used > 0 && e.dataset_profiles > 0;
    let next = if e.dataset_versions == 0 {
        "`opsroom data add PATH --name NAME`"
    } else {
        "train with it: `opsroom run --data NAME@VERSION -- CMD`"
    };
    row("data versioning", grade(whole, e.dataset_versions > 0), evidence, next)
}

fn reproducible(e: &Evidence) -> Capability {
    let evidence = format!("{} of {} captured, {} repeated", e.runs_captured, counted(e.runs, "run"), e.runs_repeated);
    let next = if e.runs_captured == 0 {
        "`opsroom run -- python train.py`"
    } else {
        "`opsroom rerun RUN` proves that it comes out the same"
    };
    row("reproducible training", grade(e.runs_repeated > 0, e.runs_captured > 0), evidence, next)
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Production;
    use super::super::{Report, State};
    use super::*;

    fn report(evidence: &Evidence) -> Report {
        Report { capabilities: readiness(Some(evidence)), findings: evidence.findings(), checks: Vec::new() }
    }

    #[test]
    fn an_empty_store_is_told_to_track_first() {
        let report = report(&Evidence { audit_whole: Some(true), ..Evidence::default() });
        assert!(report.capabilities.iter().all(|c| c.state == State::Missing && !c.next.is_empty()));
        assert_eq!(report.next().unwrap().name, "experiment tracking");
        assert!(report.findings.is_empty());
    }

    #[test]
    fn a_version_in_prod_without_proof_is_named() {
        let bare = Production { name: "m v1".to_owned(), ..Production::default() };
        let evidence = Evidence {
            runs: 3,
            models: 1,
            versions: 1,
            in_prod: vec![bare],
            audit_records: 2,
            audit_whole: Some(true),
            ..Evidence::default()
        };
        let report = report(&evidence);
        assert_eq!(report.findings.len(), 3);
        assert!(report.findings.iter().all(|f| f.places == ["m v1"]));
        assert_eq!(report.next().unwrap().name, "eval harness");
    }

    #[test]
    fn what_stands_asks_for_nothing() {
        let prod = Production { name: "m v2".to_owned(), evals: 1, gated: true, lineage: true, previous: Some(1) };
        let evidence = Evidence {
            runs: 3,
            runs_captured: 1,
            runs_repeated: 1,
            datasets: 1,
            datasets_logged: 0,
            dataset_versions: 1,
            dataset_versions_used: 1,
            dataset_profiles: 1,
            models: 1,
            versions: 2,
            in_prod: vec![prod],
            suites: 1,
            gates: 1,
            decisions: 1,
            audit_records: 9,
            audit_whole: Some(true),
            services: 1,
            services_routed: 1,
            rollouts_going: 0,
            rollouts_ended: 1,
            services_told: 1,
            versions_told: 2,
            versions_labelled: 1,
            versions_profiled: 1,
            drift_alarms: 0,
            alerts: 1,
            own_prices: true,
            services_placed: 1,
            budgets: 1,
        };
        let report = report(&evidence);
        assert!(report.capabilities.iter().all(|c| c.state == State::Good && c.next.is_empty()), "{report:?}");
        assert!(report.next().is_none() && report.findings.is_empty());
    }

    #[test]
    fn without_an_agent_nothing_is_called_missing() {
        assert!(readiness(None).iter().all(|c| c.state == State::Unknown));
    }
}
