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
    drawn: Vec<u32>,
    n_drawn: usize,
    children: Range<usize>,
    /// Those that the node at hand has found constant.
    constant: Vec<u32>,
}

impl Candidates {
    pub fn new(features: &[u32]) -> Self {
        Self { lists: features.to_vec(), drawn: Vec::new(), n_drawn: 0, children: 0..features.len(), constant: Vec::new() }
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

    /// Begins with the node at hand.
    pub fn begin_drawing(&mut self) {
        self.drawn.clear();
        self.drawn.extend_from_slice(&self.lists[self.children.clone()]);
        self.n_drawn = 0;
        self.constant.clear();
    }

    /// The next so many features, drawn without replacement; fewer when there are no more.
    pub fn draw(&mut self, draws: &mut Draws, n_features: usize) -> Range<usize> {
        let begin = self.n_drawn;
        self.n_drawn = (begin + n_features).min(self.drawn.len());
        (begin..self.n_drawn).for_each(|position| draws.draw_to(&mut self.drawn, position));
        begin..self.n_drawn
    }

    /// Features that [`Candidates::draw`] has given.
    pub fn drawn(&self, drawn: Range<usize>) -> &[u32] {
        &self.drawn[drawn]
    }

    /// A feature does not vary in the node at hand.
    pub fn note_constant(&mut self, feature: u32) {
        self.constant.push(feature);
    }

    /// Leaves out what was found constant for the children of the node at hand.
    pub fn end_drawing(&mut self) {
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
