//! The decoder of Avro events.

use std::sync::LazyLock;

use flockwise_codec::decode::{AvroSchema, Decoder, SchemaId, Undecoded};
use flockwise_config::Config;
use flockwise_core::event::Event;
use flockwise_core::plan::Plan;

use crate::codec::unhex;

/// A pipeline that reads the golden order.
const CONFIGURATION: &str = r#"
app = "shop"
[[input]]
topic = "orders"
format = "shop"
[format.shop]
encoding = "avro"
schema = "order.avsc"
customer_id = ["/customer/card", "/customer/number"]
event = "/kind"
time = "/placed"
event_id = "/id"
order_id = "/order"
[[feature]]
name = "spend"
event = "ORDER_PLACED"
where = { "/attributes/channel" = "web", "/lines/0/replaces/category" = { exists = true } }
aggregate = "sum"
value = "/total"
lifetime = true
[[feature]]
name = "dear_lines"
where = { "/lines/*/gift" = true }
aggregate = "sum"
value = "/lines/*/price"
lifetime = true
"#;

static SHOP: LazyLock<(Plan, Decoder)> = LazyLock::new(|| {
    let config = Config::parse(CONFIGURATION).expect("a configuration");
    let plan = config.plan();
    let schema = include_str!("../../crates/flockwise-codec/tests/golden/avro/order.avsc");
    let schema = AvroSchema::parse(schema).expect("a schema");
    let mut decoder = Decoder::new(&config.inputs[0].format, &plan);
    decoder.learn(SchemaId::Only, &schema);
    (plan, decoder)
});

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let order = include_str!("../../crates/flockwise-codec/tests/golden/avro/order.hex");
    vec![unhex(order)]
}

pub(crate) fn event(bytes: &[u8]) -> bool {
    let (plan, decoder) = &*SHOP;
    let mut event = Event::default();
    match decoder.decode(plan, Some(bytes), &mut event) {
        Ok(()) => {
            assert!(!event.customer_id().is_empty(), "an event has a customer");
            true
        }
        Err(Undecoded::Reject(reject)) => {
            assert!(reject.detail.len() < 1000, "a detail is short: {reject}");
            false
        }
        Err(Undecoded::UnknownSchema(id)) => panic!("{id} is known"),
    }
}
