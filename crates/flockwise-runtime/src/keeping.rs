//! What was committed is handed to the local state, a slice at a time, behind the commits.

use std::time::Duration;

use flockwise_codec::changelog::{BOOKMARK, encode_bookmark, encode_row, row_key};
use flockwise_core::rows::Unkept;

use crate::broker::{Broker, Failure};
use crate::clock::Moment;
use crate::shard::Shard;
use crate::store::{Copy, Kept, Store};
use crate::topics::{Source, Topic};

/// How often a task's local copy is brought up to date: what is newer is read from the changelog at the
/// next start, and a customer who acts all the time is written once in this time.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// Rows written in a turn, so that no turn takes long.
const ROWS_A_TURN: usize = 1 << 14;

/// How long a shard that leaves waits for one copy to be written.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// How far a task's local copy is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    began: Moment,
    /// While a round is under way: the offset that the copy will have at its end.
    offset: Option<i64>,
}

impl Keeping {
    /// As good as written a moment ago.
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            began: now,
            offset: None,
        }
    }
}

impl<B: Broker> Shard<B> {
    /// Hands a slice of one task to the store if it is time; only between transactions, so that nothing
    /// but what was committed gets there.
    pub(crate) fn keep_some(&mut self) -> Result<(), Failure> {
        if self.is_pending {
            return Ok(());
        }
        let store = &mut self.store;
        let mut under_way = self
            .tasks
            .iter()
            .filter(|(_, open)| open.keeping.offset.is_some())
            .map(|(number, _)| *number);
        match under_way.find(|number| store.copy(*number).takes()) {
            Some(number) => self.keep(number),
            None => self.begin_to_keep(),
        }
    }

    /// Begins a round for the tasks whose copies have become old.
    fn begin_to_keep(&mut self) -> Result<(), Failure> {
        let (now, store) = (self.pace.clock().now(), &mut self.store);
        let mut due = Vec::new();
        for (number, open) in &mut self.tasks {
            let is_due = now.since(open.keeping.began) >= KEEP_EVERY;
            if is_due && open.keeping.offset.is_none() {
                open.keeping.began = now;
                let copy = store.copy(*number);
                if copy == Copy::Empty || (copy == Copy::Ready && open.task.unkept_len() > 0) {
                    due.push(*number);
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let ends = self.ends_before_a_commit(&due)?;
        for (number, end) in due.iter().zip(ends) {
            if let Some(open) = self.tasks.get_mut(number) {
                open.keeping.offset = Some(end);
            }
        }
        Ok(())
    }

    /// The ends of tasks' changelogs, and a commit of those tasks after that: it succeeds only if they were
    /// this shard's all the time, so everything before the ends is in their rows.
    fn ends_before_a_commit(&mut self, numbers: &[u32]) -> Result<Vec<i64>, Failure> {
        let sources: Vec<Source> = numbers.iter().copied().map(Source::changelog).collect();
        let ends = self.broker.ends(&sources)?;
        self.commit_also(numbers)?;
        Ok(ends)
    }

    /// Commits, and with it the bookmarks of these tasks, whether or not anything happened to them.
    pub(crate) fn commit_also(&mut self, numbers: &[u32]) -> Result<(), Failure> {
        for number in numbers {
            if let Some(open) = self.tasks.get_mut(number) {
                open.is_dirty = true;
                self.is_pending = true;
            }
        }
        self.commit()
    }

    fn keep(&mut self, number: u32) -> Result<(), Failure> {
        let is_empty = self.store.copy(number) == Copy::Empty;
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        if is_empty {
            open.task.mark_all_unkept();
        }
        if open.is_ahead {
            self.commit_also(&[number])?;
        }
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(());
        };
        let mut offset = None;
        if open.task.unkept_len() <= ROWS_A_TURN {
            offset = open.keeping.offset.take();
        }
        let records = self.unkept(number, ROWS_A_TURN, offset)?;
        self.store.write(number, records);
        Ok(())
    }

    /// So many rows of a task that its local copy lacks; with an offset they are the last, and the
    /// bookmark comes along.
    fn unkept(&mut self, number: u32, most: usize, offset: Option<i64>) -> Result<Kept, Failure> {
        let plan = self.pipeline.task.plan.fingerprint();
        let mut records = Kept::default();
        records.changelog = self.changelog_identity()?;
        records.plan = plan;
        records.offset = offset;
        records.committed_ms = self.committed_ms;
        let Some(open) = self.tasks.get_mut(&number) else {
            return Ok(records);
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        open.task.take_unkept(most, &mut |unkept| {
            key.clear();
            value.clear();
            match unkept {
                Unkept::Row(row) => {
                    row_key(row.customer_id, &mut key);
                    encode_row(&row, plan, &mut value);
                    records.push(&key, Some(&value));
                }
                Unkept::Gone(customer_id) => {
                    row_key(customer_id, &mut key);
                    records.push(&key, None);
                }
            }
        });
        if offset.is_some() {
            value.clear();
            let owner = Some(self.broker.name());
            let inputs = &self.pipeline.topics.inputs;
            encode_bookmark(&open.task.bookmark(), inputs, owner, &mut value);
            records.push(&[BOOKMARK], Some(&value));
        }
        Ok(records)
    }

    /// What tells the changelog from another of the same name; asked for once.
    pub(crate) fn changelog_identity(&mut self) -> Result<String, Failure> {
        if let Some(known) = &self.changelog {
            return Ok(known.clone());
        }
        let identity = self.broker.identity(Topic::Changelog)?;
        self.changelog = Some(identity.clone());
        Ok(identity)
    }

    /// Commits, and says all that the local copies lack, for when the shard has left.
    ///
    /// # Errors
    /// As [`Shard::turn`]; where the transaction must be done again there is nothing to be said.
    pub(crate) fn last_words(&mut self) -> Result<Vec<(u32, Kept)>, Failure> {
        let store = &mut self.store;
        let numbers = self.tasks.keys().copied();
        let numbers: Vec<u32> = numbers
            .filter(|number| store.copy(*number) != Copy::Off)
            .collect();
        let ends = match self.ends_before_a_commit(&numbers) {
            Err(Failure::Abort(reason)) => {
                self.note_abort(&reason);
                self.roll_back()?;
                return Ok(Vec::new());
            }
            ends => ends?,
        };
        let mut words = Vec::new();
        for (number, end) in numbers.into_iter().zip(ends) {
            let copy = self.store.copy(number);
            if let Some(open) = self.tasks.get_mut(&number).filter(|_| copy == Copy::Empty) {
                open.task.mark_all_unkept();
            }
            words.push((number, self.unkept(number, usize::MAX, Some(end))?));
        }
        Ok(words)
    }
}

/// Writes what [`Shard::last_words`] said, now that others can take over meanwhile.
pub(crate) fn write_last_words(mut store: Box<dyn Store>, words: Vec<(u32, Kept)>) {
    for (number, records) in words {
        if store.settled(number, LAST_WAIT).takes() {
            store.write(number, records);
        }
        store.release(number);
    }
}
