//! The stage that finds neighbours: item i is the i-th block of items. It must not know how neighbours are written.

use super::settings::KnnSettings;
use crate::interactions::{CsrView, Interactions};
use crate::packed;
use crate::working_memory::WorkingMemory;
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::neighbours::{ItemColumns, Rows, SimilarityScratch, SimilaritySettings, norm_of};
use rayon::prelude::*;
use std::ops::Range;

/// Items of a block: few, as an item that everybody took costs as much as thousands of others.
const BLOCK_ITEMS: usize = 64;

pub(super) fn n_blocks(n_items: usize) -> u64 {
    n_items.div_ceil(BLOCK_ITEMS) as u64
}

/// Items of a block.
fn items_of(block: u64, n_items: usize) -> Range<usize> {
    let edge = |block: u64| n_items.min(block as usize * BLOCK_ITEMS);
    edge(block)..edge(block + 1)
}

/// The mean of each item's ratings.
pub(super) fn means_of(by_item: CsrView<'_>) -> Vec<f32> {
    let mean = |item: usize| {
        let values = rows(by_item).row(item).1;
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        (sum / values.len().max(1) as f64) as f32
    };
    (0..by_item.indptr.len() - 1).into_par_iter().map(mean).collect()
}

fn rows(view: CsrView<'_>) -> Rows<'_> {
    let CsrView { indptr, indices, values } = view;
    Rows { indptr, indices, values }
}

/// The stage, opened.
pub(super) struct FindTask {
    interactions: StageParts,
    settings: SimilaritySettings,
    /// Of each item, where values are ratings.
    means: Option<Vec<f32>>,
    norms: Vec<f32>,
    /// Ones in place of values that do not count.
    ones: Option<Vec<f32>>,
    scratches: WorkingMemory<SimilarityScratch>,
}

impl FindTask {
    pub(super) fn open(interactions: StageParts, settings: &KnnSettings) -> Result<Self, Failure> {
        let by_item = Interactions::of(&interactions)?.by_item;
        let n_items = by_item.indptr.len() - 1;
        let means = settings.explicit.then(|| means_of(by_item));
        let norm = |item: usize| {
            let (users, values) = rows(by_item).row(item);
            match &means {
                Some(means) => norm_of(values, means[item]),
                None => (users.len() as f64).sqrt() as f32,
            }
        };
        let norms = (0..n_items).into_par_iter().map(norm).collect();
        let ones = (!settings.explicit).then(|| vec![1.0; by_item.values.len()]);
        Ok(Self { interactions, settings: settings.similarity(), means, norms, ones, scratches: WorkingMemory::default() })
    }

    fn block(&self, block: u64, scratch: &mut SimilarityScratch) -> Result<Vec<u8>, Failure> {
        let interactions = Interactions::of(&self.interactions)?;
        let (mut by_item, mut by_user) = (rows(interactions.by_item), rows(interactions.by_user));
        if let Some(ones) = &self.ones {
            (by_item.values, by_user.values) = (ones, ones);
        }
        let columns = ItemColumns { by_item, by_user, means: self.means.as_deref(), norms: &self.norms };
        let (mut ends, mut indices, mut similarities, mut list) = (vec![], vec![], vec![], vec![]);
        for item in items_of(block, self.norms.len()) {
            columns.neighbours(item, &self.settings, scratch, &mut list);
            indices.extend(list.iter().map(|neighbour| neighbour.item));
            similarities.extend(list.iter().map(|neighbour| neighbour.similarity));
            ends.push(indices.len() as u64);
        }
        let arrays =
            [NewArray::vector("ends", &ends), NewArray::vector("items", &indices), NewArray::vector("similarities", &similarities)];
        packed::pack(&(), &arrays)
    }
}

impl StageTask for FindTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        self.scratches.lend(|scratch| {
            (block.start..block.end).try_for_each(|item| {
                let bytes = self.block(item, scratch).map_err(|failure| ItemFailure { item, failure })?;
                outputs.push_owned(bytes);
                Ok(())
            })
        })
    }
}
