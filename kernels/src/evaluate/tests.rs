//! Metrics by hand, against naive ones that follow the definitions word by word, and by the properties that they must have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;

fn at(n: u32) -> Cutoff {
    Cutoff::At(NonZeroU32::new(n).unwrap())
}

/// All metrics at these cutoffs, by name.
fn measure(settings: Settings, cutoffs: &[Cutoff], list: &[u32], truth: Truth<'_>) -> BTreeMap<String, f64> {
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| truth.has_ratings() || !metric.needs_ratings()).collect();
    let evaluator = Evaluator::new(&metrics, cutoffs, settings).unwrap();
    let mut row = vec![];
    evaluator.measure(list, truth, &mut Scratch::default(), &mut row).unwrap();
    evaluator.columns().iter().map(Column::to_string).zip(row).collect()
}

fn check(found: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (name, value) in expected {
        assert!((found[*name] - value).abs() < 1e-15 || found[*name].is_nan() && value.is_nan(), "{name}: {} {value}", found[*name]);
    }
}

const BINARY_METRICS: [&str; 8] = ["ndcg", "dcg", "precision", "recall", "hit", "reciprocal_rank", "average_precision", "rbp"];

#[test]
fn a_list_by_hand() {
    // Relevant at ranks 2 and 5; three of four relevant items have a positive rating.
    let (list, items, ratings) = ([9, 4, 8, 7, 1, 6], [1, 4, 30, 31], [2.0, 5.0, 0.0, 4.0]);
    let truth = Truth::with_ratings(&items, &ratings).unwrap();
    let settings = Settings { patience: 0.5, ..Settings::default() };
    let found = measure(settings, &[at(3), at(5), Cutoff::WholeList], &list, truth);
    let (third, fifth) = (1.0 / 3f64.log2(), 1.0 / 5f64.log2());
    check(&found, &[("ndcg@3", 1.0 / (2.0 + third)), ("dcg@3", 1.0), ("ndcg@5", (1.0 + fifth) / (2.5 + third)), ("dcg", 1.0 + fifth)]);
    check(&found, &[("graded_dcg@5", 5.0 + 2.0 * fifth), ("graded_ndcg@5", (5.0 + 2.0 * fifth) / (9.0 + 2.0 * third))]);
    check(&found, &[("graded_ndcg@3", 5.0 / (9.0 + 2.0 * third))]);
    check(&found, &[("precision@3", 1.0 / 3.0), ("precision@5", 0.4), ("precision", 1.0 / 3.0)]);
    check(&found, &[("recall@3", 1.0 / 3.0), ("recall@5", 0.5), ("recall", 0.5)]);
    check(&found, &[("hit@3", 1.0), ("reciprocal_rank@3", 0.5), ("reciprocal_rank", 0.5)]);
    check(&found, &[("average_precision@3", 0.5 / 3.0), ("average_precision@5", (0.5 + 0.4) / 4.0)]);
    check(&found, &[("rbp@3", 0.25), ("rbp", 0.25 + 0.5 / 16.0)]);
    let shifted = Settings { discount: LogDiscount::Shifted, ..settings };
    check(&measure(shifted, &[at(3)], &list, truth), &[("dcg@3", third), ("ndcg@3", third / (1.0 + third + 0.5))]);
}

#[test]
fn edges_are_as_documented() {
    let cutoffs = [at(3)];
    let nothing_relevant = measure(Settings::default(), &cutoffs, &[1, 2], Truth::of_items(&[]));
    for name in BINARY_METRICS {
        let value = nothing_relevant[&format!("{name}@3")];
        assert!(if name == "precision" { value == 0.0 } else { value.is_nan() }, "{name} of nothing relevant: {value}");
    }
    let empty_list = measure(Settings::default(), &cutoffs, &[], Truth::of_items(&[1, 2]));
    for name in BINARY_METRICS {
        let value = empty_list[&format!("{name}@3")];
        let is_undefined = name == "precision" || name == "average_precision";
        assert!(if is_undefined { value.is_nan() } else { value == 0.0 }, "{name} of an empty list: {value}");
    }
    // A list shorter than the cutoff is held against the ideal list of the cutoff's length, but its precision is its own.
    let short = measure(Settings::default(), &cutoffs, &[1], Truth::of_items(&[1, 2, 3, 4]));
    check(
        &short,
        &[("precision@3", 1.0), ("recall@3", 1.0 / 3.0), ("average_precision@3", 1.0), ("ndcg@3", 1.0 / (2.0 + 1.0 / 3f64.log2()))],
    );
}

