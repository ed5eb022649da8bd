//! Training as a whole chain: the same bytes at any partition, scores that mean something, and every bad input refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::describe;
use super::example_tables::{FEATURES, example_rows, fact, train, train_settings, write_csv, write_example};
use super::model::{FeatureType, ForestModel, TaskSpec};
use super::target::ClassLabels;
use crate::testing::{Partition, refusal_of, run_chain};
use paceline_common::artifact::{self, Artifact};
use paceline_common::ids::StageIdx;
use paceline_common::job_dir::JobDir;
use paceline_common::view::JobSummary;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn open(path: &Path) -> ForestModel {
    ForestModel::open(Arc::new(Artifact::open(path).unwrap())).unwrap()
}

fn score(summary: &JobSummary, name: &str) -> f64 {
    fact(summary, name).parse().unwrap()
}

/// The whole chain at several partitions gives one hash, and the file has it.
fn check_same_bytes_at_any_partition(target: &str, changes: &serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let data = write_example(&dir.path().join("t.csv"), 700, target);
    let hashes = [Partition::of(1, 1), Partition::of(3, 2), Partition::of(7, 4), Partition::of(1000, 1)].map(|partition| {
        let out = dir.path().join(format!("model-{}-{}", partition.range_len, partition.n_threads));
        let job_dir = tempfile::tempdir().unwrap();
        let summary = run_chain(&train_settings(&data, target, &out, changes.clone()), 5, job_dir.path(), &partition).unwrap();
        let hash = blake3::hash(&std::fs::read(&out).unwrap()).to_hex().to_string();
        assert_eq!(summary.output_hash.as_deref(), Some(hash.as_str()));
        hash
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{target} {changes}: {hashes:?}");
    let other_seed = train(&train_settings(&data, target, &dir.path().join("other"), changes.clone()), 6);
    assert_ne!(other_seed.output_hash.as_ref(), Some(&hashes[0]), "another seed must give another forest");
}

#[test]
fn the_same_bytes_at_any_partition() {
    check_same_bytes_at_any_partition("class", &json!({"oob": true}));
    check_same_bytes_at_any_partition("amount", &json!({"oob": true, "max_features": "all"}));
    check_same_bytes_at_any_partition("class", &json!({"extra_trees": true, "criterion": "entropy", "max_depth": 6}));
    check_same_bytes_at_any_partition(
        "is_top",
        &json!({"no_bootstrap": true, "sample_fraction": 0.5, "oob": true, "categorical": ["zone"]}),
    );
    check_same_bytes_at_any_partition("class", &json!({"class_weight": "balanced", "sample_weight": "count", "max_bins": 7}));
}

/// Rows so long that a few thousand of them are several blocks, which a lease of one item each puts into files of their own.
#[test]
fn a_table_of_several_row_blocks_gives_the_same_bytes_too() {
    const N_FEATURES: u64 = 2100;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("wide.csv");
    let names: Vec<String> = (0..N_FEATURES).map(|feature| format!("f{feature}")).collect();
    let mut text = format!("{},class\n", names.join(","));
    for row in 0..2300_u64 {
        (0..N_FEATURES).for_each(|feature| text.push_str(&format!("{},", row * (feature + 7) / 5 % 200)));
        text.push_str(if row * 13 % 29 < 11 { "a\n" } else { "b\n" });
    }
    std::fs::write(&data, text).unwrap();
    let hashes = [Partition::of(1, 1), Partition::of(1000, 2)].map(|partition| {
        let (job_dir, out) = (tempfile::tempdir().unwrap(), dir.path().join(format!("model-{}", partition.n_threads)));
        let settings = train_settings(&data, "class", &out, json!({"trees": 3, "oob": true}));
        let summary = run_chain(&settings, 5, job_dir.path(), &partition).unwrap();
        assert_eq!(JobDir::new(job_dir.path()).read_manifest(StageIdx(1)).unwrap().n_items, 3, "blocks of 1024 rows");
        summary.output_hash.unwrap()
    });
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn the_out_of_bag_score_tells_what_can_be_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let oob = json!({"oob": true, "trees": 60});
    let data = write_example(&dir.path().join("class.csv"), 2000, "class");
    let summary = train(&train_settings(&data, "class", &dir.path().join("m1"), oob.clone()), 1);
    // A tenth of the labels are drawn at random, a third of those rightly; and a tenth of the rows lack what decides them.
    let accuracy = score(&summary, "out-of-bag accuracy");
    assert!((0.80..0.95).contains(&accuracy), "{summary:?}");
    let data = write_example(&dir.path().join("amount.csv"), 2000, "amount");
    let summary = train(&train_settings(&data, "amount", &dir.path().join("m2"), oob.clone()), 1);
    assert!((0.85..0.999).contains(&score(&summary, "out-of-bag R²")), "{summary:?}");
    // `is_new` depends on nothing: guessing is all there is.
    let data = write_csv(&dir.path().join("noise.csv"), &example_rows(2000), &["size", "count", "color", "is_new"]);
    let summary = train(&train_settings(&data, "is_new", &dir.path().join("m3"), oob), 1);
    assert!((0.45..0.55).contains(&score(&summary, "out-of-bag accuracy")), "{summary:?}");
}

#[test]
fn the_model_says_what_it_learnt_from() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (write_example(&dir.path().join("t.csv"), 500, "class"), dir.path().join("model"));
    let summary = train(&train_settings(&data, "class", &out, json!({"categorical": ["zone"], "exclude": ["is_new"], "oob": true})), 9);
    let model = open(&out);
    let header = model.header();
    assert_eq!((header.n_rows, header.n_trees, header.seed, header.target.as_str()), (500, 20, 9, "class"));
    let labels = ["low", "mid", "top"].map(str::to_owned).to_vec();
    assert_eq!(header.task, TaskSpec::Classification { classes: ClassLabels::Text(labels) });
    let features: Vec<(&str, FeatureType, usize)> =
        header.features.iter().map(|f| (f.name.as_str(), f.feature_type, f.levels.len())).collect();
    let expected = [
        ("size", FeatureType::Float, 0),
        ("count", FeatureType::Integer, 0),
        ("color", FeatureType::Categorical, 5),
        ("day", FeatureType::Date, 0),
        ("zone", FeatureType::Categorical, 4),
    ];
    assert_eq!(features, expected);
    assert_eq!(format!("{:.4}", header.oob_score.unwrap()), fact(&summary, "out-of-bag accuracy"));
    let artifact = Artifact::open(&out).unwrap();
    let importance = artifact.vector::<f64>("feature_importance", Some(5)).unwrap();
    assert!((importance.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(importance[3] < importance[0] && importance[4] < importance[2], "noise matters less than the rule: {importance:?}");
    let described = describe(&artifact).unwrap();
    for (name, part) in
        [("predicts", "class (one of low, mid, top)"), ("feature zone", "categorical (0, 1, 2, 3)"), ("trained on", "500 rows")]
    {
        assert!(described.iter().any(|(fact, value)| fact == name && value.contains(part)), "{name}: {described:?}");
    }
    assert!(!header.settings_json.contains(dir.path().to_str().unwrap()), "no path in the model: {}", header.settings_json);
}

#[test]
fn rows_of_weight_zero_teach_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = example_rows(600);
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class", "1"]).collect();
    let whole = write_csv(&dir.path().join("whole.csv"), &rows, &columns);
    let text = std::fs::read_to_string(&whole).unwrap();
    // The same rows again with labels of nonsense, weighing nothing.
    rows.iter_mut().for_each(|row| row.class = "wrong");
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class", "0"]).collect();
    let nonsense = write_csv(&dir.path().join("nonsense.csv"), &rows, &columns);
    let nonsense = std::fs::read_to_string(nonsense).unwrap();
    let both = dir.path().join("both.csv");
    std::fs::write(&both, text + nonsense.split_once('\n').unwrap().1).unwrap();
    let out = dir.path().join("model");
    train(&train_settings(&both, "class", &out, json!({"sample_weight": "1", "trees": 5})), 3);
    let TaskSpec::Classification { classes } = open(&out).header().task.clone() else { panic!("a classification") };
    assert_eq!(classes.to_texts(), ["low", "mid", "top", "wrong"]);
    let artifact = Artifact::open(&out).unwrap();
    let (words, _, _) = artifact.matrix::<u32>("nodes").unwrap();
    // Class 3 is "wrong"; no leaf may name it.
    assert!(words.chunks_exact(2).all(|node| node[1] != (1 << 31) + 3));
}

#[test]
fn tables_of_several_files_are_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(300);
    let columns: Vec<&str> = FEATURES.into_iter().chain(["class"]).collect();
    let whole = write_csv(&dir.path().join("whole.csv"), &rows, &columns);
    let first = write_csv(&dir.path().join("a.csv"), &rows[..120], &columns);
    let second = write_csv(&dir.path().join("b.csv"), &rows[120..], &columns);
    let one = train(&train_settings(&whole, "class", &dir.path().join("m1"), json!({})), 4);
    let two = train(&train_settings(&whole, "class", &dir.path().join("m2"), json!({"data": [first, second]})), 4);
    assert_eq!(one.output_hash, two.output_hash);
}

#[test]
fn bad_input_is_refused_by_name_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let rows = example_rows(50);
    let all: Vec<&str> = FEATURES.into_iter().chain(["class", "amount", "is_top", "weight", "7"]).collect();
    let table = write_csv(&dir.path().join("t.csv"), &rows, &all);
    let text = std::fs::read_to_string(&table).unwrap();
    let (header, body) = text.split_once('\n').unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let empty = write("empty.csv", &format!("{header}\n"));
    let blank = write("blank.csv", "");
    let odd_rows: Vec<&str> = body.lines().filter(|line| line.contains(",low,")).collect();
    let one_class = write("one-class.csv", &format!("{header}\n{}\n", odd_rows.join("\n")));
    let lone = write("lone.csv", "class\na\nb\n");
    let infinite = write("infinite.csv", "x,y,w\n1,2.5,inf\n2,3.5,1\n");
    let negative = write("negative.csv", "x,y,w\n1,2.5,1\n2,3.5,-1\n");
    let missing_target = write("missing.csv", "x,y\n1,a\n2,\n3,b\n4,NA\n");
    let missing_weight = write("missing-weight.csv", "x,y,w\n1,2.5,1\n2,3.5,\n");
    let cases: Vec<(&Path, &str, serde_json::Value, &[&str])> = vec![
        (Path::new("/nonexistent/t.csv"), "class", json!({}), &["/nonexistent/t.csv"]),
        (dir.path(), "class", json!({"data": []}), &["--data"]),
        (&table, "clas", json!({}), &["clas", "class"]),
        (&table, "class", json!({"exclude": ["siz"]}), &["siz", "size"]),
        (&table, "class", json!({"categorical": ["colour"]}), &["colour", "color"]),
        (&table, "class", json!({"sample_weight": "wait"}), &["wait"]),
        (&table, "class", json!({"sample_weight": "color"}), &["color", "text"]),
        (&table, "class", json!({"exclude": all.iter().filter(|c| **c != "class").collect::<Vec<_>>()}), &["class", "no other column"]),
        (&table, "class", json!({"task": "regression"}), &["class", "text"]),
        (&table, "amount", json!({"task": "classification"}), &["amount", "integers"]),
        (&table, "amount", json!({"criterion": "gini"}), &["--criterion", "amount"]),
        (&table, "amount", json!({"class_weight": "balanced"}), &["--class-weight", "amount"]),
        (&table, "day", json!({}), &["day", "dates"]),
        (&table, "7", json!({}), &["7", "one class only"]),
        (&table, "7", json!({"task": "regression"}), &["7", "every row"]),
        (&table, "class", json!({"trees": 0}), &["--trees"]),
        (&empty, "class", json!({}), &["empty.csv", "row"]),
        (&blank, "class", json!({}), &["blank.csv"]),
        (&one_class, "class", json!({}), &["class", "one class only (low)"]),
        (&lone, "class", json!({}), &["class", "no other column"]),
        (&infinite, "y", json!({"sample_weight": "w"}), &["w: ", "row 1", "inf"]),
        (&negative, "y", json!({"sample_weight": "w"}), &["w: ", "row 2", "-1"]),
        (&missing_target, "y", json!({}), &["y: ", "rows 2, 4"]),
        (&missing_weight, "y", json!({"sample_weight": "w"}), &["w: ", "row 2"]),
        (&table, "class", json!({"out": dir.path().join("no/such/place")}), &["no/such"]),
    ];
    let before: BTreeMap<_, _> = std::fs::read_dir(dir.path()).unwrap().map(|entry| (entry.unwrap().file_name(), ())).collect();
    for (data, target, changes, named) in cases {
        let sentence = refusal_of(&train_settings(data, target, &dir.path().join("model"), changes.clone()));
        assert!(named.iter().all(|part| sentence.contains(part)), "{target} {changes}: {sentence}");
    }
    let after: BTreeMap<_, _> = std::fs::read_dir(dir.path()).unwrap().map(|entry| (entry.unwrap().file_name(), ())).collect();
    assert_eq!(before, after, "nothing half-written may stay");
}

