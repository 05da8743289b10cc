//! A customer's change of segment, with what drove it.

use crate::decide::Cause;
use crate::model::Model;
use crate::plan::Plan;

/// Features named in a change, at most.
pub const DRIVERS: usize = 3;

/// A change of segment as the task decides it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The customer's row in the task.
    pub row: u32,
    /// From 1, without gaps for a customer.
    pub sequence: u32,
    /// When, event time, milliseconds since the epoch.
    pub occurred_ms: i64,
    /// Segment id before; `None` the first time.
    pub from: Option<u32>,
    /// Segment id after; `None` where the customer is let go of, and would begin anew.
    pub to: Option<u32>,
    /// Why.
    pub cause: Cause,
    /// Distance to the new centroid, where there is one.
    pub distance: Option<f64>,
    /// Distance to the former one, where there was one that still is.
    pub distance_from: Option<f64>,
    /// 1 - distance / distance to the former centroid (the first time: to the second nearest).
    pub margin: Option<f64>,
    /// Beyond the reach of every segment: the new one is the nearest, and few in it are so far from it. Never at a
    /// customer's first event.
    pub is_outlier: bool,
    /// The features that pulled hardest, hardest first.
    pub drivers: [Option<Driver>; DRIVERS],
    /// The version that scored.
    pub model_version: u64,
    /// Where the model is the cause, the version that was in use before.
    pub model_version_before: Option<u64>,
    /// The event that made it, if one did.
    pub trigger: Option<Trigger>,
}

/// A feature that drove a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Driver {
    /// Index of the feature.
    pub feature: usize,
    /// What it is for this customer, in its own units.
    pub value: f64,
    /// What is typical of the segment left (the first time: of all customers), in the same units.
    pub typical: f64,
    /// Its part of the difference of the squared distances; the parts of all features add up to 1.
    pub pull: f64,
}

/// Where an event was read first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// Number of the input topic.
    pub input: u16,
    /// Its partition.
    pub partition: u32,
    /// The event's offset.
    pub offset: i64,
}

/// The features that pulled a customer from one centroid to another: with x the scaled vector, a the
/// point left and b the centroid reached, feature i has the part
/// ((xᵢ-aᵢ)² - (xᵢ-bᵢ)²) / (|x-a|² - |x-b|²). `left` is a point in the feature vector's units.
#[must_use]
pub fn drivers(
    plan: &Plan,
    model: &Model,
    raw: &[f64],
    vector: &[f64],
    left: &[f64],
    reached: &[f64],
) -> [Option<Driver>; DRIVERS] {
    let pull = |index: usize| model.pull(index, vector[index], left[index], reached[index]);
    let total: f64 = (0..plan.len()).map(pull).sum();
    let mut strongest = [None; DRIVERS];
    for (index, value) in raw.iter().enumerate() {
        let part = if total > 0.0 {
            pull(index) / total
        } else {
            0.0
        };
        if part > 0.0 {
            let driver = Driver {
                feature: index,
                value: *value,
                typical: 0.0,
                pull: part,
            };
            insert(&mut strongest, driver);
        }
    }
    // Only of those that are told, since going back from a logarithm is not cheap.
    for driver in strongest.iter_mut().flatten() {
        driver.typical = plan
            .feature(driver.feature)
            .transform
            .invert(left[driver.feature]);
    }
    strongest
}

fn insert(strongest: &mut [Option<Driver>; DRIVERS], driver: Driver) {
    let place = strongest
        .iter()
        .position(|slot| slot.is_none_or(|other| driver.pull > other.pull));
    if let Some(place) = place {
        strongest[place..].rotate_right(1);
        strongest[place] = Some(driver);
    }
}
