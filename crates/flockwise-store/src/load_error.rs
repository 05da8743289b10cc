//! Why a checkpoint is not used.

use std::io;

/// Why a load returns nothing. The variant decides what happens to the files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The task has no checkpoint yet.
    Absent,
    /// The task has a checkpoint of an earlier version, an LMDB file. It is removed.
    OldFormat,
    /// The checkpoint has no offset yet: it was never completed, but it is not damaged. It is removed.
    Unfinished,
    /// The checkpoint must not be used, for this reason. It is set aside.
    Unusable(String),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::UnexpectedEof => Self::Unusable("the file ends too early".to_owned()),
            _ => Self::Unusable(format!("it cannot be read: {error}")),
        }
    }
}
