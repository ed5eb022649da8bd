//! Completions and man pages, generated from the same command tree that parses the arguments.

use crate::args;
use crate::exit::CliError;
use crate::render::stream;
use clap_complete::Shell;
use std::path::Path;
use std::process::ExitCode;

/// Prints the completions of a shell.
///
/// # Errors
/// Where standard output cannot be written.
pub fn completions(shell: Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "paceline", &mut script);
    stream::say(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a man page for every command.
///
/// # Errors
/// Where the directory cannot be made or written.
pub fn man_pages(directory: &Path) -> Result<ExitCode, CliError> {
    let fail =
        |e: std::io::Error| CliError::BadInput(format!("{}: cannot be written: {e}; name a directory of yours", directory.display()));
    std::fs::create_dir_all(directory).map_err(fail)?;
    clap_mangen::generate_to(args::command(), directory).map_err(fail)?;
    stream::tell(&format!("man pages written to {0}; read one with `man {0}/paceline.1`", directory.display()));
    Ok(ExitCode::SUCCESS)
}
