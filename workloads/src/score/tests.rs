//! The whole chain: a model and a table of pairs in, a table of scores out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::baseline::BiasSettings;
use crate::knn::KnnSettings;
use crate::recommend::UnknownUsers;
use crate::registry::Settings;
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::{self, NewArray};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn run<S: Settings>(settings: &S) -> JobSummary {
    run_chain(settings, 0, tempfile::tempdir().unwrap().path(), &Partition::of(1, 2)).unwrap()
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Two users and three items of two factors, with biases and names.
fn factors(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("factors");
    let arrays = [
        NewArray::new("user_factors", &[2, 2], &[1.0_f32, 2.0, -1.0, 0.5]),
        NewArray::new("item_factors", &[3, 2], &[1.0_f32, 0.0, 0.0, 1.0, 2.0, 2.0]),
        NewArray::vector("user_bias", &[10.0_f32, 20.0]),
        NewArray::vector("item_bias", &[0.5_f32, 0.0, -0.5]),
        NewArray::new("user_ids", &[2, 3], b"annbob"),
        NewArray::new("item_ids", &[3, 3], b"ginrumtea"),
    ];
    artifact::write(&path, "factors", 1, &BTreeMap::new(), &arrays).unwrap();
    path
}

fn settings(dir: &tempfile::TempDir, model: &Path, pairs: &str) -> ScoreSettings {
    ScoreSettings {
        model: model.to_owned(),
        pairs: vec![file(dir, "pairs.csv", pairs)],
        out: dir.path().join("scores.csv"),
        unknown_users: UnknownUsers::Skip,
        user_column: None,
        item_column: None,
        force: true,
    }
}

fn fact<'a>(summary: &'a JobSummary, name: &str) -> Option<&'a str> {
    summary.facts.iter().find(|(fact, _)| fact == name).map(|(_, value)| value.as_str())
}

#[test]
fn pairs_keep_their_order_and_get_the_scores_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let model = factors(&dir);
    let pairs = "user,item\nbob,tea\nann,gin\nzoe,gin\nbob,tea\nann,ale\n,gin\nann,rum\n";
    let settings = settings(&dir, &model, pairs);
    let summary = run(&settings);
    let expected = "user,item,score\nbob,tea,18.5\nann,gin,11.5\nzoe,gin,\nbob,tea,18.5\nann,ale,\nann,rum,12.0\n";
    assert_eq!(std::fs::read_to_string(&settings.out).unwrap(), expected);
    assert_eq!((fact(&summary, "pairs"), fact(&summary, "scores")), (Some("6"), Some("4")));
    assert_eq!(fact(&summary, "rows without a user or an item, left out"), Some("1"));
    assert_eq!(fact(&summary, "pairs of a user that the model lacks, without a score"), Some("1"));
    assert_eq!(fact(&summary, "pairs of an item that the model lacks, without a score"), Some("1"));
    assert_eq!(fact(&summary, "pairs of which the model says nothing"), None);
}

#[test]
fn a_neighbourhood_says_nothing_of_items_that_are_like_none_of_a_users() {
    let dir = tempfile::tempdir().unwrap();
    let data = file(&dir, "taken.csv", "user,item\n1,10\n1,11\n2,10\n2,11\n2,12\n3,13\n");
    let knn: KnnSettings =
        serde_json::from_value(serde_json::json!({"data": [data], "out": dir.path().join("knn"), "force": true})).unwrap();
    run(&knn);
    let settings = settings(&dir, &knn.out, "user,item\n1,13\n1,12\n2,10\n");
    let summary = run(&settings);
    let text = std::fs::read_to_string(&settings.out).unwrap();
    let scores: Vec<&str> = text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(scores[0], "", "{text}");
    // The cosines of 12 with 10 and 11: one user of both, over the roots of one and of two.
    let score: f64 = scores[1].parse().unwrap();
    assert!((score - 2.0 / 2.0_f64.sqrt()).abs() < 1e-6, "{text}");
    assert_eq!(fact(&summary, "pairs of which the model says nothing"), Some("1"));
}

