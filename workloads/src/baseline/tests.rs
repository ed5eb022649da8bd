//! The whole chain: a table in, a model that `recommend` takes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::recommend::{RecommendSettings, UnknownUsers, UserChoice};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::Artifact;

fn settings(dir: &tempfile::TempDir, table: &str) -> PopularSettings {
    let data = dir.path().join("taken.csv");
    std::fs::write(&data, table).unwrap();
    PopularSettings { data: vec![data], out: dir.path().join("popular"), user_column: None, item_column: None, force: true }
}

fn run(settings: &PopularSettings) -> JobSummary {
    run_chain(settings, 0, tempfile::tempdir().unwrap().path(), &Partition::of(1, 2)).unwrap()
}

#[test]
fn everyone_is_recommended_what_most_took_and_not_what_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, "user,item\nann,tea\nbob,tea\ncid,tea\nann,rum\nbob,rum\nbob,rum\ncid,gin\n,gin\nann,\n");
    let summary = run(&settings);
    let fact = |name: &str| summary.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str());
    assert_eq!((fact("users"), fact("items"), fact("interactions")), (Some("3"), Some("3"), Some("6")));
    assert_eq!(fact("rows without a user or an item, left out"), Some("2"));
    assert_eq!(fact("rows of a pair that was there before"), Some("1"));
    let model = Artifact::open(&settings.out).unwrap();
    assert_eq!(model.vector::<f32>("item_bias", None).unwrap(), [1.0, 2.0, 3.0], "gin, rum, tea");
    let out = dir.path().join("lists.csv");
    let recommend = RecommendSettings {
        model: settings.out.clone(),
        out: out.clone(),
        users: UserChoice::All,
        top: 3,
        seen: None,
        candidates: None,
        unknown_users: UnknownUsers::Error,
        user_column: None,
        item_column: None,
        force: false,
    };
    run_chain(&recommend, 0, tempfile::tempdir().unwrap().path(), &Partition::of(1, 2)).unwrap();
    assert_eq!(std::fs::read_to_string(out).unwrap(), "user,item,rank,score\nann,gin,1,1.0\nbob,gin,1,1.0\ncid,rum,1,2.0\n");
}

#[test]
fn ids_that_are_numbers_stay_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, "user,item\n30,9007199254740993\n-1,5\n");
    run(&settings);
    let model = Artifact::open(&settings.out).unwrap();
    assert_eq!(model.vector::<i64>("user_ids", None).unwrap(), [-1, 30]);
    assert_eq!(model.vector::<i64>("item_ids", None).unwrap(), [5, 9_007_199_254_740_993]);
    assert_eq!(model.vector::<i64>("seen_indptr", None).unwrap(), [0, 1, 2]);
    assert_eq!(model.vector::<i32>("seen_indices", None).unwrap(), [0, 1]);
}

#[test]
fn values_and_times_may_be_anything() {
    let dir = tempfile::tempdir().unwrap();
    for table in ["user,item,rating,date\nann,tea,good,late\nbob,tea,inf,\n", "user,item,rating\nann,tea,\nbob,tea,3\n"] {
        let summary = run(&settings(&dir, table));
        assert_eq!(summary.facts.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["2", "1", "2"], "{table}");
    }
}

#[test]
fn a_table_without_a_usable_row_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = refusal_of(&settings(&dir, "user,item\n,a\nb,\n"));
    assert!(refused.contains("taken.csv: no row has a user and an item, and"), "{refused}");
    let refused = refusal_of(&settings(&dir, "user\na\n"));
    assert!(refused.contains("has no column of items; name one with --item-column"), "{refused}");
}
