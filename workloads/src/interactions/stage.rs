//! The stage that reads a table of interactions: one item, whose result later stages map. It knows what rows are left out and counts
//! them; it must not know what is learnt from the rest.

use super::numbering::{IdList, Numbered};
use super::rows::{Csr, Repeated};
use super::source::InteractionSource;
use crate::packed::{self, Packed};
use crate::recommend::{ITEM_IDS, USER_IDS};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::{Artifact, NewArray};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::als;
use serde::{Deserialize, Serialize};

/// The most users or items: numbers are of 32 bits, and the greatest stands for none.
const MAX_IDS: usize = u32::MAX as usize - 1;

/// What was found in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InteractionFacts {
    pub(crate) n_users: usize,
    pub(crate) n_items: usize,
    pub(crate) n_interactions: u64,
    /// Rows without a user or an item, which were left out.
    pub(crate) n_without_ids: u64,
    /// Rows without a value, which were left out.
    pub(crate) n_without_value: u64,
    /// Rows of a user and an item that were there before, which were joined with them.
    pub(crate) n_repeated: u64,
    /// Interactions of a value below zero.
    pub(crate) n_negative: u64,
    /// Interactions of the value zero.
    pub(crate) n_zero: u64,
    /// Width of the ids' texts; `None` where they are numbers.
    user_id_width: Option<usize>,
    item_id_width: Option<usize>,
}

impl InteractionFacts {
    /// How much there is.
    pub(crate) fn counts(&self) -> Vec<(String, String)> {
        let counts = [("users", self.n_users as u64), ("items", self.n_items as u64), ("interactions", self.n_interactions)];
        counts.map(|(what, n)| (what.to_owned(), n.to_string())).to_vec()
    }

    /// What a person must know of rows that did not count as they stand.
    pub(crate) fn notices(&self) -> Vec<(String, String)> {
        let counts = [
            ("rows without a user or an item, left out", self.n_without_ids),
            ("rows without a value, left out", self.n_without_value),
            ("rows of a pair that was there before", self.n_repeated),
        ];
        shown(&counts)
    }

    /// What a person must know beside that where values are counts, of which a negative one can hardly be meant.
    pub(crate) fn notices_of_counts(&self) -> Vec<(String, String)> {
        shown(&[
            ("interactions of a value below 0, taken for unwanted", self.n_negative),
            ("interactions of the value 0, which say nothing", self.n_zero),
        ])
    }
}

/// The counts of what there is.
fn shown(counts: &[(&str, u64)]) -> Vec<(String, String)> {
    counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| ((*what).to_owned(), n.to_string())).collect()
}

/// The one item of the stage.
pub(crate) struct InteractionsTask {
    pub(crate) source: InteractionSource,
    pub(crate) repeated: Repeated,
}

impl StageTask for InteractionsTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let bytes = self.read().map_err(|failure| ItemFailure { item: block.start, failure })?;
        outputs.push_owned(bytes);
        Ok(())
    }
}

impl InteractionsTask {
    fn read(&self) -> Result<Vec<u8>, Failure> {
        let table = self.source.path().display().to_string();
        let rows = self.source.read()?;
        let n_rows = rows.users.len();
        let mut is_kept = vec![true; n_rows];
        rows.without_ids.iter().for_each(|&row| is_kept[row as usize] = false);
        let n_with_ids = n_rows - rows.without_ids.len();
        if let Some(values) = &rows.values {
            refuse_too_large(values, &table)?;
            is_kept.iter_mut().zip(values).for_each(|(is_kept, value)| *is_kept &= !value.is_nan());
        }
        let kept = |row: usize| is_kept[row];
        let users = Numbered::of(&rows.users, kept, "user", &table)?;
        let items = Numbered::of(&rows.items, kept, "item", &table)?;
        let values: Vec<f32> = match &rows.values {
            // Checked to be in the range of f32.
            Some(values) => values.iter().zip(&is_kept).filter(|(_, is_kept)| **is_kept).map(|(&value, _)| value as f32).collect(),
            None => vec![1.0; users.numbers.len()],
        };
        for (ids, what) in [(&users.ids, "users"), (&items.ids, "items")] {
            if ids.len() == 0 {
                return Err(Failure::bad_input(format!(
                    "{table}: no row has a user and an item, and a value where there is a column of them; put at least one in"
                )));
            }
            if ids.len() > MAX_IDS {
                return Err(Failure::bad_input(format!("{table}: has {} {what}, where {MAX_IDS} are the most; split it", ids.len())));
            }
        }
        let (by_user, n_repeated) = Csr::of_pairs(users.ids.len(), &users.numbers, &items.numbers, &values, self.repeated);
        let by_item = by_user.transposed(items.ids.len());
        let facts = InteractionFacts {
            n_users: users.ids.len(),
            n_items: items.ids.len(),
            n_interactions: by_user.indices.len() as u64,
            n_without_ids: rows.without_ids.len() as u64,
            n_without_value: (n_with_ids - users.numbers.len()) as u64,
            n_repeated,
            n_negative: by_user.values.iter().filter(|&&value| value < 0.0).count() as u64,
            n_zero: by_user.values.iter().filter(|&&value| value == 0.0).count() as u64,
            user_id_width: width(&users.ids),
            item_id_width: width(&items.ids),
        };
        pack(&facts, &users.ids, &items.ids, &by_user, &by_item)
    }
}

/// Refuses values that single precision cannot hold.
fn refuse_too_large(values: &[f64], table: &str) -> Result<(), Failure> {
    match values.iter().position(|value| value.abs() > f64::from(f32::MAX)) {
        None => Ok(()),
        Some(row) => {
            let message = format!("{table}: row {}: the value {} is beyond the range of float32; mend or drop it", row + 1, values[row]);
            Err(Failure::bad_input(message))
        }
    }
}

