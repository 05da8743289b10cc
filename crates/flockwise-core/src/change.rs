//! A customer's change of segment, with the features that drove it.

use crate::decide::Cause;
use crate::plan::Plan;
use crate::segmentation::SegmentScorer;

/// Maximum number of features that a change names.
pub const DRIVERS: usize = 3;

/// A change of segment, as a task decides it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The customer's row in the task.
    pub row: u32,
    /// Sequence number: from 1, without gaps for a customer.
    pub sequence: u32,
    /// Event time of the change, milliseconds since the epoch.
    pub occurred_ms: i64,
    /// Previous segment id; `None` for the first segment.
    pub from: Option<u32>,
    /// New segment id; `None` if the customer expires or is erased. A customer who returns later starts from scratch.
    pub to: Option<u32>,
    /// Why the customer moved.
    pub cause: Cause,
    /// Distance to the new centroid; `None` without a new segment.
    pub distance: Option<f64>,
    /// Distance to the previous centroid; `None` if there was none or the model no longer has it.
    pub distance_from: Option<f64>,
    /// 1 - distance / distance to the previous centroid; without one, to the second nearest. `None` without
    /// a new segment.
    pub margin: Option<f64>,
    /// Whether the customer is an outlier: beyond the outlier threshold of every segment. The new segment is then
    /// the nearest, but few of its customers are that far from it. Always `false` if an event led to the
    /// customer's first segment.
    pub is_outlier: bool,
    /// The features with the strongest pull, strongest first.
    pub drivers: [Option<Driver>; DRIVERS],
    /// Version of the model that scored.
    pub model_version: u64,
    /// The version in use before. Only if the cause is the model.
    pub model_version_before: Option<u64>,
    /// The event that caused the change; `None` if the sweep or a command did.
    pub trigger: Option<Trigger>,
}

/// A feature that drove a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Driver {
    /// Index of the feature.
    pub feature: usize,
    /// The customer's value, in the feature's own units.
    pub value: f64,
    /// The typical value of the previous segment (for a first segment: of all customers), in the same units.
    pub typical: f64,
    /// Its share of the difference of the squared distances. The shares of all features add up to 1.
    pub pull: f64,
}

/// Where an event was first read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// Number of the input topic.
    pub input: u16,
    /// Partition of the input topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: i64,
}

/// The features that pulled a customer from one point to another. With x the scaled vector, a the point left and b
/// the centroid reached, the share of feature i is ((xᵢ-aᵢ)² - (xᵢ-bᵢ)²) / (|x-a|² - |x-b|²). `left` and `reached`
/// are in the feature vector's units.
#[must_use]
pub fn drivers(
    plan: &Plan,
    segmentation: &SegmentScorer,
    raw: &[f64],
    vector: &[f64],
    left: &[f64],
    reached: &[f64],
) -> [Option<Driver>; DRIVERS] {
    let pull = |index: usize| segmentation.pull(index, vector[index], left[index], reached[index]);
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
    // Only for the features that are returned, since inverting a logarithm is not cheap.
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
