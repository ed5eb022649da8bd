//! One step of growing: look at a node, make it a leaf or divide its rows. This room must not know in which order nodes are
//! visited nor which threads do it.

use super::candidates::Candidates;
use super::columns::BinnedColumn;
use super::criterion::{Measure, Sides};
use super::frame::Frame;
use super::grower::TreeTask;
use super::lanes::{LaneColumn, LaneJudge, N_LANES};
use super::partition::{RowIdx, SpareRows};
use super::splitting::{Groups, Rule, Split, SplitLimits, best_split, last_bin_left};
use super::tally::Tally;
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
    pub candidates: Range<usize>,
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

/// Buffers for nodes of one frame.
pub(super) struct Scratch<M: Measure, R> {
    node: M::Sides,
    features: FeatureScratch<M>,
    spare: SpareRows<R>,
    goes_left: Vec<bool>,
}

/// Buffers for judging features.
struct FeatureScratch<M: Measure> {
    judge: LaneJudge<M>,
    tally: Tally<M>,
}

impl<M: Measure, R: RowIdx> Scratch<M, R> {
    /// Buffers that hold at most `max_spare_rows` rows.
    pub fn new(measure: &M, max_spare_rows: usize) -> Self {
        let features = FeatureScratch { judge: LaneJudge::new(measure), tally: Tally::new(measure) };
        Self { node: measure.sides(), features, spare: SpareRows::new(max_spare_rows), goes_left: Vec::new() }
    }

    /// Sums up the rows of a node.
    fn sum_up<F: Frame<M, Row = R>>(&mut self, frame: &F, rows: &[R]) {
        self.node.sum_up(rows.iter().map(|&row| frame.item(row)));
    }

    /// Adds a leaf of these rows to the tree.
    pub fn push_leaf<F: Frame<M, Row = R>>(&mut self, frame: &F, rows: &[R], builder: &mut TreeBuilder) {
        self.sum_up(frame, rows);
        builder.push_leaf(self.node.leaf());
    }
}

/// What remains to be done below a node.
pub(super) enum Expansion {
    /// It is a leaf, or both of its children are.
    Nothing,
    /// Its first rows, this many, went left and are a leaf.
    Right(usize),
    /// Its first rows, this many, go left.
    Both(usize),
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
    let Some(chosen) = choose_split(task, frame, rows, seed, candidates, scratch, in_parallel) else {
        builder.push_leaf(scratch.node.leaf());
        return Expansion::Nothing;
    };
    push_split(task, &chosen, builder);
    let n_left = divide(task, frame, rows, &chosen.split, scratch);
    // Most nodes of a full tree have a child of one row, which needs no further look.
    let node = builder.n_nodes() - 1;
    let ([left], [right, others @ ..]) = rows.split_at(n_left) else { return Expansion::Both(n_left) };
    builder.push_leaf(M::leaf_of_one(frame.item(*left)));
    if !others.is_empty() {
        return Expansion::Right(n_left);
    }
    builder.begin_right_child(node);
    builder.push_leaf(M::leaf_of_one(frame.item(*right)));
    Expansion::Nothing
}

/// The split of a node, and what must be known of the node to store it.
pub(super) struct ChosenSplit {
    pub split: Split,
    /// How much impurity times weight it takes away.
    pub gain: f64,
    node_weight: f64,
}

/// The best split of a node, `None` where it is to be a leaf. The node's sums stay in `scratch`.
pub(super) fn choose_split<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &[F::Row],
    seed: &NodeSeed,
    candidates: &mut Candidates,
    scratch: &mut Scratch<M, F::Row>,
    in_parallel: bool,
) -> Option<ChosenSplit> {
    scratch.sum_up(frame, rows);
    if !may_split(task, seed, &scratch.node) {
        return None;
    }
    let split = match split_of_two(task, frame, rows, seed, candidates, &mut scratch.node) {
        Some(split) => split,
        None => find_split(task, frame, rows, seed, candidates, scratch, in_parallel),
    }?;
    let gain = scratch.node.gain(split.score);
    let least = task.settings.min_impurity_decrease;
    (gain >= least * task.root_weight || least == 0.0).then(|| ChosenSplit {
        split,
        gain: gain.max(0.0),
        node_weight: scratch.node.weight(),
    })
}

/// Puts the rows that a split sends left first, and returns how many they are.
pub(super) fn divide<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &mut [F::Row],
    split: &Split,
    scratch: &mut Scratch<M, F::Row>,
) -> usize {
    partition(frame.column(split.feature), &split.rule, &task.columns[split.feature as usize], rows, scratch)
}

fn may_split<M: Measure>(task: &TreeTask<'_, M>, seed: &NodeSeed, node: &M::Sides) -> bool {
    let settings = task.settings;
    let fewest = f64::from(settings.min_samples_split.max(2)).max(2.0 * f64::from(settings.min_samples_leaf));
    settings.max_depth.is_none_or(|max_depth| seed.depth < max_depth) && node.n_draws() >= fewest && !node.is_pure()
}

