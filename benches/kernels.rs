//! The nearest-centroid search: every kernel that this processor can run, and the naive search.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flockwise_benches::vectors::coordinates;
use flockwise_kmeans::{Kernel, Nearest, Scratch};
use ndarray::ArrayView2;

const POINTS: usize = 4096;

criterion_group!(benches, nearest);
criterion_main!(benches);

fn nearest(criterion: &mut Criterion) {
    for (dimensions, count) in [(16, 32), (32, 64)] {
        let centroids = coordinates(1, count * dimensions);
        let rows = ArrayView2::from_shape((count, dimensions), &centroids).expect("rows");
        let points = coordinates(2, POINTS * dimensions);
        let mut group = criterion.benchmark_group(format!("nearest D={dimensions} K={count}"));
        group.throughput(Throughput::Elements(POINTS as u64));
        group.sample_size(30);
        group.bench_function(BenchmarkId::from_parameter("naive"), |bencher| {
            bencher.iter(|| sum(&points, dimensions, |point| naive(point, &centroids)));
        });
        for kernel in Kernel::available() {
            let nearest = Nearest::with_kernel(rows, kernel);
            let mut scratch = Scratch::default();
            group.bench_function(
                BenchmarkId::from_parameter(format!("{kernel:?}")),
                |bencher| {
                    bencher.iter(|| {
                        sum(&points, dimensions, |point| {
                            nearest.nearest(point, &mut scratch).centroid
                        })
                    });
                },
            );
        }
        for kernel in Kernel::available() {
            let nearest = Nearest::with_kernel(rows, kernel);
            let name = format!("{kernel:?}, each after the one before");
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| chase(&nearest, &points, dimensions));
            });
        }
        group.finish();
    }
}

fn sum(points: &[f64], dimensions: usize, mut find: impl FnMut(&[f64]) -> usize) -> usize {
    points.chunks_exact(dimensions).map(&mut find).sum()
}

/// The same number of searches, but each point depends on the last result. This measures the latency of one search,
/// while independent searches overlap.
fn chase(nearest: &Nearest, points: &[f64], dimensions: usize) -> usize {
    let mut scratch = Scratch::default();
    (0..POINTS).fold(0, |last, step| {
        // A permutation of the points, shifted by a bit of the last result.
        let index = (step * 1597 + (last & 1)) % POINTS;
        let point = &points[index * dimensions..][..dimensions];
        let hit = nearest.nearest(point, &mut scratch);
        hit.centroid ^ (hit.squared > 1.0) as usize
    })
}

fn naive(point: &[f64], centroids: &[f64]) -> usize {
    let mut best = (0, f64::INFINITY);
    for (index, centroid) in centroids.chunks_exact(point.len()).enumerate() {
        let gaps = point.iter().zip(centroid).map(|(left, right)| left - right);
        let squared: f64 = gaps.map(|gap| gap * gap).sum();
        if squared < best.1 {
            best = (index, squared);
        }
    }
    best.0
}
