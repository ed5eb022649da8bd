//! The walk in vectors of 512 bits: 16 rows a vector, several vectors in turn, and a row that has arrived makes room for the next
//! one. The only place of the forests with `unsafe`; what it reads is held inside its arrays here, whatever they hold.

use super::row_block::Code;
use super::tree::{BIN_MASK, CATEGORICAL, DEFAULT_LEFT, FEATURE_SHIFT, LEAF, PLACE_MASK};
use super::walk::Walk;
use std::arch::x86_64::{
    __m512i, __mmask16, _mm512_add_epi32, _mm512_and_si512, _mm512_castsi512_si256, _mm512_cmpeq_epi32_mask, _mm512_cmple_epu32_mask,
    _mm512_extracti64x4_epi64, _mm512_i32gather_epi64, _mm512_loadu_si512, _mm512_mask_blend_epi32, _mm512_mask_expand_epi32,
    _mm512_mask_expandloadu_epi32, _mm512_mask_i32gather_epi32, _mm512_mask_i32scatter_epi32, _mm512_mask_mov_epi32, _mm512_min_epu32,
    _mm512_mullo_epi32, _mm512_permutex2var_epi32, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_srli_epi32,
    _mm512_storeu_si512, _mm512_test_epi32_mask,
};

/// Rows in a vector.
const N_LANES: usize = 16;
/// Vectors that are worked on in turn: while one waits for its nodes, the others have their codes compared.
const N_VECTORS: usize = 8;
/// Arrived rows that a vector waits for before it takes in new ones.
const MIN_REFILL: u32 = 4;

/// Whether this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// Sends rows down as [`Walk::descend`] does.
pub(super) fn descend<C: Code>(walk: &Walk<'_, C>, rows: &[u32], leaves: &mut [u32]) {
    let (codes, stride) = (walk.block.codes(), walk.block.stride());
    assert!(is_available() && rows.len() == leaves.len() && !walk.nodes.is_empty() && walk.n_features > 0 && walk.n_features <= stride);
    // Of a code, the four bytes from its beginning are read. Places are 32-bit numbers.
    let n_codes = codes.len() - 4 / size_of::<C>();
    assert!(rows.iter().all(|&row| (row as usize + 1) * stride <= n_codes));
    assert!(codes.len() <= i32::MAX as usize && walk.nodes.len() <= PLACE_MASK as usize + 1);
    // SAFETY: the processor has AVX-512F, and what the function asks for was asserted above.
    #[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
    unsafe {
        match size_of::<C>() {
            1 => descend_unchecked::<C, 1>(walk, rows, leaves),
            _ => descend_unchecked::<C, 2>(walk, rows, leaves),
        }
    }
}

/// Rows that are on their way, one a lane.
#[derive(Clone, Copy)]
struct Lanes {
    /// The node that each is at.
    at: __m512i,
    /// Where its codes begin.
    first: __m512i,
    /// Its place in the list of rows.
    place: __m512i,
    /// Lanes that have a row.
    live: __mmask16,
}

