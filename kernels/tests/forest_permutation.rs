//! Importance by permutation against plain loops: the whole table with one column shuffled, predicted by the public way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forest_support;

use forest_support::{Feature, Label, Table};
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::{
    ForestArrays, ForestView, InBag, MISSING_LEVEL, RawColumn, Target, class_of, permutation_importance, permutation_losses,
};

/// A number that decides, a category that helps, noise, and a constant; with missing values.
fn table(n_rows: usize, is_regression: bool, seed: u64) -> Table {
    let mut draws = Draws::new(seed, 77, 0);
    let (mut main, mut levels, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    for _ in 0..n_rows {
        let (x, level) = (draws.unit_f64() * 8.0, draws.below(6) as u32);
        classes.push((x as u32 / 3 + level % 2).min(2));
        values.push(x * 3.0 + 8.0 * f64::from(level % 2) + draws.unit_f64());
        main.push(if draws.below(15) == 0 { f64::NAN } else { x });
        levels.push(if draws.below(15) == 0 { MISSING_LEVEL } else { level });
        noise.push(draws.unit_f64());
    }
    let features =
        vec![Feature::Numeric(main), Feature::Categorical(levels, 6), Feature::Numeric(noise), Feature::Numeric(vec![4.0; n_rows])];
    let label = if is_regression { Label::Values(values) } else { Label::Classes(classes, 3) };
    Table::with_bins(features, label, None, 255)
}

fn mean_error(table: &Table, view: &ForestView<'_>, features: &[Feature], rows: &[u32]) -> f64 {
    let picked = features.iter().map(|feature| match feature {
        Feature::Numeric(values) => Feature::Numeric(rows.iter().map(|&row| values[row as usize]).collect()),
        Feature::Categorical(levels, n) => Feature::Categorical(rows.iter().map(|&row| levels[row as usize]).collect(), *n),
    });
    let picked: Vec<Feature> = picked.collect();
    let raw = picked.iter().map(|feature| match feature {
        Feature::Numeric(values) => RawColumn::Numeric(values),
        Feature::Categorical(levels, _) => RawColumn::Categorical(levels),
    });
    let mut out = vec![0.0; rows.len() * view.n_outputs()];
    view.predict(&raw.collect::<Vec<_>>(), &mut out).unwrap();
    let errors = rows.iter().zip(out.chunks(view.n_outputs())).map(|(&row, said)| match &table.label {
        Label::Classes(classes, _) => f64::from(u8::from(class_of(said) != classes[row as usize])),
        Label::Values(values) => (said[0] - values[row as usize]).powi(2),
    });
    errors.sum::<f64>() / rows.len() as f64
}

/// The features with one of them shuffled among `rows`, drawn as the kernel says it draws.
fn with_shuffled(features: &[Feature], shuffled: usize, rows: &[u32], seed: u64, tree_idx: u64) -> Vec<Feature> {
    let mut draws = Draws::new(seed, 3, tree_idx).child(shuffled as u64);
    let mut from = rows.to_vec();
    (0..rows.len()).for_each(|place| draws.draw_to(&mut from, place));
    let mut features = features.to_vec();
    match &mut features[shuffled] {
        Feature::Numeric(values) => {
            let before = values.clone();
            rows.iter().zip(&from).for_each(|(&row, &from)| values[row as usize] = before[from as usize]);
        }
        Feature::Categorical(levels, _) => {
            let before = levels.clone();
            rows.iter().zip(&from).for_each(|(&row, &from)| levels[row as usize] = before[from as usize]);
        }
    }
    features
}

fn target(table: &Table) -> Target<'_> {
    match &table.label {
        Label::Classes(classes, n_classes) => Target::Classes { classes, n_classes: *n_classes },
        Label::Values(values) => Target::Values(values),
    }
}

#[test]
fn losses_are_those_of_a_shuffled_table() {
    for (seed, is_regression) in [(1, false), (2, false), (3, true), (4, true)] {
        let table = table(400, is_regression, seed);
        let settings = table.settings(seed);
        let (columns, mut trees) = (table.columns(), Vec::new());
        for tree_idx in 0..12 {
            let mut arrays = ForestArrays::new(&table.columns());
            arrays.push(&table.grow(settings, tree_idx));
            let view = ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap();
            let bag = InBag::draw(settings.sampling, 400, seed, tree_idx);
            let rows: Vec<u32> = (0..400).filter(|&row| bag.count(row as usize) == 0).collect();
            let losses = permutation_losses(&view, 0, &columns, target(&table), &rows, seed, tree_idx).unwrap().unwrap();
            let before = mean_error(&table, &view, &table.features, &rows);
            for (feature, loss) in losses.iter().enumerate() {
                let after = mean_error(&table, &view, &with_shuffled(&table.features, feature, &rows, seed, tree_idx), &rows);
                assert!((loss - (after - before)).abs() <= 1e-9 * after.max(1.0), "feature {feature}: {loss}, {}", after - before);
            }
            let again = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            let again = again.install(|| permutation_losses(&view, 0, &columns, target(&table), &rows, seed, tree_idx));
            assert_eq!(again.unwrap().unwrap(), losses);
            trees.push(losses);
        }
        let (means, errors) = permutation_importance(trees.iter().map(Vec::as_slice), 4);
        assert!(means[0] > means[1] && means[1] > means[2], "{means:?}");
        assert!(means[0] > 10.0 * errors[0] && means[2].abs() < means[0] / 10.0, "{means:?} {errors:?}");
        assert_eq!((means[3], errors[3]), (0.0, 0.0), "a constant tells nothing");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let table = table(60, false, 5);
    let mut arrays = ForestArrays::new(&table.columns());
    arrays.push(&table.grow(table.settings(5), 0));
    let view = ForestView::new(arrays.slices(), table.kinds(), table.outcome()).unwrap();
    let columns = table.columns();
    let losses = |tree, target, rows: &[u32]| permutation_losses(&view, tree, &columns, target, rows, 5, 0);
    assert_eq!(losses(0, target(&table), &[]).unwrap(), None);
    assert!(losses(0, target(&table), &[60]).is_err());
    assert!(losses(1, target(&table), &[0]).is_err());
    assert!(losses(0, Target::Classes { classes: &[0; 59], n_classes: 3 }, &[0]).is_err());
}
