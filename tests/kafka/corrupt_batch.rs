//! A corrupt batch on a real broker's disk: its partition halts before the batch, the others continue, and nothing is
//! lost once the batch is repaired. Starts its own broker.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flockwise_tests::events::InputRecord;
use flockwise_tests::kafka::one_cluster_at_a_time;
use flockwise_tests::kafka_pipeline::KafkaPipeline;
use flockwise_tests::process::folder;
use flockwise_tests::test_broker::TestBroker;
use xtask::kafka::KafkaCluster;

const EVENTS: u64 = 3_000;
/// Events per call of the producer, which groups them into batches.
const AT_ONCE: usize = 300;
/// Partitions with a corrupt batch, and the index of the byte that is changed: one that the checksum covers, and the
/// one with the format version.
const CORRUPT: [(u32, u64); 2] = [(3, 200), (5, 16)];

/// A byte to change, in a batch in the middle of a partition.
struct Damage {
    file: PathBuf,
    byte: u64,
    /// The expected log message.
    log_message: String,
    /// Number of records that cannot be read.
    unreadable: u64,
}

impl Damage {
    fn plan(
        broker: &Path,
        topic: &str,
        records: &[InputRecord],
        (partition, byte): (u32, u64),
    ) -> Self {
        let folder = broker.join(format!("n1/data/{topic}-{partition}"));
        let mut batches: Vec<_> = segments(&folder)
            .iter()
            .flat_map(|file| batches(file))
            .collect();
        let middle = batches.len() / 2;
        assert!(middle > 0, "too few batches: {batches:?}");
        let (offset, file, start) = batches.swap_remove(middle);
        let in_partition = records
            .iter()
            .filter(|record| record.partition == partition)
            .count();
        Self {
            file,
            byte: start + byte,
            log_message: format!(
                "{topic}/{partition} is halted at offset {offset}, the other partitions are still read"
            ),
            unreadable: in_partition as u64 - offset,
        }
    }

    /// Flips a bit of the byte. A second call restores it.
    fn flip(&self) {
        let log = OpenOptions::new().read(true).write(true).open(&self.file);
        let (log, mut found) = (log.expect("a log"), [0]);
        log.read_exact_at(&mut found, self.byte).expect("read");
        let other = [found[0] ^ 0x10];
        log.write_all_at(&other, self.byte).expect("written");
    }
}

/// The log segment files of a partition, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a partition");
    let files = files.map(|file| file.expect("a file").path());
    let mut segments: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    segments
}

/// Each batch of a log segment: its first offset, its file, and its position in the file.
fn batches(segment: &Path) -> Vec<(u64, PathBuf, u64)> {
    let bytes = fs::read(segment).expect("a segment");
    let (mut batches, mut start) = (Vec::new(), 0);
    while let Some((offset, rest)) = bytes[start..].split_first_chunk::<8>() {
        let (length, _) = rest.split_first_chunk::<4>().expect("a length");
        batches.push((
            u64::from_be_bytes(*offset),
            segment.to_owned(),
            start as u64,
        ));
        start += 12 + u32::from_be_bytes(*length) as usize;
    }
    batches
}

#[test]
fn a_broken_batch_halts_its_partition_and_is_read_once_it_is_mended() {
    let Some(_alone) = one_cluster_at_a_time() else {
        return;
    };
    let files = folder();
    let broker = files.path().join("kafka");
    let kafka = KafkaCluster::at(broker.clone())
        .first_port(0)
        .run()
        .expect("a broker");
    let kafka_pipeline = KafkaPipeline::with(&kafka.servers.plain, folder(), &[12], "");
    let records = kafka_pipeline.expect(EVENTS, 500, EVENTS as usize);
    records
        .chunks(AT_ONCE)
        .for_each(|records| kafka_pipeline.kafka.put(records));

    let topic = &kafka_pipeline.topics.inputs[0];
    let damages = CORRUPT.map(|of| Damage::plan(&broker, topic, &records, of));
    damages.iter().for_each(Damage::flip);
    let readable = EVENTS - damages.iter().map(|damage| damage.unreadable).sum::<u64>();

    let mut instance = kafka_pipeline.start("only");
    kafka_pipeline.wait_for(readable, &mut [&mut instance]);
    let log_message = damages.each_ref().map(|damage| damage.log_message.as_str());
    instance.terminate().expect(0, &log_message);
    assert_eq!(
        kafka_pipeline.processed(),
        readable,
        "exactly the readable events are processed"
    );

    damages.iter().for_each(Damage::flip);
    let instance = kafka_pipeline.start("only");
    kafka_pipeline.wait_until_drained();
    instance.terminate().expect(0, &[]);
    kafka_pipeline.check_changes();
    kafka_pipeline.check_customers();
}
