//! Fast paths against their naive versions, and properties of any sample.
#![allow(clippy::unwrap_used)]

mod bisection;
mod lloyd;
mod nearest;
mod points;
mod removal_cost;
mod seeding;
mod separation;
mod silhouette;
mod support;
