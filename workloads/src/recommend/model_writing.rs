//! Writing a factor model that was learnt from a table of interactions, as `recommend` reads it: with the ids of the table, and with
//! what each user took as what they have seen. This room must not know how factors are learnt.

use crate::interactions::{InteractionIds, Interactions};
use paceline_common::artifact::{self, NewArray};
use paceline_common::failure::Failure;
use std::path::Path;

/// The kind of a factor model that paceline wrote; one written by others need not name any.
pub const FACTORS_KIND: &str = "factors";
const VERSION: u32 = 1;
/// The key of the metadata entry that says how the factors were learnt.
pub(crate) const LEARNER: &str = "learner";

/// What was learnt.
pub(crate) struct ModelContent<'a> {
    pub(crate) n_factors: usize,
    /// Whole rows, in any number of pieces.
    pub(crate) user_factors: Vec<&'a [f32]>,
    pub(crate) item_factors: Vec<&'a [f32]>,
    pub(crate) user_bias: Option<Vec<&'a [f32]>>,
    pub(crate) item_bias: Option<Vec<&'a [f32]>>,
    /// How it was learnt, for the metadata.
    pub(crate) facts: Vec<(String, String)>,
}

/// Writes the model durably and atomically at `path`.
pub(crate) fn write_model(path: &Path, interactions: &Interactions<'_>, content: &ModelContent<'_>) -> Result<(), Failure> {
    let (n_users, n_items) = (interactions.facts.n_users, interactions.facts.n_items);
    // Compressed rows have one pointer more than rows, and every index is below 2^32; files hold both as NumPy's sparse matrices do.
    let indptr: &[i64] = bytemuck::cast_slice(interactions.by_user.indptr);
    let indices: &[i32] = bytemuck::cast_slice(interactions.by_user.indices);
    let ids = [interactions.user_ids()?, interactions.item_ids()?];
    // The widest elements first, so that all are aligned.
    let mut arrays = vec![];
    let mut texts = vec![];
    for ids in ids {
        match ids {
            InteractionIds::Numbers(array) => arrays.push(array),
            InteractionIds::Texts(array) => texts.push(array),
        }
    }
    arrays.push(NewArray::vector("seen_indptr", indptr));
    arrays.push(NewArray::concatenated("user_factors", &[n_users, content.n_factors], &content.user_factors));
    arrays.push(NewArray::concatenated("item_factors", &[n_items, content.n_factors], &content.item_factors));
    arrays.extend(content.user_bias.iter().map(|bias| NewArray::concatenated("user_bias", &[n_users], bias)));
    arrays.extend(content.item_bias.iter().map(|bias| NewArray::concatenated("item_bias", &[n_items], bias)));
    arrays.push(NewArray::vector("seen_indices", indices));
    arrays.extend(texts);
    artifact::write(path, FACTORS_KIND, VERSION, &content.facts.iter().cloned().collect(), &arrays)
}
