//! Allocations per event with warm state: decoding, the task, and encoding of changes and rows.
//!
//! The first half of the events is not counted; after it, buffers have grown and most customers are known. The second
//! half is counted by stage. The remaining allocations are due to new customers and growing rows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flockwise_benches::job::Job;
use flockwise_benches::{events, workspace};
use flockwise_codec::change::ChangeEncoder;
use flockwise_codec::changelog::{encode_row, row_key};
use flockwise_core::change::Trigger;
use flockwise_core::event::Event;
use flockwise_core::task::{Output, Task};

const EVENTS: usize = 400_000;

/// Events between two commits. Rows are written at each commit.
const BATCH: usize = 1_000;

/// The system allocator, with counters.
struct Counting {
    allocations: AtomicU64,
    bytes: AtomicU64,
}

#[global_allocator]
static COUNTING: Counting = Counting {
    allocations: AtomicU64::new(0),
    bytes: AtomicU64::new(0),
};

impl Counting {
    fn count(&self, bytes: usize) {
        self.allocations.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn counts(&self) -> [u64; 2] {
        [self.allocations.load(Relaxed), self.bytes.load(Relaxed)]
    }
}

// SAFETY: every call is passed to the system allocator unchanged, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller upholds the contract of the system allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count(size);
        // SAFETY: the caller upholds the contract of the system allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations and bytes of a stage.
#[derive(Default)]
struct Stage([u64; 2]);

impl Stage {
    fn count<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let before = COUNTING.counts();
        let result = act();
        let after = COUNTING.counts();
        self.0 = [0, 1].map(|kind| self.0[kind] + after[kind] - before[kind]);
        result
    }

    fn an_event(&self, name: &str) -> (String, f64, f64) {
        let [allocations, bytes] = self.0.map(|count| count as f64 / (EVENTS / 2) as f64);
        println!("{name}: {allocations:.4} allocations, {bytes:.1} bytes an event");
        (name.to_owned(), allocations, bytes)
    }
}

#[derive(Default)]
struct Stages {
    decode: Stage,
    process: Stage,
    changes: Stage,
    rows: Stage,
}

/// Reused buffers, as in a worker.
struct Buffers {
    event: Event,
    output: Output,
    changes: ChangeEncoder,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Buffers {
    fn new(job: &Job) -> Self {
        Self {
            event: Event::default(),
            output: Output::default(),
            changes: ChangeEncoder::new("bench", &job.topics, &job.settings.plan),
            key: Vec::new(),
            value: Vec::new(),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::load()?;
    let lines = events::first(EVENTS);
    let (cold, warm) = lines.split_at(EVENTS / 2);
    let (mut task, mut buffers) = (Task::new(job.settings.clone()), Buffers::new(&job));
    work(&job, cold, &mut task, &mut buffers, &mut Stages::default());
    let mut stages = Stages::default();
    work(&job, warm, &mut task, &mut buffers, &mut stages);
    let figures = [
        stages.decode.an_event("decode"),
        stages.process.an_event("process"),
        stages.changes.an_event("encode changes"),
        stages.rows.an_event("encode rows"),
    ];
    let path = workspace("target/bench/allocations.json");
    std::fs::create_dir_all(workspace("target/bench"))?;
    Ok(std::fs::write(path, serde_json::to_string(&figures)?)?)
}

fn work(job: &Job, lines: &[String], task: &mut Task, buffers: &mut Buffers, stages: &mut Stages) {
    for batch in lines.chunks(BATCH) {
        for (offset, line) in batch.iter().enumerate() {
            take(job, line, offset as i64, task, buffers, stages);
        }
        stages.rows.count(|| write_rows(job, task, buffers));
        task.commit();
    }
}

fn take(
    job: &Job,
    line: &str,
    offset: i64,
    task: &mut Task,
    buffers: &mut Buffers,
    stages: &mut Stages,
) {
    let Buffers {
        event,
        output,
        changes,
        value,
        ..
    } = buffers;
    let (plan, line) = (&job.settings.plan, Some(line.as_bytes()));
    let decoded = stages
        .decode
        .count(|| job.decoder.decode(plan, line, event));
    if decoded.is_err() || task.judge_time((0, 0), event.time_ms, None).is_err() {
        return;
    }
    let trigger = Trigger {
        input: 0,
        partition: 0,
        offset,
    };
    stages
        .process
        .count(|| task.process(event, trigger, Some(&job.versions), output));
    stages
        .changes
        .count(|| write_changes(job, task, output, changes, value));
}

fn write_changes(
    job: &Job,
    task: &Task,
    output: &mut Output,
    changes: &mut ChangeEncoder,
    value: &mut Vec<u8>,
) {
    for change in output.changes.drain(..) {
        value.clear();
        let customer_id = task.rows().customer_id(change.row);
        changes.encode(&job.versions, customer_id, &change, value);
    }
}

fn write_rows(job: &Job, task: &Task, buffers: &mut Buffers) {
    let fingerprint = job.settings.plan.fingerprint();
    for row in task.rows().touched() {
        let row = task.rows().row(*row);
        buffers.key.clear();
        row_key(row.customer_id, &mut buffers.key);
        buffers.value.clear();
        encode_row(&row, fingerprint, &mut buffers.value);
    }
}
