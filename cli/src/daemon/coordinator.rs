//! `paceline coordinator start`.

use crate::args::coordinator::StartArgs;
use crate::exit::CliError;
use crate::logging;
use crate::render::{coordinator, stream};
use crate::runtime;
use crate::signal::StopSignals;
use paceline_coordinator::{Coordinator, CoordinatorConfig, StopReason};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs a coordinator until it is told to stop.
///
/// # Errors
/// Where it cannot start or must stop by itself.
pub fn start(root: PathBuf, args: StartArgs) -> Result<ExitCode, CliError> {
    logging::start_for_daemon(args.log_format)?;
    runtime::block_on_daemon(async {
        let mut signals = StopSignals::listen()?;
        let config = CoordinatorConfig { listen: Some(args.listen), http: args.http, ..CoordinatorConfig::new(&root) };
        let coordinator = Coordinator::start(config).await.map_err(|e| CliError::BadInput(e.to_string()))?;
        stream::say(&coordinator::listening(coordinator.addresses(), &root, coordinator.epoch().0))?;
        tokio::select! {
            signal = signals.next() => tracing::info!("{signal}: stopping"),
            _ = coordinator.stopped() => {}
        }
        match coordinator.stop().await {
            StopReason::Asked => Ok(ExitCode::SUCCESS),
            StopReason::Failed(message) => Err(CliError::Internal(message)),
        }
    })
}
