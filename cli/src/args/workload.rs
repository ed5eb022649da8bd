//! The workloads as subcommands of `run` and `submit`. Their flags are the workloads' own settings structs, which travel as JSON.
//! It must not know what a setting means.

use crate::exit::CliError;
use clap::Subcommand;
use paceline_workloads::forest::{PredictSettings, TrainSettings};
use paceline_workloads::noop::NoopSettings;
use paceline_workloads::recommend::RecommendSettings;
use paceline_workloads::registry::Settings;

/// What a job computes.
#[derive(Debug, Subcommand)]
pub enum WorkloadCommand {
    /// Train a random forest on a table, or predict with one
    #[command(subcommand, disable_help_subcommand = true)]
    Forest(ForestCommand),
    /// Recommend the best unseen items to each user under a factor model
    ///
    /// The score of an item is the product of the user's and the item's factors, plus their biases where the model has any. Of equal
    /// scores the lower item comes first.
    #[command(next_help_heading = "Workload options")]
    Recommend(RecommendSettings),
    /// Run nothing, many times: for measuring paceline itself
    #[command(hide = true, next_help_heading = "Workload options")]
    Noop(NoopSettings),
}

/// What is done with a forest.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, for as long as the command line is read")]
pub enum ForestCommand {
    /// Train a random forest for classification or regression
    ///
    /// Columns of numbers and of text are learnt from as they are, missing values too. The model is a safetensors file; look into it
    /// with `paceline model show`.
    #[command(next_help_heading = "Workload options")]
    Train(TrainSettings),
    /// Predict each row of a table with a trained forest
    ///
    /// Columns are found by name. A category that was never seen in training counts as a missing value.
    #[command(next_help_heading = "Workload options")]
    Predict(PredictSettings),
}

impl WorkloadCommand {
    /// The workload's name and its settings as they travel, with every path made absolute.
    ///
    /// # Errors
    /// Where the working directory is gone.
    pub fn into_settings(self) -> Result<(&'static str, String), CliError> {
        match self {
            Self::Forest(ForestCommand::Train(settings)) => encoded(settings),
            Self::Forest(ForestCommand::Predict(settings)) => encoded(settings),
            Self::Recommend(settings) => encoded(settings),
            Self::Noop(settings) => encoded(settings),
        }
    }
}

fn encoded<S: Settings>(mut settings: S) -> Result<(&'static str, String), CliError> {
    let base = std::env::current_dir()
        .map_err(|e| CliError::BadInput(format!("the working directory cannot be used: {e}; change to one that exists")))?;
    settings.resolve_paths(&base);
    let json = serde_json::to_string(&settings)
        .map_err(|e| CliError::BadInput(format!("the settings cannot be sent: {e}; paths and names must be valid UTF-8")))?;
    Ok((S::WORKLOAD, json))
}
