//! Ctrl-C and SIGTERM as futures. It must not know what is interrupted.

use crate::exit::CliError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals by which a person or a batch system asks this process to end.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Takes SIGINT and SIGTERM over from now on. Must be called within a runtime.
    ///
    /// # Errors
    /// Where the system has no room for a handler.
    pub fn listen() -> Result<Self, CliError> {
        let take = |kind| signal(kind).map_err(|e| CliError::Internal(format!("signals cannot be received: {e}; try again")));
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Resolves with the next of them, by its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "termination signal",
        }
    }
}
