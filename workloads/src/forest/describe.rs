//! What `model show` prints of a forest. It reads the header and the small arrays, never the nodes.

use super::model::{FeatureSpec, ForestHeader, TaskSpec};
use paceline_common::artifact::Artifact;
use paceline_common::failure::Failure;

/// The facts of a forest, in the order in which a person reads them.
pub fn describe(artifact: &Artifact) -> Result<Vec<(String, String)>, Failure> {
    let header = ForestHeader::of(artifact)?;
    let n_nodes = artifact.arrays().get("nodes").and_then(|info| info.shape.first()).copied().unwrap_or(0);
    let mut facts = vec![("predicts".to_owned(), predicts(&header))];
    facts.push(("trees".to_owned(), header.n_trees.to_string()));
    facts.push(("nodes".to_owned(), n_nodes.to_string()));
    facts.push(("trained on".to_owned(), format!("{} rows", header.n_rows)));
    facts.push(("seed".to_owned(), header.seed.to_string()));
    let score = header.oob_score.map_or("not measured".to_owned(), |score| format!("{score:.4}"));
    facts.push((format!("out-of-bag {}", header.task.score_name()), score));
    facts.push(("settings".to_owned(), header.settings_json.clone()));
    let importance = artifact.vector::<f64>("feature_importance", Some(header.features.len()))?;
    facts.extend(header.features.iter().zip(importance).map(|(feature, &importance)| described(feature, importance)));
    Ok(facts)
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

fn shortened(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_NAMES_SHOWN { format!("{shown} and {} more", names.len() - MAX_NAMES_SHOWN) } else { shown }
}
