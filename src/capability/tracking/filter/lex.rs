//! Cuts a filter into tokens; every character lands in one, so the parser can name what it refuses.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name: word characters and dots, with quoted pieces where a piece may begin.
    Word,
    /// `'text'`
    Single,
    /// `"text"`: a value, or a quoted attribute name.
    Double,
    Number,
    /// A run of `<>=!~`.
    Symbol,
    Open,
    Close,
    Comma,
    Semicolon,
    /// Anything the grammar has no use for, a quote that is never closed among it.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub raw: &'a str,
}

impl Token<'_> {
    /// Whether this is the keyword; a quoted or dotted name never is.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.raw.eq_ignore_ascii_case(keyword)
    }
}

/// `loose` lets names hold `/ - % @` unquoted, as `MLflow`'s search of logged models does.
pub(super) fn lex(text: &str, loose: bool) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (kind, length) = next(rest, first, loose);
        let (raw, tail) = rest.split_at(length);
        tokens.push(Token { kind, raw });
        rest = tail;
    }
    tokens
}

fn next(rest: &str, first: char, loose: bool) -> (Kind, usize) {
    let other = (Kind::Other, first.len_utf8());
    match first {
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        ';' => (Kind::Semicolon, 1),
        '<' | '>' | '=' | '!' | '~' => {
            let end = rest.find(|c| !matches!(c, '<' | '>' | '=' | '!' | '~'));
            (Kind::Symbol, end.unwrap_or(rest.len()))
        }
        '\'' => quoted(rest).map_or(other, |length| (Kind::Single, length)),
        '"' => match (quoted(rest), name(rest, loose)) {
            (None, _) => other,
            (Some(length), whole) if length == whole => (Kind::Double, length),
            (Some(_), whole) => (Kind::Word, whole),
        },
        _ => match (number(rest), name(rest, loose)) {
            (0, 0) => other,
            (0, length) => (Kind::Word, length),
            (length, _) => (Kind::Number, length),
        },
    }
}

/// Length of the quoted piece at the start, quotes included; a doubled quote does not end it.
fn quoted(rest: &str) -> Option<usize> {
    let mark = rest.chars().next()?;
    let mut at = mark.len_utf8();
    loop {
        at += rest[at..].find(mark)? + mark.len_utf8();
        if !rest[at..].starts_with(mark) {
            return Some(at);
        }
        at += mark.len_utf8();
    }
}

/// Length of the name at the start, or 0.
fn name(rest: &str, loose: bool) -> usize {
    let mut at = 0;
    let mut piece_begins = true;
    while let Some(c) = rest[at..].chars().next() {
        if piece_begins && matches!(c, '`' | '"' | '\'') {
            let Some(length) = quoted(&rest[at..]) else { break };
            at += length;
            if !rest[at..].starts_with('.') {
                break;
            }
            piece_begins = false;
        } else if c == '.' || is_word(c) || (loose && at > 0 && matches!(c, '/' | '-' | '%' | '@')) {
            at += c.len_utf8();
            piece_begins = c == '.';
        } else {
            break;
        }
    }
    at
}

/// Length of the number at the start, or 0 where a word goes on behind it (`1acc`, `1.2.3`).
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let begin = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(begin);
    let mut at = begin + whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        at += 1 + fraction;
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(at + 1 + sign..).map_or(0, |_| digits(at + 1 + sign));
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    match rest[at..].chars().next() {
        Some(c) if c == '.' || is_word(c) => 0,
        _ => at,
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The text between the quotes, if the whole is quoted with that mark.
pub(super) fn unquote(raw: &str, mark: char) -> Option<String> {
    let inner = raw.strip_prefix(mark)?.strip_suffix(mark)?;
    let doubled: String = [mark, mark].iter().collect();
    Some(inner.replace(&doubled, mark.encode_utf8(&mut [0; 4])))
}
