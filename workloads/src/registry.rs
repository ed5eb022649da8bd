//! The list of workloads: from a name and settings as submitted to a checked workload.

use crate::als::AlsSettings;
use crate::baseline::{BiasSettings, PopularSettings};
use crate::evaluate::EvaluateSettings;
use crate::forest::{PredictSettings, TrainSettings};
use crate::knn::KnnSettings;
use crate::noop::NoopSettings;
use crate::recommend::RecommendSettings;
use crate::score::ScoreSettings;
use crate::split::SplitSettings;
use crate::workload::Workload;
use paceline_common::failure::Refusal;
use paceline_common::job::JobRequest;
use serde::de::DeserializeOwned;

/// Settings as a person gives them: command-line flags and JSON alike, not yet checked.
pub trait Settings: serde::Serialize + DeserializeOwned {
    /// The workload's name in requests and listings.
    const WORKLOAD: &'static str;

    /// Makes every path absolute, so that the job means the same on every node.
    fn resolve_paths(&mut self, base: &std::path::Path);

    /// Checks the settings against each other (not yet against any file). `seed` keys every random draw of the job.
    fn check(self, seed: u64) -> Result<Box<dyn Workload>, Refusal>;
}

/// The workload that a request names, with its settings checked.
pub fn workload_of(request: &JobRequest) -> Result<Box<dyn Workload>, Refusal> {
    match request.workload.as_str() {
        TrainSettings::WORKLOAD => checked::<TrainSettings>(request),
        PredictSettings::WORKLOAD => checked::<PredictSettings>(request),
        RecommendSettings::WORKLOAD => checked::<RecommendSettings>(request),
        AlsSettings::WORKLOAD => checked::<AlsSettings>(request),
        KnnSettings::WORKLOAD => checked::<KnnSettings>(request),
        BiasSettings::WORKLOAD => checked::<BiasSettings>(request),
        PopularSettings::WORKLOAD => checked::<PopularSettings>(request),
        ScoreSettings::WORKLOAD => checked::<ScoreSettings>(request),
        EvaluateSettings::WORKLOAD => checked::<EvaluateSettings>(request),
        SplitSettings::WORKLOAD => checked::<SplitSettings>(request),
        NoopSettings::WORKLOAD => checked::<NoopSettings>(request),
        other => Err(Refusal::bad_input(format!("{other}: is not a workload of this version; see `paceline help submit`"))),
    }
}

fn checked<S: Settings>(request: &JobRequest) -> Result<Box<dyn Workload>, Refusal> {
    let settings: S = serde_json::from_str(&request.settings_json)
        .map_err(|e| Refusal::bad_input(format!("{}: the settings cannot be read: {e}", S::WORKLOAD)))?;
    settings.check(request.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_workload_is_refused_by_name() {
        let request = JobRequest {
            workload: "weather".to_owned(),
            settings_json: "{}".to_owned(),
            name: None,
            seed: 0,
            priority: 1,
            max_cores: None,
            max_failures: None,
        };
        assert!(workload_of(&request).is_err_and(|refusal| refusal.message.contains("weather")));
    }
}