fn width(ids: &IdList) -> Option<usize> {
    match ids {
        IdList::Numbers(_) => None,
        IdList::Texts { width, .. } => Some(*width),
    }
}

fn pack(facts: &InteractionFacts, users: &IdList, items: &IdList, by_user: &Csr, by_item: &Csr) -> Result<Vec<u8>, Failure> {
    let (numbers, texts): (Vec<_>, Vec<_>) =
        [(users, USER_IDS), (items, ITEM_IDS)].into_iter().partition(|(ids, _)| matches!(ids, IdList::Numbers(_)));
    // The widest elements first, so that all are aligned.
    let mut arrays: Vec<NewArray<'_>> = numbers.into_iter().map(|(ids, name)| ids.array(name)).collect();
    arrays.extend([
        NewArray::vector("user_indptr", &by_user.indptr),
        NewArray::vector("item_indptr", &by_item.indptr),
        NewArray::vector("user_indices", &by_user.indices),
        NewArray::vector("user_values", &by_user.values),
        NewArray::vector("item_indices", &by_item.indices),
        NewArray::vector("item_values", &by_item.values),
    ]);
    arrays.extend(texts.into_iter().map(|(ids, name)| ids.array(name)));
    packed::pack(facts, &arrays)
}

/// Rows in place: of users with items for columns, or the other way round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CsrView<'a> {
    pub(crate) indptr: &'a [u64],
    pub(crate) indices: &'a [u32],
    pub(crate) values: &'a [f32],
}

impl<'a> CsrView<'a> {
    /// As the learners of ratings and of implicit feedback take it.
    pub(crate) fn feedback(self) -> als::Interactions<'a> {
        als::Interactions::trusted(self.indptr, self.indices, self.values)
    }
}

/// What the stage left, in place.
pub(crate) struct Interactions<'a> {
    pub(crate) facts: InteractionFacts,
    pub(crate) by_user: CsrView<'a>,
    pub(crate) by_item: CsrView<'a>,
    packed: Packed<'a>,
}

impl<'a> Interactions<'a> {
    /// Opens the result of the stage.
    pub(crate) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        let bytes = parts.item(0)?.ok_or_else(|| Failure::storage("the interactions were never read; submit the job again"))?;
        let packed = Packed::open(bytes)?;
        let facts = packed.facts()?;
        let view = |of: &str| -> Result<CsrView<'a>, Failure> {
            Ok(CsrView {
                indptr: packed.array(&format!("{of}_indptr"))?,
                indices: packed.array(&format!("{of}_indices"))?,
                values: packed.array(&format!("{of}_values"))?,
            })
        };
        Ok(Self { by_user: view("user")?, by_item: view("item")?, facts, packed })
    }

    /// The ids of users, as an array of a model.
    pub(crate) fn user_ids(&self) -> Result<InteractionIds<'a>, Failure> {
        self.ids(USER_IDS, self.facts.n_users, self.facts.user_id_width)
    }

    /// The ids of items, likewise.
    pub(crate) fn item_ids(&self) -> Result<InteractionIds<'a>, Failure> {
        self.ids(ITEM_IDS, self.facts.n_items, self.facts.item_id_width)
    }

    /// A user's or item's id as a person reads it.
    pub(crate) fn shown_id(&self, of_user: bool, row: usize) -> Result<String, Failure> {
        let facts = &self.facts;
        let (name, width) = if of_user { (USER_IDS, facts.user_id_width) } else { (ITEM_IDS, facts.item_id_width) };
        let Some(width) = width else {
            return Ok(self.packed.array::<i64>(name)?.get(row).map_or(String::new(), i64::to_string));
        };
        let padded = self.packed.array::<u8>(name)?.get(row * width..(row + 1) * width).unwrap_or_default();
        Ok(String::from_utf8_lossy(padded).trim_end_matches('\0').to_owned())
    }

    /// Whether a model's ids are these.
    pub(crate) fn has_ids_of(&self, model: &Artifact) -> Result<bool, Failure> {
        let same = |name: &str, n: usize, width: Option<usize>| -> Result<bool, Failure> {
            if !model.has(name) {
                return Ok(false);
            }
            match width {
                None => Ok(model.vector::<i64>(name, None).is_ok_and(|ids| Ok(ids) == self.packed.array::<i64>(name))),
                Some(width) => Ok(model
                    .matrix::<u8>(name)
                    .is_ok_and(|(bytes, n_ids, of_width)| (n_ids, of_width) == (n, width) && Ok(bytes) == self.packed.array::<u8>(name))),
            }
        };
        Ok(same(USER_IDS, self.facts.n_users, self.facts.user_id_width)? && same(ITEM_IDS, self.facts.n_items, self.facts.item_id_width)?)
    }

    fn ids(&self, name: &'static str, n: usize, width: Option<usize>) -> Result<InteractionIds<'a>, Failure> {
        Ok(match width {
            None => InteractionIds::Numbers(NewArray::vector(name, self.packed.array::<i64>(name)?)),
            Some(width) => InteractionIds::Texts(NewArray::concatenated(name, &[n, width], &[self.packed.array::<u8>(name)?])),
        })
    }
}

/// Ids in place. Their elements are the widest or the narrowest of a file.
pub(crate) enum InteractionIds<'a> {
    /// int64.
    Numbers(NewArray<'a>),
    /// uint8, [n, width].
    Texts(NewArray<'a>),
}
