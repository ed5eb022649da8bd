//! Where things stand in a job's directory. The only place that knows these names.

use crate::failure::Failure;
use crate::files;
use crate::ids::{LeaseId, StageIdx};
use crate::job::JobRecord;
use crate::message::PartBody;
use crate::range::ItemRange;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A job's directory: `spec.json`, `parts/`, `logs/`, `summary.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDir {
    path: PathBuf,
}

impl JobDir {
    /// The directory at `path`, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checked job.
    #[must_use]
    pub fn record_path(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// The result in figures and words.
    #[must_use]
    pub fn summary_path(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The log lines of all agents, in order of arrival.
    #[must_use]
    pub fn logs_path(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The part files of a stage.
    #[must_use]
    pub fn parts_path(&self, stage: StageIdx) -> PathBuf {
        self.path.join("parts").join(stage.to_string())
    }

    /// The list of a finished stage's committed parts.
    #[must_use]
    pub fn manifest_path(&self, stage: StageIdx) -> PathBuf {
        self.path.join("parts").join(format!("{stage}.json"))
    }

    /// The name of the part file of one attempt; the lease's number keeps two attempts at one range apart.
    #[must_use]
    pub fn part_name(range: ItemRange, lease: LeaseId) -> String {
        format!("{:012}-{:012}.{lease}.part", range.start, range.end)
    }

    /// Reads the job's record, waiting for it to become visible on this node.
    pub fn read_record(&self) -> Result<JobRecord, Failure> {
        read_json(&self.record_path())
    }

    /// Reads the list of a finished stage's parts, waiting for it to become visible on this node.
    pub fn read_manifest(&self, stage: StageIdx) -> Result<StageManifest, Failure> {
        read_json(&self.manifest_path(stage))
    }

    /// Writes a JSON file of this directory durably and atomically.
    pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(value).map_err(|e| Failure::storage(format!("{}: cannot be written: {e}", path.display())))?;
        files::write_atomically(path, &text)
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failure> {
    files::wait_until_visible(path, None)?;
    let text = std::fs::read(path).map_err(|e| Failure::from_io("read", path, &e))?;
    serde_json::from_slice(&text).map_err(|e| Failure::storage(format!("{}: is damaged: {e}", path.display())))
}

/// Everything that was committed of a stage, in item order; written at the barrier, read by the stages after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageManifest {
    /// How many items the stage has.
    pub n_items: u64,
    /// Which items stand in which part, in item order and without overlap.
    pub parts: Vec<CommittedPart>,
    /// Items that were set aside.
    pub quarantined: Vec<u64>,
}

/// Items whose results were accepted from one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommittedPart {
    /// The items accepted.
    pub items: ItemRange,
    /// The items that the part holds; those outside `items` were committed from elsewhere.
    pub part_items: ItemRange,
    /// Where it is.
    pub body: PartBody,
}
