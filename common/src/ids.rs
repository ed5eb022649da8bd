//! The numbers by which rooms name things to each other; each is its own type so that one is never taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A job, counted from 1 in the order of submission to one cluster directory; never used twice.
    JobId(u32)
);
id!(
    /// The place of a stage in its job's chain, counted from 0.
    StageIdx(u32)
);
id!(
    /// One attempt at one range by one agent; never used twice in a cluster directory, across restarts too.
    LeaseId(u64)
);
id!(
    /// One session of one agent; an agent that was lost and comes back gets a new one.
    AgentId(u64)
);
id!(
    /// How many times a coordinator has been started on a cluster directory.
    Epoch(u32)
);

/// How many low bits of a lease or agent id count within one epoch; the bits above hold the epoch.
const COUNTER_BITS: u32 = 40;

impl Epoch {
    /// The first id of this epoch: ids of different epochs never meet, so a lease handed out before a restart
    /// keeps its meaning after it.
    #[must_use]
    pub fn first_id(self) -> u64 {
        u64::from(self.0) << COUNTER_BITS
    }
}
