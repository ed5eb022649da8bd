//! The model as a file: which arrays a factor model must have, in which shapes, and how they become what the kernel takes; and what all
//! kinds of models have in common.

use super::ids::{IdIndex, ModelIds};
use super::neighbours::{self, NeighbourModel};
use crate::input_cache::InputCache;
use crate::workload::JobContext;
use paceline_common::artifact::{Artifact, KIND_KEY};
use paceline_common::failure::Failure;
use paceline_kernels::recommend::{CsrError, FactorModel, RowBounds, SeenItems, row_bounds};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

pub(crate) const USER_IDS: &str = "user_ids";
pub(crate) const ITEM_IDS: &str = "item_ids";
const SEEN_INDPTR: &str = "seen_indptr";
const SEEN_INDICES: &str = "seen_indices";

/// How many rows of factors are looked at in one go: 16 MiB of them, a few milliseconds.
fn rows_per_block(n_factors: usize) -> usize {
    const BYTES_PER_BLOCK: usize = 16 << 20;
    (BYTES_PER_BLOCK / (n_factors * size_of::<f32>())).max(1)
}

/// Row pointers and indices.
type CsrArrays<'a> = (&'a [u64], &'a [u32]);

/// An open model whose arrays have the right types and shapes. What is in them, [`Self::check_values`] looks at once a job.
#[derive(Clone, Debug)]
pub(crate) struct ModelFile {
    artifact: Arc<Artifact>,
}

impl ModelFile {
    /// Refuses a file that lacks an array, or has one of another type or shape. Reads only its header.
    pub(crate) fn new(artifact: Arc<Artifact>) -> Result<Self, Failure> {
        let model = Self { artifact };
        model.expect_recommender()?;
        let (n_users, n_items) = model.shape()?;
        for (n, what) in [(n_users, "users"), (n_items, "items")] {
            if n == 0 {
                return Err(model.artifact.refuse(&format!("the model has no {what}")));
            }
        }
        model.user_ids()?;
        model.item_ids()?;
        model.seen_arrays()?;
        Ok(model)
    }

    /// The model at `path` as a node has it mapped, once for all of its stages.
    pub(crate) fn of_job(path: &Path, job: &JobContext<'_>, inputs: &InputCache) -> Result<Self, Failure> {
        let identity = job.record.plan.inputs.iter().find(|input| input.path == path);
        Self::new(inputs.artifact(identity.ok_or_else(|| Failure::storage("the job's record does not name its model"))?)?)
    }

    fn expect_recommender(&self) -> Result<(), Failure> {
        if self.artifact.has("user_factors") || self.has_neighbours() {
            return Ok(());
        }
        let kind = self.artifact.metadata().get(KIND_KEY).map_or(String::new(), |kind| format!("is a {kind}, it "));
        let arrays = format!("{kind}has neither user_factors nor {}, by which a recommender scores", neighbours::INDPTR);
        Err(self.artifact.refuse(&format!("{arrays}; name a model of `als train`, `knn train` or `popular train`")))
    }

    /// Whether it is a neighbourhood model; else it is one of factors.
    pub(crate) fn has_neighbours(&self) -> bool {
        neighbours::is_model(&self.artifact)
    }

    /// How many users and items.
    pub(crate) fn shape(&self) -> Result<(usize, usize), Failure> {
        if self.has_neighbours() {
            let n_users = self.artifact.vector::<i64>(SEEN_INDPTR, None)?.len().saturating_sub(1);
            return Ok((n_users, self.artifact.vector::<i64>(neighbours::INDPTR, None)?.len().saturating_sub(1)));
        }
        let factors = self.factors()?;
        Ok((factors.n_users(), factors.n_items()))
    }

