//! The workload that does nothing, n times: it measures the scheduler, the wire and the agents alone.

use crate::input_cache::InputCache;
use crate::registry::Settings;
use crate::workload::{ItemFailure, JobContext, StageTask, Workload};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, StagePlan};
use paceline_common::part::ItemOutputs;
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many items do nothing, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub struct NoopSettings {
    /// How many items
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub items: u64,
    /// How long each item sleeps, in microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    pub sleep_us: u64,
    /// Kill the runner at these items, to see how the death of a runner is handled
    #[arg(long, value_name = "ITEM,…", value_delimiter = ',')]
    #[serde(default)]
    pub crash_at: Vec<u64>,
    /// Fail at these items
    #[arg(long, value_name = "ITEM,…", value_delimiter = ',')]
    #[serde(default)]
    pub fail_at: Vec<u64>,
}

impl Settings for NoopSettings {
    const WORKLOAD: &'static str = "noop";

    fn resolve_paths(&mut self, _base: &Path) {}

    fn check(self, _seed: u64) -> Result<Box<dyn Workload>, Refusal> {
        Ok(Box::new(Noop { settings: self }))
    }
}

/// The checked workload.
#[derive(Clone, Debug)]
pub struct Noop {
    settings: NoopSettings,
}

impl Workload for Noop {
    fn plan(&self) -> Result<JobPlan, Refusal> {
        let stage = StagePlan { name: "nothing".to_owned(), item_name: "item".to_owned(), tolerates_missing_items: true };
        Ok(JobPlan { stages: vec![stage], inputs: vec![], output: None, notes: vec![] })
    }

    fn n_items(&self, _stage: StageIdx, _job: &JobContext<'_>) -> Result<u64, Failure> {
        Ok(self.settings.items)
    }

    fn open(&self, _stage: StageIdx, _job: &JobContext<'_>, _inputs: &InputCache) -> Result<Arc<dyn StageTask>, Failure> {
        Ok(Arc::new(self.clone()))
    }

    fn summarize(&self, _job: &JobContext<'_>) -> Result<JobSummary, Failure> {
        Ok(JobSummary { facts: vec![("items".to_owned(), self.settings.items.to_string())], output_hash: None })
    }
}

/// Items that cost nothing are claimed by the thousand, so that the claiming does not dominate.
const FREE_BLOCK_LEN: u64 = 1 << 16;

impl StageTask for Noop {
    fn block_len(&self) -> u64 {
        if self.settings.sleep_us == 0 { FREE_BLOCK_LEN } else { 1 }
    }

    fn has_output(&self) -> bool {
        false
    }

    fn run(&self, block: ItemRange, _outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        if self.settings.crash_at.iter().any(|&item| block.contains(item)) {
            std::process::abort();
        }
        if let Some(&item) = self.settings.fail_at.iter().filter(|&&item| block.contains(item)).min() {
            return Err(ItemFailure { item, failure: Failure::item(format!("item {item} was told to fail")) });
        }
        if self.settings.sleep_us > 0 {
            std::thread::sleep(Duration::from_micros(self.settings.sleep_us * block.len()));
        }
        Ok(())
    }
}
