//! The directory in which an embedded run keeps its journal, parts and logs: private, gone at the end, and reaped by the next run
//! where a killed one left it. It must not know what stands in it.

use crate::exit::CliError;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names of such directories begin so, then comes the node's name and the process number.
const PREFIX: &str = ".paceline-run-";

/// A directory that goes with this value, unless it is kept.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    is_kept: bool,
}

impl PrivateDir {
    /// Makes one in `parent`, for this user alone, and removes those of processes that are no more.
    ///
    /// # Errors
    /// Where `parent` cannot be written.
    pub fn create(parent: &Path, host: &str) -> Result<Self, CliError> {
        reap(parent, host);
        let path = parent.join(format!("{PREFIX}{host}-{}", std::process::id()));
        // What a killed process of the same number left is no other run's.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| CliError::BadInput(format!("{}: cannot be written: {e}; choose a directory of yours", parent.display())))?;
        Ok(Self { path, is_kept: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if !self.is_kept {
            // Where something cannot be removed now, the next run in this place removes it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what runs of this node left here whose processes are gone: killed at once, or with the power.
fn reap(parent: &Path, host: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.strip_prefix(host)?.strip_prefix('-')?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_private_and_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let private = PrivateDir::create(parent.path(), "n01").unwrap();
        fs::write(private.path().join("journal"), "x").unwrap();
        assert_eq!(fs::metadata(private.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(private);
        assert!(names(parent.path()).is_empty());

        let mut kept = PrivateDir::create(parent.path(), "n01").unwrap();
        kept.keep();
        drop(kept);
        assert_eq!(names(parent.path()).len(), 1);
    }

    #[test]
    fn only_what_dead_runs_of_this_node_left_is_reaped() {
        let parent = tempfile::tempdir().unwrap();
        // No process has number 0, and process 1 always runs.
        for name in [".paceline-run-n01-0", ".paceline-run-n01-1", ".paceline-run-n02-0", ".paceline-run-n01-x", "data-0"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        drop(PrivateDir::create(parent.path(), "n01").unwrap());
        assert_eq!(names(parent.path()), [".paceline-run-n01-1", ".paceline-run-n01-x", ".paceline-run-n02-0", "data-0"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let refusal = PrivateDir::create(Path::new("/proc"), "n01").map_err(|e| e.code());
        assert_eq!(refusal.err(), Some(2));
    }
}
