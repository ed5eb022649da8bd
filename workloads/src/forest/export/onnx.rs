//! The forest as an ONNX model: the operator TreeEnsemble sums the leaves, the sum is divided by the number of trees, and for a
//! classification the largest share is looked up among the labels. Everything is computed in double precision. It must not know
//! how trees become the operator's attributes.

use super::ExportedForest;
use super::onnx_messages::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::tree_ensemble::{MAX_MODEL_BYTES, TreeEnsemble};
use crate::forest::model::TaskSpec;
use crate::forest::target::ClassLabels;
use prost::Message;

/// The oldest version of the file format and of the plain operators that have all that is used here.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
/// The first version with TreeEnsemble, which sums in double precision and knows sets of levels.
const ML_OPSET: i64 = 5;
const ML_DOMAIN: &str = "ai.onnx.ml";

/// Names of the model's input and outputs, and of what flows between.
const FEATURES: &str = "features";
const PREDICTION: &str = "prediction";
const PROBABILITIES: &str = "probabilities";
const N_TREES: &str = "n_trees";
const CLASSES: &str = "classes";

/// The file's bytes; a sentence's end where the forest is too large for one.
pub(super) fn encoded(forest: &ExportedForest<'_>) -> Result<Vec<u8>, String> {
    let too_large = || {
        let limit = "the 2 GiB that an ONNX file can have";
        format!("is larger in ONNX than {limit}; train fewer or smaller trees, or export with --format json or --format arrays")
    };
    let mut trees = TreeEnsemble::default();
    (0..forest.view.n_trees()).try_for_each(|tree| trees.push(&forest.view.tree(tree))).ok_or_else(too_large)?;
    let header = serde_json::to_string(&forest.header).map_err(|e| format!("its header cannot be written: {e}"))?;
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.to_owned(), version };
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: "paceline".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph(forest, trees)),
        opset_import: vec![opset("", OPSET), opset(ML_DOMAIN, ML_OPSET)],
        metadata_props: vec![StringStringEntryProto { key: "paceline.header".to_owned(), value: header }],
    };
    if model.encoded_len() > MAX_MODEL_BYTES { Err(too_large()) } else { Ok(model.encode_to_vec()) }
}

fn graph(forest: &ExportedForest<'_>, trees: TreeEnsemble) -> GraphProto {
    let n_outputs = forest.view.n_outputs();
    let n_trees = tensor(N_TREES, DataType::Double, &[], le_bytes(&[forest.view.n_trees() as f64], f64::to_le_bytes));
    let input = vec![value(FEATURES, DataType::Double, &[forest.view.n_features()])];
    let sum = tree_ensemble(trees, n_outputs);
    match &forest.model.task {
        TaskSpec::Regression => {
            let first_axis = tensor("axes", DataType::Int64, &[1], le_bytes(&[1], i64::to_le_bytes));
            GraphProto {
                name: forest.model.target.clone(),
                node: vec![sum, node("Div", &["sums", N_TREES], "means", vec![]), node("Squeeze", &["means", "axes"], PREDICTION, vec![])],
                initializer: vec![n_trees, first_axis],
                input,
                output: vec![value(PREDICTION, DataType::Double, &[])],
            }
        }
        TaskSpec::Classification { classes } => GraphProto {
            name: forest.model.target.clone(),
            node: vec![
                sum,
                node("Div", &["sums", N_TREES], PROBABILITIES, vec![]),
                // Of equal shares the first is taken, as everywhere else.
                node("ArgMax", &[PROBABILITIES], "class_idx", vec![int("axis", 1), int("keepdims", 0)]),
                node("Gather", &[CLASSES, "class_idx"], PREDICTION, vec![]),
            ],
            initializer: vec![n_trees, labels(classes)],
            input,
            output: vec![
                value(PREDICTION, DataType::try_from(labels(classes).data_type).unwrap_or_default(), &[]),
                value(PROBABILITIES, DataType::Double, &[n_outputs]),
            ],
        },
    }
}

fn tree_ensemble(trees: TreeEnsemble, n_targets: usize) -> NodeProto {
    let doubles = |name: &str, values: &[f64]| tensor_attribute(name, DataType::Double, values.len(), le_bytes(values, f64::to_le_bytes));
    let mut attributes = vec![
        int("n_targets", n_targets as i64),
        ints("tree_roots", trees.tree_roots),
        ints("nodes_featureids", trees.nodes_featureids),
        ints("nodes_truenodeids", trees.nodes_truenodeids),
        ints("nodes_trueleafs", trees.nodes_trueleafs),
        ints("nodes_falsenodeids", trees.nodes_falsenodeids),
        ints("nodes_falseleafs", trees.nodes_falseleafs),
        ints("nodes_missing_value_tracks_true", trees.nodes_missing_value_tracks_true),
        ints("leaf_targetids", trees.leaf_targetids),
        doubles("nodes_splits", &trees.nodes_splits),
        doubles("leaf_weights", &trees.leaf_weights),
        tensor_attribute("nodes_modes", DataType::Uint8, trees.nodes_modes.len(), trees.nodes_modes),
    ];
    if !trees.membership_values.is_empty() {
        attributes.push(doubles("membership_values", &trees.membership_values));
    }
    NodeProto { domain: ML_DOMAIN.to_owned(), ..node("TreeEnsemble", &[FEATURES], "sums", attributes) }
}

/// The labels in the order of the classes, of the type that the target column had.
fn labels(classes: &ClassLabels) -> TensorProto {
    match classes {
        ClassLabels::Text(labels) => TensorProto {
            string_data: labels.iter().map(|label| label.clone().into_bytes()).collect(),
            raw_data: None,
            ..tensor(CLASSES, DataType::String, &[labels.len()], vec![])
        },
        ClassLabels::Integer(labels) => tensor(CLASSES, DataType::Int64, &[labels.len()], le_bytes(labels, i64::to_le_bytes)),
        ClassLabels::Bool(labels) => {
            tensor(CLASSES, DataType::Bool, &[labels.len()], labels.iter().map(|&label| u8::from(label)).collect())
        }
    }
}

fn le_bytes<T: Copy, const N: usize>(values: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| to_bytes(value)).collect()
}

fn tensor(name: &str, data_type: DataType, shape: &[usize], raw_data: Vec<u8>) -> TensorProto {
    let dims = shape.iter().map(|&n| n as i64).collect();
    TensorProto { dims, data_type: data_type.into(), string_data: vec![], name: name.to_owned(), raw_data: Some(raw_data) }
}

/// An input or output of `shape` per row.
fn value(name: &str, data_type: DataType, shape: &[usize]) -> ValueInfoProto {
    let rows = DimensionProto { dim_value: None, dim_param: Some("rows".to_owned()) };
    let fixed = shape.iter().map(|&n| DimensionProto { dim_value: Some(n as i64), dim_param: None });
    let shape = TensorShapeProto { dim: std::iter::once(rows).chain(fixed).collect() };
    let tensor_type = TensorTypeProto { elem_type: data_type.into(), shape: Some(shape) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A node of one output, which also names it.
fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: input.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: output.to_owned(),
        op_type: op_type.to_owned(),
        attribute,
        domain: String::new(),
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto { ints: values, ..attribute(name, AttributeType::Ints) }
}

fn tensor_attribute(name: &str, data_type: DataType, len: usize, raw_data: Vec<u8>) -> AttributeProto {
    AttributeProto { t: Some(tensor(name, data_type, &[len], raw_data)), ..attribute(name, AttributeType::Tensor) }
}

fn attribute(name: &str, attribute_type: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: attribute_type.into(), ..AttributeProto::default() }
}
