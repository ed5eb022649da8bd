//! Read-only maps of files. The one place where a file becomes a slice, and so the one place in this crate with `unsafe`.

use crate::failure::Failure;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

/// A whole file, mapped read-only and shared with every other process on the node that maps it.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
}

impl MappedFile {
    /// Maps the file at `path`. An empty file gives an empty slice.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |e: std::io::Error| Failure::from_io("read", path, &e);
        let file = File::open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(Failure::bad_input(format!("{}: is not a regular file; name a file", path.display())));
        }
        // SAFETY: the slice is only sound while nobody truncates or rewrites the file. Artifacts and parts are immutable by
        // contract: they are written under another name and renamed, never changed in place. Where a user breaks that, a
        // truncation ends the runner by SIGBUS, which its agent explains; no other process is harmed.
        #[expect(unsafe_code, reason = "a map of a file cannot be made without it")]
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
        Ok(Self { map })
    }

    /// Asks the kernel to read the file ahead, for a file that will be used from end to end.
    pub fn advise_sequential_use(&self) {
        // Only a hint: where the kernel takes none, the file is read on demand as before.
        let _ = self.map.advise(memmap2::Advice::WillNeed);
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
