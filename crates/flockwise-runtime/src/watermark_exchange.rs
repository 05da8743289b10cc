//! The exchange of watermarks: a worker sends those of its tasks and receives those of the others; see
//! [`crate::watermarks`].

mod send_and_advance;

use flockwise_codec::watermarks::Learnt;
use flockwise_vocabulary::task_id::TaskId;

use crate::clock::Moment;
use crate::watermarks::WatermarkSender;

/// What a worker has sent of its watermarks, and what it has received from others.
#[derive(Debug)]
pub(crate) struct WatermarkExchange {
    sender: WatermarkSender,
    /// The task of another worker that is furthest behind, and its watermark.
    furthest_behind: Option<(TaskId, i64)>,
    /// How far the trainer has learnt, if tasks wait for it.
    learnt: Option<Learnt>,
}

impl WatermarkExchange {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            sender: WatermarkSender::new(now),
            furthest_behind: None,
            learnt: None,
        }
    }

    /// The task of another worker that this one waits for, and its watermark.
    pub(crate) fn furthest_behind(&self) -> Option<(TaskId, i64)> {
        self.furthest_behind
    }

    /// Sends all watermarks again, and requests those of the others.
    pub(crate) fn start_over(&mut self) {
        self.sender.forget();
    }
}
