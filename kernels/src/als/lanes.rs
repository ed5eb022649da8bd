//! Sixteen numbers at a time, in the widest vectors that the processor has: the only place of this module with `unsafe`. It must
//! not know what is computed.
//!
//! A value of [`Simd`] is the proof that the processor has its instructions: only [`Processor`] makes one, after it has looked. So
//! its functions are safe to call, and the kernels that are written with them are plain code, once for all instruction sets. All of it
//! must be inlined into the function that enables the instructions; closures are not, so the kernels use loops.

use crate::recommend::InstructionSet;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128, __m256, __m512, _MM_HINT_T1, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps, _mm_prefetch,
    _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_shuffle_f32x4,
    _mm512_shuffle_ps, _mm512_storeu_ps,
};

/// How many numbers a vector has, on every processor.
pub(super) const N_LANES: usize = 16;

/// Sixteen numbers in memory, aligned to a cache line: a load across two lines costs as much as two.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lanes(pub(super) [f32; N_LANES]);

impl Lanes {
    pub(super) const ZERO: Self = Self([0.0; N_LANES]);
}

/// How many vectors hold `n` numbers.
pub(super) fn n_vectors(n: usize) -> usize {
    n.div_ceil(N_LANES)
}

/// Vectors of sixteen f32. Each operation rounds as IEEE 754 says, so all processors give the same bits.
pub(super) trait Simd: Copy {
    /// The vector.
    type Vector: Copy;
    /// Whether 32 whole vectors fit in the registers, and not only a few.
    const IS_WIDE: bool;
    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, from: &[f32; N_LANES]) -> Self::Vector;
    fn store(self, vector: Self::Vector, to: &mut [f32; N_LANES]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The sum of each vector's elements, by halves: l and l + 8, then l and l + 4, l + 2, l + 1.
    fn sums(self, vectors: &[Self::Vector; N_LANES]) -> Self::Vector;
}

/// Something to compute with vectors.
pub(super) trait Work {
    /// What comes out of it.
    type Output;
    /// Computes it. Implementations are `#[inline(always)]`, as is all that they call.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The instructions that kernels use, known to exist on this processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor(InstructionSet);

impl Processor {
    /// With the instructions of `set`, or portable code where the processor lacks them.
    pub(super) fn new(set: InstructionSet) -> Self {
        Self(if InstructionSet::available().contains(&set) { set } else { InstructionSet::Portable })
    }

    /// Computes `work` with these instructions.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => {
                // SAFETY: `new` has seen that the processor has AVX-512F.
                #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
                unsafe {
                    run_avx512(work)
                }
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2Fma => {
                // SAFETY: `new` has seen that the processor has AVX2 and FMA.
                #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
                unsafe {
                    run_avx2(work)
                }
            }
            _ => work.run(Portable),
        }
    }
}

/// # Safety
/// The processor must have AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run(Avx512(()))
}

/// # Safety
/// The processor must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run(Avx2(()))
}

/// Asks for `row` to be brought into the cache; changes nothing that a program can see.
#[inline(always)]
pub(super) fn prefetch(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for first in (0..row.len()).step_by(N_LANES) {
        // SAFETY: SSE is part of the baseline, and a prefetch of any address is harmless.
        #[expect(unsafe_code, reason = "there is no safe prefetch")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(row.as_ptr().wrapping_add(first).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// The proof of AVX-512F.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx512(());

// SAFETY of every block below: a value of `Avx512` exists only within `run_avx512`, and the references are valid for sixteen elements.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Simd for Avx512 {
    type Vector = __m512;
    const IS_WIDE: bool = true;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; N_LANES]) -> __m512 {
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32; N_LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    /// Each step folds two vectors into one, so sixteen sums cost 15 additions and 30 shuffles.
    #[inline(always)]
    fn sums(self, v: &[__m512; N_LANES]) -> __m512 {
        unsafe {
            let mut quarters = [v[0]; 4];
            let mut i = 0;
            while i < 4 {
                // The last two steps work within 128 bits and transpose by fours, hence every fourth vector.
                let (a, b, c, d) = (v[i], v[i + 4], v[i + 8], v[i + 12]);
                let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
                quarters[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
                i += 1;
            }
            let [a, b, c, d] = quarters;
            let ab = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
            let cd = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(c, d), _mm512_shuffle_ps::<0xee>(c, d));
            _mm512_add_ps(_mm512_shuffle_ps::<0x88>(ab, cd), _mm512_shuffle_ps::<0xdd>(ab, cd))
        }
    }
}

/// The proof of AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(());

/// Lanes 0 to 7 and 8 to 15.
#[cfg(target_arch = "x86_64")]
type Halves = (__m256, __m256);

// SAFETY of every block below: a value of `Avx2` exists only within `run_avx2`, and the references are valid for sixteen elements.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Simd for Avx2 {
    type Vector = Halves;
    const IS_WIDE: bool = false;

    #[inline(always)]
    fn splat(self, value: f32) -> Halves {
        unsafe { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; N_LANES]) -> Halves {
        unsafe { (_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
    }

    #[inline(always)]
    fn store(self, vector: Halves, to: &mut [f32; N_LANES]) {
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), vector.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), vector.1);
        }
    }

    #[inline(always)]
    fn add(self, a: Halves, b: Halves) -> Halves {
        unsafe { (_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul(self, a: Halves, b: Halves) -> Halves {
        unsafe { (_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)) }
    }

    #[inline(always)]
    fn mul_add(self, a: Halves, b: Halves, c: Halves) -> Halves {
        unsafe { (_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)) }
    }

    #[inline(always)]
    fn sums(self, vectors: &[Halves; N_LANES]) -> Halves {
        let mut sums = [0.0; N_LANES];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            unsafe {
                let eight = _mm256_add_ps(vector.0, vector.1);
                let four: __m128 = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                *sum = _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
            }
        }
        self.load(&sums)
    }
}

/// Plain arrays, for any processor: good where fused multiply-add is in the baseline (as on aarch64), slow elsewhere.
#[derive(Clone, Copy)]
struct Portable;

impl Simd for Portable {
    type Vector = [f32; N_LANES];
    const IS_WIDE: bool = false;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; N_LANES] {
        [value; N_LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; N_LANES]) -> [f32; N_LANES] {
        *from
    }

    #[inline(always)]
    fn store(self, vector: [f32; N_LANES], to: &mut [f32; N_LANES]) {
        *to = vector;
    }

    #[inline(always)]
    fn add(self, mut a: [f32; N_LANES], b: [f32; N_LANES]) -> [f32; N_LANES] {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    }

    #[inline(always)]
    fn mul(self, mut a: [f32; N_LANES], b: [f32; N_LANES]) -> [f32; N_LANES] {
        a.iter_mut().zip(b).for_each(|(a, b)| *a *= b);
        a
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; N_LANES], b: [f32; N_LANES], mut c: [f32; N_LANES]) -> [f32; N_LANES] {
        for ((c, a), b) in c.iter_mut().zip(a).zip(b) {
            *c = a.mul_add(b, *c);
        }
        c
    }

    #[inline(always)]
    fn sums(self, vectors: &[[f32; N_LANES]; N_LANES]) -> [f32; N_LANES] {
        let mut sums = *vectors;
        for half in [8, 4, 2, 1] {
            for vector in &mut sums {
                for lane in 0..half {
                    vector[lane] += vector[lane + half];
                }
            }
        }
        sums.map(|vector| vector[0])
    }
}
