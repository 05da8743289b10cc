//! What a rollback returns to.

use super::learning_period::Period;
use super::position::TaskPosition;
use crate::sweep_schedule::Position;

/// The state of the task at the last commit.
#[derive(Clone, Debug)]
pub(super) struct CommittedState {
    pub(super) position: TaskPosition,
    pub(super) swept: Position,
    pub(super) sampled: Position,
    pub(super) watermark_ms: i64,
    pub(super) period: Option<Period>,
}

impl CommittedState {
    pub(super) fn new(position: &TaskPosition) -> Self {
        Self {
            position: position.clone(),
            swept: Position::default(),
            sampled: Position::default(),
            watermark_ms: i64::MAX,
            period: None,
        }
    }
}
