//! Centroids: nearest, mini-batch deltas, seeding.
//!
//! Points are rows of `d` numbers in a space where plain Euclidean distance is meant: the caller has
//! scaled them. Seeds are arguments; nothing here reads a clock or does IO.

mod bound;
mod delta;
mod kernel;
mod lanes;
mod layout;
mod nearest;
mod search;
mod seeding;
mod silhouette;

pub use delta::Delta;
pub use kernel::Kernel;
pub use nearest::{Hit, Nearest, Scratch};
pub use seeding::{Fit, fit};
pub use silhouette::simplified_silhouette;
