//! What the other tasks of the coordinator ask of the driver. The only way to the state that the driver owns.

use crate::coordinator::StopReason;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job::JobRecord;
use paceline_common::job_dir::JobDir;
use paceline_common::message::{AgentHello, AgentReport, ExchangeReply, Registered};
use paceline_common::view::{AgentView, CoordinatorView, JobDetail, JobSummary, JobView};
use tokio::sync::{mpsc, oneshot};

/// Where an answer goes. Sent only after everything that it rests on is on the disk.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// One connection, counted from 1 in the life of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A job that was planned and has its directory.
pub(crate) struct NewJob {
    pub(crate) record: JobRecord,
    pub(crate) dir: JobDir,
}

/// One request to the driver.
pub(crate) enum Command {
    /// Take on a job whose directory stands.
    Submit(Box<NewJob>, Reply<Result<JobId, Refusal>>),
    /// List the jobs.
    Jobs(Reply<Vec<JobView>>),
    /// Look at one job.
    View(JobId, Reply<Result<JobView, Refusal>>),
    /// Look at one job closely.
    Detail(JobId, Reply<Result<JobDetail, Refusal>>),
    /// Answer when the job is over.
    Wait(JobId, Reply<Result<JobView, Refusal>>),
    /// End a job.
    Cancel(JobId, Reply<Result<JobView, Refusal>>),
    /// Let a paused job go on, or try the set-aside items of a failed one again.
    Retry(JobId, Reply<Result<JobView, Refusal>>),
    /// Say why a job is not progressing.
    Explain(JobId, Reply<Result<Vec<String>, Refusal>>),
    /// List the agents.
    Agents(Reply<Vec<AgentView>>),
    /// Describe the coordinator.
    Status(Reply<CoordinatorView>),
    /// Make everything durable and end.
    Stop(StopReason, Option<Reply<()>>),
    /// End at once, as if killed: what is not written yet is lost.
    Abandon,
    /// An agent is there.
    Register(ConnectionId, Box<AgentHello>, Reply<Result<Registered, Refusal>>),
    /// An agent reports.
    Exchange(ConnectionId, Box<AgentReport>, Reply<ExchangeReply>),
    /// A connection of an agent is closed.
    Disconnected(ConnectionId),
    /// The items of a stage were counted.
    StageSized(JobId, StageIdx, Result<u64, Failure>),
    /// The result of a job was summed up.
    Summarized(JobId, Result<JobSummary, Failure>),
}

/// The callers' end of the way to the driver.
#[derive(Clone, Debug)]
pub(crate) struct DriverHandle {
    commands: mpsc::Sender<Command>,
}

impl DriverHandle {
    pub(crate) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Asks and waits for the answer; `None` where the driver has ended.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Tells; nobody answers.
    pub(crate) async fn tell(&self, command: Command) {
        // A driver that has ended has no use for it.
        let _ = self.commands.send(command).await;
    }

    /// Tells where nothing may wait; a full queue drops it.
    pub(crate) fn try_tell(&self, command: Command) {
        let _ = self.commands.try_send(command);
    }

    /// Tells from a thread that may block.
    pub(crate) fn tell_blocking(&self, command: Command) {
        let _ = self.commands.blocking_send(command);
    }
}
