//! `paceline model show` and `paceline model export`: they need no coordinator, only the file.

use crate::args::job::ModelCommand;
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::model::{self, ModelView};
use crate::render::stream;
use paceline_common::artifact::{Artifact, KIND_KEY};
use paceline_common::job::OutputPlan;
use paceline_workloads::forest::{self, export, export::ExportFormat};
use paceline_workloads::recommend;
use std::path::Path;
use std::process::ExitCode;

/// Carries out a command on a model file.
///
/// # Errors
/// A file that cannot be read, is malformed or cannot be exported; an output that cannot be written.
pub fn run(command: ModelCommand) -> Result<ExitCode, CliError> {
    match command {
        ModelCommand::Show { file, output } => show(&file, output.format),
        ModelCommand::Export { model, form, out, force, output } => {
            let path = std::path::absolute(&out)
                .map_err(|e| CliError::BadInput(format!("{}: is not the path of a file: {e}; name one", out.display())))?;
            export(&model, form, &OutputPlan { path, force, beside: vec![] }, output.format)
        }
    }
}

/// Shows what an artifact holds.
fn show(file: &Path, format: OutputFormat) -> Result<ExitCode, CliError> {
    let artifact = Artifact::open(file)?;
    let (facts, forest) = match artifact.metadata().get(KIND_KEY).map(String::as_str) {
        Some(forest::KIND) => (forest::describe(&artifact)?, Some(forest::details(&artifact)?)),
        _ => (recommend::describe(&artifact), None),
    };
    let view = ModelView::new(&artifact, facts, forest);
    match format {
        OutputFormat::Json => stream::say_json(&view)?,
        OutputFormat::Quiet => stream::say(view.kind.as_deref().unwrap_or("safetensors"))?,
        OutputFormat::Table => stream::say(&model::text(&view))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn export(model: &Path, format: ExportFormat, output: &OutputPlan, shown: OutputFormat) -> Result<ExitCode, CliError> {
    let exported = export::export(model, format, output)?;
    match shown {
        OutputFormat::Json => stream::say_json(&exported)?,
        OutputFormat::Quiet => {}
        OutputFormat::Table => stream::say(&model::export_text(&output.path, &exported))?,
    }
    Ok(ExitCode::SUCCESS)
}
