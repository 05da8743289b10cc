//! Sixteen single-precision numbers side by side, in portable code. `kernel` has the code for processors.

/// Number of centroids in a row.
pub(crate) const LANES: usize = 16;

/// One number for each of [`LANES`] centroids, aligned so that no load spans two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Row(pub(crate) [f32; LANES]);

/// A [`Row`] in registers.
pub(crate) trait Lanes: Copy {
    /// Number of row sums that are accumulated at a time: enough to keep the processor busy, and no more than fit
    /// into its registers with their operands.
    const SUMS: usize;

    /// Rows of a group, which are searched together: at most `SUMS`, and at most four.
    const ROWS: usize;

    /// The same number in every lane.
    fn splat(number: f32) -> Self;

    /// Loads a row from memory.
    fn load(row: &Row) -> Self;

    /// Stores a row to memory.
    fn store(self, row: &mut Row);

    /// The number in the first lane.
    fn first(self) -> f32;

    /// `self + other`.
    fn plus(self, other: Self) -> Self;

    /// `self * factor + summand`, rounded once or twice.
    fn times_plus(self, factor: Self, summand: Self) -> Self;

    /// `self + (left - right)²`. The gap is rounded; the rest is rounded once or twice.
    fn plus_squared_gap(self, left: Self, right: Self) -> Self;

    /// The lesser of two numbers in each lane; either of them if one is NaN.
    fn or_less(self, other: Self) -> Self;

    /// The least of all lanes, in every lane. If a lane is NaN, the least of only some of them.
    fn least(self) -> Self;

    /// Squared Euclidean distance of two points of equal length, in double precision. It adds to four sums,
    /// because with one sum every addition would wait for the previous one. The order of additions is the same on
    /// every processor, so that the results are equal to the last bit.
    #[inline(always)]
    fn squared_distance(left: &[f64], right: &[f64]) -> f64 {
        let mut sums = [0.0; 4];
        let (left, left_rest) = left.as_chunks::<4>();
        let (right, right_rest) = right.as_chunks::<4>();
        for (left, right) in left.iter().zip(right) {
            Self::add_squares(&mut sums, left, right);
        }
        let rest = left_rest.iter().zip(right_rest);
        for ((left, right), sum) in rest.zip(&mut sums) {
            *sum += (left - right) * (left - right);
        }
        (sums[0] + sums[2]) + (sums[1] + sums[3])
    }

    /// Adds four squared gaps to four sums. Each product is rounded before it is added: no fused multiply-add.
    #[inline(always)]
    fn add_squares(sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
        for (place, sum) in sums.iter_mut().enumerate() {
            let gap = left[place] - right[place];
            *sum += gap * gap;
        }
    }

    /// A bit for each lane that is at most the same lane of `limit`; bit 0 is the first lane. NaN never is.
    fn at_most(self, limit: Self) -> u16;
}

/// Plain code, which the compiler vectorises for the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Lanes for Portable {
    const SUMS: usize = 2;
    const ROWS: usize = 1;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        Self([number; LANES])
    }

    #[inline(always)]
    fn load(row: &Row) -> Self {
        Self(row.0)
    }

    #[inline(always)]
    fn store(self, row: &mut Row) {
        row.0 = self.0;
    }

    #[inline(always)]
    fn first(self) -> f32 {
        self.0[0]
    }

    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for (number, other) in self.0.iter_mut().zip(other.0) {
            *number += other;
        }
        self
    }

    #[inline(always)]
    fn times_plus(mut self, factor: Self, summand: Self) -> Self {
        for ((number, factor), summand) in self.0.iter_mut().zip(factor.0).zip(summand.0) {
            *number = *number * factor + summand;
        }
        self
    }

    #[inline(always)]
    fn plus_squared_gap(mut self, left: Self, right: Self) -> Self {
        for ((number, left), right) in self.0.iter_mut().zip(left.0).zip(right.0) {
            let gap = left - right;
            *number += gap * gap;
        }
        self
    }

    #[inline(always)]
    fn or_less(mut self, other: Self) -> Self {
        for (number, other) in self.0.iter_mut().zip(other.0) {
            *number = lesser(*number, other);
        }
        self
    }

    #[inline(always)]
    fn least(self) -> Self {
        let mut four = [f32::INFINITY; 4];
        for numbers in self.0.as_chunks::<4>().0 {
            for (least, number) in four.iter_mut().zip(numbers) {
                *least = lesser(*number, *least);
            }
        }
        Self::splat(lesser(lesser(four[0], four[1]), lesser(four[2], four[3])))
    }

    #[inline(always)]
    fn at_most(self, limit: Self) -> u16 {
        // Each lane has its own bit, so that the compiler can compare and combine all lanes at once.
        let mut bits = [0_u32; LANES];
        for (lane, (number, limit)) in self.0.into_iter().zip(limit.0).enumerate() {
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
