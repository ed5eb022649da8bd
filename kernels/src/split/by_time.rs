//! Splits at one point in time for all users. This file must not know users.

use super::Part;
use super::by_user::RowShare;

/// Positions this near to a whole number are taken as such: the error of (n - 1)·(1 - share) is far below.
const POSITION_TOLERANCE: f64 = 1e-6;

/// The use of a row at `time`: it tests from `test_start` on and before `test_end` where there is one, trains before `test_start`, and
/// is left out from `test_end` on. As LensKit's `split_global_time`. The unit is that of the table.
pub fn split_at_time(time: i64, test_start: i64, test_end: Option<i64>) -> Part {
    if time < test_start {
        Part::Train
    } else if test_end.is_none_or(|end| time < end) {
        Part::Test
    } else {
        Part::LeftOut
    }
}

/// The time from which on the latest `share` of the rows is tested: the first at or after the linear (1 - share)-quantile of all times,
/// as LensKit's `split_temporal_fraction` (where rounding may put the quantile a trace beyond a time that it should meet); rows of equal
/// time stay together, so it may be more. `None` without rows. `times` is left in another order; takes time linear in their number.
pub fn time_of_test_share(times: &mut [i64], share: RowShare) -> Option<i64> {
    let position = times.len().checked_sub(1)? as f64 * (1.0 - share.get());
    // A quantile between two times is above the earlier one: the first row at or after it has the later.
    let first_tested = (position - POSITION_TOLERANCE).ceil().max(0.0) as usize;
    Some(*times.select_nth_unstable(first_tested.min(times.len() - 1)).1)
}
