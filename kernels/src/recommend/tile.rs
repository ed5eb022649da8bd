//! Tiles of scores, a few users against a panel of items, in the widest vectors that the processor has. What is above a user's
//! threshold is gathered while the scores are in registers. It must not know models, blocks or seen items.

use super::gathering::{Gathered, Group, Limits, MAX_GROUP_LEN, PanelScores, keep_best, stride};
use super::vector::{MAX_LEN, Portable, Vector};

/// A set of vector instructions with fused multiply-add. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// 512-bit vectors of x86-64.
    Avx512,
    /// 256-bit vectors of x86-64.
    Avx2Fma,
    /// 128-bit vectors of aarch64.
    Neon,
    /// Whatever the compiler makes of plain code: slow where fused multiply-add is not in the baseline.
    Portable,
}

impl InstructionSet {
    /// All that this processor has, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Avx512, Self::Avx2Fma, Self::Neon, Self::Portable].into_iter().filter(|set| set.is_available()).collect()
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
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            _ => false,
        }
    }
}

/// Vectors of a panel: two, so that each factor of a user that is loaded serves twice.
const N_VECTORS: usize = 2;

/// A way to compute tiles. It exists only for instructions that this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileKernel {
    set: InstructionSet,
    /// Items in a panel.
    pub(super) panel_len: usize,
    /// Users in a group.
    pub(super) group_len: usize,
}

/// A group of users and panels of items to be scored against one another.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileInput<'a> {
    pub(super) n_factors: usize,
    /// Of the users, factor by factor: [n_factors, group_len].
    pub(super) user_factors: &'a [f32],
    /// [group_len].
    pub(super) user_bias: &'a [f32],
    /// Of the items, panel by panel and factor by factor: [n_panels, n_factors, panel_len].
    pub(super) item_factors: &'a [f32],
    /// [n_panels, panel_len]; negative and infinite in a place without an item.
    pub(super) item_bias: &'a [f32],
    pub(super) first_item: u32,
}

impl TileKernel {
    /// The way of `set`, or that of portable code where the processor lacks it.
    pub(super) fn new(set: InstructionSet) -> Self {
        let set = if set.is_available() { set } else { InstructionSet::Portable };
        // As many users as leave registers for a panel's vectors and a user's factor.
        let (vector_len, group_len) = match set {
            InstructionSet::Avx512 => (16, 12),
            InstructionSet::Avx2Fma => (8, 6),
            InstructionSet::Neon => (4, 12),
            InstructionSet::Portable => (8, 2),
        };
        debug_assert!(group_len <= MAX_GROUP_LEN);
        Self { set, panel_len: N_VECTORS * vector_len, group_len }
    }

    /// Scores a group against panels, and gathers what is above the users' thresholds.
    pub(super) fn score(self, input: &TileInput<'_>, group: &mut Group<'_>, gathered: &mut Gathered<'_>, limits: Limits) {
        assert!(input.user_factors.len() == input.n_factors * self.group_len && input.user_bias.len() == self.group_len);
        assert!(
            input.item_factors.len() == input.item_bias.len() * input.n_factors && input.item_bias.len().is_multiple_of(self.panel_len)
        );
        assert!(group.lens[..self.group_len].iter().all(|&len| (len as usize) < limits.capacity));
        assert!(gathered.stride == stride(limits, self.panel_len) && gathered.scores.len() == gathered.stride * self.group_len);
        assert!(gathered.items.len() == gathered.scores.len());
        // SAFETY: `new` has seen that the processor has the instructions, and the assertions above are what the function asks for.
        #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
        unsafe {
            match self.set {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => score_avx512(input, group, gathered, limits),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2Fma => score_avx2(input, group, gathered, limits),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => score_panels::<std::arch::aarch64::float32x4_t, 12>(input, group, gathered, limits),
                _ => score_panels::<Portable, 2>(input, group, gathered, limits),
            }
        }
    }