#[test]
fn an_output_that_exists_is_replaced_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (write_example(&dir.path().join("t.csv"), 60, "class"), dir.path().join("model"));
    std::fs::write(&out, "precious").unwrap();
    assert!(refusal_of(&train_settings(&data, "class", &out, json!({}))).contains("--force"));
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    train(&train_settings(&data, "class", &out, json!({"force": true})), 0);
    assert_eq!(open(&out).header().n_trees, 20);
}

/// Changes bytes all over a model: it is refused or used, and never ends the process.
#[test]
fn a_hostile_model_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (write_example(&dir.path().join("t.csv"), 80, "class"), dir.path().join("model"));
    train(&train_settings(&data, "class", &out, json!({"trees": 3})), 0);
    let whole = std::fs::read(&out).unwrap();
    let header_len = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut n_refused = 0;
    let n_rounds = 6000;
    for round in 0..n_rounds {
        let mut draws = paceline_kernels::draws::Draws::new(7, 0, round);
        let mut bytes = whole.clone();
        match round % 4 {
            0 => bytes.truncate(draws.below(whole.len() as u64) as usize),
            1 => (0..3).for_each(|_| bytes[draws.below(header_len as u64) as usize] = draws.below(256) as u8),
            _ => {
                let place = header_len + draws.below((whole.len() - header_len) as u64) as usize;
                bytes[place] = draws.below(256) as u8;
            }
        }
        let Ok(artifact) = Artifact::from_bytes(&out, &bytes) else {
            n_refused += 1;
            continue;
        };
        let _ = describe(&artifact);
        match ForestModel::open(Arc::new(artifact)) {
            Err(failure) => {
                assert!(failure.message.contains("model"), "{failure}");
                n_refused += 1;
            }
            Ok(model) => predict_anything(&model),
        }
    }
    assert!(n_refused > n_rounds / 2, "only {n_refused} of {n_rounds} were refused");
}

