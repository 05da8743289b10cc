//! How many event ids a customer had lately, so that all of them are remembered.

/// Counts of the event ids of the present span of event time and of the one before it. Spans are aligned to the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentIds {
    /// Number of the present span, truncated.
    pub span: u32,
    /// Ids of the present span.
    pub now: u16,
    /// Ids of the span before it.
    pub before: u16,
}

/// How many event ids of a customer are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMemory {
    /// Minimum number of ids that are remembered: the latest ones.
    pub least: usize,
    /// All ids of at least this last span of event time are remembered, milliseconds; 0: only by number.
    pub span_ms: i64,
}

impl IdMemory {
    /// The latest ids, by number only.
    #[must_use]
    pub const fn latest(least: usize) -> Self {
        Self { least, span_ms: 0 }
    }
}

impl RecentIds {
    /// Counts an id at a time, which must not go back; milliseconds since the epoch. Returns how many ids are to be
    /// remembered, this one included.
    pub(crate) fn count(&mut self, memory: IdMemory, time_ms: i64) -> usize {
        if memory.span_ms == 0 {
            return memory.least;
        }
        let span = time_ms.div_euclid(memory.span_ms) as u32;
        if span != self.span {
            let is_next = span == self.span.wrapping_add(1);
            self.before = if is_next { self.now } else { 0 };
            self.now = 0;
            self.span = span;
        }
        self.now = self.now.saturating_add(1);
        let recent = usize::from(self.now) + usize::from(self.before);
        memory.least.max(recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_two_spans_count() {
        let memory = IdMemory {
            least: 3,
            span_ms: 10,
        };
        let mut recent = RecentIds::default();
        let mut count = |time_ms| recent.count(memory, time_ms);
        let counts: Vec<usize> = (0..5).map(|_| count(7)).collect();
        assert_eq!(counts, [3, 3, 3, 4, 5]);
        assert_eq!([count(10), count(19), count(20), count(21)], [6, 7, 3, 4]);
        assert_eq!(count(50), 3);
        assert_eq!(count(-1), 3);
    }
}
