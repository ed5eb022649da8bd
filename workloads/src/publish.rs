//! How a finished output reaches its final place: staged beside it, then renamed, so that it appears whole or not at all.
//! This room moves files; it must not know what is in them.

use crate::workload::{ItemFailure, JobContext, StageTask};
use paceline_common::failure::{Failure, Refusal};
use paceline_common::files;
use paceline_common::ids::StageIdx;
use paceline_common::job::{InputIdentity, OutputPlan, StagePlan};
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_common::view::JobSummary;
use rustix::fs::{Access, CWD, RenameFlags};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One complete file of a staged output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its name within the output directory; empty where the output is a single file.
    pub name: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// blake3 of its bytes, in hex.
    pub hash: String,
    /// How many table rows it holds; 0 where it is no table.
    pub n_rows: u64,
}

impl StagedFile {
    /// The bytes of the write stage's item.
    pub fn encode(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|e| Failure::storage(format!("the record of a staged file cannot be written: {e}")))
    }

    fn path_in(&self, output: &Path) -> PathBuf {
        if self.name.is_empty() { output.to_owned() } else { output.join(&self.name) }
    }
}

/// Refuses an output that could not be published: nowhere to put it, no right to write there, or something in its place. An input
/// of the same job is never given up, whatever the user says of replacing.
pub fn check_output(output: &OutputPlan, inputs: &[InputIdentity]) -> Result<(), Refusal> {
    output.each().try_for_each(|output| check_one(&output, inputs))
}

fn check_one(output: &OutputPlan, inputs: &[InputIdentity]) -> Result<(), Refusal> {
    let shown = output.path.display();
    let Some((directory, _)) = output.path.parent().zip(output.path.file_name()) else {
        return Err(Refusal::bad_input(format!("{shown}: is not the path of a file or directory that can be written; name one")));
    };
    if !directory.is_dir() {
        return Err(Refusal::bad_input(format!("{shown}: its directory {} does not exist; create it", directory.display())));
    }
    rustix::fs::access(directory, Access::WRITE_OK)
        .map_err(|e| Refusal::bad_input(format!("{shown}: cannot write in {}: {e}; name another place", directory.display())))?;
    check_inputs_stay(&output.path, inputs)?;
    if !output.force && exists(&output.path) {
        return Err(Refusal::bad_input(format!("{shown}: exists already; name another output, or replace it with --force")));
    }
    check_directory_is_an_output(&output.path)
}

/// Refuses to replace a directory that holds anything but the parts of an earlier output: whoever named it, by mistake perhaps, would
/// lose all that is in it.
fn check_directory_is_an_output(directory: &Path) -> Result<(), Refusal> {
    // What is no directory loses nothing but itself, which is what --force is for.
    if !fs::symlink_metadata(directory).is_ok_and(|facts| facts.is_dir()) {
        return Ok(());
    }
    let is_part = |name: &OsStr| name.as_encoded_bytes().starts_with(b"part-") && name.as_encoded_bytes().ends_with(b".parquet");
    match entries_where(directory, |name| !is_part(name))?.first() {
        None => Ok(()),
        Some(entry) => Err(Refusal::bad_input(format!(
            "{}: is a directory that holds {}, which is no part of an output that could be replaced; name another output",
            directory.display(),
            entry.display()
        ))),
    }
}

/// Refuses an output in whose place an input stands, by whatever name, or a directory that holds one.
fn check_inputs_stay(output: &Path, inputs: &[InputIdentity]) -> Result<(), Refusal> {
    // What is not there holds nothing, and an input that has gone since is refused by whoever reads it.
    let Ok(place) = fs::canonicalize(output) else { return Ok(()) };
    for input in inputs {
        let Ok(input_place) = fs::canonicalize(&input.path) else { continue };
        if input_place.starts_with(&place) {
            let is = if input_place == place { "is".to_owned() } else { format!("holds {},", input.path.display()) };
            let message = format!("{}: {is} an input of this job, which its output cannot replace; name another output", output.display());
            return Err(Refusal::bad_input(message));
        }
    }
    Ok(())
}

/// The plan of the stage that publishes: one item, which nothing can do without.
#[must_use]
pub fn stage_plan() -> StagePlan {
    StagePlan { name: "publish".to_owned(), item_name: "output".to_owned(), tolerates_missing_items: false }
}

/// Where the write stage puts its single file, or the directory of its files.
pub fn staging_path(job: &JobContext<'_>) -> Result<PathBuf, Failure> {
    Ok(output_of(job)?.staging_path(job.dir.path()))
}

/// Where the write stage puts the file that is to stand at `path` beside the output.
pub fn staging_path_beside(job: &JobContext<'_>, path: &Path) -> Result<PathBuf, Failure> {
    Ok(plan_beside(output_of(job)?, path)?.staging_path(job.dir.path()))
}

