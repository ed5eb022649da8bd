//! Grows one tree, depth first. Large nodes may be worked on by several threads, but draws are keyed by a node's path and parts
//! are joined in the order of the nodes, so that the tree does not depend on it. This room must not know how splits are judged
//! nor how trees are stored in files.

use super::classification::{ClassCounts, ClassTerm, ClassWeights, Entropy, Gini};
use super::criterion::{Measure, Sides};
use super::error::ForestError;
use super::frame::{BlockFrame, Frame, TableFrame};
use super::node::{Candidates, Expansion, NodeSeed, Scratch, expand};
use super::regression::Response;
use super::sampling::{InBag, NODE_DRAWS};
use super::training::{Criterion, GrowSettings, Target, TrainingSet};
use super::tree::{FEATURE_MASK, Tree, TreeBuilder};
use crate::draws::Draws;
use std::marker::PhantomData;

/// Nodes are given to two threads when the smaller one has at least this many rows: enough work to be worth the passing on.
const MIN_FORK_ROWS: usize = 2048;
/// Rows from which on a block is copied when several threads share a tree: smaller, so that there are blocks for all of them.
const NESTED_BLOCK_ROWS: usize = 1 << 13;
/// Forks inside one another; a bound for the stack.
const MAX_FORK_DEPTH: u32 = 64;

/// Whether threads may share a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One thread grows it: best while there are as many trees left as threads.
    Sequential,
    /// The calling rayon pool shares it. The tree is the same.
    Nested,
}

/// Grows the trees of one forest. One is enough for all threads.
#[derive(Clone, Debug)]
pub struct Grower<'a> {
    set: TrainingSet<'a>,
    settings: GrowSettings,
}

impl<'a> Grower<'a> {
    /// Checks that the settings fit the training set.
    ///
    /// # Errors
    /// A setting out of its range, or a criterion that does not fit the target.
    pub fn new(set: TrainingSet<'a>, settings: GrowSettings) -> Result<Self, ForestError> {
        settings.check(&set)?;
        if set.columns.n_features() > FEATURE_MASK as usize {
            return Err(ForestError::Setting("there are more than 536,870,911 features; leave some out"));
        }
        Ok(Self { set, settings })
    }

    /// Grows the tree with this index.
    pub fn grow(&self, tree_idx: u64, nesting: Nesting) -> Tree {
        match (self.set.target, self.settings.criterion) {
            (Target::Classes { classes, n_classes }, Criterion::Entropy) => {
                self.grow_classes::<Entropy>(classes, n_classes, tree_idx, nesting)
            }
            (Target::Classes { classes, n_classes }, _) => self.grow_classes::<Gini>(classes, n_classes, tree_idx, nesting),
            (Target::Values(values), _) => match self.set.weights {
                Some(_) => self.grow_by(&Response::<true> { values, weights: self.set.weights }, tree_idx, nesting),
                None => self.grow_by(&Response::<false> { values, weights: None }, tree_idx, nesting),
            },
        }
    }

    fn grow_classes<T: ClassTerm>(&self, classes: &[u32], n_classes: u32, tree_idx: u64, nesting: Nesting) -> Tree {
        let (n_classes, term) = (n_classes as usize, PhantomData::<T>);
        match self.set.weights {
            Some(weights) => self.grow_by(&ClassWeights { classes, weights, n_classes, term }, tree_idx, nesting),
            None => self.grow_by(&ClassCounts { classes, n_classes, term }, tree_idx, nesting),
        }
    }

    fn grow_by<M: Measure>(&self, measure: &M, tree_idx: u64, nesting: Nesting) -> Tree {
        let columns = &self.set.columns;
        let bag = InBag::draw(self.settings.sampling, columns.n_rows(), self.settings.seed, tree_idx);
        let in_bag = bag.counts();
        let mut rows: Vec<u32> = (0..).zip(in_bag).filter(|&(row, &n)| n > 0 && measure.counts(row as usize)).map(|(row, _)| row).collect();
        if rows.is_empty() {
            // The bag missed every row of positive weight: the tree says what all rows together say.
            let counted = (0..columns.n_rows() as u32).filter(|&row| measure.counts(row as usize));
            return self.grow_rows(measure, &vec![1; columns.n_rows()], &mut counted.collect::<Vec<_>>(), tree_idx, nesting);
        }
        self.grow_rows(measure, in_bag, &mut rows, tree_idx, nesting)
    }

