//! Every number that the scheduler's decisions depend on, in one place, each with its reason.

const MS: u64 = 1_000_000;

/// Times and bounds. The defaults suit agents that report at least once a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The driver sends `Tick` at least this often: how late silence, speculation and pauses may be noticed.
    pub tick_interval_ns: u64,
    /// An agent not heard for this long is suspected: it gets nothing new and idle agents may repeat its work.
    /// At least two and a half heartbeat intervals, so that one lost report does not count as silence.
    pub silent_after_ns: u64,
    /// An agent not heard for this long is dropped and its leases are void.
    pub heartbeat_timeout_ns: u64,
    /// A lease that its agent's reports do not name for this long was lost on the way. More than a round trip and two
    /// heartbeat intervals, since a report may have been written before the grant came.
    pub grant_grace_ns: u64,
    /// After a restart, jobs from before it get no new leases for this long after the first agent came, so that agents
    /// that come back keep what they hold.
    pub reattach_grace_ns: u64,
    /// How long a lease should last in the middle of a job: long against a round trip, short against a user's patience when
    /// another job comes or an agent is lost.
    pub target_lease_ns: u64,
    /// Shorter leases cost more in messages than they gain in balance, as far as the number of items allows.
    pub min_lease_ns: u64,
    /// A lease has at most this many times the items of the largest one that the agent has finished: a rate measured on
    /// a few items proves little.
    pub max_growth: u64,
    /// Most leases of one agent: one at work, one behind it, and some whose last long items are still being computed.
    pub max_leases_per_agent: usize,
    /// An agent with less work left than this is not stolen from: it would be done before the answer came.
    pub min_steal_ns: u64,
    /// A shortening that is not answered within this time may be asked again, and the thief may ask elsewhere.
    pub shorten_timeout_ns: u64,
    /// A lease counts as crawling once it is overdue by its expected duration and this.
    pub crawl_slack_ns: u64,
    /// An item that was alone at so many runner deaths or failures is set aside.
    pub max_item_attempts: u32,
    /// A range that met so many storage failures in a row ends its job.
    pub max_storage_attempts: u32,
    /// How long a range rests after its first storage failure; doubled for each further one.
    pub storage_backoff_ns: u64,
    /// An agent that fails so many times without a success between is left out for a while.
    pub max_agent_failures: u32,
    /// The first such while; doubled for each further one.
    pub exclusion_ns: u64,
    /// The longest such while.
    pub max_exclusion_ns: u64,
    /// A job that paused for want of room goes on by itself after this long.
    pub no_space_retry_ns: u64,
    /// A released agent that still reports is told again after this long.
    pub release_repeat_ns: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tick_interval_ns: 100 * MS,
            silent_after_ns: 3_000 * MS,
            heartbeat_timeout_ns: 15_000 * MS,
            grant_grace_ns: 5_000 * MS,
            reattach_grace_ns: 1_500 * MS,
            target_lease_ns: 1_250 * MS,
            min_lease_ns: 25 * MS,
            max_growth: 16,
            max_leases_per_agent: 8,
            min_steal_ns: 20 * MS,
            shorten_timeout_ns: 1_000 * MS,
            crawl_slack_ns: 1_000 * MS,
            max_item_attempts: 3,
            max_storage_attempts: 8,
            storage_backoff_ns: 250 * MS,
            max_agent_failures: 3,
            exclusion_ns: 1_000 * MS,
            max_exclusion_ns: 60_000 * MS,
            no_space_retry_ns: 60_000 * MS,
            release_repeat_ns: 1_000 * MS,
        }
    }
}

impl Policy {
    /// How long something rests that has failed `n_failures` times: `first_ns`, doubled for each failure after the first, at
    /// most `max_ns`.
    pub(crate) fn backoff_ns(first_ns: u64, n_failures: u32, max_ns: u64) -> u64 {
        first_ns.saturating_mul(1 << n_failures.saturating_sub(1).min(20)).min(max_ns)
    }
}
