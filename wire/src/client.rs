//! The client library: every call of the `Control` service with a deadline of its own, over TLS or within the process.

use crate::cluster_dir::ClusterDir;
use crate::codec;
use crate::connect;
use crate::error::WireError;
use crate::opening::Service;
use crate::service::{ControlClient, ControlRequest, ControlResponse};
use paceline_common::failure::Refusal;
use paceline_common::ids::JobId;
use paceline_common::job::JobRequest;
use paceline_common::view::{AgentView, CoordinatorView, JobDetail, JobView, LogPage};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tarpc::client::{Config, RpcError};
use tarpc::context::Context;

/// How long a call that only looks may take: far more than the coordinator needs, so that a busy machine is not taken for a dead one.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a submission may take: the coordinator looks at every input, perhaps on a slow filesystem.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(300);
/// How long one long poll of [`Client::wait`] is held.
const WAIT_POLL: Duration = Duration::from_secs(60);
/// How long a call that may be repeated waits for a coordinator that is being restarted.
pub const RESTART_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two attempts to reach a coordinator that is being restarted.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Longest settings of one job; a workload's settings are a page at most, and lists of items belong in files.
pub const MAX_SETTINGS_BYTES: usize = 1 << 20;

/// A connection to a coordinator. Cheap to clone; the clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where to connect anew; `None` within the process.
    dir: Option<ClusterDir>,
    link: Mutex<Link>,
}

#[derive(Clone, Debug)]
struct Link {
    control: ControlClient,
    address: String,
    /// Counts the connections, so that of two callers that saw the same one break only the first makes another.
    generation: u64,
}

impl Client {
    /// Connects to the coordinator of a cluster directory. Must be called within a tokio runtime.
    pub async fn connect(dir: &ClusterDir) -> Result<Self, WireError> {
        let link = open(dir, 0).await?;
        Ok(Self { shared: Arc::new(Shared { dir: Some(dir.clone()), link: Mutex::new(link) }) })
    }

    /// A client of a coordinator in this process.
    #[must_use]
    pub fn in_process(control: ControlClient) -> Self {
        let link = Link { control, address: "this process".to_owned(), generation: 0 };
        Self { shared: Arc::new(Shared { dir: None, link: Mutex::new(link) }) }
    }

    /// Submits a job; it is durable when this returns. Never repeated by itself: where the answer is lost the job may run.
    pub async fn submit(&self, request: JobRequest) -> Result<JobId, WireError> {
        let n_bytes = request.settings_json.len();
        if n_bytes > MAX_SETTINGS_BYTES {
            return Err(Refusal::bad_input(format!(
                "the job's settings have {n_bytes} bytes, of which at most {MAX_SETTINGS_BYTES} are taken; put lists into a file"
            ))
            .into());
        }
        self.once(SUBMIT_TIMEOUT, |control, context| async move { control.submit(context, request).await }).await
    }

