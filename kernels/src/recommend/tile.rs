//! One tile of scores, a few items against a panel of users, in the widest vectors that the processor has. The only place of the
//! recommender with `unsafe`; it must not know lists, blocks or seen items.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m512, _CMP_GT_OQ, _mm256_add_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_movemask_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

/// A set of vector instructions with fused multiply-add. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors of x86-64.
    Avx512,
    /// 256-bit vectors of x86-64.
    Avx2Fma,
    /// Whatever the compiler makes of plain code: good where fused multiply-add is in the baseline (as on aarch64), slow elsewhere.
    Portable,
}

impl InstructionSet {
    /// All that this processor has, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2Fma, Self::Portable].into_iter().filter(|set| set.is_available()).collect()
    }

    /// The fastest that this processor has.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Fma => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2Fma => false,
            Self::Portable => true,
        }
    }
}

/// Most users in a panel: each has a bit in [`TileScores::hits`].
pub(super) const MAX_PANEL_LEN: usize = 32;
/// Most items in a tile.
pub(super) const MAX_TILE_ITEMS: usize = 12;

/// A way to compute tiles. It exists only for instructions that this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileKernel {
    set: InstructionSet,
    /// Users in a panel.
    pub(super) panel_len: usize,
    /// Items in a tile.
    pub(super) tile_items: usize,
}

/// What a tile is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileInput<'a> {
    pub(super) n_factors: usize,
    /// The users' factors, factor by factor: [n_factors, panel_len].
    pub(super) panel: &'a [f32],
    /// The users' biases [panel_len].
    pub(super) user_bias: &'a [f32],
    /// Scores at or below are of no interest [panel_len].
    pub(super) thresholds: &'a [f32],
    /// The items' factors as they stand in the model: [n, n_factors] with n from 1 to `tile_items`.
    pub(super) item_factors: &'a [f32],
    /// The items' biases [n].
    pub(super) item_bias: Option<&'a [f32]>,
}

/// The scores of a tile, where any is above its threshold.
#[repr(align(64))]
#[derive(Debug)]
pub(super) struct TileScores {
    /// Item by item, `panel_len` users each; stale where no item has a hit.
    pub(super) scores: [f32; MAX_TILE_ITEMS * MAX_PANEL_LEN],
    /// One word an item: bit u is set where its score for user u of the panel is above the threshold.
    pub(super) hits: [u32; MAX_TILE_ITEMS],
}

impl Default for TileScores {
    fn default() -> Self {
        Self { scores: [0.0; MAX_TILE_ITEMS * MAX_PANEL_LEN], hits: [0; MAX_TILE_ITEMS] }
    }
}

impl TileKernel {
    /// The way of `set`, or that of portable code where the processor lacks it.
    pub(super) fn new(set: InstructionSet) -> Self {
        let set = if set.is_available() { set } else { InstructionSet::Portable };
        // Two vectors of users by as many items as leave registers for those two and one item's factor.
        let (panel_len, tile_items) = match set {
            InstructionSet::Avx512 => (32, 12),
            InstructionSet::Avx2Fma => (16, 6),
            InstructionSet::Portable => (8, 4),
        };
        Self { set, panel_len, tile_items }
    }

    /// Computes one tile; false where no score is above its threshold.
    #[inline]
    pub(super) fn score(self, input: &TileInput<'_>, tile: &mut TileScores) -> bool {
        let n_items = input.item_factors.len() / input.n_factors;
        assert!(n_items >= 1 && n_items <= self.tile_items && n_items * input.n_factors == input.item_factors.len());
        assert!(input.panel.len() == input.n_factors * self.panel_len);
        assert!(input.user_bias.len() == self.panel_len && input.thresholds.len() == self.panel_len);
        assert!(input.item_bias.is_none_or(|bias| bias.len() == n_items));
        match self.set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => {
                // SAFETY: `new` has seen that the processor has AVX-512F, and the assertions above are what the function asks for.
                #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
                unsafe {
                    score_avx512(input, n_items, tile)
                }
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2Fma => {
                // SAFETY: as above, for AVX2 and FMA.
                #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
                unsafe {
                    score_avx2(input, n_items, tile)
                }
            }
            _ => {
                // SAFETY: portable vectors need no instructions of their own; the assertions above hold.
                #[expect(unsafe_code, reason = "the same generic code as for the other vectors")]
                unsafe {
                    score_generic::<Portable, 1, 4>(input, n_items, tile)
                }
            }
        }
    }
}

/// # Safety
/// The processor must have AVX-512F, and the lengths must be those that [`TileKernel::score`] asserts.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn score_avx512(input: &TileInput<'_>, n_items: usize, tile: &mut TileScores) -> bool {
    unsafe { score_generic::<__m512, 2, 12>(input, n_items, tile) }
}

