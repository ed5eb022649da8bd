//! The stage that writes: item 0 is the table to train on, item 1 the table to test on, each copied row by row from the data. This file
//! must not know why a row is used for what it is used for.

use super::dividing::Divided;
use crate::interactions::InteractionSource;
use crate::publish;
use crate::table::{TableFormat, copy_rows};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::split::Part;
use std::path::PathBuf;

/// What each item is of.
const USES: [Part; 2] = [Part::Train, Part::Test];

/// The stage, opened.
pub(super) struct WriteTask {
    pub(super) source: InteractionSource,
    pub(super) divided: StageParts,
    /// Where each item goes.
    pub(super) outputs: Vec<(PathBuf, TableFormat)>,
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            outputs.push(&self.write(item as usize).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

impl WriteTask {
    fn write(&self, item: usize) -> Result<Vec<u8>, Failure> {
        let divided = Divided::of(&self.divided)?;
        let output = self.outputs.get(item).zip(USES.get(item));
        let ((path, format), wanted) = output.ok_or_else(|| Failure::storage(format!("split has no output {item}")))?;
        let n_rows = copy_rows(self.source.table(), &divided.facts.cell_types, |row| divided.use_of(row) == *wanted, path, *format)?;
        publish::stage_file("", path, n_rows)?.encode()
    }
}