/// The record of the complete file at `path`: its length and hash, so that every later step can tell it from another.
pub fn stage_file(name: &str, path: &Path, n_rows: u64) -> Result<StagedFile, Failure> {
    let (size_bytes, hash) = hash_file(path)?;
    Ok(StagedFile { name: name.to_owned(), size_bytes, hash, n_rows })
}

/// What the write stage staged, in item order.
pub fn staged_files(written: &StageParts) -> Result<Vec<StagedFile>, Failure> {
    let decode =
        |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|e| Failure::storage(format!("the record of a staged file is damaged: {e}")));
    (0..written.n_items())
        .map(|item| match written.item(item)? {
            Some(bytes) => decode(bytes),
            None => Err(Failure::storage(format!("output file {item} was never written"))),
        })
        .collect()
}

/// Opens the publish stage for an output of these files. `facts` go into the summary, and after them the notes of the plan.
pub fn open(job: &JobContext<'_>, files: Vec<StagedFile>, facts: Vec<(String, String)>) -> Result<Arc<dyn StageTask>, Failure> {
    open_with(job, files, vec![], facts)
}

/// The same with single files beside the output, each with its place.
pub fn open_with(
    job: &JobContext<'_>,
    files: Vec<StagedFile>,
    beside: Vec<(PathBuf, StagedFile)>,
    facts: Vec<(String, String)>,
) -> Result<Arc<dyn StageTask>, Failure> {
    let output = output_of(job)?;
    let task = |output: OutputPlan, files| PublishTask { staging: output.staging_path(job.dir.path()), output, files };
    let beside = beside.into_iter().map(|(path, file)| Ok(task(plan_beside(output, &path)?, vec![file])));
    let beside = beside.collect::<Result<Vec<_>, Failure>>()?;
    let notes = job.record.plan.notes.iter().map(|note| ("note".to_owned(), note.clone()));
    let facts = facts.into_iter().chain(notes).collect();
    Ok(Arc::new(PublishAllTask { beside, main: task(output.clone(), files), facts }))
}

fn plan_beside(output: &OutputPlan, path: &Path) -> Result<OutputPlan, Failure> {
    let plan = output.each().find(|plan| plan.path == path);
    plan.ok_or_else(|| Failure::storage(format!("{}: is not among the job's outputs; submit the job again", path.display())))
}

/// The summary that the publish stage left.
pub fn summary(job: &JobContext<'_>, stage: StageIdx) -> Result<JobSummary, Failure> {
    let results = job.results_of(stage)?;
    let bytes = results.item(0)?.ok_or_else(|| Failure::storage("the job's output was never published"))?;
    serde_json::from_slice(bytes).map_err(|e| Failure::storage(format!("the job's summary is damaged: {e}")))
}

/// Removes what a job that ended without its output has staged.
pub fn remove_staging(output: &OutputPlan, job_dir: &Path) -> Result<(), Failure> {
    for output in output.each() {
        let staging = output.staging_path(job_dir);
        remove(&staging)?;
        remove_temporaries_of(&staging)?;
    }
    Ok(())
}

/// The one item of the publish stage. It may run again after it was killed at any point, or beside another attempt.
struct PublishAllTask {
    beside: Vec<PublishTask>,
    /// Last, so that all is there when the output is.
    main: PublishTask,
    facts: Vec<(String, String)>,
}

/// One thing to be put in its place.
struct PublishTask {
    output: OutputPlan,
    staging: PathBuf,
    files: Vec<StagedFile>,
}

impl StageTask for PublishAllTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let fail = |failure| ItemFailure { item: block.start, failure };
        self.beside.iter().chain([&self.main]).try_for_each(PublishTask::publish).map_err(fail)?;
        let summary = JobSummary { facts: self.facts.clone(), output_hash: Some(output_hash(&self.main.files)) };
        let bytes = serde_json::to_vec(&summary).map_err(|e| fail(Failure::storage(format!("the summary cannot be written: {e}"))))?;
        outputs.push(&bytes);
        Ok(())
    }
}

impl PublishTask {
    fn publish(&self) -> Result<(), Failure> {
        if !self.stands_already() {
            self.check_staged()?;
            self.put_in_place()?;
        }
        remove(&self.staging)?;
        remove(&self.replaced_path())?;
        remove_temporaries_of(&self.staging)
    }

