//! What a job is: the request as a client sends it, the plan that a workload makes of it, and the record that agents read.

use crate::failure::Failure;
use crate::ids::{JobId, StageIdx};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A job as it is submitted, not yet checked against its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRequest {
    /// The workload's name, such as `forest-train`.
    pub workload: String,
    /// The workload's own settings as a JSON object. Only the workload reads it, so a new workload changes no message.
    pub settings_json: String,
    /// What a person calls the job.
    pub name: Option<String>,
    /// Key of every random draw of the job.
    pub seed: u64,
    /// Share of the agents against other jobs, 1 to [`MAX_PRIORITY`]; twice the number gets twice the cores.
    pub priority: u32,
    /// At most this many cores work on the job at once.
    pub max_cores: Option<u32>,
    /// The job fails once more than this many items were set aside; `None` for no limit.
    pub max_failures: Option<u64>,
}

/// The priority of a job whose submitter names none.
pub const DEFAULT_PRIORITY: u32 = 100;
/// The highest priority, so that no job can starve the others wholly.
pub const MAX_PRIORITY: u32 = 10_000;

/// What a workload makes of a request by a look at the headers of its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPlan {
    /// The chain of stages, run one after the other with a barrier between.
    pub stages: Vec<StagePlan>,
    /// Every input file as it was when the job was submitted.
    pub inputs: Vec<InputIdentity>,
    /// What the job writes, where it writes anything.
    pub output: Option<OutputPlan>,
    /// What the user did not ask for and should know, a sentence each; shown with the result.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One stage of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// What a person calls it: "trees", "score".
    pub name: String,
    /// What a person calls one of its items: "tree", "user"; shown with counts.
    pub item_name: String,
    /// Whether the stages after it can do their work although some of its items were set aside.
    pub tolerates_missing_items: bool,
}

/// The file or directory that a job writes, and files beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlan {
    /// Where the user wants it; appears whole or not at all.
    pub path: PathBuf,
    /// Whether what stands there may be replaced.
    pub force: bool,
    /// Single files that the job writes too; they are published before the output itself.
    #[serde(default)]
    pub beside: Vec<PathBuf>,
}

impl OutputPlan {
    /// Everything that the job writes, the output itself last, each as a plan of its own.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        let plan = |path: &PathBuf| Self { path: path.clone(), force: self.force, beside: vec![] };
        self.beside.iter().chain([&self.path]).map(plan)
    }

    /// Where the output grows until it is published by a rename: beside its final place, so that the rename stays within one
    /// filesystem, and named after the job, so that two jobs never share it.
    #[must_use]
    pub fn staging_path(&self, job_dir: &Path) -> PathBuf {
        let job = blake3::hash(job_dir.as_os_str().as_encoded_bytes()).to_hex();
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}.partial", &job[..12]));
        self.path.with_file_name(name)
    }
}

/// Facts that tell one version of a file from another without reading all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputIdentity {
    /// The absolute path.
    pub path: PathBuf,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time of the last change in nanoseconds since 1970.
    pub modified_ns: u64,
    /// blake3 of the first [`HEAD_LEN`] bytes, in hex.
    pub head_hash: String,
}

/// How much of a file's beginning its identity covers: past any safetensors header of usual size, and read in one go.
pub const HEAD_LEN: usize = 64 * 1024;

impl InputIdentity {
    /// Looks at the file at `path`, which must be absolute.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        use std::io::Read;
        let fail = |e: std::io::Error| Failure::from_io("read", path, &e);
        let file = std::fs::File::open(path).map_err(fail)?;
        let facts = file.metadata().map_err(fail)?;
        if !facts.is_file() {
            return Err(Failure::bad_input(format!("{}: is not a regular file; name a file", path.display())));
        }
        let mut head = Vec::with_capacity(HEAD_LEN);
        file.take(HEAD_LEN as u64).read_to_end(&mut head).map_err(fail)?;
        let modified = facts.modified().map_err(fail)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            size_bytes: facts.len(),
            modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
            head_hash: blake3::hash(&head).to_hex().to_string(),
        })
    }

    /// Refuses a file that is no longer the one that was submitted, with both facts named.
    pub fn verify(&self) -> Result<(), Failure> {
        let now = Self::of(&self.path)?;
        let difference = if now.size_bytes != self.size_bytes {
            format!("it had {} bytes when the job was submitted and has {} now", self.size_bytes, now.size_bytes)
        } else if now.head_hash != self.head_hash {
            "its first bytes differ from those when the job was submitted".to_owned()
        } else if now.modified_ns != self.modified_ns {
            format!("it was changed at {} ns when the job was submitted and at {} ns now", self.modified_ns, now.modified_ns)
        } else {
            return Ok(());
        };
        Err(Failure::bad_input(format!("{}: {difference}; submit the job again for the new file", self.path.display())))
    }
}

/// The checked job as it stands in its directory, where every agent reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job's number.
    pub job: JobId,
    /// What was asked.
    pub request: JobRequest,
    /// What the workload made of it.
    pub plan: JobPlan,
    /// When it was submitted, in milliseconds since 1970; for people only, no decision depends on it.
    pub submitted_at_ms: u64,
}

impl JobRecord {
    /// The plan of one stage.
    #[must_use]
    pub fn stage(&self, stage: StageIdx) -> Option<&StagePlan> {
        self.plan.stages.get(stage.0 as usize)
    }

    /// Refuses a file that is not an input of the job as it was submitted.
    pub fn verify_input(&self, path: &Path) -> Result<(), Failure> {
        let submitted = self.plan.inputs.iter().find(|input| input.path == path);
        let added = || Failure::bad_input(format!("{}: was not there when the job was submitted; submit it again", path.display()));
        submitted.ok_or_else(added)?.verify()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_changed_input_is_refused_with_both_facts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        std::fs::write(&path, b"12345").unwrap();
        let identity = InputIdentity::of(&path).unwrap();
        identity.verify().unwrap();
        std::fs::write(&path, b"1234567").unwrap();
        assert!(identity.verify().unwrap_err().message.contains("had 5 bytes when the job was submitted and has 7 now"));
        std::fs::write(&path, b"12x45").unwrap();
        assert!(identity.verify().unwrap_err().message.contains("first bytes differ"));
        std::fs::remove_file(&path).unwrap();
        assert!(identity.verify().unwrap_err().message.contains("model: cannot read"));
    }

    #[test]
    fn two_jobs_never_share_a_staging_path() {
        let output = OutputPlan { path: "/data/out.csv".into(), force: false, beside: vec![] };
        let (one, two) = (output.staging_path(Path::new("/c/jobs/1")), output.staging_path(Path::new("/c/jobs/2")));
        assert_ne!(one, two);
        assert_eq!(one.parent(), output.path.parent());
        assert_eq!(one, output.staging_path(Path::new("/c/jobs/1")));
    }
}
