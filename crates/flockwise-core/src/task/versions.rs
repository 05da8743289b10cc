//! The versions of the model that a task scores with.

use std::sync::Arc;

use crate::model::Model;

/// The model in use and its predecessor, which shows what the new version alone has moved.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The version that scores.
    pub current: Arc<Model>,
    /// Its predecessor, if it is known.
    pub previous: Option<Arc<Model>>,
}
