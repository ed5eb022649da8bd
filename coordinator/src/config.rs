//! What a coordinator is started with, and the bounds that hold in this room, each with its reason.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a coordinator is started.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// The cluster directory; made where it is missing.
    pub root: PathBuf,
    /// Where to listen for agents and clients with TLS; `None` for a coordinator within one process, which opens no socket.
    pub listen: Option<SocketAddr>,
    /// Where to serve metrics and listings by plain HTTP: a loopback address only.
    pub http: Option<SocketAddr>,
    /// How long things take.
    pub timings: Timings,
    /// Whether the parts of a job that succeeded are kept; they are deleted otherwise, for they can be as large as its output.
    pub keep_parts: bool,
}

impl CoordinatorConfig {
    /// A coordinator of the directory `root` that listens nowhere.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), listen: None, http: None, timings: Timings::default(), keep_parts: false }
    }
}

/// How long things take. The defaults are for real clusters; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// An agent with nothing to say reports this often.
    pub heartbeat_interval: Duration,
    /// How long an agent whose connection broke may take to come back before its leases go elsewhere. Long enough for a switch
    /// that hiccups, short enough that the work of a killed agent is handed out again within two seconds.
    pub reconnect_grace: Duration,
    /// How often a coordinator looks whether a newer one has taken over its directory.
    pub fence_check_interval: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(1),
            reconnect_grace: Duration::from_millis(900),
            fence_check_interval: Duration::from_secs(5),
        }
    }
}

/// Commands that may wait for the driver. A caller that finds the queue full waits, so nothing is lost; the number only has to
/// cover one report of each of a thousand agents.
pub(crate) const COMMAND_QUEUE_LEN: usize = 2048;
/// Most commands handled before their records are synced together: a larger round gains nothing in throughput and costs latency.
pub(crate) const MAX_COMMANDS_PER_ROUND: usize = 256;
/// Open connections. An agent has one and a client one; a thousand agents leave room for as many clients.
pub(crate) const MAX_CONNECTIONS: usize = 4096;
/// Calls at work on one connection: an agent has two exchanges, a client a long poll and a few listings.
pub(crate) const MAX_CALLS_PER_CONNECTION: usize = 64;
/// Submissions that are checked at the same time: each may read file headers from a slow filesystem.
pub(crate) const MAX_PLANS_AT_ONCE: usize = 8;
/// Records of one round: more are written before the round goes on, so that a crowd of reports does not pile up in memory.
pub(crate) const MAX_RECORDS_PER_ROUND: usize = 4096;
/// Longest name of a node and the like in an agent's registration, in bytes.
pub(crate) const MAX_HELLO_TEXT_BYTES: usize = 1024;
/// File descriptors that the coordinator asks for: a connection needs one, and the journal, logs and listings a few.
pub(crate) const N_FILE_DESCRIPTORS: u64 = 2 * MAX_CONNECTIONS as u64;
/// Clients that may wait for one job.
pub(crate) const MAX_WAITERS_PER_JOB: usize = 1024;
/// Leases that an agent may name at registration: far more than the cores of any node.
pub(crate) const MAX_HELD_LEASES: usize = 4096;
/// Agents that are lost or gone and still listed.
pub(crate) const MAX_GONE_AGENTS: usize = 200;
/// Jobs that may be unfinished at once: each costs memory here and a share of every decision.
pub(crate) const MAX_ACTIVE_JOBS: usize = 10_000;
/// Jobs that failed and can still be retried without being submitted again: the scheduler keeps what it knows of them.
pub(crate) const MAX_RETRYABLE_JOBS: usize = 100;
/// Log bytes kept of one job; later lines are dropped and counted.
pub(crate) const MAX_LOG_BYTES_PER_JOB: u64 = 64 << 20;
/// Log bytes kept of agents outside of jobs, twice: the file before is kept when a new one is begun.
pub(crate) const MAX_AGENT_LOG_BYTES: u64 = 16 << 20;
/// Reports with log lines that may wait to be written. An agent keeps what finds no place, and sends it again.
pub(crate) const LOG_QUEUE_LEN: usize = 256;
/// Longest sentence kept as a cause or a reason, in bytes: a thousand of them must fit in one answer.
pub(crate) const MAX_SENTENCE_BYTES: usize = 2048;
