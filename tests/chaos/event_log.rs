//! Records when each event was produced and when its effects were committed. Times are since the start.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Shorter stalls are the normal interval of commits.
const MIN_STALL: Duration = Duration::from_millis(250);

/// A partition of an input: the input's number and the partition's number.
pub(crate) type InputPartition = (u16, u32);

/// Identifies an event: its input partition and offset.
pub(crate) type EventId = (InputPartition, i64);

/// Everything that the producer and the observer have seen.
#[derive(Debug)]
pub(crate) struct EventLog {
    inputs: BTreeMap<InputPartition, Input>,
    /// The repartition partitions, by task.
    tasks: Vec<PartitionState>,
    /// Number of events that the producer stored twice, which it may do if it gets no acknowledgement. They have the
    /// id of an earlier event and therefore no effect.
    repeated: u64,
    /// Number of events whose effects are all committed.
    finished: u64,
    /// Time from send to commit of each finished event sent after `began`.
    latencies: Vec<Duration>,
    began: Duration,
    /// Failures so far.
    failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Event {
    sent: Option<Duration>,
    /// True if another task than the one that reads it owns its customer.
    is_forwarded: bool,
    was_forwarded: bool,
    ended: Option<Duration>,
    is_repeated: bool,
}

/// A partition of an input.
#[derive(Debug)]
struct Input {
    /// By offset. A commit may be seen before the producer's acknowledgement.
    events: Vec<Event>,
    state: PartitionState,
    produced: i64,
}

/// A partition and its records that are not processed yet.
#[derive(Debug)]
struct PartitionState {
    name: String,
    waiting: VecDeque<Waiting>,
    /// The committed offset.
    next_offset: i64,
    progressed: Duration,
    stalls: Vec<Stall>,
}

#[derive(Debug)]
struct Waiting {
    offset: i64,
    since: Duration,
    id: EventId,
}

/// A time span in which records of a partition waited and its committed offset did not advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) partition: String,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Stall {
    pub(crate) fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

impl EventLog {
    /// A log for `inputs` inputs with `partitions` partitions each, and as many tasks.
    pub(crate) fn new(inputs: usize, partitions: u32) -> Self {
        let ids = (0..inputs as u16).flat_map(|input| (0..partitions).map(move |p| (input, p)));
        let tasks = (0..partitions).map(|task| PartitionState::new(format!("repartition/{task}")));
        Self {
            inputs: ids.map(|id| (id, Input::new(id))).collect(),
            tasks: tasks.collect(),
            repeated: 0,
            finished: 0,
            latencies: Vec::new(),
            began: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// The brokers acknowledged the next event of a partition. `offset` is `None` if the event was stored by an
    /// earlier attempt whose acknowledgement was lost.
    pub(crate) fn produced(
        &mut self,
        (partition, offset): (InputPartition, Option<i64>),
        is_forwarded: bool,
        sent: Duration,
        now: Duration,
    ) {
        let expected = self.input(partition).produced;
        let offset = offset.unwrap_or(expected);
        if offset < expected {
            let name = &self.input(partition).state.name;
            let failure = format!("event {expected} of {name} is at the lower offset {offset}");
            self.failures.push(failure);
        }
        for repeated in expected..offset {
            self.event((partition, repeated)).is_repeated = true;
            self.repeated += 1;
        }
        self.input(partition).produced = offset.max(expected) + 1;
        let id = (partition, offset.max(expected));
        let event = self.event(id);
        event.sent = Some(sent);
        event.is_forwarded = is_forwarded;
        self.settle(id);
        if self.input(partition).state.arrive(id.1, now, id) {
            self.finish([id], false, now);
        }
    }

    /// A forward of an event to the task that owns its customer was committed.
    pub(crate) fn forwarded(&mut self, task: u32, offset: i64, id: EventId, now: Duration) {
        let event = self.event(id);
        let is_repeated = std::mem::replace(&mut event.was_forwarded, true);
        if is_repeated {
            let (partition, offset) = id;
            let name = &self.input(partition).state.name;
            let failure = format!("offset {offset} of {name} is forwarded twice");
            self.failures.push(failure);
        }
        if self.tasks[task as usize].arrive(offset, now, id) {
            self.finish([id], true, now);
        }
    }

    /// A task has committed its position.
    pub(crate) fn progressed(
        &mut self,
        task: u32,
        inputs: impl Iterator<Item = EventId>,
        repartition_offset: i64,
        now: Duration,
    ) {
        let mut ended = Vec::new();
        for (partition, next_offset) in inputs {
            let state = &mut self.input(partition).state;
            let back = state.advance(next_offset, now, &mut ended);
            self.failures.extend(back);
        }
        self.finish(ended.drain(..), false, now);
        let back = self.tasks[task as usize].advance(repartition_offset, now, &mut ended);
        self.failures.extend(back);
        self.finish(ended, true, now);
    }

    fn input(&mut self, partition: InputPartition) -> &mut Input {
        let input = self.inputs.get_mut(&partition);
        input.expect("a partition of an input")
    }

    fn event(&mut self, (partition, offset): EventId) -> &mut Event {
        let (events, index) = (&mut self.input(partition).events, offset as usize);
        if events.len() <= index {
            events.resize_with(index + 1, Event::default);
        }
        &mut events[index]
    }

    /// Marks events as processed by the task that read them, or by the task that owns their customer.
    fn finish(&mut self, ids: impl IntoIterator<Item = EventId>, by_owner: bool, now: Duration) {
        for id in ids {
            let event = self.event(id);
            if by_owner || !event.is_forwarded {
                event.ended = Some(now);
                self.settle(id);
            }
        }
    }

    /// Counts an event once its send and its commit are both known.
    fn settle(&mut self, id: EventId) {
        let event = self.event(id);
        // A repeated event was not sent separately.
        let (Some(sent), Some(ended), false) = (event.sent, event.ended, event.is_repeated) else {
            return;
        };
        self.finished += 1;
        if sent >= self.began {
            self.latencies.push(ended.saturating_sub(sent));
        }
    }

    /// Ends the warm-up: drops latencies and stalls measured so far.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.began = now;
        self.latencies.clear();
        let inputs = self.inputs.values_mut().map(|input| &mut input.state);
        for state in inputs.chain(&mut self.tasks) {
            state.stalls.clear();
        }
    }

    /// Adds a failure.
    pub(crate) fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// Number of distinct events that the brokers have stored.
    pub(crate) fn count(&self) -> u64 {
        let produced = self.inputs.values().map(|input| input.produced);
        produced.sum::<i64>().cast_unsigned() - self.repeated
    }

    /// Number of events that the producer stored twice.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Number of events whose effects are all committed.
    pub(crate) fn finished(&self) -> u64 {
        self.finished
    }

    /// All failures, including those that show only at the end of a run.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.failures.clone();
        for Input { events, state, .. } in self.inputs.values() {
            let (count, position) = (events.len() as i64, state.next_offset);
            if position != count {
                let name = &state.name;
                failures.push(format!(
                    "{name} has {count} events, but its committed offset is {position}"
                ));
            }
        }
        let known = self.inputs.values().map(|input| input.events.len());
        let known: usize = known.sum();
        let (count, finished) = (self.count(), self.finished());
        if known as u64 != count + self.repeated {
            failures.push(format!(
                "{known} events were read, but {count} were produced"
            ));
        }
        if count != finished {
            failures.push(format!(
                "of {count} events only {finished} are committed as processed"
            ));
        }
        failures
    }

