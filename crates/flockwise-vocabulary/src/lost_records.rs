//! What to do with a partition that lost records.

/// What to do with a partition that lost records: retention deleted the next one before it was read, or the partition was
/// truncated or recreated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostRecords {
    /// Halt it, and log an error every minute. The other partitions are still read.
    #[default]
    Stop,
    /// Go on with the first record that was never read, and log a warning: the oldest one if retention deleted records,
    /// the first one behind the truncation otherwise.
    Skip,
}
