//! Random forests on binned columns: binning, growing, prediction, out-of-bag sums. A tree is a function of the training set, the
//! settings and its index; no thread, order of execution or neighbour has a part in it. This room must not know files, tables,
//! feature names or jobs.
//!
//! Reading order: `binning` and `columns` (the input), `training` (target and settings), `sampling` (a tree's bag), `criterion`
//! with `classification`, `regression` and `level_order` (what is summed and how it is scored), `lanes` (the best thresholds of
//! several features at once), `tally` and `splitting` (the best division along one feature of any kind), `interleaved`, `row_table`,
//! `frame` and `partition` (rows), `candidates`, `node`, `grower` and `best_first` (the tree), `tree`, `model` and `check` (how it is
//! stored), `row_block` and `walk` (how rows go down), `predict`, `out_of_bag`, `importance`, `permutation` and `decode` (what it is
//! used for).

mod best_first;
mod binning;
mod candidates;
mod check;
mod classification;
mod columns;
mod criterion;
mod decode;
mod error;
mod frame;
mod grower;
mod importance;
mod interleaved;
mod lanes;
mod level_order;
mod model;
mod node;
mod out_of_bag;
mod partition;
mod permutation;
mod predict;
mod regression;
mod row_block;
mod row_table;
mod sampling;
mod splitting;
mod tally;
mod training;
pub mod tree;
mod walk;
#[cfg(target_arch = "x86_64")]
mod walk_avx512;

pub use binning::{DEFAULT_MAX_BINS, MAX_BINS, MISSING_LEVEL, NumericBins, encode_levels};
pub use columns::{BinCodes, BinnedColumn, BinnedColumns, Codes, code_width_bytes};
pub use decode::{DecodedNode, LeafContent, LevelSet, TreeView};
pub use error::ForestError;
pub use grower::{Grower, Nesting};
pub use importance::importance;
pub use interleaved::RowLayout;
pub use model::{FeatureKind, ForestArrays, ForestSlices, ForestView, Outcome, TreeSlices};
pub use out_of_bag::{OutOfBag, out_of_bag};
pub use permutation::{permutation_importance, permutation_losses};
pub use predict::{ROWS_PER_CALL, RawColumn, class_of};
pub use row_table::RowTable;
pub use sampling::{InBag, Sampling};
pub use training::{Criterion, GrowSettings, Target, TrainingSet, bag_class_weights};
pub use tree::{PackedNode, Tree};
pub use walk::WalkPath;