#[test]
fn ratings_that_say_nothing() {
    let measured = |ratings: &[f32]| measure(Settings::default(), &[at(2)], &[1, 2], Truth::with_ratings(&[1, 2], ratings).unwrap());
    check(&measured(&[f32::NAN, f32::NAN]), &[("graded_ndcg@2", f64::NAN), ("graded_dcg@2", f64::NAN), ("ndcg@2", 1.0)]);
    check(&measured(&[0.0, -3.0]), &[("graded_ndcg@2", 0.0), ("graded_dcg@2", 0.0), ("ndcg@2", 1.0)]);
    check(&measured(&[-3.0, 4.0]), &[("graded_ndcg@2", 1.0), ("graded_dcg@2", 4.0)]);
}

#[test]
fn repeated_items_are_counted() {
    let evaluator = Evaluator::new(&[Metric::Recall, Metric::GradedDcg], &[at(3)], Settings::default()).unwrap();
    let truth = Truth::with_ratings(&[7, 5, 7], &[1.0, 2.0, 3.0]).unwrap();
    let mut row = vec![];
    let facts = evaluator.measure(&[7, 9, 7, 7], truth, &mut Scratch::default(), &mut row).unwrap();
    assert_eq!(facts, ListFacts { n_listed: 4, n_relevant: 2, n_repeated_hits: 1, n_repeated_truth: 1 });
    assert_eq!(row, [1.0, 3.0 + 3.0 / 3f64.log2()], "the larger rating, at each rank");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let refused = |metrics: &[Metric], cutoffs: &[Cutoff], patience| {
        Evaluator::new(metrics, cutoffs, Settings { patience, ..Settings::default() }).err()
    };
    assert_eq!(refused(&[], &[at(1)], 0.5), Some(SettingsError::NoColumns));
    assert_eq!(refused(&[Metric::Ndcg], &[], 0.5), Some(SettingsError::NoColumns));
    assert_eq!(refused(&[Metric::Rbp], &[at(1)], 1.0), Some(SettingsError::Patience(1.0)));
    assert!(refused(&[Metric::Rbp], &[at(1)], f64::NAN).is_some());
    let evaluator = Evaluator::new(&[Metric::Ndcg, Metric::GradedNdcg], &[at(1)], Settings::default()).unwrap();
    let error = evaluator.measure(&[1], Truth::of_items(&[1]), &mut Scratch::default(), &mut vec![]).unwrap_err();
    assert_eq!(error.to_string(), "the truth has no ratings, which graded_ndcg needs; give ratings or leave the metric out");
    assert_eq!(Truth::with_ratings(&[1, 2], &[1.0]).unwrap_err(), LengthMismatch { n_items: 2, n_values: 1 });
    assert!("mrr".parse::<Metric>().unwrap_err().to_string().contains("average_precision, rbp"));
    assert!(Metric::ALL.iter().all(|metric| metric.name().parse() == Ok(*metric)));
}

#[test]
fn rating_errors_compare_what_both_sides_have() {
    let truth = Truth::with_ratings(&[1, 2, 3, 4, 3], &[4.0, 2.0, 1.0, f32::NAN, 0.5]).unwrap();
    let items = [2, 9, 1, 4, 3];
    let errors = RatingErrors::measure(&items, &[3.0, 5.0, 2.0, 3.0, f32::NAN], truth, &mut Scratch::default()).unwrap();
    let expected = RatingErrors { n_compared: 2, sum_squared: 5.0, sum_absolute: 3.0, ..errors };
    assert_eq!(errors, RatingErrors { n_without_rating: 2, n_without_prediction: 1, n_repeated_truth: 1, ..expected });
    assert_eq!((errors.rmse(), errors.mae()), (2.5f64.sqrt(), 1.5));
    assert!(RatingErrors::measure(&items, &[1.0], truth, &mut Scratch::default()).is_err());
    assert!(RatingErrors::default().rmse().is_nan());

    let other = RatingErrors { n_compared: 1, sum_squared: 4.0, sum_absolute: 2.0, ..RatingErrors::default() };
    let mut totals = RatingErrorTotals::default();
    totals.add(&other);
    totals.add(&RatingErrors::default());
    let mut first = RatingErrorTotals::default();
    first.add(&errors);
    totals.merge(&first);
    assert_eq!((totals.n_users, totals.n_compared, totals.n_without_rating), (2, 3, 2));
    assert_eq!((totals.rmse(), totals.mae()), (3f64.sqrt(), 5.0 / 3.0));
    assert_eq!((totals.mean_rmse(), totals.mean_mae()), ((2.5f64.sqrt() + 2.0) / 2.0, 1.75));
}

