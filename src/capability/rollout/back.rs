//! Ways back: to the version before, and for some minutes back again to where one was.

use super::apply::{Applied, By, changed, end, keep, may_answer, move_to, service};
use super::recovery::{Turn, UNDO_US};
use super::service::percent;
use super::standing::{Rollout, Standing, State};
use super::store;
use crate::base::{Fault, fault::Result};
use crate::db::{Source, Tx};

/// With a rollout under way the version before is the stable one: the candidate goes. Else the arms change places.
pub(super) async fn roll_back(tx: &mut Tx, name: &str, to: Option<u32>, by: By<'_>) -> Result<Applied> {
    let standing = service(Source::Tx(tx), name).await?;
    if standing.candidate.is_some() {
        let applied = end(tx, name, State::Dropped, by).await?;
        if to.is_none_or(|to| Some(to) == standing.stable) {
            return Ok(applied);
        }
    }
    let standing = service(Source::Tx(tx), name).await?;
    let target = to.or(standing.previous).ok_or_else(|| {
        Fault::refused(format!("no version of {name} answered before this one"))
            .why("there is nothing to go back to")
            .next(format!("name one with --to, or stop the service: opsroom service remove {name}"))
    })?;
    may_answer(tx, &standing, target).await?;
    let turned = standing.stable.map(|from| turn(by, from, target));
    move_to(tx, Standing { turned, ..standing }, target, by).await
}

pub(super) fn turn(by: By<'_>, from: u32, to: u32) -> Turn {
    Turn { at: by.now, from, to, by: by.name.to_owned(), reason: by.reason.to_owned(), rollout: None }
}

/// Takes the newest way back back, while its window lasts and nothing else has been decided: a dropped rollout stands at
/// its weight again with the callers that it had, held; arms that changed places change again.
pub(super) async fn undo(tx: &mut Tx, name: &str, by: By<'_>) -> Result<Applied> {
    let mut standing = service(Source::Tx(tx), name).await?;
    let Some(turn) = standing.turned.clone() else {
        return Err(Fault::refused(format!("nothing of {name} was taken back")));
    };
    if by.now.0 - turn.at.0 > UNDO_US {
        return Err(Fault::refused(format!("v{} of {name} was taken back more than ten minutes ago", turn.from))
            .why("the window to undo it is over: it is a new decision now")
            .next(format!("opsroom rollout start {name} {}", turn.from)));
    }
    if standing.candidate.is_some() || standing.stable != Some(turn.to) {
        return Err(Fault::conflict(format!("{name} has moved on since v{} was taken back", turn.from))
            .next(format!("see `opsroom service show {name}`")));
    }
    may_answer(tx, &standing, turn.from).await?;
    let Some(before) = turn.rollout else {
        return move_to(tx, Standing { turned: None, ..standing }, turn.from, by).await;
    };
    let again = Rollout {
        id: 0,
        state: State::Held,
        // What the judge saw before it was dropped is not held against it again.
        started: by.now,
        step_since: by.now,
        by: by.name.to_owned(),
        why: format!("brought back: {}", by.reason),
        ..*before
    };
    let again = store::add_rollout(tx, &again).await?;
    let applied = changed(format!("v{}", turn.to), format!("v{} held at {} %", again.version, percent(again.weight)));
    standing.candidate = Some(again);
    standing.turned = None;
    keep(tx, standing).await?;
    Ok(applied)
}
