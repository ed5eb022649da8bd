//! Random forests as jobs: `forest train` bins columns, lays out rows, grows trees and merges them into a model; `forest predict` applies it to
//! blocks of rows. This room reads tables and writes models around the kernels, and must not know how a split is found.

mod adding;
pub mod choices;
mod columns;
mod describe;
pub mod export;
mod growing;
mod grown;
mod layout;
mod merge;
pub mod model;
mod oob_table;
mod out_of_bag;
mod permutation;
pub mod predict;
mod predict_blocks;
mod predict_leaves;
mod predict_output;
mod rows;
pub mod settings;
pub mod target;
pub mod train;
mod training_data;

#[cfg(test)]
mod adding_tests;
#[cfg(test)]
mod example_tables;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod measuring_tests;
#[cfg(test)]
mod predict_tests;
#[cfg(test)]
mod train_tests;

pub use describe::{describe, details};
pub use model::{ForestModel, KIND};
pub use settings::{PredictSettings, TrainSettings};
