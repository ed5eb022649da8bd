//! The cluster directory: where a coordinator publishes its address and keeps its keys, journal and jobs, and where agents and
//! clients find them. The only place that knows these names and the permissions that they must have.

use crate::error::WireError;
use paceline_common::failure::Failure;
use paceline_common::ids::{Epoch, JobId};
use paceline_common::job_dir::JobDir;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest `coordinator.json` that is read: a node has a few dozen addresses at most.
const MAX_COORDINATOR_FILE_BYTES: u64 = 64 * 1024;
/// Nobody but the owner may enter.
const DIRECTORY_MODE: u32 = 0o700;
/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// A cluster directory that exists, belongs to this user and is closed to all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDir {
    root: PathBuf,
}

/// What a running coordinator says of itself in the cluster directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorFile {
    /// Every "host:port" at which it may be reached.
    pub addresses: Vec<String>,
    /// Which start on this directory it is.
    pub epoch: Epoch,
    /// Its node.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The version of the messages it speaks.
    pub protocol_version: u32,
    /// When it was started, in UTC; for people only.
    pub started_at: String,
}

impl ClusterDir {
    /// The directory used where none is named: `$PACELINE_CLUSTER`, or `~/.paceline/default`.
    pub fn default_root() -> Result<PathBuf, WireError> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        named("PACELINE_CLUSTER").or_else(|| Some(named("HOME")?.join(".paceline").join("default"))).ok_or_else(|| {
            WireError::Directory("HOME: is not set, so there is no default cluster directory; name one with --cluster DIR".to_owned())
        })
    }

    /// Makes the directory, or takes the one that is there. Refused where others could enter it or it is another user's.
    pub fn create(root: &Path) -> Result<Self, WireError> {
        let root = absolute(root)?;
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&root).map_err(|e| directory_error("create", &root, &e))?;
        let dir = Self::checked(root)?;
        let jobs = dir.jobs_path();
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&jobs).map_err(|e| directory_error("create", &jobs, &e))?;
        Ok(dir)
    }

    /// Takes a directory that a coordinator has made.
    pub fn open(root: &Path) -> Result<Self, WireError> {
        let root = absolute(root)?;
        if !root.exists() {
            return Err(not_running(&root));
        }
        Self::checked(root)
    }

    fn checked(root: PathBuf) -> Result<Self, WireError> {
        let facts = fs::metadata(&root).map_err(|e| directory_error("read", &root, &e))?;
        let shown = root.display();
        if !facts.is_dir() {
            return Err(WireError::Directory(format!("{shown}: is not a directory; name another with --cluster DIR")));
        }
        if facts.uid() != rustix::process::geteuid().as_raw() {
            return Err(WireError::Directory(format!(
                "{shown}: belongs to user {}, so its owner could read the keys in it; name a directory of your own with --cluster DIR",
                facts.uid()
            )));
        }
        if facts.mode() & OTHERS != 0 {
            return Err(WireError::Directory(format!(
                "{shown}: is open to other users (mode {:03o}), who could read the keys in it; run `chmod 700 {shown}`",
                facts.mode() & 0o777
            )));
        }
        Ok(Self { root })
    }

    /// The directory itself; always absolute, so that it means the same to every process.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the coordinator publishes its address.
    #[must_use]
    pub fn coordinator_path(&self) -> PathBuf {
        self.root.join("coordinator.json")
    }

    /// The certificates and keys.
    #[must_use]
    pub fn tls_path(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// The coordinator's journal.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.root.join("journal.sqlite")
    }

    /// The file whose lock says that a coordinator runs.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.root.join("coordinator.lock")
    }

    /// Log lines of agents that belong to no job.
    #[must_use]
    pub fn agent_log_path(&self) -> PathBuf {
        self.root.join("agents.jsonl")
    }

    /// The directories of all jobs.
    #[must_use]
    pub fn jobs_path(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// The directory of one job.
    #[must_use]
    pub fn job_dir(&self, job: JobId) -> JobDir {
        JobDir::new(self.jobs_path().join(job.to_string()))
    }

    /// What the coordinator has published; [`WireError::NotRunning`] where there is nothing.
    pub fn read_coordinator(&self) -> Result<CoordinatorFile, WireError> {
        use std::io::Read;
        let path = self.coordinator_path();
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(not_running(&self.root)),
            Err(e) => return Err(directory_error("read", &path, &e)),
        };
        let mut text = String::new();
        file.take(MAX_COORDINATOR_FILE_BYTES).read_to_string(&mut text).map_err(|e| directory_error("read", &path, &e))?;
        serde_json::from_str(&text)
            .map_err(|e| WireError::Directory(format!("{}: is damaged ({e}); restart the coordinator to write it anew", path.display())))
    }

    /// Publishes the coordinator's address, whole or not at all.
    pub fn write_coordinator(&self, file: &CoordinatorFile) -> Result<(), WireError> {
        JobDir::write_json(&self.coordinator_path(), file).map_err(WireError::directory)
    }

    /// Withdraws the address, at a clean stop.
    pub fn remove_coordinator(&self) -> Result<(), WireError> {
        let path = self.coordinator_path();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(directory_error("remove", &path, &e)),
            _ => Ok(()),
        }
    }
}

