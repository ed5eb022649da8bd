//! The commands that ask a coordinator, and the one that looks into a file. Each asks, renders and says; none decides anything about
//! a job. This room must not know a daemon.

pub mod agents;
pub mod connect;
pub mod coordinator;
pub mod job;
pub mod jobs;
pub mod logs;
pub mod model;
pub mod select;
pub mod submit;
pub mod watch;
