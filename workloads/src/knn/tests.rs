//! The whole chain: a table in, lists out, the same bytes at any partition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::recommend::{RecommendSettings, UnknownUsers, UserChoice};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::Artifact;
use std::fmt::Write;
use std::path::Path;

/// Users of two kinds, who take items of their own kind.
fn settings(dir: &Path, more: &serde_json::Value) -> KnnSettings {
    let mut text = "user,item,rating\n".to_owned();
    let mut state = 1_u32;
    for user in 0..120 {
        for item in 0..200 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if user % 2 == item % 2 && state >> 30 == 0 {
                writeln!(text, "{user},i{item:03},{}", 1 + (state >> 20) % 5).unwrap();
            }
        }
    }
    let data = dir.join("taken.csv");
    std::fs::write(&data, text).unwrap();
    let mut value = serde_json::json!({"data": [data], "out": dir.join("model"), "force": true, "save_neighbours": 15});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn run(settings: &KnnSettings, partition: &Partition) -> JobSummary {
    run_chain(settings, 0, tempfile::tempdir().unwrap().path(), partition).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn models_and_lists_are_the_same_at_any_partition() {
    for more in [serde_json::json!({}), serde_json::json!({"explicit": true, "shrinkage": 5.0})] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), &more);
        let of_model = |partition| run(&settings, &partition).output_hash;
        let recommend = RecommendSettings {
            model: settings.out.clone(),
            out: dir.path().join("lists.csv"),
            users: UserChoice::All,
            top: 8,
            seen: None,
            candidates: None,
            unknown_users: UnknownUsers::Error,
            user_column: None,
            item_column: None,
            force: true,
        };
        let of_lists = |partition| run_chain(&recommend, 0, tempfile::tempdir().unwrap().path(), &partition).unwrap().output_hash;
        let first = (of_model(Partition::of(1, 1)), of_lists(Partition::of(1, 1)));
        assert!(first.0.is_some() && first.1.is_some());
        assert_eq!(first, (of_model(Partition::of(3, 2)), of_lists(Partition::of(50, 3))), "{more}");
        let lists = std::fs::read_to_string(&recommend.out).unwrap();
        let lines: Vec<Vec<&str>> = lists.lines().skip(1).map(|line| line.split(',').collect()).collect();
        assert!(lines.len() > 120 * 4, "{}", lines.len());
        let kind = |text: &str| text.trim_start_matches('i').parse::<u32>().unwrap() % 2;
        assert!(lines.iter().all(|line| kind(line[0]) == kind(line[1])), "items of one's own kind alone");
    }
}

#[test]
fn a_model_holds_the_most_similar_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), &serde_json::json!({}));
    run(&settings, &Partition::of(2, 2));
    let model = Artifact::open(&settings.out).unwrap();
    let indptr = model.vector::<i64>("neighbour_indptr", None).unwrap();
    let similarities = model.vector::<f32>("neighbour_similarities", None).unwrap();
    assert!(indptr.windows(2).all(|ends| (1..=15).contains(&(ends[1] - ends[0]))));
    assert!(indptr.windows(2).all(|ends| similarities[ends[0] as usize..ends[1] as usize].is_sorted_by(|a, b| a >= b)));
    assert!(similarities.iter().all(|&similarity| similarity > 0.0 && similarity <= 1.000_001));
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (more, expected) in [
        (serde_json::json!({"max_neighbours": 0}), "--max-neighbours 0"),
        (serde_json::json!({"min_neighbours": 21}), "raise --max-neighbours"),
        (serde_json::json!({"shrinkage": -1.0}), "--shrinkage -1"),
        (serde_json::json!({"value_column": "rating"}), "give --explicit too"),
        (serde_json::json!({"explicit": true, "value_column": "stars"}), "stars"),
    ] {
        let refused = refusal_of(&settings(dir.path(), &more));
        assert!(refused.contains(expected), "{refused}");
    }
}
