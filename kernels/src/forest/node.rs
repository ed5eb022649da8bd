//! One step of growing: look at a node, make it a leaf or divide its rows. This room must not know in which order nodes are
//! visited nor which threads do it.

use super::columns::{BinMeaning, BinnedColumn, Codes};
use super::criterion::{Measure, Sides};
use super::frame::Frame;
use super::grower::TreeTask;
use super::splitting::{Groups, Rule, Split, SplitLimits, Tried, best_split};
use super::tally::{RowIdx, Tally};
use super::tree::TreeBuilder;
use crate::draws::Draws;
use rayon::prelude::*;
use std::ops::Range;

/// A node that is still to be looked at.
pub(super) struct NodeSeed {
    /// Its rows, as a range of the rows at hand.
    pub rows: Range<usize>,
    /// The node whose right child it is, if it is one.
    pub right_of: Option<usize>,
    depth: u32,
    /// Keyed by the path from the root.
    draws: Draws,
    /// Where its candidate features stand in [`Candidates`].
    candidates: Range<usize>,
}

impl NodeSeed {
    /// The root of a tree.
    pub fn root(n_rows: usize, n_features: usize, draws: Draws) -> Self {
        Self { rows: 0..n_rows, right_of: None, depth: 0, draws, candidates: 0..n_features }
    }

    /// The same node where its rows and candidates stand alone.
    pub fn as_root(&self, n_rows: usize, n_candidates: usize) -> Self {
        Self { rows: 0..n_rows, right_of: None, depth: self.depth, draws: self.draws, candidates: 0..n_candidates }
    }

    /// Its children, left and right.
    pub fn children(&self, n_left: usize, node: usize, candidates: Range<usize>) -> (Self, Self) {
        let middle = self.rows.start + n_left;
        let child = |rows, right_of, label| Self {
            rows,
            right_of,
            depth: self.depth + 1,
            draws: self.draws.child(label),
            candidates: candidates.clone(),
        };
        (child(self.rows.start..middle, None, 0), child(middle..self.rows.end, Some(node), 1))
    }
}

/// The features that may still vary in each pending node: those found constant in a node are constant below it. Lists lie behind
/// one another; as nodes are visited depth first, what lies behind the list of the node at hand is done with. A list is written
/// only where a feature dropped out, so all lists of a path together have at most n_features^2 / 2 entries.
pub(super) struct Candidates {
    lists: Vec<u32>,
    /// The list of the node at hand in the order of its draws.
    drawn: Vec<u32>,
    children: Range<usize>,
}

impl Candidates {
    pub fn new(features: &[u32]) -> Self {
        Self { lists: features.to_vec(), drawn: Vec::new(), children: 0..features.len() }
    }

    /// Goes on with a pending node.
    pub fn resume(&mut self, seed: &NodeSeed) {
        self.lists.truncate(seed.candidates.end);
        self.children = seed.candidates.clone();
    }

    pub fn of(&self, seed: &NodeSeed) -> &[u32] {
        &self.lists[seed.candidates.clone()]
    }

    /// Where the list of the children of the node at hand stands.
    pub fn of_children(&self) -> Range<usize> {
        self.children.clone()
    }

    fn begin_drawing(&mut self) {
        self.drawn.clear();
        self.drawn.extend_from_slice(&self.lists[self.children.clone()]);
    }

    fn drop_constant(&mut self, constant: &[u32]) {
        if constant.is_empty() {
            return;
        }
        let start = self.lists.len();
        for position in self.children.clone() {
            let feature = self.lists[position];
            if !constant.contains(&feature) {
                self.lists.push(feature);
            }
        }
        self.children = start..self.lists.len();
    }
}

/// Buffers for nodes of one frame.
pub(super) struct Scratch<M: Measure, R> {
    node: M::Sides,
    items: Vec<M::Item>,
    tally: Tally<M>,
    right_rows: Vec<R>,
    goes_left: Vec<bool>,
    constant: Vec<u32>,
}

impl<M: Measure, R: RowIdx> Scratch<M, R> {
    pub fn new(measure: &M) -> Self {
        Self {
            node: measure.sides(),
            items: Vec::new(),
            tally: Tally::new(measure),
            right_rows: Vec::new(),
            goes_left: Vec::new(),
            constant: Vec::new(),
        }
    }
}

