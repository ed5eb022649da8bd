//! Tables written and read back in every format, refused where they are wrong, and mutated at random.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod blocks;
mod columns;
mod fixtures;
mod mutations;
mod refusals;
mod writing;
