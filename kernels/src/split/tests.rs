//! Splits by hand and by the properties that they must have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

use Part::{LeftOut, Test, Train};

fn share(share: f64) -> RowShare {
    RowShare::new(share).unwrap()
}

fn split(holdout: Holdout, seed: u64, user: u64, times: &[i64], n_rows: usize) -> Vec<Part> {
    let mut parts = vec![LeftOut; n_rows];
    holdout.split(seed, user, times, &mut HoldoutScratch::default(), &mut parts).unwrap();
    parts
}

fn n_test(parts: &[Part]) -> usize {
    parts.iter().filter(|&&part| part == Test).count()
}

#[test]
fn amounts_are_rounded_as_python_rounds() {
    let of = |n_rows, value| Amount::Share(share(value)).of(n_rows);
    // round(2.5) == 2, round(3.5) == 4, round(0.5) == 0, round(1.4) == 1
    assert_eq!((of(5, 0.5), of(7, 0.5), of(1, 0.5), of(7, 0.2)), (2, 4, 0, 1));
    assert_eq!((of(9, 0.0), of(9, 1.0), of(0, 0.5)), (0, 9, 0));
    assert_eq!((Amount::Rows(3).of(2), Amount::Rows(3).of(7)), (2, 3));
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(RowShare::new(wrong).unwrap_err().to_string().contains("is no share"));
    }
}

#[test]
fn the_latest_rows_are_tested_and_ties_follow_the_table() {
    let latest = |n| split(Holdout::Latest(Amount::Rows(n)), 1, 2, &[5, 9, 7, 9, -1, 9], 6);
    assert_eq!(latest(1), [Train, Train, Train, Train, Train, Test]);
    assert_eq!(latest(2), [Train, Train, Train, Test, Train, Test]);
    assert_eq!(latest(4), [Train, Test, Test, Test, Train, Test]);
    assert_eq!(latest(0), [Train; 6], "the last 0 rows are none");
    assert_eq!(latest(9), [Test; 6]);
    let refused = Holdout::Latest(Amount::Rows(1)).split(1, 2, &[3], &mut HoldoutScratch::default(), &mut [Train; 2]);
    assert_eq!(refused, Err(TimesMissing { n_rows: 2, n_times: 1 }));
}

/// Which rows are drawn is part of the contract: a seed gives the same split in every version.
#[test]
fn golden_draws_hold() {
    let parts = split(Holdout::Random(Amount::Rows(3)), 42, 7, &[], 10);
    let tested: Vec<usize> = (0..10).filter(|&row| parts[row] == Test).collect();
    assert_eq!(tested, [3, 7, 9]);
    let folds: Vec<u32> = (0..12).map(|user| fold_of(42, user, NonZeroU32::new(5).unwrap())).collect();
    assert_eq!(folds, [0, 3, 0, 1, 3, 2, 3, 2, 0, 3, 0, 2]);
}

#[test]
fn every_row_is_tested_equally_often() {
    let mut counts = [0u32; 8];
    for user in 0..40_000 {
        for (count, part) in counts.iter_mut().zip(split(Holdout::Random(Amount::Rows(2)), 3, user, &[], 8)) {
            *count += u32::from(part == Test);
        }
    }
    // Each row is tested by one user in four; within 8 it is a normal deviate, and 5 of its standard deviations are 433.
    assert!(counts.iter().all(|count| count.abs_diff(10_000) < 433), "{counts:?}");
    let n_folds = NonZeroU32::new(4).unwrap();
    let mut sizes = [0u32; 4];
    (0..40_000).for_each(|user| sizes[fold_of(3, user, n_folds) as usize] += 1);
    assert!(sizes.iter().all(|size| size.abs_diff(10_000) < 433), "{sizes:?}");
}

#[test]
fn rows_of_users_are_in_the_order_of_the_table() {
    let rows = RowsByUser::new(&[4, 2, 4, 9, 2, 4, 3], 2..5).unwrap();
    assert_eq!(rows.iter().collect::<Vec<_>>(), [&[1, 4][..], &[6], &[0, 2, 5]]);
    assert_eq!(RowsByUser::new(&[1, 2], 5..5).unwrap().iter().count(), 0);
}

#[test]
fn users_with_too_little_to_train_on_are_left_out() {
    let left_out = |min_train, mut parts: Vec<Part>| {
        leave_out_untrained(min_train, &mut parts);
        parts
    };
    assert_eq!(left_out(2, vec![Train, Test, Test]), [Train, LeftOut, LeftOut]);
    assert_eq!(left_out(1, vec![Train, Test, Test]), [Train, Test, Test]);
    assert_eq!(left_out(1, vec![Test]), [LeftOut]);
    assert_eq!(left_out(0, vec![Test]), [Test]);
}

