//! The store through its port: what it gives back, and what becomes of files that are not as they were.

#![allow(clippy::unwrap_used)]

mod copies;
mod damage;
mod failing;
mod handover;
mod killed;
mod reference;
mod support;
