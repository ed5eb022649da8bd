//! Tests of the bins of one column.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

fn codes(bins: &NumericBins, values: &[f64]) -> Vec<usize> {
    values.iter().map(|&v| bins.code_of(v)).collect()
}

#[test]
fn few_values_get_a_bin_each() {
    let values = [3.0, 1.0, f64::NAN, 2.0, 1.0, -0.0, 0.0];
    let bins = NumericBins::fit(&values, 255).unwrap();
    assert_eq!(bins.thresholds(), [0.5, 1.5, 2.5]);
    assert_eq!(codes(&bins, &values), [3, 1, 4, 2, 1, 0, 0]);
    assert_eq!(bins.encode(&values), BinCodes::U8(vec![3, 1, 4, 2, 1, 0, 0]));
}

#[test]
fn infinities_are_values() {
    let values = [f64::NEG_INFINITY, -1.0, 1.0, f64::INFINITY];
    let bins = NumericBins::fit(&values, 255).unwrap();
    assert_eq!(codes(&bins, &values), [0, 1, 2, 3]);
    let bins = NumericBins::fit(&[f64::NEG_INFINITY, f64::INFINITY], 255).unwrap();
    assert_eq!(codes(&bins, &[f64::NEG_INFINITY, 0.0, f64::INFINITY]), [0, 1, 1]);
}

#[test]
fn neighbouring_doubles_are_told_apart() {
    let mut values = vec![1.0f64, f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324];
    values.extend([1.0f64.next_up(), f64::MAX.next_down(), 1e-323]);
    values.sort_by(f64::total_cmp);
    let bins = NumericBins::fit(&values, 255).unwrap();
    assert_eq!(codes(&bins, &values), (0..values.len()).collect::<Vec<_>>());
}

#[test]
fn empty_constant_and_all_missing_columns_have_one_bin() {
    for values in [&[][..], &[7.0, 7.0], &[f64::NAN, f64::NAN]] {
        assert_eq!(NumericBins::fit(values, 255).unwrap().n_value_bins(), 1);
    }
}

#[test]
fn a_heavy_value_does_not_coarsen_the_others() {
    let mut values = vec![0.0; 100_000];
    values.extend((0..10_000).map(|i| 1.0 + f64::from(i)));
    let bins = NumericBins::fit(&values, 101).unwrap();
    assert_eq!(bins.n_value_bins(), 101);
    let mut counts = vec![0; 101];
    values.iter().for_each(|&v| counts[bins.code_of(v)] += 1);
    assert_eq!(counts[0], 100_000);
    assert!(counts[1..].iter().all(|&c| c == 100), "{counts:?}");
}

#[test]
fn bad_arguments_are_refused() {
    assert!(NumericBins::fit(&[1.0], 1).is_err());
    assert!(NumericBins::fit(&[1.0], 65_536).is_err());
    assert!(NumericBins::from_thresholds(vec![1.0, 1.0]).is_err());
    assert!(NumericBins::from_thresholds(vec![f64::NAN]).is_err());
    assert!(encode_levels(&[0], 65_536).is_err());
}

#[test]
fn levels_keep_their_codes() {
    assert_eq!(encode_levels(&[2, 0, MISSING_LEVEL, 9], 3).unwrap(), BinCodes::U8(vec![2, 0, 3, 3]));
    assert_eq!(encode_levels(&[300, MISSING_LEVEL], 400).unwrap(), BinCodes::U16(vec![300, 400]));
}

proptest! {
    #[test]
    fn bins_keep_order_and_share_rows(values in prop::collection::vec(prop_oneof![-1e3f64..1e3, Just(0.0), Just(f64::NAN)], 1..600), max_bins in 2usize..40) {
        let bins = NumericBins::fit(&values, max_bins).unwrap();
        prop_assert!(bins.n_value_bins() <= max_bins);
        prop_assert!(NumericBins::from_thresholds(bins.thresholds().to_vec()).is_ok());
        let mut present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        present.sort_by(f64::total_cmp);
        prop_assert!(present.is_sorted_by_key(|&v| bins.code_of(v)));
        let mut reversed = values.clone();
        reversed.reverse();
        prop_assert_eq!(&NumericBins::fit(&reversed, max_bins).unwrap(), &bins);
        present.dedup();
        if present.len() <= max_bins {
            prop_assert_eq!(bins.n_value_bins(), present.len().max(1));
        } else {
            prop_assert!(bins.n_value_bins() > max_bins / 2);
        }
    }
}
