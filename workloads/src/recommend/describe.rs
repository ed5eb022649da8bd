//! What a person reads of a model that `recommend` takes. It looks at the header and the metadata only.

use super::model::ModelFile;
use super::model_writing::LEARNER;
use paceline_common::artifact::Artifact;
use std::sync::Arc;

/// What kind of model it is, how it was learnt and how large it is; nothing where `recommend` would not take it.
#[must_use]
pub fn describe(artifact: &Arc<Artifact>) -> Vec<(String, String)> {
    facts_of(artifact).unwrap_or_default().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn facts_of(artifact: &Arc<Artifact>) -> Option<Vec<(&'static str, String)>> {
    let model = ModelFile::new(artifact.clone()).ok()?;
    let (n_users, n_items) = model.shape().ok()?;
    let kind = if model.has_neighbours() { "neighbours of items" } else { "factors" };
    let mut facts = vec![("model", format!("{kind}, for `recommend` and `score`"))];
    facts.extend(artifact.metadata().get(LEARNER).map(|learner| ("learner", learner.clone())));
    facts.extend([("users", n_users.to_string()), ("items", n_items.to_string())]);
    if model.has_neighbours() {
        facts.push(("neighbours", model.neighbours().ok()?.n_neighbours().to_string()));
    } else {
        let factors = model.factors().ok()?;
        facts.push(("factors", factors.n_factors().to_string()));
        let biased = [("users", factors.user_biases()), ("items", factors.item_biases())];
        let biased: Vec<&str> = biased.iter().filter(|(_, bias)| bias.is_some()).map(|(side, _)| *side).collect();
        facts.push(("biases", if biased.is_empty() { "none".to_owned() } else { format!("of {}", biased.join(" and ")) }));
    }
    facts.extend(model.n_seen().ok()?.map(|n_seen| ("seen items", n_seen.to_string())));
    Some(facts)
}
