//! Where this process's own log goes: standard error, filtered by $PACELINE_LOG or $RUST_LOG. It must not know what is logged.

use crate::exit::CliError;
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The form of a daemon's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The library logs every call as information and every connection that a peer closes as a warning: both are noise unless asked for.
const QUIET_LIBRARIES: &str = "tarpc=error";

/// Starts the log of a command that a person waits for: warnings and errors.
///
/// # Errors
/// Where the filter in the environment makes no sense.
pub fn start_for_client() -> Result<(), CliError> {
    start("warn", LogFormat::Text)
}

/// Starts the log of an embedded run: warnings and errors, those of one side only, since the coordinator repeats what the agent says.
///
/// # Errors
/// Where the filter in the environment makes no sense.
pub fn start_for_run() -> Result<(), CliError> {
    start("warn,paceline_coordinator=error", LogFormat::Text)
}

/// Starts the log of a daemon: what happens, too.
///
/// # Errors
/// Where the filter in the environment makes no sense.
pub fn start_for_daemon(format: LogFormat) -> Result<(), CliError> {
    start("info", format)
}

fn start(default_level: &str, format: LogFormat) -> Result<(), CliError> {
    let filter = filter_from(default_level)?;
    let use_colour = std::io::stderr().is_terminal() && crate::render::stream::wants_colours();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(use_colour).with_target(false);
    // A second start in one process changes nothing, and is none of the user's business.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    Ok(())
}

fn filter_from(default_level: &str) -> Result<EnvFilter, CliError> {
    let set = ["PACELINE_LOG", "RUST_LOG"].into_iter().find_map(|name| Some((name, std::env::var(name).ok().filter(|v| !v.is_empty())?)));
    let (name, directives) = set.unwrap_or(("PACELINE_LOG", default_level.to_owned()));
    // What the user says of the library comes later, and so wins.
    EnvFilter::try_new(format!("{QUIET_LIBRARIES},{directives}"))
        .map_err(|e| CliError::BadInput(format!("{name}: `{directives}` is no log filter: {e}; write a level such as debug")))
}
