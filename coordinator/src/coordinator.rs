//! Starting and stopping a coordinator: the directory is locked, the journal read back, the driver's thread and the servers are
//! started, and the address is published last.

use crate::agent_link::AgentLinkServer;
use crate::command::{Command, ConnectionId, DriverHandle};
use crate::config::{COMMAND_QUEUE_LEN, CoordinatorConfig};
use crate::control::ControlServer;
use crate::driver::{Driver, DriverParts};
use crate::effects::Workers;
use crate::http;
use crate::journal::{Journal, JournalError};
use crate::lock::DirectoryLock;
use crate::logs::LogStore;
use crate::server::{self, Server};
use paceline_common::host::node_name;
use paceline_common::ids::Epoch;
use paceline_common::message::PROTOCOL_VERSION;
use paceline_wire::agent_connector::AgentConnector;
use paceline_wire::client::Client;
use paceline_wire::cluster_dir::{ClusterDir, CoordinatorFile};
use paceline_wire::error::WireError;
use paceline_wire::local;
use paceline_wire::service::{AgentLink as _, AgentLinkClient, Control as _, ControlClient};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// Time for the last answers to leave before their connections are closed.
const LAST_ANSWERS: Duration = Duration::from_millis(50);
/// How long a stop waits for a journal that cannot be written.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a coordinator was not started. One sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Another coordinator runs on the same directory.
    #[error("{0}")]
    AlreadyRunning(String),
    /// The directory, its keys or its journal cannot be used.
    #[error("{0}")]
    Directory(String),
    /// It cannot listen where it shall.
    #[error("{0}")]
    Listen(String),
}

impl StartError {
    /// Whether another coordinator is in the way.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::AlreadyRunning(_))
    }
}

impl From<WireError> for StartError {
    fn from(error: WireError) -> Self {
        Self::Directory(error.to_string())
    }
}

impl From<JournalError> for StartError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::InUse(why) => Self::AlreadyRunning(why),
            JournalError::NotNow(why) | JournalError::Unusable(why) => Self::Directory(why),
        }
    }
}

/// Why a coordinator has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Asked,
    /// It could not go on; one sentence.
    Failed(String),
}

/// A running coordinator.
#[derive(Debug)]
pub struct Coordinator {
    dir: ClusterDir,
    file: CoordinatorFile,
    driver: DriverHandle,
    thread: Option<JoinHandle<()>>,
    ended: watch::Receiver<Option<StopReason>>,
    give_up: Arc<AtomicBool>,
    workers: Workers,
    control: ControlServer,
    next_connection: Arc<AtomicU64>,
    http_address: Option<SocketAddr>,
    tasks: Vec<AbortHandle>,
    is_published: bool,
    _lock: DirectoryLock,
}

impl Coordinator {
    /// Starts a coordinator. Must be called within a multi-threaded tokio runtime, which it uses until it is stopped.
    pub async fn start(config: CoordinatorConfig) -> Result<Self, StartError> {
        let dir = ClusterDir::create(&config.root)?;
        let lock = DirectoryLock::take(&dir).await?;
        let server = match config.listen {
            Some(address) => Some(Server::bind(&dir, address).await?),
            None => None,
        };
        let http = match config.http {
            Some(address) => Some(http::bind(address).await?),
            None => None,
        };
        let journal = Journal::open(&dir.journal_path())?;
        let file = CoordinatorFile {
            addresses: server.as_ref().map(Server::addresses).unwrap_or_default(),
            epoch: journal.epoch(),
            host: node_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_version: PROTOCOL_VERSION,
            started_at: jiff::Timestamp::now().to_string(),
        };
        let mut coordinator = Self::drive(&config, dir, file, journal, lock)?;
        coordinator.serve(&config, server, http)?;
        Ok(coordinator)
    }

