//! The sheet that stands between a key and a change: from, to, impact, reason, and one key that confirms.
//!
//! Confirming is dead until the sheet has been on the terminal for [`ARMING_US`], so that typed-ahead keys confirm nothing
//! unseen. A confirming key then waits [`ALONE_US`] for company: a `y` inside pasted text has neighbours and confirms nothing.

use tui_textarea::TextArea;

use crate::base::{Fault, Kind, Timestamp};
use crate::tui::action::Action;
use crate::tui::key::{self, Code, Key};
use crate::tui::model::{Change, Envelope, Model, Outcome, Stage};
use crate::tui::remote::RequestId;

/// Microseconds that a sheet must have been on the terminal before it can be confirmed.
pub const ARMING_US: i64 = 500_000;
/// Microseconds of silence on both sides of the confirming key.
pub const ALONE_US: i64 = 60_000;
/// Fewest characters of a reason that touches prod.
pub const REASON_CHARS_MIN: usize = 10;

/// Where the sheet stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Asking,
    /// The reason has the keyboard.
    Writing,
    /// The confirming key came at this time and waits to be alone.
    Confirming(Timestamp),
    /// Sent, the answer is awaited.
    Sent {
        request: RequestId,
        dry_run: bool,
    },
    Refused(Fault),
}

#[derive(Debug, Clone)]
pub struct Sheet {
    pub id: u64,
    pub rollback: bool,
    pub model: String,
    pub version: u32,
    pub from: Stage,
    pub to: Stage,
    pub generation: i64,
    pub reason: TextArea<'static>,
    pub phase: Phase,
    /// What the last dry run said.
    pub rehearsal: Option<String>,
    /// When the terminal first held this sheet as it is now.
    pub drawn: Option<Timestamp>,
    last_key: Timestamp,
    session: String,
    attempt: u32,
    /// Grows whenever the sheet asks something else than before.
    face: u64,
}

/// What a key on the sheet leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Nothing,
    Close,
    /// The confirmed or rehearsed change, to be sent.
    Send(Envelope),
    Copy(String),
    Say(String),
}

impl Sheet {
    pub fn new(id: u64, session: &str, model: &Model, version: u32, from: Stage, to: Stage) -> Self {
        let mut reason = TextArea::default();
        reason.set_wrap_mode(tui_textarea::WrapMode::Word);
        Self {
            id,
            rollback: false,
            model: model.name.clone(),
            version,
            from,
            to,
            generation: model.generation,
            reason,
            phase: Phase::Asking,
            rehearsal: None,
            drawn: None,
            last_key: Timestamp::default(),
            session: session.to_owned(),
            attempt: 0,
            face: 0,
        }
    }

    /// One-key reasons, fitting what is asked.
    pub fn templates(&self) -> [&'static str; 4] {
        if self.rollback {
            return ["quality fell", "latency or errors", "wrong data in training", "cost"];
        }
        match self.to {
            Stage::Prod => {
                ["better on the evaluation set", "scheduled refresh", "fix of a regression", "trained on newer data"]
            }
            Stage::Staging => {
                ["candidate for prod", "to be tested under load", "scheduled refresh", "fix of a regression"]
            }
            Stage::Dev => ["needs more work", "failed in staging", "experiment", "moved up by mistake"],
            Stage::Archived => {
                ["replaced by a newer version", "quality fell", "wrong data in training", "no longer used"]
            }
        }
    }

    pub fn reason_text(&self) -> String {
        self.reason.lines().join(" ").trim().to_owned()
    }

    /// Whether confirming is alive.
    pub fn is_armed(&self, now: Timestamp) -> bool {
        self.drawn.is_some_and(|at| now.0 - at.0 >= ARMING_US)
    }

    /// Why it cannot be confirmed yet, beside arming.
    pub fn lacks(&self) -> Option<String> {
        let touches_prod = self.to == Stage::Prod || self.from == Stage::Prod;
        let typed = self.reason_text().chars().count();
        match (touches_prod, typed) {
            (true, n) if n < REASON_CHARS_MIN => {
                Some(format!("prod needs a reason of {REASON_CHARS_MIN} characters: e, or 1 to 4"))
            }
            (false, 0) => Some("a reason is needed: e, or 1 to 4".into()),
            _ if self.from == self.to => Some(format!("v{} is in {} already", self.version, self.to.name())),
            _ => None,
        }
    }

    /// The command line that does the same.
    pub fn cli(&self) -> String {
        let reason = self.reason_text().replace('\'', "'\\''");
        format!(
            "opsroom promote {} {} --to {} --reason '{reason}'",
            shell_word(&self.model),
            self.version,
            self.to.name()
        )
    }

    /// Another sheet in effect: it must be seen again before it can be confirmed.
    fn changed(&mut self) {
        self.drawn = None;
        self.phase = Phase::Asking;
        self.rehearsal = None;
        self.attempt += 1;
        self.face += 1;
    }

    /// Names what the sheet asks now, so that a frame drawn before it changed does not arm it.
    pub fn token(&self) -> u64 {
        self.id << 16 | self.face
    }

    fn envelope(&self, dry_run: bool) -> Envelope {
        Envelope {
            change: Change::Stage { model: self.model.clone(), version: self.version, to: self.to },
            reason: self.reason_text(),
            generation: self.generation,
            idempotency_key: format!(
                "tui-{}-{}-{}{}",
                self.session,
                self.id,
                self.attempt,
                if dry_run { "-dry" } else { "" }
            ),
            dry_run,
        }
    }

