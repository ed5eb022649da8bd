//! The whole chain: tables in, tables of metrics out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::table::{OutputColumn, OutputType, TableWriter};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::{self, NewArray};
use std::collections::BTreeMap;
use std::path::Path;

/// A folder with tables of these names.
fn folder(tables: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tables.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
    dir
}

/// Lists and truth of `dir`, by the names that a flag's JSON has, changed by `change`.
fn settings(dir: &Path, change: serde_json::Value) -> EvaluateSettings {
    let mut json = serde_json::json!({
        "lists": [dir.join("lists.csv")], "truth": [dir.join("truth.csv")], "out": dir.join("users.csv"), "at": ["2"], "force": true,
    });
    json.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn run(settings: &EvaluateSettings) -> BTreeMap<String, String> {
    run_chain(settings, 0, tempfile::tempdir().unwrap().path(), &Partition::of(2, 2)).unwrap().facts.into_iter().collect()
}

fn fact<'a>(facts: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    facts.get(name).unwrap_or_else(|| panic!("{name} is not among {facts:?}"))
}

const LISTS: &str = "user,item,rank,score
ann,tea,2,0.5\nann,rum,1,0.9\nann,gin,3,0.1
bob,tea,1,1\nbob,tea,2,1\n,tea,1,1\nbob,,3,1\nbob,gin,,1
eve,gin,1,1\n";
const TRUTH: &str = "item,user,rating\ntea,ann,4\nale,ann,2\ntea,bob,5\ntea,bob,3\nale,cid,1\nale,,1\n";

#[test]
fn users_and_means_are_as_by_hand() {
    let dir = folder(&[("lists.csv", LISTS), ("truth.csv", TRUTH)]);
    let metrics = serde_json::json!(["precision", "recall", "reciprocal_rank", "ndcg", "graded_dcg", "precision"]);
    let settings = settings(dir.path(), serde_json::json!({"metrics": metrics, "at": ["2", "all"], "summary": dir.path().join("all.csv")}));
    let facts = run(&settings);
    let users = std::fs::read_to_string(dir.path().join("users.csv")).unwrap();
    let (header, rows) = users.split_once('\n').unwrap();
    assert_eq!(
        header,
        "user,n_listed,n_relevant,precision@2,precision,recall@2,recall,reciprocal_rank@2,reciprocal_rank,ndcg@2,ndcg,graded_dcg@2,graded_dcg"
    );
    let third = 1.0 / 3.0_f64;
    // The first two ranks weigh the same; what bob's list names twice counts twice.
    let expected = format!(
        "ann,3,2,0.5,{third:?},0.5,0.5,0.5,0.5,0.5,0.5,4.0,4.0\nbob,2,1,1.0,1.0,2.0,2.0,1.0,1.0,2.0,2.0,10.0,10.0\n\
         cid,0,1,,,,,,,,,,\neve,1,0,0.0,0.0,,,,,,,,\n"
    );
    assert_eq!(rows, expected);
    let expected = [
        ("users", "4"),
        ("lists", "3"),
        ("precision@2", "0.500000"),
        ("recall@2", "1.250000"),
        ("ndcg", "1.250000"),
        ("graded_dcg@2", "7.000000"),
        ("coverage@2", "0.750000"),
        ("coverage", "0.750000"),
        ("users with a truth and no list, in no mean", "1"),
        ("lists of users without a truth", "1"),
        ("items that a list names again", "1"),
        ("items that a truth names again", "1"),
        ("rows of the lists without a user or an item, left out", "2"),
        ("rows of the lists without a rank, left out", "1"),
        ("rows of the truth without a user or an item, left out", "1"),
    ];
    expected.iter().for_each(|(name, value)| assert_eq!(fact(&facts, name), *value, "{name}"));
    let summary = std::fs::read_to_string(dir.path().join("all.csv")).unwrap();
    let line = |name: &str| summary.lines().find(|line| line.split(',').next() == Some(name)).unwrap();
    assert_eq!(summary.lines().next().unwrap(), "measure,value,n_users,value_with_undefined_as_0");
    assert_eq!(line("recall@2"), format!("recall@2,1.25,2,{:?}", 2.5 / 3.0));
    assert_eq!(line("coverage"), "coverage,0.75,3,");
    // Counts of tea 3, gin 2, rum 1, ale 0 in ascending order: (-3·0 - 1 + 2 + 9) / (4·6).
    assert_eq!(line("gini"), format!("gini,{:?},3,", 10.0 / 24.0));
}

