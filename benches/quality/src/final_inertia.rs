//! How tight a model's segments are around all customers at the end.

use flockwise_core::model::ModelVersion;
use flockwise_kmeans::{Points, assign, fit};

/// Number of batch k-means runs to compare with.
const BATCH_RUNS: usize = 50;

/// All customers' vectors, with each column scaled to a standard deviation of one, so that models with different
/// scalers are comparable.
pub(crate) struct Snapshot {
    scale: Vec<f64>,
    points: Points,
}

impl Snapshot {
    pub(crate) fn of(vectors: &[Vec<f64>]) -> Self {
        let dimensions = vectors.first().map_or(0, Vec::len);
        let scale: Vec<f64> = (0..dimensions).map(|index| scale(vectors, index)).collect();
        let mut points = Points::new(dimensions);
        for vector in vectors {
            points.push(&scaled(vector, &scale), 1.0);
        }
        Self { scale, points }
    }

    /// The lowest inertia of [`BATCH_RUNS`] runs of batch k-means.
    pub(crate) fn best_batch(&self, k: usize) -> f64 {
        fit(&self.points, k, BATCH_RUNS, 1).inertia
    }

    /// The inertia of a model's centroids.
    pub(crate) fn inertia(&self, model: &ModelVersion) -> f64 {
        let mut centroids = Points::new(self.scale.len());
        for segment in &model.segmentation().segments {
            centroids.push(&scaled(&segment.centroid, &self.scale), segment.weight);
        }
        assign(&self.points, centroids.values().to_owned()).inertia
    }
}

/// One over the standard deviation of a column; 0 if the column is constant.
fn scale(vectors: &[Vec<f64>], index: usize) -> f64 {
    let count = vectors.len() as f64;
    let mean = vectors.iter().map(|vector| vector[index]).sum::<f64>() / count;
    let squares = vectors.iter().map(|vector| (vector[index] - mean).powi(2));
    let deviation = (squares.sum::<f64>() / count).sqrt();
    if deviation > 0.0 {
        1.0 / deviation
    } else {
        0.0
    }
}

fn scaled(vector: &[f64], scale: &[f64]) -> Vec<f64> {
    let columns = vector.iter().zip(scale);
    columns.map(|(x, scale)| x * scale).collect()
}

#[cfg(test)]
mod tests {
    use flockwise_core::segmentation::{Scaler, Segment, Segmentation};

    use super::*;

    fn square() -> Snapshot {
        // Standard deviations of 1 and 10; the third column is constant.
        let corners = [[-1.0, -10.0], [-1.0, 10.0], [1.0, -10.0], [1.0, 10.0]];
        Snapshot::of(&corners.map(|[x, y]| vec![x, y, 7.0]))
    }

    fn model(centroids: &[[f64; 3]]) -> ModelVersion {
        let segments = centroids.iter().zip(1..);
        let segments = segments.map(|(centroid, id)| Segment::new(id, centroid.to_vec()));
        let scaler = Scaler {
            means: vec![0.0; 3],
            variances: vec![1.0; 3],
            weight: 4.0,
        };
        ModelVersion::hand_made(
            vec![String::new(); 3],
            Segmentation::new(scaler, segments.collect()),
        )
    }

    #[test]
    fn columns_count_alike_and_a_constant_one_not_at_all() {
        let one = model(&[[0.0, 0.0, 100.0]]);
        assert!((square().inertia(&one) - 8.0).abs() < 1e-12);
        let two = model(&[[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        assert!((square().inertia(&two) - 4.0).abs() < 1e-12);
    }

    #[test]
    fn batch_finds_what_is_there() {
        assert!((square().best_batch(2) - 4.0).abs() < 1e-12);
        assert!(square().best_batch(4) < 1e-12);
    }
}
