//! What is remembered of an order, by the name of the event.

use std::borrow::Cow;

use super::columns::{Touch, sums};
use crate::dedup::OrderSums;
use crate::event::hash;
use crate::feature::Feature;
use crate::fingerprint;
use crate::order_rules::Repeat;

/// The sums that are remembered of each order, and what a second event about it means.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderLayout {
    /// By event name; `None`: the configuration does not say.
    repeats: Vec<Option<Repeat>>,
    /// By event name: the features of which such an event's terms are kept.
    kept: Vec<Vec<KeptSums>>,
    /// The event names of which something is kept, or the last event counts.
    names: Vec<u16>,
    /// By event name: whether it is a reversal.
    reversals: Vec<bool>,
    /// By feature: the event names that it lists.
    events: Vec<Vec<u16>>,
    sums: OrderSums,
}

/// Where the terms that an order adds to a feature are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptSums {
    pub(crate) feature: usize,
    /// Index of the first sum.
    pub(crate) at: usize,
    /// Number of sums: 1, or 2 with a denominator.
    pub(crate) sums: usize,
    /// Reversals take back of it. What they took stands behind the sums.
    pub(crate) is_reversible: bool,
}

impl OrderLayout {
    /// By event name: its text, the features that such an event touches, and what a second one means. `events` has the
    /// names that each feature lists.
    pub(super) fn new(
        features: &[Feature],
        names: &[String],
        touched: &[Vec<Touch>],
        events: Vec<Vec<u16>>,
        repeats: Vec<Option<Repeat>>,
    ) -> Self {
        let reversals = touched
            .iter()
            .map(|touched| touched.iter().any(|touch| touch.reverses));
        let mut layout = Self {
            reversals: reversals.collect(),
            repeats,
            events,
            ..Self::default()
        };
        let mut meaning = Vec::new();
        for (name, (text, touched)) in names.iter().zip(touched).enumerate() {
            let kept = layout.kept_of(features, name as u16, touched);
            let len = |kept: &KeptSums| kept.at + kept.sums * (1 + usize::from(kept.is_reversible));
            layout.sums.len = layout.sums.len.max(kept.last().map_or(0, len));
            if !kept.is_empty() || layout.repeats[name] == Some(Repeat::Last) {
                layout.names.push(name as u16);
            }
            if !kept.is_empty() {
                meaning.extend(hash(text.as_bytes()).to_le_bytes());
            }
            for kept in &kept {
                let feature = fingerprint::of_feature(&features[kept.feature]);
                meaning.extend(feature.to_le_bytes());
            }
            layout.kept.push(kept);
        }
        if layout.sums.len > 0 {
            layout.sums.layout = hash(&meaning);
        }
        layout
    }

    fn kept_of(&self, features: &[Feature], name: u16, touched: &[Touch]) -> Vec<KeptSums> {
        let (mut at, mut all) = (0, Vec::new());
        for Touch { feature, .. } in touched.iter().filter(|touch| !touch.reverses) {
            let spec = &features[*feature];
            let is_reversible = !spec.reversed_by.is_empty();
            if spec.aggregate.is_additive() && (is_reversible || self.replaces(*feature, name)) {
                let kept = KeptSums {
                    feature: *feature,
                    at,
                    sums: sums(spec.aggregate),
                    is_reversible,
                };
                at += kept.sums * (1 + usize::from(is_reversible));
                all.push(kept);
            }
        }
        all
    }

    /// What a second event of this name about the same order means; `None` if the configuration does not say.
    pub(crate) fn repeat(&self, name: u16) -> Option<Repeat> {
        self.repeats[usize::from(name)]
    }

    /// The event names of which something is kept, or the last event counts.
    pub(crate) fn names(&self) -> &[u16] {
        &self.names
    }

    /// Whether an event of this name takes back what others added to some feature.
    pub(crate) fn is_reversal(&self, name: u16) -> bool {
        self.reversals[usize::from(name)]
    }

    /// Whether an event of this name changes what is remembered of its order.
    pub(crate) fn concerns(&self, name: u16) -> bool {
        self.is_reversal(name) || self.names.contains(&name)
    }

    /// Whether something is kept of events of this name.
    pub(crate) fn keeps(&self, name: u16) -> bool {
        !self.kept[usize::from(name)].is_empty()
    }

    /// Where the terms of a feature are kept, for events of this name; `None` if they are not.
    pub(crate) fn kept(&self, name: u16, feature: usize) -> Option<&KeptSums> {
        let kept = &self.kept[usize::from(name)];
        kept.iter().find(|kept| kept.feature == feature)
    }

    /// The names under which events about an order count in a feature, if one of this name does.
    pub(crate) fn names_of(&self, feature: usize, name: u16) -> Cow<'_, [u16]> {
        match self.events[feature].as_slice() {
            [] => Cow::Owned(vec![name]),
            names => Cow::Borrowed(names),
        }
    }

    /// The names under which a reversal finds its order in a feature.
    pub(crate) fn reversed_names(&self, feature: usize) -> &[u16] {
        &self.events[feature]
    }

    /// Whether an event of this name replaces, in this feature, what earlier events about the order added. It does if the
    /// feature lists a name whose last event counts, so that the latest of all about the order counts.
    pub(crate) fn replaces(&self, feature: usize, name: u16) -> bool {
        let names = self.names_of(feature, name);
        names
            .iter()
            .any(|name| self.repeat(*name) == Some(Repeat::Last))
    }

    /// The sums that are remembered of an order.
    pub(crate) fn sums(&self) -> OrderSums {
        self.sums
    }
}
