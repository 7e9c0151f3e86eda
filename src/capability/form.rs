//! What people write down in TOML (suites, gates): read a table at a time, and every complaint names file and line.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::base::{Fault, fault::Result};

/// A file of declarations.
#[derive(Debug)]
pub struct Document<'a> {
    file: &'a str,
    text: &'a str,
    sections: Vec<(String, usize, Spanned<DeValue<'a>>)>,
}

/// One table of it.
#[derive(Debug)]
pub struct Entry<'a> {
    file: &'a str,
    text: &'a str,
    /// `[section.NAME]`; empty in a list.
    pub name: String,
    pub line: usize,
    keys: BTreeMap<String, usize>,
    value: Spanned<DeValue<'a>>,
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

fn at_line(file: &str, line: usize, what: &str) -> Fault {
    Fault::invalid(format!("{file} line {line}: {what}")).next("mend the line; nothing was changed")
}

impl<'a> Document<'a> {
    /// # Errors
    /// `Invalid` with the line, for what is no TOML.
    pub fn parse(file: &'a str, text: &'a str) -> Result<Self> {
        let table = DeTable::parse(text).map_err(|e| complaint(file, text, 1, &e))?;
        let mut sections: Vec<_> = table
            .into_inner()
            .into_iter()
            .map(|(name, value)| (name.get_ref().to_string(), line_at(text, name.span().start), value))
            .collect();
        sections.sort_by_key(|s| s.1);
        Ok(Self { file, text, sections })
    }

    /// # Errors
    /// `Invalid` with the line of a section that is not among `known`.
    pub fn check_sections(&self, known: &[&str]) -> Result<()> {
        match self.sections.iter().find(|(name, ..)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, line, _)) => {
                let what = format!("unknown section {name:?}{}", nearest(name, known));
                Err(at_line(self.file, *line, &what).why(format!("known are {}", known.join(", "))))
            }
        }
    }

    /// The tables `[section.NAME]`, or the list `[[section]]`, in the file's order.
    ///
    /// # Errors
    /// `Invalid` with the line when it is neither.
    pub fn entries(&mut self, section: &str, named: bool) -> Result<Vec<Entry<'a>>> {
        let Some(at) = self.sections.iter().position(|(name, ..)| name == section) else { return Ok(Vec::new()) };
        let (_, line, value) = self.sections.remove(at);
        let wanted = if named { format!("[{section}.NAME]") } else { format!("[[{section}]]") };
        let wrong = |line| at_line(self.file, line, &format!("{section} is written as {wanted}"));
        let mut entries = match (value.into_inner(), named) {
            (DeValue::Table(table), true) => table
                .into_iter()
                .map(|(name, value)| self.entry(name.get_ref().to_string(), name.span().start, value))
                .collect::<Vec<_>>(),
            (DeValue::Array(items), false) => items
                .into_iter()
                .map(|value| {
                    let start = value.span().start;
                    self.entry(String::new(), start, value)
                })
                .collect(),
            _ => return Err(wrong(line)),
        };
        if let Some(odd) = entries.iter().find(|e| !matches!(e.value.get_ref(), DeValue::Table(_))) {
            return Err(wrong(odd.line));
        }
        entries.sort_by_key(|e| e.line);
        Ok(entries)
    }

    /// The one table `[section]`, if the file has it.
    ///
    /// # Errors
    /// `Invalid` with the line when it is no table.
    pub fn table(&mut self, section: &str) -> Result<Option<Entry<'a>>> {
        let Some(at) = self.sections.iter().position(|(name, ..)| name == section) else { return Ok(None) };
        let (_, line, value) = self.sections.remove(at);
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return Err(at_line(self.file, line, &format!("{section} is written as [{section}]")));
        }
        let mut entry = self.entry(section.to_owned(), 0, value);
        entry.line = line;
        Ok(Some(entry))
    }

    fn entry(&self, name: String, start: usize, value: Spanned<DeValue<'a>>) -> Entry<'a> {
        let keys = match value.get_ref() {
            DeValue::Table(table) => {
                table.keys().map(|k| (k.get_ref().to_string(), line_at(self.text, k.span().start))).collect()
            }
            _ => BTreeMap::new(),
        };
        Entry { file: self.file, text: self.text, name, line: line_at(self.text, start), keys, value }
    }
}

impl Entry<'_> {
    /// Reads the table as a type that knows its keys.
    ///
    /// # Errors
    /// `Invalid` with the line of the key that is wrong.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(ValueDeserializer::from(self.value.clone()))
            .map_err(|e| complaint(self.file, self.text, self.line, &e))
    }

    pub fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// A complaint about a key, with its line; without the key, about the table.
    pub fn fault(&self, key: &str, what: impl AsRef<str>) -> Fault {
        at_line(self.file, self.keys.get(key).copied().unwrap_or(self.line), what.as_ref())
    }
}

fn complaint(file: &str, text: &str, line: usize, e: &toml::de::Error) -> Fault {
    let line = e.span().map_or(line, |span| line_at(text, span.start));
    at_line(file, line, e.message().lines().next().unwrap_or("cannot be read"))
}

/// `; did you mean "auc"?` when something known is close.
pub fn nearest(word: &str, known: &[&str]) -> String {
    let close = known.iter().map(|k| (distance(word, k), *k)).min();
    match close {
        Some((d, k)) if d <= 1 + word.len() / 4 => format!("; did you mean {k:?}?"),
        _ => String::new(),
    }
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// A length of time as people write it: `90s`, `10m`, `2h`, `30d`. In seconds.
pub fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    text[..text.len() - 1].trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Thing {
        a: i64,
        #[serde(default)]
        b: Vec<String>,
    }

    #[test]
    fn complaints_name_file_and_line() {
        let text = "# x\n[[gate]]\na = 1\n\n[[gate]]\na = 2\nbb = [\n]\n";
        let mut document = Document::parse("g.toml", text).unwrap();
        document.check_sections(&["gate"]).unwrap();
        let entries = document.entries("gate", false).unwrap();
        assert_eq!(entries[0].read::<Thing>().unwrap().a, 1);
        let fault = entries[1].read::<Thing>().unwrap_err().to_string();
        assert!(fault.contains("g.toml line 7: unknown field `bb`"), "{fault}");
        assert!(entries[1].fault("a", "too great").what.starts_with("g.toml line 6: too great"));
        let fault = Document::parse("g.toml", "a = 1\nb = \n").unwrap_err();
        assert!(fault.what.starts_with("g.toml line 2: "), "{fault}");
        let fault = Document::parse("g", "[gates]\n").unwrap().check_sections(&["gate", "suite"]).unwrap_err();
        assert!(fault.what.contains("did you mean \"gate\"?"), "{fault}");
        let fault = Document::parse("g", "\n[gate.x]\n").unwrap().entries("gate", false).unwrap_err();
        assert!(fault.what.starts_with("g line 2: gate is written as [[gate]]"), "{fault}");
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(["90s", "10m", "2h", "30d"].map(|t| seconds(t).unwrap()), [90, 600, 7200, 2_592_000]);
        assert_eq!([seconds("10"), seconds("m"), seconds("-1s"), seconds("")], [None; 4]);
    }
}
