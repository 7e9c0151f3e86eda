//! A value that came from elsewhere, with its age: what is stale shows as stale, and what is unknown is never green.

use serde::{Deserialize, Serialize};

use crate::base::{Fault, Timestamp};

/// Which question a reply answers. Numbers only grow, so a newer question outdates an older one.
pub type RequestId = u64;

/// The last thing known of something remote.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub enum Remote<T> {
    /// Never asked for.
    #[default]
    Empty,
    /// Asked for, nothing known yet.
    Loading,
    /// As of the moment beside it.
    Fresh(T, Timestamp),
    /// As of the moment beside it, and why nothing newer is known.
    Stale(T, Timestamp, String),
    /// Never known, and why.
    Failed(Fault),
}

impl<T> Remote<T> {
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Fresh(v, _) | Self::Stale(v, ..) => Some(v),
            Self::Empty | Self::Loading | Self::Failed(_) => None,
        }
    }

    pub fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Fresh(v, _) | Self::Stale(v, ..) => Some(v),
            Self::Empty | Self::Loading | Self::Failed(_) => None,
        }
    }

    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(..))
    }

    /// Since when it has been known.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Fresh(_, at) | Self::Stale(_, at, _) => Some(*at),
            Self::Empty | Self::Loading | Self::Failed(_) => None,
        }
    }

    /// Keeps the value and says why it is no longer fresh.
    pub fn stale(&mut self, why: &str) {
        *self = match std::mem::take(self) {
            Self::Fresh(v, at) | Self::Stale(v, at, _) => Self::Stale(v, at, why.to_owned()),
            Self::Loading | Self::Failed(_) => Self::Failed(Fault::unavailable(why)),
            Self::Empty => Self::Empty,
        };
    }
}

/// Microseconds between two loads of the same thing, so that a run that logs a thousand times a second moves
/// the screen a few times.
const GAP_US: i64 = 250_000;

/// A [`Remote`] with its bookkeeping: which reply is wanted, and whether to ask again after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Slot<T> {
    pub remote: Remote<T>,
    wanted: Option<RequestId>,
    dirty: bool,
    asked: Timestamp,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { remote: Remote::Empty, wanted: None, dirty: false, asked: Timestamp::default() }
    }
}

impl<T> Slot<T> {
    pub fn value(&self) -> Option<&T> {
        self.remote.value()
    }

    /// Asks anew; any reply still under way no longer counts. For when the question itself changed.
    pub fn ask(&mut self, ids: &mut RequestId, now: Timestamp) -> RequestId {
        *ids += 1;
        self.wanted = Some(*ids);
        self.dirty = false;
        self.asked = now;
        if matches!(self.remote, Remote::Empty) {
            self.remote = Remote::Loading;
        }
        *ids
    }

    /// Something may have changed: ask again as soon as the last answer is here and the gap has passed.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// The question itself changed: no answer under way counts, and the next one is wanted at once.
    pub fn renew(&mut self) {
        self.wanted = None;
        self.dirty = true;
        self.asked = Timestamp(i64::MIN / 2);
    }

    pub fn is_unasked(&self) -> bool {
        matches!(self.remote, Remote::Empty) && self.wanted.is_none()
    }

    /// Whether it was ever asked for; a value may also have come from a list.
    pub fn was_asked(&self) -> bool {
        self.asked != Timestamp::default()
    }

    /// Whether the time to ask again has come.
    pub fn due(&self, now: Timestamp) -> bool {
        self.dirty && self.wanted.is_none() && now.0 - self.asked.0 >= GAP_US
    }

    /// When [`Slot::due`] will turn true, if it waits for time alone.
    pub fn due_at(&self) -> Option<Timestamp> {
        (self.dirty && self.wanted.is_none()).then_some(Timestamp(self.asked.0 + GAP_US))
    }

    /// Whether to ask now: never asked, or due while the screen is not held still.
    pub fn asks(&self, now: Timestamp, still: bool) -> bool {
        self.is_unasked() || (self.due(now) && !still)
    }

    /// The same for what changes without a hint: also once the value is so many microseconds old.
    pub fn asks_every(&self, gap_us: i64, now: Timestamp, still: bool) -> bool {
        let old = self.remote.at().is_some_and(|at| now.0 - at.0 >= gap_us) && !self.is_waiting();
        self.is_unasked() || ((self.due(now) || old) && !still)
    }

    /// When [`Slot::asks_every`] will turn true.
    pub fn due_every(&self, gap_us: i64) -> Option<Timestamp> {
        let old = self.remote.at().filter(|_| !self.is_waiting()).map(|at| Timestamp(at.0 + gap_us));
        [old, self.due_at()].into_iter().flatten().min()
    }

    pub fn is_waiting(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether this reply is the newest wanted one.
    pub fn wants(&self, id: RequestId) -> bool {
        self.wanted == Some(id)
    }

    /// Takes a reply if it is the wanted one, and says whether it was.
    pub fn take(&mut self, id: RequestId, reply: Result<T, Fault>, now: Timestamp) -> bool {
        if self.wanted != Some(id) {
            return false;
        }
        self.wanted = None;
        match reply {
            Ok(v) => self.remote = Remote::Fresh(v, now),
            Err(fault) => match std::mem::take(&mut self.remote) {
                Remote::Fresh(v, at) | Remote::Stale(v, at, _) => self.remote = Remote::Stale(v, at, fault.to_string()),
                Remote::Empty | Remote::Loading | Remote::Failed(_) => self.remote = Remote::Failed(fault),
            },
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_wanted_reply_counts() {
        let (mut slot, mut ids) = (Slot::<i32>::default(), 0);
        let first = slot.ask(&mut ids, Timestamp(0));
        let second = slot.ask(&mut ids, Timestamp(1));
        assert!(!slot.take(first, Ok(1), Timestamp(2)));
        assert!(slot.take(second, Ok(2), Timestamp(3)));
        assert!(!slot.take(second, Ok(3), Timestamp(4)));
        assert_eq!(slot.value(), Some(&2));
    }

    #[test]
    fn a_failed_reload_keeps_the_value_and_says_why() {
        let (mut slot, mut ids) = (Slot::<i32>::default(), 0);
        let id = slot.ask(&mut ids, Timestamp(0));
        slot.take(id, Ok(7), Timestamp(5));
        let id = slot.ask(&mut ids, Timestamp(6));
        slot.take(id, Err(Fault::unavailable("agent gone")), Timestamp(7));
        assert!(matches!(&slot.remote, Remote::Stale(7, Timestamp(5), why) if why.contains("agent gone")));
    }

    #[test]
    fn a_storm_of_hints_asks_once_per_gap() {
        let (mut slot, mut ids) = (Slot::<i32>::default(), 0);
        let id = slot.ask(&mut ids, Timestamp(0));
        slot.touch();
        assert!(!slot.due(Timestamp(GAP_US)), "an answer is still under way");
        slot.take(id, Ok(1), Timestamp(10));
        assert!(!slot.due(Timestamp(20)));
        assert!(slot.due(Timestamp(GAP_US)));
    }
}
