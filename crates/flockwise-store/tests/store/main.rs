//! Tests of the store through the `Store` port: what loads return, and what happens to damaged files.

#![allow(clippy::unwrap_used)]

mod copies;
mod damage;
mod failing;
mod handover;
mod killed;
mod reference;
mod support;
