//! Writing to standard output and standard error, such that a closed pipe ends the command quietly and nothing ever panics.
//! It must not know what is written.

use crate::exit::CliError;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes a text to standard output, with a line end.
///
/// # Errors
/// A closed pipe, or an output that cannot be written, such as a file on a full disk.
pub fn say(text: &str) -> Result<(), CliError> {
    if text.is_empty() {
        return Ok(());
    }
    let mut output = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    output.write_all(text.as_bytes()).and_then(|()| output.write_all(end.as_bytes())).and_then(|()| output.flush()).map_err(|e| {
        match e.kind() {
            ErrorKind::BrokenPipe => CliError::ClosedPipe,
            _ => CliError::Internal(format!("standard output cannot be written: {e}; send it elsewhere")),
        }
    })
}

/// Writes one JSON document to standard output.
///
/// # Errors
/// As [`say`].
pub fn say_json<T: Serialize + ?Sized>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| CliError::Internal(format!("the answer cannot be written as JSON: {e}")))?;
    say(&text)
}

/// Writes a line to standard error. Where that is closed, there is nobody left to tell.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether standard output may have colours: a terminal, and nobody has asked for none.
#[must_use]
pub fn output_has_colours() -> bool {
    std::io::stdout().is_terminal() && wants_colours()
}

/// Whether standard error is a terminal on which a bar can move.
#[must_use]
pub fn errors_can_move() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The convention is that any value but an empty one means no colours.
#[must_use]
pub fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
