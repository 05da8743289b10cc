//! The search, compiled for each instruction set. Tokens of `pulp` prove that the processor has the instructions.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use crate::simd_lanes::{Lanes, Portable};

/// An instruction set that the search is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The baseline that every processor of the target supports.
    Portable,
    /// x86-64-v3: AVX2 and fused multiply-add.
    Avx2,
    /// x86-64-v4: AVX-512.
    Avx512,
}

impl Kernel {
    /// The fastest kernel that this processor supports.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// All kernels that this processor supports, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Portable, Self::Avx2, Self::Avx512];
        kernels.retain(|kernel| kernel.instructions().is_some());
        kernels
    }

    /// The instructions of this kernel; `None` if this processor does not have them.
    pub(crate) fn instructions(self) -> Option<Instructions> {
        match self {
            Self::Portable => Some(Instructions::Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => V3::try_new().map(Instructions::Avx2),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => V4::try_new().map(Instructions::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => None,
        }
    }
}

/// A search over [`Lanes`], which [`Instructions::run`] runs. `run` and everything that it calls for every vector
/// must be `#[inline(always)]`: only inlined code is compiled for the instruction set.
pub(crate) trait Search {
    /// The result of the search.
    type Output;

    /// Searches with the registers of one instruction set.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Instructions that this processor has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
}

impl Instructions {
    /// [`Lanes::ROWS`] of the instructions.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Portable => Portable::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => V3::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => V4::ROWS,
        }
    }

    /// Runs a search with these instructions.
    #[inline]
    pub(crate) fn run<S: Search>(self, search: S) -> S::Output {
        match self {
            Self::Portable => search.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => lanes.vectorize(x86::Vectorized(lanes, search)),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => lanes.vectorize(x86::Vectorized(lanes, search)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Rows in the registers of x86-64.

    use pulp::x86::{V3, V4};
    use pulp::{NullaryFnOnce, Simd, cast, f32x8, f32x16, f64x4};

    use super::Search;
    use crate::simd_lanes::{LANES, LaneBlock, Lanes};

    /// A search and the instructions that it is compiled for.
    pub(super) struct Vectorized<L, S>(pub(super) L, pub(super) S);

    impl<L: Lanes, S: Search> NullaryFnOnce for Vectorized<L, S> {
        type Output = S::Output;

        #[inline(always)]
        fn call(self) -> S::Output {
            self.1.run(self.0)
        }
    }

    /// Permutation that swaps the halves of each four lanes.
    const HALVES: i32 = 0b01_00_11_10;
    /// Permutation that swaps neighbouring lanes.
    const NEIGHBOURS: i32 = 0b10_11_00_01;

    /// Adds four squared gaps in double precision in one register. The compiler would use two.
    #[inline(always)]
    fn add_squares(v3: V3, sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
        let gap = v3.sub_f64s(cast::<_, f64x4>(*left), cast(*right));
        *sums = cast(v3.add_f64s(cast(*sums), v3.mul_f64s(gap, gap)));
    }

    /// A row in two of the sixteen registers.
    impl Lanes for V3 {
        type Floats = [f32x8; 2];
        const SUMS: usize = 4;
        const ROWS: usize = 4;

        #[inline(always)]
        fn splat(self, number: f32) -> [f32x8; 2] {
            [self.splat_f32x8(number); 2]
        }

        #[inline(always)]
        fn load(self, row: &LaneBlock) -> [f32x8; 2] {
            cast(row.0)
        }

        #[inline(always)]
        fn store(self, floats: [f32x8; 2], row: &mut LaneBlock) {
            row.0 = cast(floats);
        }

        #[inline(always)]
        fn first(self, floats: [f32x8; 2]) -> f32 {
            floats[0].0
        }

        #[inline(always)]
        fn plus(self, left: [f32x8; 2], right: [f32x8; 2]) -> [f32x8; 2] {
            [
                self.add_f32s(left[0], right[0]),
                self.add_f32s(left[1], right[1]),
            ]
        }

        #[inline(always)]
        fn times_plus(
            self,
            floats: [f32x8; 2],
            factor: [f32x8; 2],
            summand: [f32x8; 2],
        ) -> [f32x8; 2] {
            [
                self.mul_add_f32x8(floats[0], factor[0], summand[0]),
                self.mul_add_f32x8(floats[1], factor[1], summand[1]),
            ]
        }

        #[inline(always)]
        fn plus_squared_gap(
            self,
            sum: [f32x8; 2],
            left: [f32x8; 2],
            right: [f32x8; 2],
        ) -> [f32x8; 2] {
            let gaps = [
                self.sub_f32s(left[0], right[0]),
                self.sub_f32s(left[1], right[1]),
            ];
            self.times_plus(gaps, gaps, sum)
        }

        #[inline(always)]
        fn lesser(self, left: [f32x8; 2], right: [f32x8; 2]) -> [f32x8; 2] {
            [
                self.min_f32s(left[0], right[0]),
                self.min_f32s(left[1], right[1]),
            ]
        }

        #[inline(always)]
        fn least(self, floats: [f32x8; 2]) -> [f32x8; 2] {
            let avx = self.avx;
            let eight = cast(self.min_f32s(floats[0], floats[1]));
            let four = avx._mm256_min_ps(eight, avx._mm256_permute2f128_ps::<1>(eight, eight));
            let two = avx._mm256_min_ps(four, avx._mm256_permute_ps::<HALVES>(four));
            let one = avx._mm256_min_ps(two, avx._mm256_permute_ps::<NEIGHBOURS>(two));
            [cast(one); 2]
        }

        #[inline(always)]
        fn add_squares(self, sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
            add_squares(self, sums, left, right);
        }

        #[inline(always)]
        fn at_most(self, floats: [f32x8; 2], limit: [f32x8; 2]) -> u16 {
            let mask = |half: usize| {
                let is_at_most = self.cmp_le_f32x8(floats[half], limit[half]);
                self.avx._mm256_movemask_ps(cast(is_at_most))
            };
            (mask(0) | mask(1) << (LANES / 2)) as u16
        }
    }

    /// A row in one of the thirty-two registers.
    impl Lanes for V4 {
        type Floats = f32x16;
        const SUMS: usize = 8;
        const ROWS: usize = 4;

        #[inline(always)]
        fn splat(self, number: f32) -> f32x16 {
            self.splat_f32x16(number)
        }

        #[inline(always)]
        fn load(self, row: &LaneBlock) -> f32x16 {
            cast(row.0)
        }

        #[inline(always)]
        fn store(self, floats: f32x16, row: &mut LaneBlock) {
            row.0 = cast(floats);
        }

        #[inline(always)]
        fn first(self, floats: f32x16) -> f32 {
            floats.0
        }

        #[inline(always)]
        fn plus(self, left: f32x16, right: f32x16) -> f32x16 {
            self.add_f32s(left, right)
        }

        #[inline(always)]
        fn times_plus(self, floats: f32x16, factor: f32x16, summand: f32x16) -> f32x16 {
            self.mul_add_f32x16(floats, factor, summand)
        }

        #[inline(always)]
        fn plus_squared_gap(self, sum: f32x16, left: f32x16, right: f32x16) -> f32x16 {
            let gap = self.sub_f32s(left, right);
            self.mul_add_f32x16(gap, gap, sum)
        }

        #[inline(always)]
        fn lesser(self, left: f32x16, right: f32x16) -> f32x16 {
            self.min_f32s(left, right)
        }

        #[inline(always)]
        fn least(self, floats: f32x16) -> f32x16 {
            let avx = self.avx512f;
            let all = cast(floats);
            let eight = avx._mm512_min_ps(all, avx._mm512_shuffle_f32x4::<HALVES>(all, all));
            let four =
                avx._mm512_min_ps(eight, avx._mm512_shuffle_f32x4::<NEIGHBOURS>(eight, eight));
            let two = avx._mm512_min_ps(four, avx._mm512_permute_ps::<HALVES>(four));
            cast(avx._mm512_min_ps(two, avx._mm512_permute_ps::<NEIGHBOURS>(two)))
        }

        #[inline(always)]
        fn add_squares(self, sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
            add_squares(*self, sums, left, right);
        }

        #[inline(always)]
        fn at_most(self, floats: f32x16, limit: f32x16) -> u16 {
            self.cmp_le_f32x16(floats, limit).0
        }
    }
}
