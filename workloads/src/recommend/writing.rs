//! The stage that writes the lists as tables: one file, or a directory of files of a fixed number of users each. Lists of users who
//! were set aside are left out.

use super::checking::CheckedInput;
use super::ids::ModelIds;
use super::model::ModelFile;
use super::scoring::decode_list;
use super::{Destination, PARQUET};
use crate::publish::{self, StagedFile};
use crate::table::{OutputColumn, OutputType, TableFormat, TableWriter};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Users of one file of a directory: files of some ten megabytes, which readers like, and enough of them to write side by side.
pub(super) const USERS_PER_FILE: u64 = 16_384;
/// Rows handed to the table's writer at once.
const ROWS_PER_APPEND: usize = 16_384;

/// What is known of a file of lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenLists {
    pub(super) file: StagedFile,
    /// Users for whom nothing was left to recommend.
    pub(super) n_without_list: u64,
    /// Users for whom less was left than was asked for, but something.
    pub(super) n_shorter: u64,
}

impl WrittenLists {
    /// Those of all files, in their order.
    pub(super) fn all(written: &StageParts) -> Result<Vec<Self>, Failure> {
        let decode = |bytes: &[u8]| {
            serde_json::from_slice(bytes).map_err(|e| Failure::storage(format!("the record of a file of lists is damaged: {e}")))
        };
        let of_file = |file| match written.item(file)? {
            Some(bytes) => decode(bytes),
            None => Err(Failure::storage(format!("output file {file} was never written"))),
        };
        (0..written.n_items()).map(of_file).collect()
    }

    fn encode(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|e| Failure::storage(format!("the record of a file of lists cannot be written: {e}")))
    }
}

/// The stage, opened. Item i is the i-th file.
pub(super) struct WriteTask {
    pub(super) model: ModelFile,
    pub(super) checked: StageParts,
    pub(super) lists: StageParts,
    pub(super) destination: Destination,
    /// How many items were asked for.
    pub(super) top_n: usize,
    pub(super) staging: PathBuf,
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            self.write_file(item, outputs).map_err(|failure| ItemFailure { item, failure })?;
        }
        Ok(())
    }
}

impl WriteTask {
    fn write_file(&self, item: u64, outputs: &mut ItemOutputs) -> Result<(), Failure> {
        let n_users = self.lists.n_items();
        let (name, path, format, users) = match self.destination {
            Destination::File(format) => (String::new(), self.staging.clone(), format, ItemRange::new(0, n_users)),
            Destination::Directory => {
                std::fs::create_dir_all(&self.staging).map_err(|e| Failure::from_io("create", &self.staging, &e))?;
                let name = format!("part-{item:05}.{PARQUET}");
                let path = self.staging.join(&name);
                let users = ItemRange::new(item * USERS_PER_FILE, (item + 1) * USERS_PER_FILE);
                (name, path, TableFormat::Parquet, users.intersect(ItemRange::new(0, n_users)))
            }
        };
        let (user_ids, item_ids) = (self.model.user_ids()?, self.model.item_ids()?);
        let columns = [("user", id_type(user_ids)), ("item", id_type(item_ids)), ("rank", OutputType::U32), ("score", OutputType::F32)];
        let mut writer = TableWriter::create(&path, format, &columns)?;
        let mut written = WrittenLists::default();
        let n_rows = self.write_lists(users, (user_ids, item_ids), &mut writer, &mut written)?;
        writer.finish()?;
        written.file = publish::stage_file(&name, &path, n_rows)?;
        outputs.push(&written.encode()?);
        Ok(())
    }

    fn write_lists(
        &self,
        users: ItemRange,
        (user_ids, item_ids): (ModelIds<'_>, ModelIds<'_>),
        writer: &mut TableWriter,
        written: &mut WrittenLists,
    ) -> Result<u64, Failure> {
        let checked = CheckedInput::of(&self.checked)?;
        let mut rows = Rows { users: IdColumn::new(user_ids), items: IdColumn::new(item_ids), ranks: vec![], scores: vec![] };
        let mut n_rows = 0;
        for position in users.start..users.end {
            let Some(bytes) = self.lists.item(position)? else { continue };
            let (items, scores) = decode_list(bytes).ok_or_else(|| Failure::storage(format!("the list of user {position} is damaged")))?;
            rows.add(checked.user(position), items, scores);
            n_rows += items.len() as u64;
            written.n_without_list += u64::from(items.is_empty());
            written.n_shorter += u64::from(!items.is_empty() && items.len() < self.top_n);
            if rows.scores.len() >= ROWS_PER_APPEND {
                rows.append_to(writer)?;
            }
        }
        rows.append_to(writer)?;
        Ok(n_rows)
    }
}

fn id_type(ids: ModelIds<'_>) -> OutputType {
    if matches!(ids, ModelIds::Texts(_)) { OutputType::Text } else { OutputType::I64 }
}

/// Rows of the table that are gathered before they are written.
struct Rows<'a> {
    users: IdColumn<'a>,
    items: IdColumn<'a>,
    ranks: Vec<u32>,
    scores: Vec<f32>,
}

impl Rows<'_> {
    fn add(&mut self, user: u32, items: &[u32], scores: &[f32]) {
        items.iter().for_each(|&item| {
            self.users.push(user);
            self.items.push(item);
        });
        self.ranks.extend(1..=items.len() as u32);
        self.scores.extend_from_slice(scores);
    }

    fn append_to(&mut self, writer: &mut TableWriter) -> Result<(), Failure> {
        writer.append(&[self.users.column(), self.items.column(), OutputColumn::U32(&self.ranks), OutputColumn::F32(&self.scores)])?;
        self.users.clear();
        self.items.clear();
        self.ranks.clear();
        self.scores.clear();
        Ok(())
    }
}

/// A column of ids in the making.
struct IdColumn<'a> {
    ids: ModelIds<'a>,
    numbers: Vec<i64>,
    texts: Vec<&'a str>,
}

impl<'a> IdColumn<'a> {
    fn new(ids: ModelIds<'a>) -> Self {
        Self { ids, numbers: vec![], texts: vec![] }
    }

    /// Adds the id of a row of the model. All ids were checked by the first stage.
    fn push(&mut self, row: u32) {
        match self.ids {
            ModelIds::RowNumbers { .. } => self.numbers.push(i64::from(row)),
            ModelIds::Numbers(ids) => self.numbers.push(ids.get(row as usize).copied().unwrap_or_default()),
            ModelIds::Texts(texts) => self.texts.push(texts.get(row as usize).unwrap_or_default()),
        }
    }

    fn column(&self) -> OutputColumn<'_> {
        if matches!(self.ids, ModelIds::Texts(_)) { OutputColumn::Text(&self.texts) } else { OutputColumn::I64(&self.numbers) }
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.texts.clear();
    }
}
