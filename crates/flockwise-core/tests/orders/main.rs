//! Repeated, replaced and reversed orders, against a naive version that keeps every contribution of every event.
#![allow(clippy::unwrap_used)]

mod naive;
mod shop;

use proptest::prelude::*;

use flockwise_core::feature::{Aggregate, Feature};
use flockwise_core::order_rules::{OrderRules, Repeat};
use flockwise_core::pointer::Pointer;
use shop::{Act, Shop, acts, feature, features, rules};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn orders_count_as_the_naive_version_says(
        features in features(),
        rules in rules(),
        acts in acts(),
        later_ms in 0..40 * shop::DAY_MS,
    ) {
        let mut shop = Shop::new(&features, &rules);
        let mut naive = naive::Shop::new(&features, &rules);
        for act in &acts {
            shop.see(act);
            naive.see(act);
        }
        let at_ms = acts.iter().map(|act| act.time_ms).max().unwrap() + later_ms;
        let (found, expected) = (shop.values(at_ms), naive.values(at_ms));
        for ((feature, found), expected) in features.iter().zip(found).zip(expected) {
            prop_assert!(
                expected.is_like(found),
                "{found} found, {expected:?} expected for {feature:?}"
            );
        }
        prop_assert_eq!(shop.output.duplicates.iter().sum::<u64>(), naive.duplicates);
        let no_order = shop.output.inputs.counts().iter().map(|counts| counts.no_order);
        prop_assert_eq!(no_order.sum::<u64>(), naive.no_order);
    }

    #[test]
    fn a_rollback_restores_what_orders_have_left(
        features in features(),
        rules in rules(),
        before in acts(),
        within in acts(),
    ) {
        let mut shop = Shop::new(&features, &rules);
        before.iter().for_each(|act| shop.see(act));
        shop.task.commit();
        let stored = shop.row();
        within.iter().for_each(|act| shop.see(act));
        shop.task.roll_back();
        prop_assert_eq!(shop.row(), stored);
    }
}

