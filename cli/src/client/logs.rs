//! `paceline logs`: a job's stored lines, page by page, and those that still come.

use super::connect::connect;
use super::select::resolve;
use super::watch;
use crate::args::job::LogsArgs;
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::{logs, stream};
use jiff::tz::TimeZone;
use paceline_common::ids::JobId;
use paceline_common::view::{LogPage, StoredLogLine};
use paceline_wire::client::Client;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long a follower waits for more lines; the end of the job ends the wait at once.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// One job's log, as JSON.
#[derive(Debug, Serialize)]
struct JobLog {
    job: JobId,
    lines: Vec<StoredLogLine>,
    n_dropped: u64,
}

/// Prints logs.
///
/// # Errors
/// A job that is not known, and what the connection or standard output brings.
pub async fn print(cluster: Option<PathBuf>, args: LogsArgs) -> Result<ExitCode, CliError> {
    if args.follow && args.output.format == OutputFormat::Json {
        return Err(CliError::BadInput("--follow: cannot be one JSON document; leave out --follow or --output json".to_owned()));
    }
    let client = connect(cluster).await?;
    let jobs = resolve(&client, &args.jobs, |_| true).await?;
    if args.output.format == OutputFormat::Json {
        let mut collected = Vec::new();
        for job in jobs {
            collected.push(collect(&client, job).await?);
        }
        watch::say_json_of(&collected, args.jobs.is_single())?;
        return Ok(ExitCode::SUCCESS);
    }
    for job in jobs {
        print_job(&client, job, &args).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_job(client: &Client, job: JobId, args: &LogsArgs) -> Result<(), CliError> {
    let zone = TimeZone::system();
    let mut offset = 0;
    loop {
        let page = client.logs(job, offset).await?;
        let text: String = match args.output.format {
            OutputFormat::Quiet => page.lines.iter().map(|stored| format!("{}\n", stored.line.text)).collect(),
            _ => page.lines.iter().map(|stored| format!("{}\n", logs::line(stored, &zone))).collect(),
        };
        stream::say(&text)?;
        if is_end(&page, offset, args.follow) {
            logs::dropped(page.n_dropped).iter().for_each(|text| stream::tell(text));
            return Ok(());
        }
        if page.next_offset == offset {
            client.wait_at_most(job, FOLLOW_INTERVAL).await?;
        }
        offset = page.next_offset;
    }
}

async fn collect(client: &Client, job: JobId) -> Result<JobLog, CliError> {
    let mut log = JobLog { job, lines: Vec::new(), n_dropped: 0 };
    let mut offset = 0;
    loop {
        let page = client.logs(job, offset).await?;
        let is_end = is_end(&page, offset, false);
        log.lines.extend(page.lines);
        log.n_dropped = page.n_dropped;
        if is_end {
            return Ok(log);
        }
        offset = page.next_offset;
    }
}

/// Whether nothing more is wanted after this page: the job's last one, or, without following, one that brought nothing new.
fn is_end(page: &LogPage, offset: u64, is_following: bool) -> bool {
    page.is_last || (!is_following && page.next_offset == offset)
}
