//! The wire: the two services, how they are encoded, how both sides are authenticated, where a cluster is found, and the client.
//! This room knows connections and certificates. It must not know what a workload computes or how the scheduler decides.

pub mod service;
