//! `paceline agent start`, and the runner that it starts.

use crate::args::agent::StartArgs;
use crate::exit::CliError;
use crate::logging;
use crate::render::stream;
use crate::runtime;
use paceline_agent::{AgentConfig, AgentExit, Shutdown};
use paceline_common::units::display_duration;
use paceline_wire::agent_connector::AgentConnector;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs an agent until it is released, drained or told to leave.
///
/// # Errors
/// Where it cannot start, is refused, or has been without a coordinator for too long.
pub fn start(root: PathBuf, args: StartArgs) -> Result<ExitCode, CliError> {
    logging::start_for_daemon(args.log_format)?;
    let refused = |e: paceline_agent::AgentError| CliError::BadInput(e.to_string());
    let config = AgentConfig {
        idle_timeout: args.idle_timeout,
        time_limit: args.time_limit,
        orphan_timeout: args.orphan_timeout,
        scratch: args.scratch(),
        ..AgentConfig::of_this_node(args.cores, args.memory).map_err(refused)?
    };
    stream::say(&format!("agent for cluster {}: {}", root.display(), config.cores))?;
    let exit = runtime::block_on_daemon(async {
        let shutdown = Shutdown::signals().map_err(|e| CliError::Internal(format!("signals cannot be received: {e}; try again")))?;
        paceline_agent::run(config, AgentConnector::cluster(&root), shutdown).await.map_err(refused)
    })?;
    match exit {
        AgentExit::Released { reason } => {
            stream::tell(&format!("agent left: {reason}"));
            Ok(ExitCode::SUCCESS)
        }
        AgentExit::Orphaned { silent_for } => Err(CliError::Unreachable(format!(
            "{}: no coordinator has answered for {}; start one with `paceline coordinator start`",
            root.display(),
            display_duration(silent_for)
        ))),
        AgentExit::Interrupted => Err(CliError::Interrupted("agent left at once; its work is done elsewhere".to_owned())),
    }
}
