//! What was produced, what became of it, and when. Times are since the start.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A stop shorter than this is the ordinary pace of commits.
const WORTH_NOTING: Duration = Duration::from_millis(250);

/// A partition of an input: the input's number, and the partition's.
pub(crate) type InputPartition = (u16, u32);

/// An event's place: its input partition, and its offset there.
pub(crate) type Place = (InputPartition, i64);

/// Everything that an outside observer has seen.
#[derive(Debug)]
pub(crate) struct EventLog {
    inputs: BTreeMap<InputPartition, Input>,
    /// Of what is on its way to the task that owns its customer.
    states: Vec<InputState>,
    /// Of these, events that their own producer stored twice: one that is not told whether a broker has
    /// stored them may do so. They have the id of an event before and so make no difference.
    repeated: u64,
    /// Events of which all that follows is committed.
    finished: u64,
    /// How long that took, since the run began.
    latencies: Vec<Duration>,
    began: Duration,
    /// What should not have happened.
    failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Event {
    sent: Option<Duration>,
    /// Another task than the one that reads it owns its customer.
    is_passed_on: bool,
    was_passed_on: bool,
    ended: Option<Duration>,
    is_repeated: bool,
}

/// A partition of an input.
#[derive(Debug)]
struct Input {
    /// By offset. Who reads them may be told of them sooner than who produced them.
    events: Vec<Event>,
    lane: InputState,
    produced: i64,
}

/// A partition, and what of it waits to be processed.
#[derive(Debug)]
struct InputState {
    name: String,
    waiting: VecDeque<Waiting>,
    /// Committed as processed.
    next_offset: i64,
    progressed: Duration,
    stalls: Vec<Stall>,
}

#[derive(Debug)]
struct Waiting {
    offset: i64,
    since: Duration,
    place: Place,
}

/// A time in which records of a partition waited and none was committed as processed.
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
    /// Of this number of inputs, each with as many partitions as the state.
    pub(crate) fn new(inputs: usize, partitions: u32) -> Self {
        let places = (0..inputs as u16).flat_map(|input| (0..partitions).map(move |p| (input, p)));
        let states = (0..partitions).map(|task| InputState::new(format!("repartition/{task}")));
        Self {
            inputs: places.map(|place| (place, Input::new(place))).collect(),
            states: states.collect(),
            repeated: 0,
            finished: 0,
            latencies: Vec::new(),
            began: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// The brokers have the next event of a partition. They do not say its offset where it was stored
    /// before and its producer was not told.
    pub(crate) fn produced(
        &mut self,
        (partition, offset): (InputPartition, Option<i64>),
        is_passed_on: bool,
        sent: Duration,
        now: Duration,
    ) {
        let expected = self.input(partition).produced;
        let offset = offset.unwrap_or(expected);
        if offset < expected {
            let name = &self.input(partition).lane.name;
            let failure = format!("event {expected} of {name} is at offset {offset}");
            self.failures.push(failure);
        }
        for repeated in expected..offset {
            self.event((partition, repeated)).is_repeated = true;
            self.repeated += 1;
        }
        self.input(partition).produced = offset.max(expected) + 1;
        let place = (partition, offset.max(expected));
        let event = self.event(place);
        event.sent = Some(sent);
        event.is_passed_on = is_passed_on;
        self.settle(place);
        if self.input(partition).lane.came(place.1, now, place) {
            self.finish([place], false, now);
        }
    }

    /// An event was passed on, committed, to the task that owns its customer.
    pub(crate) fn passed_on(&mut self, task: u32, offset: i64, place: Place, now: Duration) {
        let event = self.event(place);
        let is_repeated = std::mem::replace(&mut event.was_passed_on, true);
        if is_repeated {
            let (partition, offset) = place;
            let name = &self.input(partition).lane.name;
            let failure = format!("offset {offset} of {name} is passed on twice");
            self.failures.push(failure);
        }
        if self.states[task as usize].came(offset, now, place) {
            self.finish([place], true, now);
        }
    }

    /// A task has committed how far it has come.
    pub(crate) fn progressed(
        &mut self,
        task: u32,
        inputs: impl Iterator<Item = Place>,
        repartition_offset: i64,
        now: Duration,
    ) {
        let mut ended = Vec::new();
        for (partition, next_offset) in inputs {
            let lane = &mut self.input(partition).lane;
            let back = lane.passed(next_offset, now, &mut ended);
            self.failures.extend(back);
        }
        self.finish(ended.drain(..), false, now);
        let back = self.states[task as usize].passed(repartition_offset, now, &mut ended);
        self.failures.extend(back);
        self.finish(ended, true, now);
    }

    fn input(&mut self, partition: InputPartition) -> &mut Input {
        let input = self.inputs.get_mut(&partition);
        input.expect("a partition of an input")
    }

    fn event(&mut self, (partition, offset): Place) -> &mut Event {
        let (events, index) = (&mut self.input(partition).events, offset as usize);
        if events.len() <= index {
            events.resize_with(index + 1, Event::default);
        }
        &mut events[index]
    }

    /// These have been processed by whoever read them, or by the owner of their customer.
    fn finish(&mut self, places: impl IntoIterator<Item = Place>, by_owner: bool, now: Duration) {
        for place in places {
            let event = self.event(place);
            if by_owner || !event.is_passed_on {
                event.ended = Some(now);
                self.settle(place);
            }
        }
    }

    /// Counts an event of which both ends are known.
    fn settle(&mut self, place: Place) {
        let event = self.event(place);
        // One that is repeated may be told of as another first, and was not sent as itself.
        let (Some(sent), Some(ended), false) = (event.sent, event.ended, event.is_repeated) else {
            return;
        };
        self.finished += 1;
        if sent >= self.began {
            self.latencies.push(ended.saturating_sub(sent));
        }
    }

    /// All was only to get warm so far.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.began = now;
        self.latencies.clear();
        let inputs = self.inputs.values_mut().map(|input| &mut input.lane);
        for lane in inputs.chain(&mut self.states) {
            lane.stalls.clear();
        }
    }

    /// Something that should not have happened.
    pub(crate) fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// Events that the brokers have.
    pub(crate) fn count(&self) -> u64 {
        let produced = self.inputs.values().map(|input| input.produced);
        produced.sum::<i64>().cast_unsigned() - self.repeated
    }

    /// Events that were stored twice before anybody read them.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Events of which all that follows is committed.
    pub(crate) fn finished(&self) -> u64 {
        self.finished
    }

    /// What is not as it must be when everything is over.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.failures.clone();
        for Input { events, lane, .. } in self.inputs.values() {
            let (count, position) = (events.len() as i64, lane.next_offset);
            if position != count {
                let name = &lane.name;
                failures.push(format!(
                    "{name} has {count} events and is committed as read up to {position}"
                ));
            }
        }
        let known = self.inputs.values().map(|input| input.events.len());
        let known: usize = known.sum();
        let (count, finished) = (self.count(), self.finished());
        if known as u64 != count + self.repeated {
            failures.push(format!("{known} events are read, {count} were produced"));
        }
        if count != finished {
            failures.push(format!(
                "of {count} events {finished} are committed as processed"
            ));
        }
        failures
    }

