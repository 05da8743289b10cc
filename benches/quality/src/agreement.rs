//! Agreement of two labellings of the same points.

use std::collections::HashMap;
use std::hash::Hash;

/// Adjusted Rand index of two labellings (Hubert and Arabie 1985): 1 if they agree, 0 on average for random labels.
pub(crate) fn adjusted_rand<A, B>(left: &[A], right: &[B]) -> f64
where
    A: Copy + Eq + Hash,
    B: Copy + Eq + Hash,
{
    let cells: Vec<(A, B)> = left.iter().copied().zip(right.iter().copied()).collect();
    let both = pairs_within(&cells);
    let (rows, columns) = (pairs_within(left), pairs_within(right));
    let expected = rows * columns / pairs(left.len());
    let most = 0.5 * (rows + columns);
    if most == expected {
        return 1.0;
    }
    (both - expected) / (most - expected)
}

/// Number of pairs of points with the same label.
fn pairs_within<L: Copy + Eq + Hash>(labels: &[L]) -> f64 {
    let mut counts: HashMap<L, usize> = HashMap::new();
    for label in labels {
        *counts.entry(*label).or_default() += 1;
    }
    // Sorted, so that the sum does not depend on the order of the hash map.
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    counts.into_iter().map(pairs).sum()
}

fn pairs(count: usize) -> f64 {
    let count = count as f64;
    count * (count - 1.0) / 2.0
}

/// The most frequent segment of each group.
pub(crate) fn majorities(segments: &[u32], groups: &[usize]) -> HashMap<usize, u32> {
    let mut counts: HashMap<usize, HashMap<u32, usize>> = HashMap::new();
    for (segment, group) in segments.iter().zip(groups) {
        *counts
            .entry(*group)
            .or_default()
            .entry(*segment)
            .or_default() += 1;
    }
    let most = |counts: HashMap<u32, usize>| {
        let most = counts
            .into_iter()
            .max_by_key(|(segment, count)| (*count, *segment));
        most.map_or(0, |(segment, _)| segment)
    };
    counts
        .into_iter()
        .map(|(group, counts)| (group, most(counts)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_groups_by_other_names_agree() {
        assert_eq!(adjusted_rand(&[1, 1, 2, 2, 3], &[7, 7, 9, 9, 8]), 1.0);
    }

    #[test]
    fn all_in_one_is_as_by_chance() {
        assert_eq!(adjusted_rand(&[0, 0, 0, 0], &[0, 0, 1, 1]), 0.0);
    }

    /// Pairs with the same label: 2 in both labellings, 6 in the left, 3 in the right, of 15; 1.2 are expected by
    /// chance.
    #[test]
    fn a_table_worked_out_by_hand() {
        let index = adjusted_rand(&[0, 0, 0, 1, 1, 1], &[0, 0, 1, 1, 2, 2]);
        let hand_made = (2.0 - 6.0 * 3.0 / 15.0) / (4.5 - 6.0 * 3.0 / 15.0);
        assert!((index - hand_made).abs() < 1e-12, "{index}");
    }

    #[test]
    fn a_group_is_where_most_of_it_is() {
        let found = majorities(&[5, 5, 6, 6, 6], &[0, 0, 0, 1, 1]);
        assert_eq!(found, HashMap::from([(0, 5), (1, 6)]));
    }
}
