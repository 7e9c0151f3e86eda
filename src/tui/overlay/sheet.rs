//! The sheet that stands between a key and a change: what is asked, what follows from it, why, and one key that confirms.
//!
//! Confirming is dead until the sheet has been on the terminal for [`ARMING_US`], so that typed-ahead keys confirm nothing
//! unseen. A confirming key then waits [`ALONE_US`] for company: a `y` inside pasted text has neighbours and confirms nothing.

use tui_textarea::TextArea;

use super::Line;
use crate::base::{Fault, Kind, Timestamp};
use crate::tui::action::Action;
use crate::tui::ask::{Ask, shell_word};
use crate::tui::key::{self, Code, Key};
use crate::tui::model::{Envelope, Outcome};
use crate::tui::remote::RequestId;

/// Microseconds that a sheet must have been on the terminal before it can be confirmed.
pub const ARMING_US: i64 = 500_000;
/// Microseconds of silence on both sides of the confirming key.
pub const ALONE_US: i64 = 60_000;

/// Where the sheet stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Asking,
    /// The reason has the keyboard.
    Writing,
    /// The word that must be typed has the keyboard.
    Typing,
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
    pub ask: Ask,
    pub reason: TextArea<'static>,
    /// What was typed of the word that this change needs.
    pub word: Line,
    pub phase: Phase,
    /// What the last dry run said.
    pub rehearsal: Option<String>,
    /// When the terminal first held this sheet as it is now.
    pub drawn: Option<Timestamp>,
    /// Lines of the impact that are scrolled away.
    pub scroll: usize,
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
    pub fn new(id: u64, session: &str, ask: Ask) -> Self {
        let mut reason = TextArea::default();
        reason.set_wrap_mode(tui_textarea::WrapMode::Word);
        Self {
            id,
            ask,
            reason,
            word: Line::default(),
            phase: Phase::Asking,
            rehearsal: None,
            drawn: None,
            scroll: 0,
            last_key: Timestamp::default(),
            session: session.to_owned(),
            attempt: 0,
            face: 0,
        }
    }

    /// A reason that stands there already, to be confirmed or edited.
    pub fn draft(&mut self, text: &str) {
        self.reason.insert_str(text);
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
        self.lacks_beside_word().or_else(|| self.missing_word().map(|word| format!("type {word} first: t")))
    }

    fn lacks_beside_word(&self) -> Option<String> {
        let way = self.ask.way();
        let typed = self.reason_text().chars().count();
        match way.reason_chars_min {
            _ if way.lacks.is_some() => way.lacks.clone(),
            n if typed >= n => None,
            1 => Some("a reason is needed: e, or 1 to 4".into()),
            n => Some(format!("a reason of {n} characters is needed: e, or 1 to 4")),
        }
    }

    fn missing_word(&self) -> Option<&str> {
        self.ask.way().word.as_deref().filter(|word| self.word.text().trim() != *word)
    }

    /// The command line that does the same.
    pub fn cli(&self) -> String {
        let reason = self.reason_text();
        let cli = &self.ask.way().cli;
        if reason.is_empty() { cli.clone() } else { format!("{cli} --reason {}", shell_word(&reason)) }
    }

    /// Another sheet in effect: it must be seen again before it can be confirmed.
    fn changed(&mut self) {
        self.drawn = None;
        self.phase = Phase::Asking;
        self.rehearsal = None;
        self.word = Line::default();
        self.scroll = 0;
        self.attempt += 1;
        self.face += 1;
    }

    /// Names what the sheet asks now, so that a frame drawn before it changed does not arm it.
    pub fn token(&self) -> u64 {
        self.id << 16 | self.face
    }

    fn envelope(&self, dry_run: bool) -> Envelope {
        let dry = if dry_run { "-dry" } else { "" };
        Envelope {
            change: self.ask.way().change.clone(),
            reason: self.reason_text(),
            generation: self.ask.generation,
            idempotency_key: format!("tui-{}-{}-{}{dry}", self.session, self.id, self.attempt),
            dry_run,
        }
    }

    /// Before an action is looked up: the reason or the word takes all keys while it is written. `None` leaves the key to
    /// the keymap.
    pub fn write(&mut self, key: Key, now: Timestamp) -> Option<Asked> {
        let burst = now.0 - self.last_key.0 < ALONE_US;
        self.last_key = now;
        let ends = matches!(key.code, Code::Esc | Code::Tab) || (key.code == Code::Enter && !key.shift);
        match self.phase {
            Phase::Confirming(_) => {
                // Company came: this is pasted or hammered text, not a decision.
                self.phase = Phase::Asking;
                return Some(Asked::Say("not confirmed: keys came too fast for one decision; press y alone".into()));
            }
            Phase::Writing | Phase::Typing if ends => self.phase = Phase::Asking,
            Phase::Writing => {
                self.reason.input(key::to_textarea(key));
            }
            Phase::Typing => {
                self.word.press(key);
            }
            _ => return burst.then_some(Asked::Nothing),
        }
        Some(Asked::Nothing)
    }

    /// Pasted text goes into the reason while it is written, and nowhere else: the word is there to be typed.
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
        if self.scrolled(action) {
            return Asked::Nothing;
        }
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
            Action::TypeWord if self.ask.way().word.is_some() => self.phase = Phase::Typing,
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

    /// A long list of targets is read by scrolling.
    fn scrolled(&mut self, action: Action) -> bool {
        // As many lines as it may take on a narrow screen; the picture stops at the last one.
        let way = self.ask.way();
        let texts = way.impact.iter().chain(way.evidence.iter().map(|(_, text)| text));
        let lines = texts.map(|text| 1 + text.len() / 50).sum();
        let to = crate::tui::screen::list::moved(action, self.scroll, lines, 8);
        self.scroll = to.unwrap_or(self.scroll);
        to.is_some()
    }

    fn confirm(&mut self, now: Timestamp) -> Asked {
        if !self.is_armed(now) {
            return Asked::Nothing;
        }
        if let Some(why) = self.lacks_beside_word() {
            return Asked::Say(why);
        }
        // The word's place takes the keyboard; confirming needs the key once more.
        if let Some(said) = self.missing_word().map(|word| format!("type {word}, then Enter, then y")) {
            self.phase = Phase::Typing;
            return Asked::Say(said);
        }
        self.phase = Phase::Confirming(now);
        Asked::Nothing
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
        let text = self.ask.way().reasons[n];
        self.reason = TextArea::new(vec![text.to_owned()]);
        self.reason.set_wrap_mode(tui_textarea::WrapMode::Word);
        self.reason.move_cursor(tui_textarea::CursorMove::End);
        self.phase = Phase::Asking;
    }

    fn turn(&mut self, by: isize) {
        let next = self.ask.chosen.saturating_add_signed(by).min(self.ask.ways.len() - 1);
        if next != self.ask.chosen {
            self.ask.chosen = next;
            self.changed();
        }
    }

    /// Whether it waits for the answer to this request.
    pub fn awaits(&self, id: RequestId) -> bool {
        matches!(self.phase, Phase::Sent { request, .. } if request == id)
    }

    /// The agent's answer to what was sent. `true`: it is done and the sheet closes.
    pub fn answered(&mut self, answer: &Result<Outcome, Fault>) -> bool {
        let rehearsed = matches!(self.phase, Phase::Sent { dry_run: true, .. });
        match answer {
            Ok(outcome) if rehearsed => {
                self.phase = Phase::Asking;
                self.rehearsal = Some(outcome.said.clone());
                false
            }
            Ok(_) => true,
            // The key stays the same where nobody knows whether the agent got it: asking again then cannot act twice.
            Err(fault) => {
                if fault.kind != Kind::Unavailable {
                    self.attempt += 1;
                }
                self.phase = Phase::Refused(fault.clone());
                false
            }
        }
    }

    /// The same question with other evidence: it must be seen again, and what was typed stays.
    fn weigh(&mut self, now: Ask) {
        let (old, new) = (self.ask.way(), now.way());
        if old.evidence == new.evidence && old.lacks == new.lacks {
            return;
        }
        self.ask = now;
        self.drawn = None;
        self.face += 1;
        if matches!(self.phase, Phase::Confirming(_)) {
            self.phase = Phase::Asking;
        }
    }

    /// The question as things stand now. If what it speaks of has moved, the sheet shows the difference and must be seen
    /// again.
    pub fn refresh(&mut self, now: Ask) {
        if matches!(self.phase, Phase::Sent { .. }) {
            return;
        }
        let moved = now.moved_since(&self.ask);
        let now = Ask { chosen: self.ask.chosen.min(now.ways.len() - 1), ..now };
        if moved.is_empty() {
            return self.weigh(now);
        }
        if matches!(self.phase, Phase::Writing | Phase::Typing) {
            return;
        }
        self.ask = now;
        self.changed();
        self.phase = Phase::Refused(
            Fault::conflict("it moved while you looked")
                .why(moved.join(", "))
                .next("look at the sheet again, then confirm"),
        );
    }
}