    /// Every stall since the warm-up, up to now.
    pub(crate) fn stalls(&self, now: Duration) -> Vec<Stall> {
        let inputs = self.inputs.values().map(|input| &input.state);
        let states = inputs.chain(&self.tasks);
        states
            .flat_map(|state| state.stalls.iter().cloned().chain(state.stall(now)))
            .collect()
    }

    /// Latencies from send to commit since the warm-up, shortest first.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        latencies
    }
}

impl Input {
    fn new((input, partition): InputPartition) -> Self {
        Self {
            events: Vec::new(),
            state: PartitionState::new(format!("input {input}/{partition}")),
            produced: 0,
        }
    }
}

impl PartitionState {
    fn new(name: String) -> Self {
        Self {
            name,
            waiting: VecDeque::new(),
            next_offset: 0,
            progressed: Duration::ZERO,
            stalls: Vec::new(),
        }
    }

    /// A record has arrived. Returns true if it was already processed.
    fn arrive(&mut self, offset: i64, now: Duration, id: EventId) -> bool {
        if offset < self.next_offset {
            return true;
        }
        self.waiting.push_back(Waiting {
            offset,
            since: now,
            id,
        });
        false
    }

    /// Advances the committed offset and appends the records that it passes to `ended`. Returns a failure if it goes
    /// back.
    fn advance(
        &mut self,
        next_offset: i64,
        now: Duration,
        ended: &mut Vec<EventId>,
    ) -> Option<String> {
        let (name, before) = (&self.name, self.next_offset);
        if next_offset < before {
            return Some(format!(
                "the committed offset of {name} goes back from {before} to {next_offset}"
            ));
        }
        if next_offset == before {
            return None;
        }
        let stall = self.stall(now);
        self.stalls.extend(stall);
        self.next_offset = next_offset;
        self.progressed = now;
        while let Some(waiting) = self
            .waiting
            .pop_front_if(|first| first.offset < next_offset)
        {
            ended.push(waiting.id);
        }
        None
    }

