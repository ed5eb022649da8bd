//! The work on a job that reads or writes files, away from the driver's thread: planning, counting a stage's items, writing its
//! list of parts, summing up, and clearing away. A panic in a workload's code ends that job and nothing else.

use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, JobRecord, JobRequest, MAX_PRIORITY, OutputPlan};
use paceline_common::job_dir::{CommittedPart, JobDir, StageManifest};
use paceline_common::message::PartBody;
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use paceline_wire::client::MAX_SETTINGS_BYTES;
use paceline_workloads::workload::JobContext;
use paceline_workloads::{publish, registry};
use serde::Serialize;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest name of a job in bytes: it stands in every listing.
const MAX_NAME_BYTES: usize = 256;

/// Checks a request against its inputs.
pub(crate) fn plan(request: &JobRequest) -> Result<JobPlan, Refusal> {
    check_request(request)?;
    let plan = guarded(&request.workload, || registry::workload_of(request)?.plan()).map_err(Refusal::internal)??;
    if plan.stages.is_empty() {
        return Err(Refusal::internal(format!("{}: its plan has no stages; report this as an error of paceline", request.workload)));
    }
    Ok(plan)
}

fn check_request(request: &JobRequest) -> Result<(), Refusal> {
    if !(1..=MAX_PRIORITY).contains(&request.priority) {
        return Err(Refusal::bad_input(format!("--priority {}: is not from 1 to {MAX_PRIORITY}", request.priority)));
    }
    if request.max_cores == Some(0) {
        return Err(Refusal::bad_input("--max-cores 0: leaves no core to work on the job; give at least 1"));
    }
    if request.name.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(Refusal::bad_input(format!("--name: is longer than {MAX_NAME_BYTES} bytes; choose a shorter one")));
    }
    if request.settings_json.len() > MAX_SETTINGS_BYTES {
        return Err(Refusal::bad_input(format!("the job's settings have more than {MAX_SETTINGS_BYTES} bytes; put lists into a file")));
    }
    Ok(())
}

/// Makes a new job's directory with its record; `false` where a directory of that number stands already.
pub(crate) fn create_job_dir(dir: &JobDir, record: &JobRecord) -> Result<bool, Failure> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir.path()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(Failure::from_io("create", dir.path(), &error)),
    }
    write_record(dir, record)?;
    Ok(true)
}

fn write_record(dir: &JobDir, record: &JobRecord) -> Result<(), Failure> {
    for path in [dir.path().join("parts"), dir.logs_path()] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| Failure::from_io("create", &path, &e))?;
    }
    write_visibly(&dir.record_path(), record)
}

/// Writes a job's record and the lists of its finished stages anew, at a restart: a crash of the whole node may have lost what was
/// written without a sync.
pub(crate) fn rewrite(record: &JobRecord, dir: &JobDir, finished: Vec<FinishedStage>) -> Result<(), Failure> {
    write_record(dir, record)?;
    finished.into_iter().try_for_each(|stage| write_manifest(dir, stage))
}

/// Writes a JSON file of a job's directory so that every node sees all of it or nothing. It is not synced: the journal holds the
/// same facts, durably, and a restart writes the file again; three syncs for each of a small job's files would be most of its time.
/// The file is closed before it gets its name, because a network filesystem sends its content to the server no earlier.
fn write_visibly<T: Serialize>(path: &Path, value: &T) -> Result<(), Failure> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let fail = |e: io::Error| Failure::from_io("write", path, &e);
    let name = format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let temp = path.with_file_name(name);
    let text = serde_json::to_vec_pretty(value).map_err(|e| fail(io::Error::other(e)))?;
    let written = std::fs::write(&temp, text).and_then(|()| std::fs::rename(&temp, path));
    if written.is_err() {
        // Of no use to anyone; where it cannot be removed, its name tells what it is.
        let _ = std::fs::remove_file(&temp);
    }
    written.map_err(fail)
}

/// A finished stage with what was committed of it.
#[derive(Debug)]
pub(crate) struct FinishedStage {
    pub(crate) stage: StageIdx,
    pub(crate) n_items: u64,
    /// In item order, as journaled.
    pub(crate) commits: Vec<CommittedPart>,
    pub(crate) quarantined: Vec<ItemRange>,
}

/// Writes the list of the stage before, and counts the items of `stage`.
pub(crate) fn size_stage(record: &JobRecord, dir: &JobDir, stage: StageIdx, finished: Option<FinishedStage>) -> Result<u64, Failure> {
    if let Some(finished) = finished {
        write_manifest(dir, finished)?;
    }
    let n_items = guarded(&record.request.workload, || {
        registry::workload_of(&record.request).map_err(to_failure)?.n_items(stage, &JobContext { record, dir })
    })
    .map_err(Failure::storage)??;
    // The journal's numbers are signed.
    if i64::try_from(n_items).is_err() {
        return Err(Failure::bad_input(format!("{}: {n_items} items are more than can be counted", record.request.workload)));
    }
    Ok(n_items)
}