#[test]
fn without_ranks_scores_give_the_order_and_ties_follow_the_table() {
    let by_rank = "user,item,rank\n7,5,1\n7,3,2\n7,4,3\n7,1,4\n";
    let by_score = "user,item,score\n7,1,-1\n7,3,0.0\n7,4,-0.0\n7,5,2.5\n7,2,\n";
    let truth = "user,item\n7,4\n7,1\n";
    let tables = |lists: &'static str| folder(&[("lists.csv", lists), ("truth.csv", truth)]);
    let (ranked, scored) = (tables(by_rank), tables(by_score));
    let mut facts = [&ranked, &scored].map(|dir| run(&settings(dir.path(), serde_json::json!({"at": ["1", "3", "4"]}))));
    let read = |dir: &tempfile::TempDir| std::fs::read_to_string(dir.path().join("users.csv")).unwrap();
    assert_eq!(read(&ranked), read(&scored));
    assert_eq!(fact(&facts[0], "reciprocal_rank@3"), "0.333333");
    assert_eq!(facts[1].remove("rows of the lists without a score, left out").as_deref(), Some("1"));
    // The item without a score is in the catalogue of neither.
    assert_eq!(facts[0], facts[1]);
}

#[test]
fn a_missing_list_counts_as_an_empty_one_where_that_is_asked_for() {
    let dir = folder(&[("lists.csv", LISTS), ("truth.csv", TRUTH)]);
    let facts = run(&settings(dir.path(), serde_json::json!({"missing_lists": "empty", "metrics": ["ndcg", "precision"]})));
    assert_eq!((fact(&facts, "lists"), fact(&facts, "ndcg@2")), ("4", "0.833333"), "2.5 over ann, bob and cid");
    assert_eq!(fact(&facts, "precision@2"), "0.500000", "it is undefined for an empty list");
    assert_eq!(fact(&facts, "users with a truth and no list, taken for empty lists"), "1");
    let users = std::fs::read_to_string(dir.path().join("users.csv")).unwrap();
    assert!(users.contains("cid,0,1,0.0,\n"), "{users}");
}

#[test]
fn predictions_are_compared_with_ratings() {
    let predictions = "user,item,score\nann,tea,3\nann,ale,2.5\nann,gin,1\nbob,ale,1\ncid,ale,\n";
    let truth = "user,item,value\nann,tea,4\nann,ale,2\nann,rum,1\nbob,ale,3\ncid,ale,1\ndan,ale,\n";
    let dir = folder(&[("predicted.csv", predictions), ("truth.csv", truth)]);
    let facts = run(&settings(dir.path(), serde_json::json!({"lists": [], "predictions": [dir.path().join("predicted.csv")]})));
    let users = std::fs::read_to_string(dir.path().join("users.csv")).unwrap();
    let rmse = (1.25_f64 / 2.0).sqrt();
    let expected =
        format!("user,n_listed,n_relevant,rmse,mae,n_compared\nann,0,3,{rmse:?},0.75,2\nbob,0,1,2.0,2.0,1\ncid,0,1,,,0\ndan,0,1,,,0\n");
    assert_eq!(users, expected);
    assert_eq!(fact(&facts, "rmse"), format!("{:.6}", (5.25_f64 / 3.0).sqrt()));
    assert_eq!((fact(&facts, "mae"), fact(&facts, "user_mae")), ("1.166667", "1.375000"));
    assert_eq!((fact(&facts, "items predicted and not rated"), fact(&facts, "items rated and not predicted")), ("1", "2"));
    assert!(!facts.contains_key("lists") && !facts.contains_key("coverage@2"), "{facts:?}");
}

#[test]
fn the_catalogue_is_a_table_or_a_model() {
    let dir = folder(&[("lists.csv", LISTS), ("truth.csv", TRUTH), ("items.csv", "item,kind\ntea,a\nale,a\ntea,b\n,b\noil,\nfat,\n")]);
    let texts: Vec<u8> = ["tea", "oil", "fat"].concat().into_bytes();
    let model = dir.path().join("model");
    artifact::write(&model, "factors", 1, &BTreeMap::new(), &[NewArray::new("item_ids", &[3, 3], &texts)]).unwrap();
    // Three items in lists, and those that the catalogue adds; ale is in the truth alone.
    for (catalog, coverage) in [(dir.path().join("items.csv"), "0.500000"), (model, "0.600000")] {
        let facts = run(&settings(dir.path(), serde_json::json!({"catalog": catalog, "at": ["all"]})));
        assert_eq!(fact(&facts, "coverage"), coverage);
    }
}

/// 300 users by numbers, lists as a directory of Parquet files, ranks in no order.
fn large_tables(dir: &Path) {
    let lists = dir.join("lists");
    std::fs::create_dir(&lists).unwrap();
    let item_of = |user: i64, line: i64| (user * 31 + line * line * 7) % 97;
    for part in 0..3_i64 {
        let lines: Vec<(i64, i64)> = (part * 100..part * 100 + 100).flat_map(|user| (0..user % 13).map(move |line| (user, line))).collect();
        let users: Vec<i64> = lines.iter().map(|line| line.0 * 3).collect();
        let items: Vec<i64> = lines.iter().map(|line| item_of(line.0, line.1)).collect();
        let ranks: Vec<u32> = lines.iter().map(|line| (line.1 * 5 % 13) as u32 + 1).collect();
        let schema = [("user", OutputType::I64), ("item", OutputType::I64), ("rank", OutputType::U32)];
        let mut writer = TableWriter::create(&lists.join(format!("part-{part}.parquet")), TableFormat::Parquet, &schema).unwrap();
        writer.append(&[OutputColumn::I64(&users), OutputColumn::I64(&items), OutputColumn::U32(&ranks)]).unwrap();
        writer.finish().unwrap();
    }
    let truth: String =
        (0..290_i64).flat_map(|user| (0..user % 7).map(move |k| format!("{},{},{}\n", user * 3, (user + k * 11) % 97, k))).collect();
    std::fs::write(dir.join("truth.csv"), format!("user,item,rating\n{truth}")).unwrap();
}

