//! The driver: one thread that owns the scheduler, the journal and all sessions. It takes what callers have asked since the last
//! round, tells the scheduler, writes what must outlive the process, and only then lets anything leave: log, then release.

mod actions;
mod agent_commands;
mod ending;
mod job_commands;
mod restore;
mod views;

pub(crate) use ending::unix_ms;

use crate::agents::Agents;
use crate::command::{Command, Reply};
use crate::config::{COMMAND_QUEUE_LEN, MAX_COMMANDS_PER_ROUND, MAX_RECORDS_PER_ROUND, Timings};
use crate::coordinator::StopReason;
use crate::effects::{Effect, Workers};
use crate::jobs::Job;
use crate::journal::{Journal, JournalError, Record};
use crate::logs::LogStore;
use paceline_common::ids::JobId;
use paceline_common::view::JobView;
use paceline_scheduler::Scheduler;
use paceline_scheduler::event::{Event, Time};
use paceline_wire::cluster_dir::{ClusterDir, CoordinatorFile};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Pause between two attempts to write a journal that finds no room.
const JOURNAL_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Between two words in the log on a journal that cannot be written.
const JOURNAL_COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// All that the driver is built from.
pub(crate) struct DriverParts {
    pub(crate) dir: ClusterDir,
    pub(crate) journal: Journal,
    pub(crate) logs: LogStore,
    pub(crate) workers: Workers,
    pub(crate) timings: Timings,
    pub(crate) keep_parts: bool,
    /// Whether unfinished outputs of failed jobs may stay for a retry: not where the directory lives no longer than one run.
    pub(crate) keeps_failed_outputs: bool,
    /// What is published, for `status`.
    pub(crate) file: CoordinatorFile,
    /// Set to end the driver although its journal cannot be written.
    pub(crate) give_up: Arc<AtomicBool>,
}

/// The driver's state.
pub(crate) struct Driver {
    parts: DriverParts,
    scheduler: Scheduler,
    clock: Clock,
    agents: Agents,
    /// Every job that the scheduler knows.
    jobs: BTreeMap<JobId, Job>,
    /// The newest jobs that are over and that the scheduler does not know, for listings.
    ended: BTreeMap<JobId, JobView>,
    n_ended: u32,
    /// What this round has to write.
    records: Vec<Record>,
    /// What this round does once that is written.
    effects: Vec<Effect>,
    stopping: Option<(StopReason, Option<Reply<()>>)>,
}

/// The scheduler's time: monotonic, and standing still while nothing can be decided, so that a full disk is not taken for
/// silent agents.
#[derive(Debug)]
struct Clock {
    start: Instant,
    stood_still: Duration,
}