/// Orders as "name, order, amount, day", and the sum of amounts in the end.
fn spent(rules: &OrderRules, acts: &[(&'static str, u8, Option<f64>, i64)]) -> f64 {
    value(rules, spend(), acts)
}

fn value(
    rules: &OrderRules,
    feature: Feature,
    acts: &[(&'static str, u8, Option<f64>, i64)],
) -> f64 {
    let mut shop = Shop::new(&[feature], rules);
    for (id, (name, order, x, day)) in acts.iter().enumerate() {
        shop.see(&Act {
            name,
            order: Some(*order),
            id: Some(id as u64),
            time_ms: day * shop::DAY_MS,
            x: *x,
            ..Act::default()
        });
    }
    shop.values(100 * shop::DAY_MS)[0]
}

fn spend() -> Feature {
    Feature {
        events: vec!["Order".to_owned(), "Update".to_owned()],
        reversed_by: vec!["Back".to_owned()],
        ..feature(Aggregate::Sum)
    }
}

fn with(name: &str, repeat: Repeat) -> OrderRules {
    OrderRules {
        repeats: vec![(name.to_owned(), repeat)],
        ..OrderRules::default()
    }
}

#[test]
fn a_refund_takes_back_its_amount_or_what_is_left() {
    let rules = OrderRules::default();
    let order = ("Order", 1, Some(50.0), 1);
    for (expected, refunds) in [
        (40.0, vec![Some(10.0)]),
        (40.0, vec![Some(-10.0)]),
        (25.0, vec![Some(10.0), Some(15.0)]),
        (0.0, vec![None]),
        (0.0, vec![Some(10.0), None]),
        (0.0, vec![None, None]),
        // The books say so.
        (-10.0, vec![Some(60.0)]),
        (-10.0, vec![Some(60.0), None]),
    ] {
        let refunds = (2..).zip(refunds).map(|(day, x)| ("Back", 1, x, day));
        let acts: Vec<_> = [order].into_iter().chain(refunds).collect();
        assert_eq!(spent(&rules, &acts), expected, "{acts:?}");
    }
}

#[test]
fn a_count_never_falls_below_zero_by_two_cancellations() {
    let count = Feature {
        value: None,
        aggregate: Aggregate::Count,
        ..spend()
    };
    let acts = [
        ("Order", 1, None, 1),
        ("Back", 1, None, 2),
        ("Back", 1, None, 3),
    ];
    assert_eq!(value(&OrderRules::default(), count, &acts), 0.0);
}

#[test]
fn a_partial_refund_lowers_the_mean_and_not_the_number_of_orders() {
    let mean = || Feature {
        aggregate: Aggregate::Mean,
        ..spend()
    };
    let orders = [("Order", 1, Some(100.0), 1), ("Order", 2, Some(50.0), 2)];
    let then = |refund| {
        let acts: Vec<_> = orders.into_iter().chain([refund]).collect();
        value(&OrderRules::default(), mean(), &acts)
    };
    assert_eq!(then(("Back", 1, Some(10.0), 3)), 70.0);
    assert_eq!(then(("Back", 1, Some(100.0), 3)), 50.0);
    assert_eq!(then(("Back", 1, None, 3)), 50.0);
}

#[test]
fn the_last_update_of_an_order_counts_in_whatever_order_it_arrives() {
    let rules = with("Update", Repeat::Last);
    let order = ("Order", 1, Some(50.0), 1);
    let (first, second) = (("Update", 1, Some(40.0), 2), ("Update", 1, Some(45.0), 3));
    for acts in [
        [order, first, second],
        [first, order, second],
        [second, first, order],
    ] {
        assert_eq!(spent(&rules, &acts), 45.0, "{acts:?}");
    }
    let refund = ("Back", 1, Some(10.0), 2);
    assert_eq!(spent(&rules, &[order, refund, second]), 35.0);
    assert_eq!(
        spent(&rules, &[order, refund, second, ("Back", 1, None, 4)]),
        0.0
    );
}

#[test]
fn an_update_that_no_longer_counts_takes_its_order_with_it() {
    let paid = Feature {
        conditions: vec![shop::is_web()],
        ..spend()
    };
    let mut shop = Shop::new(&[paid], &with("Update", Repeat::Last));
    let act = Act {
        order: Some(1),
        x: Some(50.0),
        is_web: Some(true),
        ..Act::default()
    };
    shop.see(&Act {
        name: "Order",
        id: Some(1),
        ..act
    });
    assert_eq!(shop.values(0), [50.0]);
    shop.see(&Act {
        name: "Update",
        id: Some(2),
        is_web: Some(false),
        ..act
    });
    assert_eq!(shop.values(0), [0.0]);
}

#[test]
fn what_a_second_event_means_is_configured_by_name() {
    let acts = [("Order", 1, Some(50.0), 1), ("Order", 1, Some(40.0), 2)];
    for (repeat, expected) in [
        (Repeat::First, 50.0),
        (Repeat::Last, 40.0),
        (Repeat::Each, 90.0),
    ] {
        assert_eq!(spent(&with("Order", repeat), &acts), expected);
    }
    // An order that can be reversed is one order.
    assert_eq!(spent(&OrderRules::default(), &acts), 50.0);
    let plain = || Feature {
        reversed_by: vec![],
        ..spend()
    };
    assert_eq!(value(&OrderRules::default(), plain(), &acts), 90.0);
}

#[test]
fn the_format_says_where_a_reversal_has_its_amount() {
    let x = vec![Pointer::parse("/x").unwrap()];
    let other = vec![Pointer::parse("/amount_refunded").unwrap()];
    let rules = |amounts, of| OrderRules {
        amounts,
        of,
        ..OrderRules::default()
    };
    let after = |rules: &OrderRules, refund: Act| {
        let mut shop = Shop::new(&[spend()], rules);
        let act = Act {
            order: Some(1),
            ..refund
        };
        shop.see(&Act {
            name: "Order",
            x: Some(50.0),
            amount: None,
            is_so_far: false,
            ..act
        });
        shop.see(&Act {
            name: "Back",
            ..act
        });
        shop.values(0)[0]
    };
    let refund = |x, amount| Act {
        x,
        amount,
        ..Act::default()
    };
    // Segment: the value of the order, or else another amount.
    let own = rules(x.clone(), vec![]);
    assert_eq!(after(&own, refund(Some(10.0), Some(20.0))), 40.0);
    assert_eq!(after(&own, refund(None, Some(20.0))), 30.0);
    // Stripe: the refund repeats the amount of the charge, which is not what it refunds.
    let stated = rules(other, x);
    assert_eq!(after(&stated, refund(Some(50.0), Some(20.0))), 30.0);
    assert_eq!(after(&stated, refund(Some(50.0), None)), 0.0);
    // A feature of another value takes back its share.
    let plain = OrderRules::default();
    assert_eq!(after(&plain, refund(None, Some(20.0))), 0.0);
}

#[test]
fn cumulative_refunds_take_back_what_is_new() {
    let rules = OrderRules {
        of: vec![Pointer::parse("/x").unwrap()],
        ..OrderRules::default()
    };
    let mut shop = Shop::new(&[spend()], &rules);
    let mut see = |name, x, amount| {
        shop.see(&Act {
            name,
            order: Some(1),
            x: Some(x),
            amount,
            is_so_far: true,
            ..Act::default()
        });
        shop.values(0)[0]
    };
    assert_eq!(see("Order", 50.0, None), 50.0);
    assert_eq!(see("Back", 50.0, Some(10.0)), 40.0);
    assert_eq!(see("Back", 50.0, Some(25.0)), 25.0);
    assert_eq!(see("Back", 50.0, Some(10.0)), 25.0);
    assert_eq!(see("Back", 50.0, Some(50.0)), 0.0);
}
