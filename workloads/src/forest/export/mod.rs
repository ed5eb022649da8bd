//! A forest in the forms of other programs: JSON, the arrays of scikit-learn, ONNX. Described in `docs/model-export.md`. This room
//! writes what the kernels decode, and must not know how nodes are stored.

mod arrays;
pub(super) mod header;
mod json;
mod onnx;
mod onnx_messages;
mod tree_ensemble;

#[cfg(test)]
mod tests;

use self::header::ExportHeader;
use super::model::{ForestHeader, ForestModel};
use crate::publish;
use paceline_common::artifact::Artifact;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::files;
use paceline_common::job::{InputIdentity, OutputPlan};
use paceline_kernels::forest::ForestView;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// The forms that a forest can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// One JSON document with every node of every tree.
    Json,
    /// An ONNX model, for ONNX Runtime and others.
    Onnx,
    /// A NumPy .npz file with the arrays of scikit-learn's trees.
    Arrays,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// In which form.
    pub format: ExportFormat,
    /// Trees.
    pub n_trees: usize,
    /// Inner nodes and leaves of all of them.
    pub n_nodes: usize,
    /// Length of the file in bytes.
    pub size_bytes: u64,
}

/// A forest with everything that an export tells of it.
struct ExportedForest<'a> {
    model: &'a ForestHeader,
    /// What is written of it before the trees.
    header: ExportHeader<'a>,
    view: &'a ForestView<'a>,
}

impl ExportedForest<'_> {
    fn n_nodes(&self) -> usize {
        (0..self.view.n_trees()).map(|tree| self.view.tree(tree).n_nodes()).sum()
    }
}

/// Writes the forest at `model` in another form. The output appears whole or not at all.
///
/// # Errors
/// A model that is no sound forest, or that the format cannot hold; an output that exists already or cannot be written.
pub fn export(model: &Path, format: ExportFormat, output: &OutputPlan) -> Result<Exported, Refusal> {
    let artifact = Arc::new(Artifact::open(model)?);
    let model = ForestModel::open(Arc::clone(&artifact))?;
    let importance = artifact.vector::<f64>("feature_importance", Some(model.header().features.len()))?;
    let header = ExportHeader::of(model.header(), importance).map_err(|why| artifact.refuse(&why))?;
    let forest = ExportedForest { model: model.header(), header, view: model.view() };
    publish::check_output(output, &[InputIdentity::of(artifact.path())?])?;
    let size_bytes = match format {
        ExportFormat::Json => staged(output, |file| json::write(&forest, file))?,
        ExportFormat::Arrays => {
            arrays::check(&forest).map_err(|why| artifact.refuse(&why))?;
            staged(output, |file| arrays::write(&forest, file))?
        }
        ExportFormat::Onnx => {
            let bytes = onnx::encoded(&forest).map_err(|why| artifact.refuse(&why))?;
            staged(output, |file| file.write_all(&bytes))?
        }
    };
    Ok(Exported { format, n_trees: forest.view.n_trees(), n_nodes: forest.n_nodes(), size_bytes })
}

/// Has the output written beside its place, makes it durable and renames it. Returns its length in bytes.
fn staged(output: &OutputPlan, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<u64, Failure> {
    let fail = |e: io::Error| Failure::from_io("write", &output.path, &e);
    let directory = output.path.parent().unwrap_or(Path::new("."));
    let mut prefix = OsString::from(".");
    prefix.push(output.path.file_name().unwrap_or_default());
    prefix.push(".");
    // The usual permissions of a new file: the process's mask takes off what it must.
    let permissions = Permissions::from_mode(0o666);
    let staging = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").permissions(permissions).tempfile_in(directory).map_err(fail)?;
    let (file, staging) = staging.into_parts();
    let mut file = BufWriter::with_capacity(1 << 20, file);
    write(&mut file).and_then(|()| file.flush()).map_err(fail)?;
    file.get_ref().sync_all().map_err(fail)?;
    let size_bytes = file.get_ref().metadata().map_err(fail)?.len();
    if output.force {
        staging.persist(&output.path).map_err(|e| fail(e.error))?;
    } else {
        staging.persist_noclobber(&output.path).map_err(|e| taken_or(fail, output, e.error))?;
    }
    files::sync_parent(&output.path)?;
    Ok(size_bytes)
}

fn taken_or(fail: impl Fn(io::Error) -> Failure, output: &OutputPlan, error: io::Error) -> Failure {
    if error.kind() != io::ErrorKind::AlreadyExists {
        return fail(error);
    }
    Failure::bad_input(format!("{}: has appeared in the meantime; name another output, or replace it with --force", output.path.display()))
}
