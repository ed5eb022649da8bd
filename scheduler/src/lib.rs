//! The scheduler: a pure state machine over jobs, stages, ranges and leases. Past facts go in, imperatives come out.
//! This room must not know a clock, a thread, a socket, a file or a source of randomness; `now` is passed in.

pub mod action;
pub mod event;
pub mod explain;
pub mod policy;
pub mod view;

mod agent;
mod book;
mod failures;
mod fairness;
mod grants;
mod index;
mod invariants;
mod job;
mod lease;
mod lifecycle;
mod rate;
mod results;
mod scheduler;
mod sessions;
mod sizing;
mod speculation;
mod stage;
mod stealing;

#[cfg(test)]
mod tests;

pub use scheduler::Scheduler;
