//! Squared distances from one point to all centroids in single precision, by what the processor can do.

/// Centroids that one step of a kernel handles.
pub(crate) const LANES: usize = 16;

/// An instruction set that the kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// What every processor of the target has.
    Portable,
    /// x86-64 with AVX2 and fused multiply-add.
    Avx2,
    /// x86-64 with AVX-512.
    Avx512,
}

impl Kernel {
    /// The fastest that this processor can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// All that this processor can run, slowest first.
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

    /// Fills `out` (blocks × [`LANES`]) with squared distances.
    ///
    /// `blocks` is the centroids' layout: for each block of [`LANES`] centroids, for each dimension,
    /// the [`LANES`] coordinates side by side.
    pub(crate) fn squared_distances(self, point: &[f32], blocks: &[f32], out: &mut [f32]) {
        debug_assert_eq!(blocks.len(), point.len() * out.len());
        match self {
            Self::Portable => sweep::<false>(point, blocks, out),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` and `available` alone hand out these variants, after asking the processor.
            Self::Avx2 => unsafe { sweep_avx2(point, blocks, out) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { sweep_avx512(point, blocks, out) },
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => sweep::<false>(point, blocks, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn sweep_avx2(point: &[f32], blocks: &[f32], out: &mut [f32]) {
    sweep::<true>(point, blocks, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn sweep_avx512(point: &[f32], blocks: &[f32], out: &mut [f32]) {
    sweep::<true>(point, blocks, out);
}

/// One body for all instruction sets: the compiler vectorises the inner loop over lanes. `FUSED` only
/// where the target has the instruction, since elsewhere it would be a library call.
#[inline(always)]
fn sweep<const FUSED: bool>(point: &[f32], blocks: &[f32], out: &mut [f32]) {
    let block_len = point.len() * LANES;
    for (block, out) in blocks
        .chunks_exact(block_len)
        .zip(out.chunks_exact_mut(LANES))
    {
        let mut sums = [0.0_f32; LANES];
        for (coordinate, centroids) in point.iter().zip(block.as_chunks::<LANES>().0) {
            for (sum, centroid) in sums.iter_mut().zip(centroids) {
                let gap = coordinate - centroid;
                *sum = if FUSED {
                    gap.mul_add(gap, *sum)
                } else {
                    gap * gap + *sum
                };
            }
        }
        out.copy_from_slice(&sums);
    }
}
