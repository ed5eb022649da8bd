//! What people and scripts read. Everything here turns views into text; only `stream` and `progress` write any.
//! It must not ask a coordinator.

pub mod agents;
pub mod coordinator;
pub mod facts;
pub mod job;
pub mod jobs;
pub mod logs;
pub mod model;
pub mod progress;
pub mod progress_line;
pub mod stream;
pub mod table;
