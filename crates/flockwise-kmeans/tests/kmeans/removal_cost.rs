//! The cost of removing a centroid.

use flockwise_kmeans::{Points, assign, removal_costs};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

use crate::support::{any_sample, at_points, naive_nearest, sample, without};

/// The inertia without one of the centroids, minus the inertia with all of them.
fn naive_cost(points: &Points, centroids: &Array2<f64>, removed: usize) -> f64 {
    let others = without(centroids, removed);
    let inertia = |centroids: &Array2<f64>| -> f64 {
        let costs = points
            .iter()
            .map(|(point, weight)| weight * naive_nearest(centroids, point).1);
        costs.sum()
    };
    inertia(&others) - inertia(centroids)
}

proptest! {
    #[test]
    fn a_cost_is_what_inertia_rises_by_without_the_centroid(points in any_sample(), picks in prop::collection::vec(any::<prop::sample::Index>(), 2..8)) {
        let centroids = at_points(&points, &picks);
        let fit = assign(&points, centroids.clone());
        let costs = removal_costs(&points, &fit);
        prop_assert_eq!(costs.len(), picks.len());
        for (removed, cost) in costs.iter().enumerate() {
            let naive = naive_cost(&points, &centroids, removed);
            // The difference of two sums is accurate to a share of the larger one.
            prop_assert!((cost - naive).abs() <= 1e-12 * (fit.inertia + naive), "{cost} and {naive}");
            prop_assert!(*cost >= 0.0);
        }
    }

    #[test]
    fn of_two_that_coincide_either_is_worth_nothing(points in any_sample()) {
        let centroids = points.values().select(Axis(0), &[0, 0]);
        let costs = removal_costs(&points, &assign(&points, centroids));
        prop_assert_eq!(costs, vec![0.0, 0.0]);
    }
}

#[test]
fn the_last_one_is_worth_everything_if_it_has_weight() {
    let costs = |weight| {
        let points = sample(1, &[(vec![1.0], weight)]);
        removal_costs(&points, &assign(&points, array![[0.0]]))
    };
    assert_eq!(costs(1.0), [f64::INFINITY]);
    assert_eq!(costs(0.0), [0.0]);
}