    /// Neighbours of items, and what users took.
    pub(crate) fn neighbours(&self) -> Result<NeighbourModel<'_>, Failure> {
        let history = self.seen_arrays()?;
        let history = history.ok_or_else(|| self.artifact.refuse(&format!("lacks array {SEEN_INDPTR}, by which users are scored")))?;
        NeighbourModel::of(&self.artifact, history)
    }

    /// Factors and biases.
    pub(crate) fn factors(&self) -> Result<FactorModel<'_>, Failure> {
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

    pub(crate) fn user_ids(&self) -> Result<ModelIds<'_>, Failure> {
        ModelIds::of(&self.artifact, USER_IDS, self.shape()?.0)
    }

    pub(crate) fn item_ids(&self) -> Result<ModelIds<'_>, Failure> {
        ModelIds::of(&self.artifact, ITEM_IDS, self.shape()?.1)
    }

    pub(crate) fn user_index(&self) -> Result<IdIndex<'_>, Failure> {
        self.user_ids()?.index(&self.artifact, USER_IDS)
    }

    pub(crate) fn item_index(&self) -> Result<IdIndex<'_>, Failure> {
        self.item_ids()?.index(&self.artifact, ITEM_IDS)
    }

    /// What the file says of seen items; nothing where it says nothing.
    pub(crate) fn seen(&self) -> Result<SeenItems<'_>, Failure> {
        Ok(self.seen_arrays()?.map_or_else(SeenItems::default, |(indptr, indices)| SeenItems::trusted(indptr, indices)))
    }

    fn seen_arrays(&self) -> Result<Option<CsrArrays<'_>>, Failure> {
        let file = &*self.artifact;
        match (file.has(SEEN_INDPTR), file.has(SEEN_INDICES)) {
            (false, false) => Ok(None),
            (true, true) => {
                let indptr = file.vector::<i64>(SEEN_INDPTR, Some(self.shape()?.0 + 1))?;
                let indices = file.vector::<i32>(SEEN_INDICES, None)?;
                // A negative number becomes one that is far out of range, and is refused as such.
                Ok(Some((bytemuck::cast_slice(indptr), bytemuck::cast_slice(indices))))
            }
            _ => Err(file.refuse(&format!("has only one of the arrays {SEEN_INDPTR} and {SEEN_INDICES}, where both or none are needed"))),
        }
    }

    /// Looks at every value; refuses factors and biases that are not finite, ids that cannot be told apart, and seen items that are
    /// no sound rows.
    pub(crate) fn check_values(&self) -> Result<(), Failure> {
        self.check_all_but_factors()?;
        // Collected in order, so that the first bad row is named at any number of threads.
        let checked: Vec<_> = (0..self.n_factor_blocks()?).into_par_iter().map(|block| self.check_factor_block(block)).collect();
        checked.into_iter().try_for_each(|bounds| bounds.map(drop))
    }

    /// The part of [`Self::check_values`] that is small, but for that of a neighbourhood model, which is whole.
    pub(crate) fn check_all_but_factors(&self) -> Result<(), Failure> {
        if self.has_neighbours() {
            self.neighbours()?.check(&self.artifact)?;
        }
        let (n_users, n_items) = self.shape()?;
        if let Some((indptr, indices)) = self.seen_arrays()? {
            SeenItems::checked(indptr, indices, n_users, n_items).map_err(|e| self.refuse_seen(&e))?;
        }
        self.user_index()?;
        self.item_index()?;
        Ok(())
    }

    /// How many blocks the rows of factors make, those of the items behind those of the users.
    pub(crate) fn n_factor_blocks(&self) -> Result<u64, Failure> {
        if self.has_neighbours() {
            return Ok(0);
        }
        let factors = self.factors()?;
        let rows = rows_per_block(factors.n_factors());
        Ok((factors.n_users().div_ceil(rows) + factors.n_items().div_ceil(rows)) as u64)
    }

    /// Looks at every value of a block; gives the bounds of its rows where they are of items.
    pub(crate) fn check_factor_block(&self, block: u64) -> Result<RowBounds, Failure> {
        let factors = self.factors()?;
        let (n_factors, rows) = (factors.n_factors(), rows_per_block(factors.n_factors()));
        let n_user_blocks = factors.n_users().div_ceil(rows);
        let (what, block, n_rows, values, bias) = match (block as usize).checked_sub(n_user_blocks) {
            None => ("user", block as usize, factors.n_users(), factors.user_factors(), factors.user_biases()),
            Some(block) => ("item", block, factors.n_items(), factors.item_factors(), factors.item_biases()),
        };
        let (start, end) = ((block * rows).min(n_rows), ((block + 1) * rows).min(n_rows));
        let bounds = row_bounds(&values[start * n_factors..end * n_factors], n_factors, bias.map(|bias| &bias[start..end]));
        let bounds = bounds.map_err(|bad| {
            let array = if bad.is_bias { "bias" } else { "factors" };
            let row = start + bad.row;
            self.artifact.refuse(&format!("array {what}_{array} has NaN or an infinity in row {row}; train the model again without it"))
        })?;
        Ok(if what == "item" { bounds } else { RowBounds::default() })
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
