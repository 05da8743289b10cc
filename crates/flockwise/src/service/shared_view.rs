//! The view of this process: one thread feeds it, and the HTTP server reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flockwise_core::plan::Plan;
use flockwise_http::Documents;
use flockwise_runtime::batch::Batch;
use flockwise_runtime::broker::{Failure, Follower};
use flockwise_runtime::topics::TopicPartition;
use flockwise_view::View;
use serde::Serialize;

/// How long a poll waits for records. A stop takes this long.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Records applied under one lock.
const MAX_POLL_RECORDS: usize = 100;

/// A view that several threads share. Clones are the same view.
#[derive(Clone)]
pub(crate) struct SharedView {
    plan: Arc<Plan>,
    tasks: u32,
    view: Arc<Mutex<Result<View, String>>>,
}

impl SharedView {
    /// The view of a pipeline with these features and this number of tasks.
    pub(crate) fn new(plan: &Arc<Plan>, tasks: u32) -> Self {
        let view = View::new(Arc::clone(plan), tasks);
        Self {
            plan: Arc::clone(plan),
            tasks,
            view: Arc::new(Mutex::new(Ok(view))),
        }
    }

    /// Follows the topics from their start until told to stop. After an error there is no view until the next call.
    ///
    /// # Errors
    /// If a topic cannot be read, or a record cannot be decoded.
    pub(crate) fn follow(
        &self,
        follower: &mut impl Follower,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        *self.lock() = Ok(View::new(Arc::clone(&self.plan), self.tasks));
        let followed = self.apply_all(follower, stop);
        if let Err(failure) = &followed {
            *self.lock() = Err(failure.to_string());
        }
        followed
    }

    fn apply_all(&self, follower: &mut impl Follower, stop: &AtomicBool) -> Result<(), Failure> {
        follower.follow(&View::TOPICS.map(|topic| {
            (
                TopicPartition {
                    topic,
                    partition: 0,
                },
                None,
            )
        }))?;
        let mut batch = Batch::default();
        while !stop.load(Ordering::Relaxed) {
            follower.poll(POLL_TIMEOUT, MAX_POLL_RECORDS, &mut batch)?;
            self.update(|view| {
                let mut records = batch.records();
                records.try_for_each(|record| {
                    view.apply(record.topic_partition.topic, record.key, record.value)
                })
            })
            .map_err(|error| Failure::Config(error.to_string()))?;
        }
        Ok(())
    }

    /// Changes the view, if there is one.
    pub(crate) fn update<E>(
        &self,
        change: impl FnOnce(&mut View) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock().as_mut().map_or(Ok(()), change)
    }

    fn read(
        &self,
        document: impl FnOnce(&View) -> Result<String, String>,
    ) -> Result<String, String> {
        self.lock()
            .as_ref()
            .map_err(Clone::clone)
            .and_then(document)
    }

    fn lock(&self) -> MutexGuard<'_, Result<View, String>> {
        // A panic leaves at most a record out, which the next one of its key replaces.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Documents for SharedView {
    fn segments(&self) -> Result<String, String> {
        self.read(|view| {
            let segments = view.segments();
            let none = "no version of the model is in use yet: `flockwise model list` says what the first one waits for";
            json(&segments.ok_or_else(|| none.to_owned())?)
        })
    }

    fn model_versions(&self) -> Result<String, String> {
        self.read(|view| json(&view.model_versions()))
    }
}

fn json(document: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(document).map_err(|error| error.to_string())
}
