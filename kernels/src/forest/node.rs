//! One step of growing: look at a node, make it a leaf or divide its rows. This room must not know in which order nodes are
//! visited nor which threads do it.

use super::candidates::Candidates;
use super::columns::BinnedColumn;
use super::criterion::{Measure, Sides};
use super::frame::Frame;
use super::grower::TreeTask;
use super::lanes::{LaneColumn, LaneJudge, N_LANES, Verdict};
use super::partition::{RowIdx, SpareRows};
use super::splitting::{Groups, Rule, Split, SplitLimits, Tried, best_split};
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
        self.node.clear();
        rows.iter().for_each(|&row| self.node.add_to_node(frame.item(row)));
    }

    /// Adds a leaf of these rows to the tree.
    pub fn push_leaf<F: Frame<M, Row = R>>(&mut self, frame: &F, rows: &[R], builder: &mut TreeBuilder) {
        self.sum_up(frame, rows);
        builder.push_leaf(self.node.leaf());
    }
}

/// Features that are looked at beyond those wanted where lanes are left over.
const SURPLUS_FEATURES: usize = 2;

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
    match choose_split(task, frame, rows, seed, candidates, scratch, in_parallel) {
        Some(chosen) => {
            push_split(task, &chosen, builder);
            Expansion::Split(divide(task, frame, rows, &chosen.split, scratch))
        }
        None => {
            builder.push_leaf(scratch.node.leaf());
            Expansion::Leaf
        }
    }
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
    let split = find_split(task, frame, rows, seed, candidates, scratch, in_parallel)?;
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
    let mut draws = seed.draws;
    candidates.begin_drawing();
    let is_small = LaneJudge::<M>::is_small(rows.len());
    let (mut best, mut n_tried): (Option<Split>, usize) = (None, 0);
    while n_tried < task.settings.max_features {
        let n_wanted = task.settings.max_features - n_tried;
        // As many as are still wanted are drawn at once: none of them would be left out if they were drawn one by one. In a small
        // node the lanes would stay idle, so that a few are looked at in case that some of the others are constant.
        let n_batch = if is_small { (n_wanted + SURPLUS_FEATURES).min(N_LANES).max(n_wanted) } else { n_wanted };
        let drawn = candidates.draw(&mut draws, n_batch);
        if drawn.is_empty() {
            break;
        }
        let node = NodeView { task, frame, rows, draws: seed.draws };
        let features = candidates.drawn(drawn);
        let judged = if in_parallel && !is_small {
            node.judge_side_by_side(features)
        } else {
            node.judge(features, n_wanted, &mut scratch.node, &mut scratch.features)
        };
        n_tried += judged.n_tried;
        judged.constant.iter().for_each(|&feature| candidates.note_constant(feature));
        best = better(best, judged.best);
    }
    candidates.end_drawing();
    best
}

/// The earlier one unless the later one has a higher score.
fn better(earlier: Option<Split>, later: Option<Split>) -> Option<Split> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(if later.score > earlier.score { later } else { earlier }),
        (earlier, later) => earlier.or(later),
    }
}

/// What features of a node came to.
#[derive(Default)]
struct Judged {
    /// Those that were not constant.
    n_tried: usize,
    constant: Vec<u32>,
    best: Option<Split>,
}

/// A node whose features are judged.
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
    fn judge_side_by_side(&self, features: &[u32]) -> Judged {
        let n_at_once = features.len().div_ceil(rayon::current_num_threads()).clamp(1, N_LANES);
        let judged: Vec<Judged> = features.par_chunks(n_at_once).map(|features| self.judge_apart(features)).collect();
        judged.into_iter().fold(Judged::default(), |mut all, part| {
            all.n_tried += part.n_tried;
            all.constant.extend(part.constant);
            all.best = better(all.best, part.best);
            all
        })
    }

    fn judge_apart(&self, features: &[u32]) -> Judged {
        let measure = self.task.measure;
        let mut node = measure.sides();
        node.clear();
        self.rows.iter().for_each(|&row| node.add_to_node(self.frame.item(row)));
        let mut scratch = FeatureScratch { judge: LaneJudge::new(measure), tally: Tally::new(measure) };
        self.judge(features, features.len(), &mut node, &mut scratch)
    }

    /// Judges features until `n_wanted` of them were not constant.
    fn judge(&self, features: &[u32], n_wanted: usize, node: &mut M::Sides, scratch: &mut FeatureScratch<M>) -> Judged {
        let in_lanes = !self.task.settings.extra_trees && scratch.judge.begin(self.task.measure, node);
        let mut judged = Judged::default();
        for features in features.chunks(N_LANES) {
            if judged.n_tried < n_wanted {
                self.judge_chunk(features, n_wanted, in_lanes, node, scratch, &mut judged);
            }
        }
        judged
    }

    fn judge_chunk(
        &self,
        features: &[u32],
        n_wanted: usize,
        in_lanes: bool,
        node: &mut M::Sides,
        scratch: &mut FeatureScratch<M>,
        judged: &mut Judged,
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
        let mut best_score = judged.best.as_ref().map_or(f64::NEG_INFINITY, |best| best.score);
        for &feature in features {
            if judged.n_tried == n_wanted {
                break;
            }
            if lanes.get(next_lane).is_some_and(|lane| lane.feature == feature) {
                match judge.verdict(next_lane) {
                    Verdict::Constant => judged.constant.push(feature),
                    Verdict::Score(score) => {
                        judged.n_tried += 1;
                        if score > best_score {
                            (best_lane, best_score) = (Some(next_lane), score);
                        }
                    }
                }
                next_lane += 1;
                continue;
            }
            match self.try_alone(feature, node, tally) {
                Tried::Constant => judged.constant.push(feature),
                Tried::Unsplittable => judged.n_tried += 1,
                Tried::Split(split) => {
                    judged.n_tried += 1;
                    if split.score > best_score {
                        (best_lane, best_score) = (None, split.score);
                        judged.best = Some(split);
                    }
                }
            }
        }
        if let Some(lane) = best_lane {
            judged.best = Some(judge.split(lane, &lanes[lane]));
        }
    }

    fn item(&self, position: usize) -> M::Item {
        self.frame.item(self.rows[position])
    }

    /// Any kind of feature, by itself.
    fn try_alone(&self, feature: u32, node: &mut M::Sides, tally: &mut Tally<M>) -> Tried {
        let settings = self.task.settings;
        let limits = SplitLimits { min_draws: f64::from(settings.min_samples_leaf), random: settings.extra_trees.then_some(self.draws) };
        let column = &self.task.columns[feature as usize];
        tally.fill(self.frame.column(feature), column.n_value_bins() + 1, self.rows, |position| self.item(position));
        let groups = Groups { tally, item: |position| self.item(position) };
        let tried = best_split(self.task.measure, feature, column, &groups, node, &limits);
        tally.clear();
        tried
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
