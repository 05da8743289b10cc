//! A partition whose next record is not there any more: retention was faster than we, or the topic was
//! truncated or made anew.
//!
//! Events are lost then, which nothing here can undo and nobody may overlook.

use std::time::{Duration, Instant};

use flockwise_runtime::broker::{Failure, Start};
use flockwise_runtime::topics::{Source, Topic};
use rdkafka::Offset;
use tracing::{error, info, warn};

use crate::assignment::Assignment;
use crate::lanes::{Broken, Lane};
use crate::settings::LostRecords;
use crate::surveyor::known;

/// How often a partition is opened again, without a record in between, whose leader says that it has the
/// next one and yet refuses it.
const MOST_REOPENED: u32 = 5;

/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of the loss.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) source: Source,
    pub(crate) topic: String,
    /// The next offset to read.
    pub(crate) wanted: i64,
    /// The oldest offset there is and the one behind the newest.
    pub(crate) there: (i64, i64),
}

/// A partition that is read no more.
#[derive(Clone, Debug)]
pub(crate) struct Stopped {
    loss: Loss,
    said: Instant,
}

impl Assignment {
    /// Deals with a source whose next record was said to be gone.
    ///
    /// librdkafka says so of whatever it asked for last, which may be long before where the source is
    /// opened by now and have been deleted by ourselves. So the leader is asked whether it is true.
    pub(crate) fn lose(&mut self, source: Source, policy: LostRecords) -> Result<(), Failure> {
        let Ok(index) = self.index(source) else {
            return Ok(());
        };
        let loss = self.loss(&self.lanes[index])?;
        if loss.is_there() {
            return self.reopen(index, &loss);
        }
        let lane = &mut self.lanes[index];
        if source.topic == Topic::Repartition && lane.has_read {
            // Nobody but the task's owner deletes there, and only what it has processed.
            return Err(Failure::Fatal(format!(
                "{}; is it another's by now?",
                loss.text()
            )));
        }
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

    fn loss(&self, lane: &Lane) -> Result<Loss, Failure> {
        let end = |what| self.ask(lane.source, what).and_then(known);
        Ok(Loss {
            source: lane.source,
            topic: lane.topic.clone(),
            wanted: lane.position,
            there: (end(Offset::Beginning)?, end(Offset::End)?),
        })
    }

    fn reopen(&mut self, index: usize, loss: &Loss) -> Result<(), Failure> {
        let lane = &mut self.lanes[index];
        let (at_oldest, has_read, reopened) = (lane.at_oldest, lane.has_read, lane.reopened + 1);
        let progress = std::mem::take(&mut lane.progress);
        if reopened > MOST_REOPENED {
            return Err(Failure::Fatal(format!(
                "{}, and yet it is refused",
                loss.text()
            )));
        }
        info!(
            topic = loss.topic,
            partition = loss.source.partition,
            wanted = loss.wanted,
            "an outdated word that a record is gone; reading on"
        );
        self.open(&[(loss.source, Start::Offset(loss.wanted))])?;
        let lane = &mut self.lanes[index];
        (lane.at_oldest, lane.has_read, lane.reopened) = (at_oldest, has_read, reopened);
        lane.progress = progress;
        Ok(())
    }

    /// Sources that are read no more since their next record is gone or broken.
    pub(crate) fn stopped(&self) -> Vec<Source> {
        let is_stopped =
            |lane: &&Lane| matches!(lane.broken, Some(Broken::Stopped(_) | Broken::Corrupt(_)));
        let stopped = self.lanes.iter().filter(is_stopped);
        stopped.map(|lane| lane.source).collect()
    }

    /// Says again, now and then, what is stopped.
    pub(crate) fn remind(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            match &mut lane.broken {
                Some(Broken::Stopped(stopped)) => stopped.remind(now),
                Some(Broken::Corrupt(corrupt)) => corrupt.remind(now),
                _ => {}
            }
        }
    }
}

impl Loss {
    /// Has the leader the record, or is it the next to come?
    fn is_there(&self) -> bool {
        let (oldest, end) = self.there;
        (oldest..=end).contains(&self.wanted)
    }

    /// How many records went unread; not known where the partition was truncated or made anew.
    pub(crate) fn count(&self) -> Option<i64> {
        let (oldest, _) = self.there;
        (oldest > self.wanted).then(|| oldest - self.wanted)
    }

    fn text(&self) -> String {
        let (topic, partition, wanted) = (&self.topic, self.source.partition, self.wanted);
        let (oldest, end) = self.there;
        format!("{topic}/{partition} is to be read at {wanted} and has {oldest} to {end}")
    }

    fn cause(&self) -> String {
        match self.count() {
            Some(count) => {
                format!("{count} records were removed by retention before they were read")
            }
            None => "the partition was truncated or made anew".to_owned(),
        }
    }

    /// The rest of the partition is read.
    pub(crate) fn say_skipped(&self) {
        warn!(
            topic = self.topic,
            partition = self.source.partition,
            wanted = self.wanted,
            oldest = self.there.0,
            end = self.there.1,
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
            oldest = self.there.0,
            end = self.there.1,
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

    fn loss(wanted: i64, there: (i64, i64)) -> Loss {
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
        let removed = loss(10, (50, 100));
        assert_eq!(removed.count(), Some(40));
        assert!(removed.cause().starts_with("40 records"));
    }

    #[test]
    fn what_was_made_anew_is_not() {
        let anew = loss(1_000, (0, 100));
        assert_eq!(anew.count(), None);
        assert!(anew.cause().contains("made anew"));
        assert!(!anew.is_there());
    }

    #[test]
    fn what_the_leader_has_is_not_lost() {
        let is_there = |wanted| loss(wanted, (50, 100)).is_there();
        assert_eq!([49, 50, 100, 101].map(is_there), [false, true, true, false]);
    }
}
