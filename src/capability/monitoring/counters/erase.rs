//! Taking a person out of the ledger: what they asked, what was answered, and what turned out to be true. Counts that add many
//! people together stay; those of a slice that is this person go.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::super::Prediction;
use super::arm::Arm;
use super::first::FirstWindow;
use super::ingest::{Counters, Inner, Job};
use super::journal;
use super::store::{self, Position, Row};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::datasets::profile::Reference;

/// What stands where a name stood.
pub const ERASED: &str = "(erased)";

/// An event as far as it is needed here.
#[derive(Deserialize)]
struct OfId<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Whom to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// The id of a prediction and its label.
    Id(String),
    /// A value that stands in features or slices, such as a customer's number.
    Key(String),
}

/// What was taken out, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Erased {
    pub predictions: u64,
    pub labels: u64,
    /// Rows of first windows.
    pub samples: u64,
    /// Slices that were this person.
    pub slices: u64,
}

impl Person {
    pub fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Key(text) => text,
        }
    }

    fn is_of(&self, p: &Prediction) -> bool {
        match self {
            Self::Id(id) => p.id == *id,
            Self::Key(key) => p.slices.values().any(|v| v == key) || p.features.values().any(|v| holds(v, key)),
        }
    }

    fn is_slice(&self, slice: &str) -> bool {
        matches!(self, Self::Key(key) if slice.strip_suffix(key.as_str()).is_some_and(|name| name.ends_with('=')))
    }
}

fn holds(value: &Value, key: &str) -> bool {
    match value {
        Value::String(text) => text == key,
        Value::Number(n) => n.to_string() == key,
        Value::Array(items) => items.iter().any(|v| holds(v, key)),
        Value::Object(fields) => fields.values().any(|v| holds(v, key)),
        Value::Bool(_) | Value::Null => false,
    }
}

impl Counters {
    /// Takes a person out, for good where `really`; else only counts. Interrupted, it can be done again.
    ///
    /// # Errors
    /// `Unavailable` when the store refuses; what is left is found by the next try.
    pub async fn erase(&self, person: &Person, really: bool, now: Timestamp) -> Result<Erased> {
        let gone = || Fault::unavailable("the counter store has ended");
        let (answer, wait) = oneshot::channel();
        self.queue.send(Job::Erase(person.clone(), really, now, answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }
}

/// The writer's part of it: nothing is appended meanwhile.
pub(super) async fn erase(inner: &Inner, person: &Person, really: bool, now: Timestamp) -> Result<Erased> {
    super::fold::fold(inner, now).await?;
    let (ids, asked) = find(inner, person).await?;
    let mut erased = Erased { predictions: asked.len() as u64, ..Erased::default() };
    // Labels first: which ids are this person's is told by the predictions, also after an interruption.
    erased.labels = each_row(inner, really, 1, |body| without_labels(body, &ids)).await?;
    each_row(inner, really, 0, |body| without_predictions(body, &ids)).await?;
    let Found { arms, mut windows, slices } = of_arms(inner, person, &asked, &mut erased);
    if !really {
        return Ok(erased);
    }
    let mut tx = inner.db.begin_erasing().await?;
    for (number, arm) in &arms {
        store::put_arm(&mut tx, *number, arm).await?;
    }
    for (number, window) in &mut windows {
        store::forget_first(&mut tx, *number).await?;
        if let Some(part) = window.fresh() {
            store::put_first(&mut tx, *number, 0, &part).await?;
        }
        window.stored = window.len();
    }
    for slice in &slices {
        store::remove_slice(&mut tx, slice).await?;
    }
    tx.commit().await?;
    let mut state = inner.state();
    for (number, arm) in arms {
        if let Some(known) = state.arms.get_mut(number as usize) {
            *known = arm.indexed();
        }
    }
    state.firsts.extend(windows);
    let numbers: BTreeSet<u32> = slices.iter().filter_map(|slice| state.slices.find(slice)).collect();
    state.remove_slices(&numbers);
    ids.iter().for_each(|id| state.ledger.remove(id));
    Ok(erased)
}

/// Ids that are this person's, and what they asked.
async fn find(inner: &Inner, person: &Person) -> Result<(BTreeSet<String>, Vec<Prediction>)> {
    let mut ids: BTreeSet<String> = BTreeSet::new();
    if let Person::Id(id) = person {
        ids.insert(id.clone());
    }
    let (mut after, mut asked) = (0, Vec::new());
    loop {
        let rows = store::journal(inner.db.read(), after).await?;
        let Some(last) = rows.last() else { return Ok((ids, asked)) };
        after = last.seq;
        for row in rows.iter().filter(|r| r.kind == 0) {
            let events = journal::predictions(&row.body).map_err(damaged(row))?;
            let theirs = events.all.iter().map(|one| events.event(one)).filter(|p| person.is_of(p));
            for p in theirs {
                ids.insert(p.id.clone());
                asked.push(p);
            }
        }
    }
}

fn damaged(row: &Row) -> impl Fn(String) -> Fault {
    let seq = row.seq;
    move |why| {
        Fault::bug(format!("row {seq} of the journal of predictions cannot be read"))
            .why(why)
            .next("restore the last backup")
    }
}

/// What is left of a body: how many events are, how many go, and its new bytes.
type Left = (i64, u64, Vec<u8>);

/// Labels without those of some ids; `None`: there are none of theirs.
fn without_labels(body: &[u8], ids: &BTreeSet<String>) -> Result<Option<Left>, String> {
    let whole = journal::plain(body)?;
    let theirs = |line: &[u8]| serde_json::from_slice::<OfId<'_>>(line).is_ok_and(|e| ids.contains(e.id.as_ref()));
    let (gone, left): (Vec<&[u8]>, Vec<&[u8]>) = lines(&whole).partition(|line| theirs(line));
    if gone.is_empty() {
        return Ok(None);
    }
    let mut kept = left.join(&b"\n"[..]);
    kept.push(b'\n');
    let kept = journal::packed(&kept).map_err(|fault| fault.to_string())?;
    Ok(Some((i64::try_from(left.len()).unwrap_or(i64::MAX), gone.len() as u64, kept)))
}

/// Predictions without those of some ids.
fn without_predictions(body: &[u8], ids: &BTreeSet<String>) -> Result<Option<Left>, String> {
    let all = journal::predictions(body)?;
    let left = all.only(|row| !ids.contains(all.text(row.id)));
    if left.len() == all.len() {
        return Ok(None);
    }
    let kept = journal::rows(&left).map_err(|fault| fault.to_string())?;
    Ok(Some((i64::try_from(left.len()).unwrap_or(i64::MAX), (all.len() - left.len()) as u64, kept)))
}

fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty())
}

