//! The regular expressions that filters of `wandb.Api` use in practice: characters, classes, repetition, anchors and
//! alternatives. Groups are refused. The work is proportional to expression times text, whatever they are.

/// Characters of an expression.
const CHARS_MAX: usize = 1000;

/// An expression.
pub(super) struct Pattern(Vec<Branch>);

/// One of the alternatives.
#[derive(Default)]
struct Branch {
    atoms: Vec<Atom>,
    from_start: bool,
    to_end: bool,
}

struct Atom {
    one: One,
    /// It may be left out.
    optional: bool,
    /// It may come several times.
    repeats: bool,
}

enum One {
    Any,
    Char(char),
    /// Ranges, and whether what is not in them is meant.
    Class(Vec<(char, char)>, bool),
}

impl One {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Char(own) => *own == c,
            Self::Class(ranges, outside) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *outside,
        }
    }
}

impl Pattern {
    /// # Errors
    /// What is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > CHARS_MAX {
            return Err(format!("it has more than {CHARS_MAX} characters"));
        }
        let mut branches = vec![Branch::default()];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let branch = branches.last_mut().ok_or("it is empty")?;
            let one = match c {
                '|' => {
                    branches.push(Branch::default());
                    continue;
                }
                '^' if branch.atoms.is_empty() => {
                    branch.from_start = true;
                    continue;
                }
                '$' if matches!(chars.peek(), None | Some('|')) => {
                    branch.to_end = true;
                    continue;
                }
                '(' | ')' | '{' | '}' => return Err(format!("{c} is not understood: there are no groups or counts")),
                '*' | '+' | '?' => return Err(format!("{c} repeats nothing")),
                '.' => One::Any,
                '\\' => escaped(chars.next().ok_or("it ends with a backslash")?),
                '[' => class(&mut chars)?,
                plain => One::Char(plain),
            };
            let (optional, repeats) = match chars.peek() {
                Some('*') => (true, true),
                Some('+') => (false, true),
                Some('?') => (true, false),
                _ => (false, false),
            };
            if optional || repeats {
                chars.next();
                // Whether much or little is taken makes no difference to whether there is a match.
                chars.next_if_eq(&'?');
            }
            branch.atoms.push(Atom { one, optional, repeats });
        }
        Ok(Self(branches))
    }

    /// Whether it is found in a text.
    pub(super) fn finds(&self, text: &str) -> bool {
        self.0.iter().any(|branch| branch.finds(text))
    }
}

impl Branch {
    /// Goes through the text with all places in the expression at which it can be.
    fn finds(&self, text: &str) -> bool {
        let mut at = vec![false; self.atoms.len() + 1];
        self.enter(&mut at, 0);
        for c in text.chars() {
            if at[self.atoms.len()] && !self.to_end {
                return true;
            }
            let mut next = vec![false; self.atoms.len() + 1];
            for (place, atom) in self.atoms.iter().enumerate().filter(|(place, _)| at[*place]) {
                if atom.one.is(c) {
                    if atom.repeats {
                        self.enter(&mut next, place);
                        self.enter(&mut next, place + 1);
                    } else {
                        self.enter(&mut next, place + 1);
                    }
                }
            }
            if !self.from_start {
                self.enter(&mut next, 0);
            }
            at = next;
        }
        at[self.atoms.len()]
    }

    /// Marks a place, and those behind it that are reached without a character.
    fn enter(&self, at: &mut [bool], mut place: usize) {
        loop {
            at[place] = true;
            match self.atoms.get(place) {
                Some(atom) if atom.optional => place += 1,
                _ => return,
            }
        }
    }
}

fn escaped(c: char) -> One {
    let digits = || vec![('0', '9')];
    let word = || vec![('0', '9'), ('a', 'z'), ('A', 'Z'), ('_', '_')];
    let space = || vec![(' ', ' '), ('\t', '\r')];
    match c {
        'd' => One::Class(digits(), false),
        'D' => One::Class(digits(), true),
        'w' => One::Class(word(), false),
        'W' => One::Class(word(), true),
        's' => One::Class(space(), false),
        'S' => One::Class(space(), true),
        other => One::Char(other),
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<One, String> {
    let outside = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next().ok_or("a class does not end")? {
            ']' if !ranges.is_empty() => return Ok(One::Class(ranges, outside)),
            '\\' => match escaped(chars.next().ok_or("a class does not end")?) {
                One::Class(more, false) => {
                    ranges.extend(more);
                    continue;
                }
                One::Char(c) => c,
                _ => return Err("a class in a class is not understood".to_owned()),
            },
            plain => plain,
        };
        let mut ahead = chars.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *chars = ahead;
                to
            }
            _ => from,
        };
        ranges.push((from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_find_what_they_say() {
        let finds = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().finds(text);
        for (pattern, text, expected) in [
            ("", "x", true),
            ("nic", "a nice run", true),
            ("^nic", "a nice run", false),
            ("run$", "a nice run", true),
            ("^nice$", "nice one", false),
            ("^run-[0-9]+$", "run-007", true),
            (r"^run-\d+$", "run-x", false),
            ("^a.*z$", "abcz", true),
            ("colou?r", "color", true),
            ("^(x", "", false),
            ("base|big", "the big one", true),
            ("^a|b$", "ab", true),
            ("[^a-c]", "abc", false),
            (r"v1\.2", "v1x2", false),
            ("^.*?lr=[.0-9]+", "sweep lr=0.1", true),
            ("ü+", "müüsli", true),
        ] {
            if pattern == "^(x" {
                assert!(Pattern::parse(pattern).is_err());
            } else {
                assert_eq!(finds(pattern, text), expected, "{pattern} in {text}");
            }
        }
        for bad in ["*a", "a{2}", "[ab", "a\\", &"x".repeat(1001)] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        // Many repetitions over a long text end at once.
        assert!(!finds(&"a*".repeat(400), &"b".repeat(10_000)) || finds(&"a*".repeat(400), ""));
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_there_nothing_panics(pattern in ".{0,40}", text in ".{0,40}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.finds(&text);
            }
        }
    }
}
