//! The style of all tables.

use comfy_table::{ContentArrangement, Row, Table, presets};

/// Width of a table, in characters.
const WIDTH: u16 = 120;

/// An empty table in the common style.
pub(crate) fn empty_table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(header);
    table
}