/// Refuses a key file that others could read; a key is only ever read through this.
pub(crate) fn read_private_file(path: &Path) -> Result<Vec<u8>, WireError> {
    let facts = fs::metadata(path).map_err(|e| directory_error("read", path, &e))?;
    if facts.mode() & OTHERS != 0 {
        let shown = path.display();
        return Err(WireError::Directory(format!(
            "{shown}: other users can read this key (mode {:03o}); run `chmod 600 {shown}`",
            facts.mode() & 0o777
        )));
    }
    fs::read(path).map_err(|e| directory_error("read", path, &e))
}

pub(crate) fn directory_error(doing: &str, path: &Path, error: &io::Error) -> WireError {
    WireError::directory(Failure::from_io(doing, path, error))
}

fn not_running(root: &Path) -> WireError {
    WireError::NotRunning(format!(
        "{}: no coordinator runs for this cluster directory; start one with `paceline coordinator start --cluster {}`",
        root.display(),
        root.display()
    ))
}

/// Without following links: a path through an automounter must stay the one that all nodes share.
fn absolute(root: &Path) -> Result<PathBuf, WireError> {
    std::path::absolute(root).map_err(|e| directory_error("use", root, &e))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file() -> CoordinatorFile {
        CoordinatorFile {
            addresses: vec!["n1:4000".to_owned()],
            epoch: Epoch(3),
            host: "n1".to_owned(),
            pid: 7,
            version: "0".to_owned(),
            protocol_version: 1,
            started_at: String::new(),
        }
    }

    #[test]
    fn a_directory_open_to_others_is_refused_with_the_remedy() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("deep").join("cluster");
        ClusterDir::create(&root).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o700);
        for mode in [0o750, 0o701, 0o777] {
            fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
            for refused in [ClusterDir::create(&root), ClusterDir::open(&root)] {
                let Err(WireError::Directory(sentence)) = refused else { panic!("mode {mode:o}: {refused:?}") };
                assert!(sentence.contains("chmod 700"), "{sentence}");
            }
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
        ClusterDir::open(&root).unwrap();
    }

    #[test]
    fn the_published_address_comes_and_goes() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("cluster");
        assert!(matches!(ClusterDir::open(&root), Err(WireError::NotRunning(_))));
        let dir = ClusterDir::create(&root).unwrap();
        assert!(matches!(dir.read_coordinator(), Err(WireError::NotRunning(_))));
        dir.write_coordinator(&file()).unwrap();
        assert_eq!(dir.read_coordinator().unwrap(), file());
        fs::write(dir.coordinator_path(), "{\"addresses\": 3").unwrap();
        assert!(matches!(dir.read_coordinator(), Err(WireError::Directory(sentence)) if sentence.contains("damaged")));
        dir.remove_coordinator().unwrap();
        dir.remove_coordinator().unwrap();
        assert!(matches!(dir.read_coordinator(), Err(WireError::NotRunning(_))));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("agent.key");
        fs::write(&path, "secret-content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let Err(WireError::Directory(sentence)) = read_private_file(&path) else { panic!("read") };
        assert!(sentence.contains("chmod 600") && !sentence.contains("secret-content"), "{sentence}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_private_file(&path).unwrap(), b"secret-content");
    }
}