/// # Safety
/// The processor must have AVX2 and FMA, and the lengths must be those that [`TileKernel::score`] asserts.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn score_avx2(input: &TileInput<'_>, n_items: usize, tile: &mut TileScores) -> bool {
    unsafe { score_generic::<__m256, 2, 6>(input, n_items, tile) }
}

/// The tile in registers: `N_ITEMS` items by `N_VECTORS` vectors of users, summed factor by factor.
///
/// # Safety
/// The processor must have the instructions of `V`, and the lengths must be those that [`TileKernel::score`] asserts, with
/// `panel_len == N_VECTORS * V::LEN` and `tile_items == N_ITEMS`.
#[inline(always)]
#[expect(unsafe_code, reason = "pointers, so that no bounds check stands in the innermost loop")]
#[expect(clippy::needless_range_loop, reason = "loops over constant numbers of registers, which are unrolled whole")]
unsafe fn score_generic<V: Vector, const N_VECTORS: usize, const N_ITEMS: usize>(
    input: &TileInput<'_>,
    n_items: usize,
    tile: &mut TileScores,
) -> bool {
    unsafe {
        let panel_len = N_VECTORS * V::LEN;
        let mut rows = [input.item_factors.as_ptr(); N_ITEMS];
        for (r, row) in rows.iter_mut().enumerate() {
            // A tile at the catalogue's end repeats its last item; those scores are never looked at.
            *row = row.add(r.min(n_items - 1) * input.n_factors);
        }
        let mut sums = [[V::zero(); N_VECTORS]; N_ITEMS];
        for r in 0..N_ITEMS {
            let item_bias = V::splat(input.item_bias.map_or(0.0, |bias| bias[r.min(n_items - 1)]));
            for v in 0..N_VECTORS {
                sums[r][v] = V::add(V::load(input.user_bias.as_ptr().add(v * V::LEN)), item_bias);
            }
        }
        let mut panel = input.panel.as_ptr();
        for factor in 0..input.n_factors {
            let mut users = [V::zero(); N_VECTORS];
            for v in 0..N_VECTORS {
                users[v] = V::load(panel.add(v * V::LEN));
            }
            panel = panel.add(panel_len);
            for r in 0..N_ITEMS {
                let item = V::splat(*rows[r].add(factor));
                for v in 0..N_VECTORS {
                    sums[r][v] = V::mul_add(users[v], item, sums[r][v]);
                }
            }
        }
        let mut any = 0;
        for r in 0..N_ITEMS {
            let mut hits = 0;
            for v in 0..N_VECTORS {
                let threshold = V::load(input.thresholds.as_ptr().add(v * V::LEN));
                hits |= V::above(sums[r][v], threshold) << (v * V::LEN);
            }
            tile.hits[r] = hits;
            any |= hits;
        }
        if any != 0 {
            for r in 0..N_ITEMS {
                for v in 0..N_VECTORS {
                    V::store(sums[r][v], tile.scores.as_mut_ptr().add(r * panel_len + v * V::LEN));
                }
            }
        }
        any != 0
    }
}

/// A vector of f32.
///
/// # Safety
/// Its functions may only be called where the processor has its instructions; `load` reads and `store` writes `LEN` elements.
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
trait Vector: Copy {
    const LEN: usize;
    unsafe fn zero() -> Self;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(a: Self, b: Self) -> Self;
    /// `a * b + c`, rounded once.
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self;
    /// Bit i is set where element i of `a` is greater than that of `b`.
    unsafe fn above(a: Self, b: Self) -> u32;
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Vector for __m512 {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { _mm512_setzero_ps() }
    }

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
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) })
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
impl Vector for __m256 {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { _mm256_setzero_ps() }
    }

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
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }.cast_unsigned()
    }
}

/// Plain arrays, for any processor.
#[derive(Clone, Copy)]
struct Portable([f32; 8]);

#[expect(unsafe_code, reason = "the trait's functions are unsafe for the sake of the others")]
impl Vector for Portable {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; Self::LEN])
    }

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
        let mut sum = a.0;
        sum.iter_mut().zip(b.0).for_each(|(sum, b)| *sum += b);
        Self(sum)
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self, b: Self, c: Self) -> Self {
        let mut sum = c.0;
        for ((sum, a), b) in sum.iter_mut().zip(a.0).zip(b.0) {
            *sum = a.mul_add(b, *sum);
        }
        Self(sum)
    }

    #[inline(always)]
    unsafe fn above(a: Self, b: Self) -> u32 {
        let mut bits = 0;
        for i in 0..Self::LEN {
            bits |= u32::from(a.0[i] > b.0[i]) << i;
        }
        bits
    }
}
