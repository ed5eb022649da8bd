//! `paceline run`: a coordinator and an agent in this process, over a channel, for one job. The job goes the same way as on a cluster,
//! so that its bytes are the same. It must not take a short cut past them.

use crate::args::output::OutputFormat;
use crate::args::run::RunArgs;
use crate::args::submit::{ShareArgs, request_of};
use crate::client::watch::{self, Place};
use crate::exit::{self, CliError};
use crate::private_dir::PrivateDir;
use crate::render::progress::Progress;
use crate::render::stream;
use crate::signal::StopSignals;
use crate::{logging, runtime};
use paceline_agent::{AgentConfig, AgentError, AgentExit, Shutdown, ShutdownHandle};
use paceline_common::host;
use paceline_common::ids::JobId;
use paceline_common::job::{DEFAULT_PRIORITY, JobPlan, JobRequest};
use paceline_common::view::{JobDetail, JobState};
use paceline_coordinator::{Coordinator, CoordinatorConfig, StopReason};
use paceline_wire::client::Client;
use paceline_workloads::publish;
use paceline_workloads::registry::workload_of;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::task::JoinHandle;

/// Runs a job here and now.
///
/// # Errors
/// Bad input, every end of the job but success, an interruption.
pub fn run(args: RunArgs) -> Result<ExitCode, CliError> {
    logging::start_for_run()?;
    let format = args.output.format;
    let config = AgentConfig::of_this_node(args.cores, args.memory).map_err(|e| CliError::BadInput(e.to_string()))?;
    let share = ShareArgs { priority: DEFAULT_PRIORITY, max_cores: None };
    let request = request_of(args.workload, args.terms, share)?;
    // Planned here once more than needed, so that bad input is refused before anything is made, and to know the place of the output.
    let plan = workload_of(&request)?.plan()?;
    let mut directory = PrivateDir::create(&parent_of_parts(&plan), &host::node_name())?;
    if args.keep {
        directory.keep();
        stream::tell(&format!("the job's record, parts and logs are kept in {}", directory.path().display()));
    }
    let progress = if format == OutputFormat::Quiet { Progress::silent() } else { Progress::shown() };
    let detail = runtime::block_on_daemon(run_in(directory.path(), args.keep, config, request, &plan, progress))?;
    exit::of_job(watch::tell_endings(&[detail], true, format, Place::OutputOfRun)?)
}

/// Parts can be as large as the output, so they grow beside it; a job without output has none worth a name.
fn parent_of_parts(plan: &JobPlan) -> PathBuf {
    let beside = plan.output.as_ref().and_then(|output| output.path.parent());
    beside.map_or_else(std::env::temp_dir, Path::to_owned)
}

async fn run_in(
    root: &Path,
    keeps_parts: bool,
    config: AgentConfig,
    request: JobRequest,
    plan: &JobPlan,
    mut progress: Progress,
) -> Result<JobDetail, CliError> {
    let mut signals = StopSignals::listen()?;
    let coordinator = Coordinator::start(CoordinatorConfig { keep_parts: keeps_parts, ..CoordinatorConfig::new(root) })
        .await
        .map_err(|e| CliError::Internal(e.to_string()))?;
    progress.note(&config.cores.to_string());
    let (handle, shutdown) = Shutdown::channel();
    let mut agent = tokio::spawn(paceline_agent::run(config, coordinator.agent_connector(), shutdown));
    let client = coordinator.client();

    let job = client.submit(request).await?;
    let outcome = tokio::select! {
        outcome = watch::until_over_with_log(&client, job, &mut progress) => outcome.map(drop),
        exit = &mut agent => Err(early_exit(exit)),
        signal = signals.next() => {
            progress.note(&format!("{signal}: ending the job; once more leaves at once"));
            end_early(&client, job, &mut signals, &handle).await
        }
    };
    drop(progress);
    let detail = client.job(job).await;
    leave(coordinator, agent, &handle, &mut signals).await;
    if outcome.is_err()
        && let (Some(output), Ok(detail)) = (&plan.output, &detail)
    {
        // The coordinator does this at the end of a job; where it did not come to that, nothing half-written may stay.
        let _ = publish::remove_staging(output, &detail.job.job_dir);
    }
    outcome?;
    Ok(detail?)
}

/// Cancels the job and waits until it is over, or until a second signal.
async fn end_early(client: &Client, job: JobId, signals: &mut StopSignals, handle: &ShutdownHandle) -> Result<(), CliError> {
    let cancelled = async {
        // One that is over already cannot be cancelled, and needs not be.
        let _ = client.cancel(job).await;
        client.wait(job).await
    };
    let end = tokio::select! {
        end = cancelled => end.ok().map(|view| view.state),
        _ = signals.next() => {
            handle.leave_now("interrupted twice");
            None
        }
    };
    Err(CliError::Interrupted(match end {
        Some(JobState::Succeeded) => "interrupted, when the job was already done: its output is whole".to_owned(),
        _ => "interrupted: the job was ended, and no output was written".to_owned(),
    }))
}

/// Takes agent and coordinator down; another signal cuts that short.
async fn leave(
    coordinator: Coordinator,
    agent: JoinHandle<Result<AgentExit, AgentError>>,
    handle: &ShutdownHandle,
    signals: &mut StopSignals,
) {
    handle.leave_now("the job is over");
    let all = async {
        if !agent.is_finished() {
            // How it went does not matter any more: the job is over.
            let _ = agent.await;
        }
        if let StopReason::Failed(message) = coordinator.stop().await {
            tracing::warn!("the embedded coordinator did not stop cleanly: {message}");
        }
    };
    tokio::select! {
        () = all => {}
        _ = signals.next() => {}
    }
}

/// The embedded agent ended before its job: nothing else would compute it.
fn early_exit(exit: Result<Result<AgentExit, AgentError>, tokio::task::JoinError>) -> CliError {
    CliError::Internal(match exit {
        Ok(Ok(AgentExit::Released { reason })) => format!("the embedded agent left before the job was over: {reason}"),
        Ok(Ok(AgentExit::Orphaned { .. } | AgentExit::Interrupted)) => "the embedded agent left before the job was over".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("the embedded agent broke: {error}; please report this"),
    })
}
