//! What leaves the driver at the end of a round, when the round's records are on the disk: answers, and work for other threads.

use crate::command::{Command, DriverHandle, Reply};
use crate::job_work::{self, FinishedStage};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobRecord, OutputPlan};
use paceline_common::job_dir::JobDir;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long after a job's end its unfinished output is removed once more: an agent that was at work on it needs a moment to hear
/// of the end and may have written meanwhile.
const SECOND_REMOVAL_AFTER: Duration = Duration::from_secs(5);

/// Pause before a result that found no room on the disk is summed up again.
const NO_SPACE_PAUSE: Duration = Duration::from_secs(15);

/// One thing to do once the round is durable.
pub(crate) enum Effect {
    /// Send an answer.
    Answer(Box<dyn FnOnce() + Send>),
    /// Write the list of the stage before and count the items of this one.
    SizeStage { job: JobFiles, stage: StageIdx },
    /// Write the list of the last stage and sum up.
    Summarize { job: JobFiles, stage: StageIdx },
    /// Remove what was written of an output that will not be finished.
    RemoveStaging { output: OutputPlan, dir: JobDir },
    /// Remove the parts of a job that succeeded.
    RemoveParts { dir: JobDir },
    /// Remove the directory of a job that was not taken on.
    RemoveJobDir { dir: JobDir },
}

/// What a thread needs to work on a job's files.
#[derive(Clone)]
pub(crate) struct JobFiles {
    pub(crate) record: Arc<JobRecord>,
    pub(crate) dir: JobDir,
}

impl Effect {
    /// An answer to one caller.
    pub(crate) fn answer<T: Send + 'static>(reply: Reply<T>, answer: T) -> Self {
        // A caller that is gone needs no answer.
        Self::Answer(Box::new(move || drop(reply.send(answer))))
    }
}

/// Where file work is done.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    runtime: Handle,
    driver: DriverHandle,
    /// Unfinished outputs that are to be removed once more, by their job's directory.
    to_remove: Arc<Mutex<HashMap<PathBuf, OutputPlan>>>,
}

impl Workers {
    /// Workers on this runtime that report to this driver.
    pub(crate) fn new(runtime: Handle, driver: DriverHandle) -> Self {
        Self { runtime, driver, to_remove: Arc::default() }
    }

    /// Counts the items of a stage; the driver hears of it by a command.
    pub(crate) fn size_stage(&self, job: JobFiles, stage: StageIdx, finished: Option<FinishedStage>) {
        let driver = self.driver.clone();
        self.runtime.spawn_blocking(move || {
            let outcome = job_work::size_stage(&job.record, &job.dir, stage, finished);
            driver.tell_blocking(Command::StageSized(job.record.job, stage, outcome));
        });
    }

    /// Sums up a job; the driver hears of it by a command.
    pub(crate) fn summarize(&self, job: JobFiles, finished: FinishedStage) {
        let driver = self.driver.clone();
        self.runtime.spawn_blocking(move || {
            let outcome = job_work::summarize(&job.record, &job.dir, finished);
            driver.tell_blocking(Command::Summarized(job.record.job, outcome));
        });
    }

    /// Sums up a job whose disk was full, after a pause.
    pub(crate) fn summarize_later(&self, job: JobFiles, finished: FinishedStage) {
        let workers = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(NO_SPACE_PAUSE).await;
            workers.summarize(job, finished);
        });
    }

    /// Removes an unfinished output, now and once more a little later.
    pub(crate) fn remove_staging(&self, output: OutputPlan, dir: JobDir) {
        self.to_remove().insert(dir.path().to_owned(), output.clone());
        let workers = self.clone();
        self.runtime.spawn(async move {
            let first = dir.clone();
            let _ = workers.runtime.spawn_blocking(move || job_work::remove_staging(&output, &first)).await;
            tokio::time::sleep(SECOND_REMOVAL_AFTER).await;
            let output = workers.to_remove().remove(dir.path());
            if let Some(output) = output {
                let _ = workers.runtime.spawn_blocking(move || job_work::remove_staging(&output, &dir)).await;
            }
        });
    }

    /// Does now what was put off: the process ends.
    pub(crate) fn finish_removals(&self) {
        for (dir, output) in self.to_remove().drain() {
            job_work::remove_staging(&output, &JobDir::new(dir));
        }
    }

    fn to_remove(&self) -> MutexGuard<'_, HashMap<PathBuf, OutputPlan>> {
        self.to_remove.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a succeeded job's parts.
    pub(crate) fn remove_parts(&self, dir: JobDir) {
        self.runtime.spawn_blocking(move || job_work::remove_parts(&dir));
    }

    /// Removes the directory of a job that was refused at the last moment.
    pub(crate) fn remove_job_dir(&self, dir: JobDir) {
        self.runtime.spawn_blocking(move || {
            if let Err(error) = std::fs::remove_dir_all(dir.path()) {
                tracing::debug!(%error, path = %dir.path().display(), "the directory of a refused job could not be removed");
            }
        });
    }
}
