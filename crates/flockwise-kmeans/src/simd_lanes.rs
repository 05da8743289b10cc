//! Sixteen single-precision numbers side by side, in portable code. `instruction_sets` has the code for processors.

/// Number of centroids in a row.
pub(crate) const LANES: usize = 16;

/// One number for each of [`LANES`] centroids, aligned so that no load spans two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct LaneBlock(pub(crate) [f32; LANES]);

/// The instructions of a processor on [`LaneBlock`]s in registers.
pub(crate) trait Lanes: Copy {
    /// A [`LaneBlock`] in registers.
    type Floats: Copy;

    /// Number of row sums that are accumulated at a time: enough to keep the processor busy, and no more than fit
    /// into its registers with their operands.
    const SUMS: usize;

    /// Rows of a group, which are searched together: at most `SUMS`, and at most four.
    const ROWS: usize;

    /// The same number in every lane.
    fn splat(self, number: f32) -> Self::Floats;

    /// Loads a row from memory.
    fn load(self, row: &LaneBlock) -> Self::Floats;

    /// Stores a row to memory.
    fn store(self, floats: Self::Floats, row: &mut LaneBlock);

    /// The number in the first lane.
    fn first(self, floats: Self::Floats) -> f32;

    /// `left + right`.
    fn plus(self, left: Self::Floats, right: Self::Floats) -> Self::Floats;

    /// `floats * factor + summand`, rounded once or twice.
    fn times_plus(
        self,
        floats: Self::Floats,
        factor: Self::Floats,
        summand: Self::Floats,
    ) -> Self::Floats;

    /// `sum + (left - right)²`. The gap is rounded; the rest is rounded once or twice.
    fn plus_squared_gap(
        self,
        sum: Self::Floats,
        left: Self::Floats,
        right: Self::Floats,
    ) -> Self::Floats;

    /// The lesser of two numbers in each lane; either of them if one is NaN.
    fn lesser(self, left: Self::Floats, right: Self::Floats) -> Self::Floats;

    /// The least of all lanes, in every lane. If a lane is NaN, the least of only some of them.
    fn least(self, floats: Self::Floats) -> Self::Floats;

    /// Squared Euclidean distance of two points of equal length, in double precision. It adds to four sums,
    /// because with one sum every addition would wait for the previous one. The order of additions is the same on
    /// every processor, so that the results are equal to the last bit.
    #[inline(always)]
    fn squared_distance(self, left: &[f64], right: &[f64]) -> f64 {
        let mut sums = [0.0; 4];
        let (left, left_rest) = left.as_chunks::<4>();
        let (right, right_rest) = right.as_chunks::<4>();
        for (left, right) in left.iter().zip(right) {
            self.add_squares(&mut sums, left, right);
        }
        let rest = left_rest.iter().zip(right_rest);
        for ((left, right), sum) in rest.zip(&mut sums) {
            *sum += (left - right) * (left - right);
        }
        (sums[0] + sums[2]) + (sums[1] + sums[3])
    }

    /// Adds four squared gaps to four sums. Each product is rounded before it is added: no fused multiply-add.
    #[inline(always)]
    fn add_squares(self, sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
        for (place, sum) in sums.iter_mut().enumerate() {
            let gap = left[place] - right[place];
            *sum += gap * gap;
        }
    }

    /// A bit for each lane that is at most the same lane of `limit`; bit 0 is the first lane. NaN never is.
    fn at_most(self, floats: Self::Floats, limit: Self::Floats) -> u16;
}

/// Plain code, which the compiler vectorises for the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Lanes for Portable {
    type Floats = [f32; LANES];
    const SUMS: usize = 2;
    const ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, number: f32) -> [f32; LANES] {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, row: &LaneBlock) -> [f32; LANES] {
        row.0
    }

    #[inline(always)]
    fn store(self, floats: [f32; LANES], row: &mut LaneBlock) {
        row.0 = floats;
    }

    #[inline(always)]
    fn first(self, floats: [f32; LANES]) -> f32 {
        floats[0]
    }

    #[inline(always)]
    fn plus(self, mut left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        for (number, other) in left.iter_mut().zip(right) {
            *number += other;
        }
        left
    }

    #[inline(always)]
    fn times_plus(
        self,
        mut floats: [f32; LANES],
        factor: [f32; LANES],
        summand: [f32; LANES],
    ) -> [f32; LANES] {
        for ((number, factor), summand) in floats.iter_mut().zip(factor).zip(summand) {
            *number = *number * factor + summand;
        }
        floats
    }

    #[inline(always)]
    fn plus_squared_gap(
        self,
        mut sum: [f32; LANES],
        left: [f32; LANES],
        right: [f32; LANES],
    ) -> [f32; LANES] {
        for ((number, left), right) in sum.iter_mut().zip(left).zip(right) {
            let gap = left - right;
            *number += gap * gap;
        }
        sum
    }

    #[inline(always)]
    fn lesser(self, mut left: [f32; LANES], right: [f32; LANES]) -> [f32; LANES] {
        for (number, other) in left.iter_mut().zip(right) {
            *number = lesser(*number, other);
        }
        left
    }

    #[inline(always)]
    fn least(self, floats: [f32; LANES]) -> [f32; LANES] {
        let mut four = [f32::INFINITY; 4];
        for numbers in floats.as_chunks::<4>().0 {
            for (least, number) in four.iter_mut().zip(numbers) {
                *least = lesser(*number, *least);
            }
        }
        [lesser(lesser(four[0], four[1]), lesser(four[2], four[3])); LANES]
    }

    #[inline(always)]
    fn at_most(self, floats: [f32; LANES], limit: [f32; LANES]) -> u16 {
        // Each lane has its own bit, so that the compiler can compare and combine all lanes at once.
        let mut bits = [0_u32; LANES];
        for (lane, (number, limit)) in floats.into_iter().zip(limit).enumerate() {
            bits[lane] = if number <= limit { 1 << lane } else { 0 };
        }
        bits.into_iter().fold(0, |all, bit| all | bit) as u16
    }
}

/// Like the x86 instruction. `f32::min` also handles NaN, which costs time.
#[inline(always)]
fn lesser(left: f32, right: f32) -> f32 {
    if left < right { left } else { right }
}