    fn grow_rows<M: Measure>(&self, measure: &M, in_bag: &[u8], rows: &mut [u32], tree_idx: u64, nesting: Nesting) -> Tree {
        let columns = &self.set.columns;
        let table = TableFrame { measure, columns, in_bag };
        let mut total = measure.sides();
        total.clear();
        rows.iter().for_each(|&row| total.add_to_node(table.item(row)));
        let task = TreeTask { measure, table, settings: &self.settings, nesting, root_weight: total.weight() };
        let mut builder = TreeBuilder::default();
        let features: Vec<u32> = (0..columns.n_features() as u32).collect();
        let root = NodeSeed::root(rows.len(), features.len(), Draws::new(self.settings.seed, NODE_DRAWS, tree_idx));
        task.grow_from_table(rows, root, &features, 0, &mut builder);
        builder.finish(columns.n_features(), task.root_weight)
    }
}

/// What is the same for all nodes of a tree.
pub(super) struct TreeTask<'a, M> {
    pub measure: &'a M,
    pub table: TableFrame<'a, M>,
    pub settings: &'a GrowSettings,
    pub nesting: Nesting,
    pub root_weight: f64,
}

impl<M: Measure> TreeTask<'_, M> {
    /// Shares in a mixed leaf. There are none in regression, where this is not looked at.
    fn n_shares(&self) -> usize {
        self.measure.n_level_sums()
    }

    /// Grows everything below a node whose rows are spread over the table.
    fn grow_from_table(&self, rows: &mut [u32], seed: NodeSeed, features: &[u32], fork_depth: u32, builder: &mut TreeBuilder) {
        let nested = self.nesting == Nesting::Nested;
        let max_block_rows = if nested { NESTED_BLOCK_ROWS } else { BlockFrame::<M>::MAX_ROWS };
        let mut scratch = Scratch::new(self.measure);
        let mut block = BlockFrame::new();
        let mut block_scratch = Scratch::new(self.measure);
        let mut candidates = Candidates::new(features);
        let mut pending = vec![seed];
        while let Some(seed) = pending.pop() {
            candidates.resume(&seed);
            if let Some(parent) = seed.right_of {
                builder.begin_right_child(parent);
            }
            let node_rows = &mut rows[seed.rows.clone()];
            if node_rows.len() <= max_block_rows {
                block.fill(&self.table, node_rows, candidates.of(&seed));
                self.grow_block(&block, &seed, candidates.of(&seed), &mut block_scratch, builder);
                continue;
            }
            let Expansion::Split(n_left) = expand(self, &self.table, node_rows, &seed, &mut candidates, &mut scratch, builder, nested)
            else {
                continue;
            };
            let node = builder.n_nodes() - 1;
            let (left, right) = seed.children(n_left, node, candidates.of_children());
            let n_smaller = n_left.min(node_rows.len() - n_left);
            if nested && n_smaller >= MIN_FORK_ROWS && fork_depth < MAX_FORK_DEPTH {
                let features = candidates.of(&left);
                self.fork(node_rows, n_left, [left, right], features, fork_depth + 1, builder);
            } else {
                pending.extend([right, left]);
            }
        }
    }

    /// Grows both children of the last node side by side, then joins them in their order.
    fn fork(&self, rows: &mut [u32], n_left: usize, seeds: [NodeSeed; 2], features: &[u32], fork_depth: u32, builder: &mut TreeBuilder) {
        let node = builder.n_nodes() - 1;
        let (left_rows, right_rows) = rows.split_at_mut(n_left);
        let grow = |rows: &mut [u32], seed: &NodeSeed| {
            let mut part = TreeBuilder::default();
            let seed = seed.as_root(rows.len(), features.len());
            self.grow_from_table(rows, seed, features, fork_depth, &mut part);
            part
        };
        let (left, right) = rayon::join(|| grow(left_rows, &seeds[0]), || grow(right_rows, &seeds[1]));
        builder.append(left, self.n_shares());
        builder.begin_right_child(node);
        builder.append(right, self.n_shares());
    }

    /// Grows everything below a node whose rows have been copied into a block.
    fn grow_block(
        &self,
        block: &BlockFrame<M>,
        seed: &NodeSeed,
        features: &[u32],
        scratch: &mut Scratch<M, u16>,
        builder: &mut TreeBuilder,
    ) {
        let n_rows = seed.rows.len();
        let mut rows: Vec<u16> = (0..n_rows as u16).collect();
        let mut candidates = Candidates::new(features);
        let mut pending = vec![seed.as_root(n_rows, features.len())];
        while let Some(seed) = pending.pop() {
            candidates.resume(&seed);
            if let Some(parent) = seed.right_of {
                builder.begin_right_child(parent);
            }
            let node_rows = &mut rows[seed.rows.clone()];
            if let Expansion::Split(n_left) = expand(self, block, node_rows, &seed, &mut candidates, scratch, builder, false) {
                let (left, right) = seed.children(n_left, builder.n_nodes() - 1, candidates.of_children());
                pending.extend([right, left]);
            }
        }
    }
}
