//! What takes a decision back: the command that stands against another one, where there is one. It is a decision of its own,
//! with its own record, and nothing is erased.

use super::registry::Stage;
use super::{Command, access, cost, gates, registry, rollout, tracking};

/// The command that takes `command` back; `from` is what its record says was there before.
///
/// # Errors
/// In words, why there is none and what to do instead.
pub fn inverse(command: &Command, from: &str) -> Result<Command, String> {
    match command {
        Command::Tracking(c) => of_tracking(c).map(Command::Tracking),
        Command::Registry(c) => of_registry(c, from).map(Command::Registry),
        Command::Rollouts(c) => of_rollout(c).map(Command::Rollouts),
        Command::Gates(c) => of_gates(c).map(Command::Gates),
        Command::Access(access::Command::CreateToken { name, .. }) => {
            Ok(Command::Access(access::Command::RevokeToken { name: name.clone() }))
        }
        Command::Cost(cost::Command::SetBudget { budget }) if from.is_empty() => {
            Ok(Command::Cost(cost::Command::RemoveBudget { name: budget.name.clone() }))
        }
        Command::Access(_) => Err("a revoked token stays revoked: `opsroom token create` makes another".to_owned()),
        Command::Cost(_) | Command::Evals(_) => Err("apply the file as it was before: `opsroom apply`".to_owned()),
        Command::Keeping(_) => {
            Err("what was collected or erased is gone; a backup has it: `opsroom restore`".to_owned())
        }
        Command::Datasets(_) => Err("a version of data stays; nothing has to use it".to_owned()),
        Command::Training(_) => Err("a grade is a finding: a further repetition makes another".to_owned()),
        Command::Incidents(_) => Err("an incident keeps what was done: add a note, `opsroom incident note`".to_owned()),
    }
}

fn of_tracking(command: &tracking::Command) -> Result<tracking::Command, String> {
    use tracking::Command as C;
    Ok(match command {
        C::DeleteExperiment { id } => C::RestoreExperiment { id: *id },
        C::RestoreExperiment { id } => C::DeleteExperiment { id: *id },
        C::DeleteRun { id } => C::RestoreRun { id: *id },
        C::RestoreRun { id } => C::DeleteRun { id: *id },
        C::DeleteLoggedModel { .. } => return Err("a logged model that is deleted cannot be restored".to_owned()),
    })
}

fn of_registry(command: &registry::Command, from: &str) -> Result<registry::Command, String> {
    use registry::Command as C;
    Ok(match command {
        C::RenameModel { model, to } => C::RenameModel { model: to.clone(), to: model.clone() },
        C::DescribeModel { model, .. } => C::DescribeModel { model: model.clone(), description: from.to_owned() },
        C::DescribeVersion { model, version, .. } => {
            C::DescribeVersion { model: model.clone(), version: *version, description: from.to_owned() }
        }
        C::SetAlias { model, alias, .. } => {
            let before = from.rsplit_once('=').map_or("", |(_, v)| v);
            let version = before.trim_start_matches('v').parse().ok();
            C::SetAlias { model: model.clone(), alias: alias.clone(), version }
        }
        C::SetStage { model, version, stage, .. } => {
            // Where prod is part of it, other versions moved, too, and callers with them.
            let before = Stage::parse(from).filter(|before| ![*before, *stage].contains(&Stage::Prod));
            let Some(before) = before else {
                return Err(format!(
                    "production goes back by `opsroom rollback`, or `opsroom promote {model} VERSION --to prod`"
                ));
            };
            C::SetStage { model: model.clone(), version: *version, stage: before, archive_others: false }
        }
        C::CreateModel { model, .. } => C::DeleteModel { model: model.clone() },
        C::RegisterVersion { model, .. } => {
            return Err(format!(
                "`opsroom model delete {model} VERSION` takes a version away; its number is not given again"
            ));
        }
        C::TagModel { .. } | C::TagVersion { .. } => return Err("set the tag anew: `opsroom model tag`".to_owned()),
        C::DeleteModel { .. } | C::DeleteVersion { .. } => {
            return Err("what was deleted from the registry is gone; register it again".to_owned());
        }
    })
}

fn of_rollout(command: &rollout::Command) -> Result<rollout::Command, String> {
    use rollout::Command as C;
    Ok(match command {
        C::HoldRollout { service } => C::ResumeRollout { service: service.clone() },
        C::ResumeRollout { service } => C::HoldRollout { service: service.clone() },
        C::StartRollout { service, .. } => C::DropRollout { service: service.clone() },
        C::SwitchService { service, .. } | C::FinishRollout { service } => {
            C::Rollback { service: service.clone(), to: None }
        }
        C::DropRollout { service } | C::Rollback { service, .. } => C::UndoRollback { service: service.clone() },
        C::ForbidVersion { model, version } => C::AllowVersion { model: model.clone(), version: *version },
        C::AllowVersion { model, version } => C::ForbidVersion { model: model.clone(), version: *version },
        _ => {
            return Err(
                "say what callers are to get: `opsroom rollout weight|start`, `opsroom service switch`".to_owned()
            );
        }
    })
}

fn of_gates(command: &gates::Command) -> Result<gates::Command, String> {
    use gates::Command as C;
    Ok(match command {
        C::Approve { model, version, stage } => {
            C::WithdrawApproval { model: model.clone(), version: *version, stage: *stage }
        }
        C::WithdrawApproval { model, version, stage } => {
            C::Approve { model: model.clone(), version: *version, stage: *stage }
        }
        C::WaiveGate { model, version, gate, .. } => {
            C::EndWaiver { model: model.clone(), version: *version, gate: gate.clone() }
        }
        _ => return Err("apply the file as it was before: `opsroom apply`".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::RunId;

    #[test]
    fn a_decision_taken_back_twice_is_itself() {
        let all = [
            Command::Tracking(tracking::Command::DeleteRun { id: RunId(7) }),
            Command::Rollouts(rollout::Command::HoldRollout { service: "s".to_owned() }),
            Command::Rollouts(rollout::Command::ForbidVersion { model: "m".to_owned(), version: 3 }),
            Command::Gates(gates::Command::Approve { model: "m".to_owned(), version: 3, stage: Stage::Prod }),
        ];
        for command in all {
            assert_eq!(inverse(&inverse(&command, "").unwrap(), "").unwrap(), command);
        }
    }

    #[test]
    fn what_was_before_comes_back_and_production_does_not_move_by_the_way() {
        let stage = |stage| {
            Command::Registry(registry::Command::SetStage {
                model: "m".to_owned(),
                version: 3,
                stage,
                archive_others: true,
            })
        };
        let Ok(Command::Registry(registry::Command::SetStage { stage: back, .. })) =
            inverse(&stage(Stage::Staging), "dev")
        else {
            panic!("a stage goes back")
        };
        assert_eq!(back, Stage::Dev);
        for (to, from) in [(Stage::Prod, "staging"), (Stage::Archived, "prod"), (Stage::Staging, "dev, v2 prod")] {
            assert!(inverse(&stage(to), from).unwrap_err().contains("opsroom rollback"), "{from}");
        }
        let alias = registry::Command::SetAlias { model: "m".to_owned(), alias: "a".to_owned(), version: Some(4) };
        for (from, version) in [("a=3", Some(3)), ("a=v3", Some(3)), ("a=-", None), ("a=", None)] {
            let back = inverse(&Command::Registry(alias.clone()), from).unwrap();
            assert_eq!(
                back,
                Command::Registry(registry::Command::SetAlias {
                    model: "m".to_owned(),
                    alias: "a".to_owned(),
                    version
                })
            );
        }
    }
}
