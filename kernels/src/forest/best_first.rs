//! Grows a tree of a limited number of leaves: the node whose split gains most is split next, wherever it stands (Friedman,
//! "Greedy function approximation", Annals of Statistics 29, 2001, section 4). Draws are keyed by a node's path, so that a limit that is never
//! reached gives the tree that depth-first growth gives. This room must not know how splits are judged.

use super::candidates::Candidates;
use super::criterion::Measure;
use super::grower::TreeTask;
use super::node::{ChosenSplit, NodeSeed, Scratch, choose_split, divide, push_split};
use super::tree::TreeBuilder;
use std::collections::BinaryHeap;

/// A node of the tree as far as it has grown.
struct GrownNode {
    seed: NodeSeed,
    /// The features that may still vary below it.
    features: Vec<u32>,
    chosen: Option<ChosenSplit>,
    /// Numbers of the children, once it is split.
    children: Option<[usize; 2]>,
}

/// A node that could be split.
struct Open {
    gain: f64,
    node: usize,
}

impl Ord for Open {
    /// The larger gain first; of equal ones the node that is older.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.gain.total_cmp(&other.gain).then(other.node.cmp(&self.node))
    }
}
impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Open {}

/// A tree in growth.
struct BestFirst<'a, 't, M: Measure> {
    task: &'a TreeTask<'t, M>,
    rows: &'a mut [u32],
    scratch: Scratch<M, u32>,
    nodes: Vec<GrownNode>,
    open: BinaryHeap<Open>,
}

/// Grows a tree of at most `max_leaves` leaves, at least one.
pub(super) fn grow_best_first<M: Measure>(
    task: &TreeTask<'_, M>,
    rows: &mut [u32],
    root: NodeSeed,
    features: Vec<u32>,
    max_leaves: usize,
    builder: &mut TreeBuilder,
) {
    let scratch = Scratch::new(task.measure, task.max_spare_rows);
    let mut growth = BestFirst { task, rows, scratch, nodes: Vec::new(), open: BinaryHeap::new() };
    growth.add(root, features);
    for _ in 1..max_leaves {
        let Some(Open { node, .. }) = growth.open.pop() else { break };
        growth.split(node);
    }
    growth.write(builder);
}

impl<M: Measure> BestFirst<'_, '_, M> {
    /// Adds a node and looks for its best split.
    fn add(&mut self, mut seed: NodeSeed, features: Vec<u32>) -> usize {
        seed.candidates = 0..features.len();
        let mut candidates = Candidates::new(&features);
        let rows = &self.rows[seed.rows.clone()];
        let in_parallel = self.task.is_nested();
        let chosen = choose_split(self.task, &self.task.table, rows, &seed, &mut candidates, &mut self.scratch, in_parallel);
        let node = self.nodes.len();
        if let Some(chosen) = &chosen {
            self.open.push(Open { gain: chosen.gain, node });
        }
        let features = candidates.list_of_children().to_vec();
        self.nodes.push(GrownNode { seed, features, chosen, children: None });
        node
    }

    fn split(&mut self, node: usize) {
        let GrownNode { seed, features, chosen: Some(chosen), .. } = &self.nodes[node] else { return };
        let rows = &mut self.rows[seed.rows.clone()];
        let n_left = divide(self.task, &self.task.table, rows, &chosen.split, &mut self.scratch);
        let (left, right) = seed.children(n_left, node, 0..features.len());
        let features = features.clone();
        let children = [self.add(left, features.clone()), self.add(right, features)];
        self.nodes[node].children = Some(children);
    }

    /// Writes the tree in depth-first order.
    fn write(mut self, builder: &mut TreeBuilder) {
        // Each with the place of the node whose right child it is.
        let mut pending = vec![(0, None)];
        while let Some((node, right_of)) = pending.pop() {
            if let Some(parent) = right_of {
                builder.begin_right_child(parent);
            }
            match &self.nodes[node] {
                GrownNode { chosen: Some(chosen), children: Some([left, right]), .. } => {
                    push_split(self.task, chosen, builder);
                    pending.extend([(*right, Some(builder.n_nodes() - 1)), (*left, None)]);
                }
                GrownNode { seed, .. } => self.scratch.push_leaf(&self.task.table, &self.rows[seed.rows.clone()], builder),
            }
        }
    }
}
