//! Alternating least squares: the factors of a block of rows, given the other side's. Arrays in, arrays out; this room knows no file,
//! no thread and no job. One half-iteration is [`Solver::solve`] on each block of users, the next one on each block of items; beside the
//! factors a block gives its Gram matrix ([`Gram::of_block`]) and its share of the loss ([`BlockLoss`]).
//!
//! **Two models.** Implicit feedback after Hu, Koren and Volinsky ("Collaborative filtering for implicit feedback datasets", ICDM
//! 2008): all cells count, those that were not observed through the Gram matrix. Ratings, less biases ([`BiasModel`]), with the
//! regularisation of Zhou, Wilkinson, Schreiber and Pan ("Large-scale parallel collaborative filtering for the Netflix Prize", AAIM 2008).
//!
//! **The order of summation is part of the contract**, so a row's factors depend on its own entries, the other side's factors, the Gram
//! matrix and the settings alone: every instruction set, block, thread and partition gives the same bits. All steps are f32, each
//! multiply-add rounded once, unless f64 is named:
//! - A product of two rows is kept in sixteen running sums, of which sum l takes the elements l, l + 16, …; they are added by halves (l
//!   and l + 8, then l + 4, l + 2, l + 1).
//! - A sum of rows with coefficients is kept in two running sums, of the even and the odd entries, which are added at the end.
//! - An element of a matrix is one chain over the entries in order.
//! - Step lengths of conjugate gradients come from products summed in f64, where a product of two f32 is exact.
//! - A Gram matrix is summed in f32 within 256 rows, and in f64 beyond; blocks are added in their order. A loss is summed in f64, row by row.
//!
//! **How it is fast.** The factors that a row needs are gathered side by side once, asked for ahead of time; four passes (the residual,
//! and three steps of conjugate gradients) then read them in order, each strip of rows twice while it is in the first-level cache: for
//! the products with the direction, and for their sum. Where the other side is large, waiting for its factors takes half of the time.
//! A Cholesky factorisation reads them once, but needs n_factors / 16 times the operations for each entry, and n_factors³ / 6 more.
//! Measured with AVX-512 for rows of 4 to 16,384 entries, both take about the same time up to 16 factors; three steps are 1 to 2.6 times
//! as fast at 32, 1.2 to 4 times at 64, 1.6 to 5 times at 128, more so the shorter the row. The loss after equal iterations is the same to
//! a few thousandths. So three steps are the default ([`Method::default`]) at every size.
//!
//! Where f32 fails (a pivot lost in rounding, an overflow), a row is solved again in f64; where that fails too, it is refused by name.

mod bias;
mod cholesky;
mod equations;
mod feedback;
mod gram;
mod initial;
mod lanes;
mod outer;
mod packed;
mod products;
mod rows;
mod scratch;
mod solver;
mod vectors;

#[cfg(test)]
mod tests;

pub use bias::{BiasModel, sum_of_values};
pub use gram::{Gram, GramShapeError};
pub use initial::draw_factors;
pub use rows::{BlockShapeError, Entries, FactorRows, Interactions, MAX_FACTORS};
pub use scratch::Scratch;
pub use solver::{Block, BlockLoss, Method, SettingsError, Solver, UnsolvableRow};