    /// Every job, oldest first.
    pub async fn jobs(&self) -> Result<Vec<JobView>, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.jobs(context).await }).await
    }

    /// All there is to know of one job.
    pub async fn job(&self, job: JobId) -> Result<JobDetail, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.job(context, job).await }).await
    }

    /// Waits until a job is over, across restarts of the coordinator.
    pub async fn wait(&self, job: JobId) -> Result<JobView, WireError> {
        loop {
            let view = self.wait_at_most(job, WAIT_POLL).await?;
            if view.state.is_over() {
                return Ok(view);
            }
        }
    }

    /// Where a job stands when it is over, or after `timeout` at the latest.
    pub async fn wait_at_most(&self, job: JobId, timeout: Duration) -> Result<JobView, WireError> {
        let timeout_ms = u64::try_from(timeout.min(WAIT_POLL).as_millis()).unwrap_or(u64::MAX);
        self.repeated(timeout.min(WAIT_POLL) + CALL_TIMEOUT, |control, context| async move { control.wait(context, job, timeout_ms).await })
            .await
    }

    /// Ends a job.
    pub async fn cancel(&self, job: JobId) -> Result<JobView, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.cancel(context, job).await }).await
    }

    /// Lets a paused job go on, or tries the set-aside items of a failed one again.
    pub async fn retry(&self, job: JobId) -> Result<JobView, WireError> {
        self.once(CALL_TIMEOUT, |control, context| async move { control.retry(context, job).await }).await
    }

    /// Why a job is not progressing, a sentence an entry.
    pub async fn explain(&self, job: JobId) -> Result<Vec<String>, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.explain(context, job).await }).await
    }

    /// Stored log lines from `offset` on; 0 for the first, then [`LogPage::next_offset`].
    pub async fn logs(&self, job: JobId, offset: u64) -> Result<LogPage, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.logs(context, job, offset).await }).await
    }

    /// Every agent.
    pub async fn agents(&self) -> Result<Vec<AgentView>, WireError> {
        self.repeated(CALL_TIMEOUT, |control, context| async move { control.agents(context).await }).await
    }

    /// The coordinator itself. Not repeated: where it does not answer, that is the answer.
    pub async fn status(&self) -> Result<CoordinatorView, WireError> {
        self.once(CALL_TIMEOUT, |control, context| async move { control.status(context).await }).await
    }

    /// Asks the coordinator to make everything durable and exit.
    pub async fn stop(&self) -> Result<(), WireError> {
        self.once(CALL_TIMEOUT, |control, context| async move { control.stop(context).await }).await
    }

    fn link(&self) -> Link {
        self.shared.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One attempt of one call.
    async fn once<T, F>(&self, timeout: Duration, call: impl FnOnce(ControlClient, Context) -> F) -> Result<T, WireError>
    where
        F: Future<Output = Result<Result<T, Refusal>, RpcError>>,
    {
        let Link { control, address, .. } = self.link();
        match call(control, context_for(timeout)).await {
            Ok(answer) => answer.map_err(WireError::Refused),
            Err(error) => Err(WireError::from_rpc(&address, &error)),
        }
    }

    /// A call that may be made twice without harm: over a new connection where the old one broke, for a coordinator that was
    /// restarted, until [`RESTART_PATIENCE`] is over.
    async fn repeated<T, F>(&self, timeout: Duration, call: impl Fn(ControlClient, Context) -> F) -> Result<T, WireError>
    where
        F: Future<Output = Result<Result<T, Refusal>, RpcError>>,
    {
        let begin = Instant::now();
        loop {
            let generation = self.link().generation;
            match self.once(timeout, &call).await {
                Err(error) if error.is_lost() && self.shared.dir.is_some() && begin.elapsed() < RESTART_PATIENCE + timeout => {
                    self.reconnect(generation).await?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn reconnect(&self, broken: u64) -> Result<(), WireError> {
        let begin = Instant::now();
        let Some(dir) = &self.shared.dir else { return Ok(()) };
        loop {
            if self.link().generation != broken {
                return Ok(());
            }
            match open(dir, broken + 1).await {
                Ok(link) => {
                    *self.shared.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
                    return Ok(());
                }
                Err(error) if !error.is_retryable() || begin.elapsed() > RESTART_PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(RECONNECT_PAUSE).await,
            }
        }
    }
}

async fn open(dir: &ClusterDir, generation: u64) -> Result<Link, WireError> {
    let connection = connect::open(dir, Service::Control).await?;
    let address = connection.address.clone();
    let transport = codec::transport::<_, tarpc::Response<ControlResponse>, tarpc::ClientMessage<ControlRequest>>(connection.stream);
    let tarpc::client::NewClient { client, dispatch } = ControlClient::new(Config::default(), transport);
    spawn_dispatch(dispatch);
    Ok(Link { control: client, address, generation })
}

/// Drives a connection. Its end is no news here: every call that it carries fails with it.
pub(crate) fn spawn_dispatch<E: std::fmt::Debug>(dispatch: impl Future<Output = Result<(), E>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = dispatch.await {
            tracing::debug!(?error, "connection broken");
        }
    });
}

/// A call's context with a deadline of its own: the default of ten seconds suits neither long polls nor submissions.
pub(crate) fn context_for(timeout: Duration) -> Context {
    let mut context = tarpc::context::current();
    context.deadline = Instant::now() + timeout;
    context
}

/// Callers spawn these calls: a future that could not move between threads would be found here and not at each of them.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_can_be_spawned() {
        fn is_send<T: Send>(_: impl Fn(Client, JobRequest) -> T) {}
        is_send(|client, request| async move { client.submit(request).await });
        is_send(|client, _| async move { client.wait(JobId(1)).await });
        is_send(|client, _| async move { client.status().await });
    }
}
