//! The service for clients. Looking at inputs and logs is done here, on other threads; everything else goes to the driver.

use crate::command::{Command, DriverHandle, NewJob, Reply};
use crate::config::MAX_PLANS_AT_ONCE;
use crate::coordinator::StopReason;
use crate::driver::unix_ms;
use crate::job_work;
use crate::logs::{self, DropCounts};
use paceline_common::failure::Refusal;
use paceline_common::ids::JobId;
use paceline_common::job::{JobPlan, JobRecord, JobRequest};
use paceline_common::view::{AgentView, CoordinatorView, JobDetail, JobView, LogPage};
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::service::Control;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tarpc::context::Context;
use tokio::sync::Semaphore;

/// Longer than a stopping coordinator keeps its connections open.
const CLOSING_SOON: Duration = Duration::from_secs(1);

/// Serves every client.
#[derive(Clone, Debug)]
pub(crate) struct ControlServer {
    driver: DriverHandle,
    dir: ClusterDir,
    dropped: DropCounts,
    last_job: Arc<AtomicU32>,
    plans: Arc<Semaphore>,
}

impl ControlServer {
    pub(crate) fn new(driver: DriverHandle, dir: ClusterDir, dropped: DropCounts, last_job: JobId) -> Self {
        Self { driver, dir, dropped, last_job: Arc::new(AtomicU32::new(last_job.0)), plans: Arc::new(Semaphore::new(MAX_PLANS_AT_ONCE)) }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<Result<T, Refusal>>) -> Command) -> Result<T, Refusal> {
        self.driver.ask(command).await.unwrap_or_else(|| Err(stopping()))
    }

    /// Plans a job, makes its directory and hands it to the driver.
    async fn take_on(self, request: JobRequest) -> Result<JobId, Refusal> {
        let _place = self.plans.acquire().await.map_err(|_| stopping())?;
        let server = self.clone();
        let new = blocking(move || server.prepare(request)).await??;
        self.ask(|reply| Command::Submit(Box::new(new), reply)).await
    }

    fn prepare(&self, request: JobRequest) -> Result<NewJob, Refusal> {
        let plan = job_work::plan(&request)?;
        loop {
            // A number whose directory stands was given to a job that was never acknowledged, before a crash; it is not used again.
            let job = JobId(self.last_job.fetch_add(1, Ordering::Relaxed) + 1);
            let dir = self.dir.job_dir(job);
            let record = record(job, &request, &plan);
            if job_work::create_job_dir(&dir, &record)? {
                return Ok(NewJob { record, dir });
            }
        }
    }
}

fn record(job: JobId, request: &JobRequest, plan: &JobPlan) -> JobRecord {
    JobRecord { job, request: request.clone(), plan: plan.clone(), submitted_at_ms: unix_ms() }
}

fn stopping() -> Refusal {
    Refusal::internal("the coordinator is stopping; start it again with `paceline coordinator start`")
}

/// Runs work that may block, and turns a panic in it into an answer.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::internal("the coordinator met an error of its own; report it, and try again"))
}

impl Control for ControlServer {
    async fn submit(self, _: Context, request: JobRequest) -> Result<JobId, Refusal> {
        // In a task of its own: a client that hangs up must not leave a job half taken on.
        let task = tokio::spawn(self.take_on(request));
        task.await.unwrap_or_else(|_| Err(stopping()))
    }

    async fn jobs(self, _: Context) -> Result<Vec<JobView>, Refusal> {
        self.driver.ask(Command::Jobs).await.ok_or_else(stopping)
    }

    async fn job(self, _: Context, job: JobId) -> Result<JobDetail, Refusal> {
        self.ask(|reply| Command::Detail(job, reply)).await
    }

    async fn wait(self, _: Context, job: JobId, timeout_ms: u64) -> Result<JobView, Refusal> {
        let end = self.ask(|reply| Command::Wait(job, reply));
        match tokio::time::timeout(Duration::from_millis(timeout_ms), end).await {
            Ok(Err(refusal)) if refusal == stopping() => {
                // Its connection is closed in a moment, which tells the client to go on waiting at the next coordinator.
                tokio::time::sleep(CLOSING_SOON).await;
                Err(refusal)
            }
            Ok(answer) => answer,
            Err(_) => self.ask(|reply| Command::View(job, reply)).await,
        }
    }

    async fn cancel(self, _: Context, job: JobId) -> Result<JobView, Refusal> {
        self.ask(|reply| Command::Cancel(job, reply)).await
    }

    async fn retry(self, _: Context, job: JobId) -> Result<JobView, Refusal> {
        self.ask(|reply| Command::Retry(job, reply)).await
    }

    async fn explain(self, _: Context, job: JobId) -> Result<Vec<String>, Refusal> {
        self.ask(|reply| Command::Explain(job, reply)).await
    }

    async fn logs(self, _: Context, job: JobId, offset: u64) -> Result<LogPage, Refusal> {
        let view = self.ask(|reply| Command::View(job, reply)).await?;
        let page = blocking(move || logs::read_page(&self.dir, job, offset, view.state.is_over(), &self.dropped)).await?;
        page.map_err(|e| Refusal::internal(format!("job {job}: its log cannot be read: {e}")))
    }

    async fn agents(self, _: Context) -> Result<Vec<AgentView>, Refusal> {
        self.driver.ask(Command::Agents).await.ok_or_else(stopping)
    }

    async fn status(self, _: Context) -> Result<CoordinatorView, Refusal> {
        self.driver.ask(Command::Status).await.ok_or_else(stopping)
    }

    async fn stop(self, _: Context) -> Result<(), Refusal> {
        self.driver.ask(|reply| Command::Stop(StopReason::Asked, Some(reply))).await.ok_or_else(stopping)
    }
}
