//! How internal partitions share the room of one batch.
//!
//! Each partition with fetched records gets an equal share. If the room does not suffice for all, the next
//! batch begins with the first partition that got none (round robin).

/// Which partition comes first in the next batch.
#[derive(Debug, Default)]
pub(crate) struct FairShare {
    first: usize,
}

impl FairShare {
    /// Reads at most `room` records from the ready readers, at least one from each while there is room.
    /// `read` takes at most the given number from a reader and returns how many it took, never more.
    pub(crate) fn read<L>(
        &mut self,
        readers: &mut [L],
        room: usize,
        is_ready: impl Fn(&L) -> bool,
        mut read: impl FnMut(&mut L, usize) -> usize,
    ) {
        let ready = readers.iter().filter(|reader| is_ready(reader)).count();
        if ready == 0 {
            return;
        }
        let share = (room / ready).max(1);
        let (count, first) = (readers.len(), self.first % readers.len());
        let mut left = room;
        for place in (first..count).chain(0..first) {
            if !is_ready(&readers[place]) {
                continue;
            }
            if left == 0 {
                self.first = place;
                return;
            }
            left = left.saturating_sub(read(&mut readers[place], share.min(left)));
        }
    }
}

/// How many records of a batch internal partitions may fill: half of them if inputs have records too, so
/// that forwarded events never keep the inputs themselves from being read.
pub(crate) fn internal_room(limit: usize, inputs_are_ready: bool) -> usize {
    if inputs_are_ready {
        (limit / 2).max(1)
    } else {
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one batch from readers with these numbers of records. Returns how many each gave.
    fn batch(share: &mut FairShare, readers: &mut [usize], room: usize) -> Vec<usize> {
        let mut given: Vec<(usize, usize)> = readers.iter().map(|left| (*left, 0)).collect();
        share.read(
            &mut given,
            room,
            |(left, _)| *left > 0,
            |(left, taken), most| {
                *taken = most.min(*left);
                *left -= *taken;
                *taken
            },
        );
        for (reader, (left, _)) in readers.iter_mut().zip(&given) {
            *reader = *left;
        }
        given.into_iter().map(|(_, taken)| taken).collect()
    }

    #[test]
    fn however_many_lanes_are_ready_the_room_is_kept() {
        for count in 1..100 {
            for limit in [2, 3, 10, 1000] {
                let room = internal_room(limit, true);
                let mut readers = vec![5_000; count];
                let given = batch(&mut FairShare::default(), &mut readers, room);
                let total: usize = given.iter().sum();
                assert!(total <= room, "{count} readers gave {total} of {room}");
                assert!(total < limit, "no room is left for inputs");
                assert!(total >= room / 2, "{count} readers gave {total} of {room}");
            }
        }
    }

    #[test]
    fn each_lane_gets_the_same() {
        let mut readers = vec![5_000; 20];
        let given = batch(&mut FairShare::default(), &mut readers, 500);
        assert_eq!(given, vec![25; 20]);
    }

    #[test]
    fn with_less_room_than_lanes_they_take_turns() {
        let mut share = FairShare::default();
        let mut readers = vec![3; 5];
        assert_eq!(batch(&mut share, &mut readers, 2), [1, 1, 0, 0, 0]);
        assert_eq!(batch(&mut share, &mut readers, 2), [0, 0, 1, 1, 0]);
        assert_eq!(batch(&mut share, &mut readers, 2), [1, 0, 0, 0, 1]);
    }

    #[test]
    fn lanes_that_go_away_disturb_no_turn() {
        let mut share = FairShare { first: 7 };
        assert_eq!(batch(&mut share, &mut [1, 0, 4], 10), [1, 0, 4]);
        assert_eq!(batch(&mut share, &mut [], 10), [0; 0]);
    }

    #[test]
    fn without_inputs_all_of_a_batch_may_be_used() {
        assert_eq!(internal_room(1000, false), 1000);
        assert_eq!(internal_room(1, true), 1);
    }
}
