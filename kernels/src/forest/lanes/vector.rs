//! Eight doubles or eight 32-bit words in one value, with the few operations that sweeps need: AVX-512 where the processor has it,
//! plain arrays elsewhere. Every operation rounds alike, so that results are the same bytes. The one place of the forest where
//! instructions beyond the baseline are used; it must not know what is computed with them.
//!
//! A value of [`Avx512`] exists only where the processor was seen to have the instructions, which is what makes calling them
//! sound: all code that has no such value cannot reach them.

use super::N_LANES;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Where the codes of eight features stand in a row, read as 16-bit words, the low byte first. A lane without a feature has
/// the mask 0, and so the code 0.
#[derive(Clone, Copy, Default)]
pub(in crate::forest) struct LanePlaces {
    /// The word that holds the code.
    pub words: [u16; N_LANES],
    /// How far the code stands above the lowest bit of its word.
    pub shifts: [u16; N_LANES],
    /// The bits of the code.
    pub masks: [u16; N_LANES],
}

/// The bytes of a row from which codes can be picked at once: a vector.
#[cfg(target_arch = "x86_64")]
const MAX_PICKED_BYTES: usize = 64;

/// A way to compute in eight lanes.
pub(in crate::forest) trait Vector: Copy {
    type Doubles: Copy;
    type Words: Copy;
    type Codes: Copy;
    type Mask: Copy;

    fn load_codes(self, from: &[u16; N_LANES]) -> Self::Codes;
    /// The codes at these places of a row of at most 64 bytes.
    fn pick_codes<const N: usize>(self, row: &[u8; N], places: &LanePlaces) -> Self::Codes;
    /// Codes above, the same half word below in all lanes.
    fn keys(self, codes: Self::Codes, low: u32) -> Self::Words;
    /// Where a sum stands in a table [n_codes, n_sums, N_LANES].
    fn slots(self, codes: Self::Codes, n_sums: u32, sum: u32) -> Self::Words;

