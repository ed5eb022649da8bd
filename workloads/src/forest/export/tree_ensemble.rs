//! Trees as the attributes of ONNX's operator TreeEnsemble (ai.onnx.ml, version 5): inner nodes in one list, leaves in another.
//! It must not know the rest of an ONNX model.
//!
//! A leaf of the operator has one weight for one target, and a leaf of a forest a share for each of several classes. So a tree is
//! written in layers: the first has every leaf with its first class; layer j has the leaf's class number j, and of the tree only
//! the ways to the leaves that have so many. The operator's sum over all layers is the sum over all classes of all leaves, and a
//! forest of pure leaves has one layer.

use paceline_kernels::forest::{DecodedNode, LeafContent, TreeView};

/// The comparison of a numeric split: true for values not above the threshold.
const BRANCH_LEQ: u8 = 0;
/// That of a categorical one: true for levels in the set.
const BRANCH_MEMBER: u8 = 6;
/// Protobuf's limit for a message.
pub(super) const MAX_MODEL_BYTES: usize = i32::MAX as usize;
/// Fewer bytes than any node takes in the file: a threshold, a mode and six numbers of at least one byte.
const MIN_NODE_BYTES: usize = 8 + 1 + 6;
/// Fewer bytes than any leaf takes: a weight and a target.
const MIN_LEAF_BYTES: usize = 8 + 1;
/// What the operator puts between the level sets.
const END_OF_SET: f64 = f64::NAN;

/// The attributes, named as the operator names them.
#[derive(Debug, Default)]
pub(super) struct TreeEnsemble {
    pub(super) tree_roots: Vec<i64>,
    pub(super) nodes_featureids: Vec<i64>,
    pub(super) nodes_modes: Vec<u8>,
    pub(super) nodes_splits: Vec<f64>,
    pub(super) nodes_truenodeids: Vec<i64>,
    pub(super) nodes_trueleafs: Vec<i64>,
    pub(super) nodes_falsenodeids: Vec<i64>,
    pub(super) nodes_falseleafs: Vec<i64>,
    pub(super) nodes_missing_value_tracks_true: Vec<i64>,
    pub(super) membership_values: Vec<f64>,
    pub(super) leaf_targetids: Vec<i64>,
    pub(super) leaf_weights: Vec<f64>,
}

/// Where a node of the forest stands in the operator's lists.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    idx: i64,
    is_leaf: bool,
}

impl TreeEnsemble {
    /// Adds the next tree; `None` where the attributes have become too large for a file.
    pub(super) fn push(&mut self, tree: &TreeView<'_>) -> Option<()> {
        let mut order = depth_first(tree);
        let n_weights = most_weights_below(tree, &order);
        let mut places = vec![Place::default(); tree.n_nodes()];
        let n_layers = n_weights.first().copied().unwrap_or(0).max(1);
        for layer in 0..n_layers {
            order.retain(|&node| layer == 0 || n_weights[node] > layer);
            self.push_layer(tree, layer, &order, &n_weights, &mut places);
            let n_bytes = self.nodes_modes.len() * MIN_NODE_BYTES
                + self.leaf_weights.len() * MIN_LEAF_BYTES
                + self.membership_values.len() * size_of::<f64>();
            if n_bytes > MAX_MODEL_BYTES {
                return None;
            }
        }
        Some(())
    }

