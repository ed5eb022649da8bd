//! Durations, sizes and counts as people write and read them.

/// A size in bytes as people read it: "61.0 GiB".
#[must_use]
pub fn display_size(n_bytes: u64) -> String {
    bytesize::ByteSize::b(n_bytes).display().iec().to_string()
}
