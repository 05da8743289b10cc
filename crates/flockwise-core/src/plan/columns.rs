//! Which features an event touches, and how many columns they have.

use crate::feature::Aggregate;

/// A feature, and whether an event adds to it or subtracts from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    pub(crate) feature: usize,
    pub(crate) reverses: bool,
}

/// Number of columns of an aggregate, per bucket: Σ w, Σ w v or an extreme alone; a numerator and a denominator; or the
/// number of events, the first and the last of them.
pub(crate) fn sums(aggregate: Aggregate) -> usize {
    match aggregate {
        Aggregate::Mean | Aggregate::Share | Aggregate::HourSin | Aggregate::HourCos => 2,
        Aggregate::MeanGap => 3,
        _ => 1,
    }
}
