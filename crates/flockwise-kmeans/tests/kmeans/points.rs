//! Weighted samples and their means.

use flockwise_kmeans::Points;
use ndarray::{Array1, array};
use proptest::prelude::*;

use crate::support::{all, any_sample, naive_means, repeated, sample, whole};

#[test]
fn what_was_pushed_is_there() {
    let points = sample(2, &[(vec![1.0, 2.0], 3.0), (vec![4.0, 5.0], 0.5)]);
    assert_eq!((points.len(), points.dimensions()), (2, 2));
    assert_eq!((points.point(1), points.weight(1)), (&[4.0, 5.0][..], 0.5));
    let seen: Vec<(&[f64], f64)> = points.iter().collect();
    assert_eq!(seen, [(&[1.0, 2.0][..], 3.0), (&[4.0, 5.0][..], 0.5)]);
    assert_eq!(points.of(&[1]), sample(2, &[(vec![4.0, 5.0], 0.5)]));
    assert!(!points.is_empty() && Points::new(2).is_empty());
}

#[test]
#[should_panic(expected = "one number per dimension")]
fn a_point_of_other_dimensions_is_refused() {
    Points::new(2).push(&[1.0], 1.0);
}

#[test]
fn the_mean_of_what_weighs_nothing_is_zero() {
    let points = sample(2, &[(vec![1.0, 2.0], 0.0), (vec![3.0, 4.0], 0.0)]);
    assert_eq!(points.mean(&[0, 1]), array![0.0, 0.0]);
    assert_eq!(points.mean(&[]), array![0.0, 0.0]);
}

proptest! {
    #[test]
    fn a_mean_is_that_of_the_members_by_weight(points in any_sample(), half in any::<bool>()) {
        let members: Vec<usize> = (0..points.len()).filter(|index| half || index % 2 == 0).collect();
        let some = points.of(&members);
        let (means, _) = naive_means(&some, &vec![0; some.len()], 1);
        let naive = means[0].clone().unwrap_or_else(|| Array1::zeros(some.dimensions()));
        let size = some.iter().flat_map(|(point, _)| point).fold(0.0_f64, |size, x| size.max(x.abs()));
        for (mean, naive) in points.mean(&members).iter().zip(&naive) {
            prop_assert!((mean - naive).abs() <= 1e-13 * size, "{mean} and {naive}");
        }
    }

    #[test]
    fn the_mean_of_equal_points_is_that_point(x in prop_oneof![-10.0..10.0_f64, 1e29..1e30_f64], weights in prop::collection::vec(0.01..10.0_f64, 1..200)) {
        let rows: Vec<(Vec<f64>, f64)> = weights.into_iter().map(|weight| (vec![x, -x / 3.0], weight)).collect();
        let points = sample(2, &rows);
        prop_assert_eq!(points.mean(&all(&points)), array![x, -x / 3.0]);
    }

    #[test]
    fn a_weight_stands_for_so_many_points(points in whole()) {
        let repeated = repeated(&points);
        let (left, right) = (points.mean(&all(&points)), repeated.mean(&all(&repeated)));
        for (left, right) in left.iter().zip(&right) {
            prop_assert!((left - right).abs() < 1e-13 * 20.0);
        }
    }
}

#[test]
fn a_point_that_stands_for_nothing_has_no_say() {
    let mut points = Points::new(1);
    points.push(&[1.0], 1.0);
    points.push(&[9.0], 1.0);
    points.set_weight(1, 0.0);
    assert_eq!(points.mean(&[0, 1]), array![1.0]);
    assert_eq!(points.weight(1), 0.0);
}
