//! Grows one tree, depth first. Large nodes may be worked on by several threads, but draws are keyed by a node's path and parts
//! are joined in the order of the nodes, so that the tree does not depend on it. This room must not know how splits are judged
//! nor how trees are stored in files.

use super::best_first::grow_best_first;
use super::candidates::Candidates;
use super::classification::{ClassCounts, ClassTerm, ClassWeights, Entropy, Gini};
use super::columns::BinnedColumn;
use super::criterion::{Measure, Sides};
use super::error::ForestError;
use super::frame::{BlockFrame, Frame, TableFrame};
use super::interleaved::RowLayout;
use super::node::{Expansion, NodeSeed, Scratch, expand};
use super::regression::Response;
use super::row_table::RowTable;
use super::sampling::{InBag, NODE_DRAWS, Sampling};
use super::training::{Criterion, GrowSettings, Target, TrainingSet, bag_class_weights};
use super::tree::{self, Tree, TreeBuilder};
use crate::draws::Draws;
use std::marker::PhantomData;

/// Nodes are given to two threads when the smaller one has at least this many rows: enough work to be worth the passing on.
const MIN_FORK_ROWS: usize = 2048;
/// Blocks for each thread that shares a tree: enough that none waits long for the others.
const BLOCKS_PER_THREAD: usize = 8;
/// Fewest rows of the largest blocks of a shared tree: below, copying them costs more than waiting.
const MIN_SHARED_BLOCK_ROWS: usize = 1 << 10;
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
#[derive(Debug)]
pub struct Grower<'a> {
    set: TrainingSet<'a>,
    rows: RowTable<'a>,
    settings: GrowSettings,
}

impl<'a> Grower<'a> {
    /// Checks that the settings fit the training set; `rows` are the rows of its columns.
    ///
    /// # Errors
    /// A setting out of its range, a criterion that does not fit the target, or rows of other columns.
    pub fn new(set: TrainingSet<'a>, rows: RowTable<'a>, settings: GrowSettings) -> Result<Self, ForestError> {
        settings.check(&set)?;
        rows.check(&set.columns)?;
        tree::check_size(set.columns.n_features(), settings.most_leaves(set.columns.n_rows()))?;
        Ok(Self { set, rows, settings })
    }

    /// Grows the tree with this index.
    pub fn grow(&self, tree_idx: u64, nesting: Nesting) -> Tree {
        let in_bag = InBag::draw(self.settings.sampling, self.set.columns.n_rows(), self.settings.seed, tree_idx).into_counts();
        let bag = Bag { in_bag, tree_idx, nesting };
        match (self.set.target, self.settings.criterion) {
            (Target::Classes { classes, n_classes }, Criterion::Entropy) => self.grow_classes::<Entropy>(classes, n_classes, bag),
            (Target::Classes { classes, n_classes }, _) => self.grow_classes::<Gini>(classes, n_classes, bag),
            (Target::Values(values), _) => match self.set.weights {
                Some(_) => self.grow_by(&Response::<true> { values, weights: self.set.weights }, bag),
                None => self.grow_by(&Response::<false> { values, weights: None }, bag),
            },
        }
    }

    fn grow_classes<T: ClassTerm>(&self, classes: &[u32], n_classes: u32, bag: Bag) -> Tree {
        let weights = self.set.weights;
        let class_weights = self.settings.balance_each_bag.then(|| bag_class_weights(classes, n_classes, &bag.in_bag, weights));
        // None is positive where the bag missed every row of positive weight.
        let class_weights = class_weights.filter(|of_class| of_class.iter().any(|&weight| weight > 0.0));
        let (n_classes, term) = (n_classes as usize, PhantomData::<T>);
        if weights.is_none() && class_weights.is_none() {
            self.grow_by(&ClassCounts { classes, n_classes, term }, bag)
        } else {
            self.grow_by(&ClassWeights { classes, weights, class_weights, n_classes, term }, bag)
        }
    }

