//! Making the file: bytes of the form asked for, under a name that is not taken.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Form, Grid, Job, What, take};
use crate::base::{Fault, Timestamp, show};
use crate::chart;
use crate::tui::effect::Source;
use crate::tui::model::{Record, Run};
use crate::tui::msg::{Page, Want};

/// Pixels of a PNG: a slide's width.
const PNG_SIZE: (u32, u32) = (1920, 1080);
const SVG_SIZE: (u32, u32) = (960, 540);
/// Rows asked for at once.
const PAGE_ROWS: usize = 1000;
/// Names tried before giving up.
const TRIES: u32 = 1000;

/// Writes a job into `folder` and says what was written.
///
/// # Errors
/// A sentence: nothing to draw, the agent does not answer, or the folder cannot be written to.
pub async fn write(job: Job, source: &dyn Source, folder: &Path, now: Timestamp) -> Result<String, String> {
    let said = |fault: Fault| fault.to_string();
    let mut whole = None;
    let (grid, chart) = match job.what {
        What::Text(text) => {
            whole = Some(text);
            (Grid::default(), None)
        }
        What::Grid(grid) => (grid, None),
        What::Chart(chart) => (Grid::default(), Some(chart)),
        What::Runs(want) => {
            let page = |offset| Want::Runs(crate::tui::msg::RunsWant { offset, limit: PAGE_ROWS, ..want.clone() });
            let runs: Vec<Run> =
                all(source, page, |p| if let Page::Runs(w) = p { Some((w.total, w.rows)) } else { None })
                    .await
                    .map_err(said)?;
            (take::runs_grid(&runs), None)
        }
        What::Audit(want) => {
            let page = |offset| Want::Audit(crate::tui::msg::AuditWant { offset, limit: PAGE_ROWS, ..want.clone() });
            let mut records: Vec<Record> =
                all(source, page, |p| if let Page::Audit(w) = p { Some((w.total, w.rows)) } else { None })
                    .await
                    .map_err(said)?;
            // Records that came meanwhile have pushed others onto the next page: each is written once.
            records.sort_by_key(|r| std::cmp::Reverse(r.seq));
            records.dedup_by_key(|r| r.seq);
            (take::records_grid(&records), None)
        }
    };
    let (name, form, folder) = (job.name, job.form, folder.to_owned());
    let work = move || {
        let rows = grid.rows.len();
        let text = whole.is_some();
        let bytes = whole.map_or_else(|| bytes(form, &grid, chart.as_ref()), |text| Ok(text.into_bytes()))?;
        let file = create(&folder, &name, form, now, &bytes)?;
        let size = show::bytes(bytes.len() as u64);
        let shown = file.file_name().map_or_else(|| file.display().to_string(), |n| n.to_string_lossy().into_owned());
        let rows =
            if chart.is_none() && !text { format!("{} rows, ", show::count(rows as u64)) } else { String::new() };
        Ok(format!("wrote {shown} ({rows}{size}) in {}", folder.display()))
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
}

/// Every page of a list.
async fn all<T>(
    source: &dyn Source,
    want: impl Fn(usize) -> Want,
    pick: impl Fn(Page) -> Option<(usize, Vec<T>)>,
) -> Result<Vec<T>, Fault> {
    let mut rows: Vec<T> = Vec::new();
    loop {
        let page = source.load(want(rows.len())).await?;
        let (total, more) = pick(page).ok_or_else(|| Fault::bug("the agent answered another question"))?;
        let last = more.len() < PAGE_ROWS;
        rows.extend(more);
        if last || rows.len() >= total {
            return Ok(rows);
        }
    }
}

fn bytes(form: Form, grid: &Grid, chart: Option<&chart::Chart>) -> Result<Vec<u8>, String> {
    let drawn = || chart.ok_or_else(|| "there is no chart here".to_owned());
    match form {
        Form::Csv => csv_of(grid),
        Form::Json => json_of(grid),
        Form::Markdown => Ok(markdown_of(grid).into_bytes()),
        Form::Ndjson => ndjson_of(grid),
        Form::Svg => chart::svg(drawn()?, SVG_SIZE.0, SVG_SIZE.1).map(String::into_bytes),
        Form::Png => chart::png(drawn()?, PNG_SIZE.0, PNG_SIZE.1),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn csv_of(grid: &Grid) -> Result<Vec<u8>, String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&grid.heads).map_err(|e| e.to_string())?;
    for row in &grid.rows {
        out.write_record(row.iter().map(text)).map_err(|e| e.to_string())?;
    }
    out.into_inner().map_err(|e| e.to_string())
}

fn objects(grid: &Grid) -> impl Iterator<Item = Map<String, Value>> {
    grid.rows.iter().map(|row| grid.heads.iter().cloned().zip(row.iter().cloned()).collect())
}

fn ndjson_of(grid: &Grid) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for object in objects(grid) {
        serde_json::to_writer(&mut bytes, &object).map_err(|e| e.to_string())?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn json_of(grid: &Grid) -> Result<Vec<u8>, String> {
    let rows: Vec<Map<String, Value>> = objects(grid).collect();
    let mut bytes = serde_json::to_vec_pretty(&rows).map_err(|e| e.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn markdown_of(grid: &Grid) -> String {
    let cell = |text: &str| show::line(text).replace('\\', "\\\\").replace('|', "\\|");
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let number = |i: usize| grid.rows.iter().any(|r| r.get(i).is_some_and(Value::is_number));
    let rule = (0..grid.heads.len()).map(|i| if number(i) { "---:" } else { "---" }.to_owned()).collect();
    let head = line(grid.heads.iter().map(|h| cell(h)).collect());
    let rows: String = grid.rows.iter().map(|r| line(r.iter().map(|v| cell(&text(v))).collect())).collect();
    format!("{head}{}{rows}", line(rule))
}

/// A new file of this name and moment, or with a number behind it; what is there already stays.
fn create(folder: &Path, name: &str, form: Form, now: Timestamp, bytes: &[u8]) -> Result<PathBuf, String> {
    let moment = now.utc().map_or_else(String::new, |t| t.format("-%Y%m%d-%H%M%S").to_string());
    for n in 1..=TRIES {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let file = folder.join(format!("{}{moment}{number}.{}", slug(name), form.extension()));
        let problem = |e: std::io::Error| format!("cannot write {}: {e}", file.display());
        match std::fs::OpenOptions::new().write(true).create_new(true).open(&file) {
            Ok(mut open) => {
                if let Err(e) = open.write_all(bytes).and_then(|()| open.sync_data()) {
                    // Half a file under a good name would be taken for a whole one.
                    drop(std::fs::remove_file(&file));
                    return Err(problem(e));
                }
                return Ok(file);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(problem(e)),
        }
    }
    Err(format!("{TRIES} files of that name are in {} already", folder.display()))
}

/// Letters of a file's name that every system and shell takes.
const NAME_CHARS_MAX: usize = 80;

fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().take(NAME_CHARS_MAX) {
        let c = if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' };
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    slug.trim_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grid() -> Grid {
        Grid {
            heads: vec!["name".into(), "auc".into()],
            rows: vec![vec![json!("a|b, c"), json!(0.75)], vec![Value::Null, json!("NaN")]],
        }
    }

    #[test]
    fn tables_keep_their_values_in_every_form() {
        assert_eq!(String::from_utf8(csv_of(&grid()).unwrap()).unwrap(), "name,auc\n\"a|b, c\",0.75\n,NaN\n");
        assert_eq!(markdown_of(&grid()), "| name | auc |\n| --- | ---: |\n| a\\|b, c | 0.75 |\n|  | NaN |\n");
        let json: Value = serde_json::from_slice(&json_of(&grid()).unwrap()).unwrap();
        assert_eq!(json, json!([{"name": "a|b, c", "auc": 0.75}, {"name": null, "auc": "NaN"}]));
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp(1_795_317_247_000_000);
        let first = create(folder.path(), "opsroom-../réseau x", Form::Csv, now, b"1").unwrap();
        let second = create(folder.path(), "opsroom-../réseau x", Form::Csv, now, b"2").unwrap();
        assert_eq!(first.file_name().unwrap(), "opsroom-..-r-seau-x-20261122-031407.csv");
        assert_eq!(second.file_name().unwrap(), "opsroom-..-r-seau-x-20261122-031407-2.csv");
        assert_eq!(std::fs::read(first).unwrap(), b"1");
        let missing = create(&folder.path().join("none"), "x", Form::Csv, now, b"").unwrap_err();
        assert!(missing.contains("cannot write"), "{missing}");
    }
}