#[test]
fn the_same_bytes_at_any_partition() {
    let dir = tempfile::tempdir().unwrap();
    large_tables(dir.path());
    let change = serde_json::json!({
        "lists": [dir.path().join("lists")], "predictions": [dir.path().join("truth.csv")], "prediction_column": "rating",
        "out": dir.path().join("users.parquet"), "summary": dir.path().join("all.parquet"), "at": ["1", "5", "all"],
        "metrics": ["ndcg", "graded_ndcg", "precision", "recall", "average_precision", "rbp"],
    });
    let settings = settings(dir.path(), change);
    let hashes: Vec<_> = [(1000, 1, None), (1, 2, None), (7, 2, Some(3)), (64, 3, Some(1))]
        .into_iter()
        .map(|(range_len, n_threads, block_len)| {
            let partition = Partition { block_len, ..Partition::of(range_len, n_threads) };
            let summary = run_chain(&settings, 0, tempfile::tempdir().unwrap().path(), &partition).unwrap();
            let hash = |path: &Path| blake3::hash(&std::fs::read(path).unwrap());
            (summary.facts, hash(&settings.out), hash(settings.summary.as_ref().unwrap()))
        })
        .collect();
    assert!(hashes.iter().all(|hash| hash == &hashes[0]), "{hashes:?}");
    let facts: BTreeMap<String, String> = hashes[0].0.iter().cloned().collect();
    assert_eq!((fact(&facts, "lists"), fact(&facts, "rmse")), ("276", "0.000000"), "users of 13 and of 7 have nothing");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let dir = folder(&[
        ("lists.csv", LISTS),
        ("truth.csv", TRUTH),
        ("others.csv", "user,item\n1,tea\n"),
        ("bare.csv", "user,item\nann,tea\n"),
        ("words.csv", "user,item,rank\nann,tea,best\n"),
        ("none.csv", "user,item,rank\nann,,1\nann,tea,\n"),
        ("empty.csv", "user,item,rank\n"),
        ("high.csv", "user,item,rating\nann,tea,1e39\n"),
    ]);
    let file = |name: &str| serde_json::json!([dir.path().join(name)]);
    let one = |name: &str, value: serde_json::Value| serde_json::Value::Object([(name.to_owned(), value)].into_iter().collect());
    for (change, words) in [
        (one("metrics", serde_json::json!(["ndgc"])), "--metrics ndgc: there is no metric \"ndgc\"; name one of ndcg,"),
        (one("at", serde_json::json!(["0"])), "--at 0: is no number of items; give whole numbers from 1 to"),
        (one("at", serde_json::json!(["-1"])), "--at -1: is no number of items"),
        (one("at", serde_json::json!([])), "no metric or no cutoff is given"),
        (one("rbp_patience", serde_json::json!(1.0)), "the patience of RBP is 1; it must be above 0 and below 1"),
        (one("lists", serde_json::json!([])), "neither --lists nor --predictions is given"),
        (one("out", serde_json::json!(dir.path().join("out.txt"))), "out.txt: is no table by its name"),
        (one("summary", serde_json::json!(dir.path().join("users.csv"))), "users.csv: is --out too"),
        (one("truth", file("others.csv")), "others.csv: has no user in common with"),
        (one("lists", file("bare.csv")), "bare.csv: has no column rank or score, which orders its lists"),
        (one("lists", file("words.csv")), "words.csv: column 'rank' holds text where numbers are wanted"),
        (one("lists", file("none.csv")), "none.csv: no row has a user and an item and a rank"),
        (one("lists", file("empty.csv")), "empty.csv: has no rows"),
        (one("lists", file("gone.csv")), "gone.csv: cannot read"),
        (one("catalog", serde_json::json!(dir.path().join("gone"))), "gone: cannot read"),
        (one("user_column", serde_json::json!("usr")), "has no column 'usr'; did you mean 'user'?"),
        (serde_json::json!({"truth": file("others.csv"), "metrics": ["graded_ndcg"]}), "others.csv: has no column of ratings"),
        (serde_json::json!({"truth": file("high.csv"), "metrics": ["graded_ndcg"]}), "high.csv: row 1: the value"),
        (one("predictions", file("bare.csv")), "bare.csv: has no column prediction or score"),
    ] {
        let refused = refusal_of(&settings(dir.path(), change));
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(!dir.path().join("users.csv").exists());
}
