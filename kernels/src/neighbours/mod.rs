//! Neighbourhood models: which items are taken by the same users, and what a user's own items say of the others. Arrays in, arrays
//! out; this room knows no file and no job.
//!
//! Item-based collaborative filtering after Deshpande and Karypis ("Item-based top-N recommendation algorithms", ACM TOIS 22(1), 2004).
//! The similarity of two items is the cosine of their columns, each less the item's mean where values are ratings, with shrinkage: the
//! product over the norms' product plus a constant, so that items with few users in common are not thought alike by chance.
//!
//! **The order of summation is part of the contract**: the product of two items is summed in f64 over their common users in ascending
//! order, a score over a user's items in the order of their similarity to the item that is scored, ties by the lower item. So every
//! block, thread and partition gives the same bits.

mod scoring;
mod similarity;
#[cfg(test)]
mod tests;

pub use scoring::{NeighbourScorer, NeighbourSettings, Neighbourhoods, ScoreScratch};
pub use similarity::{ItemColumns, Neighbour, Rows, SimilarityScratch, SimilaritySettings, centred, norm_of};
