//! The two services of a coordinator: one for agents, one for clients. A peer's certificate says which of them it may call, so
//! an agent's key cannot submit and a client's key cannot report.

use paceline_common::failure::Refusal;
use paceline_common::ids::JobId;
use paceline_common::job::JobRequest;
use paceline_common::message::{AgentHello, AgentReport, ExchangeReply, Registered};
use paceline_common::view::{AgentView, CoordinatorView, JobDetail, JobView, LogPage};

/// What agents call.
#[tarpc::service]
pub trait AgentLink {
    /// The first call of every connection.
    async fn register(hello: AgentHello) -> Result<Registered, Refusal>;

    /// Everything new from the agent for everything new to it. Held open while there is nothing to say, at most for the
    /// heartbeat interval; an exchange that comes meanwhile releases the one before it with `Superseded`.
    async fn exchange(report: AgentReport) -> ExchangeReply;
}

/// What clients call.
#[tarpc::service]
pub trait Control {
    /// Checks a job against its inputs and takes it on; durable when this returns.
    async fn submit(request: JobRequest) -> Result<JobId, Refusal>;

    /// Every job, oldest first, at most `MAX_JOBS_LISTED` of the newest.
    async fn jobs() -> Result<Vec<JobView>, Refusal>;

    /// All there is to know of one job.
    async fn job(job: JobId) -> Result<JobDetail, Refusal>;

    /// Answers when the job is over, or after `timeout_ms` with where it stands then.
    async fn wait(job: JobId, timeout_ms: u64) -> Result<JobView, Refusal>;

    /// Ends a job; its committed parts stay.
    async fn cancel(job: JobId) -> Result<JobView, Refusal>;

    /// Lets a paused job go on, or tries the set-aside items of a failed one again.
    async fn retry(job: JobId) -> Result<JobView, Refusal>;

    /// Why a job is not progressing, a sentence an entry.
    async fn explain(job: JobId) -> Result<Vec<String>, Refusal>;

    /// Stored log lines from `offset` on (0 for the first).
    async fn logs(job: JobId, offset: u64) -> Result<LogPage, Refusal>;

    /// Every agent of this coordinator's life, the lost ones too while they are remembered.
    async fn agents() -> Result<Vec<AgentView>, Refusal>;

    /// The coordinator itself.
    async fn status() -> Result<CoordinatorView, Refusal>;

    /// Asks the coordinator to make everything durable and exit. Agents keep their leases and wait for the next one.
    async fn stop() -> Result<(), Refusal>;
}

/// Most jobs in one listing.
pub const MAX_JOBS_LISTED: usize = 1000;