/// What became of a node.
pub(super) enum Expansion {
    /// It says something.
    Leaf,
    /// Its first rows, this many, go left.
    Split(usize),
}

/// Adds a node to the tree. When it is split, its rows are put in the order of its children, each side in ascending order.
#[expect(clippy::too_many_arguments, reason = "the frame, the rows, and three buffers that borrow apart")]
pub(super) fn expand<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &mut [F::Row],
    seed: &NodeSeed,
    candidates: &mut Candidates,
    scratch: &mut Scratch<M, F::Row>,
    builder: &mut TreeBuilder,
    in_parallel: bool,
) -> Expansion {
    collect_items(frame, rows, scratch);
    let split =
        if may_split(task, seed, &scratch.node) { find_split(task, frame, rows, seed, candidates, scratch, in_parallel) } else { None };
    let gain = split.as_ref().map_or(0.0, |split| scratch.node.gain(split.score));
    match split {
        Some(split) if gain >= task.settings.min_impurity_decrease * task.root_weight || task.settings.min_impurity_decrease == 0.0 => {
            let column = &task.table.columns.as_slice()[split.feature as usize];
            push_split(&split, column, &scratch.node, gain.max(0.0), builder);
            let n_left = match frame.codes(split.feature) {
                Codes::U8(codes) => partition(|row: F::Row| u16::from(codes[row.idx()]), &split.rule, column, rows, scratch),
                Codes::U16(codes) => partition(|row: F::Row| codes[row.idx()], &split.rule, column, rows, scratch),
            };
            Expansion::Split(n_left)
        }
        _ => {
            builder.push_leaf(scratch.node.leaf());
            Expansion::Leaf
        }
    }
}

fn collect_items<M: Measure, F: Frame<M>>(frame: &F, rows: &[F::Row], scratch: &mut Scratch<M, F::Row>) {
    scratch.items.clear();
    scratch.items.extend(rows.iter().map(|&row| frame.item(row)));
    scratch.node.clear();
    scratch.items.iter().for_each(|&item| scratch.node.add_to_node(item));
}

fn may_split<M: Measure>(task: &TreeTask<'_, M>, seed: &NodeSeed, node: &M::Sides) -> bool {
    let settings = task.settings;
    let fewest = f64::from(settings.min_samples_split.max(2)).max(2.0 * f64::from(settings.min_samples_leaf));
    settings.max_depth.is_none_or(|max_depth| seed.depth < max_depth) && node.n_draws() >= fewest && !node.is_pure()
}

/// Tries features in the order of their draws until as many as wanted were not constant. Of equal splits the first drawn wins.
fn find_split<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &[F::Row],
    seed: &NodeSeed,
    candidates: &mut Candidates,
    scratch: &mut Scratch<M, F::Row>,
    in_parallel: bool,
) -> Option<Split> {
    let limits =
        SplitLimits { min_draws: f64::from(task.settings.min_samples_leaf), random: task.settings.extra_trees.then_some(seed.draws) };
    let mut draws = seed.draws;
    candidates.begin_drawing();
    scratch.constant.clear();
    let (mut best, mut n_drawn, mut n_tried): (Option<Split>, usize, usize) = (None, 0, 0);
    while n_tried < task.settings.max_features && n_drawn < candidates.drawn.len() {
        // As many as are still wanted are drawn at once: none of them would be left out if they were drawn one by one.
        let end = (n_drawn + task.settings.max_features - n_tried).min(candidates.drawn.len());
        (n_drawn..end).for_each(|position| draws.draw_to(&mut candidates.drawn, position));
        let batch = &candidates.drawn[n_drawn..end];
        n_drawn = end;
        let mut judge = |feature: u32, tried: Tried| match tried {
            Tried::Constant => scratch.constant.push(feature),
            Tried::Unsplittable => n_tried += 1,
            Tried::Split(split) => {
                n_tried += 1;
                if best.as_ref().is_none_or(|best| split.score > best.score) {
                    best = Some(split);
                }
            }
        };
        if in_parallel {
            let items = &scratch.items;
            let try_apart = |&feature: &u32| {
                let (mut node, mut tally) = (task.measure.sides(), Tally::new(task.measure));
                node.clear();
                items.iter().for_each(|&item| node.add_to_node(item));
                (feature, try_feature(task, frame, rows, feature, items, &mut node, &mut tally, &limits))
            };
            let tried: Vec<(u32, Tried)> = batch.par_iter().map(try_apart).collect();
            tried.into_iter().for_each(|(feature, tried)| judge(feature, tried));
        } else {
            for &feature in batch {
                judge(feature, try_feature(task, frame, rows, feature, &scratch.items, &mut scratch.node, &mut scratch.tally, &limits));
            }
        }
    }
    candidates.drop_constant(&scratch.constant);
    best
}

