//! `paceline agent …` and `paceline agents`. It must not start anything.

use super::output::OutputArgs;
use crate::logging::LogFormat;
use clap::{Args, Subcommand, ValueEnum};
use paceline_common::units::{parse_duration, parse_size};
use std::path::PathBuf;
use std::time::Duration;

/// What can be done with an agent.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Run an agent in the foreground
    ///
    /// It may be started before the coordinator, and outlives a restart of it. Ctrl-C, SIGTERM and SIGUSR1 drain it: it takes nothing
    /// new, hands in what it can finish, and exits. A second signal ends it at once; its work is done elsewhere.
    Start(StartArgs),
}

/// How an agent is started.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// How many cores to use. [default: all that may be used here, by affinity, control group and SLURM]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Option<u32>,
    /// How much memory may be used, such as 64GiB. [default: the limit of the control group or SLURM, if there is one]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Exit after this long without work, such as 10min. [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub idle_timeout: Option<Duration>,
    /// How long the agent may run, such as 1h 30m: it drains in time to be gone by then. [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub time_limit: Option<Duration>,
    /// Exit after this long without a coordinator, such as 30min. [default: never, keep looking for one]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub orphan_timeout: Option<Duration>,
    /// How models are read: map them where they stand, or stage one copy a node in --scratch, verified, and map that. Stage where the
    /// shared filesystem is slow to map from; tables are read where they stand in any case.
    #[arg(long, value_name = "map|stage", value_enum, default_value_t = InputAccess::Map, hide_possible_values = true)]
    pub input_access: InputAccess,
    /// Where staged copies stand: a directory on the node's own disk. Copies not used for a week are removed.
    /// [default: $TMPDIR or /tmp]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// The form of the log on standard error: text for people, json for machines (one object a line).
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub log_format: LogFormat,
}

/// How models are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputAccess {
    /// Where they stand.
    Map,
    /// From a copy on the node's own disk.
    Stage,
}

impl StartArgs {
    /// Where models are copied to, if they are.
    #[must_use]
    pub fn scratch(&self) -> Option<PathBuf> {
        let directory = || self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        (self.input_access == InputAccess::Stage).then(directory)
    }
}

/// How agents are listed.
#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// How to print them.
    #[command(flatten)]
    pub output: OutputArgs,
}
