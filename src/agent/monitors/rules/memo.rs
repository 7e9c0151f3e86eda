//! What was observed already, as long as nothing has come that could change it: an agent whose models rest looks at its rules
//! without reading a count.

use std::collections::HashMap;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::App;
use crate::base::Timestamp;
use crate::capability::Hint;
use crate::capability::monitoring::incident::{AlertRule, Observation};

/// A rule's window over one service, by its begin.
type Key = (String, String, Timestamp);

pub struct Memo {
    hints: Receiver<Hint>,
    /// How far predictions, labels and traffic had been counted.
    counted: (i64, u64),
    /// Of the round before and of this one: what a round does not ask for is forgotten.
    before: HashMap<Key, Observation>,
    now: HashMap<Key, Observation>,
    /// When a router last counted something of a service.
    routed: HashMap<String, Option<Timestamp>>,
}

impl Memo {
    pub fn new(app: &App) -> Self {
        Self {
            hints: app.ctx().hints.listen(),
            counted: (-1, 0),
            before: HashMap::new(),
            now: HashMap::new(),
            routed: HashMap::new(),
        }
    }

    /// A round begins: forgets what may be otherwise by now.
    pub fn begin(&mut self, app: &App) {
        self.before = std::mem::take(&mut self.now);
        // Looked at before any count is read, so that what comes in between is seen by the next round.
        let counted = (app.ctx().counters.counted_to(), app.traffic_recorded());
        let moved = std::mem::replace(&mut self.counted, counted) != counted;
        if self.decided() || moved {
            self.before.clear();
            self.routed.clear();
        }
    }

    /// Whether anything was decided that an observation may rest on, such as a rule, a version or its training data.
    fn decided(&mut self) -> bool {
        let mut any = false;
        loop {
            match self.hints.try_recv() {
                Ok(Hint::Audit | Hint::Hosts) => {}
                Ok(_) | Err(TryRecvError::Lagged(_)) => any = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return any,
            }
        }
    }

    pub fn observed(&mut self, rule: &AlertRule, service: &str, from: Timestamp) -> Option<Observation> {
        let known = self.before.get(&key(rule, service, from)).cloned()?;
        Some(self.put(rule, service, known))
    }

    pub fn put(&mut self, rule: &AlertRule, service: &str, seen: Observation) -> Observation {
        self.now.insert(key(rule, service, seen.from), seen.clone());
        seen
    }

    /// `None`: it is not known. Within: `None` where nothing was counted.
    pub fn routed(&self, service: &str) -> Option<&Option<Timestamp>> {
        self.routed.get(service)
    }

    pub fn put_routed(&mut self, service: &str, last: Option<Timestamp>) -> Option<Timestamp> {
        self.routed.insert(service.to_owned(), last);
        last
    }
}

fn key(rule: &AlertRule, service: &str, from: Timestamp) -> Key {
    (rule.name.clone(), service.to_owned(), from)
}
