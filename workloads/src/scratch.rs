//! Copies of inputs on a node's own disk, for a shared filesystem that is slow to map from. One copy a node, whoever asks first
//! makes it. This file must not know what the inputs hold.

use paceline_common::failure::Failure;
use paceline_common::files::NewFile;
use paceline_common::job::InputIdentity;
use paceline_common::mapping::MappedFile;
use paceline_common::units::display_size;
use rustix::fs::{FlockOperation, flock, statvfs};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A copy that nobody has used for so long is removed when a runner starts: longer than a job waits between two tries.
const UNUSED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Room that a copy leaves for others on the disk.
const SPARE_BYTES: u64 = 64 << 20;
const COPY_BUFFER_LEN: usize = 4 << 20;

/// A directory of copies, shared by all runners of one user on this node.
#[derive(Clone, Debug)]
pub struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    /// Uses `parent`, where copies will stand in a directory that only this user can read; removes old ones.
    pub fn new(parent: &Path) -> Result<Self, Failure> {
        // By number of the user: another user's directory in a shared place cannot be used, and need not be.
        let directory = parent.join(format!("paceline-scratch-{}", rustix::process::getuid().as_raw()));
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(&directory);
        made.map_err(|e| Failure::from_io("create", &directory, &e))?;
        let scratch = Self { directory };
        scratch.remove_unused();
        Ok(scratch)
    }

    /// The copy of the file that `identity` names, made now where there is none.
    pub fn copy_of(&self, identity: &InputIdentity) -> Result<PathBuf, Failure> {
        let path = self.directory.join(name_of(identity));
        let _lock = self.lock(&path)?;
        if fs::metadata(&path).is_ok_and(|facts| facts.len() == identity.size_bytes) {
            // The time of the last use, for the removal of those that nobody uses; a copy is as good without it.
            let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(path);
        }
        self.expect_room(identity)?;
        identity.verify()?;
        copy(&identity.path, &path)?;
        // Had it been changed in the middle of the copying, the copy would be of neither version.
        identity.verify().inspect_err(|_| drop(fs::remove_file(&path)))?;
        Ok(path)
    }

    /// Held while a copy is made, so that the agents of a node make it once. The kernel frees it when its holder dies.
    fn lock(&self, path: &Path) -> Result<File, Failure> {
        let path = path.with_extension("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(|e| Failure::from_io("create", &path, &e))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| Failure::from_io("lock", &path, &e.into()))?;
        Ok(file)
    }

    fn expect_room(&self, identity: &InputIdentity) -> Result<(), Failure> {
        let facts = statvfs(&self.directory).map_err(|e| Failure::from_io("read", &self.directory, &e.into()))?;
        let free = facts.f_bavail.saturating_mul(facts.f_frsize);
        if free >= identity.size_bytes.saturating_add(SPARE_BYTES) {
            return Ok(());
        }
        Err(Failure::storage(format!(
            "{}: {} are free, too few for a copy of {} ({}); name another --scratch, or leave --input-access at map",
            self.directory.display(),
            display_size(free),
            identity.path.display(),
            display_size(identity.size_bytes)
        )))
    }

    fn remove_unused(&self) {
        let is_old = |path: &Path| {
            let age = fs::metadata(path).and_then(|facts| facts.modified()).map(|at| at.elapsed().unwrap_or_default());
            age.is_ok_and(|age| age > UNUSED_FOR)
        };
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if is_old(&entry.path()) {
                // Whoever maps it keeps what it has mapped; one that cannot be removed is tried again at the next start.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A name that no other version of any file has.
fn name_of(identity: &InputIdentity) -> String {
    let facts = format!("{:?} {} {} {}", identity.path, identity.size_bytes, identity.modified_ns, identity.head_hash);
    format!("{}.copy", &blake3::hash(facts.as_bytes()).to_hex()[..32])
}

/// Copies a file durably, and reads the copy once more to see that it is the same.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut source = File::open(from).map_err(|e| Failure::from_io("read", from, &e))?;
    let mut target = NewFile::create(to)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; COPY_BUFFER_LEN]);
    loop {
        let n_read = source.read(&mut buffer).map_err(|e| Failure::from_io("read", from, &e))?;
        if n_read == 0 {
            break;
        }
        hasher.update(&buffer[..n_read]);
        target.write_all(&buffer[..n_read]).map_err(|e| Failure::from_io("write", to, &e))?;
    }
    target.commit()?;
    if blake3::hash(&MappedFile::open(to)?) == hasher.finalize() {
        return Ok(());
    }
    let _ = fs::remove_file(to);
    Err(Failure::storage(format!("{}: differs from {} after copying; check this node's disk", to.display(), from.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn example() -> (tempfile::TempDir, PathBuf, Scratch) {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        fs::write(&model, vec![7; 3 * COPY_BUFFER_LEN / 2]).unwrap();
        let scratch = Scratch::new(&dir.path().join("disk")).unwrap();
        (dir, model, scratch)
    }

    #[test]
    fn one_copy_is_made_and_shared() {
        let (_dir, model, scratch) = example();
        let identity = InputIdentity::of(&model).unwrap();
        let copies: Vec<PathBuf> = std::thread::scope(|scope| {
            let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| scratch.copy_of(&identity).unwrap())).collect();
            askers.into_iter().map(|asker| asker.join().unwrap()).collect()
        });
        assert!(copies.iter().all(|copy| copy == &copies[0]));
        assert_eq!(fs::read(&copies[0]).unwrap(), fs::read(&model).unwrap());
        // The copy serves although the original is gone; a copy, its lock, and nothing else stand there.
        fs::remove_file(&model).unwrap();
        assert_eq!(scratch.copy_of(&identity).unwrap(), copies[0]);
        assert_eq!(fs::read_dir(&scratch.directory).unwrap().count(), 2);
    }

    #[test]
    fn a_changed_file_is_refused_and_a_new_version_gets_its_own_copy() {
        let (_dir, model, scratch) = example();
        let old = InputIdentity::of(&model).unwrap();
        fs::write(&model, b"new").unwrap();
        assert!(scratch.copy_of(&old).unwrap_err().message.contains("submit the job again"));
        let new = scratch.copy_of(&InputIdentity::of(&model).unwrap()).unwrap();
        assert_eq!(fs::read(new).unwrap(), b"new");
    }

    #[test]
    fn old_copies_are_removed_and_a_copy_without_room_is_refused() {
        let (dir, model, scratch) = example();
        let identity = InputIdentity::of(&model).unwrap();
        let copy = scratch.copy_of(&identity).unwrap();
        let long_ago = SystemTime::now() - UNUSED_FOR - Duration::from_secs(60);
        File::options().append(true).open(&copy).unwrap().set_modified(long_ago).unwrap();
        Scratch::new(&dir.path().join("disk")).unwrap();
        assert!(!copy.exists());
        let huge = InputIdentity { size_bytes: u64::MAX / 2, ..identity };
        assert!(scratch.copy_of(&huge).unwrap_err().message.contains("--scratch"));
    }
}
