//! `paceline submit`: hand a job in, print its number, and wait for it where that is asked for.

use super::connect::connect;
use super::watch::{self, Place};
use crate::args::output::OutputFormat;
use crate::args::submit::{SubmitArgs, request_of};
use crate::exit::{self, CliError};
use crate::render::progress::Progress;
use crate::render::stream;
use std::path::PathBuf;
use std::process::ExitCode;

/// Submits a job.
///
/// # Errors
/// A refused job, an unreachable coordinator; with --wait every end of the job but success.
pub async fn submit(cluster: Option<PathBuf>, args: SubmitArgs) -> Result<ExitCode, CliError> {
    let format = args.output.format;
    let request = request_of(args.workload, args.terms, args.share)?;
    let client = connect(cluster).await?;
    let job = client.submit(request).await?;
    // Only one JSON document may be printed, and that comes when everything is known.
    if format != OutputFormat::Json {
        stream::say(&job.to_string())?;
    }
    if !args.wait && !args.progress {
        if format == OutputFormat::Json {
            stream::say_json(&client.job(job).await?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let progress = if args.progress { Progress::shown() } else { Progress::silent() };
    watch::until_over_or_stopped(&client, job, progress).await?;
    let detail = client.job(job).await?;
    exit::of_job(watch::tell_endings(&[detail], true, format, Place::Errors)?)
}
