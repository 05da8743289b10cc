//! What people read: the commands `model` and `customer`, the documents of the HTTP server, and the style of tables.

pub(crate) mod customer;
pub(crate) mod describe;
pub(crate) mod model;
pub(crate) mod shared_view;
pub(crate) mod table;
pub(crate) mod wording;