#[test]
fn a_bias_is_what_is_above_the_mean() {
    let dir = tempfile::tempdir().unwrap();
    let data = file(&dir, "ratings.csv", "user,item,rating\n1,7,5\n1,8,3\n2,7,4\n2,8,\n");
    let bias = BiasSettings {
        data: vec![data],
        out: dir.path().join("bias"),
        damping: 1.0,
        user_column: None,
        item_column: None,
        value_column: None,
        force: true,
    };
    let summary = run(&bias);
    assert_eq!(fact(&summary, "rows without a value, left out"), Some("1"));
    let settings = settings(&dir, &bias.out, "user,item\n1,7\n2,8\n");
    run(&settings);
    // The mean is 4. Item 7: (1 + 0) / (2 + 1); item 8: -1 / 2. User 1: (1 - 1/3 - 1 + 1/2) / 3; user 2: (0 - 1/3) / 2.
    let (item_7, item_8) = (1.0 / 3.0, -0.5);
    let (user_1, user_2) = ((1.0 - item_7 - 1.0 - item_8) / 3.0, (0.0 - item_7) / 2.0);
    let text = std::fs::read_to_string(&settings.out).unwrap();
    let scores: Vec<f64> = text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    for (score, expected) in scores.iter().zip([4.0 + item_7 + user_1, 4.0 + item_8 + user_2]) {
        assert!((score - expected).abs() < 1e-6, "{text}");
    }
    assert_eq!(scores.len(), 2);
}

#[test]
fn scores_do_not_depend_on_who_computes_them() {
    let dir = tempfile::tempdir().unwrap();
    let model = factors(&dir);
    let mut pairs = "user,item\n".to_owned();
    for pair in 0..150_000 {
        pairs += ["ann,gin\n", "bob,tea\n", "ann,tea\n", "bob,rum\n", "zoe,rum\n"][pair * 7 % 5];
    }
    let settings = settings(&dir, &model, &pairs);
    let mut seen = None;
    for partition in [Partition::of(1, 1), Partition::of(1, 3), Partition::of(2, 2)] {
        run_chain(&settings, 0, tempfile::tempdir().unwrap().path(), &partition).unwrap();
        let bytes = std::fs::read(&settings.out).unwrap();
        assert_eq!(&bytes, seen.get_or_insert(bytes.clone()));
    }
    let text = String::from_utf8(seen.unwrap()).unwrap();
    assert_eq!(text.lines().count(), 150_001);
    assert!(text.lines().skip(1).all(|line| line.starts_with("zoe") == line.ends_with(',')), "only zoe is unknown");
}

#[test]
fn tables_that_cannot_be_scored_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let model = factors(&dir);
    let refused = refusal_of(&settings(&dir, &model, "user,item\nzoe,gin\nann,ale\n"));
    assert!(refused.contains("(the first: user zoe, item gin)"), "{refused}");
    let refused =
        refusal_of(&ScoreSettings { unknown_users: UnknownUsers::Error, ..settings(&dir, &model, "user,item\nann,gin\nzoe,gin\n") });
    assert!(refused.contains("user zoe is not in the model") && refused.contains("--unknown-users skip"), "{refused}");
    let refused = refusal_of(&settings(&dir, &model, "user\nann\n"));
    assert!(refused.contains("--item-column"), "{refused}");
    let huge = dir.path().join("huge");
    let arrays = [NewArray::new("user_factors", &[1, 1], &[1e30_f32]), NewArray::new("item_factors", &[1, 1], &[-1e30_f32])];
    artifact::write(&huge, "factors", 1, &BTreeMap::new(), &arrays).unwrap();
    let refused = refusal_of(&settings(&dir, &huge, "user,item\n0,0\n"));
    assert!(refused.contains("beyond the range of float32"), "{refused}");
}
