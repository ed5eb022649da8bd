//! Random forests as jobs: `forest train` bins columns, grows trees and merges them into a model; `forest predict` applies it to
//! blocks of rows. This room reads tables and writes models around the kernels, and must not know how a split is found.

mod columns;
mod describe;
mod growing;
mod layout;
mod merge;
pub mod model;
mod out_of_bag;
mod packed;
pub mod predict;
mod predict_blocks;
mod predict_output;
pub mod settings;
pub mod target;
pub mod train;
mod training_data;

#[cfg(test)]
mod example_tables;
#[cfg(test)]
mod predict_tests;
#[cfg(test)]
mod train_tests;

pub use describe::describe;
pub use model::{ForestModel, KIND};
pub use settings::{PredictSettings, TrainSettings};
