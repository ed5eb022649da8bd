//! The scheduler under a virtual clock: thousands of seeded histories of loss, delay, duplication, reordering, kills, freezes,
//! partitions and restarts. After every event the whole state is checked and compared with what really happened; then all is healed
//! and every job must end. One seed is one history, on any machine.
//!
//! - [`faults`]: all that can go wrong, in one struct drawn from the seed.
//! - [`load`]: the jobs and what each item costs or does.
//! - [`node`]: an agent with its runner's threads.
//! - `world`: clock, queue and network; `coordinator`, `obedience`, `mishaps` and `ending` are its parts: the driver around the real
//!   [`paceline_scheduler::Scheduler`], what nodes do, what goes wrong, and the last judgement.
//! - [`truth`]: what really happened, against which every action is checked.
//! - [`makespan`]: a large cluster without faults, for measuring.

mod coordinator;
mod ending;
pub mod faults;
pub mod load;
pub mod makespan;
mod mishaps;
pub mod node;
mod obedience;
pub mod random;
pub mod truth;
pub mod world;
