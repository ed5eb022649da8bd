//! The rows of each user. This file must not know what is done with them.

use super::Part;
use std::ops::Range;

/// The rows of an interaction table by user, in the order of the table within each user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsByUser {
    /// `[n_users + 1]`: where the rows of each user begin in `rows`.
    indptr: Vec<usize>,
    /// `[n_rows]`.
    rows: Vec<u32>,
}

impl RowsByUser {
    /// Gathers the rows of users `first_user..first_user + n_users`; `users` `[n_rows]` has the user of each row of the table, and other
    /// users' rows are passed over. Takes one pass to count and one to place, and 4 bytes a row. Tables of 2^32 rows and more give
    /// `None`: divide them by users first.
    pub fn new(users: &[u32], range: Range<u32>) -> Option<Self> {
        u32::try_from(users.len()).ok()?;
        let mut indptr = vec![0; range.len() + 1];
        let slots =
            || users.iter().zip(0u32..).filter(|(user, _)| range.contains(user)).map(|(user, row)| ((user - range.start) as usize, row));
        slots().for_each(|(slot, _)| indptr[slot + 1] += 1);
        for slot in 1..indptr.len() {
            indptr[slot] += indptr[slot - 1];
        }
        let mut next = indptr.clone();
        let mut rows = vec![0; indptr.last().copied().unwrap_or(0)];
        for (slot, row) in slots() {
            rows[next[slot]] = row;
            next[slot] += 1;
        }
        Some(Self { indptr, rows })
    }

    /// The rows of each user of the range, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.indptr.windows(2).map(|ends| &self.rows[ends[0]..ends[1]])
    }
}

/// Leaves out the test rows of every user who has fewer than `min_train` rows to train on, as LensKit's `filter_test_users` does; the
/// rows to train on stay, and no row moves from test to train, where it could tell what is to be predicted. `parts` are those of the
/// user's rows.
pub fn leave_out_untrained(min_train: usize, parts: &mut [Part]) {
    let n_train = parts.iter().filter(|&&part| part == Part::Train).count();
    if n_train < min_train {
        parts.iter_mut().filter(|part| **part == Part::Test).for_each(|part| *part = Part::LeftOut);
    }
}