    /// Reads the journal back and starts the driver's thread.
    fn drive(
        config: &CoordinatorConfig,
        dir: ClusterDir,
        file: CoordinatorFile,
        journal: Journal,
        lock: DirectoryLock,
    ) -> Result<Self, StartError> {
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE_LEN);
        let handle = DriverHandle::new(commands);
        let no_thread = |e: std::io::Error| StartError::Directory(format!("a thread of the coordinator could not be started: {e}"));
        let logs = LogStore::start(&dir).map_err(no_thread)?;
        let control = ControlServer::new(handle.clone(), dir.clone(), logs.dropped(), journal.last_job()?);
        let give_up = Arc::new(AtomicBool::new(false));
        let workers = Workers::new(Handle::current(), handle.clone());
        let driver = Driver::restore(DriverParts {
            dir: dir.clone(),
            journal,
            logs,
            workers: workers.clone(),
            timings: config.timings,
            keep_parts: config.keep_parts,
            keeps_failed_outputs: config.listen.is_some(),
            file: file.clone(),
            give_up: give_up.clone(),
        })?;
        let (says_end, ended) = watch::channel(None);
        let thread = std::thread::Builder::new().name("paceline-driver".to_owned()).spawn(move || {
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || driver.run(queue)));
            let reason = run.unwrap_or_else(|_| {
                StopReason::Failed("the coordinator was ended by an error of its own; restart it, no committed work is lost".to_owned())
            });
            says_end.send_replace(Some(reason));
        });
        Ok(Self {
            dir,
            file,
            driver: handle,
            thread: Some(thread.map_err(no_thread)?),
            ended,
            give_up,
            workers,
            control,
            next_connection: Arc::new(AtomicU64::new(1)),
            http_address: None,
            tasks: Vec::new(),
            is_published: false,
            _lock: lock,
        })
    }

    /// Opens the doors, and publishes the address when they are open.
    fn serve(&mut self, config: &CoordinatorConfig, server: Option<Server>, http: Option<http::HttpServer>) -> Result<(), StartError> {
        if let Some(http) = http {
            self.http_address = Some(http.address());
            self.tasks.push(tokio::spawn(http.run(self.driver.clone())).abort_handle());
        }
        let Some(server) = server else { return Ok(()) };
        let task = server.run(self.control.clone(), self.driver.clone(), self.next_connection.clone());
        self.tasks.push(tokio::spawn(task).abort_handle());
        self.dir.write_coordinator(&self.file)?;
        self.is_published = true;
        let watch = watch_epoch(self.dir.clone(), self.file.epoch, self.driver.clone(), config.timings.fence_check_interval);
        self.tasks.push(tokio::spawn(watch).abort_handle());
        Ok(())
    }

    /// A client within this process.
    #[must_use]
    pub fn client(&self) -> Client {
        let (caller, end) = local::pair();
        tokio::spawn(server::answer(server::calls(end, self.control.clone().serve())));
        Client::in_process(ControlClient::new(tarpc::client::Config::default(), caller).spawn())
    }

    /// The way for an agent within this process.
    #[must_use]
    pub fn agent_connector(&self) -> AgentConnector {
        let (driver, next) = (self.driver.clone(), self.next_connection.clone());
        AgentConnector::in_process(move || {
            let (caller, end) = local::pair();
            let connection = ConnectionId(next.fetch_add(1, Ordering::Relaxed));
            let driver = driver.clone();
            tokio::spawn(async move {
                server::answer(server::calls(end, AgentLinkServer::new(driver.clone(), connection).serve())).await;
                driver.tell(Command::Disconnected(connection)).await;
            });
            AgentLinkClient::new(tarpc::client::Config::default(), caller).spawn()
        })
    }

    /// Every "host:port" at which it may be reached; none for a coordinator within one process.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.file.addresses
    }

    /// Where metrics are served.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Which start on its directory this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.file.epoch
    }

    /// Resolves when the coordinator has ended by itself or at a client's request; call [`Self::stop`] then.
    pub async fn stopped(&self) -> StopReason {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| StopReason::Failed("the coordinator's thread is gone; restart it, no committed work is lost".to_owned()))
    }

    /// Makes everything durable, withdraws the address and lets the directory go. Agents keep their leases for the next coordinator.
    pub async fn stop(self) -> StopReason {
        self.driver.tell(Command::Stop(StopReason::Asked, None)).await;
        let reason = match tokio::time::timeout(STOP_PATIENCE, self.stopped()).await {
            Ok(reason) => reason,
            Err(_) => {
                self.give_up.store(true, Ordering::Relaxed);
                self.stopped().await
            }
        };
        let workers = self.workers.clone();
        let _ = tokio::task::spawn_blocking(move || workers.finish_removals()).await;
        if self.is_published {
            tokio::time::sleep(LAST_ANSWERS).await;
            self.withdraw();
        }
        reason
    }

    /// Removes the published address, unless a newer coordinator has put its own there.
    fn withdraw(&self) {
        let is_ours = self.dir.read_coordinator().is_ok_and(|file| file.epoch == self.file.epoch && file.pid == self.file.pid);
        if is_ours && let Err(error) = self.dir.remove_coordinator() {
            tracing::warn!(%error, "the published address could not be withdrawn");
        }
    }
}

impl Drop for Coordinator {
    /// Without [`Self::stop`] this is like a kill: nothing more is written, and the next start recovers from the journal.
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.give_up.store(true, Ordering::Relaxed);
        self.driver.try_tell(Command::Abandon);
        if let Some(thread) = self.thread.take() {
            // The thread has caught its own panics, and the lock must not go before it.
            let _ = thread.join();
        }
    }
}

/// Ends a coordinator whose directory was taken over by a newer one, which happens only where locks do not work.
async fn watch_epoch(dir: ClusterDir, own: Epoch, driver: DriverHandle, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Ok(file) = dir.read_coordinator() else { continue };
        if file.epoch > own {
            let why = format!(
                "{}: a newer coordinator (process {} on {}) has taken over this cluster directory; this one ends",
                dir.root().display(),
                file.pid,
                file.host
            );
            driver.tell(Command::Stop(StopReason::Failed(why), None)).await;
            return;
        }
    }
}