    fn grow_by<M: Measure>(&self, measure: &M, bag: Bag) -> Tree {
        let n_rows = self.set.columns.n_rows();
        let Bag { mut in_bag, tree_idx, nesting } = bag;
        let counted = |(row, &n_draws): (u32, &u8)| (n_draws > 0 && measure.counts(row as usize)).then_some(row);
        // Exactly as long as needed, as this list is most of the memory of a tree.
        let mut rows = Vec::with_capacity((0..).zip(&in_bag).filter_map(counted).count());
        rows.extend((0..).zip(&in_bag).filter_map(counted));
        if rows.is_empty() {
            // The bag missed every row of positive weight: the tree says what all rows together say.
            in_bag = vec![1; n_rows];
            rows = (0..n_rows as u32).filter(|&row| measure.counts(row as usize)).collect();
        }
        // Without replacement every row in the bag was drawn once, and the list of them is enough.
        let in_bag = Some(in_bag).filter(|_| matches!(self.settings.sampling, Sampling::Bootstrap { .. }));
        self.grow_rows(measure, in_bag.as_deref(), &mut rows, tree_idx, nesting)
    }

    fn grow_rows<M: Measure>(&self, measure: &M, in_bag: Option<&[u8]>, rows: &mut [u32], tree_idx: u64, nesting: Nesting) -> Tree {
        let columns = &self.set.columns;
        let blocks = self.rows.blocks();
        let (rows_of_table, layout) = (self.rows.rows(&blocks), self.rows.layout());
        let table = TableFrame { measure, columns: columns.as_slice(), rows: rows_of_table, layout, in_bag };
        let mut total = measure.sides();
        total.sum_up(rows.iter().map(|&row| table.item(row)));
        let task = TreeTask {
            measure,
            table,
            columns: columns.as_slice(),
            layout: self.rows.layout(),
            settings: &self.settings,
            nesting,
            root_weight: total.weight(),
            max_shared_block_rows: (rows.len() / (BLOCKS_PER_THREAD * rayon::current_num_threads())).max(MIN_SHARED_BLOCK_ROWS),
            max_spare_rows: (columns.n_rows() / 4).max(BlockFrame::<M>::MAX_ROWS),
        };
        let mut builder = TreeBuilder::default();
        let features: Vec<u32> = (0..columns.n_features() as u32).collect();
        let root = NodeSeed::root(rows.len(), features.len(), Draws::new(self.settings.seed, NODE_DRAWS, tree_idx));
        match self.settings.max_leaf_nodes {
            Some(max_leaves) => grow_best_first(&task, rows, root, features, max_leaves as usize, &mut builder),
            None => task.grow_from_table(rows, root, &features, 0, &mut builder),
        }
        builder.finish(columns.n_features(), task.root_weight)
    }
}

/// What a tree is grown from beside the table.
struct Bag {
    in_bag: Vec<u8>,
    tree_idx: u64,
    nesting: Nesting,
}

/// What is the same for all nodes of a tree.
pub(super) struct TreeTask<'a, M> {
    pub measure: &'a M,
    pub table: TableFrame<'a, M>,
    pub columns: &'a [BinnedColumn<'a>],
    pub layout: &'a RowLayout,
    pub settings: &'a GrowSettings,
    pub nesting: Nesting,
    pub root_weight: f64,
    /// Room for rows that are put aside: no more than one byte for each row of the table, unless it is small.
    pub max_spare_rows: usize,
    /// The most rows of a block where threads share the tree.
    max_shared_block_rows: usize,
}

