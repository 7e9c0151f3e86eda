//! A comparison in words: who is better beyond luck, in what, and what it costs.

use serde::Serialize;

use super::{Better, Cell, Grade, Head, Measured, better};
use crate::base::show;

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The run that is much better than the base in something and worse in nothing. One standard deviation alone names no
    /// winner: among a few metrics luck gives that to almost every run.
    pub winner: Option<usize>,
    pub text: String,
}

/// Metrics named in a sentence; the rest is counted.
const NAMED_MAX: usize = 2;

/// One candidate's gains and losses, beyond luck.
struct Standing<'a> {
    run: usize,
    gains: Vec<(&'a Measured, &'a Cell)>,
    losses: Vec<(&'a Measured, &'a Cell)>,
}

impl Standing<'_> {
    /// Better ones first: what is much better or worse counts twice; then by how far it goes.
    fn points(&self) -> (i64, f64) {
        let weigh = |cells: &[(&Measured, &Cell)]| -> i64 {
            let much = |g| matches!(g, Grade::MuchBetter | Grade::MuchWorse);
            cells.iter().map(|(_, c)| if much(c.grade) { 2 } else { 1 }).sum()
        };
        // A metric without any spread would outweigh all others.
        let far = self.gains.iter().filter_map(|(_, c)| c.sigmas).map(|s| s.min(100.0)).sum();
        (weigh(&self.gains) - weigh(&self.losses), far)
    }
}

pub(super) fn judge(runs: &[Head], base: usize, metrics: &[Measured]) -> Verdict {
    let silent = |text: String| Verdict { winner: None, text };
    let Some(base_name) = runs.get(base).map(|r| r.name.as_str()) else { return silent("nothing to compare".into()) };
    let judged: Vec<&Measured> = metrics.iter().filter(|m| better::judges(&m.key) && m.better.is_some()).collect();
    if judged.is_empty() {
        return silent("These runs share no metric of which it is known which way is better.".into());
    }
    if judged.iter().all(|m| m.noise.is_none()) {
        return silent(without_noise(runs, base, &judged));
    }
    let mut standings: Vec<Standing<'_>> =
        (0..runs.len()).filter(|i| *i != base).map(|i| standing(i, &judged)).collect();
    // Those without any loss come first.
    standings.sort_by(|a, b| {
        let (x, y) = (a.points(), b.points());
        let unclean = |s: &Standing<'_>| !s.losses.is_empty() || s.gains.is_empty();
        unclean(a).cmp(&unclean(b)).then(y.0.cmp(&x.0)).then(y.1.total_cmp(&x.1))
    });
    let Some(first) = standings.first() else { return silent(String::new()) };
    let name = &runs[first.run].name;
    if first.gains.is_empty() && standings.iter().all(|s| s.gains.is_empty()) {
        return silent(format!("No run is better than {base_name} beyond luck: keep it."));
    }
    let gains = named(&first.gains);
    if first.losses.is_empty() && first.gains.iter().all(|(_, c)| c.grade == Grade::Better) {
        return silent(format!(
            "{name} may be better than {base_name} in {gains}, and is worse in nothing: more seeds would tell."
        ));
    }
    if first.losses.is_empty() {
        let text = format!("{name} beats {base_name} in {gains} and is worse in nothing beyond luck.");
        return Verdict { winner: Some(first.run), text };
    }
    let losses = named(&first.losses);
    if first.gains.is_empty() {
        return silent(format!("No run is better than {base_name} beyond luck; {name} loses {losses}."));
    }
    silent(format!("{name} wins {gains} against {base_name} but loses {losses}."))
}

fn standing<'a>(run: usize, judged: &[&'a Measured]) -> Standing<'a> {
    let those = |wanted: fn(Grade) -> bool| {
        judged.iter().filter_map(|m| m.cells.get(run).filter(|c| wanted(c.grade)).map(|c| (*m, c))).collect()
    };
    Standing { run, gains: those(Grade::is_better), losses: those(Grade::is_worse) }
}

/// `auc (+0.0022, 3.7σ), loss (-0.0017, 3.4σ) and 2 more`.
fn named(cells: &[(&Measured, &Cell)]) -> String {
    let one = |(m, c): &(&Measured, &Cell)| {
        let by = c.difference.map_or(String::new(), show::difference);
        match c.sigmas.filter(|s| s.is_finite()) {
            Some(sigmas) => format!("{} ({by}, {sigmas:.1}σ)", m.key),
            None => format!("{} ({by}, repeats agree exactly)", m.key),
        }
    };
    let mut cells = cells.to_vec();
    // What is beyond three comes before what is beyond one.
    cells.sort_by_key(|(_, c)| !matches!(c.grade, Grade::MuchBetter | Grade::MuchWorse));
    let names: Vec<String> = cells.iter().take(NAMED_MAX).map(one).collect();
    match cells.len().saturating_sub(NAMED_MAX) {
        0 => names.join(" and "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn without_noise(runs: &[Head], base: usize, judged: &[&Measured]) -> String {
    let leads = judged.iter().find_map(|m| {
        let sign = if m.better == Some(Better::Higher) { 1.0 } else { -1.0 };
        let (run, by) = m
            .cells
            .iter()
            .enumerate()
            .filter_map(|(i, c)| c.difference.filter(|d| d * sign > 0.0).map(|d| (i, d)))
            .max_by(|a, b| (a.1 * sign).total_cmp(&(b.1 * sign)))?;
        Some(format!("{} leads in {} ({})", runs[run].name, m.key, show::difference(by)))
    });
    let leads = leads.unwrap_or_else(|| format!("No run leads {}", runs[base].name));
    format!("{leads}, but no configuration was run twice, so it may be luck: train one with 3 seeds to know.")
}