/// What comes of two rows, which are a third of the inner nodes of a full tree. There is one division of them, so that the first
/// feature drawn that tells them apart is the best. `None` where it takes the usual way.
#[inline]
fn split_of_two<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &[F::Row],
    seed: &NodeSeed,
    candidates: &mut Candidates,
    node: &mut M::Sides,
) -> Option<Option<Split>> {
    let &[first, second] = rows else { return None };
    if task.settings.extra_trees {
        return None;
    }
    let [(score, _), (other_score, _)] = [second, first].map(|left| score_of_left(node, frame.item(left)));
    if score != other_score {
        // Rounding makes a difference of which row is on the left, and so of features that put them in different order.
        return None;
    }
    candidates.draw_varying(seed.draws, 1, |feature| !frame.is_constant(feature, rows));
    let Some(&feature) = candidates.drawn().first() else { return Some(None) };
    let column = &task.columns[feature as usize];
    if column.is_categorical() {
        // As if nothing had been drawn.
        candidates.resume(seed);
        return None;
    }
    let codes = [first, second].map(frame.column(feature));
    let (last, next) = (codes[0].min(codes[1]), codes[0].max(codes[1]));
    let (score, left_weight) = score_of_left(node, frame.item(if codes[0] == last { first } else { second }));
    let min_draws = f64::from(task.settings.min_samples_leaf);
    let is_allowed = node.n_left_draws() >= min_draws && node.n_draws() - node.n_left_draws() >= min_draws;
    let next = Some(usize::from(next)).filter(|&next| next < column.n_value_bins());
    let rule = Rule::Threshold {
        last_left: last_bin_left(usize::from(last), next, column.n_value_bins()),
        missing_left: next.is_none().then_some(false),
    };
    Some(is_allowed.then_some(Split { feature, score, left_weight, rule }))
}

/// The score of the division that has one row on the left, and the weight of that row.
fn score_of_left<S: Sides>(node: &mut S, item: S::Item) -> (f64, f64) {
    node.start();
    node.move_item(item);
    (node.score(), node.left_weight())
}

/// Draws features until as many as wanted vary in the node, and takes the best split on any of them. Of equal ones the first drawn
/// wins.
fn find_split<M: Measure, F: Frame<M>>(
    task: &TreeTask<'_, M>,
    frame: &F,
    rows: &[F::Row],
    seed: &NodeSeed,
    candidates: &mut Candidates,
    scratch: &mut Scratch<M, F::Row>,
    in_parallel: bool,
) -> Option<Split> {
    candidates.draw_varying(seed.draws, task.settings.max_features, |feature| !frame.is_constant(feature, rows));
    let node = NodeView { task, frame, rows, draws: seed.draws };
    if in_parallel && !LaneJudge::<M>::is_small(rows.len()) {
        node.judge_side_by_side(candidates.drawn())
    } else {
        node.judge(candidates.drawn(), &mut scratch.node, &mut scratch.features)
    }
}

/// The earlier one unless the later one has a higher score.
fn better(earlier: Option<Split>, later: Option<Split>) -> Option<Split> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(if later.score > earlier.score { later } else { earlier }),
        (earlier, later) => earlier.or(later),
    }
}

/// A node whose features are judged. All of them vary in it.
struct NodeView<'a, 't, M, F: Frame<M>>
where
    M: Measure,
{
    task: &'a TreeTask<'t, M>,
    frame: &'a F,
    rows: &'a [F::Row],
    draws: Draws,
}

impl<M: Measure, F: Frame<M>> NodeView<'_, '_, M, F> {
    /// Features apart from one another, on all threads of the pool. What a feature comes to does not depend on the others.
    fn judge_side_by_side(&self, features: &[u32]) -> Option<Split> {
        let n_at_once = features.len().div_ceil(rayon::current_num_threads()).clamp(1, N_LANES);
        let judged: Vec<Option<Split>> = features.par_chunks(n_at_once).map(|features| self.judge_apart(features)).collect();
        judged.into_iter().fold(None, better)
    }

    fn judge_apart(&self, features: &[u32]) -> Option<Split> {
        let measure = self.task.measure;
        let mut node = measure.sides();
        node.sum_up(self.rows.iter().map(|&row| self.frame.item(row)));
        let mut scratch = FeatureScratch { judge: LaneJudge::new(measure), tally: Tally::new(measure) };
        self.judge(features, &mut node, &mut scratch)
    }

    /// The best split on any of these features.
    fn judge(&self, features: &[u32], node: &mut M::Sides, scratch: &mut FeatureScratch<M>) -> Option<Split> {
        let in_lanes = !self.task.settings.extra_trees && scratch.judge.begin(self.task.measure, node);
        let mut best = None;
        for features in features.chunks(N_LANES) {
            self.judge_chunk(features, in_lanes, node, scratch, &mut best);
        }
        best
    }

