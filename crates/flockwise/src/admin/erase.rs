//! `flockwise erase`: has the task that owns a customer erase the customer.

use std::thread;
use std::time::{Duration, Instant};

use flockwise_codec::pipeline_record::PipelineRecord;
use flockwise_codec::task_command::encode_task_command;
use flockwise_core::task::TaskCommand;
use flockwise_kafka::KafkaTopicClient;
use flockwise_runtime::clock::Clock;
use flockwise_runtime::task_id::TaskId;
use flockwise_runtime::topics::{Topic, TopicPartition};
use serde_json::json;

use crate::admin::check_pipeline_record;
use crate::args::EraseArguments;
use crate::exit::{Failed, outln};
use crate::kafka_settings::{expect_topic, failed, load, pipeline_topics, settings};

/// How often the group's offset is asked for.
const STEP: Duration = Duration::from_millis(200);

pub(crate) fn erase(arguments: &EraseArguments) -> Result<(), Failed> {
    let config = load(&arguments.config)?;
    let settings = settings(&config, &format!("{}-erase", config.app))?;
    let topics = pipeline_topics(&config, &[]);
    expect_topic(&settings, &topics, Topic::Pipeline)?;
    let record = check_pipeline_record::read(&config, &settings).map_err(failed)?;
    let record = record.ok_or_else(|| {
        Failed::runtime(format!(
            "topic {} has no record of a pipeline: `flockwise run` writes it at its first start",
            topics.name(Topic::Pipeline)
        ))
    })?;
    let task = owner(&record, &arguments.customer_id)?;
    let client = KafkaTopicClient::connect(settings, topics).map_err(failed)?;
    let command = encode_task_command(&TaskCommand::Erase {
        customer_id: arguments.customer_id.clone(),
        at_ms: Clock::System.latest_ms(),
    });
    let to = TopicPartition::repartition(task);
    let offset = client.send(to, &command).map_err(failed)?;
    let is_applied = await_applied(&client, (to, offset), arguments.wait)?;
    print_outcome(arguments, (to, offset), is_applied);
    if is_applied || arguments.wait.is_zero() {
        return Ok(());
    }
    Err(Failed::runtime(format!(
        "the command is sent, but task {task} has not applied it within {} s; it does so once it runs and has read the \
         records before it. Check that `flockwise run` runs, and its lag",
        arguments.wait.as_secs()
    )))
}

/// The task that owns a customer, as pinned when the pipeline first started.
fn owner(record: &PipelineRecord, customer_id: &str) -> Result<TaskId, Failed> {
    let partitioner = record.partitioner().ok_or_else(|| {
        Failed::runtime(
            "this version does not know the pipeline's partitioner: use the version that `flockwise run` has",
        )
    })?;
    let tasks = record.state_partitions.max(1);
    let partition = partitioner.partition(customer_id.as_bytes(), tasks);
    Ok(TaskId(partition))
}

/// Waits until the group has committed the record. It does so in the transaction that has the record's effects.
fn await_applied(
    client: &KafkaTopicClient,
    (topic_partition, offset): (TopicPartition, i64),
    wait: Duration,
) -> Result<bool, Failed> {
    let start = Instant::now();
    while start.elapsed() < wait {
        if client.committed(topic_partition).map_err(failed)? > Some(offset) {
            return Ok(true);
        }
        thread::sleep(STEP);
    }
    Ok(false)
}

fn print_outcome(
    arguments: &EraseArguments,
    (to, offset): (TopicPartition, i64),
    is_applied: bool,
) {
    let (customer_id, task) = (&arguments.customer_id, to.partition);
    match (arguments.json, is_applied) {
        (true, _) => outln!(
            "{:#}",
            json!({"customer_id": customer_id, "task": task, "offset": offset, "applied": is_applied})
        ),
        (false, true) => outln!("customer {customer_id} is erased from task {task}"),
        (false, false) => {
            outln!("the command to erase customer {customer_id} is sent to task {task}");
        }
    }
}

#[cfg(test)]
mod tests {
    use flockwise_codec::partitioner::Partitioner;
    use flockwise_core::plan::Plan;

    use super::*;

    #[test]
    fn the_owner_is_that_of_the_pinned_partitioner() {
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32] {
            let record = PipelineRecord::new(partitioner, 7, &Plan::compile(&[]));
            let expected = partitioner.partition(b"h0001", 7);
            assert_eq!(owner(&record, "h0001").unwrap(), TaskId(expected));
        }
    }
}
