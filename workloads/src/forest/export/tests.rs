//! Exports held against the predictions of the kernels: the JSON document walked, the operator's attributes evaluated by its
//! definition; and what happens where an output cannot be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::onnx_messages::ModelProto;
use super::tree_ensemble::TreeEnsemble;
use super::{ExportFormat, export};
use crate::forest::example_tables::Trained;
use crate::forest::model::ForestModel;
use paceline_common::artifact::Artifact;
use paceline_common::job::OutputPlan;
use paceline_kernels::draws::Draws;
use paceline_kernels::forest::RawColumn;
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;

impl Trained {
    fn open(&self) -> ForestModel {
        ForestModel::open(Arc::new(Artifact::open(&self.model).unwrap())).unwrap()
    }

    fn output(&self, name: &str) -> OutputPlan {
        OutputPlan { path: self.path(name), force: false, beside: vec![] }
    }

    fn exported(&self, format: ExportFormat) -> Vec<u8> {
        let output = self.output("exported");
        let exported = export(&self.model, format, &OutputPlan { force: true, ..output.clone() }).unwrap();
        let bytes = std::fs::read(&output.path).unwrap();
        assert_eq!(exported.size_bytes, bytes.len() as u64);
        bytes
    }
}

/// Rows of the example's features as numbers and levels; NaN is a missing value or a level that training never saw.
fn rows(model: &ForestModel, n_rows: u64) -> Vec<Vec<f64>> {
    let value = |draws: &mut Draws, levels: &[String]| match (draws.below(10), levels.len() as u64) {
        (0, _) => f64::NAN,
        (_, 0) => draws.unit_f64() * 20.0,
        (_, n_levels) => draws.below(n_levels) as f64,
    };
    let row = |i| {
        let mut draws = Draws::new(7, 7, i);
        model.header().features.iter().map(|feature| value(&mut draws, &feature.levels)).collect()
    };
    (0..n_rows).map(row).collect()
}

fn predicted(model: &ForestModel, row: &[f64]) -> Vec<f64> {
    let levels: Vec<u32> = row.iter().map(|&value| if value.is_nan() { u32::MAX } else { value as u32 }).collect();
    let columns = model.header().features.iter().zip(row.iter().zip(&levels)).map(|(feature, (value, level))| {
        if feature.feature_type.is_categorical() {
            RawColumn::Categorical(std::slice::from_ref(level))
        } else {
            RawColumn::Numeric(std::slice::from_ref(value))
        }
    });
    let mut out = vec![0.0; model.view().n_outputs()];
    model.view().predict(&columns.collect::<Vec<_>>(), &mut out).unwrap();
    out
}

/// The prediction by the document alone.
fn walked(document: &Value, row: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; document["classes"].as_array().map_or(1, Vec::len)];
    let trees = document["trees"].as_array().unwrap();
    for tree in trees {
        let mut node = &tree[0];
        while let Some(feature) = node["feature"].as_u64() {
            let (value, missing_left) = (row[feature as usize], node["missing_left"].as_bool().unwrap());
            let goes_left = match node["levels"].as_array() {
                _ if value.is_nan() => missing_left,
                Some(levels) => levels.contains(&json!(value as u64)) != missing_left,
                // JSON has no infinite number: it is a text, and one that Rust reads too.
                None => value <= node["threshold"].as_f64().unwrap_or_else(|| node["threshold"].as_str().unwrap().parse().unwrap()),
            };
            node = &tree[node[if goes_left { "left" } else { "right" }].as_u64().unwrap() as usize];
        }
        match (node["class"].as_u64(), node["shares"].as_array()) {
            (Some(class), _) => sums[class as usize] += 1.0,
            (_, Some(shares)) => sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share.as_f64().unwrap()),
            _ => sums[0] += node["mean"].as_f64().unwrap(),
        }
    }
    sums.iter().map(|sum| sum / trees.len() as f64).collect()
}

/// The operator's sums by its definition.
fn summed(trees: &TreeEnsemble, n_targets: usize, row: &[f64]) -> Vec<f64> {
    let sets: Vec<&[f64]> = trees.membership_values.split(|member| member.is_nan()).collect();
    let set_of = |node: usize| sets[trees.nodes_modes[..node].iter().filter(|&&mode| mode == 6).count()];
    let mut sums = vec![0.0; n_targets];
    for &root in &trees.tree_roots {
        let (mut at, mut is_leaf) = (root as usize, false);
        while !is_leaf {
            let value = row[trees.nodes_featureids[at] as usize];
            let is_true = match trees.nodes_modes[at] {
                _ if value.is_nan() => trees.nodes_missing_value_tracks_true[at] == 1,
                0 => value <= trees.nodes_splits[at],
                6 => set_of(at).contains(&value),
                mode => panic!("mode {mode}"),
            };
            let (next, leaf) = if is_true {
                (trees.nodes_truenodeids[at], trees.nodes_trueleafs[at])
            } else {
                (trees.nodes_falsenodeids[at], trees.nodes_falseleafs[at])
            };
            (at, is_leaf) = (next as usize, leaf == 1);
        }
        sums[trees.leaf_targetids[at] as usize] += trees.leaf_weights[at];
    }
    sums
}

