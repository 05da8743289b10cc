//! Parses `--to`.

use std::collections::BTreeMap;
use std::fmt;

use flockwise_codec::time::{parse_time, write_time};
use flockwise_kafka::admin::Bounds;

use crate::exit::Failed;

/// Each input partition and the offset to read it from.
pub(crate) type Positions = Vec<(String, u32, i64)>;

/// Where to read the inputs from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResetTarget {
    /// The oldest record of each partition.
    Earliest,
    /// The first record of each partition whose timestamp is not before this, milliseconds since the epoch.
    Time(i64),
    /// An offset for each partition.
    Positions(BTreeMap<(String, u32), i64>),
}

impl ResetTarget {
    /// Parses `earliest`, a time, or `TOPIC/PARTITION=OFFSET,...`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failed> {
        if text == "earliest" {
            return Ok(Self::Earliest);
        }
        if let Some(time_ms) = parse_time(text) {
            return Ok(Self::Time(time_ms));
        }
        let mut positions = BTreeMap::new();
        for part in text.split(',') {
            let (partition, offset) = position(part.trim()).ok_or_else(|| unreadable(text))?;
            if positions.insert(partition.clone(), offset).is_some() {
                let (topic, partition) = partition;
                return Err(Failed::invalid(format!(
                    "--to names {topic}/{partition} twice"
                )));
            }
        }
        Ok(Self::Positions(positions))
    }

    /// The time to look up offsets for; `None` for the other targets.
    pub(crate) fn time_ms(&self) -> Option<i64> {
        match self {
            Self::Time(time_ms) => Some(*time_ms),
            _ => None,
        }
    }

    /// The offset to read each partition from. `bounds` are those of `partitions`, in the same order.
    pub(crate) fn positions(
        &self,
        partitions: &[(String, u32)],
        bounds: &[Bounds],
    ) -> Result<Positions, Failed> {
        if let Self::Positions(given) = self
            && let Some((topic, number)) = given.keys().find(|key| !partitions.contains(key))
        {
            return Err(Failed::invalid(format!(
                "--to names {topic}/{number}, which is not a partition of an input"
            )));
        }
        let place = |(partition, bounds): (&(String, u32), &Bounds)| {
            let offset = self.offset(partition, bounds)?;
            Ok((partition.0.clone(), partition.1, offset))
        };
        partitions.iter().zip(bounds).map(place).collect()
    }

    fn offset(&self, partition: &(String, u32), bounds: &Bounds) -> Result<i64, Failed> {
        let Self::Positions(given) = self else {
            return Ok(bounds.at_time.unwrap_or(bounds.start));
        };
        let (topic, number) = partition;
        let offset = *given.get(partition).ok_or_else(|| {
            Failed::invalid(format!(
                "--to has no offset for {topic}/{number}: name every partition of every input"
            ))
        })?;
        let Bounds { start, end, .. } = bounds;
        if (*start..=*end).contains(&offset) {
            return Ok(offset);
        }
        Err(Failed::invalid(format!(
            "--to has offset {offset} for {topic}/{number}, expected an offset from {start} to {end}"
        )))
    }
}

impl fmt::Display for ResetTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => out.write_str("the earliest records"),
            Self::Time(time_ms) => write!(out, "{}", write_time(*time_ms)),
            Self::Positions(_) => out.write_str("the given offsets"),
        }
    }
}

fn position(text: &str) -> Option<((String, u32), i64)> {
    let (partition, offset) = text.split_once('=')?;
    let (topic, partition) = partition.rsplit_once('/')?;
    let offset: u64 = offset.parse().ok()?;
    let key = (topic.to_owned(), partition.parse().ok()?);
    Some((key, i64::try_from(offset).ok()?))
}

fn unreadable(text: &str) -> Failed {
    Failed::invalid(format!(
        "--to: found {text:?}, expected \"earliest\", a time with its zone such as 2026-01-31T00:00:00Z, or an offset \
         for each partition such as orders/0=1200,orders/1=1187"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(at_time: Option<i64>) -> Bounds {
        Bounds {
            start: 10,
            end: 20,
            at_time,
        }
    }

    fn offset(text: &str, bounds: Bounds) -> Result<i64, String> {
        let target = ResetTarget::parse(text).map_err(|failed| failed.to_string())?;
        let positions = target.positions(&[("orders".to_owned(), 0)], &[bounds]);
        let positions = positions.map_err(|failed| failed.to_string())?;
        Ok(positions[0].2)
    }

    #[test]
    fn each_partition_gets_an_offset_that_it_has() {
        assert_eq!(offset("earliest", bounds(None)), Ok(10));
        assert_eq!(offset("2026-01-31T00:00:00Z", bounds(Some(15))), Ok(15));
        assert_eq!(offset("orders/0=20", bounds(None)), Ok(20));
    }

    #[test]
    fn what_cannot_be_read_from_is_refused() {
        for (text, words) in [
            ("yesterday", "expected \"earliest\""),
            ("orders/0", "expected \"earliest\""),
            ("orders/0=-1", "expected \"earliest\""),
            ("orders/0=9", "expected an offset from 10 to 20"),
            ("orders/0=21", "expected an offset from 10 to 20"),
            (
                "orders/0=15,orders/1=3",
                "names orders/1, which is not a partition",
            ),
            ("orders/0=15,orders/0=16", "twice"),
            ("clicks/0=15", "names clicks/0"),
        ] {
            let refused = offset(text, bounds(None)).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        let target = ResetTarget::parse("orders/0=15").unwrap();
        let partitions = [("orders".to_owned(), 0), ("orders".to_owned(), 1)];
        let refused = target.positions(&partitions, &[bounds(None); 2]);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("orders/1"), "{refused}");
    }
}
