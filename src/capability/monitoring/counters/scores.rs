//! Scores by bin: found at once, since every prediction counts in those of all its slices.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::tally::{SCORE_BINS, ScoreBin};

const BINS: usize = SCORE_BINS as usize;

/// The bins that anything lies in; most slices of a minute have a few.
#[derive(Debug, Clone)]
pub struct Scores {
    /// Where a bin is among them, from 1 on.
    places: [u8; BINS],
    bins: Vec<ScoreBin>,
}

impl Default for Scores {
    fn default() -> Self {
        Self { places: [0; BINS], bins: Vec::new() }
    }
}

/// In whatever order they came.
impl PartialEq for Scores {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Scores {}

impl Scores {
    /// The bin of this number, which is empty if nothing lay in it.
    #[allow(clippy::cast_possible_truncation)] // there are fewer
    pub fn at(&mut self, bin: u8) -> &mut ScoreBin {
        let place = &mut self.places[usize::from(bin).min(BINS - 1)];
        if *place == 0 {
            self.bins.push(ScoreBin::default());
            *place = self.bins.len() as u8;
        }
        &mut self.bins[usize::from(*place) - 1]
    }

    pub fn len(&self) -> usize {
        self.bins.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// By rising score.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &ScoreBin)> {
        let of = |(bin, place): (u8, &u8)| usize::from(*place).checked_sub(1).map(|place| (bin, &self.bins[place]));
        (0..).zip(&self.places).filter_map(of)
    }

    pub fn values(&self) -> impl Iterator<Item = &ScoreBin> {
        self.iter().map(|(_, bin)| bin)
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<u8, ScoreBin>::deserialize(d)?;
        let mut scores = Self::default();
        all.into_iter().for_each(|(bin, of)| *scores.at(bin) = of);
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_rising_score_and_read_again() {
        let (mut a, mut b) = (Scores::default(), Scores::default());
        for bin in [7, 0, 99, 7] {
            a.at(bin).n += 1;
        }
        for bin in [99, 7, 0, 7] {
            b.at(bin).n += 1;
        }
        assert_eq!((&a, a.len(), a.iter().map(|(bin, _)| bin).collect::<Vec<_>>()), (&b, 3, vec![0, 7, 99]));
        let text = serde_json::to_string(&a).unwrap();
        assert_eq!(text, serde_json::to_string(&a.iter().collect::<BTreeMap<_, _>>()).unwrap());
        assert_eq!(serde_json::from_slice::<Scores>(text.as_bytes()).unwrap(), a);
        b.at(3);
        assert_ne!(a, b);
    }
}
