//! The leaves that rows come to, in place of predictions: found block by block, written as one column for each tree. It must not
//! know how the blocks become files.

use super::model::ForestModel;
use super::predict_blocks::{BlockFacts, raw_rows};
use super::training_data::refusal;
use crate::packed::{self, Packed};
use crate::table::{BlockColumn, OutputColumn, OutputType, TableWriter};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The leaves that a thread finds at once: a megabyte of them.
const LEAVES_PER_CHUNK: usize = 1 << 18;

/// What a block's item holds: the node that each row comes to in each tree, [n_rows, n_trees].
pub(super) fn of_block(model: &ForestModel, columns: &[BlockColumn], n_rows: usize, facts: &BlockFacts) -> Result<Vec<u8>, Failure> {
    let n_trees = model.view().n_trees();
    let rows_per_chunk = (LEAVES_PER_CHUNK / n_trees).max(1);
    let mut leaves = vec![0_u32; n_rows * n_trees];
    leaves.par_chunks_mut(rows_per_chunk * n_trees).enumerate().try_for_each(|(i, chunk)| {
        let first = i * rows_per_chunk;
        let raw = raw_rows(columns, first..first + chunk.len() / n_trees)?;
        model.view().leaves(&raw, chunk).map_err(refusal)
    })?;
    packed::pack(facts, &[NewArray::vector("leaves", &leaves)])
}

/// The columns of the output: the nodes of tree i, counted within the tree, in column `tree_i`.
pub(super) fn columns(n_trees: usize) -> Vec<(String, OutputType)> {
    (0..n_trees).map(|tree| (format!("tree_{tree}"), OutputType::U32)).collect()
}

/// Adds the rows of a block's item. Says how many, and how many rows of each feature held a category that training never saw.
pub(super) fn append(writer: &mut TableWriter, bytes: &[u8], n_trees: usize) -> Result<(u64, BTreeMap<String, u64>), Failure> {
    let packed = Packed::open(bytes)?;
    let leaves: &[u32] = packed.array("leaves")?;
    let columns: Vec<Vec<u32>> = (0..n_trees).map(|tree| leaves.iter().skip(tree).step_by(n_trees).copied().collect()).collect();
    writer.append(&columns.iter().map(|column| OutputColumn::U32(column)).collect::<Vec<_>>())?;
    Ok(((leaves.len() / n_trees) as u64, packed.facts::<BlockFacts>()?.n_unseen))
}
