//! The built-in formats, as tables of pointers.

use flockwise_core::order_rules::Repeat;
use flockwise_core::pointer::Pointer;

use super::{Format, IdPointers, ReversalFormat};

/// The pointers of a format. Those to the parts of an id are separated by a blank.
#[derive(Default)]
struct Table {
    customer_id: &'static [&'static str],
    event: &'static [&'static str],
    time: &'static [&'static str],
    event_id: &'static [&'static str],
    order_id: &'static [&'static str],
    repeats: &'static [(&'static str, Repeat)],
    amount: &'static [&'static str],
    of: &'static [&'static str],
    price: Option<&'static str>,
    quantity: Option<&'static str>,
}

impl Format {
    /// The names of the built-in formats.
    pub const BUILTIN: [&'static str; 6] = [
        "native",
        "segment",
        "ga4",
        "snowplow",
        "cloudevents",
        "posthog",
    ];

    /// The built-in format of this name; `None` for any other name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let table = table(name)?;
        Some(Self {
            customer_id: pointers(table.customer_id),
            event: pointers(table.event),
            time: pointers(table.time),
            event_id: ids(table.event_id),
            order_id: ids(table.order_id),
            repeats: table
                .repeats
                .iter()
                .map(|(name, repeat)| ((*name).to_owned(), *repeat))
                .collect(),
            reversal: ReversalFormat {
                amount: pointers(table.amount),
                of: pointers(table.of),
                price: table.price.and_then(pointer),
                quantity: table.quantity.and_then(pointer),
                is_cumulative: false,
            },
            ..Self::empty(name)
        })
    }
}

fn table(name: &str) -> Option<Table> {
    Some(match name {
        "native" => Table {
            customer_id: &["/customer_id"],
            event: &["/event"],
            time: &["/time"],
            event_id: &["/event_id"],
            order_id: &["/order_id"],
            ..Table::default()
        },
        // Segment's tracking API and its e-commerce specification; RudderStack's is the same.
        "segment" => Table {
            customer_id: &["/userId", "/anonymousId"],
            event: &["/event", "/type"],
            time: &["/timestamp", "/originalTimestamp", "/sentAt"],
            event_id: &["/messageId"],
            order_id: &["/properties/order_id"],
            repeats: &[
                ("Order Completed", Repeat::First),
                ("Order Updated", Repeat::Last),
                ("Order Refunded", Repeat::Each),
                ("Order Cancelled", Repeat::First),
            ],
            amount: &[
                "/properties/revenue",
                "/properties/total",
                "/properties/value",
            ],
            price: Some("/properties/products/*/price"),
            quantity: Some("/properties/products/*/quantity"),
            ..Table::default()
        },
        // Rows of the BigQuery export of Google Analytics 4.
        "ga4" => Table {
            customer_id: &["/user_id", "/user_pseudo_id"],
            event: &["/event_name"],
            time: &["/event_timestamp"],
            event_id: &[
                "/user_pseudo_id /event_timestamp /event_name /event_bundle_sequence_id /batch_event_index",
            ],
            order_id: &[
                "/ecommerce/transaction_id",
                "/event_params[key=transaction_id]/value/string_value",
            ],
            repeats: &[("purchase", Repeat::First), ("refund", Repeat::Each)],
            amount: &[
                "/ecommerce/refund_value",
                "/event_params[key=value]/value/double_value",
                "/event_params[key=value]/value/float_value",
                "/event_params[key=value]/value/int_value",
            ],
            of: &["/ecommerce/purchase_revenue"],
            price: Some("/items/*/price"),
            quantity: Some("/items/*/quantity"),
        },
        // Enriched events as JSON, as the analytics SDKs write them.
        "snowplow" => Table {
            customer_id: &["/user_id", "/domain_userid", "/network_userid"],
            event: &["/event_name", "/event"],
            time: &["/derived_tstamp", "/collector_tstamp"],
            event_id: &["/event_id"],
            order_id: &["/tr_orderid", "/ti_orderid"],
            repeats: &[("transaction", Repeat::First)],
            amount: &["/tr_total"],
            ..Table::default()
        },
        // CloudEvents 1.0 in structured mode.
        "cloudevents" => Table {
            customer_id: &["/subject"],
            event: &["/type"],
            time: &["/time"],
            event_id: &["/source /id"],
            order_id: &["/data/order_id", "/data/orderId"],
            ..Table::default()
        },
        // Events as PostHog exports them.
        "posthog" => Table {
            customer_id: &["/distinct_id"],
            event: &["/event"],
            time: &["/timestamp"],
            event_id: &["/uuid"],
            order_id: &["/properties/order_id"],
            amount: &[
                "/properties/revenue",
                "/properties/total",
                "/properties/value",
            ],
            ..Table::default()
        },
        _ => return None,
    })
}

fn pointer(text: &str) -> Option<Pointer> {
    Pointer::parse(text).ok()
}

fn pointers(texts: &[&str]) -> Vec<Pointer> {
    texts.iter().filter_map(|text| pointer(text)).collect()
}

fn ids(texts: &[&str]) -> Vec<IdPointers> {
    let parts = |text: &&str| text.split(' ').filter_map(pointer).collect();
    texts.iter().map(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pointer_of_every_table_is_valid() {
        for name in Format::BUILTIN {
            let table = table(name).unwrap();
            let format = Format::builtin(name).unwrap();
            assert_eq!(format.customer_id.len(), table.customer_id.len(), "{name}");
            assert_eq!(format.event.len(), table.event.len(), "{name}");
            assert_eq!(format.time.len(), table.time.len(), "{name}");
            assert_eq!(format.reversal.amount.len(), table.amount.len(), "{name}");
            assert_eq!(format.reversal.of.len(), table.of.len(), "{name}");
            assert_eq!(format.reversal.price.is_some(), table.price.is_some());
            assert_eq!(format.reversal.quantity.is_some(), table.quantity.is_some());
            for (ids, texts) in [
                (format.event_id, table.event_id),
                (format.order_id, table.order_id),
            ] {
                let parts: usize = ids.iter().map(Vec::len).sum();
                let expected: usize = texts.iter().map(|text| text.split(' ').count()).sum();
                assert_eq!(parts, expected, "{name}");
            }
        }
    }
}
