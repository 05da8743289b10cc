//! K-means: the nearest centroid, k-means on weighted samples, and whether two groups are one.
//!
//! Points are rows of `d` numbers. The caller has scaled them, so that plain Euclidean distance is meaningful.
//! Seeds are arguments; nothing here reads a clock or does IO.

#![forbid(unsafe_code)]

mod bisection;
mod centroid_layout;
mod instruction_sets;
mod lloyd;
mod nearest;
mod nearest_candidate;
mod nearest_simd;
mod points;
mod removal_cost;
mod seeding;
mod separation;
mod silhouette;
mod simd_lanes;
mod single_precision_bound;

pub use bisection::{Bisection, bisect};
pub use instruction_sets::Kernel;
pub use lloyd::{Fit, assign, lloyd};
pub use nearest::{Nearest, Scratch};
pub use nearest_candidate::Hit;
pub use points::{Points, squared};
pub use removal_cost::removal_costs;
pub use seeding::fit;
pub use separation::{Separation, effective_count};
pub use silhouette::simplified_silhouette;
