//! Why a copy on disk is not used.

use std::io;

/// Why a load gives nothing; what follows differs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// There is none yet.
    Absent,
    /// One was begun, and its offset never came: nothing is wrong with it.
    Unfinished,
    /// What was found instead of a copy that may be used.
    Unusable(String),
}

/// Shorthand for what was found on a page.
pub(crate) fn damaged(page: u64, what: &str) -> LoadError {
    LoadError::Unusable(format!("page {page} of the file is damaged: {what}"))
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
