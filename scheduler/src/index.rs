//! What is derived from the state so that each question costs a logarithm: who has room, who ends last, which job is due next.

use crate::event::Time;
use paceline_common::ids::{AgentId, JobId};
use std::collections::{BTreeMap, BTreeSet};

/// Order in which agents with room are offered work: those that hold least first, among them the fastest, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HungryKey {
    pub n_leases: usize,
    pub slowness: i16,
    pub agent: AgentId,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Agents with room for one more lease.
    pub hungry: BTreeSet<HungryKey>,
    /// Agents with leases, by when they are expected to have none.
    pub by_finish: BTreeSet<(Time, AgentId)>,
    /// Agents that hold nothing and have not looked for something to steal since that became so.
    pub thieves: BTreeSet<AgentId>,
    /// Jobs that have something to lease out, by virtual time.
    pub ready: BTreeSet<(u64, JobId)>,
    /// Jobs with a suspected range that must be alone in a runner.
    pub lonely: BTreeSet<JobId>,
    /// Agents that are kept from new work until they hold nothing, for a suspected range.
    pub reserved: BTreeMap<AgentId, JobId>,
    /// Draining agents that hold nothing and are to be released by the end of the event.
    pub drained: BTreeSet<AgentId>,
    /// Cores of all agents.
    pub n_cores: u64,
    /// Cores of agents with room that hold nothing.
    pub n_idle_cores: u64,
}
