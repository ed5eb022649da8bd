//! Scoring users one by one: by their neighbourhoods, or against few items alone. It must not know which of the scored items are kept.

use super::model::ModelFile;
use super::neighbours::NeighbourModel;
use paceline_common::failure::Failure;
use paceline_kernels::neighbours::ScoreScratch;
use paceline_kernels::recommend::{FactorModel, NonFiniteScore, ScoredItem, score_items};

/// A model by which users are scored one by one.
pub(crate) enum SingleModel<'a> {
    Factors(FactorModel<'a>),
    Neighbours(NeighbourModel<'a>),
}

impl<'a> SingleModel<'a> {
    pub(crate) fn of(model: &'a ModelFile) -> Result<Self, Failure> {
        Ok(if model.has_neighbours() { Self::Neighbours(model.neighbours()?) } else { Self::Factors(model.factors()?) })
    }

    /// Puts the scores of `user` and each of the `wanted` items into `list`, in place of what is there; of all items, where none are named.
    /// `wanted` ascends. Items of which a neighbourhood says nothing are not in the list.
    pub(crate) fn score(
        &self,
        user: u32,
        wanted: Option<&[u32]>,
        scratch: &mut ScoreScratch,
        list: &mut Vec<ScoredItem>,
    ) -> Result<(), NonFiniteScore> {
        list.clear();
        match self {
            Self::Neighbours(model) => {
                let (items, ratings) = model.history_of(user);
                model.scorer.score(items, ratings, scratch, |item, score| {
                    if wanted.is_none_or(|wanted| wanted.binary_search(&item).is_ok()) {
                        list.push(ScoredItem { item, score });
                    }
                });
            }
            Self::Factors(model) => match wanted {
                Some(wanted) => score_items(model, user, wanted, list),
                None => score_items(model, user, &(0..model.n_items() as u32).collect::<Vec<u32>>(), list),
            },
        }
        match list.iter().find(|line| !line.score.is_finite()) {
            Some(&ScoredItem { item, score }) => Err(NonFiniteScore { position: 0, user, item, score }),
            None => Ok(()),
        }
    }
}

/// What a person is told of a score that is no finite number.
pub(crate) fn beyond_f32(error: &NonFiniteScore) -> String {
    format!("{error}: their factors multiply beyond the range of float32; scale the model down")
}