    /// Before an action is looked up: the reason takes all keys while it is written. `None` leaves the key to the keymap.
    pub fn write(&mut self, key: Key, now: Timestamp) -> Option<Asked> {
        let burst = now.0 - self.last_key.0 < ALONE_US;
        self.last_key = now;
        if let Phase::Confirming(_) = self.phase {
            // Company came: this is pasted or hammered text, not a decision.
            self.phase = Phase::Asking;
            return Some(Asked::Say("not confirmed: keys came too fast for one decision; press y alone".into()));
        }
        if self.phase != Phase::Writing {
            return burst.then_some(Asked::Nothing);
        }
        match key.code {
            Code::Esc | Code::Tab => self.phase = Phase::Asking,
            Code::Enter if !key.shift => self.phase = Phase::Asking,
            _ => {
                self.reason.input(key::to_textarea(key));
            }
        }
        Some(Asked::Nothing)
    }

    /// Pasted text goes into the reason while it is written, and nowhere else.
    pub fn paste(&mut self, text: &str, now: Timestamp) {
        self.last_key = now;
        match self.phase {
            Phase::Writing => {
                self.reason.insert_str(crate::tui::format::clean(text));
            }
            Phase::Confirming(_) => self.phase = Phase::Asking,
            _ => {}
        }
    }

    pub fn act(&mut self, action: Action, now: Timestamp) -> Asked {
        if matches!(self.phase, Phase::Sent { .. }) {
            return match action {
                Action::Cancel => Asked::Close,
                _ => Asked::Nothing,
            };
        }
        match action {
            Action::Cancel => return Asked::Close,
            Action::CopyCli => return Asked::Copy(self.cli()),
            Action::ReasonEdit => self.phase = Phase::Writing,
            Action::Reason1 => self.take_reason(0),
            Action::Reason2 => self.take_reason(1),
            Action::Reason3 => self.take_reason(2),
            Action::Reason4 => self.take_reason(3),
            Action::StagePrev => self.turn(-1),
            Action::StageNext => self.turn(1),
            Action::DryRun => return Asked::Send(self.envelope(true)),
            Action::Confirm => return self.confirm(now),
            _ => {}
        }
        Asked::Nothing
    }

    fn confirm(&mut self, now: Timestamp) -> Asked {
        if !self.is_armed(now) {
            return Asked::Nothing;
        }
        if let Some(why) = self.lacks() {
            Asked::Say(why)
        } else {
            self.phase = Phase::Confirming(now);
            Asked::Nothing
        }
    }

    /// The confirming key has stayed alone long enough: the change goes out.
    pub fn ripe(&self, now: Timestamp) -> Option<Envelope> {
        match self.phase {
            Phase::Confirming(at) if now.0 - at.0 >= ALONE_US => Some(self.envelope(false)),
            _ => None,
        }
    }

    /// When something on the sheet changes by itself.
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.phase {
            Phase::Confirming(at) => Some(Timestamp(at.0 + ALONE_US)),
            _ if !self.is_armed(now) => self.drawn.map(|at| Timestamp(at.0 + ARMING_US)),
            _ => None,
        }
    }

    fn take_reason(&mut self, n: usize) {
        let text = self.templates()[n];
        self.reason = TextArea::new(vec![text.to_owned()]);
        self.reason.set_wrap_mode(tui_textarea::WrapMode::Word);
        self.reason.move_cursor(tui_textarea::CursorMove::End);
        self.phase = Phase::Asking;
    }

    fn turn(&mut self, by: isize) {
        if self.rollback {
            return;
        }
        let at = Stage::ALL.iter().position(|s| *s == self.to).unwrap_or(0);
        let next = at.saturating_add_signed(by).min(Stage::ALL.len() - 1);
        if next != at {
            self.to = Stage::ALL[next];
            self.changed();
        }
    }

    /// The agent's answer. `true`: it is done and the sheet closes.
    pub fn answered(&mut self, request: RequestId, answer: Result<Outcome, Fault>) -> bool {
        let Phase::Sent { request: sent, dry_run } = self.phase else { return false };
        if sent != request {
            return false;
        }
        match answer {
            Ok(outcome) if dry_run => {
                self.phase = Phase::Asking;
                self.rehearsal = Some(outcome.said);
                false
            }
            Ok(_) => true,
            // The key stays the same where nobody knows whether the agent got it: asking again then cannot act twice.
            Err(fault) => {
                if fault.kind != Kind::Unavailable {
                    self.attempt += 1;
                }
                self.phase = Phase::Refused(fault);
                false
            }
        }
    }

    /// The model as it is now. If it moved since the sheet showed it, the sheet shows the new state and must be seen again.
    pub fn refresh(&mut self, model: &Model) {
        let idle = !matches!(self.phase, Phase::Sent { .. } | Phase::Writing);
        if model.name != self.model || model.generation == self.generation || !idle {
            return;
        }
        let Some(version) = model.version(self.version) else { return };
        let moved = Fault::conflict(format!(
            "{} moved from generation {} to {}",
            self.model, self.generation, model.generation
        ))
        .next("look at the sheet again, then confirm");
        self.generation = model.generation;
        self.from = version.stage;
        self.changed();
        self.phase = Phase::Refused(moved);
    }
}

fn shell_word(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@:".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
