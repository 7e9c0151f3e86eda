//! Ending runs that go on.

use super::{Ask, Back, Topic, Way, batch_word, fact};
use crate::tui::format;
use crate::tui::model::Change;
use crate::tui::state::State;

/// # Errors
/// None of them goes on.
pub fn ask(state: &State, ids: &[String]) -> Result<Ask, String> {
    let briefs: Vec<_> = ids.iter().map(|id| state.brief(id)).collect();
    let live: Vec<_> = briefs.iter().filter(|b| b.status.is_none_or(|s| !s.is_over())).collect();
    let over = briefs.len() - live.len();
    if live.is_empty() {
        return Err(if over == 1 { "this run is over".to_owned() } else { "none of these runs goes on".to_owned() });
    }
    let runs: Vec<String> = live.iter().map(|b| b.id.clone()).collect();
    let mut impact: Vec<String> = live
        .iter()
        .map(|b| {
            let since = b.started.map_or(String::new(), |at| format!("   for {}", format::age(state.now, at)));
            format!("{}   {}{since}", b.name, b.word())
        })
        .collect();
    if over > 0 {
        impact.push(format!("{over} marked runs are over and stay as they are"));
    }
    impact.push("Each is marked as killed, with the tag opsroom.stop_requested.".to_owned());
    impact.push("`opsroom run` sends SIGTERM, then SIGKILL; W&B's client ends itself.".to_owned());
    impact.push("Another script ends if it looks at the tag, and else goes on.".to_owned());
    let title = match live.as_slice() {
        [one] => format!("STOP  {}", one.name),
        many => format!("STOP {} RUNS", many.len()),
    };
    Ok(Ask {
        topic: Topic::StopRuns(ids.to_vec()),
        title,
        subject: vec![("from".into(), "running".into())],
        chosen: 0,
        facts: briefs.iter().map(|b| fact(&b.name, b.word())).collect(),
        generation: None,
        ways: vec![Way {
            name: "killed".into(),
            impact,
            reasons: ["diverged", "stalled", "a better run exists", "started by mistake"],
            reason_chars_min: 1,
            word: batch_word(runs.len()),
            evidence: Vec::new(),
            lacks: None,
            verb: if runs.len() == 1 { "stop it".into() } else { format!("stop {} runs", runs.len()) },
            cli: format!("opsroom runs stop {}", runs.join(" ")),
            change: Change::Stop { runs },
            back: Back::Never,
        }],
    })
}
