//! Limits of an event.

/// The longest customer id that is accepted, in bytes.
pub const LONGEST_CUSTOMER_ID: usize = 1024;

/// The largest event that is accepted, in bytes.
pub const LARGEST_EVENT: usize = 3 << 20;
