//! The neighbourhood model as a file: which arrays it must have, in which shapes, and how they become what the kernel takes.

use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_kernels::neighbours::{NeighbourScorer, NeighbourSettings, Neighbourhoods, Rows};
use paceline_kernels::recommend::SeenItems;

/// The kind that such a model names itself.
pub const KIND: &str = "neighbours";
/// Its version.
pub const VERSION: u32 = 1;
pub(crate) const INDPTR: &str = "neighbour_indptr";
pub(crate) const ITEMS: &str = "neighbour_items";
pub(crate) const SIMILARITIES: &str = "neighbour_similarities";
pub(crate) const MEANS: &str = "item_means";
/// What users think of the items that they have seen, beside `seen_indices`.
pub(crate) const RATINGS: &str = "seen_values";
pub(crate) const MAX_NEIGHBOURS: &str = "max_neighbours";
pub(crate) const MIN_NEIGHBOURS: &str = "min_neighbours";

/// The row of compressed sparse rows that the element in `place` belongs to.
fn row_of(indptr: &[u64], place: usize) -> usize {
    indptr.partition_point(|&start| start <= place as u64).saturating_sub(1)
}

/// Whether a file is such a model.
pub(crate) fn is_model(file: &Artifact) -> bool {
    file.has(INDPTR)
}

/// The model, in place.
pub(crate) struct NeighbourModel<'a> {
    pub(crate) scorer: NeighbourScorer<'a>,
    /// What each user took, by which items are scored.
    history: SeenItems<'a>,
    /// Beside them what the user thinks of each, where values are ratings.
    ratings: Option<Rows<'a>>,
}

impl<'a> NeighbourModel<'a> {
    /// Refuses arrays of other types or shapes; what is in them, [`Self::check`] looks at.
    pub(crate) fn of(file: &'a Artifact, history: (&'a [u64], &'a [u32])) -> Result<Self, Failure> {
        let indptr: &[u64] = bytemuck::cast_slice(file.vector::<i64>(INDPTR, None)?);
        let indices: &[u32] = bytemuck::cast_slice(file.vector::<i32>(ITEMS, None)?);
        let similarities = file.vector::<f32>(SIMILARITIES, Some(indices.len()))?;
        let n_items = indptr.len().saturating_sub(1);
        let means = file.has(MEANS).then(|| file.vector::<f32>(MEANS, Some(n_items))).transpose()?;
        let (seen_indptr, seen) = history;
        let rated = |values| Rows { indptr: seen_indptr, indices: seen, values };
        let ratings = means.map(|_| file.vector::<f32>(RATINGS, Some(seen.len())).map(rated)).transpose()?;
        let setting = |key: &str, default: usize| match file.metadata().get(key) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| file.refuse(&format!("its {key} is \"{text}\", which is no whole number; train the model again")))
            }
        };
        let settings = NeighbourSettings { max_neighbours: setting(MAX_NEIGHBOURS, 20)?, min_neighbours: setting(MIN_NEIGHBOURS, 1)? };
        let model = Neighbourhoods { rows: Rows { indptr, indices, values: similarities }, means, n_items };
        Ok(Self { scorer: NeighbourScorer { model, settings }, history: SeenItems::trusted(seen_indptr, seen), ratings })
    }

    /// A user's own items, ascending, and what they think of them, if that is known.
    pub(crate) fn history_of(&self, user: u32) -> (&'a [u32], &'a [f32]) {
        (self.history.of(user as usize), self.ratings.map_or(&[], |ratings| ratings.row(user as usize).1))
    }

    fn n_items(&self) -> usize {
        self.scorer.model.n_items
    }

    /// Looks at every value.
    pub(crate) fn check(&self, file: &Artifact) -> Result<(), Failure> {
        let Rows { indptr, indices, values } = self.scorer.model.rows;
        let n_items = self.n_items();
        let spans = indptr.first() == Some(&0) && indptr.is_sorted() && indptr.last() == Some(&(indices.len() as u64));
        if !spans {
            return Err(file
                .refuse(&format!("array {INDPTR} does not span the neighbours from 0 on; write it as a CSR matrix of all items has it")));
        }
        if let Some(&item) = indices.iter().find(|&&item| item as usize >= n_items) {
            return Err(file.refuse(&format!("array {ITEMS} names item {item}, and there are only {n_items}; train the model again")));
        }
        let bad = |values: &[f32], lowest: f32| values.iter().position(|&value| !(value.is_finite() && value > lowest));
        if let Some(place) = bad(values, 0.0) {
            return Err(file.refuse(&format!(
                "array {SIMILARITIES} has {} in row {}, where numbers above 0 are needed; train the model again",
                values[place],
                row_of(indptr, place)
            )));
        }
        let means = (MEANS, self.scorer.model.means.unwrap_or_default(), None);
        let ratings = self.ratings.map(|Rows { indptr, values, .. }| (RATINGS, values, Some(indptr)));
        for (name, values, indptr) in [Some(means), ratings].into_iter().flatten() {
            if let Some(place) = bad(values, f32::NEG_INFINITY) {
                let (value, row) = (values[place], indptr.map_or(place, |indptr| row_of(indptr, place)));
                return Err(file.refuse(&format!("array {name} has {value} in row {row}; train the model again without it")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_belongs_to_the_row_that_holds_its_place() {
        let indptr = [0, 2, 2, 3];
        assert_eq!([0, 1, 2].map(|place| row_of(&indptr, place)), [0, 0, 2]);
    }
}
