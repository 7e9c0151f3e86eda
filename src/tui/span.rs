//! The window of time that lists look at; it travels from screen to screen.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;

/// So much time back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span(i64);

/// The steps that `(` and `)` take, seconds.
const STEPS: [i64; 8] = [900, 3_600, 6 * 3_600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400];

impl Span {
    pub fn steps() -> impl Iterator<Item = Self> {
        STEPS.into_iter().map(Self)
    }

    pub fn seconds(self) -> i64 {
        self.0
    }

    /// Its beginning, where it ends now.
    pub fn since(self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.0.saturating_mul(1_000_000)))
    }

    /// `90s`, `15m`, `6h`, `3d`, `2w`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return None,
        };
        let n: i64 = number.parse().ok()?;
        (n > 0).then(|| n.checked_mul(unit)).flatten().filter(|s| *s <= 100 * 365 * 86_400).map(Self)
    }

    /// The next longer one; `None` is all time.
    pub fn longer(now: Option<Self>) -> Option<Self> {
        let now = now?;
        Self::steps().find(|s| s.0 > now.0)
    }

    /// The next shorter one.
    pub fn shorter(now: Option<Self>) -> Option<Self> {
        let at_most = now.map_or(i64::MAX, |s| s.0);
        Self::steps().filter(|s| s.0 < at_most).last().or(now)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let (size, unit) = units.into_iter().find(|(size, _)| self.0 % size == 0).unwrap_or((1, "s"));
        write!(f, "{}{unit}", self.0 / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_written_and_stepped_through() {
        for text in ["15m", "6h", "3d", "90s"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Span::parse("2w").unwrap().to_string(), "14d");
        assert!(["", "h", "-1h", "6", "6y", "99999999999999999999d", "é"].iter().all(|t| Span::parse(t).is_none()));
        let hour = Span::parse("1h");
        assert_eq!(Span::longer(hour), Span::parse("6h"));
        assert_eq!(Span::shorter(hour), Span::parse("15m"));
        assert_eq!(Span::shorter(Span::parse("15m")), Span::parse("15m"));
        assert_eq!((Span::longer(Span::parse("365d")), Span::shorter(None)), (None, Span::parse("365d")));
    }
}