impl<M: Measure> TreeTask<'_, M> {
    /// Whether threads share the tree.
    pub fn is_nested(&self) -> bool {
        self.nesting == Nesting::Nested
    }

    /// Shares in a mixed leaf. There are none in regression, where this is not looked at.
    fn n_shares(&self) -> usize {
        self.measure.n_level_sums()
    }

    /// Grows everything below a node whose rows are spread over the table.
    fn grow_from_table(&self, rows: &mut [u32], seed: NodeSeed, features: &[u32], fork_depth: u32, builder: &mut TreeBuilder) {
        let nested = self.is_nested();
        let max_block_rows =
            BlockFrame::<M>::max_rows(self.layout.stride).min(if nested { self.max_shared_block_rows } else { usize::MAX });
        let buffers = || {
            let block =
                |max_rows| BlockLevel { max_rows, frame: BlockFrame::new(self.layout), scratch: Scratch::new(self.measure, max_rows) };
            (Scratch::new(self.measure, self.max_spare_rows), [max_block_rows, BlockFrame::<M>::MAX_INNER_ROWS].map(block))
        };
        let (mut scratch, mut blocks) = buffers();
        let mut candidates = Candidates::new(features);
        let mut pending = vec![seed];
        while let Some(seed) = pending.pop() {
            candidates.resume(&seed);
            if let Some(parent) = seed.right_of {
                builder.begin_right_child(parent);
            }
            let node_rows = &mut rows[seed.rows.clone()];
            if node_rows.len() <= max_block_rows {
                self.grow_block(&mut blocks, &self.table, node_rows, &seed, candidates.of(&seed), builder);
                continue;
            }
            let node = builder.n_nodes();
            let expansion = expand(self, &self.table, node_rows, &seed, &mut candidates, &mut scratch, builder, nested);
            let (Expansion::Both(n_left) | Expansion::Right(n_left)) = expansion else { continue };
            let (left, right) = seed.children(n_left, node, candidates.of_children());
            let n_smaller = n_left.min(node_rows.len() - n_left);
            if nested && n_smaller >= MIN_FORK_ROWS && fork_depth < MAX_FORK_DEPTH {
                let features = candidates.of(&left);
                // Forks stand inside one another: what one of them holds meanwhile would add up.
                (scratch, blocks) = buffers();
                self.fork(node_rows, n_left, [left, right], features, fork_depth + 1, builder);
            } else {
                pending.push(right);
                pending.extend(matches!(expansion, Expansion::Both(_)).then_some(left));
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

    /// Copies the rows of a node into the first of some blocks and grows everything below from there.
    fn grow_block<F: Frame<M>>(
        &self,
        blocks: &mut [BlockLevel<'_, M>],
        frame: &F,
        rows: &[F::Row],
        seed: &NodeSeed,
        features: &[u32],
        builder: &mut TreeBuilder,
    ) {
        let Some((BlockLevel { frame: block, scratch, .. }, inner_blocks)) = blocks.split_first_mut() else { return };
        block.fill(frame, rows);
        let mut rows: Vec<u16> = (0..rows.len() as u16).collect();
        let mut candidates = Candidates::new(features);
        let mut pending = vec![seed.as_root(rows.len(), features.len())];
        while let Some(seed) = pending.pop() {
            candidates.resume(&seed);
            if let Some(parent) = seed.right_of {
                builder.begin_right_child(parent);
            }
            let node_rows = &mut rows[seed.rows.clone()];
            if inner_blocks.first().is_some_and(|inner| node_rows.len() <= inner.max_rows) {
                self.grow_block(inner_blocks, block, node_rows, &seed, candidates.of(&seed), builder);
                continue;
            }
            let node = builder.n_nodes();
            let expansion = expand(self, block, node_rows, &seed, &mut candidates, scratch, builder, false);
            let (Expansion::Both(n_left) | Expansion::Right(n_left)) = expansion else { continue };
            let (left, right) = seed.children(n_left, node, candidates.of_children());
            pending.push(right);
            pending.extend(matches!(expansion, Expansion::Both(_)).then_some(left));
        }
    }
}

/// A block and what is needed to grow from it.
struct BlockLevel<'a, M: Measure> {
    max_rows: usize,
    frame: BlockFrame<'a, M>,
    scratch: Scratch<M, u16>,
}
