//! Which features may still vary below each pending node, and in which order they are drawn at one. This room must not know how
//! features are judged.

use super::node::NodeSeed;
use crate::draws::Draws;
use std::ops::Range;

/// The features that may still vary in each pending node: those found constant in a node are constant below it. Lists lie behind
/// one another; as nodes are visited depth first, what lies behind the list of the node at hand is done with. A list is written
/// only where a feature dropped out, so all lists of a path together have at most n_features^2 / 2 entries.
pub(super) struct Candidates {
    lists: Vec<u32>,
    /// The list of the node at hand in the order of its draws.
    order: Vec<u32>,
    drawn: Vec<u32>,
    children: Range<usize>,
    /// Those that the node at hand has found constant.
    constant: Vec<u32>,
}

impl Candidates {
    pub fn new(features: &[u32]) -> Self {
        Self { lists: features.to_vec(), order: Vec::new(), drawn: Vec::new(), children: 0..features.len(), constant: Vec::new() }
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

    /// That list.
    pub fn list_of_children(&self) -> &[u32] {
        &self.lists[self.children.clone()]
    }

    /// Draws so many features that vary in the node at hand, fewer when there are no more, without replacement. Constant ones that
    /// come up on the way are left out for its children.
    pub fn draw_varying(&mut self, mut draws: Draws, n_features: usize, varies: impl Fn(u32) -> bool) {
        let Self { lists, order, drawn, constant, children } = self;
        order.clear();
        order.extend_from_slice(&lists[children.clone()]);
        drawn.clear();
        constant.clear();
        for position in 0..order.len() {
            if drawn.len() == n_features {
                break;
            }
            draws.draw_to(order, position);
            let feature = order[position];
            if varies(feature) { drawn.push(feature) } else { constant.push(feature) }
        }
        self.leave_out_constant();
    }

    /// What was drawn last.
    pub fn drawn(&self) -> &[u32] {
        &self.drawn
    }

    fn leave_out_constant(&mut self) {
        if self.constant.is_empty() {
            return;
        }
        let start = self.lists.len();
        for position in self.children.clone() {
            let feature = self.lists[position];
            if !self.constant.contains(&feature) {
                self.lists.push(feature);
            }
        }
        self.children = start..self.lists.len();
    }
}
