//! What a caller of the forest kernels can get wrong, each as one sentence for a person. This room must not know files or tables.

/// Why arrays or settings cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForestError {
    /// Two arrays that go together have different lengths.
    #[error("{what} has {got} entries where {expected} are needed")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        got: usize,
        /// What it should be.
        expected: usize,
    },
    /// A column cannot be used as it is.
    #[error("feature {feature} {why}")]
    Column {
        /// Its index.
        feature: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A target or weight cannot be used.
    #[error("row {row}: {why}")]
    Row {
        /// Which row.
        row: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A setting or a whole input is out of its range.
    #[error("{0}")]
    Setting(&'static str),
    /// A model's arrays do not fit together.
    #[error("the forest is damaged: {0}")]
    Damaged(&'static str),
    /// A node of a model is not sound.
    #[error("the forest is damaged: tree {tree}, node {node} {why}")]
    Node {
        /// Which tree.
        tree: usize,
        /// Which of its nodes.
        node: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}