impl Clock {
    fn now(&self) -> Time {
        let running = self.start.elapsed().saturating_sub(self.stood_still);
        Time(u64::try_from(running.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Driver {
    /// Runs until somebody asks for the end, or until it cannot go on.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) -> StopReason {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return StopReason::Failed(format!("the coordinator's thread could not be started: {error}")),
        };
        match runtime.block_on(self.rounds(&mut commands)) {
            Ok(reason) => reason,
            Err(why) => StopReason::Failed(why),
        }
    }

    async fn rounds(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<StopReason, String> {
        let tick_interval = Duration::from_nanos(self.scheduler.policy().tick_interval_ns);
        let mut next_tick = Instant::now();
        let mut batch = Vec::with_capacity(MAX_COMMANDS_PER_ROUND.min(COMMAND_QUEUE_LEN));
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            // A time that runs out here is a tick, and none left to ask means that nobody is there any more.
            if let Ok(0) = tokio::time::timeout(wait, commands.recv_many(&mut batch, MAX_COMMANDS_PER_ROUND)).await {
                return Ok(StopReason::Asked);
            }
            for command in batch.drain(..) {
                if matches!(command, Command::Abandon) {
                    return Ok(StopReason::Asked);
                }
                self.obey(command);
                if self.records.len() >= MAX_RECORDS_PER_ROUND {
                    self.end_round(false)?;
                }
            }
            if next_tick <= Instant::now() {
                self.tick();
                next_tick = Instant::now() + tick_interval;
            }
            self.end_round(self.stopping.is_some())?;
            if let Some((reason, reply)) = self.stopping.take() {
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
                return Ok(reason);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit(new, reply) => self.submit(*new, reply),
            Command::Jobs(reply) => self.list_jobs(reply),
            Command::View(job, reply) => self.answer(reply, |driver| driver.job_view(job)),
            Command::Detail(job, reply) => self.answer(reply, |driver| driver.job_detail(job)),
            Command::Wait(job, reply) => self.wait(job, reply),
            Command::Cancel(job, reply) => self.answer(reply, |driver| driver.cancel(job)),
            Command::Retry(job, reply) => self.answer(reply, |driver| driver.retry(job)),
            Command::Explain(job, reply) => self.answer(reply, |driver| driver.explain(job)),
            Command::Agents(reply) => self.answer(reply, |driver| driver.agent_views()),
            Command::Status(reply) => self.answer(reply, |driver| driver.coordinator_view()),
            Command::Stop(reason, reply) => self.stopping = Some((reason, reply)),
            Command::Register(connection, hello, reply) => self.answer(reply, |driver| driver.register(connection, *hello)),
            Command::Exchange(connection, report, reply) => self.exchange(connection, *report, reply),
            Command::Disconnected(connection) => self.agents.disconnect(connection, Instant::now()),
            Command::StageSized(job, stage, outcome) => self.stage_sized(job, stage, outcome),
            Command::Summarized(job, outcome) => self.summarized(job, outcome),
            // Taken before the round.
            Command::Abandon => {}
        }
    }

    /// Answers a caller at the end of the round.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, find: impl FnOnce(&mut Self) -> T) {
        let answer = find(self);
        self.effects.push(Effect::answer(reply, answer));
    }

    fn tick(&mut self) {
        for agent in self.agents.not_come_back(Instant::now()) {
            tracing::warn!(%agent, "the agent's connection broke and it did not come back");
            self.lose_agent(agent, "lost");
        }
        self.tell_scheduler(Event::Tick, None);
    }

    /// Makes the round durable and lets its effects out.
    fn end_round(&mut self, sync_all: bool) -> Result<(), String> {
        if (sync_all && !self.records.is_empty()) || self.records.iter().any(Record::needs_sync) {
            self.write_records()?;
        }
        for effect in std::mem::take(&mut self.effects) {
            self.release(effect);
        }
        self.agents.answer_calls(Instant::now());
        Ok(())
    }

    /// Writes the round's records, for as long as it takes where the disk is full: nothing is decided meanwhile, agents keep their
    /// results, and no time passes for the scheduler.
    fn write_records(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let mut last_complaint: Option<Instant> = None;
        loop {
            match self.parts.journal.write(&self.records) {
                Ok(()) => break,
                Err(JournalError::NotNow(why)) if !self.parts.give_up.load(Ordering::Relaxed) => {
                    if last_complaint.is_none_or(|at| at.elapsed() >= JOURNAL_COMPLAINT_INTERVAL) {
                        tracing::error!("{why}");
                        last_complaint = Some(Instant::now());
                    }
                    std::thread::sleep(JOURNAL_RETRY_PAUSE);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        if last_complaint.is_some() {
            self.clock.stood_still += begin.elapsed();
            tracing::info!("the journal can be written again");
        }
        self.records.clear();
        Ok(())
    }

    fn release(&mut self, effect: Effect) {
        let workers = &self.parts.workers;
        match effect {
            Effect::Answer(send) => send(),
            Effect::SizeStage { job, stage } => self.size_stage(job, stage),
            Effect::Summarize { job, stage } => self.sum_up(job, stage),
            Effect::RemoveStaging { output, dir } => workers.remove_staging(output, dir),
            Effect::RemoveParts { dir } => workers.remove_parts(dir),
            Effect::RemoveJobDir { dir } => workers.remove_job_dir(dir),
        }
    }
}
