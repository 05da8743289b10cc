//! What the features found at their pointers: counts that show a feature without input.

use crate::event::Slot;

/// What one feature found in the events that matched it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// Events that matched its event names and conditions. For `share`, those of the denominator.
    pub events: u64,
    /// Values used: numbers, also as text.
    pub used: u64,
    /// Events without a value at its pointer.
    pub missing: u64,
    /// Values that are a text but no number.
    pub text: u64,
    /// Values that are true or false.
    pub boolean: u64,
    /// Values that are an object or an array.
    pub composite: u64,
    /// Reversals that take back nothing: they state no amount, and their order is not remembered.
    pub no_order: u64,
}

impl InputCounts {
    /// The kinds of values, in the order of [`InputCounts::values`].
    pub const KINDS: [&'static str; 6] =
        ["used", "missing", "text", "boolean", "object", "no_order"];

    /// The counts of values by kind.
    #[must_use]
    pub fn values(&self) -> [u64; 6] {
        [
            self.used,
            self.missing,
            self.text,
            self.boolean,
            self.composite,
            self.no_order,
        ]
    }

    /// Counts a value that is not a number.
    pub(crate) fn count_other(&mut self, slot: &Slot) {
        match slot {
            Slot::Absent => self.missing += 1,
            Slot::Text(_) => self.text += 1,
            Slot::Bool(_) => self.boolean += 1,
            Slot::Composite => self.composite += 1,
            Slot::Number(_) => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.used += other.used;
        self.missing += other.missing;
        self.text += other.text;
        self.boolean += other.boolean;
        self.composite += other.composite;
        self.no_order += other.no_order;
    }
}

/// What each feature found, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureInputs(Vec<InputCounts>);

impl FeatureInputs {
    /// The counts of a feature.
    pub fn of(&mut self, feature: usize) -> &mut InputCounts {
        if self.0.len() <= feature {
            self.0.resize(feature + 1, InputCounts::default());
        }
        &mut self.0[feature]
    }

    /// The counts of each feature. Features at the end that found nothing may be left out.
    #[must_use]
    pub fn counts(&self) -> &[InputCounts] {
        &self.0
    }

    /// Adds the counts of other events of the same plan.
    pub fn add(&mut self, other: &Self) {
        for (feature, counts) in other.0.iter().enumerate() {
            self.of(feature).add(counts);
        }
    }
}
