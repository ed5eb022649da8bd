//! The two runtimes: one thread for commands that a person waits for, since starting more would cost more than it brings, and a few
//! for daemons. It must not know what runs on them.

use crate::exit::CliError;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long work that nobody waits for may hold up the exit.
const EXIT_PATIENCE: Duration = Duration::from_millis(200);
/// A daemon waits for its connections and its disk; the work itself is done in a runner with a pool of its own.
const DAEMON_THREADS: usize = 2;

/// Runs a client's command.
///
/// # Errors
/// The command's own, and where no runtime can be made.
pub fn block_on_client<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    run(&mut Builder::new_current_thread(), command)
}

/// Runs a daemon, or a coordinator and an agent within one process.
///
/// # Errors
/// The daemon's own, and where no runtime can be made.
pub fn block_on_daemon<T>(daemon: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    run(Builder::new_multi_thread().worker_threads(DAEMON_THREADS), daemon)
}

fn run<T>(builder: &mut Builder, future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime: Runtime = builder
        .enable_all()
        .build()
        .map_err(|e| CliError::Internal(format!("no runtime can be started: {e}; see `ulimit -u` and `ulimit -n`")))?;
    let outcome = runtime.block_on(future);
    runtime.shutdown_timeout(EXIT_PATIENCE);
    outcome
}
