//! `paceline run`. It must not check anything against a file.

use super::submit::{JobOutputArgs, JobTerms};
use super::workload::WorkloadCommand;
use clap::Args;
use paceline_common::units::parse_size;

/// A job in this process.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to compute.
    #[command(subcommand)]
    pub workload: WorkloadCommand,
    /// What `submit` takes too.
    #[command(flatten)]
    pub terms: JobTerms,
    /// How many cores to use. [default: all that may be used here, by affinity, control group and SLURM]
    #[arg(long, global = true, value_name = "N", help_heading = "Job options", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Option<u32>,
    /// How much memory may be used, such as 4GiB. [default: the limit of the control group or SLURM, if there is one]
    #[arg(long, global = true, value_name = "SIZE", help_heading = "Job options", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Keep the directory with the job's record, parts and logs, and say where it is, instead of removing it at the end.
    #[arg(long, global = true, help_heading = "Job options")]
    pub keep: bool,
    /// How the job is printed.
    #[command(flatten)]
    pub output: JobOutputArgs,
}
