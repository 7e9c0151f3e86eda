//! Answers on stdout: aligned tables for people, tab-separated lines and one JSON document for scripts.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::base::{Fault, fault::Result, show};

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Plain,
    Json,
}

/// On which side a column is flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Rows under a heading.
#[derive(Debug, Clone, Default)]
pub struct Table {
    heads: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Headings that end in `>` are flush right.
    pub fn new(heads: &[&str]) -> Self {
        let mut table = Self::default();
        heads.iter().for_each(|h| table.column(h));
        table
    }

    pub fn column(&mut self, head: &str) {
        let right = head.strip_suffix('>');
        self.heads.push((right.unwrap_or(head).to_owned(), if right.is_some() { Side::Right } else { Side::Left }));
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|c| show::line(&c)).collect());
    }

    /// All rows, for a column that only some tables have.
    pub fn cells(&mut self) -> impl Iterator<Item = &mut Vec<String>> {
        self.rows.iter_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn aligned(&self, emphasis: bool) -> String {
        let head: Vec<String> = self.heads.iter().map(|(h, _)| h.clone()).collect();
        let headed = head.iter().any(|h| !h.is_empty());
        let lines = || headed.then_some(&head).into_iter().chain(&self.rows);
        let widths: Vec<usize> = (0..self.heads.len())
            .map(|i| lines().filter_map(|row| row.get(i)).map(|c| c.width()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (n, row) in lines().enumerate() {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[i].saturating_sub(cell.width()));
                let gap = if i == 0 { "" } else { "  " };
                match self.heads[i].1 {
                    Side::Left => line.extend([gap, cell, &pad]),
                    Side::Right => line.extend([gap, &pad, cell]),
                }
            }
            let (on, off) = if emphasis && headed && n == 0 { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            text.extend([on, line.trim_end(), off, "\n"]);
        }
        text
    }

    fn tabbed(&self) -> String {
        self.rows.iter().flat_map(|row| [row.join("\t"), "\n".to_owned()]).collect()
    }
}

/// What people are shown: lines and tables, in order.
#[derive(Debug, Clone, Default)]
pub struct Page(Vec<Block>);

#[derive(Debug, Clone)]
enum Block {
    /// For people only; scripts are not told.
    Line(String),
    Table(Table),
}

impl Page {
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.0.push(Block::Line(line.into()));
        self
    }

    /// An empty table is left out.
    pub fn table(mut self, table: Table) -> Self {
        if !table.is_empty() {
            self.0.push(Block::Table(table));
        }
        self
    }

    /// A table under a title, with a blank line above.
    pub fn titled(self, title: &str, table: Table) -> Self {
        match (table.is_empty(), title) {
            (true, _) => self,
            (_, "") => self.line("").table(table),
            (_, title) => self.line("").line(title).table(table),
        }
    }

    /// Names and values.
    pub fn pairs<'a>(self, pairs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut table = Table::new(&["", ""]);
        pairs.into_iter().filter(|(_, v)| !v.is_empty()).for_each(|(k, v)| table.row([k.to_owned(), v]));
        self.table(table)
    }

    fn text(&self, format: Format, emphasis: bool) -> String {
        let block = |block: &Block| match (block, format) {
            (Block::Line(line), Format::Table) => format!("{line}\n"),
            (Block::Line(_), _) => String::new(),
            (Block::Table(table), Format::Table) => table.aligned(emphasis),
            (Block::Table(table), _) => table.tabbed(),
        };
        self.0.iter().map(block).collect()
    }
}

impl From<Table> for Page {
    fn from(table: Table) -> Self {
        Self::default().table(table)
    }
}

/// Prints one answer in the form that was asked for.
///
/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn answer<T: Serialize + ?Sized>(format: Format, value: &T, page: impl FnOnce(&T) -> Page) -> Result<()> {
    let text = match format {
        Format::Json => {
            let json = serde_json::to_string_pretty(value).map_err(|e| Fault::bug("answer").why(e.to_string()))?;
            format!("{json}\n")
        }
        _ => page(value).text(format, colours()),
    };
    out(text.as_bytes())
}

/// Writes to stdout. A reader that has had enough (`| head`) is no fault.
///
/// # Errors
/// `Unavailable` when stdout cannot be written.
pub fn out(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Fault::unavailable("cannot write to stdout").why(e.to_string()))
        }
        _ => Ok(()),
    }
}

fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Page {
        let mut table = Table::new(&["NAME", "N>"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["wide 漢".to_owned(), "10".to_owned()]);
        Page::default().line("two").table(table)
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(sample().text(Format::Table, false), "two\nNAME      N\na         1\nwide 漢  10\n");
    }

    #[test]
    fn plain_is_for_scripts() {
        assert_eq!(sample().text(Format::Plain, false), "a\t1\nwide 漢\t10\n");
    }
}
