//! The daemon: starts the runner and the session, measures, and decides when to leave.
//! This file puts the others together; it must not know messages or processes.

use crate::book::Book;
use crate::config::AgentConfig;
use crate::drain::{self, Limits};
use crate::session::Session;
use crate::shared::Shared;
use crate::shutdown::{Ask, Shutdown};
use crate::supervisor::Supervisor;
use crate::usage::UsageMeter;
use paceline_common::host;
use paceline_wire::agent_connector::AgentConnector;
use paceline_wire::error::WireError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often limits are looked at and the usage is measured.
const TICK: Duration = Duration::from_millis(500);
/// How long a drained agent waits to be released, or for its coordinator to come back and take its last reports.
/// Shorter than the 30 s that batch systems usually leave between the word and the kill.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for the end of a killed runner.
const RUNNER_END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(500);

/// Why an agent left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentExit {
    /// All that it had claimed is reported, and the coordinator let it go.
    Released {
        /// Why it left.
        reason: String,
    },
    /// No coordinator was heard for longer than it was to wait.
    Orphaned {
        /// For how long.
        silent_for: Duration,
    },
    /// It was told to leave at once, or its time was over.
    Interrupted,
}

/// Why an agent could not go on. Each is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The coordinator turned it away, or cannot be reached by waiting.
    #[error("{0}")]
    Coordinator(WireError),
    /// The runner's program cannot be started.
    #[error("{0}")]
    RunnerProgram(String),
}

/// Runs an agent until it leaves. Its runner and everything that the runner started are gone when this returns or is dropped.
pub async fn run(config: AgentConfig, connector: AgentConnector, shutdown: Shutdown) -> Result<AgentExit, AgentError> {
    let shared = Shared::new();
    shared.note("info", &format!("{} on {}", config.cores, host::node_name()));
    if let Some(limit) = &config.memory_limit {
        shared.note("info", &format!("memory limit {}: {}", paceline_common::units::display_size(limit.bytes), limit.reason));
    }
    let supervisor = Supervisor::new(&config, &shared);
    let first = supervisor.start().map_err(|e| {
        let program = config.runner_command.program.display();
        AgentError::RunnerProgram(format!(
            "{program}: cannot be started as the runner: {e}; check that the file is there and may be executed"
        ))
    })?;
    let session = Session::new(&config, &connector, &shared);
    let keeper = Keeper { config: &config, shared: &shared, session: &session, supervisor: &supervisor, begin: Instant::now() };
    let mut supervising = std::pin::pin!(supervisor.run(first));
    let outcome = tokio::select! {
        error = session.run() => Err(AgentError::Coordinator(error)),
        exit = keeper.keep(shutdown) => Ok(exit),
        // It ends only when it is told to, below.
        () = &mut supervising => return Err(AgentError::RunnerProgram("the runner is not supervised any more; report this as a bug".to_owned())),
    };
    supervisor.stop.cancel();
    // A process that hangs in a network filesystem dies later; it is killed either way.
    let _ = tokio::time::timeout(RUNNER_END_TIMEOUT, supervising).await;
    outcome
}

/// Decides when to leave.
struct Keeper<'a> {
    config: &'a AgentConfig,
    shared: &'a Shared,
    session: &'a Session<'a>,
    supervisor: &'a Supervisor<'a>,
    begin: Instant,
}

impl Keeper<'_> {
    async fn keep(&self, mut shutdown: Shutdown) -> AgentExit {
        let limits = self.limits();
        let mut meter = UsageMeter::default();
        let mut ticks = tokio::time::interval(TICK);
        let mut drained_at: Option<Instant> = None;
        loop {
            tokio::select! {
                ask = shutdown.asked() => match ask {
                    Ask::Stay => {}
                    Ask::Drain(reason) => self.drain(&reason),
                    Ask::LeaveNow(reason) => return self.leave_now(&reason).await,
                },
                () = self.shared.for_daemon.notified() => {}
                _ = ticks.tick() => {
                    self.measure(&mut meter);
                    if let Some(exit) = self.look_at_limits(limits).await {
                        return exit;
                    }
                }
            }
            if let Some(exit) = self.look_at_drain(&mut drained_at).await {
                return exit;
            }
        }
    }

    fn limits(&self) -> Limits {
        let time_limit = [self.config.time_limit, host::slurm_time_left()].into_iter().flatten().min();
        Limits { idle_timeout: self.config.idle_timeout, time_limit }
    }

    fn measure(&self, meter: &mut UsageMeter) {
        let pid = self.supervisor.pid.load(Ordering::Relaxed);
        let mapped_bytes = self.shared.read(Book::mapped_bytes);
        let usage = meter.measure((pid != 0).then_some(pid), mapped_bytes);
        self.shared.take(|book| book.set_usage(usage));
    }

    async fn look_at_limits(&self, limits: Limits) -> Option<AgentExit> {
        let uptime = self.begin.elapsed();
        let (idle_for, p95) = self.shared.read(|book| (book.idle_for(Instant::now()), book.p95_lease()));
        if let Some(reason) = drain::reason_to_drain(limits, uptime, idle_for, p95) {
            self.drain(&reason);
        }
        if limits.time_limit.is_some_and(|limit| uptime >= limit) {
            return Some(self.leave_now("its time is over").await);
        }
        let silent_for = self.session.silent_for();
        (self.config.orphan_timeout.is_some_and(|timeout| silent_for >= timeout)).then_some(AgentExit::Orphaned { silent_for })
    }

    fn drain(&self, reason: &str) {
        if self.shared.read(|book| book.draining().is_none()) {
            self.shared.note("info", &format!("draining: {reason}"));
            self.shared.change(|book| book.drain(reason));
        }
    }

    /// Whether draining has come to its end: released, or nothing left to report and nobody to release it.
    async fn look_at_drain(&self, drained_at: &mut Option<Instant>) -> Option<AgentExit> {
        let (is_released, draining, holds_nothing) =
            self.shared.read(|book| (book.is_released(), book.draining().map(str::to_owned), book.holds_nothing()));
        let reason = draining.clone().unwrap_or_else(|| "the coordinator released it".to_owned());
        // Nothing to hand in, and nobody to be released by.
        if draining.is_some() && !self.session.is_connected() && self.shared.read(Book::has_nothing_to_hand_in) {
            return Some(AgentExit::Released { reason });
        }
        let has_waited = match draining {
            Some(_) if holds_nothing => drained_at.get_or_insert_with(Instant::now).elapsed() >= RELEASE_TIMEOUT,
            _ => false,
        };
        if is_released || has_waited {
            self.say_goodbye().await;
            return Some(AgentExit::Released { reason });
        }
        None
    }

    async fn leave_now(&self, reason: &str) -> AgentExit {
        tracing::info!("leaving at once: {reason}");
        self.say_goodbye().await;
        AgentExit::Interrupted
    }

    /// Reports what is left, with the word that nothing follows; a coordinator that is away finds out by itself.
    async fn say_goodbye(&self) {
        self.shared.change(Book::leave);
        let settled = async {
            while !self.shared.read(Book::owes_nothing) {
                self.shared.for_daemon.notified().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, settled).await;
    }
}
