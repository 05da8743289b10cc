//! Loads a checkpoint.

use flockwise_runtime::store::ExpectedCheckpoint;
use flockwise_runtime::task_id::TaskId;

use crate::folders::Folders;
use crate::load_error::LoadError;
use crate::log_reader::LogReader;

/// The checkpoint that is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) app: &'a str,
    pub(crate) task: TaskId,
    pub(crate) wanted: &'a ExpectedCheckpoint,
}

/// A checkpoint whose records were passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// The changelog offset from which to replay.
    pub(crate) offset: i64,
    /// Length of the file in bytes.
    pub(crate) bytes: u64,
}

/// Calls `each` with every record of a task's checkpoint, after checking the whole file.
pub(crate) fn load(
    folders: &Folders,
    expected: Expected<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<Loaded, LoadError> {
    let path = folders.file(expected.task);
    let mut reader = match LogReader::open(&path) {
        Err(LoadError::Absent) if folders.has_old_format(expected.task) => {
            return Err(LoadError::OldFormat);
        }
        opened => opened?,
    };
    let scan = reader.scan()?;
    let offset = scan
        .manifest
        .check(expected.app, expected.task, expected.wanted)?;
    reader.replay(&scan, each)?;
    Ok(Loaded {
        offset,
        bytes: scan.end,
    })
}
