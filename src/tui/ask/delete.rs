//! Deleting runs and taking them back.

use super::{Ask, Back, Topic, Way, batch_word, fact};
use crate::base::id::RunId;
use crate::capability::{Command, tracking};
use crate::tui::model::Change;
use crate::tui::state::State;

/// Deletes, or restores. Both are soft and each takes the other back.
///
/// # Errors
/// No run is meant.
pub fn ask(state: &State, ids: &[String], delete: bool) -> Result<Ask, String> {
    let briefs: Vec<_> = ids.iter().map(|id| state.brief(id)).collect();
    let (verb, title) = if delete { ("delete", "DELETE") } else { ("restore", "RESTORE") };
    let title = match briefs.as_slice() {
        [] => return Err("no run here".to_owned()),
        [one] => format!("{title}  {}", one.name),
        many => format!("{title} {} RUNS", many.len()),
    };
    let commands: Vec<Command> = ids
        .iter()
        .filter_map(|id| id.parse::<RunId>().ok())
        .map(|id| if delete { tracking::Command::DeleteRun { id } } else { tracking::Command::RestoreRun { id } })
        .map(Command::Tracking)
        .collect();
    let live = briefs.iter().filter(|b| b.status.is_some_and(|s| !s.is_over())).count();
    let mut impact: Vec<String> = briefs.iter().map(|b| format!("{}   {}", b.name, b.word())).collect();
    if delete {
        if live > 0 {
            impact.push(format!("{live} still running: what they log from now on is refused"));
        }
        impact.push("Deleted runs leave every list; nothing is erased, and U brings them back.".to_owned());
    }
    let topic = |delete: bool| if delete { Topic::DeleteRuns(ids.to_vec()) } else { Topic::RestoreRuns(ids.to_vec()) };
    Ok(Ask {
        topic: topic(delete),
        title,
        subject: vec![("from".into(), if delete { "active" } else { "deleted" }.into())],
        chosen: 0,
        facts: briefs.iter().map(|b| fact(&b.name, b.word())).collect(),
        generation: None,
        ways: vec![Way {
            name: if delete { "deleted" } else { "active" }.into(),
            impact,
            reasons: if delete {
                ["a test", "wrong data or settings", "a duplicate", "diverged"]
            } else {
                ["deleted by mistake", "needed for a comparison", "asked for by its owner", "undo"]
            },
            reason_chars_min: 1,
            word: batch_word(ids.len()),
            evidence: Vec::new(),
            lacks: (commands.len() < ids.len()).then(|| "one of these is not a run's id".to_owned()),
            verb: if ids.len() == 1 { format!("{verb} it") } else { format!("{verb} {} runs", ids.len()) },
            cli: format!("opsroom runs {verb} {}", ids.join(" ")),
            change: Change::Decide(commands),
            back: Back::Sheet(topic(!delete)),
        }],
    })
}
