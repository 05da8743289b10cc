//! A visit of a customer: pages, a cart, perhaps an order.

use super::line::{Activity, CATEGORIES, Product, line};
use super::population::Customer;
use super::random::Random;

const MINUTE_MS: i64 = 60_000;

pub(super) struct Visit {
    customer: Customer,
    steps_left: u64,
    buys: bool,
    cart: Vec<Product>,
}

/// A line and its consequences.
pub(super) struct VisitStep {
    pub(super) line: String,
    /// Time of the next step; `None` if the visit ends.
    pub(super) next_ms: Option<i64>,
    /// A refund and its time.
    pub(super) refund: Option<(i64, Refund)>,
}

pub(super) struct Refund {
    customer: u32,
    order: u64,
    products: Vec<Product>,
}

impl Visit {
    pub(super) fn new(customer: Customer, at_ms: i64, random: &mut Random) -> Self {
        let habits = customer.habits(at_ms);
        let steps_left = 1 + random.around(habits.steps) as u64;
        let buys = random.chance(habits.buys);
        Self {
            customer,
            steps_left,
            buys,
            cart: Vec::new(),
        }
    }

    /// Number of lines that the visit will still write.
    pub(super) fn lines_left(&self) -> u64 {
        self.steps_left + u64::from(self.buys)
    }

    pub(super) fn customer(&self) -> &Customer {
        &self.customer
    }

    pub(super) fn step(
        &mut self,
        at_ms: i64,
        next_order: &mut u64,
        random: &mut Random,
    ) -> VisitStep {
        let (line, refund) = if self.steps_left > 0 {
            self.steps_left -= 1;
            (self.browse(at_ms, random), None)
        } else {
            self.buys = false;
            *next_order += 1;
            self.order(at_ms, *next_order, random)
        };
        let next_ms =
            (self.lines_left() > 0).then(|| at_ms + 1000 + random.around(40_000.0) as i64);
        VisitStep {
            line,
            next_ms,
            refund,
        }
    }

    fn browse(&mut self, at_ms: i64, random: &mut Random) -> String {
        let (category, page) = (self.category(random), random.below(5000));
        let drawn = random.unit();
        let product;
        let activity = if drawn < 0.3 {
            Activity::PageViewed { category, page }
        } else if drawn < 0.4 {
            Activity::ProductsSearched { category, page }
        } else {
            product = self.product(at_ms, random);
            if drawn < 0.75 {
                Activity::ProductViewed(&product)
            } else {
                self.cart.push(product.clone());
                Activity::ProductAdded(&product)
            }
        };
        line(self.customer.id, at_ms, &activity, random)
    }

    fn order(
        &mut self,
        at_ms: i64,
        order: u64,
        random: &mut Random,
    ) -> (String, Option<(i64, Refund)>) {
        if self.cart.is_empty() {
            self.cart.push(self.product(at_ms, random));
        }
        let habits = self.customer.habits(at_ms);
        let coupon = random.chance(habits.coupon);
        let activity = Activity::OrderCompleted {
            order,
            products: &self.cart,
            coupon,
        };
        let line = line(self.customer.id, at_ms, &activity, random);
        let refund = random.chance(habits.returns).then(|| {
            let kept = random.below(self.cart.len() as u64) as usize;
            let products = self.cart[kept..].to_vec();
            let back_ms = at_ms + 2 * 1440 * MINUTE_MS + random.below(12 * 1440) as i64 * MINUTE_MS;
            (
                back_ms,
                Refund {
                    customer: self.customer.id,
                    order,
                    products,
                },
            )
        });
        (line, refund)
    }

    fn product(&self, at_ms: i64, random: &mut Random) -> Product {
        let habits = self.customer.habits(at_ms);
        Product {
            number: random.below(20_000),
            category: self.category(random),
            price_cents: 50 + random.around(habits.price_cents) as u64,
            quantity: 1 + random.around(habits.pieces - 1.0) as u64,
        }
    }

    fn category(&self, random: &mut Random) -> &'static str {
        let near = self.customer.category % CATEGORIES.len() as u64 + random.below(4);
        CATEGORIES[near as usize % CATEGORIES.len()]
    }
}

impl Refund {
    pub(super) fn line(&self, at_ms: i64, random: &mut Random) -> String {
        let activity = Activity::OrderRefunded {
            order: self.order,
            products: &self.products,
        };
        line(self.customer, at_ms, &activity, random)
    }
}