    /// The stall that ends now, if there is one.
    fn stall(&self, now: Duration) -> Option<Stall> {
        let stall = Stall {
            partition: self.name.clone(),
            from: self.waiting.front()?.since.max(self.progressed),
            to: now,
        };
        (stall.length() >= MIN_STALL).then_some(stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn progress(event_log: &mut EventLog, task: u32, read: i64, forwarded: i64, now: u64) {
        let read = [((0, task), read)].into_iter();
        event_log.progressed(task, read, forwarded, ms(now));
    }

    #[test]
    fn an_event_ends_with_the_task_that_owns_its_customer() {
        let mut event_log = EventLog::new(1, 2);
        event_log.produced(((0, 0), Some(0)), false, ms(0), ms(5));
        event_log.produced(((0, 0), Some(1)), true, ms(10), ms(15));
        progress(&mut event_log, 0, 2, 0, 40);
        assert_eq!(event_log.latencies(), [ms(40)]);
        event_log.forwarded(1, 7, ((0, 0), 1), ms(40));
        assert_eq!(event_log.failures().len(), 1);
        progress(&mut event_log, 1, 0, 8, 100);
        assert_eq!(event_log.latencies(), [ms(40), ms(90)]);
        assert_eq!(event_log.failures(), [""; 0]);
    }

    #[test]
    fn what_is_told_in_another_order_counts_all_the_same() {
        let mut event_log = EventLog::new(1, 1);
        progress(&mut event_log, 0, 2, 3, 30);
        event_log.forwarded(0, 2, ((0, 0), 0), ms(31));
        event_log.produced(((0, 0), Some(0)), true, ms(0), ms(32));
        event_log.produced(((0, 0), None), false, ms(5), ms(35));
        assert_eq!(event_log.latencies(), [ms(30), ms(31)]);
        assert_eq!(event_log.failures(), [""; 0]);
    }

    #[test]
    fn what_its_producer_stored_twice_counts_once() {
        let mut event_log = EventLog::new(1, 1);
        event_log.produced(((0, 0), Some(0)), false, ms(0), ms(5));
        progress(&mut event_log, 0, 4, 0, 10);
        event_log.produced(((0, 0), Some(3)), false, ms(6), ms(12));
        assert_eq!((event_log.count(), event_log.repeated()), (2, 2));
        assert_eq!(event_log.latencies(), [ms(6), ms(10)]);
        assert_eq!(event_log.failures(), [""; 0]);
    }

    #[test]
    fn a_partition_stalls_while_something_waits_and_nothing_is_committed() {
        let mut event_log = EventLog::new(1, 1);
        progress(&mut event_log, 0, 1, 0, 0);
        event_log.produced(((0, 0), Some(0)), false, ms(0), ms(1));
        assert_eq!(event_log.stalls(ms(60_000)), [], "nothing waits");
        for (offset, now) in [(1, 60_000), (2, 60_300)] {
            event_log.produced(((0, 0), Some(offset)), false, ms(now), ms(now));
        }
        progress(&mut event_log, 0, 2, 0, 61_000);
        let stall = |from, to| Stall {
            partition: "input 0/0".to_owned(),
            from: ms(from),
            to: ms(to),
        };
        let mut stalls = vec![stall(60_000, 61_000)];
        assert_eq!(event_log.stalls(ms(61_100)), stalls);
        stalls.push(stall(61_000, 62_000));
        assert_eq!(event_log.stalls(ms(62_000)), stalls);
    }

    #[test]
    fn getting_warm_is_not_measured() {
        let mut event_log = EventLog::new(1, 1);
        event_log.produced(((0, 0), Some(0)), false, ms(0), ms(0));
        progress(&mut event_log, 0, 1, 0, 9_000);
        event_log.begin(ms(10_000));
        assert_eq!(
            (event_log.latencies(), event_log.stalls(ms(10_000))),
            (vec![], vec![])
        );
        assert_eq!(event_log.finished(), 1);
    }

    #[test]
    fn what_is_passed_on_twice_is_noticed() {
        let mut event_log = EventLog::new(1, 1);
        event_log.produced(((0, 0), Some(0)), true, ms(0), ms(0));
        progress(&mut event_log, 0, 1, 0, 1);
        event_log.forwarded(0, 0, ((0, 0), 0), ms(1));
        event_log.forwarded(0, 1, ((0, 0), 0), ms(2));
        progress(&mut event_log, 0, 1, 2, 3);
        assert!(event_log.failures()[0].contains("twice"));
    }
}