    fn judge_chunk(
        &self,
        features: &[u32],
        in_lanes: bool,
        node: &mut M::Sides,
        scratch: &mut FeatureScratch<M>,
        best: &mut Option<Split>,
    ) {
        let FeatureScratch { judge, tally } = scratch;
        let (mut lanes, mut n_lanes) = ([LaneColumn::default(); N_LANES], 0);
        for &feature in features {
            let column = &self.task.columns[feature as usize];
            if in_lanes && !column.is_categorical() && judge.takes(self.rows.len(), column.n_value_bins()) {
                lanes[n_lanes] = LaneColumn { feature, n_value_bins: column.n_value_bins() };
                n_lanes += 1;
            }
        }
        let (lanes, min_draws) = (&lanes[..n_lanes], f64::from(self.task.settings.min_samples_leaf));
        if !lanes.is_empty() {
            judge.judge(self.task.measure, lanes, self.frame, self.rows, min_draws);
        }
        let (mut best_lane, mut next_lane) = (None, 0);
        let mut best_score = best.as_ref().map_or(f64::NEG_INFINITY, |best| best.score);
        for &feature in features {
            if lanes.get(next_lane).is_some_and(|lane| lane.feature == feature) {
                let score = judge.score(next_lane);
                if score > best_score {
                    (best_lane, best_score) = (Some(next_lane), score);
                }
                next_lane += 1;
            } else if let Some(split) = self.try_alone(feature, node, tally)
                && split.score > best_score
            {
                (best_lane, best_score) = (None, split.score);
                *best = Some(split);
            }
        }
        if let Some(lane) = best_lane {
            *best = Some(judge.split(lane, &lanes[lane]));
        }
    }

    fn item(&self, position: usize) -> M::Item {
        self.frame.item(self.rows[position])
    }

    /// Any kind of feature, by itself.
    fn try_alone(&self, feature: u32, node: &mut M::Sides, tally: &mut Tally<M>) -> Option<Split> {
        let settings = self.task.settings;
        let limits = SplitLimits { min_draws: f64::from(settings.min_samples_leaf), random: settings.extra_trees.then_some(self.draws) };
        let column = &self.task.columns[feature as usize];
        tally.fill(self.frame.column(feature), column.n_value_bins() + 1, self.rows, |position| self.item(position));
        let groups = Groups { tally, item: |position| self.item(position) };
        let split = best_split(self.task.measure, feature, column, &groups, node, &limits);
        tally.clear();
        split
    }
}

/// Adds the inner node. What was missing in no row goes to the side of more weight, levels that no row had likewise.
pub(super) fn push_split<M: Measure>(task: &TreeTask<'_, M>, chosen: &ChosenSplit, builder: &mut TreeBuilder) {
    let ChosenSplit { split, gain, node_weight } = chosen;
    let column = &task.columns[split.feature as usize];
    let heavier_left = split.left_weight >= node_weight - split.left_weight;
    match &split.rule {
        Rule::Threshold { last_left, missing_left } => {
            builder.push_threshold(split.feature, *last_left, missing_left.unwrap_or(heavier_left), *gain);
        }
        Rule::Levels(levels) => {
            let missing = levels.last().filter(|(level, _)| usize::from(*level) == column.n_value_bins());
            let default_left = missing.map_or(heavier_left, |(_, left)| *left);
            let set = levels.iter().filter(|(_, left)| *left != default_left).map(|(level, _)| *level);
            builder.push_levels(split.feature, set, default_left, *gain);
        }
    }
}

/// Puts the rows that go left first, keeping their order on both sides, and returns how many they are.
fn partition<M: Measure, R: RowIdx>(
    code: impl Fn(R) -> u16 + Copy,
    rule: &Rule,
    column: &BinnedColumn<'_>,
    rows: &mut [R],
    scratch: &mut Scratch<M, R>,
) -> usize {
    let missing_code = column.n_value_bins() as u16;
    match rule {
        Rule::Threshold { last_left, missing_left: Some(true) } => {
            scratch.spare.partition(rows, |row| code(row) <= *last_left || code(row) == missing_code)
        }
        Rule::Threshold { last_left, .. } => scratch.spare.partition(rows, |row| code(row) <= *last_left),
        Rule::Levels(levels) => {
            scratch.goes_left.clear();
            scratch.goes_left.resize(column.n_value_bins() + 1, false);
            levels.iter().for_each(|(level, left)| scratch.goes_left[usize::from(*level)] = *left);
            let goes_left = &scratch.goes_left;
            scratch.spare.partition(rows, |row| goes_left[usize::from(code(row))])
        }
    }
}
