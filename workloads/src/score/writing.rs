//! The stage that writes the table of scores: the pairs as their table names them, in its order. It must not know how they were scored.

use super::resolving::{PairFacts, Pairs, kept_rows};
use super::scoring::{n_blocks, pairs_of, scores_of};
use crate::interactions::InteractionSource;
use crate::publish;
use crate::table::{Ids, OutputColumn, OutputType, TableFormat, TableWriter, TextColumn};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use std::ops::Range;
use std::path::PathBuf;

/// The one item of the stage.
pub(super) struct WriteTask {
    pub(super) source: InteractionSource,
    pub(super) pairs: StageParts,
    pub(super) scores: StageParts,
    pub(super) output: (PathBuf, TableFormat),
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.write().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

impl WriteTask {
    fn write(&self) -> Result<Vec<u8>, Failure> {
        let PairFacts { n_pairs, .. } = Pairs::of(&self.pairs)?.facts;
        let rows = self.source.read()?;
        let kept = kept_rows(&rows);
        if kept.len() as u64 != n_pairs {
            let message = "was changed while the job ran; submit it again";
            return Err(Failure::bad_input(format!("{}: {message}", self.source.path().display())));
        }
        let (users, items) = (of_rows(&rows.users, &kept), of_rows(&rows.items, &kept));
        let (path, format) = &self.output;
        let score_type = OutputType::Optional(&OutputType::F32);
        let columns = [("user", id_type(&users)), ("item", id_type(&items)), ("score", score_type)];
        let mut writer = TableWriter::create_staged(path, *format, &columns)?;
        for block in 0..n_blocks(n_pairs) {
            let range = pairs_of(block, n_pairs);
            let scores = scores_of(block, n_pairs, &self.scores)?;
            let is_there: Vec<bool> = scores.iter().map(|score| !score.is_nan()).collect();
            let score = OutputColumn::Optional { values: &OutputColumn::F32(scores), is_there: &is_there };
            writer.append(&[column(&users, range.clone()), column(&items, range), score])?;
        }
        writer.finish()?;
        publish::stage_file("", path, n_pairs)?.encode()
    }
}

/// The ids of some rows.
fn of_rows(ids: &Ids, rows: &[usize]) -> Ids {
    match ids {
        Ids::Int(ids) => Ids::Int(rows.iter().map(|&row| ids[row]).collect()),
        Ids::Text(TextColumn { codes, levels }) => {
            Ids::Text(TextColumn { codes: rows.iter().map(|&row| codes[row]).collect(), levels: levels.clone() })
        }
    }
}

fn id_type(ids: &Ids) -> OutputType {
    if matches!(ids, Ids::Text(_)) { OutputType::Text } else { OutputType::I64 }
}

fn column(ids: &Ids, rows: Range<usize>) -> OutputColumn<'_> {
    match ids {
        Ids::Int(ids) => OutputColumn::I64(&ids[rows]),
        Ids::Text(TextColumn { codes, levels }) => OutputColumn::Codes { codes: &codes[rows], levels },
    }
}
