//! The forest as one JSON document, streamed: at no time is more of it in memory than a node. It must not know files.

use super::ExportedForest;
use super::header::ExportHeader;
use paceline_kernels::forest::{DecodedNode, ForestView, LeafContent, LevelSet, TreeView};
use serde::{Serialize, Serializer};
use std::io::{self, Write};

pub(super) fn write(forest: &ExportedForest<'_>, out: &mut impl Write) -> io::Result<()> {
    let document = Document { header: &forest.header, trees: Trees(forest.view) };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    header: &'a ExportHeader<'a>,
    trees: Trees<'a>,
}

struct Trees<'a>(&'a ForestView<'a>);

impl Serialize for Trees<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0.n_trees()).map(|tree| Nodes(self.0.tree(tree))))
    }
}

struct Nodes<'a>(TreeView<'a>);

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0.n_nodes()).map(|node| Node::of(self.0.node(node))))
    }
}

/// A node; its keys tell what it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Node<'a> {
    Numeric { feature: usize, threshold: Threshold, missing_left: bool, left: usize, right: usize },
    Categorical { feature: usize, levels: Levels<'a>, missing_left: bool, left: usize, right: usize },
    Class { class: u32 },
    Shares { shares: Shares<'a> },
    Mean { mean: f64 },
}

impl<'a> Node<'a> {
    fn of(node: DecodedNode<'a>) -> Self {
        match node {
            DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                Self::Numeric { feature, threshold: Threshold(threshold), missing_left: default_left, left, right }
            }
            DecodedNode::Categorical { feature, levels, default_left, left, right } => {
                Self::Categorical { feature, levels: Levels(levels), missing_left: default_left, left, right }
            }
            DecodedNode::Leaf(LeafContent::Class(class)) => Self::Class { class },
            DecodedNode::Leaf(LeafContent::Shares(shares)) => Self::Shares { shares: Shares(shares) },
            DecodedNode::Leaf(LeafContent::Mean(mean)) => Self::Mean { mean },
        }
    }
}

/// A number; a text where it is infinite, for which JSON has no number.
struct Threshold(f64);

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

struct Levels<'a>(LevelSet<'a>);

impl Serialize for Levels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// Written as doubles: the shortest decimal of a single one would be read back as another double.
struct Shares<'a>(&'a [f32]);

impl Serialize for Shares<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|&share| f64::from(share)))
    }
}
