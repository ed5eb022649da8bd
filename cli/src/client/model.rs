//! `paceline model show`: needs no coordinator, only the file.

use crate::args::job::ModelCommand;
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::model::{self, ModelView};
use crate::render::stream;
use paceline_common::artifact::{Artifact, KIND_KEY};
use paceline_common::failure::Failure;
use paceline_workloads::forest;
use std::process::ExitCode;

/// Shows what an artifact holds.
///
/// # Errors
/// A file that cannot be read or is malformed.
pub fn run(command: ModelCommand) -> Result<ExitCode, CliError> {
    let ModelCommand::Show { file, output } = command;
    let artifact = Artifact::open(&file)?;
    let view = ModelView::new(&artifact, facts(&artifact)?);
    match output.format {
        OutputFormat::Json => stream::say_json(&view)?,
        OutputFormat::Quiet => stream::say(view.kind.as_deref().unwrap_or("safetensors"))?,
        OutputFormat::Table => stream::say(&model::text(&view))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the workload that made the artifact says of it; nothing for a file of another program.
fn facts(artifact: &Artifact) -> Result<Vec<(String, String)>, Failure> {
    match artifact.metadata().get(KIND_KEY).map(String::as_str) {
        Some(forest::KIND) => forest::describe(artifact),
        _ => Ok(factor_model_facts(artifact)),
    }
}

/// Factor models come from other programs and are known by their arrays alone.
fn factor_model_facts(artifact: &Artifact) -> Vec<(String, String)> {
    let shape = |name: &str| artifact.arrays().get(name).map(|info| info.shape.as_slice());
    let (Some(&[n_users, n_factors]), Some(&[n_items, _])) = (shape("user_factors"), shape("item_factors")) else { return Vec::new() };
    let facts = [("model", "factors, for `recommend`".to_owned()), ("users", n_users.to_string()), ("items", n_items.to_string())];
    let facts = facts.into_iter().chain([("factors", n_factors.to_string())]);
    facts.map(|(name, value)| (name.to_owned(), value)).collect()
}
