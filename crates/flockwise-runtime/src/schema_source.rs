//! Where the schemas of records come from.

use std::fmt;
use std::sync::Arc;

use flockwise_codec::decode::{AvroSchema, SchemaId};

/// Finds the schemas of records.
pub trait SchemaSource: fmt::Debug + Send + Sync {
    /// The schema that the records of an input name by `id`; `None`: it is not known yet. It must be fast: the
    /// worker does nothing else meanwhile.
    fn find(&self, input: u16, id: SchemaId) -> Option<Arc<AvroSchema>>;
}

/// The source of a pipeline whose inputs have no schemas.
#[derive(Clone, Copy, Debug)]
pub struct NoSchemas;

impl SchemaSource for NoSchemas {
    fn find(&self, _: u16, _: SchemaId) -> Option<Arc<AvroSchema>> {
        None
    }
}
