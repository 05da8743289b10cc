//! The amount that a reversal states, from the values that a decoder finds.

use flockwise_core::event::Slot;

/// The amount: a value of its own, or else the sum of price times quantity over its products.
#[derive(Debug, Default)]
pub(crate) struct StatedAmount {
    /// The value, and the rank of the pointer that found it.
    own: Option<(u8, Slot)>,
    has_products: bool,
    /// Price times quantity of the products before the present one.
    total: f64,
    price: Option<f64>,
    quantity: Option<f64>,
    /// A product has no price, or one that is no number.
    is_unreadable: bool,
}

impl StatedAmount {
    pub(crate) fn find(&mut self, rank: u8, slot: Slot) {
        if self.own.as_ref().is_none_or(|(known, _)| rank <= *known) {
            self.own = Some((rank, slot));
        }
    }

    /// Begins the next product.
    pub(crate) fn begin_product(&mut self) {
        self.end_product();
        self.has_products = true;
    }

    pub(crate) fn set_price(&mut self, price: Option<f64>) {
        self.price = price;
    }

    pub(crate) fn set_quantity(&mut self, quantity: Option<f64>) {
        self.is_unreadable |= quantity.is_none();
        self.quantity = quantity;
    }

    fn end_product(&mut self) {
        if self.has_products {
            let quantity = self.quantity.take().unwrap_or(1.0);
            match self.price.take() {
                Some(price) => self.total += price * quantity,
                None => self.is_unreadable = true,
            }
        }
    }

    /// The amount, once all values are found. Products without prices are an amount that cannot be read.
    pub(crate) fn end(mut self) -> Slot {
        self.end_product();
        match self.own {
            Some((_, slot)) => slot,
            None if !self.has_products => Slot::Absent,
            None if self.is_unreadable => Slot::Composite,
            None => Slot::Number(self.total),
        }
    }
}
