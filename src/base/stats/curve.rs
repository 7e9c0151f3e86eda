//! Steps of a threshold over scores, from the highest down: what ROC and precision-recall curves are made of.

/// What is predicted positive once the threshold has come down to a score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    pub tp: u64,
    pub fp: u64,
}

/// One step a distinct score, highest first.
pub fn steps(labels: &[bool], scores: &[f64]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..labels.len().min(scores.len())).collect();
    order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut steps: Vec<Step> = Vec::new();
    let (mut at, mut last) = (Step::default(), f64::NAN);
    for i in order {
        if labels[i] {
            at.tp += 1;
        } else {
            at.fp += 1;
        }
        match steps.last_mut() {
            Some(step) if scores[i] == last => *step = at,
            _ => steps.push(at),
        }
        last = scores[i];
    }
    steps
}
