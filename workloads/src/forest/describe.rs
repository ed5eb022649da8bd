//! What `model show` prints of a forest. It reads the header and the small arrays, never the nodes.

use super::export::header::ForestFacts;
use super::model::{FeatureSpec, ForestHeader, PERMUTATION_IMPORTANCE, PERMUTATION_STANDARD_ERROR, TaskSpec};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;
use serde_json::Value;

/// The facts of a forest, in the order in which a person reads them.
pub fn describe(artifact: &Artifact) -> Result<Vec<(String, String)>, Failure> {
    let header = ForestHeader::of(artifact)?;
    let mut facts = vec![("predicts".to_owned(), predicts(&header))];
    facts.push(("trees".to_owned(), header.n_trees.to_string()));
    facts.extend(tree_sizes(artifact)?);
    facts.push(("trained on".to_owned(), format!("{} rows", header.n_rows)));
    facts.push(("seed".to_owned(), header.seed.to_string()));
    let score = header.oob_score.map_or("not measured".to_owned(), |score| format!("{score:.4}"));
    facts.push((format!("out-of-bag {}", header.task.score_name()), score));
    facts.push(("settings".to_owned(), header.settings_json.clone()));
    let importance = artifact.vector::<f64>("feature_importance", Some(header.features.len()))?;
    let permuted = permutation(artifact, header.features.len())?;
    for (idx, (feature, importance)) in header.features.iter().zip(importance).enumerate() {
        let (name, mut value) = described(feature, *importance);
        if let Some(permuted) = permuted.get(idx) {
            value = format!("{value}, {permuted}");
        }
        facts.push((name, value));
    }
    Ok(facts)
}

/// The same as data, for programs: what every export says of a forest, and importance by permutation where it was measured.
pub fn details(artifact: &Artifact) -> Result<Value, Failure> {
    let header = ForestHeader::of(artifact)?;
    let n_features = header.features.len();
    let facts = ForestFacts::of(&header, artifact.vector::<f64>("feature_importance", Some(n_features))?);
    let unwritable = |e: serde_json::Error| Failure::storage(format!("the facts of a forest cannot be written: {e}"));
    let mut details = serde_json::to_value(facts.map_err(|why| artifact.refuse(&why))?).map_err(unwritable)?;
    if artifact.has(PERMUTATION_IMPORTANCE) {
        let means = artifact.vector::<f64>(PERMUTATION_IMPORTANCE, Some(n_features))?;
        let errors = artifact.vector::<f64>(PERMUTATION_STANDARD_ERROR, Some(n_features))?;
        let features = details.get_mut("features").and_then(Value::as_array_mut);
        for (feature, (mean, error)) in features.into_iter().flatten().zip(means.iter().zip(errors)) {
            feature[PERMUTATION_IMPORTANCE] = (*mean).into();
            // Of one tree the error is not known: null.
            feature[PERMUTATION_STANDARD_ERROR] = (*error).into();
        }
    }
    Ok(details)
}

/// Importance by permutation in words, one of them for each feature, or none where it was not measured.
fn permutation(artifact: &Artifact, n_features: usize) -> Result<Vec<String>, Failure> {
    if !artifact.has(PERMUTATION_IMPORTANCE) {
        return Ok(vec![]);
    }
    let importance = artifact.vector::<f64>(PERMUTATION_IMPORTANCE, Some(n_features))?;
    let errors = artifact.vector::<f64>(PERMUTATION_STANDARD_ERROR, Some(n_features))?;
    let worded = importance.iter().zip(errors).map(|(importance, error)| {
        // Of one tree the error is not known.
        let error = if error.is_finite() { format!(" ± {error:.4}") } else { String::new() };
        format!("by permutation {importance:.4}{error}")
    });
    Ok(worded.collect())
}

/// How large the trees are. Every split has two children, so a tree of n nodes has (n + 1) / 2 leaves.
fn tree_sizes(artifact: &Artifact) -> Result<Vec<(String, String)>, Failure> {
    let starts = artifact.vector::<u64>("node_starts", None)?;
    let sizes: Vec<u64> = starts.iter().zip(starts.iter().skip(1)).map(|(&start, &end)| end.saturating_sub(start)).collect();
    let depths: Vec<u64> = artifact.vector::<u32>("tree_depths", Some(sizes.len()))?.iter().map(|&depth| u64::from(depth)).collect();
    let total = starts.last().copied().unwrap_or(0);
    Ok(vec![
        ("nodes".to_owned(), format!("{total}; of a tree {}", spread(&sizes))),
        (
            "leaves".to_owned(),
            format!("{}; of a tree {}", (total + sizes.len() as u64) / 2, spread(&sizes.iter().map(|n| n.div_ceil(2)).collect::<Vec<_>>())),
        ),
        ("depth".to_owned(), format!("of a tree {}", spread(&depths))),
    ])
}

fn spread(values: &[u64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let [min, median, max] = [0, sorted.len() / 2, sorted.len().saturating_sub(1)].map(|at| sorted.get(at).copied().unwrap_or(0));
    format!("{min} to {max}, median {median}")
}

fn predicts(header: &ForestHeader) -> String {
    match &header.task {
        TaskSpec::Regression => format!("{} (a number)", header.target),
        TaskSpec::Classification { classes } => format!("{} (one of {})", header.target, shortened(&classes.to_texts())),
    }
}

fn described(feature: &FeatureSpec, importance: f64) -> (String, String) {
    // The name as it stands in the file: "integer", "categorical".
    let type_name = serde_json::to_value(feature.feature_type).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let levels = if feature.levels.is_empty() { String::new() } else { format!(" ({})", shortened(&feature.levels)) };
    (format!("feature {}", feature.name), format!("{type_name}{levels}, importance {importance:.4}"))
}

/// How many names a line holds.
const MAX_NAMES_SHOWN: usize = 12;

/// The first of some names, and how many more there are.
pub(super) fn shortened(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES_SHOWN { format!("{shown} and {} more", names.len() - MAX_NAMES_SHOWN) } else { shown }
}