/// # Safety
/// The processor must have AVX-512F; there must be as many leaves as rows, at least one node and one feature; every row, four
/// bytes behind its last feature included, must lie in the block; nodes and codes must be counted by 31 bits; `SCALE` is the size
/// of `C`.
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vector instructions beyond the baseline")]
unsafe fn descend_unchecked<C: Code, const SCALE: i32>(walk: &Walk<'_, C>, rows: &[u32], leaves: &mut [u32]) {
    let zero = _mm512_setzero_si512();
    let splat = |word: u32| _mm512_set1_epi32(word.cast_signed());
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, splat(1));
    let lane_numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let (last_node, last_feature) = (splat(walk.nodes.len() as u32 - 1), splat(walk.n_features as u32 - 1));
    let missing = splat(C::MISSING.into());
    let root = walk.nodes[0];
    if root[1] & LEAF != 0 {
        return leaves.fill(0);
    }
    let (nodes, codes) = (walk.nodes.as_ptr().cast::<i64>(), walk.block.codes().as_ptr().cast::<i32>());
    let mut n_begun = 0;
    // All lanes are free at first, which is the same as if they had just arrived.
    let mut vectors = [Lanes { at: zero, first: zero, place: zero, live: 0 }; N_VECTORS];
    let mut refill = |lanes: &mut Lanes, free: __mmask16| {
        let taken = lowest_bits(free, rows.len() - n_begun);
        // SAFETY: as many rows are read as bits are set, no more than are left.
        let new_rows = unsafe { _mm512_mask_expandloadu_epi32(zero, taken, rows.as_ptr().add(n_begun).cast()) };
        let new_places = _mm512_add_epi32(_mm512_mask_expand_epi32(zero, taken, lane_numbers), splat(n_begun as u32));
        lanes.first = _mm512_mask_mov_epi32(lanes.first, taken, _mm512_mullo_epi32(new_rows, splat(walk.block.stride() as u32)));
        lanes.place = _mm512_mask_mov_epi32(lanes.place, taken, new_places);
        lanes.at = _mm512_mask_mov_epi32(lanes.at, taken, zero);
        lanes.live = lanes.live & !free | taken;
        n_begun += taken.count_ones() as usize;
        taken
    };
    vectors.iter_mut().for_each(|lanes| {
        refill(lanes, !0);
    });
    while vectors.iter().any(|lanes| lanes.live != 0) {
        for lanes in &mut vectors {
            // SAFETY: every place is at most the last node; a lane without a row stands at some node too.
            let (low, high) = unsafe {
                let (low, high) = (_mm512_castsi512_si256(lanes.at), _mm512_extracti64x4_epi64::<1>(lanes.at));
                (_mm512_i32gather_epi64::<8>(low, nodes), _mm512_i32gather_epi64::<8>(high, nodes))
            };
            let (mut head, mut tail) = (_mm512_permutex2var_epi32(low, even, high), _mm512_permutex2var_epi32(low, odd, high));
            let mut arrived = _mm512_test_epi32_mask(tail, splat(LEAF)) & lanes.live;
            if arrived != 0 && (arrived.count_ones() >= MIN_REFILL || arrived == lanes.live) {
                // SAFETY: every place in the list of rows is one in the list of leaves.
                unsafe { _mm512_mask_i32scatter_epi32::<4>(leaves.as_mut_ptr().cast(), arrived, lanes.place, lanes.at) };
                let taken = refill(lanes, arrived);
                head = _mm512_mask_mov_epi32(head, taken, splat(root[0]));
                tail = _mm512_mask_mov_epi32(tail, taken, splat(root[1]));
                arrived = 0;
            }
            let moving = lanes.live & !arrived;
            let feature = _mm512_min_epu32(_mm512_srli_epi32::<FEATURE_SHIFT>(head), last_feature);
            // SAFETY: the code of a feature of a row of the block.
            let code = unsafe { _mm512_mask_i32gather_epi32::<SCALE>(zero, moving, _mm512_add_epi32(lanes.first, feature), codes) };
            let code = _mm512_and_si512(code, missing);
            let is_default = _mm512_cmpeq_epi32_mask(code, missing) & _mm512_test_epi32_mask(tail, splat(DEFAULT_LEFT));
            let goes_left = _mm512_cmple_epu32_mask(code, _mm512_and_si512(head, splat(BIN_MASK))) | is_default;
            let left = _mm512_add_epi32(lanes.at, splat(1));
            let mut child = _mm512_mask_blend_epi32(goes_left, _mm512_and_si512(tail, splat(PLACE_MASK)), left);
            let by_level = _mm512_test_epi32_mask(tail, splat(CATEGORICAL)) & moving;
            if by_level != 0 {
                child = step_by_level(walk, by_level, [lanes.at, head, tail, code, child]);
            }
            lanes.at = _mm512_mask_mov_epi32(lanes.at, moving, _mm512_min_epu32(child, last_node));
        }
    }
}

/// The children, those of lanes at a categorical split found one by one.
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "vectors are stored")]
fn step_by_level<C: Code>(walk: &Walk<'_, C>, mut by_level: __mmask16, vectors: [__m512i; 5]) -> __m512i {
    let mut words = [[0u32; N_LANES]; 5];
    for (words, vector) in words.iter_mut().zip(vectors) {
        // SAFETY: 16 words are written to as many.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    }
    let [at, head, tail, code, mut children] = words;
    while by_level != 0 {
        let lane = by_level.trailing_zeros() as usize;
        children[lane] = walk.next_by_level(at[lane], [head[lane], tail[lane]], code[lane]);
        by_level &= by_level - 1;
    }
    // SAFETY: 16 words are read of as many.
    unsafe { _mm512_loadu_si512(children.as_ptr().cast()) }
}

/// As many of the lowest bits that are set as are wanted.
fn lowest_bits(mut bits: __mmask16, n_wanted: usize) -> __mmask16 {
    while bits.count_ones() as usize > n_wanted {
        bits &= !(1 << bits.ilog2());
    }
    bits
}
