//! Vectors of f32 in the instruction sets that the recommender is compiled for. All of them fuse multiplication and addition, so that
//! all give the same bits. This room must not know what is computed.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vcgtq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vst1q_f32, vzip1q_f32, vzip2q_f32,
};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _CMP_GT_OQ, _mm256_add_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_ps,
    _mm256_movemask_ps, _mm256_permute2f128_ps, _mm256_permutevar8x32_epi32, _mm256_permutevar8x32_ps, _mm256_set1_ps, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_maskz_compress_epi32, _mm512_maskz_compress_ps, _mm512_max_ps, _mm512_permutex2var_ps, _mm512_set_epi32,
    _mm512_set1_ps, _mm512_storeu_ps, _mm512_storeu_si512,
};

/// The longest vector.
pub(super) const MAX_LEN: usize = 16;

/// A vector of f32.
///
/// # Safety
/// Its functions may only be called where the processor has its instructions. `load` reads and `store` writes `LEN` elements;
/// `compress` reads and writes `LEN` of each kind, whatever the bits.
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
pub(super) trait Vector: Copy {
    const LEN: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(a: Self, b: Self) -> Self;
    unsafe fn max(a: Self, b: Self) -> Self;
    /// `a * b + c`, rounded once.
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self;
    /// Bit i is set where element i of `a` is greater than that of `b`.
    unsafe fn above(a: Self, b: Self) -> u32;
    /// Elements of both by turns: of the lower halves, and of the upper ones.
    unsafe fn interleave(a: Self, b: Self) -> (Self, Self);
    /// Writes the elements whose bit is set, and their items, behind one another. What follows them is overwritten by anything.
    unsafe fn compress(self, bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32);
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Vector for __m512 {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add(a: Self, b: Self) -> Self {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self, b: Self) -> Self {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) })
    }

    #[inline(always)]
    unsafe fn interleave(a: Self, b: Self) -> (Self, Self) {
        unsafe {
            let lower = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
            let upper = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
            (_mm512_permutex2var_ps(a, lower, b), _mm512_permutex2var_ps(a, upper, b))
        }
    }

    #[inline(always)]
    unsafe fn compress(self, bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32) {
        unsafe {
            let items = _mm512_loadu_si512(items.cast());
            _mm512_storeu_ps(scores_to, _mm512_maskz_compress_ps(bits as u16, self));
            _mm512_storeu_si512(items_to.cast(), _mm512_maskz_compress_epi32(bits as u16, items));
        }
    }
}

/// For each set of eight bits, the places of those that are set, ascending.
#[cfg(target_arch = "x86_64")]
static PLACES_OF_BITS: [[u32; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let (mut place, mut n) = (0, 0);
        while place < 8 {
            if bits >> place & 1 == 1 {
                table[bits][n] = place;
                n += 1;
            }
            place += 1;
        }
        bits += 1;
    }
    table
};

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Vector for __m256 {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn add(a: Self, b: Self) -> Self {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self, b: Self) -> Self {
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }.cast_unsigned()
    }

    #[inline(always)]
    unsafe fn interleave(a: Self, b: Self) -> (Self, Self) {
        unsafe {
            let (even, odd) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            (_mm256_permute2f128_ps::<0x20>(even, odd), _mm256_permute2f128_ps::<0x31>(even, odd))
        }
    }

    #[inline(always)]
    unsafe fn compress(self, bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32) {
        unsafe {
            let places = _mm256_loadu_si256(PLACES_OF_BITS[bits as usize & 0xff].as_ptr().cast());
            let items = _mm256_loadu_si256(items.cast());
            _mm256_storeu_ps(scores_to, _mm256_permutevar8x32_ps(self, places));
            _mm256_storeu_si256(items_to.cast(), _mm256_permutevar8x32_epi32(items, places));
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "vector instructions")]
impl Vector for float32x4_t {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn add(a: Self, b: Self) -> Self {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: Self, b: Self) -> Self {
        unsafe { vmaxq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        let lanes: [u32; 4] = unsafe { std::mem::transmute(vcgtq_f32(a, b)) };
        lanes[0] & 1 | lanes[1] & 2 | lanes[2] & 4 | lanes[3] & 8
    }

    #[inline(always)]
    unsafe fn interleave(a: Self, b: Self) -> (Self, Self) {
        unsafe { (vzip1q_f32(a, b), vzip2q_f32(a, b)) }
    }

    #[inline(always)]
    unsafe fn compress(self, bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32) {
        let mut scores = [0.0; 4];
        unsafe {
            self.store(scores.as_mut_ptr());
            compress_elements(&scores, bits, items, scores_to, items_to);
        }
    }
}

/// Plain arrays, for any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 8]);

#[expect(unsafe_code, reason = "the trait's functions are unsafe for the sake of the others")]
impl Vector for Portable {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; Self::LEN])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; Self::LEN]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; Self::LEN]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| a.0[i] + b.0[i]))
    }

    #[inline(always)]
    unsafe fn max(a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| if a.0[i] > b.0[i] { a.0[i] } else { b.0[i] }))
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        Self(std::array::from_fn(|i| a.0[i].mul_add(b.0[i], c.0[i])))
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        (0..Self::LEN).fold(0, |bits, i| bits | u32::from(a.0[i] > b.0[i]) << i)
    }

    #[inline(always)]
    unsafe fn interleave(a: Self, b: Self) -> (Self, Self) {
        let from = |first: usize| Self(std::array::from_fn(|i| if i % 2 == 0 { a.0[first + i / 2] } else { b.0[first + i / 2] }));
        (from(0), from(Self::LEN / 2))
    }

    #[inline(always)]
    unsafe fn compress(self, bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32) {
        unsafe { compress_elements(&self.0, bits, items, scores_to, items_to) }
    }
}

/// [`Vector::compress`] one by one, without a branch.
#[inline(always)]
#[expect(unsafe_code, reason = "the places are those of the trait's function")]
unsafe fn compress_elements<const LEN: usize>(scores: &[f32; LEN], bits: u32, items: *const u32, scores_to: *mut f32, items_to: *mut u32) {
    // Read first, as it may be written in place.
    let items: [u32; LEN] = unsafe { items.cast::<[u32; LEN]>().read_unaligned() };
    let mut n = 0;
    for i in 0..LEN {
        unsafe {
            *scores_to.add(n) = scores[i];
            *items_to.add(n) = items[i];
        }
        n += (bits >> i & 1) as usize;
    }
}
