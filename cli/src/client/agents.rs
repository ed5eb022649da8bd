//! `paceline agents`: the listing.

use super::connect::connect;
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::{agents, stream};
use std::path::PathBuf;
use std::process::ExitCode;

/// Lists agents.
///
/// # Errors
/// What the connection or standard output brings.
pub async fn list(cluster: Option<PathBuf>, format: OutputFormat) -> Result<ExitCode, CliError> {
    let listed = connect(cluster).await?.agents().await?;
    match format {
        OutputFormat::Json => stream::say_json(&listed)?,
        OutputFormat::Quiet => stream::say(&listed.iter().map(|view| format!("{}\n", view.agent)).collect::<String>())?,
        OutputFormat::Table => {
            stream::say(&agents::table(&listed, stream::output_has_colours()))?;
            if listed.is_empty() {
                stream::tell("no agents; start one on each node with `paceline agent start`");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
