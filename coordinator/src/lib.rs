//! The coordinator: it drives the scheduler, journals what was decided before anybody hears of it, and answers agents and clients.
//! This room knows the cluster directory, connections and time. It must not know what a workload computes, and it never touches
//! bulk data: it sees workloads only by their plan, their number of items and their summary.

mod agent_link;
mod agents;
mod command;
pub mod config;
mod control;
mod coordinator;
mod driver;
mod effects;
mod http;
mod job_work;
mod jobs;
mod journal;
mod lock;
mod logs;
mod metrics;
mod orders;
mod server;

pub use config::{CoordinatorConfig, Timings};
pub use coordinator::{Coordinator, StartError, StopReason};
