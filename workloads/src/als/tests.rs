//! The whole chain on small tables: the same bytes at any partition, going on from a model, ratings and counts, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::Artifact;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Two groups of users, each of which likes one half of the items; now and then an odd one.
fn table(dir: &Path, n_users: u32, n_items: u32) -> PathBuf {
    let mut text = "user,item,rating\n".to_owned();
    let mut state = 1_u32;
    for user in 0..n_users {
        for item in 0..n_items {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let likes = user % 2 == item % 2;
            if state >> 28 < if likes { 7 } else { 1 } {
                writeln!(text, "u{user:03},{item},{}", if likes { 4 + (state >> 20 & 1) } else { 1 + (state >> 20 & 1) }).unwrap();
            }
        }
    }
    let path = dir.join("ratings.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn settings(dir: &Path, more: &serde_json::Value) -> AlsSettings {
    let mut value =
        serde_json::json!({"data": [table(dir, 300, 40)], "out": dir.join("model"), "force": true, "factors": 5, "iterations": 4});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn run(settings: &AlsSettings, partition: &Partition) -> JobSummary {
    run_chain(settings, 7, tempfile::tempdir().unwrap().path(), partition).unwrap_or_else(|failure| panic!("{failure}"))
}

fn losses(summary: &JobSummary) -> Vec<f64> {
    summary.facts.iter().filter(|(name, _)| name.starts_with("loss after")).map(|(_, value)| value.parse().unwrap()).collect()
}

/// Scores of all pairs by the definition.
fn scores(model: &Path) -> Vec<Vec<f32>> {
    let model = Artifact::open(model).unwrap();
    let (users, n_users, n_factors) = model.matrix::<f32>("user_factors").unwrap();
    let (items, n_items, _) = model.matrix::<f32>("item_factors").unwrap();
    let bias = |name: &str, n: usize| if model.has(name) { model.vector::<f32>(name, Some(n)).unwrap().to_vec() } else { vec![0.0; n] };
    let (user_bias, item_bias) = (bias("user_bias", n_users), bias("item_bias", n_items));
    let score = |(user, bias): (&[f32], &f32)| {
        let of_item = |(item, item_bias): (&[f32], &f32)| paceline_kernels::recommend::score(user, item, *bias, *item_bias);
        items.chunks(n_factors).zip(&item_bias).map(of_item).collect()
    };
    users.chunks(n_factors).zip(&user_bias).map(score).collect()
}

#[test]
fn the_model_is_the_same_at_any_partition() {
    for more in [serde_json::json!({}), serde_json::json!({"explicit": true}), serde_json::json!({"cholesky": true})] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), &more);
        let hashes: Vec<_> = [(1, 1), (2, 2), (100, 1), (3, 4)]
            .map(|(range_len, n_threads)| run(&settings, &Partition::of(range_len, n_threads)).output_hash)
            .to_vec();
        assert!(hashes.iter().all(|hash| hash.is_some() && *hash == hashes[0]), "{more}: {hashes:?}");
    }
}

#[test]
fn what_a_group_takes_is_found_and_the_loss_falls() {
    for more in [serde_json::json!({}), serde_json::json!({"explicit": true, "regularization": 0.05})] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), &more);
        let losses = losses(&run(&settings, &Partition::of(2, 2)));
        assert_eq!(losses.len(), 4);
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0] * 1.000_1), "{losses:?}");
        let scores = scores(&settings.out);
        let mean = |same: bool| {
            let of_kind = |user: usize| scores[user].iter().enumerate().filter(move |(item, _)| (user % 2 == item % 2) == same);
            let all: Vec<f32> = (0..scores.len()).flat_map(|user| of_kind(user).map(|(_, &score)| score)).collect();
            all.iter().sum::<f32>() / all.len() as f32
        };
        assert!(mean(true) > mean(false) + 0.2, "{} {}", mean(true), mean(false));
    }
}

#[test]
fn going_on_is_the_same_as_never_having_stopped() {
    for more in [serde_json::json!({}), serde_json::json!({"explicit": true})] {
        let dir = tempfile::tempdir().unwrap();
        let whole = settings(dir.path(), &more);
        let of_whole = run(&whole, &Partition::of(2, 2));
        let first = AlsSettings { iterations: 3, out: dir.path().join("first"), ..whole.clone() };
        run(&first, &Partition::of(1, 1));
        let rest = AlsSettings { resume: Some(first.out.clone()), out: dir.path().join("rest"), ..whole.clone() };
        let of_rest = run(&rest, &Partition::of(3, 2));
        assert_eq!(of_whole.output_hash, of_rest.output_hash, "{more}");
        assert_eq!(losses(&of_whole), losses(&of_rest));
        let refusal = |settings: AlsSettings| run_chain(&settings, 7, dir.path(), &Partition::of(1, 1)).unwrap_err().message;
        let refused = refusal(AlsSettings { iterations: 3, ..rest.clone() });
        assert!(refused.contains("has 3 iterations already"), "{refused}");
        let refused = refusal(AlsSettings { factors: 6, ..rest.clone() });
        assert!(refused.contains("was trained with another --factors"), "{refused}");
        let refused = refusal(AlsSettings { explicit: !rest.explicit, ..rest.clone() });
        assert!(refused.contains("was written by the learner als-"), "{refused}");
        let refused = refusal_of(&rest);
        assert!(refused.contains("was trained with --seed 7"), "{refused}");
    }
}

#[test]
fn counts_below_zero_and_of_zero_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("counts.csv");
    std::fs::write(&data, "user,item,count\na,1,2\nb,1,-1\nb,2,0\nb,2,-3\n").unwrap();
    for (explicit, expected) in [(false, Some("2")), (true, None)] {
        let settings = AlsSettings { data: vec![data.clone()], explicit, ..settings(dir.path(), &serde_json::json!({})) };
        let summary = run(&settings, &Partition::of(1, 1));
        let told = summary.facts.iter().find(|(name, _)| name == "interactions of a value below 0, taken for unwanted");
        assert_eq!(told.map(|(_, n)| n.as_str()), expected);
    }
}

#[test]
fn a_user_who_cannot_be_solved_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("large.csv");
    std::fs::write(&data, "user,item,count\nann,1,1\nbob,1,3e38\nbob,1,3e38\n").unwrap();
    let settings = AlsSettings { data: vec![data], ..settings(dir.path(), &serde_json::json!({})) };
    let refused = run_chain(&settings, 7, dir.path(), &Partition::of(1, 1)).unwrap_err().message;
    assert!(refused.contains("large.csv: the factors of user bob are not determined"), "{refused}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let unrated = dir.path().join("unrated.csv");
    std::fs::write(&unrated, "user,item\na,1\n").unwrap();
    for (more, expected) in [
        (serde_json::json!({"factors": 0}), "--factors 0"),
        (serde_json::json!({"factors": 1025}), "from 1 to 1024"),
        (serde_json::json!({"iterations": 0}), "--iterations 0"),
        (serde_json::json!({"cg_steps": 0}), "--cg-steps 0"),
        (serde_json::json!({"alpha": -1.0}), "--alpha -1"),
        (serde_json::json!({"value_column": "stars"}), "stars"),
        (serde_json::json!({"explicit": true, "data": [unrated]}), "has no column of ratings"),
    ] {
        let refused = refusal_of(&settings(dir.path(), &more));
        assert!(refused.contains(expected), "{refused}");
    }
}
