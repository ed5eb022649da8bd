//! The last working stage of prediction: every item writes one file of the output from the blocks that belong to it, in order.
//! It names and types the columns, and must not know how a prediction came about.

use super::model::TaskSpec;
use super::predict_blocks::BlockPredictions;
use super::predict_leaves;
use super::target::ClassLabels;
use crate::publish::{self, StagedFile};
use crate::table::{OutputColumn, OutputType, TableFormat, TableWriter};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The files of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputLayout {
    /// One file for all blocks.
    File { format: TableFormat, n_blocks: u64 },
    /// A directory of Parquet files, each of [`BLOCKS_PER_FILE`] blocks.
    Directory { n_blocks: u64 },
}

/// About a million rows a file: few files, and still work for several nodes.
const BLOCKS_PER_FILE: u64 = 16;

/// Refuses a name that is neither of a table nor of a directory.
pub(super) fn check_path(path: &Path) -> Result<(), Failure> {
    OutputLayout::of(path, 1).map(|_| ())
}

impl OutputLayout {
    /// By the path's name: a table's file, or without an extension a directory.
    pub(super) fn of(path: &Path, n_blocks: u64) -> Result<Self, Failure> {
        match path.extension() {
            None => Ok(Self::Directory { n_blocks }),
            Some(_) => Ok(Self::File { format: TableFormat::of_output(path)?, n_blocks }),
        }
    }

    pub(super) fn n_files(self) -> u64 {
        match self {
            Self::File { .. } => 1,
            Self::Directory { n_blocks } => n_blocks.div_ceil(BLOCKS_PER_FILE),
        }
    }

    /// Makes room for the staged files.
    pub(super) fn prepare(self, staging_path: &Path) -> Result<(), Failure> {
        match self {
            Self::File { .. } => Ok(()),
            Self::Directory { .. } => std::fs::create_dir_all(staging_path).map_err(|e| Failure::from_io("create", staging_path, &e)),
        }
    }

    fn blocks_of(self, file: u64) -> Range<u64> {
        match self {
            Self::File { n_blocks, .. } => 0..n_blocks,
            Self::Directory { n_blocks } => file * BLOCKS_PER_FILE..((file + 1) * BLOCKS_PER_FILE).min(n_blocks),
        }
    }

    fn format(self) -> TableFormat {
        match self {
            Self::File { format, .. } => format,
            Self::Directory { .. } => TableFormat::Parquet,
        }
    }

    /// The file's name within the output directory; empty for a single file.
    fn name_of(self, file: u64) -> String {
        match self {
            Self::File { .. } => String::new(),
            Self::Directory { .. } => format!("part-{file:06}.parquet"),
        }
    }
}

/// The stage, opened.
pub(super) struct WriteTask {
    pub(super) predictions: StageParts,
    pub(super) task: TaskSpec,
    /// The number of trees where leaves are written instead of predictions.
    pub(super) leaves_of_n_trees: Option<usize>,
    pub(super) layout: OutputLayout,
    pub(super) staging_path: PathBuf,
    pub(super) with_probabilities: bool,
}

/// What an item yields: the file, and what was counted while its rows were predicted.
#[derive(Serialize, Deserialize)]
struct WrittenFile {
    #[serde(flatten)]
    file: StagedFile,
    n_unseen: BTreeMap<String, u64>,
}

impl WriteTask {
    fn write(&self, file: u64) -> Result<Vec<u8>, Failure> {
        let name = self.layout.name_of(file);
        let path = if name.is_empty() { self.staging_path.clone() } else { self.staging_path.join(&name) };
        let columns = self.columns();
        let columns: Vec<(&str, OutputType)> = columns.iter().map(|(name, column_type)| (name.as_str(), *column_type)).collect();
        let mut writer = TableWriter::create(&path, self.layout.format(), &columns)?;
        let (mut n_rows, mut n_unseen) = (0, BTreeMap::new());
        for item in self.layout.blocks_of(file) {
            let bytes = self
                .predictions
                .item(item)?
                .ok_or_else(|| Failure::storage(format!("block {item} was set aside; submit the job again")))?;
            let (n_rows_added, n_unseen_in_block) = self.append_item(&mut writer, bytes)?;
            n_rows += n_rows_added;
            n_unseen_in_block.into_iter().for_each(|(feature, n)| *n_unseen.entry(feature).or_insert(0) += n);
        }
        writer.finish()?;
        let written = WrittenFile { file: publish::stage_file(&name, &path, n_rows)?, n_unseen };
        serde_json::to_vec(&written).map_err(|e| Failure::storage(format!("the record of a written file cannot be written: {e}")))
    }