#[test]
fn a_point_in_time_divides_all_rows() {
    let parts: Vec<Part> = [3, 5, 4, 8, 7].iter().map(|&time| split_at_time(time, 5, Some(8))).collect();
    assert_eq!(parts, [Train, Test, Train, LeftOut, Test]);
    assert_eq!(split_at_time(i64::MAX, 5, None), Test);
}

#[test]
fn the_time_of_a_share_is_at_the_quantile() {
    let of = |times: &[i64], value| time_of_test_share(&mut times.to_vec(), share(value));
    assert_eq!(of(&[], 0.5), None);
    assert_eq!(of(&[7], 0.5), Some(7));
    // Eleven times: the 0.7-quantile is the eighth of them, though 10·(1 - 0.3) need not be 7 in binary.
    assert_eq!(of(&[10, 0, 9, 1, 8, 2, 7, 3, 6, 4, 5], 0.3), Some(7));
    // Four times: the 0.5-quantile lies between the second and the third.
    assert_eq!(of(&[40, 10, 30, 20], 0.5), Some(30));
    assert_eq!((of(&[40, 10, 30, 20], 1.0), of(&[40, 10, 30, 20], 0.0)), (Some(10), Some(40)));
    assert_eq!(of(&[1, 5, 5, 5, 5], 0.2), Some(5), "equal times stay together");
}

proptest! {
    #[test]
    fn so_many_rows_are_tested(n_rows in 0..60usize, n in 0..70usize, value in 0.0..=1.0f64, seed: u64, user: u64, times in prop::collection::vec(0..9i64, 60)) {
        for amount in [Amount::Rows(n), Amount::Share(share(value))] {
            for holdout in [Holdout::Random(amount), Holdout::Latest(amount)] {
                let parts = split(holdout, seed, user, &times[..n_rows], n_rows);
                prop_assert_eq!(n_test(&parts), amount.of(n_rows));
                prop_assert_eq!(parts.iter().filter(|&&part| part == Train).count(), n_rows - amount.of(n_rows));
            }
        }
    }

    /// Naively: a row is tested if fewer than n rows are later.
    #[test]
    fn the_latest_are_the_naive_ones(times in prop::collection::vec(any::<i8>(), 0..40), n in 0..50usize) {
        let times: Vec<i64> = times.into_iter().map(i64::from).collect();
        let parts = split(Holdout::Latest(Amount::Rows(n)), 0, 0, &times, times.len());
        for (row, part) in parts.iter().enumerate() {
            let n_later = (0..times.len()).filter(|&other| (times[other], other) > (times[row], row)).count();
            prop_assert_eq!(*part == Test, n_later < n);
        }
    }

    /// A user's split is the same whatever other users there are, however they are divided, and with used memory or new.
    #[test]
    fn a_user_depends_on_no_other(users in prop::collection::vec(0..12u32, 0..100), seed: u64, cut in 0..12u32) {
        let holdout = Holdout::Random(Amount::Share(share(0.3)));
        let rows_of = |range: std::ops::Range<u32>| {
            let mut scratch = HoldoutScratch::default();
            let mut found = BTreeMap::new();
            for (user, rows) in range.clone().zip(RowsByUser::new(&users, range).unwrap().iter()) {
                let mut parts = vec![Train; rows.len()];
                holdout.split(seed, u64::from(user), &[], &mut scratch, &mut parts).unwrap();
                found.extend(rows.iter().copied().zip(parts));
            }
            found
        };
        let mut divided = rows_of(cut..12);
        divided.extend(rows_of(0..cut));
        let whole = rows_of(0..12);
        prop_assert_eq!(whole.len(), users.len(), "each row has a part");
        prop_assert_eq!(divided, whole.clone());
        for user in 0..12 {
            let parts: Vec<Part> = (0u32..).zip(&users).filter(|(_, of)| **of == user).map(|(row, _)| whole[&row]).collect();
            prop_assert_eq!(&parts, &split(holdout, seed, u64::from(user), &[], parts.len()));
        }
    }

    /// Against the definition of the linear quantile.
    #[test]
    fn the_share_from_a_time_on_is_that_of_the_quantile(times in prop::collection::vec(-1000..1000i64, 1..60), percent in 0..=100u32) {
        let value = f64::from(percent) / 100.0;
        let start = time_of_test_share(&mut times.clone(), share(value)).unwrap();
        let mut sorted = times.clone();
        sorted.sort_unstable();
        // In hundredths of a row, so that positions are exact.
        let position = (sorted.len() - 1) * (100 - percent as usize);
        let (below, hundredths) = (position / 100, (position % 100) as i64);
        let quantile_100 = sorted[below] * 100 + hundredths * (sorted[(below + 1).min(sorted.len() - 1)] - sorted[below]);
        for time in times {
            prop_assert_eq!(split_at_time(time, start, None) == Test, time * 100 >= quantile_100);
        }
    }
}
