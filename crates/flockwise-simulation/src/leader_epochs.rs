//! Leader epochs of a partition.

/// The leader epochs of a partition and their first offsets, oldest first. Before the first, the epoch is 0.
#[derive(Debug, Default)]
pub(crate) struct LeaderEpochs {
    latest: i32,
    starts: Vec<(i32, i64)>,
}

impl LeaderEpochs {
    /// The epoch of the record before an offset.
    pub(crate) fn before(&self, offset: i64) -> i32 {
        let mut begun = self.starts.iter().rev();
        begun
            .find(|(_, start)| *start < offset)
            .map_or(0, |(epoch, _)| *epoch)
    }

    /// The offset where an epoch ends. The latest epoch ends at the partition's end.
    pub(crate) fn end(&self, epoch: i32, end: i64) -> i64 {
        let mut later = self.starts.iter().filter(|(later, _)| *later > epoch);
        later.next().map_or(end, |(_, start)| *start)
    }

    pub(crate) fn truncate(&mut self, to: i64) {
        self.latest += 1;
        self.starts.retain(|(_, start)| *start < to);
        self.starts.push((self.latest, to));
    }
}
