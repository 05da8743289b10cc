//! Complete fits: greedy k-means++, and the best of several starts.

use flockwise_kmeans::{Points, fit};

use crate::support::{normal, sample};

/// Four tight groups at the corners of a square.
pub(crate) fn square() -> Points {
    let mut points = Points::new(2);
    for index in 0..80 {
        let (corner, step) = (index % 4, f64::from(index / 4) * 0.01);
        let x = f64::from(corner % 2) * 10.0 + step;
        let y = f64::from(corner / 2) * 10.0 - step;
        points.push(&[x, y], 1.0);
    }
    points
}

#[test]
fn groups_are_found_and_the_seed_alone_decides() {
    let points = square();
    let found = fit(&points, 4, 5, 7);
    assert!(found.inertia < 1.5, "inertia {}", found.inertia);
    for index in 0..80 {
        assert_eq!(found.labels[index], found.labels[index % 4]);
    }
    assert_eq!(found, fit(&points, 4, 5, 7));
}

#[test]
fn fewer_distinct_points_than_centroids_are_no_trouble() {
    let found = fit(&sample(3, &vec![(vec![2.5; 3], 1.0); 5]), 4, 3, 1);
    assert_eq!(found.inertia, 0.0);
    assert!(found.centroids.iter().all(|x| *x == 2.5));
}

#[test]
fn more_starts_are_never_worse() {
    let points = normal(3, 200, &[0.0, 0.0]);
    let mut last = f64::INFINITY;
    let mut gains = 0;
    for restarts in 1..8 {
        let found = fit(&points, 7, restarts, 11);
        assert!(found.inertia <= last);
        gains += usize::from(found.inertia < last);
        last = found.inertia;
    }
    assert!(gains > 1, "another start never gained anything");
}

/// Nearly all points have no weight. A centroid that started at one of them would stay there.
#[test]
fn what_weighs_nothing_is_nowhere_to_start() {
    let mut points = sample(1, &vec![(vec![100.0], 0.0); 1000]);
    points.push(&[0.0], 1.0);
    points.push(&[1.0], 1.0);
    for seed in 0..20 {
        let found = fit(&points, 2, 1, seed);
        assert_eq!(found.inertia, 0.0, "seed {seed}: {:?}", found.centroids);
    }
}

#[test]
fn where_nothing_weighs_anything_centroids_are_points() {
    let points = sample(1, &[(vec![1.0], 0.0), (vec![2.0], 0.0)]);
    let found = fit(&points, 3, 2, 5);
    assert!(found.centroids.iter().all(|x| [1.0, 2.0].contains(x)));
    assert_eq!((found.inertia, found.weights), (0.0, vec![0.0; 3]));
}

#[test]
#[should_panic(expected = "at least one point")]
fn without_a_point_there_is_no_fit() {
    let _ = fit(&Points::new(1), 1, 1, 1);
}

#[test]
#[should_panic(expected = "one centroid")]
fn without_a_centroid_there_is_no_fit() {
    let _ = fit(&square(), 0, 1, 1);
}
