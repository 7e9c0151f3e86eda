//! A console from the raw output of a script: what a terminal would have shown in the end.

/// Lines that are kept: of a longer output, the end.
const LINES_MAX: usize = 100_000;

/// The lines so far, of both streams in the order in which they came.
#[derive(Default)]
pub struct Console {
    lines: std::collections::VecDeque<String>,
    /// For each stream, the line that it writes to and the column in it.
    cursors: [Option<(usize, usize)>; 2],
    /// Lines that were let go at the beginning.
    gone: usize,
    pub changed: bool,
}

impl Console {
    /// Writes what one stream put out.
    pub fn write(&mut self, text: &str, error: bool) {
        self.changed = true;
        let stream = usize::from(error);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            match first {
                '\n' => {
                    self.cursors[stream] = match self.cursors[stream] {
                        // Below is a line already: the cursor had gone up.
                        Some((line, _)) if line + 1 < self.gone + self.lines.len() => Some((line + 1, 0)),
                        Some(_) => None,
                        None => {
                            self.open();
                            None
                        }
                    };
                }
                '\r' => {
                    if let Some(cursor) = &mut self.cursors[stream] {
                        cursor.1 = 0;
                    }
                }
                '\u{1b}' => {
                    rest = &rest[1 + self.sequence(&rest[1..], stream)..];
                    continue;
                }
                plain => self.put(plain, stream),
            }
            rest = &rest[first.len_utf8()..];
        }
    }

    /// Everything, a line a line.
    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
    }

    fn open(&mut self) -> usize {
        self.lines.push_back(String::new());
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
            self.gone += 1;
        }
        self.gone + self.lines.len() - 1
    }

    fn put(&mut self, c: char, stream: usize) {
        let (line, column) = match self.cursors[stream] {
            Some(cursor) => cursor,
            None => (self.open(), 0),
        };
        self.cursors[stream] = Some((line, column + 1));
        let Some(text) = line.checked_sub(self.gone).and_then(|at| self.lines.get_mut(at)) else { return };
        if let Some((at, old)) = text.char_indices().nth(column) {
            text.replace_range(at..at + old.len_utf8(), c.encode_utf8(&mut [0; 4]));
        } else {
            let length = text.chars().count();
            text.extend(std::iter::repeat_n(' ', column - length));
            text.push(c);
        }
    }

    /// A sequence behind the escape character; answers its length. Colours are let go.
    fn sequence(&mut self, rest: &str, stream: usize) -> usize {
        let Some(body) = rest.strip_prefix('[') else { return 0 };
        let Some(end) = body.find(|c: char| ('@'..='~').contains(&c)) else { return rest.len() };
        let n = body[..end].parse::<usize>().unwrap_or(0);
        match body.as_bytes()[end] {
            b'A' => {
                let (line, column) = self.cursors[stream].unwrap_or((self.gone + self.lines.len(), 0));
                self.cursors[stream] = Some((line.saturating_sub(n.max(1)).max(self.gone), column));
            }
            b'K' => {
                if let Some((line, column)) = self.cursors[stream]
                    && let Some(text) = line.checked_sub(self.gone).and_then(|at| self.lines.get_mut(at))
                {
                    let from =
                        if n == 2 { 0 } else { text.char_indices().nth(column).map_or(text.len(), |(at, _)| at) };
                    text.truncate(from);
                }
            }
            _ => {}
        }
        1 + end + 1
    }
}

#[cfg(test)]
mod tests {
    use super::Console;

    fn shown(parts: &[&str]) -> String {
        let mut console = Console::default();
        parts.iter().for_each(|p| console.write(p, false));
        console.text()
    }

    #[test]
    fn what_a_terminal_would_show() {
        assert_eq!(shown(&["hello", "\n", "\n", "a", "b\nc"]), "hello\n\nab\nc\n");
        assert_eq!(shown(&[" 0%", "\r50%", "\r100%\n", "done\n"]), "100%\ndone\n");
        assert_eq!(shown(&["one\ntwo\n\u{1b}[2A\u{1b}[KONE\nTWO\n"]), "ONE\nTWO\n");
        assert_eq!(shown(&["\u{1b}[31mred\u{1b}[0m\n", "long line\r\u{1b}[2Kx\n"]), "red\nx\n");
        let mut both = Console::default();
        for (text, error) in [("out", false), ("err\n", true), (" more\n", false)] {
            both.write(text, error);
        }
        assert_eq!(both.text(), "out more\nerr\n");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_put_out_nothing_panics(parts in proptest::collection::vec("[a-c\u{1b}\\[\r\n0-9AKmü]{0,12}", 0..20)) {
            shown(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
