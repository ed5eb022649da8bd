//! Workloads: thin adapters that turn a kernel into stages of items, and the tables and models that they read and write.
//! This room does the file work around the kernels. It must not know a lease, an agent, a connection or the scheduler.

pub mod als;
pub mod baseline;
pub mod evaluate;
pub mod forest;
pub mod input_cache;
mod interactions;
pub mod knn;
pub mod noop;
mod packed;
pub mod publish;
pub mod recommend;
pub mod registry;
pub mod score;
pub mod scratch;
pub mod split;
pub mod table;
mod working_memory;
pub mod workload;

#[cfg(test)]
pub(crate) mod testing;
