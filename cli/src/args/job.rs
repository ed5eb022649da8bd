//! The commands on submitted jobs and on model files. It must not ask a coordinator.

use super::output::OutputArgs;
use crate::selector::Selector;
use clap::{Args, Subcommand};
use paceline_workloads::forest::export::ExportFormat;
use std::path::PathBuf;

/// How jobs are listed.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// List the jobs that are over too; at most the newest 1000 jobs are listed.
    #[arg(long)]
    pub all: bool,
    /// How to print them.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which jobs, and how to print them.
#[derive(Debug, Args)]
pub struct SelectedJobs {
    /// Which jobs: a number, a list such as 1-3,5, `last` for the newest, or `all`.
    #[arg(value_name = "JOBS")]
    pub jobs: Selector,
    /// How to print them.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Show all there is to know of jobs: stages, failed items with their causes, leases at work, result
    Show(SelectedJobs),
    /// Wait until jobs are over, and exit with the code of the worst
    ///
    /// The code is 0 where all items are committed, 1 where a job failed or has failed items, 2 where its input was bad, 4 where it was
    /// cancelled. `all` waits for the jobs that are not over now. Ctrl-C stops the waiting, not the jobs.
    Wait(SelectedJobs),
    /// End jobs; what they have committed stays in their directories
    ///
    /// `all` cancels every job that is not over.
    Cancel(SelectedJobs),
    /// Let paused jobs go on, or try the failed items of failed jobs again
    ///
    /// What is committed is not computed again. `all` retries every paused or failed job.
    Retry(SelectedJobs),
    /// Say why jobs are not progressing, and what to do
    ///
    /// `all` explains every job that is not over.
    Explain(SelectedJobs),
}

/// Which jobs to watch.
#[derive(Debug, Args)]
pub struct ProgressArgs {
    /// Which jobs: a number, a list such as 1-3,5, `last` for the newest, or `all` that are not over. Several are watched in turn.
    #[arg(value_name = "JOBS", default_value = "last")]
    pub jobs: Selector,
    /// How to print their end.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Whose logs.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Whose logs: a job's number, a list such as 1-3,5, `last` for the newest, or `all`.
    #[arg(value_name = "JOBS", default_value = "last")]
    pub jobs: Selector,
    /// Go on printing lines as they come, until the job is over.
    #[arg(long, short = 'f')]
    pub follow: bool,
    /// How to print them; quiet prints the bare text.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What can be done with a model file.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Show what a model file holds: kind, version, facts, arrays with shape and type, metadata
    ///
    /// Any safetensors file will do. A malformed one is refused with the reason.
    Show {
        /// The file to look into.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How to print it.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write a forest for other programs: JSON, ONNX or the arrays of scikit-learn's trees
    ///
    /// The forms, and how to read them from Python, are described in docs/model-export.md. Predictions of the exported model are those of
    /// `forest predict`.
    Export {
        /// The model that `forest train` wrote.
        #[arg(value_name = "MODEL")]
        model: PathBuf,
        /// The form: json (every node, to be read by any program), onnx (for ONNX Runtime and others; the class or number, and the
        /// probabilities) or arrays (a NumPy .npz file with the arrays of scikit-learn's trees; numeric features only).
        #[arg(long = "format", value_name = "json|onnx|arrays", value_enum, hide_possible_values = true)]
        form: ExportFormat,
        /// Where to write the model in its other form.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace what stands at the output path. The model itself is never replaced.
        #[arg(long)]
        force: bool,
        /// How to print what was written.
        #[command(flatten)]
        output: OutputArgs,
    },
}
