//! What an artifact holds, as text and as JSON. It must not open a file.

use super::facts;
use super::table::{Columns, cell, plain};
use paceline_common::artifact::{Artifact, KIND_KEY, VERSION_KEY};
use paceline_common::units::{display_count, display_size};
use paceline_workloads::forest::export::Exported;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that is shown of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelView {
    /// Where it is.
    pub path: PathBuf,
    /// What it is; none for a file of another program that says nothing.
    pub kind: Option<String>,
    /// Which version of that kind.
    pub version: Option<String>,
    /// Length of the file in bytes.
    pub size_bytes: u64,
    /// What its workload says of it: name and value.
    pub facts: Vec<(String, String)>,
    /// The same as data, where its workload has such: of a forest task, target, classes, features with importance, settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forest: Option<Value>,
    /// Its arrays, by name.
    pub arrays: Vec<ArrayView>,
    /// The metadata as it stands in the file.
    pub metadata: BTreeMap<String, String>,
}

/// One array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArrayView {
    /// Its name.
    pub name: String,
    /// Its element type, as the format writes it: F32, U64.
    pub dtype: String,
    /// Its length in each dimension.
    pub shape: Vec<usize>,
    /// Its length in bytes.
    pub size_bytes: usize,
}

impl ModelView {
    /// A view of `artifact` with what its workload says of it.
    #[must_use]
    pub fn new(artifact: &Artifact, facts: Vec<(String, String)>, forest: Option<Value>) -> Self {
        let array = |(name, info): (&String, &paceline_common::artifact::ArrayInfo)| ArrayView {
            name: name.clone(),
            dtype: info.dtype.to_string(),
            shape: info.shape.clone(),
            size_bytes: info.n_bytes(),
        };
        Self {
            path: artifact.path().to_owned(),
            kind: artifact.metadata().get(KIND_KEY).cloned(),
            version: artifact.metadata().get(VERSION_KEY).cloned(),
            size_bytes: artifact.n_bytes(),
            facts,
            forest,
            arrays: artifact.arrays().iter().map(array).collect(),
            metadata: artifact.metadata().clone(),
        }
    }
}

/// Longest metadata value that people are shown: lists of columns and classes can be long, and JSON has them whole.
const MAX_VALUE_CHARS: usize = 160;

/// The view as people read it.
#[must_use]
pub fn text(view: &ModelView) -> String {
    let kind = view.kind.as_deref().unwrap_or("safetensors file of another program");
    let version = view.version.as_ref().map_or(String::new(), |version| format!(", version {version}"));
    let mut head = vec![("kind".to_owned(), format!("{kind}{version}")), ("size".to_owned(), display_size(view.size_bytes))];
    head.extend(view.facts.iter().map(|(name, value)| (name.clone(), shortened(value))));
    let mut sections = vec![format!("{}\n{}", plain(&view.path.display().to_string()), facts::lines("  ", &head)), arrays(&view.arrays)];
    let metadata: Vec<(String, String)> = view.metadata.iter().map(|(key, value)| (key.clone(), shortened(value))).collect();
    if !metadata.is_empty() {
        sections.push(format!("  METADATA\n{}", facts::lines("  ", &metadata)));
    }
    sections.join("\n\n")
}

/// One line on a model that was written in another form.
#[must_use]
pub fn export_text(path: &Path, exported: &Exported) -> String {
    let (n_trees, n_nodes) = (display_count(exported.n_trees as u64), display_count(exported.n_nodes as u64));
    format!("{}: {n_trees} trees with {n_nodes} nodes, {}", plain(&path.display().to_string()), display_size(exported.size_bytes))
}

fn arrays(arrays: &[ArrayView]) -> String {
    let mut columns = Columns::new(&["  ARRAY", "TYPE", "SHAPE", ">SIZE"], false);
    for array in arrays {
        let shape = array.shape.iter().map(|&n| display_count(n as u64)).collect::<Vec<_>>().join(" x ");
        let size = display_size(array.size_bytes as u64);
        columns.row([
            cell(format!("  {}", array.name)),
            cell(&array.dtype),
            cell(if shape.is_empty() { "scalar" } else { &shape }),
            cell(size),
        ]);
    }
    columns.text()
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}… ({} characters)", &value[..end], display_count(value.chars().count() as u64)),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn long_values_are_cut_for_people_and_say_so() {
        let long = "é".repeat(500);
        assert!(shortened(&long).ends_with("… (500 characters)"));
        assert_eq!(shortened("short"), "short");
        let array = ArrayView { name: "item_factors".to_owned(), dtype: "F32".to_owned(), shape: vec![27_000, 64], size_bytes: 6_912_000 };
        let view = ModelView {
            path: "/m.safetensors".into(),
            kind: None,
            version: None,
            size_bytes: 7_000_000,
            facts: vec![("items".to_owned(), "27,000".to_owned())],
            forest: None,
            arrays: vec![array],
            metadata: BTreeMap::from([("classes".to_owned(), long)]),
        };
        let text = text(&view);
        assert!(text.contains("safetensors file of another program") && text.contains("27,000 x 64") && text.contains("6.6 MiB"), "{text}");
    }
}