    /// Whether the final place holds this very output: an earlier attempt got as far as the rename.
    fn stands_already(&self) -> bool {
        let place = &self.output.path;
        // Lengths first: they tell almost every other output apart without reading it.
        let has_size = |file: &StagedFile| fs::metadata(file.path_in(place)).is_ok_and(|m| m.is_file() && m.len() == file.size_bytes);
        let has_hash = |file: &StagedFile| hash_file(&file.path_in(place)).is_ok_and(|(_, hash)| hash == file.hash);
        let is_alone = || self.is_single_file() || fs::read_dir(place).is_ok_and(|entries| entries.count() == self.files.len());
        self.files.iter().all(has_size) && is_alone() && self.files.iter().all(has_hash)
    }

    fn is_single_file(&self) -> bool {
        matches!(&self.files[..], [only] if only.name.is_empty())
    }

    /// Every staged file must be visible here, whole, and in a directory alone: killed attempts leave temporary files there.
    fn check_staged(&self) -> Result<(), Failure> {
        for file in &self.files {
            files::wait_until_visible(&file.path_in(&self.staging), Some(file.size_bytes))?;
        }
        if self.is_single_file() { Ok(()) } else { remove_others(&self.staging, &self.files) }
    }

    fn put_in_place(&self) -> Result<(), Failure> {
        let place = &self.output.path;
        match self.rename() {
            Ok(()) => files::sync_parent(place),
            // Another attempt at this item was faster.
            Err(_) if self.stands_already() => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let message = "has appeared since the job was submitted; submit the job again with --force or for another output";
                Err(Failure::bad_input(format!("{}: {message}", place.display())))
            }
            Err(e) => Err(Failure::from_io("publish", place, &e)),
        }
    }

    fn rename(&self) -> io::Result<()> {
        let place = &self.output.path;
        if self.output.force && exists(place) {
            // One file replaces another in one step; anything else must leave its place first.
            if self.is_single_file() && place.is_file() {
                return fs::rename(&self.staging, place);
            }
            fs::rename(place, self.replaced_path())?;
        }
        rename_to_free_name(&self.staging, place)
    }

    /// Where an old output waits for its removal.
    fn replaced_path(&self) -> PathBuf {
        self.staging.with_extension("replaced")
    }
}

fn output_of<'a>(job: &JobContext<'a>) -> Result<&'a OutputPlan, Failure> {
    job.record.plan.output.as_ref().ok_or_else(|| Failure::storage("the job's record names no output"))
}

/// Whether anything stands at `path`, a dangling link too.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Renames without replacing anything.
fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every filesystem offers the check and the rename in one step (NFS does not). There the window between the two
        // is the time of one system call.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            if exists(to) {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                fs::rename(from, to)
            }
        }
        result => Ok(result?),
    }
}

fn hash_file(path: &Path) -> Result<(u64, String), Failure> {
    let fail = |e: io::Error| Failure::from_io("read", path, &e);
    let mut hasher = blake3::Hasher::new();
    let n_bytes = io::copy(&mut io::BufReader::with_capacity(1 << 20, fs::File::open(path).map_err(fail)?), &mut hasher).map_err(fail)?;
    Ok((n_bytes, hasher.finalize().to_hex().to_string()))
}

/// A single file's own hash; of a directory the hash of the list that `b3sum *` prints in it.
fn output_hash(files: &[StagedFile]) -> String {
    match files {
        [only] if only.name.is_empty() => only.hash.clone(),
        _ => {
            let list: String = files.iter().map(|file| format!("{}  {}\n", file.hash, file.name)).collect();
            blake3::hash(list.as_bytes()).to_hex().to_string()
        }
    }
}

/// Removes a file or a directory; what is not there is removed already.
fn remove(path: &Path) -> Result<(), Failure> {
    let result = match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Failure::from_io("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Removes everything in `directory` but these files.
fn remove_others(directory: &Path, files: &[StagedFile]) -> Result<(), Failure> {
    let is_other = |name: &OsStr| !files.iter().any(|file| name == OsStr::new(&file.name));
    entries_where(directory, is_other)?.iter().try_for_each(|path| remove(path))
}

/// Removes what killed writers of the file `path` have left beside it; their names begin with its name.
fn remove_temporaries_of(path: &Path) -> Result<(), Failure> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let prefix = [b".", name.as_encoded_bytes(), b"."].concat();
    let is_temporary = |entry: &OsStr| entry.as_encoded_bytes().starts_with(&prefix) && entry.as_encoded_bytes().ends_with(b".tmp");
    entries_where(directory, is_temporary)?.iter().try_for_each(|path| remove(path))
}

fn entries_where(directory: &Path, is_wanted: impl Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let fail = |e: io::Error| Failure::from_io("list", directory, &e);
    let entries = fs::read_dir(directory).map_err(fail)?.collect::<io::Result<Vec<_>>>().map_err(fail)?;
    Ok(entries.into_iter().filter(|entry| is_wanted(&entry.file_name())).map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests;