/// Writes the list of the last stage, and asks the workload what a person wants to know of the result.
pub(crate) fn summarize(record: &JobRecord, dir: &JobDir, finished: FinishedStage) -> Result<JobSummary, Failure> {
    write_manifest(dir, finished)?;
    let summary = guarded(&record.request.workload, || {
        registry::workload_of(&record.request).map_err(to_failure)?.summarize(&JobContext { record, dir })
    })
    .map_err(Failure::storage)??;
    write_visibly(&dir.summary_path(), &summary)?;
    Ok(summary)
}

fn write_manifest(dir: &JobDir, finished: FinishedStage) -> Result<(), Failure> {
    let path = dir.manifest_path(finished.stage);
    write_visibly(&path, &manifest(finished).map_err(|why| Failure::storage(format!("{}: {why}", path.display())))?)
}

/// The list of a stage's parts. Neighbouring parts without bytes become one, so that a stage of 10^8 items without results is one
/// line. Every item must be in exactly one place: a hole here would be a silent wrong answer later.
fn manifest(finished: FinishedStage) -> Result<StageManifest, String> {
    let FinishedStage { stage, n_items, commits, quarantined } = finished;
    let mut parts: Vec<CommittedPart> = Vec::new();
    let mut n_listed = 0;
    let mut last_end = 0;
    for part in commits {
        if part.items.start < last_end {
            return Err(format!("{} of stage {stage} were committed twice; report this as an error of paceline", part.items));
        }
        last_end = part.items.end;
        n_listed += part.items.len();
        match parts.last_mut() {
            Some(before) if before.body == PartBody::Empty && part.body == PartBody::Empty && before.items.end == part.items.start => {
                before.items.end = part.items.end;
                before.part_items = before.items;
            }
            _ => parts.push(part),
        }
    }
    let quarantined: Vec<u64> = quarantined.into_iter().flat_map(|range| range.start..range.end).collect();
    if n_listed + quarantined.len() as u64 != n_items {
        return Err(format!(
            "stage {stage} has {n_items} items, but {n_listed} committed and {} set aside; report this as an error of paceline",
            quarantined.len()
        ));
    }
    Ok(StageManifest { n_items, parts, quarantined })
}

/// Removes what a job without a result has written of its output.
pub(crate) fn remove_staging(output: &OutputPlan, dir: &JobDir) {
    if let Err(failure) = publish::remove_staging(output, dir.path()) {
        tracing::warn!(%failure, "an unfinished output could not be removed");
    }
}

/// Removes a succeeded job's parts; its record, logs and summary stay.
pub(crate) fn remove_parts(dir: &JobDir) {
    let path = dir.path().join("parts");
    if let Err(error) = std::fs::remove_dir_all(&path) {
        tracing::debug!(%error, path = %path.display(), "parts could not be removed");
    }
}

fn to_failure(refusal: Refusal) -> Failure {
    Failure::bad_input(refusal.message)
}

/// Runs a workload's code; a panic in it becomes a sentence.
fn guarded<T>(workload: &str, run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
        format!("{workload}: stopped by an error of paceline itself ({}); report it", text.unwrap_or_else(|| "no message".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn part(start: u64, end: u64, body: PartBody) -> CommittedPart {
        CommittedPart { items: ItemRange::new(start, end), part_items: ItemRange::new(start, end), body }
    }

    fn finished(n_items: u64, commits: Vec<CommittedPart>, quarantined: Vec<ItemRange>) -> FinishedStage {
        FinishedStage { stage: StageIdx(0), n_items, commits, quarantined }
    }

    #[test]
    fn neighbouring_empty_parts_become_one_line() {
        let commits = (0..1000).map(|i| part(i * 10, i * 10 + 10, PartBody::Empty)).collect();
        let list = manifest(finished(10_000, commits, vec![])).unwrap();
        assert_eq!(list.parts, [part(0, 10_000, PartBody::Empty)]);
        let inline = || PartBody::Inline(vec![1]);
        let commits = vec![part(0, 2, PartBody::Empty), part(2, 3, inline()), part(3, 4, inline()), part(5, 9, PartBody::Empty)];
        let list = manifest(finished(9, commits.clone(), vec![ItemRange::one(4)])).unwrap();
        assert_eq!((list.parts, list.quarantined), (commits, vec![4]));
    }

    #[test]
    fn a_hole_or_an_overlap_is_never_written() {
        let hole = vec![part(0, 3, PartBody::Empty), part(4, 6, PartBody::Empty)];
        assert!(manifest(finished(6, hole, vec![])).unwrap_err().contains("5 committed"));
        let overlap = vec![part(0, 3, PartBody::Empty), part(2, 5, PartBody::Empty)];
        assert!(manifest(finished(5, overlap, vec![])).unwrap_err().contains("twice"));
    }
}
