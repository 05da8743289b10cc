//! The built-in formats, with documents in the shapes that the systems write.

use flockwise_codec::decode::Decoder;
use flockwise_codec::format::Format;
use flockwise_core::event::{Event, hash};
use flockwise_core::feature::{Aggregate, Feature};
use flockwise_core::plan::Plan;
use flockwise_core::pointer::Pointer;

use crate::script::tell;

/// A row of the BigQuery export: 64-bit integers are texts.
const GA4_PURCHASE: &str = include_str!("../golden/formats/ga4_purchase.json");
const GA4_REFUND: &str = include_str!("../golden/formats/ga4_refund.json");
const SNOWPLOW: &str = include_str!("../golden/formats/snowplow.json");
const CLOUDEVENTS: &str = include_str!("../golden/formats/cloudevents.json");
const POSTHOG: &str = include_str!("../golden/formats/posthog.json");

/// A plan with a sum that can be reversed.
fn plan(order: &str, refund: &str, value: &str) -> Plan {
    Plan::compile(&[Feature {
        events: vec![order.to_owned()],
        reversed_by: vec![refund.to_owned()],
        aggregate: Aggregate::Sum,
        value: Some(Pointer::parse(value).unwrap()),
        ..Feature::count("spend")
    }])
}

fn decoded(format: &str, plan: &Plan, document: &str) -> Event {
    let format = Format::builtin(format).unwrap();
    let mut event = Event::default();
    let decoder = Decoder::new(&format, plan);
    let decoded = decoder.decode(plan, Some(document.as_bytes()), &mut event);
    decoded.unwrap();
    event
}

#[test]
fn ga4() {
    let plan = plan("purchase", "refund", "/ecommerce/purchase_revenue");
    let purchase = decoded("ga4", &plan, GA4_PURCHASE);
    assert_eq!(
        tell(&plan, &purchase),
        "1026454.4271112504 purchase 2021-01-31T06:37:18.111Z id=unknown order=unknown /ecommerce/purchase_revenue=82"
    );
    assert_eq!(purchase.order, Some(hash(b"741471")));
    let refund = decoded("ga4", &plan, GA4_REFUND);
    assert_eq!(refund.order, purchase.order);
    assert_eq!(refund.number(&refund.amount), Some(41.5));
    // Without an index in its batch, two events can be equal in all fields.
    assert_eq!(refund.id, None);
}

#[test]
fn ga4_parameters() {
    let session = "/event_params[key=ga_session_id]/value/int_value";
    let plan = plan("purchase", "refund", session);
    let purchase = decoded("ga4", &plan, GA4_PURCHASE);
    assert!(tell(&plan, &purchase).ends_with(&format!("{session}=\"661084800\"")));
}

#[test]
fn snowplow() {
    let plan = plan("transaction", "refund", "/tr_total");
    assert_eq!(
        tell(&plan, &decoded("snowplow", &plan, SNOWPLOW)),
        "jon.doe@email.com transaction 2013-11-26T00:03:57.885Z id=unknown order=unknown /tr_total=14.5"
    );
}

#[test]
fn cloudevents() {
    let plan = plan(
        "com.example.order.placed",
        "com.example.order.refunded",
        "/data/total",
    );
    assert_eq!(
        tell(&plan, &decoded("cloudevents", &plan, CLOUDEVENTS)),
        "customer-17 com.example.order.placed 2026-03-01T10:00:00.123Z id=unknown order=unknown /data/total=19.99"
    );
    let other = CLOUDEVENTS.replace("/shop/eu", "/shop/us");
    let ids = [CLOUDEVENTS, &other].map(|document| decoded("cloudevents", &plan, document).id);
    assert_ne!(ids[0], ids[1], "an id is unique per source");
}

#[test]
fn posthog() {
    let plan = plan("order completed", "order refunded", "/properties/revenue");
    assert_eq!(
        tell(&plan, &decoded("posthog", &plan, POSTHOG)),
        "user-1 order completed 2026-03-01T10:00:00.000Z id=unknown order=unknown /properties/revenue=30"
    );
}
