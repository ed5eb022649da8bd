//! The forest as the arrays of scikit-learn's `tree_`, all trees behind one another, in a NumPy .npz file. Streamed array by array.
//! It must not know files.

use super::ExportedForest;
use npyz::WriterBuilder;
use paceline_kernels::forest::{DecodedNode, LeafContent};
use std::io::{self, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What scikit-learn has for the children of a leaf (`TREE_LEAF`).
const NO_CHILD: i64 = -1;
/// What it has for the feature and the threshold of a leaf (`TREE_UNDEFINED`).
const NO_FEATURE: i64 = -2;

/// Refuses what scikit-learn's trees cannot say.
pub(super) fn check(forest: &ExportedForest<'_>) -> Result<(), String> {
    match forest.model.features.iter().find(|feature| feature.feature_type.is_categorical()) {
        Some(feature) => Err(format!(
            "feature {} is categorical, which scikit-learn's trees cannot express; export it with --format json or --format onnx",
            feature.name
        )),
        None => Ok(()),
    }
}

/// The arrays, one pass over the nodes for each, so that none is held.
pub(super) fn write(forest: &ExportedForest<'_>, out: &mut (impl Write + Seek)) -> io::Result<()> {
    let (n_nodes, n_outputs) = (forest.n_nodes() as u64, forest.view.n_outputs());
    let mut file = ArrayFile { zip: ZipWriter::new(out) };
    let header = serde_json::to_vec(&forest.header)?;
    file.add("header", &[header.len() as u64], header.iter().copied())?;
    let ends = (0..forest.view.n_trees()).scan(0, |end, tree| {
        *end += forest.view.tree(tree).n_nodes() as i64;
        Some(*end)
    });
    file.add("node_offsets", &[forest.view.n_trees() as u64 + 1], std::iter::once(0).chain(ends))?;
    file.add("children_left", &[n_nodes], nodes(forest).map(|node| Split::of(&node).left))?;
    file.add("children_right", &[n_nodes], nodes(forest).map(|node| Split::of(&node).right))?;
    file.add("feature", &[n_nodes], nodes(forest).map(|node| Split::of(&node).feature))?;
    file.add("threshold", &[n_nodes], nodes(forest).map(|node| Split::of(&node).threshold))?;
    file.add("missing_go_to_left", &[n_nodes], nodes(forest).map(|node| u8::from(Split::of(&node).default_left)))?;
    let values = nodes(forest).flat_map(|node| (0..n_outputs).map(move |output| value(&node, output)));
    file.add("value", &[n_nodes, 1, n_outputs as u64], values)?;
    file.zip.finish()?;
    Ok(())
}

fn nodes<'a>(forest: &ExportedForest<'a>) -> impl Iterator<Item = DecodedNode<'a>> {
    let view = forest.view;
    (0..view.n_trees()).flat_map(move |tree| {
        let tree = view.tree(tree);
        (0..tree.n_nodes()).map(move |node| tree.node(node))
    })
}

/// The fields of a node that lie in arrays of their own.
struct Split {
    left: i64,
    right: i64,
    feature: i64,
    threshold: f64,
    default_left: bool,
}

impl Split {
    fn of(node: &DecodedNode<'_>) -> Self {
        match *node {
            DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                Self { left: left as i64, right: right as i64, feature: feature as i64, threshold, default_left }
            }
            // No node of a checked forest is categorical.
            DecodedNode::Leaf(_) | DecodedNode::Categorical { .. } => {
                Self { left: NO_CHILD, right: NO_CHILD, feature: NO_FEATURE, threshold: NO_FEATURE as f64, default_left: false }
            }
        }
    }
}

/// What a leaf says of one output; NaN in an inner node, of which a forest keeps no value.
fn value(node: &DecodedNode<'_>, output: usize) -> f64 {
    match *node {
        DecodedNode::Leaf(LeafContent::Class(class)) => f64::from(u8::from(class as usize == output)),
        DecodedNode::Leaf(LeafContent::Shares(shares)) => shares.get(output).map_or(0.0, |&share| f64::from(share)),
        DecodedNode::Leaf(LeafContent::Mean(mean)) => mean,
        _ => f64::NAN,
    }
}

struct ArrayFile<W: Write + Seek> {
    zip: ZipWriter<W>,
}

impl<W: Write + Seek> ArrayFile<W> {
    /// Adds an array of as many values as `shape` says. Not compressed, so that it is read at the speed of the disk.
    fn add<T: npyz::AutoSerialize>(&mut self, name: &str, shape: &[u64], values: impl Iterator<Item = T>) -> io::Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        self.zip.start_file(npyz::npz::file_name_from_array_name(name), options)?;
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut self.zip).begin_nd()?;
        writer.extend(values)?;
        writer.finish()
    }
}