    /// Adds the nodes of `order`, which begins with the root. A child that is not among them becomes a leaf that adds nothing.
    fn push_layer(&mut self, tree: &TreeView<'_>, layer: usize, order: &[usize], n_weights: &[usize], places: &mut [Place]) {
        let first_node = self.nodes_modes.len() as i64;
        self.tree_roots.push(first_node);
        let mut n_inner = 0;
        for &node in order {
            places[node] = match tree.node(node) {
                DecodedNode::Leaf(content) => self.push_leaf(weight(&content, layer).unwrap_or((0, 0.0))),
                _ => {
                    let idx = first_node + n_inner;
                    n_inner += 1 + i64::from(needs_separator(tree, node));
                    Place { idx, is_leaf: false }
                }
            };
        }
        if n_inner == 0 {
            // The operator has no tree without a node: one whose ways both lead to the leaf.
            let leaf = order.first().map_or_else(Place::default, |&root| places[root]);
            self.push_node(0, BRANCH_LEQ, 0.0, false, [leaf, leaf]);
        }
        let any_leaf = order.iter().map(|&node| places[node]).find(|place| place.is_leaf).unwrap_or_default();
        let mut nothing = None;
        for &node in order {
            let mut place_of = |child: usize| match layer == 0 || n_weights[child] > layer {
                true => places[child],
                false => *nothing.get_or_insert_with(|| self.push_leaf((0, 0.0))),
            };
            match tree.node(node) {
                DecodedNode::Leaf(_) => {}
                DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                    let ways = [place_of(left), place_of(right)];
                    self.push_node(feature, BRANCH_LEQ, threshold, default_left, ways);
                }
                DecodedNode::Categorical { feature, levels, default_left, left, right } => {
                    // Levels of the set take the true way; what is missing or in no set takes the false one.
                    let [set_side, default_side] = if default_left { [right, left] } else { [left, right] };
                    let [on_true, on_false] = [place_of(set_side), place_of(default_side)];
                    if needs_separator(tree, node) {
                        let separator = Place { idx: places[node].idx + 1, is_leaf: false };
                        self.push_node(feature, BRANCH_MEMBER, 0.0, false, [on_true, separator]);
                        // No level is below 0, so that everything goes on; the other way has to lead somewhere.
                        self.push_node(feature, BRANCH_LEQ, -1.0, false, [any_leaf, on_false]);
                    } else {
                        self.push_node(feature, BRANCH_MEMBER, 0.0, false, [on_true, on_false]);
                    }
                    let n_before = self.membership_values.len();
                    self.membership_values.extend(levels.map(f64::from));
                    if self.membership_values.len() == n_before {
                        // ONNX Runtime cannot do with an empty set; no level has this number.
                        self.membership_values.push(f64::from(u32::MAX));
                    }
                    self.membership_values.push(END_OF_SET);
                }
            }
        }
    }

    fn push_leaf(&mut self, (target, weight): (usize, f64)) -> Place {
        self.leaf_targetids.push(target as i64);
        self.leaf_weights.push(weight);
        Place { idx: self.leaf_weights.len() as i64 - 1, is_leaf: true }
    }

    fn push_node(&mut self, feature: usize, mode: u8, split: f64, missing_is_true: bool, [on_true, on_false]: [Place; 2]) {
        self.nodes_featureids.push(feature as i64);
        self.nodes_modes.push(mode);
        self.nodes_splits.push(split);
        self.nodes_missing_value_tracks_true.push(i64::from(missing_is_true));
        self.nodes_truenodeids.push(on_true.idx);
        self.nodes_trueleafs.push(i64::from(on_true.is_leaf));
        self.nodes_falsenodeids.push(on_false.idx);
        self.nodes_falseleafs.push(i64::from(on_false.is_leaf));
    }
}

/// Whether a split on a category must not be followed at once by what its false way leads to: another split on the same feature.
/// ONNX Runtime (seen in 1.31) takes two such splits for one whose set is the union where it takes their true ways for the same:
/// leaves of equal weight though of different classes, or a leaf and a node of equal number.
fn needs_separator(tree: &TreeView<'_>, node: usize) -> bool {
    let DecodedNode::Categorical { feature, default_left, left, right, .. } = tree.node(node) else { return false };
    let default_side = if default_left { left } else { right };
    matches!(tree.node(default_side), DecodedNode::Categorical { feature: next, .. } if next == feature)
}

/// All nodes, parents before children, left before right.
fn depth_first(tree: &TreeView<'_>) -> Vec<usize> {
    let (mut order, mut stack) = (Vec::with_capacity(tree.n_nodes()), vec![0]);
    while let Some(node) = stack.pop() {
        order.push(node);
        if let Some((left, right)) = children(tree, node) {
            stack.extend([right, left]);
        }
    }
    order
}

fn children(tree: &TreeView<'_>, node: usize) -> Option<(usize, usize)> {
    match tree.node(node) {
        DecodedNode::Leaf(_) => None,
        DecodedNode::Numeric { left, right, .. } | DecodedNode::Categorical { left, right, .. } => Some((left, right)),
    }
}

/// For each node, the weights of the leaf below it that has the most.
fn most_weights_below(tree: &TreeView<'_>, order: &[usize]) -> Vec<usize> {
    let mut most = vec![0; tree.n_nodes()];
    for &node in order.iter().rev() {
        most[node] = match (tree.node(node), children(tree, node)) {
            (_, Some((left, right))) => most[left].max(most[right]),
            (DecodedNode::Leaf(LeafContent::Shares(shares)), _) => shares.iter().filter(|&&share| share > 0.0).count(),
            _ => 1,
        };
    }
    most
}

/// The weight of a leaf in a layer, and its target.
fn weight(content: &LeafContent<'_>, layer: usize) -> Option<(usize, f64)> {
    match *content {
        LeafContent::Shares(shares) => {
            let weights = shares.iter().enumerate().filter(|&(_, &share)| share > 0.0);
            weights.map(|(class, &share)| (class, f64::from(share))).nth(layer)
        }
        LeafContent::Class(class) => (layer == 0).then_some((class as usize, 1.0)),
        LeafContent::Mean(mean) => (layer == 0).then_some((0, mean)),
    }
}
