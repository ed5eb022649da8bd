//! The wire: the two services, how they are encoded, how both sides are authenticated, where a cluster is found, and the client.
//! This room knows connections and certificates. It must not know what a workload computes or how the scheduler decides.

pub mod agent_connector;
pub mod authority;
pub mod client;
pub mod cluster_dir;
pub mod codec;
pub mod connect;
pub mod error;
pub mod interfaces;
pub mod local;
pub mod opening;
pub mod service;
pub mod socket;
pub mod tls;