    /// Adds the rows of a block's item. Says how many, and how many rows of each feature held a category that training never saw.
    fn append_item(&self, writer: &mut TableWriter, bytes: &[u8]) -> Result<(u64, BTreeMap<String, u64>), Failure> {
        if let Some(n_trees) = self.leaves_of_n_trees {
            return predict_leaves::append(writer, bytes, n_trees);
        }
        let block = BlockPredictions::open(bytes)?;
        let n_rows = self.append(writer, &block)?;
        Ok((n_rows, block.facts.n_unseen))
    }

    fn columns(&self) -> Vec<(String, OutputType)> {
        if let Some(n_trees) = self.leaves_of_n_trees {
            return predict_leaves::columns(n_trees);
        }
        let TaskSpec::Classification { classes } = &self.task else { return vec![("prediction".to_owned(), OutputType::F64)] };
        let label_type = match classes {
            ClassLabels::Text(_) => OutputType::Text,
            ClassLabels::Integer(_) => OutputType::I64,
            ClassLabels::Bool(_) => OutputType::Bool,
        };
        let labels = if self.with_probabilities { classes.to_texts() } else { vec![] };
        let probabilities = labels.into_iter().map(|label| (format!("probability_{label}"), OutputType::F64));
        std::iter::once(("prediction".to_owned(), label_type)).chain(probabilities).collect()
    }

    /// Adds a block's rows and says how many.
    fn append(&self, writer: &mut TableWriter, block: &BlockPredictions<'_>) -> Result<u64, Failure> {
        let TaskSpec::Classification { classes } = &self.task else {
            writer.append(&[OutputColumn::F64(block.values)])?;
            return Ok(block.values.len() as u64);
        };
        let n_probabilities = if self.with_probabilities { classes.len() } else { 0 };
        let probabilities: Vec<Vec<f64>> =
            (0..n_probabilities).map(|class| block.probabilities.iter().skip(class).step_by(n_probabilities).copied().collect()).collect();
        let (integers, truths);
        let prediction = match classes {
            ClassLabels::Text(levels) => OutputColumn::Codes { codes: block.classes, levels },
            ClassLabels::Integer(labels) => {
                integers = looked_up(block.classes, labels)?;
                OutputColumn::I64(&integers)
            }
            ClassLabels::Bool(labels) => {
                truths = looked_up(block.classes, labels)?;
                OutputColumn::Bool(&truths)
            }
        };
        let columns: Vec<OutputColumn<'_>> =
            std::iter::once(prediction).chain(probabilities.iter().map(|column| OutputColumn::F64(column))).collect();
        writer.append(&columns)?;
        Ok(block.classes.len() as u64)
    }
}

/// The label of every row.
fn looked_up<T: Copy>(codes: &[u32], labels: &[T]) -> Result<Vec<T>, Failure> {
    let found = codes.iter().map(|&code| labels.get(code as usize).copied()).collect::<Option<_>>();
    found.ok_or_else(|| Failure::storage("a block's part holds a class that the model does not have; submit the job again"))
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            outputs.push(&self.write(item).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

/// What a person reads of the predictions: how many, and what the model had never seen.
pub(super) fn summary_facts(written: &StageParts) -> Result<Vec<(String, String)>, Failure> {
    let (mut n_rows, mut n_unseen) = (0, BTreeMap::new());
    for item in 0..written.n_items() {
        let file: WrittenFile = serde_json::from_slice(written.item(item)?.unwrap_or_default())
            .map_err(|e| Failure::storage(format!("the record of a written file is damaged: {e}; submit the job again")))?;
        n_rows += file.file.n_rows;
        file.n_unseen.into_iter().for_each(|(feature, n)| *n_unseen.entry(feature).or_insert(0_u64) += n);
    }
    let mut facts = vec![("rows".to_owned(), n_rows.to_string())];
    if !n_unseen.is_empty() {
        let counts: Vec<String> = n_unseen.iter().map(|(feature, n)| format!("{n} in {feature}")).collect();
        facts.push(("categories never seen in training, taken as missing".to_owned(), counts.join(", ")));
    }
    Ok(facts)
}