#[expect(clippy::too_many_arguments, reason = "the node as find_split has it, and two buffers that borrow apart")]
fn try_feature<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &[F::Row],
    feature: u32,
    items: &[M::Item],
    node: &mut M::Sides,
    tally: &mut Tally<M>,
    limits: &SplitLimits,
) -> Tried {
    let column = &task.table.columns.as_slice()[feature as usize];
    tally.fill(frame.codes(feature), column.n_value_bins() + 1, rows, items);
    let tried = best_split(task.measure, feature, column, &Groups { tally, items }, node, limits);
    tally.clear();
    tried
}

/// Adds the inner node. What was missing in no row goes to the side of more weight, levels that no row had likewise.
fn push_split<S: Sides>(split: &Split, column: &BinnedColumn<'_>, node: &S, gain: f64, builder: &mut TreeBuilder) {
    let heavier_left = split.left_weight >= node.weight() - split.left_weight;
    match &split.rule {
        Rule::Threshold { last_left, missing_left } => {
            let threshold = match column.meaning {
                BinMeaning::Ordered { thresholds } => thresholds.get(usize::from(*last_left)).copied().unwrap_or(f64::INFINITY),
                BinMeaning::Levels { .. } => f64::INFINITY,
            };
            builder.push_threshold(split.feature, threshold, missing_left.unwrap_or(heavier_left), gain);
        }
        Rule::Levels(levels) => {
            let missing = levels.last().filter(|(level, _)| usize::from(*level) == column.n_value_bins());
            let default_left = missing.map_or(heavier_left, |(_, left)| *left);
            let set = levels.iter().filter(|(_, left)| *left != default_left).map(|(level, _)| *level);
            builder.push_levels(split.feature, set, default_left, gain);
        }
    }
}

/// Puts the rows that go left first, keeping their order on both sides, and returns how many they are.
fn partition<M: Measure, R: RowIdx>(
    code: impl Fn(R) -> u16,
    rule: &Rule,
    column: &BinnedColumn<'_>,
    rows: &mut [R],
    scratch: &mut Scratch<M, R>,
) -> usize {
    let missing_code = column.n_value_bins() as u16;
    match rule {
        Rule::Threshold { last_left, missing_left: Some(true) } => {
            stable_partition(rows, &mut scratch.right_rows, |row| code(row) <= *last_left || code(row) == missing_code)
        }
        Rule::Threshold { last_left, .. } => stable_partition(rows, &mut scratch.right_rows, |row| code(row) <= *last_left),
        Rule::Levels(levels) => {
            scratch.goes_left.clear();
            scratch.goes_left.resize(column.n_value_bins() + 1, false);
            levels.iter().for_each(|(level, left)| scratch.goes_left[usize::from(*level)] = *left);
            let goes_left = &scratch.goes_left;
            stable_partition(rows, &mut scratch.right_rows, |row| goes_left[usize::from(code(row))])
        }
    }
}

/// Without a branch on the side, which is as good as random.
fn stable_partition<R: RowIdx>(rows: &mut [R], right: &mut Vec<R>, goes_left: impl Fn(R) -> bool) -> usize {
    if right.len() < rows.len() {
        right.resize(rows.len(), R::default());
    }
    let (mut n_left, mut n_right) = (0, 0);
    for position in 0..rows.len() {
        let row = rows[position];
        let left = goes_left(row);
        rows[n_left] = row;
        right[n_right] = row;
        n_left += usize::from(left);
        n_right += usize::from(!left);
    }
    rows[n_left..].copy_from_slice(&right[..n_right]);
    n_left
}
