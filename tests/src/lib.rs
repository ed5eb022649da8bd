//! What the tests that start real processes share: where the binary is, how a cluster of processes is brought up and taken down,
//! and tables that several of them work on.

pub mod bench;
pub mod binary;
pub mod cluster;
pub mod interactions;
#[path = "../simulation/mod.rs"]
pub mod simulation;
