//! `opsroom rerun`: a captured run once more. What came out is compared by the agent, which keeps the grade.

use std::path::Path;

use super::environment::Restore;
use super::launch::Echo;
use super::repeat::{Obstacle, Stage, set_up};
use super::start::{Start, start};
use crate::base::id::RunId;
use crate::base::{Fault, Kind, fault::Result};
use crate::capability::tracking::{RunStatus, RunView};
use crate::capability::training::{CAPTURE, Capture, Cause, Command, Comparison, RERUN_OF_TAG};
use crate::capability::{self, Envelope};
use crate::client::Client;
use crate::local::data::Cache;

/// How to repeat.
pub struct Rerun<'a> {
    pub cache: &'a Cache,
    /// Folder for worktrees, restored data and environments.
    pub scratch: &'a Path,
    pub echo: Echo,
    pub restore: Restore,
    /// Hears what takes a while.
    pub tell: &'a dyn Fn(&str),
    /// For the audit trail.
    pub reason: &'a str,
}

/// Repeats a run and has it graded.
///
/// # Errors
/// `NotFound`, `Conflict` while the run goes on, `Denied` to who may not grade, `Unavailable`.
pub async fn rerun(client: &Client, id: RunId, how: &Rerun<'_>) -> Result<Comparison> {
    let run = finished(client, id).await?;
    // Before hours of training: may the caller have it graded at all?
    let question = Command::CannotRepeat { run: id, causes: vec![Cause::new("nothing", "asked whether it may")] };
    let question = Envelope { dry_run: true, ..Envelope::new(capability::Command::Training(question), how.reason) };
    client.perform(&question).await?;
    let command = match prepared(client, id, how).await? {
        Err(obstacle) => Command::CannotRepeat { run: id, causes: vec![obstacle] },
        Ok(stage) => {
            let again = start(client, of(&stage, &run, how.echo)).await;
            stage.clear();
            let again = again?;
            refuse_interrupted(again.ended.status, stage.status)?;
            Command::GradeRun { run: id, rerun: again.run }
        }
    };
    client.perform(&Envelope::new(capability::Command::Training(command), how.reason)).await?;
    let grade = client.grade(id).await?.ok_or_else(|| Fault::bug("the grade was not kept"))?;
    Ok(grade.comparison)
}

/// Whether a run could be repeated; what is in the way if it could not.
///
/// # Errors
/// As [`rerun`].
pub async fn rehearse(client: &Client, id: RunId, how: &Rerun<'_>) -> Result<Option<Obstacle>> {
    finished(client, id).await?;
    Ok(match prepared(client, id, how).await? {
        Err(obstacle) => Some(obstacle),
        Ok(stage) => {
            stage.clear();
            None
        }
    })
}

/// Whoever ended a repetition by hand has not found out that it cannot be repeated.
fn refuse_interrupted(status: u8, then: u8) -> Result<()> {
    if status != then && matches!(status, 130 | 137 | 143) {
        return Err(Fault::conflict("the repetition was ended by a signal; nothing was graded")
            .why(format!("its exit status was {status}, the original's {then}"))
            .next("repeat it again, to its end"));
    }
    Ok(())
}

/// What an earlier repetition left behind that was killed: folders bear the number of their process.
fn sweep(scratch: &Path) {
    for entry in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.split_once('-').and_then(|(pid, _)| rustix::process::Pid::from_raw(pid.parse().ok()?));
        if process.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn finished(client: &Client, id: RunId) -> Result<RunView> {
    let run = client.run(id).await?;
    if run.status == RunStatus::Running {
        return Err(Fault::conflict(format!("{} still goes on", run.name)).next("wait for its end"));
    }
    Ok(run)
}

/// Everything at its place, or what is in the way.
async fn prepared(client: &Client, id: RunId, how: &Rerun<'_>) -> Result<std::result::Result<Stage, Obstacle>> {
    let then: Capture = match client.artifact_bytes(id, CAPTURE).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Fault::invalid("the run's capture cannot be read").why(e.to_string()))?,
        Err(fault) if fault.kind == Kind::NotFound => {
            let why = "the run was not started with `opsroom run`: what it stood on is not known";
            return Ok(Err(Cause::new("capture", why)));
        }
        Err(fault) => return Err(fault),
    };
    sweep(how.scratch);
    let scratch = how.scratch.join(format!("{}-{:032x}", std::process::id(), crate::base::id::random_u128()));
    std::fs::create_dir_all(&scratch)
        .map_err(|e| Fault::unavailable(format!("cannot write {}", scratch.display())).why(e.to_string()))?;
    let ready = set_up(client, id, &then, scratch.clone(), how).await;
    if !matches!(ready, Ok(Ok(_))) {
        let _ = std::fs::remove_dir_all(&scratch);
    }
    ready
}

fn of(stage: &Stage, run: &RunView, echo: Echo) -> Start {
    Start {
        command: stage.command.clone(),
        program: Some(stage.program.clone()),
        folder: stage.folder.clone(),
        name: Some(format!("rerun of {}", run.name)),
        experiment: run.experiment.to_string(),
        data: stage.data.clone(),
        environment: stage.environment.clone(),
        keep: Vec::new(),
        tags: vec![(RERUN_OF_TAG.to_owned(), run.id.to_string())],
        stand_ins: stage.stand_ins(),
        echo,
    }
}