    /// Lays out items' rows [n, n_factors] factor by factor: [n_factors, panel_len], with zeros where there is no item.
    pub(super) fn pack(self, rows: &[f32], n_factors: usize, panel: &mut [f32]) {
        assert!(panel.len() == n_factors * self.panel_len && rows.len() <= panel.len() && rows.len().is_multiple_of(n_factors));
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
        unsafe {
            match self.set {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => pack_avx512(rows, n_factors, panel),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2Fma => pack_avx2(rows, n_factors, panel),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => pack_rows::<std::arch::aarch64::float32x4_t, 4>(rows, n_factors, panel),
                _ => pack_rows::<Portable, 8>(rows, n_factors, panel),
            }
        }
    }

    /// Keeps the best of the first `n` of gathered items; returns how many are left, which is a little more than are wanted.
    pub(super) fn keep_best(self, scores: &mut [f32], items: &mut [u32], n: usize, threshold: &mut f32, limits: Limits) -> usize {
        assert!(n >= limits.top_n && scores.len() >= n + MAX_LEN && items.len() >= n + MAX_LEN);
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
        unsafe {
            match self.set {
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => keep_best_avx512(scores, items, n, threshold, limits),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2Fma => keep_best_avx2(scores, items, n, threshold, limits),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => keep_best::<std::arch::aarch64::float32x4_t>(scores, items, n, threshold, limits),
                _ => keep_best::<Portable>(scores, items, n, threshold, limits),
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512F and POPCNT; otherwise that of [`score_panels`]. The same goes for the functions that follow.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn score_avx512(input: &TileInput<'_>, group: &mut Group<'_>, gathered: &mut Gathered<'_>, limits: Limits) {
    unsafe { score_panels::<std::arch::x86_64::__m512, 12>(input, group, gathered, limits) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn score_avx2(input: &TileInput<'_>, group: &mut Group<'_>, gathered: &mut Gathered<'_>, limits: Limits) {
    unsafe { score_panels::<std::arch::x86_64::__m256, 6>(input, group, gathered, limits) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn pack_avx512(rows: &[f32], n_factors: usize, panel: &mut [f32]) {
    unsafe { pack_rows::<std::arch::x86_64::__m512, 16>(rows, n_factors, panel) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn pack_avx2(rows: &[f32], n_factors: usize, panel: &mut [f32]) {
    unsafe { pack_rows::<std::arch::x86_64::__m256, 8>(rows, n_factors, panel) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn keep_best_avx512(scores: &mut [f32], items: &mut [u32], n: usize, threshold: &mut f32, limits: Limits) -> usize {
    unsafe { keep_best::<std::arch::x86_64::__m512>(scores, items, n, threshold, limits) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,popcnt")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn keep_best_avx2(scores: &mut [f32], items: &mut [u32], n: usize, threshold: &mut f32, limits: Limits) -> usize {
    unsafe { keep_best::<std::arch::x86_64::__m256>(scores, items, n, threshold, limits) }
}

/// Scores on their way from registers.
#[repr(align(64))]
struct Tile<V, const N_USERS: usize>([[V; N_VECTORS]; N_USERS]);

/// Scores panel after panel.
///
/// # Safety
/// The processor has the vector's instructions; all arrays have the shapes of [`TileInput`] for `N_USERS` and `N_VECTORS`, and there is
/// room for what is gathered.
#[expect(clippy::needless_range_loop, reason = "loops over users and vectors run through several arrays at once")]
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions, and arrays walked without a check for each element")]
unsafe fn score_panels<V: Vector, const N_USERS: usize>(
    input: &TileInput<'_>,
    group: &mut Group<'_>,
    gathered: &mut Gathered<'_>,
    limits: Limits,
) {
    let panel_len = N_VECTORS * V::LEN;
    for panel in 0..input.item_bias.len() / panel_len {
        // SAFETY: the caller's.
        let tile = unsafe {
            let factors = input.item_factors.as_ptr().add(panel * panel_len * input.n_factors);
            Tile(score_tile::<V, N_USERS>(input, factors, input.item_bias.as_ptr().add(panel * panel_len)))
        };
        let (mut hits, mut users_hit) = ([0_u32; N_USERS], 0_u32);
        for u in 0..N_USERS {
            let bits = (0..N_VECTORS).fold(0, |bits, v| {
                // SAFETY: the caller's.
                bits | unsafe { V::above(tile.0[u][v], V::splat(group.thresholds[u])) } << (v * V::LEN)
            });
            // Hidden from the compiler, which would put the words together into a vector again.
            hits[u] = std::hint::black_box(bits);
            users_hit |= u32::from(hits[u] != 0) << u;
        }
        // One by one, as one branch that is guessed wrong costs as much as several users.
        while users_hit != 0 {
            let u = users_hit.trailing_zeros() as usize;
            users_hit &= users_hit - 1;
            let first_item = input.first_item + (panel * panel_len) as u32;
            let of_user = PanelScores { scores: &tile.0[u], hits: hits[u], first_item };
            // SAFETY: the caller's.
            unsafe { gathered.add(group, u, &of_user, limits) };
        }
    }
}

/// The scores of a panel, each summed factor by factor from the first, beginning with the biases.
///
/// # Safety
/// That of [`score_panels`]; `factors` and `bias` are those of the panel.
#[expect(clippy::needless_range_loop, reason = "loops over users and vectors run through several arrays at once")]
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions, and arrays walked without a check for each element")]
unsafe fn score_tile<V: Vector, const N_USERS: usize>(
    input: &TileInput<'_>,
    mut factors: *const f32,
    bias: *const f32,
) -> [[V; N_VECTORS]; N_USERS] {
    unsafe {
        let mut sums = [[V::splat(0.0); N_VECTORS]; N_USERS];
        for v in 0..N_VECTORS {
            let item_bias = V::load(bias.add(v * V::LEN));
            for u in 0..N_USERS {
                sums[u][v] = V::add(V::splat(input.user_bias[u]), item_bias);
            }
        }
        let mut users = input.user_factors.as_ptr();
        for _ in 0..input.n_factors {
            let mut items = [V::splat(0.0); N_VECTORS];
            for v in 0..N_VECTORS {
                items[v] = V::load(factors.add(v * V::LEN));
            }
            for u in 0..N_USERS {
                let user = V::splat(*users.add(u));
                for v in 0..N_VECTORS {
                    sums[u][v] = V::mul_add(user, items[v], sums[u][v]);
                }
            }
            factors = factors.add(N_VECTORS * V::LEN);
            users = users.add(N_USERS);
        }
        sums
    }
}

/// Lays out rows factor by factor, a square of `LEN` rows and factors at a time.
///
/// # Safety
/// The processor has the vector's instructions; `LEN` is the vector's, and the panel has the shape [n_factors, 2 * LEN] for at least
/// as many items as there are rows.
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn pack_rows<V: Vector, const LEN: usize>(rows: &[f32], n_factors: usize, panel: &mut [f32]) {
    let panel_len = N_VECTORS * LEN;
    let n_items = rows.len() / n_factors;
    if n_items < panel_len {
        panel.fill(0.0);
    }
    let n_in_squares = n_factors - n_factors % LEN;
    for first_item in (0..n_items - n_items % LEN).step_by(LEN) {
        for first_factor in (0..n_in_squares).step_by(LEN) {
            // SAFETY: the square lies within the rows, and its transpose within the panel.
            unsafe {
                let square = std::array::from_fn(|i| V::load(rows.as_ptr().add((first_item + i) * n_factors + first_factor)));
                for (i, factor) in transposed::<V, LEN>(square).into_iter().enumerate() {
                    factor.store(panel.as_mut_ptr().add((first_factor + i) * panel_len + first_item));
                }
            }
        }
    }
    for (item, row) in rows.chunks_exact(n_factors).enumerate() {
        let first = if item < n_items - n_items % LEN { n_in_squares } else { 0 };
        for (factor, &value) in row.iter().enumerate().skip(first) {
            panel[factor * panel_len + item] = value;
        }
    }
}

/// Rows become columns: a perfect shuffle of all elements moves every bit of a place up by one, and after as many as a row's place
/// has bits, rows and columns have changed places.
///
/// # Safety
/// The processor has the vector's instructions.
#[inline(always)]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn transposed<V: Vector, const LEN: usize>(mut square: [V; LEN]) -> [V; LEN] {
    for _ in 0..LEN.ilog2() {
        let before = square;
        for i in 0..LEN / 2 {
            // SAFETY: the caller's.
            (square[2 * i], square[2 * i + 1]) = unsafe { V::interleave(before[i], before[i + LEN / 2]) };
        }
    }
    square
}
