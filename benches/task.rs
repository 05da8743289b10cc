//! An event from bytes to bytes: decoded, processed by the task, the change encoded. One thread, in memory, without a
//! broker.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flockwise_benches::events;
use flockwise_benches::job::Job;
use flockwise_codec::change::ChangeEncoder;
use flockwise_core::change::Trigger;
use flockwise_core::event::Event;
use flockwise_core::task::{Output, Task};

const EVENTS: usize = 100_000;

criterion_group!(benches, task);
criterion_main!(benches);

fn task(criterion: &mut Criterion) {
    let job = Job::load().expect("the job is in the repository");
    let lines = events::first(EVENTS);
    let mut group = criterion.benchmark_group("an event");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.sample_size(10);
    group.bench_function("decode", |bencher| {
        let mut event = Event::default();
        bencher.iter(|| decode(&job, &lines, &mut event));
    });
    group.bench_function("decode, process, encode", |bencher| {
        let task = || Task::new(job.settings.clone());
        bencher.iter_batched(
            task,
            |task| work(&job, &lines, task),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn decode(job: &Job, lines: &[String], event: &mut Event) -> i64 {
    let plan = &job.settings.plan;
    let times = lines.iter().map(|line| {
        let decoded = job.decoder.decode(plan, Some(line.as_bytes()), event);
        decoded.map_or(0, |()| event.time_ms)
    });
    times.fold(0, i64::wrapping_add)
}

/// Returns the task, so that dropping it is not measured.
fn work(job: &Job, lines: &[String], mut task: Task) -> (Task, usize) {
    let plan = &job.settings.plan;
    let mut encoder = ChangeEncoder::new("bench", &job.topics, plan);
    let (mut event, mut output, mut bytes) = (Event::default(), Output::default(), Vec::new());
    let mut encoded = 0;
    for (offset, line) in lines.iter().enumerate() {
        let decoded = job.decoder.decode(plan, Some(line.as_bytes()), &mut event);
        if decoded.is_err() || task.judge_time((0, 0), event.time_ms, None).is_err() {
            continue;
        }
        let trigger = Trigger {
            input: 0,
            partition: 0,
            offset: offset as i64,
        };
        task.process(&event, trigger, Some(&job.versions), &mut output);
        for change in output.changes.drain(..) {
            bytes.clear();
            let customer_id = task.rows().customer_id(change.row);
            encoder.encode(&job.versions, customer_id, &change, &mut bytes);
            encoded += bytes.len();
        }
    }
    (task, encoded)
}
