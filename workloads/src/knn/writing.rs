//! The stage that writes the model: the neighbours of all items, and what the users took, by which `recommend` scores.

use super::finding::{means_of, n_blocks};
use super::settings::KnnSettings;
use crate::interactions::{InteractionIds, Interactions};
use crate::packed::Packed;
use crate::publish;
use crate::recommend::neighbours;
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::{self, NewArray};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The stage, opened.
pub(super) struct WriteTask {
    pub(super) settings: KnnSettings,
    pub(super) interactions: StageParts,
    pub(super) neighbours: StageParts,
    pub(super) staging: PathBuf,
}

/// The neighbours of all items, block by block.
#[derive(Default)]
struct Gathered<'a> {
    indptr: Vec<i64>,
    items: Vec<&'a [i32]>,
    similarities: Vec<&'a [f32]>,
}

impl WriteTask {
    fn gather(&self, n_items: usize) -> Result<Gathered<'_>, Failure> {
        let mut gathered = Gathered { indptr: vec![0], ..Gathered::default() };
        for block in 0..n_blocks(n_items) {
            let bytes = self.neighbours.item(block)?;
            let bytes =
                bytes.ok_or_else(|| Failure::storage(format!("block {block} of the neighbours was set aside; submit the job again")))?;
            let packed = Packed::open(bytes)?;
            let before = gathered.indptr.last().copied().unwrap_or(0);
            gathered.indptr.extend(packed.array::<u64>("ends")?.iter().map(|&end| before + end as i64));
            gathered.items.push(bytemuck::cast_slice(packed.array::<u32>("items")?));
            gathered.similarities.push(packed.array("similarities")?);
        }
        Ok(gathered)
    }

    fn write(&self) -> Result<Vec<u8>, Failure> {
        let interactions = Interactions::of(&self.interactions)?;
        let gathered = self.gather(interactions.facts.n_items)?;
        let n_neighbours = gathered.indptr.last().map_or(0, |&n| n as usize);
        let by_user = interactions.by_user;
        let means = self.settings.explicit.then(|| means_of(interactions.by_item));
        // The widest elements first, so that all are aligned.
        let (mut arrays, mut texts) = (vec![], vec![]);
        for ids in [interactions.user_ids()?, interactions.item_ids()?] {
            match ids {
                InteractionIds::Numbers(array) => arrays.push(array),
                InteractionIds::Texts(array) => texts.push(array),
            }
        }
        arrays.push(NewArray::vector(neighbours::INDPTR, &gathered.indptr));
        arrays.push(NewArray::vector("seen_indptr", bytemuck::cast_slice::<u64, i64>(by_user.indptr)));
        arrays.push(NewArray::concatenated(neighbours::ITEMS, &[n_neighbours], &gathered.items));
        arrays.push(NewArray::concatenated(neighbours::SIMILARITIES, &[n_neighbours], &gathered.similarities));
        arrays.push(NewArray::vector("seen_indices", bytemuck::cast_slice::<u32, i32>(by_user.indices)));
        if let Some(means) = &means {
            arrays.push(NewArray::vector(neighbours::MEANS, means));
            arrays.push(NewArray::vector(neighbours::RATINGS, by_user.values));
        }
        arrays.extend(texts);
        artifact::write(&self.staging, neighbours::KIND, neighbours::VERSION, &self.metadata(), &arrays)?;
        publish::stage_file("", &self.staging, 0)?.encode()
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let KnnSettings { explicit, max_neighbours, min_neighbours, min_common_users, min_similarity, shrinkage, .. } = &self.settings;
        BTreeMap::from([
            ("learner".to_owned(), if *explicit { "knn-explicit" } else { "knn-implicit" }.to_owned()),
            (neighbours::MAX_NEIGHBOURS.to_owned(), max_neighbours.to_string()),
            (neighbours::MIN_NEIGHBOURS.to_owned(), min_neighbours.to_string()),
            ("min_common_users".to_owned(), min_common_users.to_string()),
            ("min_similarity".to_owned(), min_similarity.to_string()),
            ("shrinkage".to_owned(), shrinkage.to_string()),
        ])
    }
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.write().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}
