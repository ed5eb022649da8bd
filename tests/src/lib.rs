//! What the tests that start real processes share: where the binary is, how a cluster of processes is brought up and taken down.

pub mod binary;
pub mod cluster;
#[path = "../simulation/mod.rs"]
pub mod simulation;
