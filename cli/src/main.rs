//! The one binary, `paceline`: arguments in, a client or a daemon in the middle, text for a person (or JSON) out.
//! It must not know how anything is computed, scheduled or stored.

mod args;
mod client;
mod daemon;
mod dispatch;
mod embedded;
mod exit;
mod logging;
mod manual;
mod private_dir;
mod render;
mod runtime;
mod selector;
mod signal;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse().and_then(dispatch::dispatch) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}
