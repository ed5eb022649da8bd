//! The workloads as subcommands of `run` and `submit`. Their flags are the workloads' own settings structs, which travel as JSON.
//! It must not know what a setting means.

use crate::exit::CliError;
use clap::Subcommand;
use paceline_workloads::als::AlsSettings;
use paceline_workloads::baseline::{BiasSettings, PopularSettings};
use paceline_workloads::evaluate::EvaluateSettings;
use paceline_workloads::forest::{PredictSettings, TrainSettings};
use paceline_workloads::knn::KnnSettings;
use paceline_workloads::noop::NoopSettings;
use paceline_workloads::recommend::RecommendSettings;
use paceline_workloads::registry::Settings;
use paceline_workloads::score::ScoreSettings;
use paceline_workloads::split::SplitSettings;

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
    /// Score given pairs of users and items, such as the ratings that they will get
    ///
    /// Writes the pairs in their order with the score that `recommend` would give; `evaluate --predictions` compares them with true
    /// ratings.
    #[command(next_help_heading = "Workload options")]
    Score(ScoreSettings),
    /// Train a factor model on interactions
    #[command(subcommand, disable_help_subcommand = true)]
    Als(AlsCommand),
    /// Train a model of which items are taken by the same users
    #[command(subcommand, disable_help_subcommand = true)]
    Knn(KnnCommand),
    /// Train the baseline that recommends what most users took
    #[command(subcommand, disable_help_subcommand = true)]
    Popular(PopularCommand),
    /// Train the baseline that knows of ratings only their means
    #[command(subcommand, disable_help_subcommand = true)]
    Bias(BiasCommand),
    /// Divide a table of interactions into one to train on and one to test on
    ///
    /// Both have all columns of the table, and its rows in their order. Which rows are drawn is fixed by --seed and each user's own rows.
    /// Rows without a user, an item or a time that is wanted are left out and counted.
    #[command(next_help_heading = "Workload options")]
    Split(SplitSettings),
    /// Measure how good recommended lists and predicted ratings are
    ///
    /// Writes a row for each user (user, n_listed, n_relevant, a column such as ndcg@10 for each metric and cutoff; empty where a metric is
    /// undefined) and prints the means. Metrics are defined as by LensKit; docs/evaluation.md tells every edge.
    #[command(next_help_heading = "Workload options")]
    Evaluate(EvaluateSettings),
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

/// What is done by alternating least squares.
#[derive(Debug, Subcommand)]
pub enum AlsCommand {
    /// Train a factor model by alternating least squares
    ///
    /// From who took what (Hu, Koren and Volinsky, 2008) or from ratings (--explicit). The model is a safetensors file for
    /// `recommend --model`; what users took counts as seen.
    #[command(next_help_heading = "Workload options")]
    Train(AlsSettings),
}

/// What is done with neighbours of items.
#[derive(Debug, Subcommand)]
pub enum KnnCommand {
    /// Find the items that are most like each item
    ///
    /// The model is a safetensors file for `recommend --model`, which scores items by those that the user took (Deshpande and Karypis,
    /// 2004).
    #[command(next_help_heading = "Workload options")]
    Train(KnnSettings),
}

/// What is done with the popularity of items.
#[derive(Debug, Subcommand)]
pub enum PopularCommand {
    /// Count how many users took each item
    ///
    /// The model is a safetensors file for `recommend --model`; the score of an item is its number of users.
    #[command(next_help_heading = "Workload options")]
    Train(PopularSettings),
}

/// What is done with biases of ratings.
#[derive(Debug, Subcommand)]
pub enum BiasCommand {
    /// Learn what items and users are above the mean of all ratings
    ///
    /// The model is a safetensors file for `score --model` and `recommend --model`: a rating is expected to be the mean of all, plus the
    /// item's and the user's bias.
    #[command(next_help_heading = "Workload options")]
    Train(BiasSettings),
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
            Self::Score(settings) => encoded(settings),
            Self::Als(AlsCommand::Train(settings)) => encoded(settings),
            Self::Knn(KnnCommand::Train(settings)) => encoded(settings),
            Self::Popular(PopularCommand::Train(settings)) => encoded(settings),
            Self::Bias(BiasCommand::Train(settings)) => encoded(settings),
            Self::Split(settings) => encoded(settings),
            Self::Evaluate(settings) => encoded(settings),
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
