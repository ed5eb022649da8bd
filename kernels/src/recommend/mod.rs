//! Recommender kernels: the best unseen items of a block of users under a factor model, scored and selected in one go.
//! Arrays in, lists out; this room knows no file, no id but an index, and no job.
//!
//! **The order of summation is part of the contract.** The score of user u and item i is
//! `fma(u[K-1], i[K-1], … fma(u[1], i[1], fma(u[0], i[0], user_bias + item_bias)) …)` in f32, each step rounded once, factor by
//! factor from the first. Vectors run across users, never across factors, so every instruction set, tile, block, thread and
//! partition gives the same bits.
//!
//! Blocking follows the usual anatomy of a matrix product (Goto and van de Geijn, "Anatomy of high-performance matrix
//! multiplication", 2008): blocks of the (mapped) catalogue are laid out once for many users, and stay in the second-level cache while
//! groups of users pass. A tile of scores is compared with each user's threshold while it is still in registers, and only what is
//! above is written, behind one another.

mod gathering;
mod model;
mod pairs;
mod ranking;
mod scorer;
mod tile;
mod vector;

#[cfg(test)]
mod tests;

pub use model::{CsrError, FactorModel, NonFiniteRow, RowBounds, SeenItems, ShapeError, row_bounds, score};
pub use pairs::score_items;
pub use ranking::{ScoredItem, rank_best};
pub use scorer::{NonFiniteScore, Scorer, Scratch};
pub use tile::InstructionSet;
