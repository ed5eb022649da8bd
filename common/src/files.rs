//! Writing files so that a reader never sees half of one, and reading files that another node has just written.

use crate::failure::Failure;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file that another node has reported may stay invisible here: network filesystems cache look-ups, and a new file
/// was seen 27 s late over NFS.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);

/// A file in the making: invisible under its final name until [`Self::commit`], gone when dropped before.
#[derive(Debug)]
pub struct NewFile {
    writer: BufWriter<File>,
    temp: PathBuf,
    path: PathBuf,
    is_committed: bool,
}

impl NewFile {
    /// Starts a file that will stand at `path`, in the same directory under a name of its own.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}-{:x}.tmp", std::process::id(), nonce()));
        let temp = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&temp).map_err(|e| Failure::from_io("create", path, &e))?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 20, file), temp, path: path.to_owned(), is_committed: false })
    }

    /// Makes the content durable and shows it under its final name, in place of what stood there.
    pub fn commit(mut self) -> Result<(), Failure> {
        let fail = |e: std::io::Error| Failure::from_io("write", &self.path, &e);
        self.writer.flush().map_err(fail)?;
        self.writer.get_ref().sync_all().map_err(fail)?;
        fs::rename(&self.temp, &self.path).map_err(fail)?;
        self.is_committed = true;
        sync_parent(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_committed {
            // The file is of no use to anyone; where it cannot be removed, its name tells what it is.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// A number that no other call in this process gives, so that two writers of one path never share a temporary name.
fn nonce() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Writes a whole small file durably and atomically.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = NewFile::create(path)?;
    file.write_all(content).map_err(|e| Failure::from_io("write", path, &e))?;
    file.commit()
}

/// Makes a rename or a new name in a directory durable.
pub fn sync_parent(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|d| d.sync_all()).map_err(|e| Failure::from_io("sync", parent, &e))
}

/// Waits until `path` exists with exactly `size_bytes` (with any size for `None`), at most [`VISIBILITY_TIMEOUT`].
pub fn wait_until_visible(path: &Path, size_bytes: Option<u64>) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        // Opening asks the server, where a bare look-up may be answered from a stale cache.
        let found = File::open(path).and_then(|f| f.metadata());
        match (&found, size_bytes) {
            (Ok(facts), Some(size)) if facts.len() == size => return Ok(()),
            (Ok(_), None) => return Ok(()),
            _ => {}
        }
        if begin.elapsed() >= VISIBILITY_TIMEOUT {
            let seen = match found {
                Ok(facts) => format!("has {} bytes here", facts.len()),
                Err(e) => format!("cannot be read here: {e}"),
            };
            let expected = size_bytes.map_or(String::new(), |size| format!(" instead of {size}"));
            return Err(Failure::storage(format!(
                "{}: {seen}{expected} after {} s; check that this node shares the filesystem",
                path.display(),
                VISIBILITY_TIMEOUT.as_secs()
            )));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_nothing_behind() -> Result<(), Failure> {
        let dir = tempfile::tempdir().map_err(|e| Failure::storage(e.to_string()))?;
        let mut file = NewFile::create(&dir.path().join("x"))?;
        file.write_all(b"half").map_err(|e| Failure::storage(e.to_string()))?;
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).map_or(9, Iterator::count), 0);
        write_atomically(&dir.path().join("x"), b"whole")?;
        assert_eq!(fs::read(dir.path().join("x")).unwrap_or_default(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).map_or(9, Iterator::count), 1);
        Ok(())
    }
}
