//! Numerical work: arrays in, arrays out. This room must not know a file, a connection, a job or an async runtime.

pub mod draws;
pub mod forest;
pub mod recommend;