    fn splat(self, value: f64) -> Self::Doubles;
    fn load(self, from: &[f64; N_LANES]) -> Self::Doubles;
    fn store(self, value: Self::Doubles, to: &mut [f64; N_LANES]);
    fn add(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    fn sub(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    fn mul(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    fn div(self, a: Self::Doubles, b: Self::Doubles) -> Self::Doubles;
    /// Where a > b; false for what is not a number.
    fn gt(self, a: Self::Doubles, b: Self::Doubles) -> Self::Mask;
    /// Where a >= b.
    fn ge(self, a: Self::Doubles, b: Self::Doubles) -> Self::Mask;
    fn and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `yes` where the mask is set.
    fn select(self, mask: Self::Mask, yes: Self::Doubles, no: Self::Doubles) -> Self::Doubles;

    fn load_words(self, from: &[u32; N_LANES]) -> Self::Words;
    fn store_words(self, value: Self::Words, to: &mut [u32; N_LANES]);
    fn min(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn max(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// The bits from `SHIFT` on that `bits` keeps.
    fn field<const SHIFT: u32>(self, a: Self::Words, bits: u32) -> Self::Words;
    /// Where words differ.
    fn differ(self, a: Self::Words, b: Self::Words) -> Self::Mask;
    /// Where a word is this one.
    fn is(self, a: Self::Words, word: u32) -> Self::Mask;
    fn to_doubles(self, a: Self::Words) -> Self::Doubles;
}

/// Something to be done with the best vectors there are.
pub(super) trait OnVectors {
    fn run<V: Vector>(self, vector: V);
}

/// Does it.
pub(super) fn on_vectors(task: impl OnVectors) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vector) = Avx512::detect() {
        // SAFETY: the value tells that the processor has the instructions.
        #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
        return unsafe { run_avx512(vector, task) };
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was just seen to have the instructions.
        #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
        return unsafe { run_avx2(task) };
    }
    task.run(Arrays);
}

/// Plain arrays again, which a compiler can turn into vectors of 256 bits here.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(task: impl OnVectors) {
    task.run(Arrays);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512(vector: Avx512, task: impl OnVectors) {
    task.run(vector);
}

/// Asks for the cache line of something that will be read soon.
#[inline(always)]
pub(in crate::forest) fn prefetch<T>(later: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: a hint that reads nothing, at an address that may be read.
        #[expect(unsafe_code, reason = "there is no safe way to give the hint")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(later).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = later;
}

/// Plain arrays, which compilers turn into what vectors the baseline has.
#[derive(Clone, Copy)]
pub(super) struct Arrays;

#[inline(always)]
fn each<A: Copy, B: Copy, C>(a: [A; N_LANES], b: [B; N_LANES], f: impl Fn(A, B) -> C) -> [C; N_LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl Vector for Arrays {
    type Doubles = [f64; N_LANES];
    type Words = [u32; N_LANES];
    type Codes = [u16; N_LANES];
    type Mask = [bool; N_LANES];

    #[inline(always)]
    fn load_codes(self, from: &[u16; N_LANES]) -> [u16; N_LANES] {
        *from
    }
    #[inline(always)]
    fn pick_codes<const N: usize>(self, row: &[u8; N], places: &LanePlaces) -> [u16; N_LANES] {
        let (words, _) = row.as_chunks::<2>();
        std::array::from_fn(|lane| u16::from_le_bytes(words[usize::from(places.words[lane])]) >> places.shifts[lane] & places.masks[lane])
    }
    #[inline(always)]
    fn keys(self, codes: [u16; N_LANES], low: u32) -> [u32; N_LANES] {
        codes.map(|code| u32::from(code) << 16 | low)
    }
    #[inline(always)]
    fn slots(self, codes: [u16; N_LANES], n_sums: u32, sum: u32) -> [u32; N_LANES] {
        std::array::from_fn(|lane| (u32::from(codes[lane]) * n_sums + sum) * N_LANES as u32 + lane as u32)
    }

    #[inline(always)]
    fn splat(self, value: f64) -> [f64; N_LANES] {
        [value; N_LANES]
    }
    #[inline(always)]
    fn load(self, from: &[f64; N_LANES]) -> [f64; N_LANES] {
        *from
    }
    #[inline(always)]
    fn store(self, value: [f64; N_LANES], to: &mut [f64; N_LANES]) {
        *to = value;
    }
    #[inline(always)]
    fn add(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [f64; N_LANES] {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [f64; N_LANES] {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [f64; N_LANES] {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [f64; N_LANES] {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn gt(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [bool; N_LANES] {
        each(a, b, |a, b| a > b)
    }
    #[inline(always)]
    fn ge(self, a: [f64; N_LANES], b: [f64; N_LANES]) -> [bool; N_LANES] {
        each(a, b, |a, b| a >= b)
    }
    #[inline(always)]
    fn and(self, a: [bool; N_LANES], b: [bool; N_LANES]) -> [bool; N_LANES] {
        each(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn select(self, mask: [bool; N_LANES], yes: [f64; N_LANES], no: [f64; N_LANES]) -> [f64; N_LANES] {
        std::array::from_fn(|lane| if mask[lane] { yes[lane] } else { no[lane] })
    }
    #[inline(always)]
    fn load_words(self, from: &[u32; N_LANES]) -> [u32; N_LANES] {
        *from
    }
    #[inline(always)]
    fn store_words(self, value: [u32; N_LANES], to: &mut [u32; N_LANES]) {
        *to = value;
    }
    #[inline(always)]
    fn min(self, a: [u32; N_LANES], b: [u32; N_LANES]) -> [u32; N_LANES] {
        each(a, b, |a, b| a.min(b))
    }
    #[inline(always)]
    fn max(self, a: [u32; N_LANES], b: [u32; N_LANES]) -> [u32; N_LANES] {
        each(a, b, |a, b| a.max(b))
    }
    #[inline(always)]
    fn field<const SHIFT: u32>(self, a: [u32; N_LANES], bits: u32) -> [u32; N_LANES] {
        a.map(|a| a >> SHIFT & bits)
    }
    #[inline(always)]
    fn differ(self, a: [u32; N_LANES], b: [u32; N_LANES]) -> [bool; N_LANES] {
        each(a, b, |a, b| a != b)
    }
    #[inline(always)]
    fn is(self, a: [u32; N_LANES], word: u32) -> [bool; N_LANES] {
        a.map(|a| a == word)
    }
    #[inline(always)]
    fn to_doubles(self, a: [u32; N_LANES]) -> [f64; N_LANES] {
        a.map(f64::from)
    }
}

/// 512-bit vectors.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        has_all.then_some(Self(()))
    }
}

// SAFETY of every block below: `self` exists only where the processor has the instructions, and pointers come from references to
// arrays of the vector's size.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Vector for Avx512 {
    type Doubles = __m512d;
    type Words = __m256i;
    type Codes = __m128i;
    type Mask = __mmask8;

    #[inline(always)]
    fn load_codes(self, from: &[u16; N_LANES]) -> __m128i {
        unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn pick_codes<const N: usize>(self, row: &[u8; N], places: &LanePlaces) -> __m128i {
        const { assert!(N > 0 && N <= MAX_PICKED_BYTES) };
        let (words, shifts, masks) = (self.load_codes(&places.words), self.load_codes(&places.shifts), self.load_codes(&places.masks));
        unsafe {
            let picked = match N {
                16 => _mm_permutexvar_epi16(words, _mm_loadu_si128(row.as_ptr().cast())),
                32 => {
                    let picked = _mm256_permutexvar_epi16(_mm256_castsi128_si256(words), _mm256_loadu_si256(row.as_ptr().cast()));
                    _mm256_castsi256_si128(picked)
                }
                _ => {
                    // Bytes behind the row are not read.
                    let row = _mm512_maskz_loadu_epi8(u64::MAX >> (MAX_PICKED_BYTES - N), row.as_ptr().cast());
                    _mm512_castsi512_si128(_mm512_permutexvar_epi16(_mm512_castsi128_si512(words), row))
                }
            };
            _mm_and_si128(_mm_srlv_epi16(picked, shifts), masks)
        }
    }
    #[inline(always)]
    fn keys(self, codes: __m128i, low: u32) -> __m256i {
        unsafe { _mm256_or_si256(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(codes)), _mm256_set1_epi32(low as i32)) }
    }
    #[inline(always)]
    fn slots(self, codes: __m128i, n_sums: u32, sum: u32) -> __m256i {
        unsafe {
            let first = _mm256_mullo_epi32(_mm256_cvtepu16_epi32(codes), _mm256_set1_epi32(n_sums as i32));
            let slot = _mm256_slli_epi32::<3>(_mm256_add_epi32(first, _mm256_set1_epi32(sum as i32)));
            _mm256_add_epi32(slot, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
        }
    }

    #[inline(always)]
    fn splat(self, value: f64) -> __m512d {
        unsafe { _mm512_set1_pd(value) }
    }
    #[inline(always)]
    fn load(self, from: &[f64; N_LANES]) -> __m512d {
        unsafe { _mm512_loadu_pd(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, value: __m512d, to: &mut [f64; N_LANES]) {
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_add_pd(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_sub_pd(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_mul_pd(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512d, b: __m512d) -> __m512d {
        unsafe { _mm512_div_pd(a, b) }
    }
    #[inline(always)]
    fn gt(self, a: __m512d, b: __m512d) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    fn ge(self, a: __m512d, b: __m512d) -> __mmask8 {
        unsafe { _mm512_cmp_pd_mask::<_CMP_GE_OQ>(a, b) }
    }
    #[inline(always)]
    fn and(self, a: __mmask8, b: __mmask8) -> __mmask8 {
        a & b
    }
    #[inline(always)]
    fn select(self, mask: __mmask8, yes: __m512d, no: __m512d) -> __m512d {
        unsafe { _mm512_mask_blend_pd(mask, no, yes) }
    }
    #[inline(always)]
    fn load_words(self, from: &[u32; N_LANES]) -> __m256i {
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_words(self, value: __m256i, to: &mut [u32; N_LANES]) {
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
    }
    #[inline(always)]
    fn min(self, a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_min_epu32(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256i, b: __m256i) -> __m256i {
        unsafe { _mm256_max_epu32(a, b) }
    }
    #[inline(always)]
    fn field<const SHIFT: u32>(self, a: __m256i, bits: u32) -> __m256i {
        unsafe { _mm256_and_si256(_mm256_srl_epi32(a, _mm_cvtsi32_si128(SHIFT as i32)), _mm256_set1_epi32(bits as i32)) }
    }
    #[inline(always)]
    fn differ(self, a: __m256i, b: __m256i) -> __mmask8 {
        unsafe { _mm256_cmpneq_epu32_mask(a, b) }
    }
    #[inline(always)]
    fn is(self, a: __m256i, word: u32) -> __mmask8 {
        unsafe { _mm256_cmpeq_epu32_mask(a, _mm256_set1_epi32(word as i32)) }
    }
    #[inline(always)]
    fn to_doubles(self, a: __m256i) -> __m512d {
        unsafe { _mm512_cvtepu32_pd(a) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    /// Every operation on some operands, as bits.
    struct Everything<'a> {
        doubles: [[f64; N_LANES]; 2],
        words: [[u32; N_LANES]; 2],
        row: [u8; 64],
        places: LanePlaces,
        results: &'a mut Vec<u64>,
    }

    impl Everything<'_> {
        /// Codes of the first `N` bytes of the row, as what is made of them.
        fn push_codes<const N: usize, V: Vector>(&mut self, vector: V) {
            let Some(row) = self.row.first_chunk::<N>() else { return };
            let mut places = self.places;
            places.words = places.words.map(|word| word % (N as u16 / 2));
            let picked = vector.pick_codes(row, &places);
            let loaded = vector.load_codes(&places.masks);
            for words in [vector.keys(picked, 7), vector.slots(picked, 5, 3), vector.keys(loaded, 1), vector.slots(loaded, 2, 1)] {
                let mut stored = [0; N_LANES];
                vector.store_words(words, &mut stored);
                self.results.extend(stored.map(u64::from));
            }
        }
    }

    impl OnVectors for Everything<'_> {
        fn run<V: Vector>(mut self, vector: V) {
            self.push_codes::<64, V>(vector);
            self.push_codes::<32, V>(vector);
            self.push_codes::<16, V>(vector);
            self.push_codes::<8, V>(vector);
            let [a, b] = self.doubles.map(|doubles| vector.load(&doubles));
            let [x, y] = self.words.map(|words| vector.load_words(&words));
            let choices = [
                vector.gt(a, b),
                vector.ge(a, b),
                vector.and(vector.gt(a, b), vector.differ(x, y)),
                vector.is(x, self.words[1][0]),
                vector.differ(vector.field::<16>(x, 0xffff), vector.field::<16>(y, 0xffff)),
            ];
            let chosen = choices.map(|mask| vector.select(mask, a, b));
            let computed = [vector.add(a, b), vector.sub(a, b), vector.mul(a, b), vector.div(a, b), vector.splat(self.doubles[0][0])];
            let ordered = [vector.min(x, y), vector.max(x, y), vector.field::<8>(x, 0xff)];
            for doubles in chosen.into_iter().chain(computed).chain(ordered.map(|words| vector.to_doubles(words))) {
                let mut stored = [0.0; N_LANES];
                vector.store(doubles, &mut stored);
                self.results.extend(stored.map(f64::to_bits));
            }
        }
    }

    #[test]
    fn all_vectors_compute_the_same_bits() {
        let mut draws = Draws::new(1, 0, 0);
        for _ in 0..1000 {
            // Few different values, so that equal ones meet, and some that have no order.
            let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
            let double =
                |draws: &mut Draws| if draws.below(5) == 0 { special[draws.below(4) as usize] } else { draws.below(9) as f64 / 7.0 };
            let doubles = [(); 2].map(|()| std::array::from_fn(|_| double(&mut draws)));
            let words = [(); 2].map(|()| std::array::from_fn(|_| (draws.below(4) << 30 | draws.below(3) << 16 | draws.below(3)) as u32));
            let row = std::array::from_fn(|_| draws.below(256) as u8);
            let places = LanePlaces {
                words: std::array::from_fn(|_| draws.below(32) as u16),
                shifts: std::array::from_fn(|_| draws.below(16) as u16),
                masks: std::array::from_fn(|_| ((1 << draws.below(17)) - 1) as u16),
            };
            let (mut best, mut plain) = (Vec::new(), Vec::new());
            on_vectors(Everything { doubles, words, row, places, results: &mut best });
            Everything { doubles, words, row, places, results: &mut plain }.run(Arrays);
            let is_nan = |bits: &u64| f64::from_bits(*bits).is_nan();
            assert!(best.iter().zip(&plain).all(|(a, b)| a == b || is_nan(a) && is_nan(b)), "{doubles:?} {words:?}");
        }
    }
}
