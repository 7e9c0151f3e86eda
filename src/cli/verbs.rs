//! The line of the command line that does the same as a command. The match is exhaustive, so that no command comes to
//! be which cannot be reached from a shell.

use crate::capability::monitoring::incident;
use crate::capability::{Command, access, cost, datasets, evals, gates, keeping, registry, rollout, tracking};

/// Arguments after `opsroom`, each one word of the shell once it is quoted.
pub fn arguments(command: &Command) -> Vec<String> {
    match command {
        Command::Tracking(c) => of_tracking(c),
        Command::Registry(c) => of_registry(c),
        Command::Access(c) => of_access(c),
        Command::Datasets(c) => of_datasets(c),
        // Either is what a repetition comes to; which one, the repetition says.
        Command::Training(c) => words(["rerun", &c.run().to_string()]),
        Command::Evals(c) => of_evals(c),
        Command::Gates(c) => of_gates(c),
        Command::Incidents(c) => of_incidents(c),
        Command::Rollouts(c) => of_rollouts(c),
        Command::Cost(c) => of_cost(c),
        Command::Keeping(c) => of_keeping(c),
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn of_tracking(command: &tracking::Command) -> Vec<String> {
    use tracking::Command as C;
    match command {
        C::DeleteExperiment { id } => words(["experiment", "delete", &id.to_string()]),
        C::RestoreExperiment { id } => words(["experiment", "restore", &id.to_string()]),
        C::DeleteRun { id } => words(["runs", "delete", &id.to_string()]),
        C::RestoreRun { id } => words(["runs", "restore", &id.to_string()]),
        C::DeleteLoggedModel { id } => words(["model", "delete-logged", &id.to_string()]),
    }
}

fn of_registry(command: &registry::Command) -> Vec<String> {
    use registry::Command as C;
    match command {
        C::CreateModel { model, .. } => words(["model", "create", model]),
        C::RenameModel { model, to } => words(["model", "rename", model, to]),
        C::DescribeModel { model, description } => words(["model", "card", model, "--set", description]),
        C::TagModel { model, key, value } => tag(model, key, value.as_deref()),
        C::DeleteModel { model } => words(["model", "delete", model, "--all"]),
        C::RegisterVersion { model, doc, .. } => words(["model", "register", model, "--source", &doc.source]),
        C::SetStage { model, version, stage, .. } => {
            words(["promote", model, &version.to_string(), "--to", stage.name()])
        }
        C::SetAlias { model, alias, version: Some(version) } => {
            words(["model", "alias", model, alias, &version.to_string()])
        }
        C::SetAlias { model, alias, version: None } => words(["model", "alias", model, alias, "--remove"]),
        C::DescribeVersion { model, version, description } => {
            words(["model", "card", model, &version.to_string(), "--set", description])
        }
        C::TagVersion { model, version, key, value } => {
            let mut words = tag(model, key, value.as_deref());
            words.extend(["--of".to_owned(), version.to_string()]);
            words
        }
        C::DeleteVersion { model, version } => words(["model", "delete", model, &version.to_string()]),
    }
}

fn tag(model: &str, key: &str, value: Option<&str>) -> Vec<String> {
    match value {
        Some(value) => words(["model", "tag", model, &format!("{key}={value}")]),
        None => words(["model", "tag", model, "--remove", key]),
    }
}

fn of_access(command: &access::Command) -> Vec<String> {
    match command {
        access::Command::CreateToken { name, role, .. } => words(["token", "create", name, "--role", role.name()]),
        access::Command::RevokeToken { name } => words(["token", "revoke", name]),
    }
}

fn of_datasets(command: &datasets::Command) -> Vec<String> {
    match command {
        datasets::Command::AddVersion { dataset, doc } => words(["data", "add", &doc.source, "--name", dataset]),
    }
}

fn of_evals(command: &evals::Command) -> Vec<String> {
    use evals::Command as C;
    match command {
        C::SetSuite { suite } => words(["apply", &format!("{}.toml", suite.name)]),
        C::RemoveSuite { name } => words(["eval", "remove", name]),
        C::RecordEval { report } => words(["eval", "run", &report.suite, &report.model, &report.version.to_string()]),
    }
}

fn of_rollouts(command: &rollout::Command) -> Vec<String> {
    use rollout::Command as C;
    match command {
        C::SetService { .. } => words(["apply", "service.toml"]),
        C::RemoveService { name } => words(["service", "remove", name]),
        C::StartRollout { service, version } => words(["rollout", "start", service, &version.to_string()]),
        C::AdvanceRollout { service } => words(["rollout", "advance", service]),
        C::SetWeight { service, weight } => {
            words(["rollout", "weight", service, &rollout::service::percent(*weight).to_string()])
        }
        C::HoldRollout { service } => words(["rollout", "hold", service]),
        C::ResumeRollout { service } => words(["rollout", "resume", service]),
        C::DropRollout { service } => words(["rollout", "drop", service]),
        C::FinishRollout { service } => words(["rollout", "finish", service]),
        C::SwitchService { service, version } => words(["service", "switch", service, &version.to_string()]),
        C::Rollback { service, to: None } => words(["rollback", service]),
        C::Rollback { service, to: Some(version) } => words(["rollback", service, "--to", &version.to_string()]),
        C::UndoRollback { service } => words(["rollback", service, "--undo"]),
        C::Deployed { service, version } => words(["deployed", service, &version.to_string()]),
        C::DeployFailed { service, version, .. } => words(["deployed", service, &version.to_string(), "--failed"]),
        C::ForbidVersion { model, version } => words(["forbid", model, &version.to_string()]),
        C::AllowVersion { model, version } => words(["allow", model, &version.to_string()]),
    }
}

fn of_gates(command: &gates::Command) -> Vec<String> {
    use gates::Command as C;
    let id = |model: &str, version: u32, stage: registry::Stage| format!("{model}@{version}:{}", stage.name());
    match command {
        C::SetGates { model, stage, gates } if gates.is_empty() => {
            words(["gate", "clear", model, "--to", stage.name()])
        }
        C::SetGates { .. } | C::SetPolicy { .. } => words(["apply", "gates.toml"]),
        C::RemovePolicy { model } => words(["gate", "no-policy", model]),
        C::CheckGates { model, version, stage } => {
            words(["gate", "check", model, &version.to_string(), "--to", stage.name()])
        }
        C::WaiveGate { model, version, gate, until } => {
            words(["gate", "waive", model, &version.to_string(), gate, "--until", &until.to_string()])
        }
        C::EndWaiver { model, version, gate } => words(["gate", "waive", model, &version.to_string(), gate, "--end"]),
        C::Approve { model, version, stage } => words(["approve", &id(model, *version, *stage)]),
        C::WithdrawApproval { model, version, stage } => words(["approve", &id(model, *version, *stage), "--withdraw"]),
    }
}

fn of_incidents(command: &incident::Command) -> Vec<String> {
    use incident::Command as C;
    match command {
        C::SetAlert { rule } => words(["apply", &format!("{}.toml", rule.name)]),
        C::RemoveAlert { name } => words(["incident", "remove-rule", name]),
        C::RaiseAlert { service, alert } => words(["incident", "raise", service, &alert.rule, &alert.what]),
        C::ClearAlert { service, rule } => words(["incident", "clear", service, rule]),
        C::AckIncident { id } => words(["incident", "ack", &id.to_string()]),
        C::AssignIncident { id, to } => words(["incident", "assign", &id.to_string(), to]),
        C::SilenceIncident { id, until } => {
            words(["incident", "silence", &id.to_string(), "--until", &until.to_string()])
        }
        C::NoteIncident { id, text } => words(["incident", "note", &id.to_string(), text]),
        C::WatchIncident { id } => words(["incident", "watch", &id.to_string()]),
        C::CloseIncident { id } => words(["incident", "close", &id.to_string()]),
    }
}

fn of_cost(command: &cost::Command) -> Vec<String> {
    use cost::Command as C;
    match command {
        C::SetServing { service, placements } if placements.is_empty() => words(["cost", "clear-serving", service]),
        C::SetRates { .. } | C::SetServing { .. } | C::SetBudget { .. } => words(["apply", "rates.toml"]),
        C::RemoveBudget { name } => words(["cost", "remove-budget", name]),
    }
}

fn of_keeping(command: &keeping::Command) -> Vec<String> {
    use keeping::Command as C;
    match command {
        C::CollectGarbage { unreferenced: true } => words(["gc"]),
        C::CollectGarbage { unreferenced: false } => words(["gc", "--retention-only"]),
        C::ErasePerson { digest } => words(["erase", "--digest", digest]),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::base::id::{ExperimentId, ModelId, RunId};
    use crate::capability::access::Role;
    use crate::capability::registry::{Stage, VersionDoc};
    use crate::capability::training;
    use crate::cli::Arguments;

    fn of_each_kind() -> Vec<Command> {
        use registry::Command as R;
        use tracking::Command as T;
        let model = || "flight delay".to_owned();
        let text = || "x=y".to_owned();
        let tracking = [
            T::DeleteExperiment { id: ExperimentId(1) },
            T::RestoreExperiment { id: ExperimentId(1) },
            T::DeleteRun { id: RunId(7) },
            T::RestoreRun { id: RunId(7) },
            T::DeleteLoggedModel { id: ModelId(7) },
        ];
        let doc = VersionDoc { source: "models:/m-1".to_owned(), ..VersionDoc::default() };
        let registry = [
            R::CreateModel { model: model(), description: text(), tags: Vec::new() },
            R::RenameModel { model: model(), to: text() },
            R::DescribeModel { model: model(), description: text() },
            R::TagModel { model: model(), key: text(), value: Some(text()) },
            R::TagModel { model: model(), key: text(), value: None },
            R::DeleteModel { model: model() },
            R::RegisterVersion { model: model(), create: true, import: None, doc },
            R::SetStage { model: model(), version: 3, stage: Stage::Prod, archive_others: false },
            R::SetAlias { model: model(), alias: text(), version: Some(3) },
            R::SetAlias { model: model(), alias: text(), version: None },
            R::DescribeVersion { model: model(), version: 3, description: text() },
            R::TagVersion { model: model(), version: 3, key: text(), value: None },
            R::DeleteVersion { model: model(), version: 3 },
        ];
        let access = [
            access::Command::CreateToken { name: text(), role: Role::Viewer, digest: String::new(), expires: None },
            access::Command::RevokeToken { name: text() },
        ];
        let source = "/data/flights".to_owned();
        let doc = datasets::VersionDoc { source, ..datasets::VersionDoc::default() };
        let data = [datasets::Command::AddVersion { dataset: model(), doc }];
        let causes = vec![training::Cause::new("source", "gone")];
        let training = [
            training::Command::GradeRun { run: RunId(7), rerun: RunId(8) },
            training::Command::CannotRepeat { run: RunId(7), causes },
        ];
        let access = access.into_iter().map(Command::Access).chain(data.into_iter().map(Command::Datasets));
        let access = access.chain(training.into_iter().map(Command::Training));
        let suite: evals::Suite = serde_json::from_value(serde_json::json!({
            "name": "later", "data": "x.csv", "label": "y", "task": "binary", "metrics": ["auc"]
        }))
        .unwrap();
        let report: evals::Report = serde_json::from_value(serde_json::json!({
            "suite": "later", "model": "m", "version": 3, "subject": "", "data_digest": "", "truth": "",
            "predicted": "", "seconds": 1.0, "how": ""
        }))
        .unwrap();
        let evals = [
            evals::Command::SetSuite { suite },
            evals::Command::RemoveSuite { name: text() },
            evals::Command::RecordEval { report },
        ];
        use gates::Command as G;
        let (version, stage, gate, until) = (3, Stage::Prod, text(), crate::base::Timestamp(0));
        let approvals = gates::Rule::Approvals { approvals: 1 };
        let rule = gates::Gate { name: gate.clone(), model: model(), stage, rule: approvals };
        let gates = [
            G::SetGates { model: model(), stage, gates: Vec::new() },
            G::SetGates { model: model(), stage, gates: vec![rule] },
            G::CheckGates { model: model(), version, stage },
            G::WaiveGate { model: model(), version, gate: gate.clone(), until },
            G::EndWaiver { model: model(), version, gate },
            G::Approve { model: model(), version, stage },
            G::WithdrawApproval { model: model(), version, stage },
        ];
        let incidents = about_incidents(until).into_iter().map(Command::Incidents);
        let judged = evals.into_iter().map(Command::Evals).chain(gates.into_iter().map(Command::Gates));
        let budget = cost::Budget { name: text(), month: crate::base::money::Micro(1), of: text() };
        let cost = [
            cost::Command::SetServing { service: text(), placements: Vec::new() },
            cost::Command::SetBudget { budget },
            cost::Command::RemoveBudget { name: text() },
        ];
        let incidents = incidents.chain(cost.into_iter().map(Command::Cost));
        let gc = [true, false].map(|unreferenced| keeping::Command::CollectGarbage { unreferenced });
        let erase = keeping::Command::ErasePerson { digest: "blake3:ab".to_owned() };
        let incidents = incidents.chain(gc.into_iter().chain([erase]).map(Command::Keeping));
        let all = tracking.into_iter().map(Command::Tracking);
        all.chain(registry.into_iter().map(Command::Registry)).chain(access).chain(judged).chain(incidents).collect()
    }

    fn about_incidents(until: crate::base::Timestamp) -> Vec<incident::Command> {
        use incident::Command as I;
        let rule: incident::AlertRule = serde_json::from_value(serde_json::json!({
            "name": "slow", "service": "*", "signal": "latency_p99_ms", "bound": {"above": 200.0}, "clear": 150.0,
            "window": 60, "n_min": 1, "windows": 1, "of": 1, "cooldown": 0, "absent": 0, "severity": 1, "action": "page"
        }))
        .unwrap();
        let alert: incident::Alert = serde_json::from_value(serde_json::json!({
            "rule": "slow", "severity": 1, "action": "page", "what": "it hurts", "value": null, "n": 0,
            "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:01:00Z", "query": ""
        }))
        .unwrap();
        let (service, text) = ("a service".to_owned(), || "x=y".to_owned());
        vec![
            I::SetAlert { rule },
            I::RemoveAlert { name: text() },
            I::RaiseAlert { service: service.clone(), alert },
            I::ClearAlert { service, rule: text() },
            I::AckIncident { id: 7 },
            I::AssignIncident { id: 7, to: text() },
            I::SilenceIncident { id: 7, until },
            I::NoteIncident { id: 7, text: text() },
            I::WatchIncident { id: 7 },
            I::CloseIncident { id: 7 },
        ]
    }

    #[test]
    fn every_command_is_reachable_from_the_command_line() {
        for command in of_each_kind() {
            let mut line = vec!["opsroom".to_owned()];
            line.extend(arguments(&command));
            line.extend(["--reason", "because", "--dry-run", "--json"].map(String::from));
            let parsed = Arguments::try_parse_from(&line);
            assert!(parsed.is_ok(), "{}: {line:?}\n{}", command.name(), parsed.unwrap_err());
        }
    }

    #[test]
    fn the_tree_is_sound() {
        crate::cli::tree().debug_assert();
    }
}