/// Rewrites every row of a kind as what is left of it; answers how many events went, or would.
async fn each_row(
    inner: &Inner,
    really: bool,
    kind: i64,
    left: impl Fn(&[u8]) -> Result<Option<Left>, String>,
) -> Result<u64> {
    let (mut after, mut gone) = (0, 0);
    loop {
        let rows = store::journal(inner.db.read(), after).await?;
        let Some(last) = rows.last() else { return Ok(gone) };
        after = last.seq;
        let mut changed = Vec::new();
        for row in rows.iter().filter(|r| r.kind == kind) {
            if let Some((events, taken, body)) = left(&row.body).map_err(damaged(row))? {
                gone += taken;
                changed.push((row.seq, events, body));
            }
        }
        if really && !changed.is_empty() {
            rewrite(inner, changed, gone).await?;
        }
    }
}

async fn rewrite(inner: &Inner, changed: Vec<(i64, i64, Vec<u8>)>, events: u64) -> Result<()> {
    let (counted, position) = store::position(inner.db.read()).await?;
    let mut tx = inner.db.begin_erasing().await?;
    for (seq, left, body) in changed {
        store::rewrite(&mut tx, seq, left, &body).await?;
    }
    // A recount from the journal cannot come to the same any more, and says why.
    let erased = position.erased.saturating_add(events);
    store::put_position(&mut tx, counted, &Position { erased, ..position }).await?;
    tx.commit().await?;
    inner.erased.store(i64::try_from(erased).unwrap_or(i64::MAX), Ordering::Relaxed);
    Ok(())
}

/// Versions and first windows as they are without this person, and the slices that go.
struct Found {
    arms: Vec<(u32, Arm)>,
    windows: Vec<(u32, FirstWindow)>,
    slices: BTreeSet<String>,
}

fn of_arms(inner: &Inner, person: &Person, asked: &[Prediction], erased: &mut Erased) -> Found {
    let state = inner.state();
    let (mut arms, mut windows, mut slices) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (number, known) in (0..).zip(&state.arms) {
        let mut arm = known.clone();
        let own: BTreeSet<String> = arm.slices.iter().filter(|s| person.is_slice(s)).cloned().collect();
        arm.slices.retain(|s| !own.contains(s));
        slices.extend(own);
        if let Some(window) = state.firsts.get(&number)
            && let Some(left) = window.without(|row| is_theirs(row, person, asked))
        {
            erased.samples += (window.len() - left.len()) as u64;
            arm.first_rows = Some(left.len());
            windows.push((number, left));
        }
        if let Person::Key(key) = person {
            for column in Arc::make_mut(&mut arm.columns) {
                if let Reference::Categories(bins) = &mut column.reference {
                    bins.top.iter_mut().filter(|name| *name == key).for_each(|name| *name = ERASED.into());
                }
            }
        }
        if arm != *known {
            arms.push((number, arm));
        }
    }
    erased.slices = slices.len() as u64;
    Found { arms, windows, slices }
}

/// A row of a first window holds features only: it is a person's when it holds their key, or just what they sent.
fn is_theirs(row: &Map<String, Value>, person: &Person, asked: &[Prediction]) -> bool {
    let of_key = matches!(person, Person::Key(key) if row.values().any(|v| holds(v, key)));
    let same = |p: &Prediction| !p.features.is_empty() && p.features.iter().all(|(name, v)| row.get(name) == Some(v));
    of_key || asked.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_found_by_id_feature_and_slice_and_not_by_part_of_a_word() {
        let p: Prediction = serde_json::from_value(serde_json::json!({
            "id": "r-1", "service": "s", "prediction": 1, "slices": {"customer": "kim"},
            "features": {"age": 41, "contacts": [{"mail": "kim@example.org"}]}
        }))
        .unwrap();
        let key = |text: &str| Person::Key(text.to_owned()).is_of(&p);
        assert!(key("kim") && key("kim@example.org") && key("41"));
        assert!(!key("ki") && !key("r-1") && !key("example.org"));
        assert!(Person::Id("r-1".to_owned()).is_of(&p) && !Person::Id("kim".to_owned()).is_of(&p));
        let kim = Person::Key("kim".to_owned());
        assert!(kim.is_slice("customer=kim") && !kim.is_slice("customer=joakim") && !kim.is_slice("kim"));
    }
}
