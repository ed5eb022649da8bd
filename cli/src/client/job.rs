//! `paceline job …` and `paceline progress`: whatever is done with jobs that are named by a selector.

use super::connect::connect;
use super::select::{is_active, resolve};
use super::watch::{self, Place};
use crate::args::job::{JobCommand, ProgressArgs, SelectedJobs};
use crate::args::output::OutputFormat;
use crate::exit::{self, CliError};
use crate::render::progress::Progress;
use crate::render::progress_line::state;
use crate::render::{job, stream};
use crate::selector::Selector;
use paceline_common::ids::JobId;
use paceline_common::view::{JobState, JobView};
use paceline_wire::client::Client;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Does what is asked with the jobs that are named.
///
/// # Errors
/// A job that is not known or cannot be treated so; what the connection brings; for `wait` every end but success.
pub async fn run(cluster: Option<PathBuf>, command: JobCommand) -> Result<ExitCode, CliError> {
    let client = connect(cluster).await?;
    match command {
        JobCommand::Show(selected) => show(&client, selected).await,
        JobCommand::Wait(selected) => wait(&client, &selected.jobs, selected.output.format, Progress::silent).await,
        JobCommand::Cancel(selected) => {
            change(&client, selected, is_active, "cancelled", async |job| cancelled(client.cancel(job).await?)).await
        }
        JobCommand::Retry(selected) => {
            let can_be_retried = |view: &JobView| matches!(view.state, JobState::Paused | JobState::Failed);
            change(&client, selected, can_be_retried, "goes on", async |job| Ok(client.retry(job).await?)).await
        }
        JobCommand::Explain(selected) => explain(&client, selected).await,
    }
}

/// Watches jobs to their end, one after the other.
///
/// # Errors
/// As `job wait`.
pub async fn progress(cluster: Option<PathBuf>, args: ProgressArgs) -> Result<ExitCode, CliError> {
    wait(&connect(cluster).await?, &args.jobs, args.output.format, Progress::shown).await
}

/// Refuses what was over before it could be cancelled.
fn cancelled(view: JobView) -> Result<JobView, CliError> {
    match view.state {
        JobState::Succeeded | JobState::Failed | JobState::BadInput => Err(CliError::BadInput(format!(
            "job {} is over already ({}), so there is nothing to cancel; see `paceline job show {}`",
            view.job,
            state(view.state),
            view.job
        ))),
        _ => Ok(view),
    }
}

async fn show(client: &Client, selected: SelectedJobs) -> Result<ExitCode, CliError> {
    let mut details = Vec::new();
    for job in resolve(client, &selected.jobs, |_| true).await? {
        details.push(client.job(job).await?);
    }
    match selected.output.format {
        OutputFormat::Json => watch::say_json_of(&details, selected.jobs.is_single())?,
        OutputFormat::Quiet => {
            stream::say(&details.iter().map(|d| format!("{} {}\n", d.job.job, state(d.job.state))).collect::<String>())?;
        }
        OutputFormat::Table => stream::say(&details.iter().map(job::detail).collect::<Vec<_>>().join("\n\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn wait(client: &Client, selector: &Selector, format: OutputFormat, progress: impl Fn() -> Progress) -> Result<ExitCode, CliError> {
    let mut details = Vec::new();
    for job in resolve(client, selector, is_active).await? {
        watch::until_over_or_stopped(client, job, progress()).await?;
        details.push(client.job(job).await?);
    }
    exit::of_job(watch::tell_endings(&details, selector.is_single(), format, Place::Output)?)
}

/// Changes each of the jobs named. One that cannot be changed does not keep the others from it; the first refusal is the command's.
async fn change(
    client: &Client,
    selected: SelectedJobs,
    suits: impl Fn(&JobView) -> bool,
    done: &str,
    call: impl AsyncFn(JobId) -> Result<JobView, CliError>,
) -> Result<ExitCode, CliError> {
    let mut changed = Vec::new();
    let mut refusal = None;
    for job in resolve(client, &selected.jobs, suits).await? {
        match call(job).await {
            Ok(view) => changed.push(view),
            Err(CliError::BadInput(message)) if refusal.is_none() => refusal = Some(message),
            Err(CliError::BadInput(message)) => stream::tell(&format!("error: {message}")),
            Err(other) => return Err(other),
        }
    }
    match selected.output.format {
        OutputFormat::Json => watch::say_json_of(&changed, selected.jobs.is_single())?,
        OutputFormat::Quiet => stream::say(&changed.iter().map(|view| format!("{}\n", view.job)).collect::<String>())?,
        OutputFormat::Table => stream::say(&changed.iter().map(|view| format!("job {} {done}\n", view.job)).collect::<String>())?,
    }
    refusal.map_or(Ok(ExitCode::SUCCESS), |message| Err(CliError::BadInput(message)))
}

/// One job's explanation, as JSON.
#[derive(Debug, Serialize)]
struct Explanation {
    job: JobId,
    reasons: Vec<String>,
}

async fn explain(client: &Client, selected: SelectedJobs) -> Result<ExitCode, CliError> {
    let mut explanations = Vec::new();
    for job in resolve(client, &selected.jobs, is_active).await? {
        explanations.push(Explanation { job, reasons: client.explain(job).await? });
    }
    match selected.output.format {
        OutputFormat::Json => watch::say_json_of(&explanations, selected.jobs.is_single())?,
        OutputFormat::Quiet => stream::say(&explanations.iter().flat_map(|e| &e.reasons).map(|r| format!("{r}\n")).collect::<String>())?,
        OutputFormat::Table => {
            let paragraph =
                |e: &Explanation| format!("job {}\n{}", e.job, e.reasons.iter().map(|r| format!("  {r}\n")).collect::<String>());
            stream::say(&explanations.iter().map(paragraph).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
