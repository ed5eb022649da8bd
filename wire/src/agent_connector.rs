//! How an agent reaches its coordinator: by the cluster directory, which is read anew at each attempt, or within the process.

use crate::client::{context_for, spawn_dispatch};
use crate::cluster_dir::ClusterDir;
use crate::error::WireError;
use crate::opening::Service;
use crate::service::{AgentLinkClient, AgentLinkRequest, AgentLinkResponse};
use crate::{codec, connect};
use paceline_common::message::{AgentHello, AgentReport, ExchangeReply, Registered};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tarpc::client::Config;

/// How long an answer may take beyond the time for which the coordinator holds a call: long enough for a coordinator that waits
/// for a slow disk.
const CALL_SLACK: Duration = Duration::from_secs(30);

/// A way to the coordinator, used for every new connection. Cheap to clone.
#[derive(Clone)]
pub struct AgentConnector {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Cluster(PathBuf),
    InProcess(Arc<dyn Fn() -> AgentLinkClient + Send + Sync>),
}

impl fmt::Debug for AgentConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Cluster(root) => write!(f, "AgentConnector({})", root.display()),
            Way::InProcess(_) => write!(f, "AgentConnector(this process)"),
        }
    }
}

impl AgentConnector {
    /// By the cluster directory at `root`, with TLS.
    #[must_use]
    pub fn cluster(root: &Path) -> Self {
        Self { way: Way::Cluster(root.to_owned()) }
    }

    /// Within the process; `open` makes a new connection.
    #[must_use]
    pub fn in_process(open: impl Fn() -> AgentLinkClient + Send + Sync + 'static) -> Self {
        Self { way: Way::InProcess(Arc::new(open)) }
    }

    /// Opens a new connection. Must be called within a tokio runtime.
    pub async fn connect(&self) -> Result<AgentLink, WireError> {
        let (client, address) = match &self.way {
            Way::InProcess(open) => (open(), "this process".to_owned()),
            Way::Cluster(root) => {
                let connection = connect::open(&ClusterDir::open(root)?, Service::AgentLink).await?;
                let transport =
                    codec::transport::<_, tarpc::Response<AgentLinkResponse>, tarpc::ClientMessage<AgentLinkRequest>>(connection.stream);
                let tarpc::client::NewClient { client, dispatch } = AgentLinkClient::new(Config::default(), transport);
                spawn_dispatch(dispatch);
                (client, connection.address)
            }
        };
        Ok(AgentLink { client, address, hold_ms: AtomicU64::new(0) })
    }
}

/// One connection of an agent. Dropping it closes it.
#[derive(Debug)]
pub struct AgentLink {
    client: AgentLinkClient,
    address: String,
    /// For how long the coordinator may hold an exchange, as it said at registration.
    hold_ms: AtomicU64,
}

impl AgentLink {
    /// Where the coordinator was reached, for people.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The first call of every connection.
    pub async fn register(&self, hello: AgentHello) -> Result<Registered, WireError> {
        let answer = self.client.register(context_for(CALL_SLACK), hello).await.map_err(|e| WireError::from_rpc(&self.address, &e))?;
        let registered = answer?;
        self.hold_ms.store(registered.heartbeat_interval_ms, Ordering::Relaxed);
        Ok(registered)
    }

    /// Everything new from the agent for everything new to it; held open by the coordinator while there is nothing to say.
    pub async fn exchange(&self, report: AgentReport) -> Result<ExchangeReply, WireError> {
        let timeout = Duration::from_millis(self.hold_ms.load(Ordering::Relaxed)) + CALL_SLACK;
        self.client.exchange(context_for(timeout), report).await.map_err(|e| WireError::from_rpc(&self.address, &e))
    }
}
