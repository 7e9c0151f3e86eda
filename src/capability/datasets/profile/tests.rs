//! Profiles are exact: counts add up in any order, sums and moments agree with plain arithmetic.

use proptest::prelude::*;

use super::*;

fn tally(values: &[f64]) -> NumberTally {
    let mut tally = NumberTally::default();
    values.iter().for_each(|v| tally.add(*v));
    tally
}

fn profiled(values: &[f64]) -> (NumberBins, Counts) {
    match tally(values).finish(None) {
        (Reference::Numbers(bins), Some((counts, _))) => (bins, counts),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_point_mass_has_a_bin_of_its_own() {
    let values: Vec<f64> = (0..1000).map(|i| if i % 2 == 0 { 0.0 } else { f64::from(i) / 10.0 }).collect();
    let (bins, counts) = profiled(&values);
    assert_eq!(counts.bins[bins.bin(0.0)], 500);
    assert_eq!(bins.bin(-0.0), bins.bin(0.0));
    assert_ne!(bins.bin(-1e-300), bins.bin(0.0));
    assert!(bins.edges.windows(2).all(|w| w[0] < w[1]));
}

#[test]
fn quantile_bins_hold_about_the_same() {
    let values: Vec<f64> = (0..64_000).map(|i| f64::from(i * 7919 % 64_000)).collect();
    let (bins, counts) = profiled(&values);
    assert_eq!((bins.edges.len(), counts.bins.len()), (63, 64));
    assert!(counts.bins.iter().all(|n| *n == 1000), "{:?}", counts.bins);
}

#[test]
fn missing_and_infinite_are_counted_apart() {
    let (_, counts) = profiled(&[1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0]);
    assert_eq!((counts.n, counts.missing, counts.infinite_low, counts.infinite_high), (5, 1, 1, 1));
    let (bins, counts) = profiled(&[]);
    assert_eq!((counts.bins, counts.n, bins.edges.len()), (vec![0], 0, 0));
}

#[test]
fn categories_beyond_the_top_are_other_and_unheard_of_ones_new() {
    let mut tally = CategoryTally::default();
    for i in 0..600_u64 {
        tally.add(format!("c{i}").as_bytes(), 1000 - i);
    }
    tally.missing = 7;
    let (reference, counts, _) = tally.finish(None);
    assert_eq!((counts.bins.len(), counts.bins[0], counts.missing), (500, 1000, 7));
    assert_eq!(counts.other, (500..600).map(|i| 1000 - i).sum::<u64>());
    assert!((580..620).contains(&counts.distinct.estimate()), "{}", counts.distinct.estimate());
    let mut counter = reference.counter();
    counter.category("c0", 2);
    counter.category("c599", 3);
    counter.category("never", 4);
    assert_eq!((counter.counts.bins[0], counter.counts.other, counter.counts.new), (2, 3, 4));
}

#[test]
fn a_profile_survives_writing() {
    let (bins, counts) = profiled(&[1.5, 2.5, 1e300, f64::NAN]);
    let column = Column::new("x", Kind::Number, Reference::Numbers(bins), counts, None);
    let table = TableProfile { files: vec!["a.csv".to_owned()], rows: 4, columns: vec![column], baseline: None };
    let profile = Profile::new(vec![table]);
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_slice::<Profile>(text.as_bytes()).unwrap(), profile);
}

#[test]
fn the_same_table_has_no_distance_and_another_has() {
    let values: Vec<f64> = (0..5000).map(|i| f64::from(i % 997)).collect();
    let (reference, counts) = tally(&values).finish(None);
    let counts = counts.unwrap().0;
    assert!(psi(&counts, &counts).abs() < 1e-12);
    let moved: Vec<f64> = values.iter().map(|v| v + 300.0).collect();
    let (_, beside) = tally(&moved).finish(Some(&reference));
    assert!(psi(&counts, &beside.unwrap().1.unwrap()) > 0.5);
}

proptest! {
    #[test]
    fn counts_merge_exactly_in_any_order(
        values in prop::collection::vec(-1e6_f64..1e6, 1..300),
        cut in 0_usize..300,
    ) {
        let (reference, whole) = tally(&values).finish(None);
        let cut = cut.min(values.len());
        let part = |values: &[f64]| {
            let mut counter = reference.counter();
            values.iter().for_each(|v| counter.number(*v, 1));
            counter.counts
        };
        let (mut ab, mut ba) = (part(&values[..cut]), part(&values[cut..]));
        let (a, b) = (ab.clone(), ba.clone());
        ab.merge(&b);
        ba.merge(&a);
        prop_assert_eq!(&ab, &ba);
        prop_assert_eq!(&ab, &whole.unwrap().0);
    }

    #[test]
    fn moments_agree_with_plain_arithmetic(values in prop::collection::vec(1e9_f64..1e9 + 1e4, 2..200)) {
        let (bins, counts) = profiled(&values);
        let n = values.len() as f64;
        let mean = values.iter().map(|v| v - 1e9).sum::<f64>() / n;
        let m2: f64 = values.iter().map(|v| (v - 1e9 - mean).powi(2)).sum();
        prop_assert!((counts.mean(&bins).unwrap() - 1e9 - mean).abs() < 1e-5);
        prop_assert!((counts.m2(&bins).unwrap() - m2).abs() <= 1e-6 * m2.max(1.0));
        let sums: f64 = (0..counts.bins.len()).map(|b| counts.sum(&bins, b)).sum();
        prop_assert!((sums - values.iter().sum::<f64>()).abs() < 1.0);
    }
}

#[test]
fn many_numbers_at_once_count_as_one_by_one() {
    for edges in [0_u32, 1, 2, 7, 63, 64] {
        let edges: Vec<f64> = (0..edges).map(|e| f64::from(e) / 10.0).collect();
        let bins = NumberBins { edges, center: 1.0, scale: 30, every: 1 };
        let reference = Reference::Numbers(bins.clone());
        let odd = [f64::NAN, f64::INFINITY, -0.0, 1e300, -1e300, 0.1, 6.3];
        let values: Vec<f64> = odd.into_iter().chain((0..1000).map(|i| f64::from(i) / 150.0 - 0.2)).collect();
        let (mut at_once, mut singly) = (reference.empty(), reference.empty());
        let finite: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).collect();
        at_once.add_numbers(&bins, &Grid::new(&bins), &finite);
        finite.iter().for_each(|x| singly.add_number(&bins, *x, 1));
        assert_eq!((&at_once, at_once.n), (&singly, 1005));
    }
}
