//! The layout to the byte, `MLflow`'s thinning, and properties.

use proptest::prelude::*;

use super::*;

fn at(step: i64, timestamp: i64, value: f64) -> Point {
    Point { step, timestamp, value }
}

fn bits(points: &[Point]) -> Vec<(i64, i64, u64)> {
    points.iter().map(|point| (point.step, point.timestamp, point.value.to_bits())).collect()
}

fn any_points(most: usize) -> impl Strategy<Value = Vec<Point>> {
    let step = prop_oneof![4 => -20..20_i64, 1 => any::<i64>()];
    let value = prop_oneof![4 => any::<u64>().prop_map(f64::from_bits), 1 => Just(f64::NAN), 1 => Just(-0.0)];
    let point = (step.clone(), step, value).prop_map(|(step, timestamp, value)| at(step, timestamp, value));
    proptest::collection::vec(point, 0..most)
}

#[test]
fn the_layout_is_this_one() {
    let packed = pack(&[at(1, 1_000, 0.5), at(0, 1_001, f64::NEG_INFINITY)]);
    let mut wanted = vec![1, 2, 2, 1, 0xd0, 0x0f, 2];
    wanted.extend(0.5_f64.to_le_bytes());
    wanted.extend(f64::NEG_INFINITY.to_le_bytes());
    assert_eq!(packed, wanted);
}

#[test]
fn what_is_not_packed_points_is_refused() {
    assert_eq!(unpack(&[]), Err(Corrupt::Short));
    assert_eq!(unpack(&[2, 0]), Err(Corrupt::Layout(2)));
    assert_eq!(unpack(&[1, 0]), Ok(vec![]));
    assert_eq!(unpack(&[1, 0, 9]), Err(Corrupt::Trailing(1)));
    assert_eq!(unpack(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]), Err(Corrupt::Short));
    assert_eq!(unpack(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(Corrupt::Overlong));
    let mut packed = pack(&[at(1, 2, 3.0)]);
    packed.pop();
    assert_eq!(unpack(&packed), Err(Corrupt::Short));
}

#[test]
fn json_says_what_is_no_number_in_words() {
    let points = [at(1, 2, 0.5), at(-3, 4, f64::NAN), at(5, 6, f64::INFINITY), at(7, 8, f64::NEG_INFINITY)];
    let json = serde_json::to_string(&points).unwrap();
    assert_eq!(json, r#"[[1,2,0.5],[-3,4,"NaN"],[5,6,"Infinity"],[7,8,"-Infinity"]]"#);
    assert_eq!(bits(&serde_json::from_slice::<Vec<Point>>(json.as_bytes()).unwrap()), bits(&points));
    assert_eq!(serde_json::from_slice::<Point>("[1,2,3]".as_bytes()).unwrap(), at(1, 2, 3.0));
}

#[test]
fn thinning_keeps_the_rows_mlflow_keeps() {
    let points: Vec<Point> = (0..10).map(|step| at(step, step, 0.0)).collect();
    let steps = |max| thin_evenly(&points, max).iter().map(|point| point.step).collect::<Vec<_>>();
    // From its SQL store, 10 points logged at steps 0 to 9.
    assert_eq!(steps(1), [9]);
    assert_eq!(steps(2), [0, 9]);
    assert_eq!(steps(3), [0, 4, 9]);
    assert_eq!(steps(4), [0, 3, 6, 9]);
    assert_eq!(steps(5), [0, 2, 4, 6, 9]);
    assert_eq!(steps(7), [0, 2, 4, 6, 7, 8, 9]);
    assert_eq!(steps(9), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(steps(10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(steps(11), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_spike_and_a_gap_survive_the_chart() {
    let mut points: Vec<Point> = (0..1_000).map(|step| at(step, step, 1.0)).collect();
    points[333].value = 99.0;
    points[334].value = f64::NAN;
    points[777].value = f64::NEG_INFINITY;
    let drawn = min_max_per_column(&points, 10);
    assert!(drawn.len() <= 50, "{}", drawn.len());
    assert!(drawn.iter().any(|point| point.value == 99.0) && drawn.iter().any(|point| point.value.is_nan()));
    assert!(drawn.iter().any(|point| point.value == f64::NEG_INFINITY));
    assert_eq!((drawn[0].step, drawn[drawn.len() - 1].step), (0, 999));
}

proptest! {
    #[test]
    fn packing_loses_no_bit(points in any_points(60)) {
        prop_assert_eq!(unpack(&pack(&points)).map(|points| bits(&points)), Ok(bits(&points)));
    }

    #[test]
    fn hostile_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), version in 0..2_u8) {
        bytes.insert(0, version);
        if let Ok(points) = unpack(&bytes) {
            prop_assert!(points.len() * LEAST_BYTES <= bytes.len());
        }
    }

    #[test]
    fn a_damaged_pack_does_no_harm(points in any_points(20), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = pack(&points);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = unpack(&bytes);
    }

    #[test]
    fn ordering_keeps_each_point_once(points in any_points(40)) {
        let mut ordered = points.clone();
        ordered.extend(points.iter().take(9));
        order_and_dedup(&mut ordered);
        prop_assert!(ordered.is_sorted_by_key(|point| (point.timestamp, point.step)));
        let once: std::collections::BTreeSet<_> = bits(&points).into_iter().collect();
        prop_assert_eq!(once.len(), ordered.len());
        prop_assert_eq!(once, bits(&ordered).into_iter().collect());
        let mut again = ordered.clone();
        order_and_dedup(&mut again);
        prop_assert_eq!(bits(&again), bits(&ordered));
    }

    #[test]
    fn thinning_keeps_order_and_ends(mut points in any_points(60), max in 0..70_usize) {
        order_by_step(&mut points);
        let thinned = bits(&thin_evenly(&points, max));
        let all = bits(&points);
        prop_assert_eq!(thinned.len(), points.len().min(max.max(1)));
        prop_assert_eq!(thinned.last(), all.last());
        if max > 1 {
            prop_assert_eq!(thinned.first(), all.first());
        }
        let mut rest = all.iter();
        prop_assert!(thinned.iter().all(|point| rest.any(|other| other == point)));
    }

    #[test]
    fn a_chart_keeps_extremes_and_gaps(mut points in any_points(80), columns in 0..12_usize) {
        order_by_step(&mut points);
        let drawn = min_max_per_column(&points, columns);
        prop_assert!(drawn.len() <= 5 * columns.max(1));
        let all = bits(&points);
        let mut rest = all.iter();
        prop_assert!(bits(&drawn).iter().all(|point| rest.any(|other| other == point)));
        let extremes = |points: &[Point]| {
            let numbers = || points.iter().map(|point| point.value).filter(|value| !value.is_nan());
            (
                numbers().min_by(f64::total_cmp).map(f64::to_bits),
                numbers().max_by(f64::total_cmp).map(f64::to_bits),
                points.iter().any(|point| point.value.is_nan()),
            )
        };
        prop_assert_eq!(extremes(&drawn), extremes(&points));
        let drawn = bits(&drawn);
        prop_assert_eq!((drawn.first(), drawn.last()), (all.first(), all.last()));
    }
}
