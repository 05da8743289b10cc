//! Writes Segment-spec events as JSON. All texts are plain, so nothing needs escaping.

use std::fmt::{self, Write};

use jiff::Timestamp;

use super::population::Customer;
use super::random::Random;

pub(super) const CATEGORIES: [&str; 24] = [
    "snacks",
    "drinks",
    "dairy",
    "bakery",
    "household",
    "baby",
    "pets",
    "beauty",
    "health",
    "garden",
    "toys",
    "books",
    "music",
    "sports",
    "electronics",
    "phones",
    "kitchen",
    "furniture",
    "lighting",
    "tools",
    "office",
    "shoes",
    "bags",
    "gifts",
];

/// A line of a cart, an order or a refund.
#[derive(Clone)]
pub(super) struct Product {
    pub(super) number: u64,
    pub(super) category: &'static str,
    pub(super) price_cents: u64,
    pub(super) quantity: u64,
}

/// What a customer does, without customer and time.
pub(super) enum Activity<'a> {
    Identify(&'a Customer),
    PageViewed {
        category: &'static str,
        page: u64,
    },
    ProductsSearched {
        category: &'static str,
        page: u64,
    },
    ProductViewed(&'a Product),
    ProductAdded(&'a Product),
    OrderCompleted {
        order: u64,
        products: &'a [Product],
        coupon: bool,
    },
    OrderRefunded {
        order: u64,
        products: &'a [Product],
    },
}

/// The line of an event, without the line end.
pub(super) fn line(
    customer: u32,
    at_ms: i64,
    activity: &Activity<'_>,
    random: &mut Random,
) -> String {
    let mut line = String::with_capacity(512);
    write(&mut line, customer, at_ms, activity, random).expect("writing to a string cannot fail");
    line
}

fn write(
    line: &mut String,
    customer: u32,
    at_ms: i64,
    activity: &Activity<'_>,
    random: &mut Random,
) -> fmt::Result {
    match activity {
        Activity::Identify(_) => line.push_str(r#"{"type":"identify","#),
        _ => write!(line, r#"{{"type":"track","event":"{}","#, name(activity))?,
    }
    let (high, low) = (random.next(), random.next());
    let at = Timestamp::from_millisecond(at_ms).map_err(|_| fmt::Error)?;
    write!(
        line,
        r#""messageId":"{high:016x}{low:016x}","userId":"c{customer:07}","timestamp":"{at:.3}","#
    )?;
    line.push_str(
        r#""context":{"library":{"name":"analytics.js","version":"4.1.2"},"locale":"en-GB"},"#,
    );
    match activity {
        Activity::Identify(customer) => {
            let Customer {
                country, age_band, ..
            } = customer;
            write!(
                line,
                r#""traits":{{"country":"{country}","age_band":"{age_band}"}}}}"#
            )
        }
        _ => properties(line, activity),
    }
}

fn name(activity: &Activity<'_>) -> &'static str {
    match activity {
        Activity::Identify(_) => "identify",
        Activity::PageViewed { .. } => "Page Viewed",
        Activity::ProductsSearched { .. } => "Products Searched",
        Activity::ProductViewed(_) => "Product Viewed",
        Activity::ProductAdded(_) => "Product Added",
        Activity::OrderCompleted { .. } => "Order Completed",
        Activity::OrderRefunded { .. } => "Order Refunded",
    }
}

fn properties(line: &mut String, activity: &Activity<'_>) -> fmt::Result {
    line.push_str(r#""properties":{"#);
    match activity {
        Activity::Identify(_) => {}
        Activity::PageViewed { category, page } => write!(
            line,
            r#""path":"/{category}/{page}","title":"{category} {page}","referrer":"https://shop.example/{category}""#
        )?,
        Activity::ProductsSearched { category, page } => {
            write!(line, r#""query":"{category} {page}""#)?;
        }
        Activity::ProductViewed(product) | Activity::ProductAdded(product) => {
            write!(line, r#""currency":"EUR","#)?;
            product_fields(line, product)?;
        }
        Activity::OrderCompleted {
            order,
            products,
            coupon,
        } => {
            let coupon = if *coupon { r#""coupon":"SAVE10","# } else { "" };
            write!(line, r#""order_id":"o{order:08}",{coupon}"#)?;
            products_with_revenue(line, products)?;
        }
        Activity::OrderRefunded { order, products } => {
            write!(line, r#""order_id":"o{order:08}","#)?;
            products_with_revenue(line, products)?;
        }
    }
    line.push_str("}}");
    Ok(())
}

fn products_with_revenue(line: &mut String, products: &[Product]) -> fmt::Result {
    let cents: u64 = products
        .iter()
        .map(|product| product.price_cents * product.quantity)
        .sum();
    write!(
        line,
        r#""revenue":{}.{:02},"currency":"EUR","products":["#,
        cents / 100,
        cents % 100
    )?;
    for (place, product) in products.iter().enumerate() {
        line.push_str(if place == 0 { "{" } else { ",{" });
        product_fields(line, product)?;
        line.push('}');
    }
    line.push(']');
    Ok(())
}

fn product_fields(line: &mut String, product: &Product) -> fmt::Result {
    let Product {
        number,
        category,
        price_cents,
        quantity,
    } = product;
    write!(
        line,
        r#""product_id":"p{number}","category":"{category}","price":{}.{:02},"quantity":{quantity}"#,
        price_cents / 100,
        price_cents % 100
    )
}