fn predict_anything(model: &ForestModel) {
    use paceline_kernels::forest::RawColumn;
    let (numbers, levels) = ([f64::NAN, -1e300, 0.0, f64::INFINITY], [0, 2, 77, u32::MAX]);
    let column = |is_categorical: bool| if is_categorical { RawColumn::Categorical(&levels) } else { RawColumn::Numeric(&numbers) };
    let columns: Vec<_> = model.header().features.iter().map(|feature| column(feature.feature_type.is_categorical())).collect();
    let mut out = vec![0.0; 4 * model.view().n_outputs()];
    model.view().predict(&columns, &mut out).unwrap();
}

#[test]
fn another_kind_or_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("factors");
    artifact::write(&path, "factors", 1, &BTreeMap::new(), &[]).unwrap();
    let refusal = |path: &Path| match ForestModel::open(Arc::new(Artifact::open(path).unwrap())) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(failure) => failure.message,
    };
    assert!(refusal(&path).contains("is factors, where forest is needed"));
    artifact::write(&path, super::KIND, 99, &BTreeMap::new(), &[]).unwrap();
    assert!(refusal(&path).contains("version 99"));
    artifact::write(&path, super::KIND, super::model::VERSION, &BTreeMap::new(), &[]).unwrap();
    assert!(refusal(&path).contains("no metadata entry task"));
}
