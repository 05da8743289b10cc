//! The documents of the read side.

/// JSON documents about the whole pipeline. Each method returns the document, or why there is none yet, which becomes a
/// 503. They must not block: they are called on the server's thread.
pub trait Documents: Send + Sync {
    /// The segments of the version in use, and how many customers each has.
    ///
    /// # Errors
    /// If there is no version yet, or the topics cannot be read.
    fn segments(&self) -> Result<String, String>;

    /// The versions of the model.
    ///
    /// # Errors
    /// If the topics cannot be read.
    fn model_versions(&self) -> Result<String, String>;
}
