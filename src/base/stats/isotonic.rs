//! Isotonic regression: the rising steps that come nearest to the data, by pooling neighbours that fall.

/// A rising function: straight between its knots, level beyond them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Isotonic {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

impl Isotonic {
    /// Fits points of (x, y, weight); `None` without any.
    pub fn fit(points: &[(f64, f64, f64)]) -> Option<Self> {
        let mut sorted: Vec<(f64, f64, f64)> = points.iter().copied().filter(|p| p.2 > 0.0).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Equal x are one point: its mean.
        let mut single: Vec<(f64, f64, f64)> = Vec::with_capacity(sorted.len());
        for (x, y, w) in sorted {
            match single.last_mut().filter(|last| last.0 == x) {
                Some(last) => {
                    last.1 = (last.1 * last.2 + y * w) / (last.2 + w);
                    last.2 += w;
                }
                None => single.push((x, y, w)),
            }
        }
        let fitted = pooled(&single);
        let inner =
            |i: usize| i > 0 && i + 1 < fitted.len() && fitted[i - 1] == fitted[i] && fitted[i] == fitted[i + 1];
        let knots = || (0..fitted.len()).filter(|i| !inner(*i));
        let it = Self { x: knots().map(|i| single[i].0).collect(), y: knots().map(|i| fitted[i]).collect() };
        (!it.x.is_empty()).then_some(it)
    }

    /// The value at a place.
    pub fn at(&self, x: f64) -> f64 {
        let (Some(first), Some(last)) = (self.y.first(), self.y.last()) else { return x };
        match self.x.partition_point(|knot| *knot <= x) {
            0 => *first,
            n if n == self.x.len() => *last,
            n => {
                let (a, b) = (self.x[n - 1], self.x[n]);
                self.y[n - 1] + (self.y[n] - self.y[n - 1]) * (x - a) / (b - a)
            }
        }
    }
}

/// The fitted value of every point.
fn pooled(points: &[(f64, f64, f64)]) -> Vec<f64> {
    // Blocks of (mean, weight, points).
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (_, y, w) in points {
        let mut block = (*y, *w, 1);
        while let Some(before) = blocks.last().filter(|before| before.0 >= block.0) {
            let weight = before.1 + block.1;
            block = ((before.0 * before.1 + block.0 * block.1) / weight, weight, before.2 + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.iter().flat_map(|(y, _, n)| std::iter::repeat_n(*y, *n)).collect()
}
