//! Centroids: the nearest, k-means on weighted samples, and whether two groups are one.
//!
//! Points are rows of `d` numbers in a space where plain Euclidean distance is meant: the caller has
//! scaled them. Seeds are arguments; nothing here reads a clock or does IO.

mod bound;
mod halves;
mod kernel;
mod lanes;
mod layout;
mod lloyd;
mod nearest;
mod points;
mod search;
mod seeding;
mod separation;
mod silhouette;
mod utility;

pub use halves::{Halves, halves};
pub use kernel::Kernel;
pub use lloyd::{Fit, assign, lloyd};
pub use nearest::{Hit, Nearest, Scratch};
pub use points::{Points, squared};
pub use seeding::fit;
pub use separation::{Separation, effective_count};
pub use silhouette::simplified_silhouette;
pub use utility::removal_costs;
