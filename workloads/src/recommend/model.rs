//! The factor model as a file: which arrays it must have, in which shapes, and how they become what the kernel takes.

use super::ids::{IdIndex, ModelIds};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use paceline_kernels::recommend::{CsrError, FactorModel, NonFiniteRow, RowBounds, SeenItems, row_bounds};
use rayon::prelude::*;
use std::sync::Arc;

pub(super) const USER_IDS: &str = "user_ids";
pub(super) const ITEM_IDS: &str = "item_ids";
const SEEN_INDPTR: &str = "seen_indptr";
const SEEN_INDICES: &str = "seen_indices";

/// Row pointers and indices.
type CsrArrays<'a> = (&'a [u64], &'a [u32]);

/// An open model whose arrays have the right types and shapes. What is in them, [`Self::check_values`] looks at once a job.
#[derive(Clone, Debug)]
pub(super) struct ModelFile {
    artifact: Arc<Artifact>,
}

impl ModelFile {
    /// Refuses a file that lacks an array, or has one of another type or shape. Reads only its header.
    pub(super) fn new(artifact: Arc<Artifact>) -> Result<Self, Failure> {
        let model = Self { artifact };
        let factors = model.factors()?;
        for (n, what) in [(factors.n_users(), "users"), (factors.n_items(), "items")] {
            if n == 0 {
                return Err(model.artifact.refuse(&format!("the model has no {what}")));
            }
        }
        model.user_ids()?;
        model.item_ids()?;
        model.seen_arrays()?;
        Ok(model)
    }

    /// Factors and biases.
    pub(super) fn factors(&self) -> Result<FactorModel<'_>, Failure> {
        let file = &*self.artifact;
        let (user_factors, n_users, n_factors) = file.matrix::<f32>("user_factors")?;
        let (item_factors, n_items, n_item_factors) = file.matrix::<f32>("item_factors")?;
        if n_factors != n_item_factors {
            return Err(file.refuse(&format!(
                "user_factors has {n_factors} columns and item_factors {n_item_factors}, where both must have one for each factor"
            )));
        }
        let bias = |name: &str, n_rows: usize| file.has(name).then(|| file.vector::<f32>(name, Some(n_rows))).transpose();
        FactorModel::new(user_factors, item_factors, n_factors, bias("user_bias", n_users)?, bias("item_bias", n_items)?)
            .map_err(|e| file.refuse(&e.to_string()))
    }

    pub(super) fn user_ids(&self) -> Result<ModelIds<'_>, Failure> {
        ModelIds::of(&self.artifact, USER_IDS, self.factors()?.n_users())
    }

    pub(super) fn item_ids(&self) -> Result<ModelIds<'_>, Failure> {
        ModelIds::of(&self.artifact, ITEM_IDS, self.factors()?.n_items())
    }

    pub(super) fn user_index(&self) -> Result<IdIndex<'_>, Failure> {
        self.user_ids()?.index(&self.artifact, USER_IDS)
    }

    pub(super) fn item_index(&self) -> Result<IdIndex<'_>, Failure> {
        self.item_ids()?.index(&self.artifact, ITEM_IDS)
    }

    /// What the file says of seen items; nothing where it says nothing.
    pub(super) fn seen(&self) -> Result<SeenItems<'_>, Failure> {
        Ok(self.seen_arrays()?.map_or_else(SeenItems::default, |(indptr, indices)| SeenItems::trusted(indptr, indices)))
    }

    fn seen_arrays(&self) -> Result<Option<CsrArrays<'_>>, Failure> {
        let file = &*self.artifact;
        match (file.has(SEEN_INDPTR), file.has(SEEN_INDICES)) {
            (false, false) => Ok(None),
            (true, true) => {
                let indptr = file.vector::<i64>(SEEN_INDPTR, Some(self.factors()?.n_users() + 1))?;
                let indices = file.vector::<i32>(SEEN_INDICES, None)?;
                // A negative number becomes one that is far out of range, and is refused as such.
                Ok(Some((bytemuck::cast_slice(indptr), bytemuck::cast_slice(indices))))
            }
            _ => Err(file.refuse(&format!("has only one of the arrays {SEEN_INDPTR} and {SEEN_INDICES}, where both or none are needed"))),
        }
    }

    /// Looks at every value; refuses factors and biases that are not finite, ids that cannot be told apart, and seen items that are
    /// no sound rows. Gives the bounds of the items' rows.
    pub(super) fn check_values(&self) -> Result<RowBounds, Failure> {
        let factors = self.factors()?;
        self.bounds("user", factors.user_factors(), factors.n_factors(), factors.user_biases())?;
        let item_bounds = self.bounds("item", factors.item_factors(), factors.n_factors(), factors.item_biases())?;
        if let Some((indptr, indices)) = self.seen_arrays()? {
            SeenItems::checked(indptr, indices, factors.n_users(), factors.n_items()).map_err(|e| self.refuse_seen(&e))?;
        }
        self.user_index()?;
        self.item_index()?;
        Ok(item_bounds)
    }

    fn bounds(&self, what: &str, factors: &[f32], n_factors: usize, bias: Option<&[f32]>) -> Result<RowBounds, Failure> {
        /// Rows that one thread looks at in one go.
        const ROWS_PER_CHUNK: usize = 16_384;
        let refuse = |bad: NonFiniteRow, first_row: usize| {
            let array = if bad.is_bias { "bias" } else { "factors" };
            self.artifact.refuse(&format!(
                "array {what}_{array} has NaN or an infinity in row {}; train the model again without it",
                first_row + bad.row
            ))
        };
        let of_chunk = |(i, rows): (usize, &[f32])| row_bounds(rows, n_factors, None).map_err(|bad| refuse(bad, i * ROWS_PER_CHUNK));
        // Collected in order, so that the first bad row is named at any number of threads.
        let chunks: Vec<_> = factors.par_chunks(ROWS_PER_CHUNK * n_factors).enumerate().map(of_chunk).collect();
        let of_bias = row_bounds(&[], n_factors, bias).map_err(|bad| refuse(bad, 0));
        chunks.into_iter().chain([of_bias]).try_fold(RowBounds::default(), |bounds, next| Ok(bounds.max(next?)))
    }

    fn refuse_seen(&self, error: &CsrError) -> Failure {
        let advice = match error {
            CsrError::Pointers { .. } | CsrError::Falling { .. } => format!("write {SEEN_INDPTR} as a CSR matrix of all users has it"),
            CsrError::OutOfRange { .. } => "drop the items that the model lacks".to_owned(),
            CsrError::Unsorted { .. } => "call sum_duplicates() on the matrix before it is written".to_owned(),
        };
        self.artifact.refuse(&format!("array {SEEN_INDICES} or {SEEN_INDPTR} is malformed: {error}; {advice}"))
    }
}
