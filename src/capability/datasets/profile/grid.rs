//! Where numbers lie among the edges of bins, by a look-up and a comparison or two: in a grid of equal cells it stands how many
//! edges lie in cells before, and only the edges of a number's own cell are held against it.

use super::NumberBins;

const CELLS: usize = 256;
/// Edges of one cell; where more lie together, a search is as quick.
const NEAR_MAX: usize = 6;
/// Numbers that are looked for at once.
pub(super) const LANES: usize = 8;

/// It follows from the edges.
#[derive(Debug, Clone, Default)]
pub struct Grid(Option<Box<Cells>>);

#[derive(Debug, Clone)]
struct Cells {
    low: f64,
    /// Cells a unit.
    scale: f64,
    /// Edges in the cells before.
    before: [u8; CELLS],
    /// Edges in the fullest cell.
    near: usize,
}

impl Cells {
    /// What rises never falls here, however it is rounded: an edge in an earlier cell is smaller.
    #[inline(always)]
    #[allow(clippy::inline_always, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // once a value; the ends are cells
    fn cell(&self, x: f64) -> usize {
        usize::from(((x - self.low) * self.scale) as u8)
    }
}

impl Grid {
    pub fn new(bins: &NumberBins) -> Self {
        Self(cells(&bins.edges).map(Box::new))
    }

    /// Places of the bins of up to [`LANES`] finite numbers.
    #[inline(always)]
    #[allow(clippy::inline_always)] // once for some values
    pub(super) fn places(&self, bins: &NumberBins, some: &[f64]) -> [usize; LANES] {
        let edges = bins.edges.as_slice();
        let Some(cells) = &self.0 else { return searched(edges, some) };
        let mut places = [0; LANES];
        for (place, x) in places.iter_mut().zip(some) {
            let from = usize::from(cells.before[cells.cell(*x)]);
            *place = from;
            for edge in &edges[from..(from + cells.near).min(edges.len())] {
                *place += usize::from(*edge < *x);
            }
        }
        places
    }
}

fn cells(edges: &[f64]) -> Option<Cells> {
    let (low, high) = (*edges.first()?, *edges.last()?);
    let scale = CELLS as f64 / (high - low);
    if !scale.is_normal() || edges.len() > usize::from(u8::MAX) || edges.iter().any(|edge| !edge.is_finite()) {
        return None;
    }
    let mut it = Cells { low, scale, before: [0; CELLS], near: 0 };
    let mut of_cell = [0_u8; CELLS];
    edges.iter().for_each(|edge| of_cell[it.cell(*edge)] += 1);
    let mut sum = 0;
    for (before, here) in it.before.iter_mut().zip(of_cell) {
        *before = sum;
        sum += here;
        it.near = it.near.max(usize::from(here));
    }
    (it.near <= NEAR_MAX).then_some(it)
}

/// Each step of a search waits for the one before it, and several searches wait together. Which half a value lies in nobody can
/// foresee, so no step is a jump.
fn searched(edges: &[f64], some: &[f64]) -> [usize; LANES] {
    let (mut places, mut len) = ([0; LANES], edges.len());
    while len > 1 {
        let half = len / 2;
        for (place, x) in places.iter_mut().zip(some) {
            *place += std::hint::select_unpredictable(edges[*place + half - 1] < *x, half, 0);
        }
        len -= half;
    }
    for (place, x) in places.iter_mut().zip(some) {
        *place += usize::from(edges.get(*place).is_some_and(|edge| edge < x));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree(edges: Vec<f64>, values: &[f64]) -> bool {
        let bins = NumberBins { edges, center: 0.0, scale: 0, every: 1 };
        let (grid, none) = (Grid::new(&bins), Grid::default());
        for some in values.chunks(LANES) {
            let places: Vec<usize> = some.iter().map(|x| bins.bin(*x)).collect();
            assert_eq!(grid.places(&bins, some)[..some.len()], places, "{bins:?} {some:?}");
            assert_eq!(none.places(&bins, some)[..some.len()], places, "{bins:?} {some:?}");
        }
        grid.0.is_some()
    }

    #[test]
    fn every_edge_and_its_neighbours_lie_where_a_search_finds_them() {
        let near = |x: f64| [x.next_down(), x, x.next_up()];
        let even: Vec<f64> = (0..63).map(|i| f64::from(i) / 7.0).collect();
        let masses: Vec<f64> = (0..10).flat_map(|i| [f64::from(i).next_down(), f64::from(i)]).collect();
        let far = vec![-1e308, 0.0, 1e308];
        let skewed: Vec<f64> = (0..63).map(|i| f64::from(i).exp()).collect();
        for (edges, quick) in
            [(vec![], false), (vec![1.0], false), (even, true), (masses, true), (far, false), (skewed, false)]
        {
            let mut values: Vec<f64> = edges.iter().copied().flat_map(near).collect();
            values.extend([f64::MIN, f64::MAX, 0.0, -0.0, 5e-324]);
            assert_eq!(agree(edges.clone(), &values), quick, "{edges:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_lies_where_a_search_finds_it(
            edges in proptest::collection::vec(-1e3..1e3, 0..70), values in proptest::collection::vec(-2e3..2e3, 0..70)
        ) {
            let mut edges: Vec<f64> = edges;
            edges.sort_by(f64::total_cmp);
            agree(edges, &values);
        }
    }
}
