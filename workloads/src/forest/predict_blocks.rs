//! The first two stages of prediction: one item that surveys the data, and then every item predicts one block of its rows. It
//! hands columns to the kernel, and must not know how the output is written.

use super::model::{ForestModel, TaskSpec};
use super::predict_leaves;
use super::training_data::refusal;
use crate::packed::{self, Packed};
use crate::table::{BlockColumn, BlockIndex, TableSource, TargetSchema, UNSEEN_CODE};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::ItemOutputs;
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{ROWS_PER_CALL, RawColumn, class_of};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// The survey, opened.
pub(super) struct SurveyTask {
    pub(super) source: TableSource,
    pub(super) rows_per_block: u64,
}

impl StageTask for SurveyTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let index = self.source.survey(self.rows_per_block).and_then(|index| index.to_bytes());
        outputs.push(&index.map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

/// The prediction, opened: the model is checked and mapped once for all threads.
pub(super) struct PredictTask {
    pub(super) source: TableSource,
    pub(super) index: BlockIndex,
    pub(super) schema: TargetSchema,
    pub(super) model: ForestModel,
    pub(super) with_probabilities: bool,
    /// Leaves instead of predictions.
    pub(super) with_leaves: bool,
}

/// What an item holds, beside its arrays: `values` for a regression; `classes`, and `probabilities` where they are asked for,
/// for a classification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlockFacts {
    /// For each categorical feature that had any: how many rows hold a category that training never saw.
    pub(super) n_unseen: BTreeMap<String, u64>,
}

/// The predictions of one block, used where they are mapped. Empty where there are none of a sort.
pub(super) struct BlockPredictions<'a> {
    pub(super) facts: BlockFacts,
    pub(super) values: &'a [f64],
    pub(super) classes: &'a [u32],
    /// A row of them for each row of the data.
    pub(super) probabilities: &'a [f64],
}

impl<'a> BlockPredictions<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Failure> {
        let packed = Packed::open(bytes)?;
        Ok(Self {
            facts: packed.facts()?,
            values: packed.array("values")?,
            classes: packed.array("classes")?,
            probabilities: packed.array("probabilities")?,
        })
    }
}

/// The most shares of classes that a thread holds at once: 8 MiB of them.
const MAX_SHARES_PER_CHUNK: usize = 1 << 20;

impl PredictTask {
    fn predict(&self, item: u64) -> Result<Vec<u8>, Failure> {
        let columns = self.source.read_block(&self.index, item, &self.schema)?;
        let facts = BlockFacts { n_unseen: self.count_unseen(&columns) };
        let n_rows = columns.first().map_or(0, len_of);
        if self.with_leaves {
            return predict_leaves::of_block(&self.model, &columns, n_rows, &facts);
        }
        match &self.model.header().task {
            TaskSpec::Regression => {
                let mut values = vec![0.0; n_rows];
                values
                    .par_chunks_mut(ROWS_PER_CALL)
                    .enumerate()
                    .try_for_each(|(i, chunk)| self.predict_rows(&columns, i * ROWS_PER_CALL, chunk))?;
                pack(&facts, &values, &[], &[])
            }
            TaskSpec::Classification { classes } if self.with_probabilities => {
                let n_classes = classes.len();
                let mut shares = vec![0.0; n_rows * n_classes];
                let chunks = shares.par_chunks_mut(ROWS_PER_CALL * n_classes).enumerate();
                chunks.try_for_each(|(i, chunk)| self.predict_rows(&columns, i * ROWS_PER_CALL, chunk))?;
                let codes: Vec<u32> = shares.chunks_exact(n_classes).map(class_of).collect();
                pack(&facts, &[], &codes, &shares)
            }
            TaskSpec::Classification { classes } => {
                let codes = self.classes_only(&columns, n_rows, classes.len())?;
                pack(&facts, &[], &codes, &[])
            }
        }
    }

    /// The classes alone: the shares of a few rows are held at a time, however many classes there are.
    fn classes_only(&self, columns: &[BlockColumn], n_rows: usize, n_classes: usize) -> Result<Vec<u32>, Failure> {
        let rows_per_chunk = (MAX_SHARES_PER_CHUNK / n_classes).clamp(1, ROWS_PER_CALL);
        let mut codes = vec![0; n_rows];
        codes.par_chunks_mut(rows_per_chunk).enumerate().try_for_each(|(i, codes)| -> Result<(), Failure> {
            let mut shares = vec![0.0; codes.len() * n_classes];
            self.predict_rows(columns, i * rows_per_chunk, &mut shares)?;
            codes.iter_mut().zip(shares.chunks_exact(n_classes)).for_each(|(code, shares)| *code = class_of(shares));
            Ok(())
        })?;
        Ok(codes)
    }

    /// Predicts as many rows from `first` on as `out` has room for.
    fn predict_rows(&self, columns: &[BlockColumn], first: usize, out: &mut [f64]) -> Result<(), Failure> {
        let view = self.model.view();
        let rows = first..first + out.len() / view.n_outputs().max(1);
        let raw = raw_rows(columns, rows)?;
        view.predict(&raw, out).map_err(refusal)
    }

    fn count_unseen(&self, columns: &[BlockColumn]) -> BTreeMap<String, u64> {
        let counted = self.model.header().features.iter().zip(columns).filter_map(|(feature, column)| match column {
            BlockColumn::Categorical(codes) => {
                Some((feature.name.clone(), codes.iter().filter(|&&code| code == UNSEEN_CODE).count() as u64))
            }
            BlockColumn::Numeric(_) => None,
        });
        counted.filter(|&(_, n_unseen)| n_unseen > 0).collect()
    }
}

/// These rows of the columns, as the kernels take them.
pub(super) fn raw_rows(columns: &[BlockColumn], rows: Range<usize>) -> Result<Vec<RawColumn<'_>>, Failure> {
    let raw = columns.iter().map(|column| match column {
        BlockColumn::Numeric(values) => values.get(rows.clone()).map(RawColumn::Numeric),
        BlockColumn::Categorical(codes) => codes.get(rows.clone()).map(RawColumn::Categorical),
    });
    raw.collect::<Option<_>>().ok_or_else(|| Failure::storage("a block of rows has columns of different lengths"))
}

fn len_of(column: &BlockColumn) -> usize {
    match column {
        BlockColumn::Numeric(values) => values.len(),
        BlockColumn::Categorical(codes) => codes.len(),
    }
}

fn pack(facts: &BlockFacts, values: &[f64], classes: &[u32], probabilities: &[f64]) -> Result<Vec<u8>, Failure> {
    let arrays =
        [NewArray::vector("values", values), NewArray::vector("classes", classes), NewArray::vector("probabilities", probabilities)];
    packed::pack(facts, &arrays)
}

impl StageTask for PredictTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            outputs.push_owned(self.predict(item).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}
