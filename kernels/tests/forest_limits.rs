//! Trees of a limited number of leaves, and bags whose classes are balanced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Label, random_table};
use paceline_kernels::forest::{GrowSettings, Grower, Nesting, Sampling, Tree, bag_class_weights};

fn gain(tree: &Tree) -> f64 {
    tree.feature_gains.iter().sum()
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    for (n_rows, n_categorical, n_classes) in [(500, 2, 3), (300, 0, 0), (2000, 1, 2)] {
        let table = random_table(n_rows, 5, n_categorical, n_classes, 3);
        for tree_idx in 0..3 {
            let whole = table.grow(table.settings(3), tree_idx);
            let limit = Some(whole.n_leaves() as u32);
            assert_eq!(table.grow(GrowSettings { max_leaf_nodes: limit, ..table.settings(3) }, tree_idx), whole);
        }
    }
}

#[test]
fn a_limited_tree_keeps_to_its_limit_and_takes_the_best_splits_first() {
    let table = random_table(800, 6, 1, 3, 4);
    let settings = GrowSettings { max_features: 7, ..table.settings(4) };
    let limited = |limit| table.grow(GrowSettings { max_leaf_nodes: Some(limit), ..settings }, 0);
    let trees: Vec<Tree> = (2..40).map(limited).collect();
    for (limit, tree) in (2..).zip(&trees) {
        assert_eq!(tree.n_leaves(), limit);
    }
    // One more leaf always gains, and as the best open split is taken, a tree of the same number of leaves that was
    // grown level by level gains no more.
    assert!(trees.windows(2).all(|pair| gain(&pair[0]) <= gain(&pair[1])));
    for depth in 1..5 {
        let by_depth = table.grow(GrowSettings { max_depth: Some(depth), ..settings }, 0);
        let by_gain = limited(by_depth.n_leaves() as u32);
        assert!(gain(&by_gain) >= 0.999 * gain(&by_depth), "depth {depth}: {} and {}", gain(&by_gain), gain(&by_depth));
    }
}

#[test]
fn a_limited_tree_does_not_depend_on_threads() {
    let table = random_table(40_000, 5, 1, 3, 5);
    let grower = Grower::new(table.set(), table.rows(), GrowSettings { max_leaf_nodes: Some(50), ..table.settings(5) }).unwrap();
    let alone = grower.grow(0, Nesting::Sequential);
    for n_threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        assert_eq!(pool.install(|| grower.grow(0, Nesting::Nested)), alone);
    }
}

#[test]
fn balanced_bags_of_all_rows_are_balanced_weights() {
    let table = random_table(600, 5, 2, 4, 6);
    let Label::Classes(classes, n_classes) = &table.label else { panic!("the table has classes") };
    let settings = GrowSettings { sampling: Sampling::All, ..table.settings(6) };
    let of_class = bag_class_weights(classes, *n_classes, &vec![1; classes.len()], None);
    let mut weighted = table.clone();
    weighted.weights = Some(classes.iter().map(|&class| of_class[class as usize]).collect());
    let balanced = GrowSettings { balance_each_bag: true, ..settings };
    assert_eq!(table.grow(balanced, 1), weighted.grow(settings, 1));
    // In a bootstrap the weights are those of the tree's own bag.
    let bootstrap = GrowSettings { sampling: table.settings(6).sampling, ..balanced };
    assert_ne!(table.grow(bootstrap, 1), weighted.grow(table.settings(6), 1));
}

#[test]
fn a_balanced_bag_without_any_weight_falls_back_to_all_rows() {
    let mut table = random_table(30, 2, 0, 2, 7);
    // One row has weight, and a bag of one draw hardly ever has it.
    table.weights = Some((0..30).map(|row| f64::from(u8::from(row == 11))).collect());
    let settings = GrowSettings { balance_each_bag: true, sampling: Sampling::Bootstrap { n_draws: 1 }, ..table.settings(7) };
    for tree_idx in 0..20 {
        assert_eq!(table.grow(settings, tree_idx).n_nodes(), 1);
    }
}
