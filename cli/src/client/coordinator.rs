//! `paceline coordinator status` and `stop`.

use super::connect::{cluster_root, connect};
use crate::args::output::OutputFormat;
use crate::exit::CliError;
use crate::render::{coordinator, stream};
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::error::WireError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a coordinator may take to make everything durable and go.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether it has gone.
const STOP_POLL: Duration = Duration::from_millis(10);

/// Shows where the coordinator is and what it has to do.
///
/// # Errors
/// What the connection or standard output brings.
pub async fn status(cluster: Option<PathBuf>, format: OutputFormat) -> Result<ExitCode, CliError> {
    let root = cluster_root(cluster)?;
    let view = connect(Some(root.clone())).await?.status().await?;
    match format {
        OutputFormat::Json => stream::say_json(&view)?,
        OutputFormat::Quiet => stream::say(&view.addresses.join("\n"))?,
        OutputFormat::Table => stream::say(&coordinator::standing(&view, &root))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops the coordinator, and returns when it has gone: another can be started at once.
///
/// # Errors
/// What the connection brings, and a coordinator that does not go.
pub async fn stop(cluster: Option<PathBuf>) -> Result<ExitCode, CliError> {
    let directory = ClusterDir::open(&cluster_root(cluster)?)?;
    let epoch = directory.read_coordinator()?.epoch;
    connect(Some(directory.root().to_owned())).await?.stop().await?;
    let begin = Instant::now();
    // It takes its address out of the directory as the last thing that it does.
    loop {
        match directory.read_coordinator() {
            Err(WireError::NotRunning(_)) => break,
            Ok(file) if file.epoch != epoch => break,
            Ok(_) if begin.elapsed() < STOP_PATIENCE => tokio::time::sleep(STOP_POLL).await,
            Ok(file) => {
                return Err(CliError::Internal(format!(
                    "the coordinator (process {} on {}) was asked to stop and has not gone after {} s; see its log",
                    file.pid,
                    file.host,
                    STOP_PATIENCE.as_secs()
                )));
            }
            Err(other) => return Err(other.into()),
        }
    }
    stream::tell("coordinator stopped; its jobs go on when it is started again");
    Ok(ExitCode::SUCCESS)
}