/// The definitions, word by word, on lists and truths without repeated items.
fn naive(name: &str, list: &[u32], truth: &[u32], ratings: &[f32], cutoff: usize, settings: Settings) -> f64 {
    let list = &list[..list.len().min(cutoff)];
    let rating = |item: u32| truth.iter().position(|&t| t == item).map_or(0.0, |idx| f64::from(ratings[idx]).max(0.0));
    let is_relevant = |item: u32| truth.contains(&item);
    let discounted = |rank: usize, gain: f64| match settings.discount {
        LogDiscount::Clipped => gain / (rank.max(2) as f64).log2(),
        LogDiscount::Shifted => gain / ((rank + 1) as f64).log2(),
    };
    let dcg =
        |list: &[u32], gain: &dyn Fn(u32) -> f64| -> f64 { list.iter().zip(1..).map(|(&item, rank)| discounted(rank, gain(item))).sum() };
    let n_hits = |n: usize| list[..n].iter().filter(|&&item| is_relevant(item)).count() as f64;
    let mut ideal = truth.to_vec();
    ideal.sort_by(|&a, &b| rating(b).total_cmp(&rating(a)));
    ideal.truncate(cutoff);
    let hit_ranks: Vec<usize> = (1..=list.len()).filter(|&rank| is_relevant(list[rank - 1])).collect();
    let binary = |item: u32| f64::from(u8::from(is_relevant(item)));
    match name {
        "dcg" => dcg(list, &binary),
        "ndcg" => dcg(list, &binary) / dcg(&ideal, &binary),
        "graded_dcg" => dcg(list, &rating),
        "graded_ndcg" if ideal.iter().all(|&item| rating(item) == 0.0) => 0.0,
        "graded_ndcg" => dcg(list, &rating) / dcg(&ideal, &rating),
        "precision" => n_hits(list.len()) / list.len() as f64,
        "recall" => n_hits(list.len()) / truth.len().min(cutoff) as f64,
        "hit" => f64::from(u8::from(!hit_ranks.is_empty())),
        "reciprocal_rank" => hit_ranks.first().map_or(0.0, |&rank| 1.0 / rank as f64),
        "average_precision" => hit_ranks.iter().map(|&rank| n_hits(rank) / rank as f64).sum::<f64>() / list.len().min(truth.len()) as f64,
        "rbp" => (1.0 - settings.patience) * hit_ranks.iter().map(|&rank| settings.patience.powi(rank as i32 - 1)).sum::<f64>(),
        _ => panic!("{name}"),
    }
}

/// Distinct items of a small catalogue in some order.
fn distinct(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..60u32, n).prop_map(|items| {
        let mut seen = HashSet::new();
        items.into_iter().filter(|&item| seen.insert(item)).collect()
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), 0.01..0.99f64)
        .prop_map(|(clipped, patience)| Settings { discount: if clipped { LogDiscount::Clipped } else { LogDiscount::Shifted }, patience })
}

