//! Which rows of an interaction table train a model and which test it. Arrays in, a part for each row out; this room knows no file, no
//! id but an index, and no model.
//!
//! What becomes of a user's rows is fixed by the seed, the user's number and those rows alone, so users may be divided over nodes and
//! others come or go. Two ways, and a filter for both:
//!
//! - by user: [`Holdout`] tests a number or a share of each user's rows, at random or the latest; with [`fold_of`], only of the users of
//!   one fold.
//! - by time: [`split_at_time`] tests every row from a point in time on, which [`time_of_test_share`] finds for a share of the rows.
//! - [`leave_out_untrained`] then leaves out the test rows of users with too little to train on.
//!
//! Definitions are LensKit's, but for three edges: the last 0 rows are none (LensKit takes all), rows of equal time are in the order of
//! the table (there in any), and folds are drawn user by user, so that their sizes differ by chance (there by 1 at most).

mod by_time;
mod by_user;
mod rows;

#[cfg(test)]
mod tests;

pub use by_time::{split_at_time, time_of_test_share};
pub use by_user::{Amount, Holdout, HoldoutScratch, NoShare, RowShare, TimesMissing, fold_of};
pub use rows::{RowsByUser, leave_out_untrained};

/// What a row of the table is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Part {
    /// To learn from.
    #[default]
    Train,
    /// To be predicted.
    Test,
    /// Nothing.
    LeftOut,
}
