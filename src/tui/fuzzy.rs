//! How well what was typed fits a text: letters in order, words begun and letters side by side count more.

use std::cell::RefCell;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

thread_local! {
    // It keeps 100 KiB of scratch, too much to make anew for every key.
    static MATCHER: RefCell<Matcher> = RefCell::new(Matcher::new(Config::DEFAULT));
}

/// What was typed, made ready for many texts.
pub struct Typed {
    pattern: Pattern,
}

impl Typed {
    pub fn new(text: &str) -> Self {
        Self { pattern: Pattern::parse(text.trim(), CaseMatching::Ignore, Normalization::Smart) }
    }

    /// `None`: it does not fit. Nothing typed fits everything alike.
    pub fn score(&self, text: &str) -> Option<u32> {
        let mut buffer = Vec::new();
        MATCHER.with_borrow_mut(|matcher| self.pattern.score(Utf32Str::new(text, &mut buffer), matcher))
    }
}
