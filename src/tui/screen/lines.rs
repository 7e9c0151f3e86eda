//! Labelled lines in a pane, and what differs between two texts, line by line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::format;
use crate::tui::theme::Token;
use crate::tui::widget::{Look, put, put_all};

/// One line of a pane: a label in its own column (`-` and `+` stand before a change instead), the text, its colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub label: String,
    pub text: String,
    pub token: Token,
}

pub fn line(label: impl Into<String>, text: impl Into<String>, token: Token) -> Line {
    Line { label: label.into(), text: text.into(), token }
}

/// Removed, added, or the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Less,
    More,
    Same,
}

impl Sign {
    pub fn text(self) -> &'static str {
        match self {
            Self::Less => "- ",
            Self::More => "+ ",
            Self::Same => "  ",
        }
    }

    pub fn token(self) -> Token {
        match self {
            Self::Less => Token::Crit,
            Self::More => Token::Ok,
            Self::Same => Token::Muted,
        }
    }
}

/// Above this many pairs of lines the middle of a difference is told as a whole.
const PAIRS_MAX: usize = 250_000;

/// The shortest way from one text to the other, in lines: what they begin and end with in common stays, and between
/// them the longest common subsequence.
pub fn difference(old: &str, new: &str) -> Vec<(Sign, String)> {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (mid_a, mid_b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let same = |l: &&str| (Sign::Same, (*l).to_owned());
    let mut out: Vec<_> = a[..head].iter().map(same).collect();
    if mid_a.len() * mid_b.len() > PAIRS_MAX {
        out.extend(mid_a.iter().map(|l| (Sign::Less, (*l).to_owned())));
        out.extend(mid_b.iter().map(|l| (Sign::More, (*l).to_owned())));
    } else {
        out.extend(shortest(mid_a, mid_b));
    }
    out.extend(a[a.len() - tail..].iter().map(same));
    out
}

fn shortest(a: &[&str], b: &[&str]) -> Vec<(Sign, String)> {
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((Sign::Same, a[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            out.push((Sign::Less, a[i].to_owned()));
            i += 1;
        } else {
            out.push((Sign::More, b[j].to_owned()));
            j += 1;
        }
    }
    out
}

/// How wide the column of labels is, at most.
const LABEL_MAX: usize = 14;

/// Draws lines from `scroll` on, long texts wrapped; what cannot be seen any more is not scrolled away.
pub fn draw(look: &Look<'_>, buf: &mut Buffer, inner: Rect, scroll: usize, lines: &[Line]) {
    if inner.width < 6 || inner.height == 0 {
        return;
    }
    let label_width = lines.iter().map(|l| format::width(&l.label)).max().unwrap_or(0).min(LABEL_MAX);
    let signs = label_width <= 2;
    let indent = u16::try_from(if signs { 2 } else { label_width + 2 }).unwrap_or(2);
    let room = inner.width.saturating_sub(indent + 2);
    let rows: Vec<(&str, String, Token)> = lines
        .iter()
        .flat_map(|l| {
            let parts = wrap(&format::clean(&l.text), usize::from(room));
            parts.into_iter().enumerate().map(|(n, p)| (if n == 0 { l.label.as_str() } else { "" }, p, l.token))
        })
        .collect();
    let skip = scroll.min(rows.len().saturating_sub(usize::from(inner.height)));
    for (y, (label, text, token)) in (inner.y..inner.bottom()).zip(rows.iter().skip(skip)) {
        if signs {
            put_all(look, buf, inner.x + 1, y, inner.width - 2, &[(label, *token)]);
        } else {
            let label = format::cut(&format::clean(label), LABEL_MAX, look.glyphs.ellipsis);
            put(look, buf, inner.x + 1, y, indent, &label, look.style(Token::Muted));
        }
        put(look, buf, inner.x + 1 + indent, y, room, text, look.style(*token));
    }
}

/// A text over several rows, broken at spaces where there are any, else after a comma or slash; an empty text is one
/// empty row.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in text.split_inclusive(' ') {
        if format::width(&row) + format::width(word.trim_end()) > columns && !row.is_empty() {
            rows.push(std::mem::take(&mut row));
        }
        for c in word.chars() {
            if format::width(&row) + format::width(c.encode_utf8(&mut [0; 4])) > columns.max(2) {
                // The space that a row was broken at is not the next one's.
                if c == ' ' {
                    rows.push(std::mem::take(&mut row));
                    continue;
                }
                let end = row.rfind([',', '/']).map_or(row.len(), |at| at + 1);
                let rest = row.split_off(end);
                rows.push(std::mem::replace(&mut row, rest));
            }
            row.push(c);
        }
    }
    if !row.is_empty() || rows.is_empty() {
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        difference(old, new).iter().map(|(s, l)| s.text().to_owned() + l + "\n").collect()
    }

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(told("a\nb\nc\nd", "a\nx\nc\ny\nd"), "  a\n- b\n+ x\n  c\n+ y\n  d\n");
        assert_eq!(told("", "one\ntwo"), "+ one\n+ two\n");
        assert_eq!(told("same", "same"), "  same\n");
        let (long_a, long_b) = ("a\n".repeat(1000), "b\n".repeat(1000));
        assert_eq!(difference(&long_a, &long_b).len(), 2000);
    }

    #[test]
    fn long_texts_wrap_at_spaces_and_within_endless_words() {
        assert_eq!(wrap("one two three", 8), ["one two ", "three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("hour,temp,wind_speed", 12), ["hour,temp,", "wind_speed"]);
        assert_eq!(wrap("by s3://models/prod/7", 10), ["by ", "s3://", "models/", "prod/7"]);
        assert_eq!(wrap("", 5), [""]);
        assert!(wrap(&"x".repeat(500), 40).iter().all(|r| r.len() <= 40));
    }
}