    /// Every time that a partition did not get on, since the run began and up to now.
    pub(crate) fn stalls(&self, now: Duration) -> Vec<Stall> {
        let inputs = self.inputs.values().map(|input| &input.lane);
        let lanes = inputs.chain(&self.states);
        lanes
            .flat_map(|lane| lane.stalls.iter().cloned().chain(lane.stall(now)))
            .collect()
    }

    /// From being sent until all that follows is committed, since the run began, shortest first.
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
            lane: InputState::new(format!("input {input}/{partition}")),
            produced: 0,
        }
    }
}

impl InputState {
    fn new(name: String) -> Self {
        Self {
            name,
            waiting: VecDeque::new(),
            next_offset: 0,
            progressed: Duration::ZERO,
            stalls: Vec::new(),
        }
    }

    /// A record came; was it processed before anybody said that it came?
    fn came(&mut self, offset: i64, now: Duration, place: Place) -> bool {
        if offset < self.next_offset {
            return true;
        }
        self.waiting.push_back(Waiting {
            offset,
            since: now,
            place,
        });
        false
    }

    /// What is wrong with that, if anything.
    fn passed(
        &mut self,
        next_offset: i64,
        now: Duration,
        ended: &mut Vec<Place>,
    ) -> Option<String> {
        let (name, before) = (&self.name, self.next_offset);
        if next_offset < before {
            return Some(format!("{name} goes back from {before} to {next_offset}"));
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
            ended.push(waiting.place);
        }
        None
    }

    /// The one that ends now.
    fn stall(&self, now: Duration) -> Option<Stall> {
        let stall = Stall {
            partition: self.name.clone(),
            from: self.waiting.front()?.since.max(self.progressed),
            to: now,
        };
        (stall.length() >= WORTH_NOTING).then_some(stall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn progress(event_log: &mut EventLog, task: u32, read: i64, passed_on: i64, now: u64) {
        let read = [((0, task), read)].into_iter();
        event_log.progressed(task, read, passed_on, ms(now));
    }

    #[test]
    fn an_event_ends_with_the_task_that_owns_its_customer() {
        let mut event_log = EventLog::new(1, 2);
        event_log.produced(((0, 0), Some(0)), false, ms(0), ms(5));
        event_log.produced(((0, 0), Some(1)), true, ms(10), ms(15));
        progress(&mut event_log, 0, 2, 0, 40);
        assert_eq!(event_log.latencies(), [ms(40)]);
        event_log.passed_on(1, 7, ((0, 0), 1), ms(40));
        assert_eq!(event_log.failures().len(), 1);
        progress(&mut event_log, 1, 0, 8, 100);
        assert_eq!(event_log.latencies(), [ms(40), ms(90)]);
        assert_eq!(event_log.failures(), [""; 0]);
    }

    #[test]
    fn what_is_told_in_another_order_counts_all_the_same() {
        let mut event_log = EventLog::new(1, 1);
        progress(&mut event_log, 0, 2, 3, 30);
        event_log.passed_on(0, 2, ((0, 0), 0), ms(31));
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
        event_log.passed_on(0, 0, ((0, 0), 0), ms(1));
        event_log.passed_on(0, 1, ((0, 0), 0), ms(2));
        progress(&mut event_log, 0, 1, 2, 3);
        assert!(event_log.failures()[0].contains("twice"));
    }
}
