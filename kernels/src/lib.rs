//! Numerical work: arrays in, arrays out. This room must not know a file, a connection, a job or an async runtime.

pub mod als;
pub mod draws;
pub mod evaluate;
pub mod forest;
pub mod neighbours;
pub mod recommend;
pub mod split;
