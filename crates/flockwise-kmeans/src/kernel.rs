//! The search, compiled for each instruction set. All `unsafe` code of this crate is in this module.

use crate::lanes::{Lanes, Portable};

/// An instruction set that the search is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The baseline that every processor of the target supports.
    Portable,
    /// x86-64 with AVX2 and fused multiply-add.
    Avx2,
    /// x86-64 with AVX-512.
    Avx512,
}

/// A search over [`Lanes`], which [`Kernel::run`] runs. `run` and everything that it calls for every vector must
/// be `#[inline(always)]`: only inlined code is compiled for the instruction set.
pub(crate) trait Search {
    /// The result of the search.
    type Output;

    /// Searches with the registers of one instruction set.
    fn run<L: Lanes>(self) -> Self::Output;
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
        #[allow(unused_mut)]
        let mut kernels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                kernels.push(Self::Avx512);
            }
        }
        kernels
    }

    /// [`Lanes::ROWS`] of the type that [`Kernel::run`] uses.
    pub(crate) fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::ROWS,
            _ => Portable::ROWS,
        }
    }

    /// Runs a search with this instruction set.
    #[inline]
    pub(crate) fn run<S: Search>(self, search: S) -> S::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `Nearest` calls this, and it accepts only kernels that `available` returns.
            Self::Avx2 => unsafe { x86::run_avx2(search) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { x86::run_avx512(search) },
            _ => search.run::<Portable>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Rows in the registers of x86-64.
    //!
    //! Every `unsafe` block here requires that the processor has the instructions. It does: these types are used
    //! only in `run_avx2` and `run_avx512` (and in `Kernel::rows`, for a constant), which may be called only if
    //! the processor has them. Loads and stores cover the sixteen numbers of a row.

    use std::arch::x86_64 as arch;

    use super::Search;
    use crate::lanes::{Lanes, Row};

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn run_avx2<S: Search>(search: S) -> S::Output {
        search.run::<Avx2>()
    }

    #[target_feature(enable = "avx512f,fma")]
    pub(super) fn run_avx512<S: Search>(search: S) -> S::Output {
        search.run::<Avx512>()
    }

    /// Permutation that swaps the halves of each four lanes.
    const HALVES: i32 = 0b01_00_11_10;
    /// Permutation that swaps neighbouring lanes.
    const NEIGHBOURS: i32 = 0b10_11_00_01;

    /// Adds four squared gaps in double precision in one register. The compiler would use two.
    #[inline(always)]
    fn add_squares(sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
        // SAFETY: see the module; loads and stores cover the four numbers.
        unsafe {
            let left = arch::_mm256_loadu_pd(left.as_ptr());
            let gap = arch::_mm256_sub_pd(left, arch::_mm256_loadu_pd(right.as_ptr()));
            let squares = arch::_mm256_mul_pd(gap, gap);
            let all = arch::_mm256_add_pd(arch::_mm256_loadu_pd(sums.as_ptr()), squares);
            arch::_mm256_storeu_pd(sums.as_mut_ptr(), all);
        }
    }

    /// A row in two of the sixteen registers.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(arch::__m256, arch::__m256);

    impl Lanes for Avx2 {
        const SUMS: usize = 4;
        const ROWS: usize = 4;

        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: see the module.
            let half = unsafe { arch::_mm256_set1_ps(number) };
            Self(half, half)
        }

        #[inline(always)]
        fn load(row: &Row) -> Self {
            let from = row.0.as_ptr();
            // SAFETY: see the module; two times eight numbers.
            unsafe {
                Self(
                    arch::_mm256_load_ps(from),
                    arch::_mm256_load_ps(from.add(8)),
                )
            }
        }

        #[inline(always)]
        fn store(self, row: &mut Row) {
            let to = row.0.as_mut_ptr();
            // SAFETY: see the module; two times eight numbers.
            unsafe {
                arch::_mm256_store_ps(to, self.0);
                arch::_mm256_store_ps(to.add(8), self.1);
            }
        }

        #[inline(always)]
        fn first(self) -> f32 {
            // SAFETY: see the module.
            unsafe { arch::_mm256_cvtss_f32(self.0) }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: see the module.
            unsafe {
                Self(
                    arch::_mm256_add_ps(self.0, other.0),
                    arch::_mm256_add_ps(self.1, other.1),
                )
            }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, summand: Self) -> Self {
            // SAFETY: see the module.
            unsafe {
                Self(
                    arch::_mm256_fmadd_ps(self.0, factor.0, summand.0),
                    arch::_mm256_fmadd_ps(self.1, factor.1, summand.1),
                )
            }
        }

        #[inline(always)]
        fn plus_squared_gap(self, left: Self, right: Self) -> Self {
            // SAFETY: see the module.
            unsafe {
                let lower = arch::_mm256_sub_ps(left.0, right.0);
                let upper = arch::_mm256_sub_ps(left.1, right.1);
                Self(
                    arch::_mm256_fmadd_ps(lower, lower, self.0),
                    arch::_mm256_fmadd_ps(upper, upper, self.1),
                )
            }
        }

        #[inline(always)]
        fn or_less(self, other: Self) -> Self {
            // SAFETY: see the module.
            unsafe {
                Self(
                    arch::_mm256_min_ps(self.0, other.0),
                    arch::_mm256_min_ps(self.1, other.1),
                )
            }
        }

        #[inline(always)]
        fn least(self) -> Self {
            // SAFETY: see the module.
            unsafe {
                let eight = arch::_mm256_min_ps(self.0, self.1);
                let swapped = arch::_mm256_permute2f128_ps::<1>(eight, eight);
                let four = arch::_mm256_min_ps(eight, swapped);
                let two = arch::_mm256_min_ps(four, arch::_mm256_permute_ps::<HALVES>(four));
                let one = arch::_mm256_min_ps(two, arch::_mm256_permute_ps::<NEIGHBOURS>(two));
                Self(one, one)
            }
        }

        #[inline(always)]
        fn add_squares(sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
            add_squares(sums, left, right);
        }

        #[inline(always)]
        fn at_most(self, limit: Self) -> u16 {
            // SAFETY: see the module.
            unsafe {
                let lower = arch::_mm256_cmp_ps::<{ arch::_CMP_LE_OQ }>(self.0, limit.0);
                let upper = arch::_mm256_cmp_ps::<{ arch::_CMP_LE_OQ }>(self.1, limit.1);
                let upper = arch::_mm256_movemask_ps(upper) << 8;
                (arch::_mm256_movemask_ps(lower) | upper) as u16
            }
        }
    }

    /// A row in one of the thirty-two registers.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(arch::__m512);

    impl Lanes for Avx512 {
        const SUMS: usize = 8;
        const ROWS: usize = 4;

        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: see the module.
            unsafe { Self(arch::_mm512_set1_ps(number)) }
        }

        #[inline(always)]
        fn load(row: &Row) -> Self {
            // SAFETY: see the module.
            unsafe { Self(arch::_mm512_load_ps(row.0.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, row: &mut Row) {
            // SAFETY: see the module.
            unsafe { arch::_mm512_store_ps(row.0.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn first(self) -> f32 {
            // SAFETY: see the module.
            unsafe { arch::_mm512_cvtss_f32(self.0) }
        }

        #[inline(always)]
        fn plus(self, other: Self) -> Self {
            // SAFETY: see the module.
            unsafe { Self(arch::_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn times_plus(self, factor: Self, summand: Self) -> Self {
            // SAFETY: see the module.
            unsafe { Self(arch::_mm512_fmadd_ps(self.0, factor.0, summand.0)) }
        }

        #[inline(always)]
        fn plus_squared_gap(self, left: Self, right: Self) -> Self {
            // SAFETY: see the module.
            unsafe {
                let gap = arch::_mm512_sub_ps(left.0, right.0);
                Self(arch::_mm512_fmadd_ps(gap, gap, self.0))
            }
        }

        #[inline(always)]
        fn or_less(self, other: Self) -> Self {
            // SAFETY: see the module.
            unsafe { Self(arch::_mm512_min_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn least(self) -> Self {
            // SAFETY: see the module.
            unsafe {
                let all = self.0;
                let swapped = arch::_mm512_shuffle_f32x4::<HALVES>(all, all);
                let eight = arch::_mm512_min_ps(all, swapped);
                let swapped = arch::_mm512_shuffle_f32x4::<NEIGHBOURS>(eight, eight);
                let four = arch::_mm512_min_ps(eight, swapped);
                let two = arch::_mm512_min_ps(four, arch::_mm512_permute_ps::<HALVES>(four));
                let swapped = arch::_mm512_permute_ps::<NEIGHBOURS>(two);
                Self(arch::_mm512_min_ps(two, swapped))
            }
        }

        #[inline(always)]
        fn add_squares(sums: &mut [f64; 4], left: &[f64; 4], right: &[f64; 4]) {
            add_squares(sums, left, right);
        }

        #[inline(always)]
        fn at_most(self, limit: Self) -> u16 {
            // SAFETY: see the module.
            unsafe { arch::_mm512_cmp_ps_mask::<{ arch::_CMP_LE_OQ }>(self.0, limit.0) }
        }
    }
}
