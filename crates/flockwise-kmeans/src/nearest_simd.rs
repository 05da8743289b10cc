//! One search: all sums in single precision, then double precision for the few candidates that may be the least.
//!
//! Everything that runs for every vector is inlined, so that it is compiled for the instruction set of the kernel.

use crate::centroid_layout::Layout;
use crate::instruction_sets::Search;
use crate::nearest_candidate::{Best, Hit};
use crate::simd_lanes::{LANES, LaneBlock, Lanes};
use crate::single_precision_bound::Bound;

/// The point to look for and the centroids to search.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) point: &'a [f64],
    pub(crate) centroids: &'a [f64],
    pub(crate) layout: &'a Layout,
    pub(crate) bound: Bound,
}

/// Searches if one group holds all centroids: the sums never leave the registers. With sums in memory, each search
/// would wait for the stores of the previous one, and successive searches would take twice the time.
pub(crate) struct OneGroup<'a, const ROWS: usize>(pub(crate) Query<'a>);

/// Searches group by group, with the sums in memory.
pub(crate) struct Groups<'a>(pub(crate) Query<'a>, pub(crate) &'a mut Vec<LaneBlock>);

/// Maximum number of rows in a group: a `u64` has one bit for each of their centroids.
const ROWS: usize = u64::BITS as usize / LANES;

/// Number of dimensions for which the loops are unrolled. It is common, and unrolling saves a fourteenth of the
/// time.
const UNROLLED: usize = 16;

impl<const ROWS: usize> Search for OneGroup<'_, ROWS> {
    type Output = Option<Hit>;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Option<Hit> {
        let Self(look) = self;
        match <&[f64; UNROLLED]>::try_from(look.point) {
            // The same search, with a length that the compiler knows.
            Ok(point) => in_registers::<L, ROWS>(lanes, Query { point, ..look }),
            Err(_) => in_registers::<L, ROWS>(lanes, look),
        }
    }
}

#[inline(always)]
fn in_registers<L: Lanes, const ROWS: usize>(lanes: L, look: Query<'_>) -> Option<Hit> {
    let sums = sums::<L, ROWS>(lanes, look.point, &look.layout.rows);
    let mut least = sums[0];
    for sum in &sums[1..] {
        least = lanes.lesser(*sum, least);
    }
    let limit = look.bound.limit(lanes, least);
    if !lanes.first(limit).is_finite() {
        return None;
    }
    let mut near = 0;
    for (row, sum) in sums.iter().enumerate() {
        near |= u64::from(lanes.at_most(*sum, limit)) << (row * LANES);
    }
    let mut best = Best::new(look.point, look.centroids);
    decide(lanes, &mut best, 0, near);
    Some(best.hit)
}

impl Search for Groups<'_> {
    type Output = Option<Hit>;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> Option<Hit> {
        let Self(look, kept) = self;
        kept.resize(look.layout.height, LaneBlock([0.0; LANES]));
        let mut least = lanes.splat(f32::INFINITY);
        let mut rows = &look.layout.rows[..];
        for kept in kept.chunks_mut(L::ROWS) {
            let group;
            (group, rows) = rows.split_at(kept.len() * look.point.len());
            least = match kept.len() {
                1 => keep(lanes, sums::<L, 1>(lanes, look.point, group), kept, least),
                2 => keep(lanes, sums::<L, 2>(lanes, look.point, group), kept, least),
                3 => keep(lanes, sums::<L, 3>(lanes, look.point, group), kept, least),
                _ => keep(
                    lanes,
                    sums::<L, ROWS>(lanes, look.point, group),
                    kept,
                    least,
                ),
            };
        }
        let limit = look.bound.limit(lanes, least);
        if !lanes.first(limit).is_finite() {
            return None;
        }
        let mut best = Best::new(look.point, look.centroids);
        for (part, kept) in kept.chunks(ROWS).enumerate() {
            let mut near = 0;
            for (row, sums) in kept.iter().enumerate() {
                near |= u64::from(lanes.at_most(lanes.load(sums), limit)) << (row * LANES);
            }
            decide(lanes, &mut best, part * ROWS * LANES, near);
        }
        Some(best.hit)
    }
}

/// Tries the candidates in double precision: one bit each, the lowest bit for centroid `first`.
#[inline(always)]
fn decide<L: Lanes>(lanes: L, best: &mut Best<'_>, first: usize, mut near: u64) {
    while near != 0 {
        best.try_one(lanes, first + near.trailing_zeros() as usize);
        near &= near - 1;
    }
}

/// Stores the sums of a group and returns the least sum so far.
#[inline(always)]
fn keep<L: Lanes, const ROWS: usize>(
    lanes: L,
    sums: [L::Floats; ROWS],
    kept: &mut [LaneBlock],
    mut least: L::Floats,
) -> L::Floats {
    for (sum, kept) in sums.into_iter().zip(kept) {
        lanes.store(sum, kept);
        least = lanes.lesser(sum, least);
    }
    least
}

/// Squared distances to the centroids of one group.
#[inline(always)]
fn sums<L: Lanes, const ROWS: usize>(
    lanes: L,
    point: &[f64],
    group: &[LaneBlock],
) -> [L::Floats; ROWS] {
    if 4 * ROWS <= L::SUMS {
        chained::<L, ROWS, 4>(lanes, point, group)
    } else if 2 * ROWS <= L::SUMS {
        chained::<L, ROWS, 2>(lanes, point, group)
    } else {
        chained::<L, ROWS, 1>(lanes, point, group)
    }
}

/// Like `sums`, with every sum split into `CHAINS` parts, so that fewer additions wait for the previous one.
#[inline(always)]
fn chained<L: Lanes, const ROWS: usize, const CHAINS: usize>(
    lanes: L,
    point: &[f64],
    group: &[LaneBlock],
) -> [L::Floats; ROWS] {
    let mut sums = [[lanes.splat(0.0); ROWS]; CHAINS];
    let (point, point_rest) = point.as_chunks::<CHAINS>();
    let (group, group_rest) = group.as_chunks::<ROWS>().0.as_chunks::<CHAINS>();
    for (point, group) in point.iter().zip(group) {
        for chain in 0..CHAINS {
            add(lanes, &mut sums[chain], point[chain], &group[chain]);
        }
    }
    for (x, rows) in point_rest.iter().zip(group_rest) {
        add(lanes, &mut sums[0], *x, rows);
    }
    let mut chains = CHAINS;
    while chains > 1 {
        chains /= 2;
        for chain in 0..chains {
            let other = sums[chain + chains];
            for (sum, other) in sums[chain].iter_mut().zip(other) {
                *sum = lanes.plus(*sum, other);
            }
        }
    }
    sums[0]
}

/// Adds the squared gaps of one dimension.
#[inline(always)]
fn add<L: Lanes, const ROWS: usize>(
    lanes: L,
    sums: &mut [L::Floats; ROWS],
    x: f64,
    rows: &[LaneBlock; ROWS],
) {
    let x = lanes.splat(x as f32);
    for (sum, row) in sums.iter_mut().zip(rows) {
        *sum = lanes.plus_squared_gap(*sum, x, lanes.load(row));
    }
}
