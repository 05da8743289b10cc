//! A checkpoint of a million customers: written completely, written in part, and loaded. The file is in the page
//! cache, on the disk of temporary files.

use flockwise_runtime::task_id::TaskId;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flockwise_runtime::store::{CheckpointBatch, CheckpointState, ExpectedCheckpoint, Store};
use flockwise_store::{DiskStore, StoreSettings, WorkerStore};
use prometheus::Registry;

const CUSTOMERS: u64 = 1_000_000;
const VALUE_BYTES: usize = 220;
/// A twentieth of all customers, spread over all keys.
const BATCH: u64 = 50_000;
/// Coprime to the number of customers, so that each occurs once, in an order unlike that of the keys.
const STRIDE: u64 = 618_033;
const NOW_MS: i64 = 1_800_000_000_000;

criterion_group!(benches, store);
criterion_main!(benches);

fn store(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = StoreSettings::new(folder.path(), "bench");
    let store = DiskStore::start(settings, &Registry::new()).expect("a store");
    let mut worker = store.handle();
    let mut group = criterion.benchmark_group("local state, a customer");
    group.sample_size(10);
    group.throughput(Throughput::Elements(CUSTOMERS));
    let all = batch(0, CUSTOMERS, 1);
    group.bench_function("write all", |bencher| {
        bencher.iter(|| {
            worker.remove(TaskId(0));
            write(&mut worker, all.clone());
        });
    });
    group.bench_function("load", |bencher| bencher.iter(|| load(&mut worker)));
    group.throughput(Throughput::Elements(BATCH));
    let mut round = 0;
    group.bench_function("write a batch", |bencher| {
        bencher.iter(|| {
            round += 1;
            write(&mut worker, batch(round * BATCH, BATCH, round));
        });
    });
    group.throughput(Throughput::Elements(CUSTOMERS));
    group.bench_function("load after batches", |bencher| {
        bencher.iter(|| load(&mut worker));
    });
    group.finish();
    assert!(store.finish(Duration::from_secs(60)));
}

fn batch(first: u64, count: u64, fill: u64) -> CheckpointBatch {
    let mut batch = CheckpointBatch::default();
    (batch.offset, batch.committed_ms) = (Some(first as i64), NOW_MS);
    let value = [fill as u8; VALUE_BYTES];
    for number in first..first + count {
        let customer = number * STRIDE % CUSTOMERS;
        batch.push(
            format!("\u{1}customer-{customer:010}").as_bytes(),
            Some(&value),
        );
    }
    batch
}

fn write(worker: &mut WorkerStore, batch: CheckpointBatch) {
    wait_until_written(worker);
    worker.write(TaskId(0), batch);
    wait_until_written(worker);
}

fn wait_until_written(worker: &mut WorkerStore) {
    while worker.checkpoint_state(TaskId(0)) == CheckpointState::Busy {
        std::thread::yield_now();
    }
}

fn load(worker: &mut WorkerStore) -> usize {
    let wanted = ExpectedCheckpoint {
        changelog: String::new(),
        plan: 0,
        now_ms: NOW_MS,
    };
    let mut bytes = 0;
    let offset = worker.load(TaskId(0), &wanted, &mut |key, value| {
        bytes += black_box(key).len() + black_box(value).len();
        true
    });
    assert!(offset.is_some(), "the checkpoint is complete");
    bytes
}
