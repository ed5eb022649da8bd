//! `paceline jobs`: the listing.

use super::connect::connect;
use super::select::is_active;
use crate::args::job::JobsArgs;
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::{jobs, stream};
use paceline_common::view::JobView;
use std::path::PathBuf;
use std::process::ExitCode;

/// Lists jobs.
///
/// # Errors
/// What the connection or standard output brings.
pub async fn list(cluster: Option<PathBuf>, args: JobsArgs) -> Result<ExitCode, CliError> {
    let all = connect(cluster).await?.jobs().await?;
    let n_all = all.len();
    let listed: Vec<JobView> = all.into_iter().filter(|view| args.all || is_active(view)).collect();
    match args.output.format {
        OutputFormat::Json => stream::say_json(&listed)?,
        OutputFormat::Quiet => stream::say(&listed.iter().map(|view| format!("{}\n", view.job)).collect::<String>())?,
        OutputFormat::Table => {
            if !listed.is_empty() {
                stream::say(&jobs::table(&listed, stream::output_has_colours()))?;
            }
            // On standard error, so that a script that cuts columns never meets it.
            if let Some(hint) = jobs::hint(listed.len(), n_all - listed.len()) {
                stream::tell(&hint);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
