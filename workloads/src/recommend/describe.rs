//! What a person reads of a model that `recommend` takes. It looks at the header alone, so that a file of any size is told at once and one
//! that is not quite sound can be looked into.

use super::model_writing::LEARNER;
use super::neighbours;
use paceline_common::artifact::Artifact;

/// What kind of model it is, how it was learnt and how large it is; nothing where it is no model for `recommend`.
#[must_use]
pub fn describe(artifact: &Artifact) -> Vec<(String, String)> {
    facts_of(artifact).unwrap_or_default().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn facts_of(artifact: &Artifact) -> Option<Vec<(&'static str, String)>> {
    let shape = |name: &str| artifact.arrays().get(name).map(|info| info.shape.as_slice());
    let len = |name: &str| shape(name).and_then(|shape| shape.first().copied());
    let (kind, n_users, n_items, size) = if neighbours::is_model(artifact) {
        let n_rows = |pointers: &str| Some(len(pointers)?.saturating_sub(1));
        let size = ("neighbours", len(neighbours::ITEMS)?.to_string());
        ("neighbours of items", n_rows("seen_indptr")?, n_rows(neighbours::INDPTR)?, size)
    } else {
        let (&[n_users, n_factors], &[n_items, _]) = (shape("user_factors")?, shape("item_factors")?) else { return None };
        ("factors", n_users, n_items, ("factors", n_factors.to_string()))
    };
    let mut facts = vec![("model", format!("{kind}, for `recommend` and `score`"))];
    facts.extend(artifact.metadata().get(LEARNER).map(|learner| ("learner", learner.clone())));
    facts.extend([("users", n_users.to_string()), ("items", n_items.to_string()), size]);
    let biased: Vec<&str> =
        [("user_bias", "users"), ("item_bias", "items")].iter().filter(|(name, _)| artifact.has(name)).map(|(_, of)| *of).collect();
    if !biased.is_empty() {
        facts.push(("biases of", biased.join(" and ")));
    }
    facts.extend(len("seen_indices").map(|n_seen| ("seen items", n_seen.to_string())));
    Some(facts)
}
