//! What can be said on the command line, one file for each group of commands. It must not do anything about it.

pub mod agent;
pub mod coordinator;
mod help;
pub mod job;
pub mod output;
pub mod run;
pub mod submit;
mod unknown;
pub mod workload;

use crate::exit::CliError;
use clap::{FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

pub use help::command;

/// Spreads one large computation over the cores of one machine or of a cluster, and gives the same bytes either way.
#[derive(Debug, Parser)]
#[command(name = "paceline", version, arg_required_else_help = true)]
pub struct Cli {
    /// The cluster directory: where the coordinator writes its address and keeps its jobs. It must be on a filesystem that all
    /// nodes share. [default: ~/.paceline/default]
    #[arg(long, global = true, value_name = "DIR", env = "PACELINE_CLUSTER", hide_env_values = true, help_heading = "Global options")]
    pub cluster: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the flags of a workload are told.
const WORKLOAD_HINT: &str = "`paceline run forest train --help` lists the flags of a workload.";

/// Everything that the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job here and now, without a cluster
    ///
    /// Coordinator and agent run inside this process; the job has all cores that may be used here (or --cores). The command ends when
    /// the job does, and leaves nothing behind but the job's output. Ctrl-C ends the job cleanly, a second Ctrl-C at once.
    #[command(subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads", disable_help_subcommand = true,
              after_help = WORKLOAD_HINT)]
    Run(run::RunArgs),
    /// Submit a job to the cluster and print its number
    ///
    /// The job's number is all that is printed on standard output, so that `JOB=$(paceline submit …)` works. Without --wait the
    /// command returns as soon as the job is safely recorded.
    #[command(subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads", disable_help_subcommand = true,
              after_help = WORKLOAD_HINT)]
    Submit(submit::SubmitArgs),
    /// List the jobs that are not over
    Jobs(job::JobsArgs),
    /// Show, wait for, cancel, retry or explain jobs
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Watch jobs until they are over
    ///
    /// A bar on a terminal; elsewhere one plain line every 30 s, at each new stage and at the end. The count shown is of items whose
    /// results are safely recorded. Ctrl-C stops the watching, not the job. The exit code is that of `paceline job wait`.
    Progress(job::ProgressArgs),
    /// Print what a job's agents and runners have logged
    Logs(job::LogsArgs),
    /// Start, stop or look at the coordinator
    #[command(subcommand)]
    Coordinator(coordinator::CoordinatorCommand),
    /// Start an agent, which works for the coordinator on this node
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// List the agents with their cores and memory
    Agents(agent::AgentsArgs),
    /// Look into a model file, or write it for other programs
    #[command(subcommand)]
    Model(job::ModelCommand),
    /// Print the completions of a shell: bash, zsh, fish, elvish or powershell
    ///
    /// For bash: paceline completions bash > ~/.local/share/bash-completion/completions/paceline
    Completions {
        /// The shell that shall complete.
        shell: clap_complete::Shell,
    },
    /// Write a man page for every command into a directory
    Man {
        /// The directory, made where it is missing; `man -M` or $MANPATH wants its parent, with this one named man1.
        dir: PathBuf,
    },
    /// The process in which an agent computes; only agents start it
    #[command(hide = true)]
    Runner,
}

/// Reads the arguments of this process.
///
/// # Errors
/// What cannot be understood, as clap says it; also `--help` and `--version`, whose text is no error (see [`CliError::report`]).
pub fn parse() -> Result<Cli, CliError> {
    let matches = command().try_get_matches().map_err(unknown::advise)?;
    Ok(Cli::from_arg_matches(&matches)?)
}
