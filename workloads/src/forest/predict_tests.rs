//! Prediction as a whole chain: equal to a walk through the model's arrays by hand, the same bytes at any partition, and the
//! contract between model and data held by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::example_tables::{
    ExampleRow, FEATURES, Trained, example_rows, fact, predict, predict_settings, train, train_settings, write_csv, write_example,
};
use super::model::{ForestHeader, TaskSpec};
use crate::table::{Column, LogicalType, TableSource};
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::{self, Artifact};
use paceline_kernels::forest::{DecodedNode, TreeView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn column(path: &Path, name: &str) -> Arc<Column> {
    TableSource::open(&[path.to_owned()]).unwrap().read_column(name).unwrap()
}

fn numbers(path: &Path, name: &str) -> Vec<f64> {
    match &*column(path, name) {
        Column::Numeric(column) => column.values.clone(),
        Column::Text(_) => panic!("{name} is text"),
    }
}

fn texts(path: &Path, name: &str) -> Vec<String> {
    match &*column(path, name) {
        Column::Text(column) => column.codes.iter().map(|&code| column.levels[code as usize].clone()).collect(),
        Column::Numeric(_) => panic!("{name} is numeric"),
    }
}

/// What a tree tests: a number, or the place of a level; `None` is missing, and so is a level that training never saw.
fn feature_value(row: &ExampleRow, header: &ForestHeader, feature: usize) -> Option<f64> {
    let feature = &header.features[feature];
    let text = match feature.name.as_str() {
        "size" => return row.size,
        "count" => return Some(row.count as f64),
        "is_new" => return Some(f64::from(u8::from(row.is_new))),
        // 2024-05-01 is day 19,844 since 1970.
        "day" => return Some(f64::from(19_843 + row.day)),
        "zone" if !feature.feature_type.is_categorical() => return Some(row.zone as f64),
        "zone" => row.zone.to_string(),
        "color" => row.color?.to_owned(),
        other => panic!("the example has no {other}"),
    };
    feature.levels.iter().position(|level| *level == text).map(|level| level as f64)
}

/// A walk through the arrays as `docs/model-format.md` describes them, one row and one tree at a time.
fn naive_predict(artifact: &Artifact, header: &ForestHeader, row: &ExampleRow) -> Vec<f64> {
    let (words, _, _) = artifact.matrix::<u32>("nodes").unwrap();
    let starts = |name: &str| artifact.vector::<u64>(name, None).unwrap();
    let level_words = artifact.vector::<u32>("level_words", None).unwrap();
    let leaf_shares = artifact.vector::<f32>("leaf_shares", None).unwrap();
    let leaf_means = artifact.vector::<f64>("leaf_means", None).unwrap();
    let thresholds = artifact.vector::<f64>("thresholds", None).unwrap();
    let mut sums = vec![0.0; header.task.n_outputs()];
    for tree in 0..header.n_trees as usize {
        let (first, first_word, first_share) =
            (starts("node_starts")[tree] as usize, starts("level_starts")[tree] as usize, starts("leaf_starts")[tree] as usize);
        let mut at = 0;
        loop {
            let node = &words[2 * (first + at)..][..2];
            let place = (node[1] % (1 << 29)) as usize;
            if node[1] >= 1 << 31 {
                match (node[1] >> 30 & 1 == 1, sums.len()) {
                    (false, _) => sums[place] += 1.0,
                    (true, 1) => sums[0] += leaf_means[first_share + place],
                    (true, n) => (0..n).for_each(|class| sums[class] += f64::from(leaf_shares[first_share + place * n + class])),
                }
                break;
            }
            let missing_goes_left = node[1] & (1 << 29) != 0;
            let (feature, bin) = ((node[0] >> 16) as usize, (node[0] % (1 << 16)) as usize);
            let value = feature_value(row, header, feature);
            let mut right = place;
            let goes_left = if node[1] >> 30 == 1 {
                let set = &level_words[first_word + place + (bin << 29)..];
                right = set[0] as usize;
                let (first_of_set, n_of_set) = (set[1] % (1 << 16), set[1] >> 16);
                let is_in_set = value.is_some_and(|level| {
                    let (word, bit) = (level as u32 / 32, level as u32 % 32);
                    word >= first_of_set && word < first_of_set + n_of_set && set[2 + (word - first_of_set) as usize] >> bit & 1 == 1
                });
                is_in_set != missing_goes_left
            } else {
                let of_feature =
                    &thresholds[starts("threshold_starts")[feature] as usize..starts("threshold_starts")[feature + 1] as usize];
                value.map_or(missing_goes_left, |value| of_feature.get(bin).is_none_or(|&threshold| value <= threshold))
            };
            at = if goes_left { at + 1 } else { right };
        }
    }
    sums.iter().map(|sum| sum / header.n_trees as f64).collect()
}

#[test]
fn predictions_equal_a_walk_by_hand() {
    for (target, changes) in [
        ("class", json!({"categorical": ["zone"]})),
        ("class", json!({"extra_trees": true})),
        ("amount", json!({"max_depth": 7})),
        ("is_top", json!({"min_samples_leaf": 5})),
    ] {
        let trained = Trained::on(target, changes.clone());
        let rows = example_rows(900).split_off(500);
        let data = write_csv(&trained.path("new.csv"), &rows, &FEATURES);
        let out = trained.path("predictions.parquet");
        let proba = target != "amount";
        let summary = predict(&predict_settings(&trained.model, &data, &out, json!({"proba": proba})));
        assert_eq!(fact(&summary, "rows"), "400");
        let artifact = Artifact::open(&trained.model).unwrap();
        let header = ForestHeader::of(&artifact).unwrap();
        let expected: Vec<Vec<f64>> = rows.iter().map(|row| naive_predict(&artifact, &header, row)).collect();
        let TaskSpec::Classification { classes } = &header.task else {
            assert_eq!(numbers(&out, "prediction"), expected.iter().map(|value| value[0]).collect::<Vec<_>>());
            continue;
        };
        let labels = classes.to_texts();
        for (class, label) in labels.iter().enumerate() {
            let column = numbers(&out, &format!("probability_{label}"));
            assert_eq!(column, expected.iter().map(|shares| shares[class]).collect::<Vec<_>>(), "{target} {changes} {label}");
        }
        assert!(expected.iter().all(|shares| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-6));
        // The lowest class of those with the largest share.
        let best = |shares: &[f64]| shares.iter().position(|share| shares.iter().all(|other| share >= other)).unwrap();
        let predicted: Vec<String> = expected.iter().map(|shares| labels[best(shares)].clone()).collect();
        assert_eq!(as_texts(&out), predicted, "{target} {changes}");
    }
}

/// The predictions as text, whatever the type of the labels.
fn as_texts(path: &Path) -> Vec<String> {
    match &*TableSource::open(&[path.to_owned()]).unwrap().read_column_as_text("prediction").unwrap() {
        Column::Text(column) => column.codes.iter().map(|&code| column.levels[code as usize].clone()).collect(),
        Column::Numeric(_) => panic!("read as text"),
    }
}

#[test]
fn the_same_bytes_at_any_partition() {
    let trained = Trained::on("class", json!({}));
    // More than two blocks of rows, so that there is something to cut.
    let rows = example_rows(150);
    let many: Vec<ExampleRow> = rows.iter().cycle().take(140_000).cloned().collect();
    let data = write_csv(&trained.path("many.csv"), &many, &FEATURES);
    for (kind, changes) in [("file.csv", json!({})), ("file.parquet", json!({"proba": true})), ("directory", json!({}))] {
        let hashes = [Partition::of(1, 1), Partition::of(2, 3), Partition::of(100, 2)].map(|partition| {
            let out = trained.path(&format!("{}-{kind}", partition.range_len));
            let job_dir = tempfile::tempdir().unwrap();
            let settings = predict_settings(&trained.model, &data, &out, changes.clone());
            let summary = run_chain(&settings, 0, job_dir.path(), &partition).unwrap();
            assert_eq!(fact(&summary, "rows"), "140000");
            let predicted = texts(&out, "prediction");
            assert_eq!(predicted.len(), 140_000);
            assert!(predicted.chunks(150).all(|chunk| *chunk == predicted[..chunk.len()]), "rows must stay in the data's order");
            summary.output_hash.unwrap()
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{kind}: {hashes:?}");
    }
}

#[test]
fn columns_are_found_by_name_and_others_are_ignored() {
    let trained = Trained::on("class", json!({}));
    let rows = example_rows(100);
    let straight = write_csv(&trained.path("straight.csv"), &rows, &FEATURES);
    let reordered =
        write_csv(&trained.path("reordered.csv"), &rows, &["zone", "amount", "is_new", "color", "extra", "count", "day", "size"]);
    let one = predict(&predict_settings(&trained.model, &straight, &trained.path("one.csv"), json!({})));
    let two = predict(&predict_settings(&trained.model, &reordered, &trained.path("two.csv"), json!({})));
    assert_eq!(one.output_hash, two.output_hash);
}

#[test]
fn unseen_categories_are_taken_as_missing_and_counted() {
    let trained = Trained::on("class", json!({}));
    let mut rows = example_rows(100);
    rows.iter_mut().for_each(|row| row.color = None);
    let missing = write_csv(&trained.path("missing.csv"), &rows, &FEATURES);
    rows.iter_mut().for_each(|row| row.color = Some("violet"));
    let unseen = write_csv(&trained.path("unseen.csv"), &rows, &FEATURES);
    let one = predict(&predict_settings(&trained.model, &missing, &trained.path("one.csv"), json!({})));
    let two = predict(&predict_settings(&trained.model, &unseen, &trained.path("two.csv"), json!({})));
    assert_eq!(one.output_hash, two.output_hash);
    assert_eq!(fact(&two, "categories never seen in training, taken as missing"), "100 in color");
    assert!(one.facts.iter().all(|(name, _)| !name.contains("never seen")));
}

#[test]
fn labels_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(300);
    let data = write_csv(&dir.path().join("t.csv"), &rows, &["size", "color", "zone", "is_top"]);
    let cases = [("zone", ["0", "1", "2", "3"].as_slice(), LogicalType::Integer), ("is_top", &["false", "true"], LogicalType::Bool)];
    for (target, labels, label_type) in cases {
        let (model, out) = (dir.path().join(target), dir.path().join(format!("{target}.parquet")));
        train(&train_settings(&data, target, &model, json!({})), 0);
        predict(&predict_settings(&model, &data, &out, json!({})));
        assert!(as_texts(&out).iter().all(|label| labels.contains(&label.as_str())), "{target}");
        assert_eq!(TableSource::open(&[out]).unwrap().schema().fields[0].logical_type, label_type);
    }
}

#[test]
fn bad_input_is_refused_by_name() {
    let trained = Trained::on("class", json!({}));
    let rows = example_rows(40);
    let data = write_csv(&trained.path("t.csv"), &rows, &FEATURES);
    let no_color = write_csv(&trained.path("no-color.csv"), &rows, &["size", "count", "colour", "is_new", "day", "zone"]);
    let retyped = trained.path("retyped.csv");
    std::fs::write(&retyped, "size,count,color,is_new,day,zone\n1.5,2,blue,true,2024-05-01,0\nlarge,2,blue,true,2024-05-01,0\n").unwrap();
    let dates = trained.path("dates.csv");
    std::fs::write(&dates, "size,count,color,is_new,day,zone\n1.5,2,blue,true,17,0\n").unwrap();
    let empty = trained.path("empty.csv");
    std::fs::write(&empty, FEATURES.join(",") + "\n").unwrap();
    let truncated = trained.path("truncated");
    let whole = std::fs::read(&trained.model).unwrap();
    std::fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    let other_kind = trained.path("factors");
    artifact::write(&other_kind, "factors", 1, &BTreeMap::new(), &[]).unwrap();
    let regression = Trained::on("amount", json!({}));
    let (out, spreadsheet) = (trained.path("out.csv"), trained.path("out.xls"));
    let cases: Vec<(&Path, &Path, &Path, Value, &[&str])> = vec![
        (&trained.model, &no_color, &out, json!({}), &["no-color.csv", "color"]),
        (&trained.model, &retyped, &out, json!({}), &["retyped.csv", "size", "large"]),
        (&trained.model, &dates, &out, json!({}), &["dates.csv", "day"]),
        (&trained.model, &empty, &out, json!({}), &["empty.csv", "row"]),
        (&trained.model, Path::new("/nonexistent.csv"), &out, json!({}), &["/nonexistent.csv"]),
        (&trained.model, &data, &out, json!({"data": []}), &["--data"]),
        (&trained.model, &data, &spreadsheet, json!({}), &["out.xls", ".parquet"]),
        (Path::new("/nonexistent-model"), &data, &out, json!({}), &["/nonexistent-model"]),
        (&truncated, &data, &out, json!({}), &["truncated"]),
        (&other_kind, &data, &out, json!({}), &["factors", "forest is needed"]),
        (&data, &data, &out, json!({}), &["t.csv", "safetensors"]),
        (&regression.model, &data, &out, json!({"proba": true}), &["--proba", "model"]),
    ];
    for (model, data, out, changes, named) in cases {
        let sentence = refusal_of(&predict_settings(model, data, out, changes));
        assert!(named.iter().all(|part| sentence.contains(part)), "{sentence}");
        assert!(!out.exists());
    }
    std::fs::write(&out, "precious").unwrap();
    assert!(refusal_of(&predict_settings(&trained.model, &data, &out, json!({}))).contains("--force"));
    predict(&predict_settings(&trained.model, &data, &out, json!({"force": true})));
    assert_eq!(texts(&out, "prediction").len(), 40);
}

/// A damaged node is found before any row is predicted, though the header is sound.
#[test]
fn a_corrupt_model_is_refused_before_use() {
    let trained = Trained::on("class", json!({}));
    let data = write_csv(&trained.path("t.csv"), &example_rows(40), &FEATURES);
    let artifact = Artifact::open(&trained.model).unwrap();
    let (words, n_nodes, _) = artifact.matrix::<u32>("nodes").unwrap();
    assert!(words[1] < 1 << 31 && n_nodes > 10, "the first tree has a split at its root");
    let mut bytes = std::fs::read(&trained.model).unwrap();
    let pattern: Vec<u8> = words[..8].iter().flat_map(|word| word.to_le_bytes()).collect();
    let place = bytes.windows(32).position(|window| window == pattern).unwrap();
    // A feature that does not exist.
    bytes[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    drop(artifact);
    let corrupt = trained.path("corrupt");
    std::fs::write(&corrupt, bytes).unwrap();
    let sentence = refusal_of(&predict_settings(&corrupt, &data, &trained.path("out.csv"), json!({})));
    assert!(sentence.contains("corrupt") && sentence.contains("tree 0, node 0"), "{sentence}");
}

#[test]
fn leaves_are_those_of_the_kernel_in_parquet_and_csv_and_at_any_partition() {
    let trained = Trained::on("class", json!({"min_samples_leaf": 5}));
    let data = write_example(&trained.path("new.csv"), 5000, "class");
    let outputs = ["leaves.parquet", "leaves.csv"].map(|name| trained.path(name));
    for out in &outputs {
        predict(&predict_settings(&trained.model, &data, out, json!({"leaves": true})));
    }
    let model = super::model::ForestModel::open(Arc::new(Artifact::open(&trained.model).unwrap())).unwrap();
    for tree_idx in [0, 19] {
        let column = format!("tree_{tree_idx}");
        let leaves = numbers(&outputs[0], &column);
        assert_eq!(leaves, numbers(&outputs[1], &column));
        let tree = model.view().tree(tree_idx);
        for (row, &leaf) in example_rows(5000).iter().zip(&leaves) {
            assert_eq!(leaf as usize, walked_leaf(&tree, model.header(), row));
        }
    }
    assert_eq!(TableSource::open(&outputs[..1]).unwrap().schema().fields.len(), 20);
    let again = trained.path("again.parquet");
    let job_dir = tempfile::tempdir().unwrap();
    let settings = predict_settings(&trained.model, &data, &again, json!({"leaves": true}));
    run_chain(&settings, 0, job_dir.path(), &Partition::of(1, 1)).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&outputs[0]).unwrap());
    let both = predict_settings(&trained.model, &data, &trained.path("x.csv"), json!({"leaves": true, "proba": true}));
    let refusal = refusal_of(&both);
    assert!(refusal.starts_with("--leaves: "), "{refusal}");
}

/// The leaf of a row, one decoded node at a time.
fn walked_leaf(tree: &TreeView<'_>, header: &ForestHeader, row: &ExampleRow) -> usize {
    let mut at = 0;
    loop {
        let (goes_left, left, right) = match tree.node(at) {
            DecodedNode::Leaf(_) => return at,
            DecodedNode::Numeric { feature, threshold, default_left, left, right } => {
                (feature_value(row, header, feature).map_or(default_left, |value| value <= threshold), left, right)
            }
            DecodedNode::Categorical { feature, mut levels, default_left, left, right } => {
                let level = feature_value(row, header, feature);
                (level.is_some_and(|level| levels.any(|other| f64::from(other) == level)) != default_left, left, right)
            }
        };
        at = if goes_left { left } else { right };
    }
}