fn forests() -> [Trained; 4] {
    [
        Trained::on("class", json!({})),
        // Mixed leaves, and so trees in several layers.
        Trained::on("class", json!({"min_samples_leaf": 25, "categorical": ["zone"]})),
        // Trees that are one leaf.
        Trained::on("is_top", json!({"min_samples_leaf": 600})),
        Trained::on("amount", json!({"min_samples_leaf": 5})),
    ]
}

#[test]
fn the_document_walked_predicts_the_same() {
    for trained in forests() {
        let model = trained.open();
        let document: Value = serde_json::from_slice(&trained.exported(ExportFormat::Json)).unwrap();
        for row in rows(&model, 200) {
            // The reader used here may miss a decimal's nearest double by one; tests/parity holds equality to the last bit.
            let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-14 * b.abs();
            let (walked, predicted) = (walked(&document, &row), predicted(&model, &row));
            assert!(walked.len() == predicted.len() && walked.iter().zip(&predicted).all(is_close), "{row:?}: {walked:?}, {predicted:?}");
        }
        assert_eq!(document["features"][2]["levels"], json!(["amber", "blue", "coral", "denim", "ecru"]));
        assert_eq!(document["settings"]["trees"], 20);
    }
}

#[test]
fn the_operator_by_its_definition_predicts_the_same() {
    let (mut n_roots, mut n_separators) = (vec![], 0);
    for trained in forests() {
        let model = trained.open();
        let mut trees = TreeEnsemble::default();
        (0..model.view().n_trees()).for_each(|tree| trees.push(&model.view().tree(tree)).unwrap());
        for row in rows(&model, 200) {
            let means: Vec<f64> = summed(&trees, model.view().n_outputs(), &row).iter().map(|sum| sum / 20.0).collect();
            assert_eq!(means, predicted(&model, &row), "{row:?}");
        }
        // ONNX Runtime could take two such splits for one.
        let leads_on = |node: &usize| trees.nodes_falseleafs[*node] == 0;
        for node in (0..trees.nodes_modes.len()).filter(|&node| trees.nodes_modes[node] == 6).filter(leads_on) {
            let next = trees.nodes_falsenodeids[node] as usize;
            assert!(trees.nodes_modes[next] != 6 || trees.nodes_featureids[next] != trees.nodes_featureids[node]);
            n_separators += usize::from(trees.nodes_splits[next] == -1.0);
        }
        n_roots.push(trees.tree_roots.len());
        let file = ModelProto::decode(trained.exported(ExportFormat::Onnx).as_slice()).unwrap();
        let written = &file.graph.unwrap().node[0];
        assert_eq!(written.op_type, "TreeEnsemble");
        assert_eq!(written.attribute.iter().find(|attribute| attribute.name == "tree_roots").unwrap().ints, trees.tree_roots);
    }
    assert!(n_roots[1] > 20 && n_roots[3] == 20, "{n_roots:?}");
    assert!(n_separators > 0, "no two splits on the same category follow one another, so nothing was tested");
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let trained = Trained::on("amount", json!({"exclude": ["color"]}));
    for format in [ExportFormat::Json, ExportFormat::Onnx, ExportFormat::Arrays] {
        assert_eq!(trained.exported(format), trained.exported(format), "{format:?}");
    }
}

#[test]
fn arrays_refuse_categories_by_name() {
    let trained = Trained::on("class", json!({}));
    let refusal = export(&trained.model, ExportFormat::Arrays, &trained.output("trees.npz")).unwrap_err();
    assert!(refusal.message.contains("feature color is categorical"), "{}", refusal.message);
    assert!(!trained.output("trees.npz").path.exists());
}

#[test]
fn what_stands_already_is_replaced_by_force_only_and_nothing_is_left_behind() {
    let trained = Trained::on("amount", json!({}));
    let output = trained.output("forest.json");
    std::fs::write(&output.path, "mine").unwrap();
    let refusal = export(&trained.model, ExportFormat::Json, &output).unwrap_err();
    assert!(refusal.message.contains("exists already"), "{}", refusal.message);
    assert_eq!(std::fs::read(&output.path).unwrap(), b"mine");
    export(&trained.model, ExportFormat::Json, &OutputPlan { force: true, ..output.clone() }).unwrap();
    assert!(std::fs::read(&output.path).unwrap().len() > 1000);
    let mut names: Vec<_> = std::fs::read_dir(trained.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["forest.json", "model", "train.csv"]);
    let elsewhere = OutputPlan { path: trained.dir.path().join("none/forest.json"), force: false, beside: vec![] };
    let refusal = export(&trained.model, ExportFormat::Json, &elsewhere).unwrap_err();
    assert!(refusal.message.contains("does not exist"), "{}", refusal.message);
    let refusal = export(&trained.dir.path().join("train.csv"), ExportFormat::Json, &trained.output("x")).unwrap_err();
    assert!(refusal.message.contains("train.csv"), "{}", refusal.message);
}