proptest! {
    #[test]
    fn metrics_are_the_naive_ones(list in distinct(1..50), truth in distinct(1..50), ratings in prop::collection::vec(-1..6i8, 50), settings in settings(), n in 1..60u32) {
        let ratings: Vec<f32> = ratings[..truth.len()].iter().map(|&rating| f32::from(rating)).collect();
        let found = measure(settings, &[at(n), Cutoff::WholeList], &list, Truth::with_ratings(&truth, &ratings).unwrap());
        for (name, value) in found {
            let (metric, cutoff) = name.split_once('@').map_or((name.as_str(), usize::MAX), |(metric, n)| (metric, n.parse().unwrap()));
            let expected = naive(metric, &list, &truth, &ratings, cutoff, settings);
            prop_assert!((value - expected).abs() < 1e-12, "{}: {} {}", name, value, expected);
            prop_assert!(value >= 0.0 && (value <= 1.0 || metric.ends_with("dcg") && !metric.ends_with("ndcg")), "{}: {}", name, value);
        }
    }

    #[test]
    fn longer_lists_never_lose(list in distinct(0..50), truth in distinct(1..50), settings in settings()) {
        let cutoffs: Vec<Cutoff> = (1..60).map(at).collect();
        let found = measure(settings, &cutoffs, &list, Truth::of_items(&truth));
        for n in 1..59u32 {
            let value = |metric: &str, n: u32| found[&format!("{metric}@{n}")];
            for metric in ["hit", "reciprocal_rank", "dcg", "rbp"] {
                prop_assert!(value(metric, n) <= value(metric, n + 1), "{}", metric);
            }
            // Recall is over min(cutoff, relevant items) and may fall while the cutoff is below those.
            if n as usize >= truth.len() {
                prop_assert!(value("recall", n) <= value("recall", n + 1));
            }
        }
    }

    #[test]
    fn the_order_of_the_truth_does_not_matter(list in distinct(0..50), truth in prop::collection::vec((0..60u32, prop::num::f32::ANY), 0..50), turn in 0..50usize) {
        let measured = |truth: &[(u32, f32)]| {
            let (items, ratings): (Vec<u32>, Vec<f32>) = truth.iter().copied().unzip();
            let found = measure(Settings::default(), &[at(7), Cutoff::WholeList], &list, Truth::with_ratings(&items, &ratings).unwrap());
            found.into_values().map(f64::to_bits).collect::<Vec<u64>>()
        };
        let mut turned = truth.clone();
        turned.rotate_left(turn.min(truth.len()));
        prop_assert_eq!(measured(&truth), measured(&turned));
        turned.reverse();
        prop_assert_eq!(measured(&truth), measured(&turned));
    }

    #[test]
    fn a_perfect_list_is_1(truth in distinct(1..50), ratings in prop::collection::vec(1..6u8, 50), rest in distinct(0..20), settings in settings(), n in 1..60u32) {
        let mut rated: Vec<(u32, f32)> = truth.iter().copied().zip(ratings.iter().map(|&rating| f32::from(rating))).collect();
        rated.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (items, ratings): (Vec<u32>, Vec<f32>) = rated.into_iter().unzip();
        let list: Vec<u32> = items.iter().copied().chain(rest.into_iter().map(|item| item + 100)).collect();
        let found = measure(settings, &[at(n), Cutoff::WholeList], &list, Truth::with_ratings(&items, &ratings).unwrap());
        for metric in ["ndcg", "graded_ndcg", "recall", "hit", "reciprocal_rank", "average_precision"] {
            prop_assert_eq!(found[&format!("{metric}@{n}")], 1.0, "{}", metric);
            prop_assert_eq!(found[metric], 1.0, "{}", metric);
        }
    }

    /// The same bytes for any division of the users and any order of the parts, with memory that has seen other users or not.
    #[test]
    fn totals_do_not_depend_on_the_partition(users in prop::collection::vec((distinct(0..20), distinct(0..20)), 0..40), cuts in prop::collection::vec(0..40usize, 0..4)) {
        let evaluator = Evaluator::new(&[Metric::Ndcg, Metric::Precision, Metric::Rbp], &[at(5), Cutoff::WholeList], Settings::default()).unwrap();
        let total = |users: &[(Vec<u32>, Vec<u32>)]| {
            let (mut totals, mut scratch, mut row) = (Totals::new(evaluator.columns().len()), Scratch::default(), vec![]);
            for (list, truth) in users {
                let facts = evaluator.measure(list, Truth::of_items(truth), &mut scratch, &mut row).unwrap();
                totals.add(&row, facts);
            }
            totals.add_truth_without_list();
            totals
        };
        let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut.min(users.len())).chain([0, users.len()]).collect();
        bounds.sort_unstable();
        let mut merged = Totals::new(evaluator.columns().len());
        for ends in bounds.windows(2).rev() {
            merged.merge(&total(&users[ends[0]..ends[1]]));
        }
        let whole = total(&users);
        prop_assert_eq!(merged.n_truths_without_list, bounds.len() as u64 - 1);
        prop_assert_eq!((merged.n_lists, merged.n_empty_lists, merged.n_lists_without_truth), (whole.n_lists, whole.n_empty_lists, whole.n_lists_without_truth));
        for (merged, whole) in merged.columns.iter().zip(&whole.columns) {
            prop_assert_eq!(merged.n_defined, whole.n_defined);
            prop_assert_eq!(merged.sum.to_bytes(), whole.sum.to_bytes());
            prop_assert_eq!(merged.mean().to_bits(), whole.mean().to_bits());
        }
        prop_assert_eq!(whole.n_empty_lists, users.iter().filter(|(list, _)| list.is_empty()).count() as u64);
        if whole.n_lists > 0 {
            let undefined = whole.columns[0].n_defined as f64 / whole.n_lists as f64;
            let (mean, mean_with_0) = (whole.columns[0].mean(), whole.columns[0].mean_with_undefined_as_0(whole.n_lists));
            prop_assert!(mean.is_nan() && mean_with_0 == 0.0 || (mean * undefined - mean_with_0).abs() < 1e-12);
        }
    }
}
