//! Workloads: thin adapters that turn a kernel into stages of items, and the tables and models that they read and write.
//! This room does the file work around the kernels. It must not know a lease, an agent, a connection or the scheduler.

pub mod forest;
pub mod input_cache;
pub mod noop;
pub mod publish;
pub mod recommend;
pub mod registry;
pub mod scratch;
pub mod table;
pub mod workload;

#[cfg(test)]
pub(crate) mod testing;
