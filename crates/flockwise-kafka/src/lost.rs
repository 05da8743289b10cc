//! A partition whose next record is not there any more: retention was faster than we, or the topic was
//! truncated or made anew.
//!
//! Events are lost then, which nothing here can undo and nobody may overlook.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{Source, Topic};
use rdkafka::consumer::Consumer;
use tracing::{error, warn};

use crate::assignment::Assignment;
use crate::lanes::{Broken, Lane};
use crate::settings::LostRecords;

/// How long a leader may take to say which records it has.
const LOOK: Duration = Duration::from_secs(5);

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of the loss.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) source: Source,
    pub(crate) topic: String,
    /// The next offset to read.
    pub(crate) wanted: i64,
    /// The oldest offset there is and the one behind the newest, if the leader answered.
    pub(crate) there: Option<(i64, i64)>,
}

/// A partition that is read no more.
#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    loss: Loss,
    said: Instant,
}

impl Assignment {
    /// Deals with a source whose next record is gone.
    pub(crate) fn lose(&mut self, source: Source, policy: LostRecords) -> Result<(), Failure> {
        let Ok(index) = self.index(source) else {
            return Ok(());
        };
        let loss = self.loss(&self.lanes[index]);
        let lane = &mut self.lanes[index];
        let goes_on = policy == LostRecords::Skip
            // Nobody was promised what was the oldest a moment ago.
            || lane.at_oldest
            // A mini-batch is a sample, and versions of a model that were taken before are known.
            || matches!(source.topic, Topic::Deltas | Topic::Model);
        if !goes_on {
            lane.broken = Some(Broken::Stopped(Stopped::at(loss, Instant::now())));
            return Ok(());
        }
        loss.say_skipped();
        self.open(&[(source, Start::Earliest)])
    }

    fn loss(&self, lane: &Lane) -> Loss {
        let partition = lane.source.partition.cast_signed();
        let there = self.consumer.fetch_watermarks(&lane.topic, partition, LOOK);
        Loss {
            source: lane.source,
            topic: lane.topic.clone(),
            wanted: lane.position,
            there: there.ok(),
        }
    }

    /// Sources that are read no more since their next record is gone.
    pub(crate) fn stopped(&self) -> Vec<Source> {
        let is_stopped = |lane: &&Lane| matches!(lane.broken, Some(Broken::Stopped(_)));
        let stopped = self.lanes.iter().filter(is_stopped);
        stopped.map(|lane| lane.source).collect()
    }

    /// Says again, now and then, what is stopped.
    pub(crate) fn remind(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            if let Some(Broken::Stopped(stopped)) = &mut lane.broken {
                stopped.remind(now);
            }
        }
    }
}

impl Loss {
    /// How many records went unread; not known where the partition was truncated or made anew.
    pub(crate) fn count(&self) -> Option<i64> {
        let (oldest, _) = self.there?;
        (oldest > self.wanted).then(|| oldest - self.wanted)
    }

    fn cause(&self) -> String {
        match (self.count(), self.there) {
            (Some(count), _) => {
                format!("{count} records were removed by retention before they were read")
            }
            (None, Some(_)) => "the partition was truncated or made anew".to_owned(),
            (None, None) => "and its leader does not say which records there are".to_owned(),
        }
    }

    /// The rest of the partition is read.
    pub(crate) fn say_skipped(&self) {
        warn!(
            topic = self.topic,
            partition = self.source.partition,
            wanted = self.wanted,
            oldest = self.there.map(|(oldest, _)| oldest),
            end = self.there.map(|(_, end)| end),
            lost = self.count(),
            "records are lost: the next one to read is gone, {}; going on at the oldest there is",
            self.cause()
        );
    }

    fn say_stopped(&self) {
        error!(
            topic = self.topic,
            partition = self.source.partition,
            wanted = self.wanted,
            oldest = self.there.map(|(oldest, _)| oldest),
            end = self.there.map(|(_, end)| end),
            lost = self.count(),
            "this partition is stopped, the others go on: its next record is gone, {}. To go on without \
             what is lost, set lost_records = \"skip\" under [kafka] and start again; to lose no more, \
             raise retention.ms of the topic",
            self.cause()
        );
    }
}

impl Stopped {
    /// Says so.
    pub(crate) fn at(loss: Loss, now: Instant) -> Self {
        loss.say_stopped();
        Self { loss, said: now }
    }

    /// Says so again, now and then.
    pub(crate) fn remind(&mut self, now: Instant) {
        if now.duration_since(self.said) >= AGAIN {
            self.loss.say_stopped();
            self.said = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(wanted: i64, there: Option<(i64, i64)>) -> Loss {
        let topic = Topic::Input(0);
        Loss {
            source: Source {
                topic,
                partition: 3,
            },
            topic: "orders".to_owned(),
            wanted,
            there,
        }
    }

    #[test]
    fn what_retention_removed_is_counted() {
        let removed = loss(10, Some((50, 100)));
        assert_eq!(removed.count(), Some(40));
        assert!(removed.cause().starts_with("40 records"));
    }

    #[test]
    fn what_was_made_anew_is_not() {
        let anew = loss(1_000, Some((0, 100)));
        assert_eq!(anew.count(), None);
        assert!(anew.cause().contains("made anew"));
        assert_eq!(loss(1_000, None).count(), None);
    }
}
