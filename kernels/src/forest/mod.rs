//! Random forests on binned columns: binning, growing, prediction, out-of-bag sums. A tree is a function of the training set, the
//! settings and its index; no thread, order of execution or neighbour has a part in it. This room must not know files, tables,
//! feature names or jobs.
//!
//! Reading order: `binning` and `columns` (the input), `training` (target and settings), `sampling` (a tree's bag), `criterion`
//! with `classification`, `regression` and `level_order` (what is summed and how it is scored), `tally` (rows by bin), `splitting`
//! (the best division), `frame`, `node` and `grower` (the tree), `tree` and `model` (how it is stored), `predict`, `out_of_bag`
//! and `importance` (what it is used for).

mod binning;
mod classification;
mod columns;
mod criterion;
mod error;
mod frame;
mod grower;
mod importance;
mod level_order;
mod model;
mod node;
mod out_of_bag;
mod predict;
mod regression;
mod sampling;
mod splitting;
mod tally;
mod training;
pub mod tree;

pub use binning::{DEFAULT_MAX_BINS, MAX_BINS, MISSING_LEVEL, NumericBins, encode_levels};
pub use columns::{BinCodes, BinnedColumn, BinnedColumns, Codes, code_width_bytes};
pub use error::ForestError;
pub use grower::{Grower, Nesting};
pub use importance::importance;
pub use model::{FeatureKind, ForestArrays, ForestSlices, ForestView, Outcome};
pub use out_of_bag::{OutOfBag, out_of_bag};
pub use predict::{RawColumn, class_of};
pub use sampling::{InBag, Sampling};
pub use training::{Criterion, GrowSettings, Target, TrainingSet};
pub use tree::{PackedNode, Tree};
