//! What crosses between the rooms: ids, ranges, job specifications, messages, failures, the artifact format and its mapping.
//! This room must not know a clock, a socket, a scheduler rule or a kernel.

pub mod artifact;
pub mod failure;
pub mod files;
pub mod host;
pub mod ids;
pub mod job;
pub mod job_dir;
pub mod mapping;
pub mod message;
pub mod part;
pub mod range;
pub mod range_set;
pub mod units;
pub mod view;
