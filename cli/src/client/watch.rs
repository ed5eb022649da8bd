//! Watching a job to its end, and telling it. Ctrl-C ends the watching, never the job.

use crate::args::output::OutputFormat;
use crate::exit::{CliError, worse};
use crate::render::progress::Progress;
use crate::render::{job, logs, stream};
use crate::signal::StopSignals;
use paceline_common::ids::JobId;
use paceline_common::view::{JobDetail, JobState, JobView};
use paceline_wire::client::Client;
use serde::Serialize;

/// Shows a job's progress until it is over.
///
/// # Errors
/// What the connection brings.
pub async fn until_over(client: &Client, job: JobId, progress: &mut Progress) -> Result<JobView, CliError> {
    loop {
        let view = client.wait_at_most(job, progress.refresh()).await?;
        progress.show(&view);
        if view.state.is_over() {
            return Ok(view);
        }
    }
}

/// As [`until_over`], with the job's log beside its progress.
///
/// # Errors
/// What the connection brings.
pub async fn until_over_with_log(client: &Client, job: JobId, progress: &mut Progress) -> Result<JobView, CliError> {
    let mut offset = 0;
    loop {
        let view = client.wait_at_most(job, progress.refresh()).await?;
        progress.show(&view);
        loop {
            let page = client.logs(job, offset).await?;
            page.lines.iter().for_each(|line| progress.note(&logs::note(line)));
            if std::mem::replace(&mut offset, page.next_offset) == page.next_offset {
                break;
            }
        }
        if view.state.is_over() {
            return Ok(view);
        }
    }
}

/// As [`until_over`], until a person has seen enough.
///
/// # Errors
/// What the connection brings, and the interruption.
pub async fn until_over_or_stopped(client: &Client, job: JobId, mut progress: Progress) -> Result<JobView, CliError> {
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        view = until_over(client, job, &mut progress) => view,
        signal = signals.next() => {
            drop(progress);
            Err(CliError::Interrupted(format!(
                "{signal}: job {job} goes on; watch it with `paceline progress {job}`, end it with `paceline job cancel {job}`"
            )))
        }
    }
}

/// Where the end of a job is told to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On standard output: the end is what was asked for.
    Output,
    /// On standard output, of a job whose coordinator goes with it.
    OutputOfRun,
    /// On standard error: standard output holds the job's number.
    Errors,
}

/// Tells how jobs ended, and gives the state that counts. What went wrong is said on standard error in every form.
///
/// # Errors
/// Where standard output cannot be written.
pub fn tell_endings(details: &[JobDetail], selector_is_single: bool, format: OutputFormat, place: Place) -> Result<JobState, CliError> {
    match (format, place) {
        (OutputFormat::Table, Place::Output | Place::OutputOfRun) => {
            details.iter().try_for_each(|detail| stream::say(&job::ending(detail)))?
        }
        (OutputFormat::Table, Place::Errors) => details.iter().for_each(|detail| stream::tell(&job::ending(detail))),
        (OutputFormat::Json, _) => say_json_of(details, selector_is_single)?,
        (OutputFormat::Quiet, _) => {}
    }
    for detail in details.iter().filter(|detail| detail.job.state != JobState::Succeeded) {
        stream::tell(&format!("error: {}", job::complaint(detail, place != Place::OutputOfRun)));
    }
    Ok(details.iter().fold(JobState::Succeeded, |worst, detail| worse(worst, detail.job.state)))
}

/// One JSON document: the thing itself where only one can be meant, else a list.
///
/// # Errors
/// Where standard output cannot be written.
pub fn say_json_of<T: Serialize>(things: &[T], selector_is_single: bool) -> Result<(), CliError> {
    match things {
        [one] if selector_is_single => stream::say_json(one),
        _ => stream::say_json(things),
    }
}
