//! `paceline submit`, and the terms of a job that it shares with `paceline run`. It must not check anything against a file.

use super::output::OutputFormat;
use super::workload::WorkloadCommand;
use crate::exit::CliError;
use clap::Args;
use paceline_common::job::{DEFAULT_PRIORITY, JobRequest, MAX_PRIORITY};

/// A job for the cluster.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// What to compute.
    #[command(subcommand)]
    pub workload: WorkloadCommand,
    /// What `run` takes too.
    #[command(flatten)]
    pub terms: JobTerms,
    /// What only jobs beside others need.
    #[command(flatten)]
    pub share: ShareArgs,
    /// Wait until the job is over, and exit with its code: 0 all items committed, 1 failed, 2 bad input, 4 cancelled.
    #[arg(long, global = true, help_heading = "Job options")]
    pub wait: bool,
    /// Show how far the job is until it is over; implies --wait.
    #[arg(long, global = true, help_heading = "Job options")]
    pub progress: bool,
    /// How the job is printed.
    #[command(flatten)]
    pub output: JobOutputArgs,
}

/// What every job is given besides its workload.
#[derive(Debug, Args)]
pub struct JobTerms {
    /// What listings call the job. [default: the workload's name]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Job options")]
    pub name: Option<String>,
    /// The number that keys every random draw: the same inputs, settings and seed give the same bytes out, on any number of cores.
    #[arg(long, global = true, value_name = "N", default_value_t = 0, help_heading = "Job options")]
    pub seed: u64,
    /// End the job as failed as soon as more than N items have failed. [default: no limit, the other items are finished]
    #[arg(long, global = true, value_name = "N", help_heading = "Job options")]
    pub max_failures: Option<u64>,
}

/// How a job shares the agents with others.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The job's share of the agents against other jobs, 1 to 10000: twice the number gets twice the cores.
    #[arg(long, global = true, value_name = "N", default_value_t = DEFAULT_PRIORITY, help_heading = "Job options",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PRIORITY)))]
    pub priority: u32,
    /// Let at most N cores work on the job at once. [default: no limit]
    #[arg(long, global = true, value_name = "N", help_heading = "Job options", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_cores: Option<u32>,
}

/// The output flag where it must reach the workloads' subcommands.
#[derive(Clone, Copy, Debug, Args)]
pub struct JobOutputArgs {
    /// How to print the result: table for people, json for one document with everything that is known, quiet for the least.
    #[arg(long = "output", global = true, value_name = "FORMAT", value_enum, default_value_t = OutputFormat::Table,
          hide_possible_values = true, help_heading = "Job options")]
    pub format: OutputFormat,
}

/// The request as it goes to a coordinator.
///
/// # Errors
/// Where the working directory is gone, or a path cannot be sent.
pub fn request_of(workload: WorkloadCommand, terms: JobTerms, share: ShareArgs) -> Result<JobRequest, CliError> {
    let (workload, settings_json) = workload.into_settings()?;
    Ok(JobRequest {
        workload: workload.to_owned(),
        settings_json,
        name: terms.name,
        seed: terms.seed,
        priority: share.priority,
        max_cores: share.max_cores,
        max_failures: terms.max_failures,
    })
}
