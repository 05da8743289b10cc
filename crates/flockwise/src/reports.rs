//! What commands print: `model`, `customer` and the meaning of a configuration, with the style of tables and words.

pub(crate) mod customer;
pub(crate) mod describe_configuration;
pub(crate) mod model;
pub(crate) mod table;
pub(crate) mod wording;
