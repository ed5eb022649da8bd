//! The fast kernel against a naive one that scores and sorts everything, with exact equality, on odd shapes and all instruction
//! sets; and the edge cases by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// A small model with everything in memory.
#[derive(Clone, Debug)]
struct Fixture {
    n_factors: usize,
    user_factors: Vec<f32>,
    item_factors: Vec<f32>,
    user_bias: Option<Vec<f32>>,
    item_bias: Option<Vec<f32>>,
    indptr: Vec<u64>,
    indices: Vec<u32>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough to make factors from a seed.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Fixture {
    /// Factors from a few coarse values when `has_ties`, so that many scores are equal; one item in `1 / seen_share` seen.
    fn new(seed: u64, n_users: usize, n_items: usize, n_factors: usize, has_bias: bool, has_ties: bool, seen_share: u64) -> Self {
        let mut state = seed;
        let mut values = |n: usize| -> Vec<f32> {
            let value = |random: u64| if has_ties { (random % 3) as f32 - 1.0 } else { (random >> 40) as f32 / (1 << 23) as f32 - 1.0 };
            (0..n).map(|_| value(next(&mut state))).collect()
        };
        let (user_factors, item_factors) = (values(n_users * n_factors), values(n_items * n_factors));
        let (user_bias, item_bias) = if has_bias { (Some(values(n_users)), Some(values(n_items))) } else { (None, None) };
        let mut indptr = vec![0];
        let mut indices = vec![];
        for _ in 0..n_users {
            indices.extend((0..n_items as u32).filter(|_| seen_share > 0 && next(&mut state) % 100 < seen_share));
            indptr.push(indices.len() as u64);
        }
        Self { n_factors, user_factors, item_factors, user_bias, item_bias, indptr, indices }
    }

    fn model(&self) -> FactorModel<'_> {
        FactorModel::new(&self.user_factors, &self.item_factors, self.n_factors, self.user_bias.as_deref(), self.item_bias.as_deref())
            .unwrap()
    }

    fn seen(&self) -> SeenItems<'_> {
        SeenItems::checked(&self.indptr, &self.indices, self.model().n_users(), self.model().n_items()).unwrap()
    }

    fn item_bounds(&self) -> RowBounds {
        let infinite = RowBounds { max_norm: f64::INFINITY, max_abs_bias: 0.0 };
        row_bounds(&self.item_factors, self.n_factors, self.item_bias.as_deref()).unwrap_or(infinite)
    }

    fn fast(&self, users: &[u32], top_n: usize, set: InstructionSet) -> Result<Vec<Vec<ScoredItem>>, NonFiniteScore> {
        let scorer = Scorer::new(self.model(), self.item_bounds(), self.seen(), top_n, set);
        let mut lists = vec![];
        scorer.recommend(users, &mut Scratch::default(), |list| lists.push(list.to_vec()))?;
        Ok(lists)
    }

    /// Everything scored by the definition, sorted as a person would say it.
    fn naive(&self, user: u32, top_n: usize) -> Vec<ScoredItem> {
        let model = self.model();
        let user = user as usize;
        let score_of = |item: usize| score(model.user(user), model.item(item), model.user_bias(user), model.item_bias(item)) + 0.0;
        let seen: HashSet<u32> = self.seen().of(user).iter().copied().collect();
        let unseen = (0..model.n_items()).filter(|&item| !seen.contains(&(item as u32)));
        let mut list: Vec<ScoredItem> = unseen.map(|item| ScoredItem { item: item as u32, score: score_of(item) }).collect();
        list.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.item.cmp(&b.item)));
        list.truncate(top_n);
        list
    }

    fn all_users(&self) -> Vec<u32> {
        (0..self.model().n_users() as u32).collect()
    }

    fn assert_equal_to_naive(&self, top_n: usize) {
        let users = self.all_users();
        let naive: Vec<_> = users.iter().map(|&user| bits(&self.naive(user, top_n))).collect();
        for set in InstructionSet::available() {
            let fast: Vec<_> = self.fast(&users, top_n, set).unwrap().iter().map(|list| bits(list)).collect();
            assert_eq!(fast, naive, "{set:?}");
        }
    }
}

