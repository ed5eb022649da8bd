//! The out-of-bag predictions as a table beside the model: packed by the blocks of the out-of-bag stage, written in the order of
//! the data by one item of the merge. A row that every tree saw has no value. It must not know how predictions are made.

use super::model::TaskSpec;
use super::out_of_bag::SCORE_BYTES;
use super::target::ClassLabels;
use crate::packed::{self, Packed};
use crate::publish::{self, StagedFile};
use crate::table::{MISSING_CODE, OutputColumn, OutputType, TableFormat, TableWriter};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::StageParts;
use paceline_kernels::forest::{OutOfBag, Target, class_of};
use std::path::PathBuf;

/// Packs the predictions of a block: `n_trees`, and `classes` or `values`, and `probabilities` where they are kept.
pub(super) fn pack_block(oob: &OutOfBag, n_outputs: usize, target: &Target<'_>, with_probabilities: bool) -> Result<Vec<u8>, Failure> {
    let rows = || oob.sums.chunks_exact(n_outputs).zip(&oob.n_trees);
    let (mut classes, mut values, mut probabilities) = (vec![], vec![], vec![]);
    match target {
        Target::Classes { .. } => classes = rows().map(|(sums, &n)| if n > 0 { class_of(sums) } else { MISSING_CODE }).collect(),
        Target::Values(_) => values = rows().map(|(sums, &n)| if n > 0 { sums[0] / f64::from(n) } else { 0.0 }).collect(),
    }
    if with_probabilities {
        probabilities = rows().flat_map(|(sums, &n)| sums.iter().map(move |sum| if n > 0 { sum / f64::from(n) } else { 0.0 })).collect();
    }
    let arrays = [
        NewArray::vector("n_trees", &oob.n_trees),
        NewArray::vector("classes", &classes),
        NewArray::vector("values", &values),
        NewArray::vector("probabilities", &probabilities),
    ];
    packed::pack(&(), &arrays)
}

/// The table, to be written.
pub(super) struct OobTable {
    /// The results of the out-of-bag stage.
    pub(super) blocks: StageParts,
    pub(super) with_probabilities: bool,
    pub(super) format: TableFormat,
    pub(super) staging_path: PathBuf,
}

impl OobTable {
    /// Writes all blocks in their order.
    pub(super) fn write(&self, task: &TaskSpec) -> Result<StagedFile, Failure> {
        let columns = self.columns(task);
        let columns: Vec<(&str, OutputType)> = columns.iter().map(|(name, column_type)| (name.as_str(), *column_type)).collect();
        let mut writer = TableWriter::create(&self.staging_path, self.format, &columns)?;
        let mut n_rows = 0;
        for item in 0..self.blocks.n_items() {
            let bytes = self.blocks.item(item)?.and_then(|bytes| bytes.get(SCORE_BYTES..));
            let bytes = bytes.ok_or_else(|| Failure::storage(format!("out-of-bag block {item} is not there; submit the job again")))?;
            n_rows += self.append(&mut writer, task, &Packed::open(bytes)?)?;
        }
        writer.finish()?;
        publish::stage_file("", &self.staging_path, n_rows)
    }

    fn columns(&self, task: &TaskSpec) -> Vec<(String, OutputType)> {
        let prediction = match task {
            TaskSpec::Regression => OutputType::Optional(&OutputType::F64),
            TaskSpec::Classification { classes: ClassLabels::Text(_) } => OutputType::Text,
            TaskSpec::Classification { classes: ClassLabels::Integer(_) } => OutputType::Optional(&OutputType::I64),
            TaskSpec::Classification { classes: ClassLabels::Bool(_) } => OutputType::Optional(&OutputType::Bool),
        };
        let labels = match (task, self.with_probabilities) {
            (TaskSpec::Classification { classes }, true) => classes.to_texts(),
            _ => vec![],
        };
        let probabilities = labels.into_iter().map(|label| (format!("probability_{label}"), OutputType::Optional(&OutputType::F64)));
        let mut columns = vec![("prediction".to_owned(), prediction)];
        columns.extend(probabilities);
        columns.push(("n_trees".to_owned(), OutputType::U32));
        columns
    }

    /// Adds a block's rows and says how many.
    fn append(&self, writer: &mut TableWriter, task: &TaskSpec, block: &Packed<'_>) -> Result<u64, Failure> {
        let n_trees: &[u32] = block.array("n_trees")?;
        let is_there: Vec<bool> = n_trees.iter().map(|&n| n > 0).collect();
        let classes: &[u32] = block.array("classes")?;
        let (integers, truths);
        let values = match task {
            TaskSpec::Regression => OutputColumn::F64(block.array("values")?),
            TaskSpec::Classification { classes: ClassLabels::Text(levels) } => OutputColumn::Codes { codes: classes, levels },
            TaskSpec::Classification { classes: ClassLabels::Integer(labels) } => {
                integers = looked_up(classes, labels);
                OutputColumn::I64(&integers)
            }
            TaskSpec::Classification { classes: ClassLabels::Bool(labels) } => {
                truths = looked_up(classes, labels);
                OutputColumn::Bool(&truths)
            }
        };
        let prediction = match values {
            OutputColumn::Codes { .. } => values,
            _ => OutputColumn::Optional { values: &values, is_there: &is_there },
        };
        let n_probabilities = if self.with_probabilities { task.n_outputs() } else { 0 };
        let shares: &[f64] = block.array("probabilities")?;
        let by_class: Vec<Vec<f64>> =
            (0..n_probabilities).map(|class| shares.iter().skip(class).step_by(n_probabilities).copied().collect()).collect();
        let by_class: Vec<OutputColumn<'_>> = by_class.iter().map(|column| OutputColumn::F64(column)).collect();
        let probabilities = by_class.iter().map(|values| OutputColumn::Optional { values, is_there: &is_there });
        let columns: Vec<OutputColumn<'_>> = std::iter::once(prediction).chain(probabilities).chain([OutputColumn::U32(n_trees)]).collect();
        writer.append(&columns)?;
        Ok(n_trees.len() as u64)
    }
}

/// The label of every row; any where there is none, since such rows are written without a value.
fn looked_up<T: Copy + Default>(codes: &[u32], labels: &[T]) -> Vec<T> {
    codes.iter().map(|&code| labels.get(code as usize).copied().unwrap_or_default()).collect()
}
