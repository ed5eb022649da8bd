//! The agent: one daemon on a node, and the runner that it supervises.
//! This room knows leases, workloads and the wire. It must not know the scheduler or the coordinator.

mod book;
mod config;
mod daemon;
mod death;
mod drain;
mod lines;
mod log_ring;
mod outbox;
pub mod runner;
mod session;
mod shared;
mod shutdown;
mod supervisor;
mod usage;

pub use config::{AgentConfig, RunnerCommand};
pub use daemon::{AgentError, AgentExit, run};
pub use shutdown::{Shutdown, ShutdownHandle};
