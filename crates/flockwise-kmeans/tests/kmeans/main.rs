//! Fast paths against their naive twins, and what is true of any sample.
#![allow(clippy::unwrap_used)]

mod halves;
mod lloyd;
mod nearest;
mod points;
mod seeding;
mod separation;
mod silhouette;
mod support;
mod utility;
