//! Scores one customer, who then moves or stays.

use super::{Occasion, Output, Task, Versions};
use crate::aggregate;
use crate::change::{Change, drivers};
use crate::decide::{Cause, Scoring, Standing, Suppression, Verdict, decide};
use crate::segmentation::share_nearer;

impl Task {
    pub(super) fn evaluate(&mut self, row: u32, at_ms: i64) {
        let (columns, reference_ms) = self.rows.sums(row);
        aggregate::evaluate(
            &self.settings.plan,
            columns,
            reference_ms,
            at_ms,
            &mut self.raw,
            &mut self.vector,
        );
    }

    pub(super) fn score(
        &mut self,
        row: u32,
        at_ms: i64,
        occasion: Occasion,
        versions: Option<&Versions>,
        output: &mut Output,
    ) {
        let mut standing = self.rows.standing(row);
        let before = standing.candidate;
        let waited_ms = at_ms.saturating_sub(standing.as_of_ms);
        standing.as_of_ms = at_ms;
        let Some(versions) = versions else {
            self.rows.set_standing(row, &standing);
            return;
        };
        self.evaluate(row, at_ms);
        let segmentation = versions.current.segmentation();
        segmentation.scaled(&self.vector, &mut self.scaled);
        let (nearest, distance) = segmentation.score(&self.scaled, &mut self.scratch);
        let present = standing.segment.and_then(|id| segmentation.index_of(id));
        let distance_from = present.map(|index| match index == nearest {
            true => distance,
            false => segmentation
                .nearest()
                .squared_distance(&self.scaled, index)
                .sqrt(),
        });
        let scoring = Scoring {
            nearest: segmentation.segments()[nearest].id,
            distance,
            distance_from,
            variance: segmentation.variance(),
            waited_ms,
            at_ms,
            cause: self.cause(&standing, present == Some(nearest), occasion, versions),
        };
        if matches!(occasion, Occasion::Sweep)
            && segmentation.is_outlier(&self.scaled, nearest, distance)
        {
            output.swept_outliers += 1;
        }
        standing.version = versions.current.version();
        let verdict = decide(&self.settings.decision, &mut standing, &scoring);
        match verdict {
            Verdict::Stay => {}
            Verdict::Suppressed(why) => {
                let place = Suppression::ALL.iter().position(|known| *known == why);
                output.suppressed[place.unwrap_or(0)] += 1;
            }
            Verdict::Change(cause) => {
                let change = self.change(row, nearest, &scoring, cause, occasion, versions);
                standing.segment = change.to;
                standing.sequence = change.sequence;
                standing.changed_ms = change.occurred_ms;
                self.segment_sizes.change(change.from, change.to);
                output.changes.push(change);
            }
        }
        self.rows.set_standing(row, &standing);
        if standing.candidate != before || matches!(verdict, Verdict::Change(_)) {
            self.rows.touch(row);
        }
    }

    /// The cause of a change, should the customer move: the model, if the previous version would have left the
    /// customer in place.
    fn cause(
        &mut self,
        standing: &Standing,
        stays: bool,
        occasion: Occasion,
        versions: &Versions,
    ) -> Cause {
        let plain = match occasion {
            Occasion::Event(_) => Cause::Behaviour,
            Occasion::Sweep if standing.segment.is_none() => Cause::Model,
            Occasion::Sweep => Cause::Time,
        };
        if stays || standing.segment.is_none() || standing.version == versions.current.version() {
            return plain;
        }
        let Some(previous) = &versions.previous else {
            return Cause::Model;
        };
        let mut scaled = Vec::with_capacity(self.vector.len());
        let previous = previous.segmentation();
        previous.scaled(&self.vector, &mut scaled);
        let (before, _) = previous.score(&scaled, &mut self.scratch);
        let would_stay = standing.segment == Some(previous.segments()[before].id);
        if would_stay { Cause::Model } else { plain }
    }

    fn change(
        &self,
        row: u32,
        nearest: usize,
        scoring: &Scoring,
        cause: Cause,
        occasion: Occasion,
        versions: &Versions,
    ) -> Change {
        let segmentation = versions.current.segmentation();
        let standing = self.rows.standing(row);
        let from = standing.segment;
        let is_backfill = from.is_none() && self.settings.history.contains(scoring.at_ms);
        let cause = if is_backfill { Cause::Backfill } else { cause };
        let left = from
            .and_then(|id| segmentation.index_of(id))
            .map(|index| &segmentation.segments()[index]);
        let left = left.map_or(&segmentation.scaler().means, |segment| &segment.centroid);
        let reached = &segmentation.segments()[nearest].centroid;
        let other = scoring.distance_from.or_else(|| {
            let second = segmentation.nearest().nearest_but(&self.scaled, nearest);
            second.map(|hit| hit.squared.sqrt())
        });
        let drivers = drivers(
            &self.settings.plan,
            segmentation,
            &self.raw,
            &self.vector,
            left,
            reached,
        );
        // A new customer is unlike all customers that the sweep has seen. That does not make an outlier.
        let is_new = from.is_none() && matches!(occasion, Occasion::Event(_));
        Change {
            row,
            sequence: standing.sequence + 1,
            occurred_ms: scoring.at_ms,
            from,
            to: Some(scoring.nearest),
            cause,
            distance: Some(scoring.distance),
            distance_from: scoring.distance_from,
            margin: Some(other.map_or(1.0, |other| share_nearer(scoring.distance, other))),
            is_outlier: !is_new && segmentation.is_outlier(&self.scaled, nearest, scoring.distance),
            drivers,
            model_version: versions.current.version(),
            model_version_before: versions
                .previous
                .as_ref()
                .filter(|_| cause == Cause::Model)
                .map(|previous| previous.version()),
            trigger: match occasion {
                Occasion::Event(trigger) => Some(trigger),
                Occasion::Sweep => None,
            },
        }
    }
}
