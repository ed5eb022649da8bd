//! Finds the `paceline` binary that was built beside the running test.

use std::path::{Path, PathBuf};

/// The binary of the same profile as the test: `target/release/deps/test-x` → `target/release/paceline`.
///
/// # Panics
/// Where it has not been built: `cargo test -p` builds no other package's binary.
#[must_use]
#[expect(clippy::panic, clippy::expect_used, reason = "a test without its binary can only stop")]
pub fn paceline() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let directory = test.ancestors().find(|d| d.file_name().is_some_and(|n| n == "deps")).and_then(Path::parent).or_else(|| test.parent());
    let binary = directory.expect("the test stands in a build folder").join("paceline");
    if !binary.is_file() {
        panic!("{}: is not built; run `cargo build --release` first", binary.display());
    }
    binary
}

/// The root of the checkout, where `data/` stands.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}
