//! The first stage of training: every item reads one column, checks it, and yields it in the form in which the later stages use
//! it in place. It must not know trees.

use super::choices::TaskChoice;
use super::layout::{ColumnLayout, ColumnRole, FeatureColumn};
use super::model::{FeatureSpec, FeatureType};
use super::settings::TrainSettings;
use super::target::{self, ClassLabels, Target};
use crate::packed::{self, Packed};
use crate::table::{Column, TableSource, TextColumn};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::ItemOutputs;
use paceline_common::range::ItemRange;
use paceline_kernels::forest::{BinCodes, Codes, NumericBins, encode_levels};
use serde::{Deserialize, Serialize};

/// What an item of this stage holds, beside its arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ColumnFacts {
    /// Arrays: `codes`, and `thresholds` where the feature is numeric.
    Feature { spec: FeatureSpec, code_width_bytes: usize, largest_code: u16, hash: String },
    /// Array: `classes`, u32.
    Classes { labels: ClassLabels, hash: String },
    /// Array: `values`, f64.
    Values { hash: String },
    /// Array: `weights`, f64.
    Weights { hash: String },
}

/// The stage, opened: the tables are parsed once for all columns.
pub(super) struct ColumnsTask {
    pub(super) source: TableSource,
    pub(super) layout: ColumnLayout,
    pub(super) task: Option<TaskChoice>,
    pub(super) max_bins: usize,
}

impl ColumnsTask {
    pub(super) fn open(settings: &TrainSettings) -> Result<Self, Failure> {
        let source = TableSource::open(&settings.data)?;
        let layout = ColumnLayout::of(settings, &source)?;
        Ok(Self { source, layout, task: settings.task, max_bins: settings.max_bins() as usize })
    }

    fn pack_item(&self, item: u64) -> Result<Vec<u8>, Failure> {
        match self.layout.role(item) {
            Some(ColumnRole::Target(name)) => pack_target(&target::target_of(name, &*self.source.read_column(name)?, self.task)?),
            Some(ColumnRole::Weight(name)) => {
                let weights = target::weights_of(name, &*self.source.read_column(name)?)?;
                packed::pack(
                    &ColumnFacts::Weights { hash: hash_of(&[bytemuck::cast_slice(&weights)]) },
                    &[NewArray::vector("weights", &weights)],
                )
            }
            Some(ColumnRole::Feature(feature)) => pack_feature(feature, &*self.read_feature(feature)?, self.max_bins),
            None => Err(Failure::bad_input(format!("there is no column {item} to read"))),
        }
    }

    fn read_feature(&self, feature: &FeatureColumn) -> Result<std::sync::Arc<Column>, Failure> {
        if feature.is_forced_categorical { self.source.read_column_as_text(&feature.name) } else { self.source.read_column(&feature.name) }
    }
}

impl StageTask for ColumnsTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        for item in block.start..block.end {
            outputs.push_owned(self.pack_item(item).map_err(|failure| ItemFailure { item, failure })?);
        }
        Ok(())
    }
}

fn pack_target(target: &Target) -> Result<Vec<u8>, Failure> {
    match target {
        Target::Classes { labels, codes } => {
            let hash = hash_of(&[labels.to_texts().join("\0").as_bytes(), bytemuck::cast_slice(codes)]);
            packed::pack(&ColumnFacts::Classes { labels: labels.clone(), hash }, &[NewArray::vector("classes", codes)])
        }
        Target::Values(values) => {
            let hash = hash_of(&[bytemuck::cast_slice(values)]);
            packed::pack(&ColumnFacts::Values { hash }, &[NewArray::vector("values", values)])
        }
    }
}

fn pack_feature(feature: &FeatureColumn, column: &Column, max_bins: usize) -> Result<Vec<u8>, Failure> {
    let refuse = |e: paceline_kernels::forest::ForestError| Failure::bad_input(format!("{}: {e}", feature.name));
    match column {
        Column::Numeric(numeric) => {
            let bins = NumericBins::fit(&numeric.values, max_bins).map_err(refuse)?;
            let spec = FeatureSpec { name: feature.name.clone(), feature_type: FeatureType::of(numeric.kind), levels: vec![] };
            pack_codes(spec, &bins.encode(&numeric.values), bins.thresholds())
        }
        Column::Text(TextColumn { codes, levels }) => {
            let codes = encode_levels(codes, levels.len()).map_err(refuse)?;
            let spec = FeatureSpec { name: feature.name.clone(), feature_type: FeatureType::Categorical, levels: levels.clone() };
            pack_codes(spec, &codes, &[])
        }
    }
}

fn pack_codes(spec: FeatureSpec, codes: &BinCodes, thresholds: &[f64]) -> Result<Vec<u8>, Failure> {
    let largest_code = codes.as_codes().largest();
    let (codes, code_bytes, code_width_bytes): (_, &[u8], _) = match codes {
        BinCodes::U8(codes) => (NewArray::vector("codes", codes), codes, 1),
        BinCodes::U16(codes) => (NewArray::vector("codes", codes), bytemuck::cast_slice(codes), 2),
    };
    let hash = hash_of(&[spec.levels.join("\0").as_bytes(), code_bytes, bytemuck::cast_slice(thresholds)]);
    let facts = ColumnFacts::Feature { spec, code_width_bytes, largest_code, hash };
    packed::pack(&facts, &[codes, NewArray::vector("thresholds", thresholds)])
}

/// How many hex digits of a hash tell one column from another: 64 bits, against chance and not against malice.
const N_HASH_DIGITS: usize = 16;

/// What tells the contents of a column from others.
fn hash_of(contents: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for bytes in contents {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().to_hex()[..N_HASH_DIGITS].to_owned()
}

/// The bin codes of a packed feature, in place.
pub(super) fn codes_of<'a>(packed: &Packed<'a>, code_width_bytes: usize) -> Result<Codes<'a>, Failure> {
    if code_width_bytes == 1 { packed.array("codes").map(Codes::U8) } else { packed.array("codes").map(Codes::U16) }
}
