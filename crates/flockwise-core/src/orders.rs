//! Events about remembered orders: they count, replace what earlier ones added, or take it back.

mod entries;
mod replacement;
mod reversal;

pub use self::entries::OrderEntries;
pub(crate) use self::entries::Sums;
pub(crate) use self::replacement::count_order;
pub(crate) use self::reversal::reverse;
