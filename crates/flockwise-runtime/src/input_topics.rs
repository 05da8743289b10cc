//! Input topics: which partitions a task reads, from where, and topics that gain partitions or are recreated.

mod partitions_to_read;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Moment;
use crate::topics::Topic;

/// How often to look for new partitions and for recreated topics.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What a worker knows of the input topics.
#[derive(Debug)]
pub(crate) struct InputTopics {
    /// Topic ids, by input, when they were last asked for.
    ids: Vec<String>,
    /// Recreated topics, which are not read.
    recreated: BTreeSet<Topic>,
    /// When they were last looked at.
    looked: Moment,
}

impl InputTopics {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            ids: Vec::new(),
            recreated: BTreeSet::new(),
            looked: now,
        }
    }

    /// Reads recreated topics again, unless the next comparison of ids refuses them again.
    pub(crate) fn read_all_again(&mut self) {
        self.recreated.clear();
    }
}

fn log_recreated(topic: &str) {
    tracing::error!(
        topic,
        "the topic was recreated, and the pipeline's positions belong to the earlier topic: the new topic is not read. To \
         read it from its oldest record, set lost_records = \"skip\" under [kafka] and restart"
    );
}
