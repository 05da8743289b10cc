//! The changelog: one record for each customer's row, and one for the task position.
//!
//! Key: one byte, [`TASK_POSITION`] or [`ROW`]. In a row's key the customer id follows. A row's value is
//! binary, a task position's is JSON.

mod error;
mod row;
mod task_position;

pub use error::ChangelogError;
pub use row::{StoredRow, decode_row, encode_row};
pub use task_position::{decode_task_position, encode_task_position};

/// The whole key of the task position, one byte.
pub const TASK_POSITION: u8 = 0;
/// First byte of a row's key; the customer id follows.
pub const ROW: u8 = 1;

/// Appends a row's key to `out`.
pub fn row_key(customer_id: &str, out: &mut Vec<u8>) {
    out.push(ROW);
    out.extend_from_slice(customer_id.as_bytes());
}
