//! The runner's way to its agent: whole lines, written one after the other whoever writes.
//! This file must not know what the messages mean.

use super::protocol::FromRunner;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Where messages go; shared by all threads.
pub struct Output {
    writer: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl Output {
    /// Messages go to `writer`.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Mutex::new(Box::new(writer)) }
    }

    /// Writes a message; when this returns, the agent will read it even if this process dies at once.
    pub fn send(&self, message: &FromRunner) {
        let Ok(mut line) = serde_json::to_vec(message) else {
            // Only a path that is not UTF-8 cannot be written, and no message from here holds a path.
            return;
        };
        line.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.write_all(&line).and_then(|()| writer.flush()).is_err() {
            // The agent is gone: nobody will ever ask for the results.
            std::process::exit(super::EXIT_AGENT_GONE);
        }
    }
}
