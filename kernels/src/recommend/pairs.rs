//! Scores of single items, where a user is not scored against the whole catalogue. The order of summation is that of all scores.

use super::model::FactorModel;
use super::ranking::ScoredItem;

/// Items whose sums are taken side by side: one sum alone would wait for each of its steps.
const N_CHAINS: usize = 8;

/// Adds the scores of `user` and each of `items` to `scored`, in their order.
///
/// # Panics
/// Where the model has no such row.
pub fn score_items(model: &FactorModel<'_>, user: u32, items: &[u32], scored: &mut Vec<ScoredItem>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the instructions.
        #[expect(unsafe_code, reason = "fused multiply-add is not in the baseline, and its emulation is slow")]
        return unsafe { score_with_fma(model, user, items, scored) };
    }
    score_in_chains(model, user, items, scored);
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[expect(unsafe_code, reason = "fused multiply-add is not in the baseline, and its emulation is slow")]
unsafe fn score_with_fma(model: &FactorModel<'_>, user: u32, items: &[u32], scored: &mut Vec<ScoredItem>) {
    score_in_chains(model, user, items, scored);
}

#[inline(always)]
fn score_in_chains(model: &FactorModel<'_>, user: u32, items: &[u32], scored: &mut Vec<ScoredItem>) {
    let user = user as usize;
    let (factors, bias) = (model.user(user), model.user_bias(user));
    for items in items.chunks(N_CHAINS) {
        // Chains without an item of their own follow the last one.
        let item = |chain: usize| items[chain.min(items.len() - 1)] as usize;
        let rows: [&[f32]; N_CHAINS] = std::array::from_fn(|chain| &model.item(item(chain))[..factors.len()]);
        let mut sums: [f32; N_CHAINS] = std::array::from_fn(|chain| bias + model.item_bias(item(chain)));
        for (place, &factor) in factors.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                *sum = factor.mul_add(row[place], *sum);
            }
        }
        // Adding 0.0 turns -0.0 into 0.0.
        scored.extend(items.iter().zip(sums).map(|(&item, score)| ScoredItem { item, score: score + 0.0 }));
    }
}