/// Bits, so that equality is exact and 0.0 differs from -0.0.
fn bits(list: &[ScoredItem]) -> Vec<(u32, u32)> {
    list.iter().map(|line| (line.item, line.score.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_naive_recommender_on_odd_shapes(
        seed in any::<u64>(), n_users in 1_usize..70, n_items in 1_usize..600, n_factors in 1_usize..24,
        has_bias in any::<bool>(), has_ties in any::<bool>(), seen_share in 0_u64..=100, top_n in 1_usize..400,
    ) {
        Fixture::new(seed, n_users, n_items, n_factors, has_bias, has_ties, seen_share).assert_equal_to_naive(top_n);
    }
}

#[test]
fn many_items_make_the_threshold_rise() {
    Fixture::new(1, 40, 9_001, 7, true, false, 5).assert_equal_to_naive(10);
    Fixture::new(2, 33, 5_000, 3, false, true, 5).assert_equal_to_naive(100);
}

#[test]
fn of_equal_scores_beyond_any_number_the_lowest_items_are_kept() {
    let mut fixture = Fixture::new(11, 25, 4_000, 2, false, false, 3);
    fixture.item_factors.fill(0.5);
    fixture.assert_equal_to_naive(30);
    // Better ones come last, when the list is full of equal ones.
    (3_000 * 2..3_020 * 2).for_each(|place| fixture.item_factors[place] = 0.75);
    fixture.assert_equal_to_naive(30);
}

#[test]
fn the_widest_factors_span_several_item_blocks() {
    Fixture::new(3, 17, 700, 1024, true, false, 10).assert_equal_to_naive(20);
}

#[test]
fn lists_do_not_depend_on_who_is_beside_whom() {
    let fixture = Fixture::new(4, 600, 150, 9, true, false, 10);
    let all = fixture.all_users();
    for set in InstructionSet::available() {
        let whole = fixture.fast(&all, 12, set).unwrap();
        for block_len in [1, 5, 32, 500] {
            let pieces: Vec<_> = all.chunks(block_len).flat_map(|users| fixture.fast(users, 12, set).unwrap()).collect();
            assert_eq!(pieces, whole, "{set:?} in blocks of {block_len}");
        }
        let backwards: Vec<u32> = all.iter().rev().copied().collect();
        let mut lists = fixture.fast(&backwards, 12, set).unwrap();
        lists.reverse();
        assert_eq!(lists, whole);
    }
}

#[test]
fn a_list_longer_than_a_pass_has_memory_for_is_scored_user_by_user() {
    let fixture = Fixture::new(5, 3, 300_000, 1, false, false, 1);
    for set in InstructionSet::available() {
        let lists = fixture.fast(&[2, 0], 290_000, set).unwrap();
        assert_eq!(bits(&lists[0]), bits(&fixture.naive(2, 290_000)));
        assert_eq!(bits(&lists[1]), bits(&fixture.naive(0, 290_000)));
    }
}

#[test]
fn a_user_who_has_seen_everything_gets_an_empty_list() {
    let fixture = Fixture::new(6, 3, 50, 4, false, false, 100);
    for set in InstructionSet::available() {
        assert!(fixture.fast(&[0, 1, 2], 10, set).unwrap().iter().all(Vec::is_empty));
    }
}

#[test]
fn single_items_have_the_scores_of_their_definition() {
    let fixture = Fixture::new(12, 9, 50, 13, true, false, 0);
    let model = fixture.model();
    for (user, items) in [(0, vec![]), (3, vec![7]), (8, vec![49, 0, 0, 13, 21, 4, 5, 6, 7]), (1, (0..50).collect())] {
        let mut scored = vec![];
        score_items(&model, user, &items, &mut scored);
        let of_item = |&item: &u32| {
            let (u, i) = (user as usize, item as usize);
            ScoredItem { item, score: score(model.user(u), model.item(i), model.user_bias(u), model.item_bias(i)) }
        };
        assert_eq!(scored, items.iter().map(of_item).collect::<Vec<_>>());
    }
}

#[test]
fn zeros_of_either_sign_tie() {
    let mut fixture = Fixture::new(7, 1, 3, 1, true, false, 0);
    fixture.user_factors = vec![-0.0];
    fixture.item_factors = vec![1.0, -1.0, 1.0];
    fixture.user_bias = Some(vec![-0.0]);
    fixture.item_bias = Some(vec![-0.0, -0.0, 0.0]);
    for set in InstructionSet::available() {
        let list = &fixture.fast(&[0], 3, set).unwrap()[0];
        assert_eq!(bits(list), [(0, 0), (1, 0), (2, 0)]);
    }
}

#[test]
fn a_score_that_is_not_finite_is_refused_with_its_user_and_item() {
    for (factor, what) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf"), (f32::MAX, "inf")] {
        let mut fixture = Fixture::new(8, 40, 30, 2, false, false, 0);
        fixture.user_factors[2 * 33] = factor;
        fixture.item_factors[2 * 4] = 3.0;
        (0..4).for_each(|item| fixture.item_factors[2 * item] = 0.0);
        for set in InstructionSet::available() {
            let error = fixture.fast(&fixture.all_users(), 5, set).unwrap_err();
            assert_eq!((error.position, error.user), (33, 33));
            // 0 × ∞ is NaN: an infinite factor shows at the first item already.
            assert_eq!(error.item, if factor == f32::MAX { 4 } else { 0 }, "{what}");
            assert!(!error.score.is_finite());
        }
    }
}

#[test]
fn an_item_that_is_not_finite_spoils_only_users_who_have_not_seen_it() {
    let mut fixture = Fixture::new(9, 2, 20, 3, false, false, 0);
    fixture.item_factors[3 * 7] = f32::NAN;
    (fixture.indptr, fixture.indices) = (vec![0, 1, 1], vec![7]);
    for set in InstructionSet::available() {
        assert_eq!(fixture.fast(&[0], 20, set).unwrap()[0].len(), 19);
        let error = fixture.fast(&[0, 1], 20, set).unwrap_err();
        assert_eq!((error.position, error.user, error.item), (1, 1, 7));
    }
}

#[test]
fn huge_scores_that_fit_are_the_same_as_by_definition() {
    let mut fixture = Fixture::new(10, 5, 600, 2, false, false, 10);
    fixture.user_factors.iter_mut().for_each(|factor| *factor *= 1.0e38);
    fixture.assert_equal_to_naive(9);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let message = |result: Result<FactorModel<'_>, ShapeError>| result.unwrap_err().to_string();
    assert!(message(FactorModel::new(&[1.0; 5], &[1.0; 4], 2, None, None)).contains("user_factors"));
    assert!(message(FactorModel::new(&[1.0; 4], &[1.0; 5], 2, None, None)).contains("item_factors"));
    assert!(message(FactorModel::new(&[1.0; 4], &[1.0; 4], 2, Some(&[1.0]), None)).contains("user_bias"));
    assert!(message(FactorModel::new(&[1.0; 4], &[1.0; 4], 2, None, Some(&[1.0; 3]))).contains("item_bias"));
    assert!(message(FactorModel::new(&[], &[], 0, None, None)).contains("no columns"));
}

#[test]
fn row_pointers_that_do_not_fit_are_refused() {
    let check = |indptr: &[u64], indices: &[u32]| SeenItems::checked(indptr, indices, 2, 10).map(drop);
    assert_eq!(check(&[0, 1, 3], &[9, 0, 1]), Ok(()));
    assert_eq!(check(&[0, 3], &[0, 1, 2]), Err(CsrError::Pointers { n_users: 2, n_indices: 3 }));
    assert_eq!(check(&[1, 1, 3], &[0, 1, 2]), Err(CsrError::Pointers { n_users: 2, n_indices: 3 }));
    assert_eq!(check(&[0, 1, 2], &[0, 1, 2]), Err(CsrError::Pointers { n_users: 2, n_indices: 3 }));
    assert_eq!(check(&[0, 4, 3], &[0, 1, 2]), Err(CsrError::Falling { user: 0 }));
    assert_eq!(check(&[0, u64::MAX, 3], &[0, 1, 2]), Err(CsrError::Falling { user: 0 }));
    assert_eq!(check(&[0, 1, 3], &[0, 1, 10]), Err(CsrError::OutOfRange { user: 1, item: 10, n_items: 10 }));
    assert_eq!(check(&[0, 1, 3], &[0, 2, 1]), Err(CsrError::Unsorted { user: 1 }));
    assert_eq!(check(&[0, 1, 3], &[0, 1, 1]), Err(CsrError::Unsorted { user: 1 }));
}

#[test]
fn bounds_name_the_first_row_that_is_not_finite() {
    let bounds = row_bounds(&[3.0, 4.0, 0.0, 0.0], 2, Some(&[-7.0, 1.0])).unwrap();
    assert_eq!(bounds, RowBounds { max_norm: 5.0, max_abs_bias: 7.0 });
    assert_eq!(row_bounds(&[1.0, 2.0, f32::NAN, 0.0], 2, None), Err(NonFiniteRow { row: 1, is_bias: false }));
    assert_eq!(row_bounds(&[1.0, 2.0], 2, Some(&[f32::INFINITY])), Err(NonFiniteRow { row: 0, is_bias: true }));
}

#[test]
fn keys_order_scores_and_come_back() {
    let scores = [f32::MIN, -1.5, -f32::MIN_POSITIVE, 0.0, f32::MIN_POSITIVE, 1.5, f32::MAX];
    let keys: Vec<u64> = scores.iter().map(|&score| ranking::key_of(3, score)).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
    assert!(keys.iter().zip(scores).all(|(&key, score)| ranking::scored_item_of(key) == ScoredItem { item: 3, score }));
    assert_eq!(ranking::key_of(1, -0.0), ranking::key_of(1, 0.0));
    assert!(ranking::key_of(1, 2.0) > ranking::key_of(2, 2.0));
}
