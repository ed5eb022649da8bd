//! How many items the next lease has: guided self-scheduling weighted by measured speed. (Polychronopoulos, Kuck: Guided
//! Self-Scheduling, 1987; Hummel, Schmidt, Uma, Wein: Load-sharing in heterogeneous systems via weighted factoring, 1996.)
//! Nothing here knows the state of the machine; everything comes in as numbers.

use crate::policy::Policy;
use crate::rate::seconds;

/// What the size depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Items of the stage that nobody holds.
    pub n_open: u64,
    /// Threads of the lease.
    pub cores: u32,
    /// Cores of all agents.
    pub n_cores: u64,
    /// Cores of agents that hold nothing, this one's with them if it is one.
    pub n_idle_cores: u64,
    /// Whether the agent holds nothing.
    pub is_idle: bool,
    /// Items per core-second of the agent at this stage.
    pub own_rate: Option<f64>,
    /// The same of all agents together.
    pub mean_rate: Option<f64>,
    /// Items of the largest lease of this stage that the agent has finished; 0 for none.
    pub largest_lease: u64,
}

/// Half of what is open is handed out in each round, so that the leases that follow can even out how long these take.
const OPEN_PER_ROUND: f64 = 0.5;
/// An agent's first lease of a stage that others have measured is this part of the usual length.
const FIRST_LEASE_PART: f64 = 0.25;

/// The number of items, at least 1 and at most `n_open`.
pub(crate) fn lease_len(policy: &Policy, demand: Demand) -> u64 {
    let Demand { n_open, cores, .. } = demand;
    let share = speed_share(demand);
    let guided = (n_open as f64 * share * OPEN_PER_ROUND).ceil() as u64;
    let len = match demand.own_rate.or(demand.mean_rate) {
        // A probe: as few as keep every core busy.
        None => 0,
        Some(rate) => {
            let items_per_second = rate * f64::from(cores);
            let part = if demand.own_rate.is_none() { FIRST_LEASE_PART } else { 1.0 };
            let target = (items_per_second * seconds(policy.target_lease_ns) * part) as u64;
            let shortest = (items_per_second * seconds(policy.min_lease_ns)) as u64;
            target.min(guided.max(shortest)).min(growth_limit(policy, demand))
        }
    };
    len.max(fewest(demand, guided)).clamp(1, n_open.max(1))
}

/// This agent's part of the speed of all.
fn speed_share(demand: Demand) -> f64 {
    let by_cores = f64::from(demand.cores) / (demand.n_cores.max(1) as f64);
    let faster = match (demand.own_rate, demand.mean_rate) {
        (Some(own), Some(mean)) => own / mean,
        _ => 1.0,
    };
    (by_cores * faster).min(1.0)
}

fn growth_limit(policy: &Policy, demand: Demand) -> u64 {
    match (demand.own_rate, demand.largest_lease) {
        // Others have measured the stage: there is no need to begin from nothing.
        (None, _) => u64::MAX,
        (Some(_), largest) => largest.max(u64::from(demand.cores)).saturating_mul(policy.max_growth),
    }
}

/// One item a core where the items suffice for every idle core; otherwise a share for each idle agent, so that few long items
/// spread over all agents. A lease that only waits behind another takes no more than its guided share: it may be needed elsewhere.
fn fewest(demand: Demand, guided: u64) -> u64 {
    let cores = u64::from(demand.cores);
    if demand.is_idle {
        let spread = u128::from(demand.n_open) * u128::from(cores);
        let spread = spread.div_ceil(u128::from(demand.n_idle_cores.max(cores)));
        cores.min(u64::try_from(spread).unwrap_or(u64::MAX))
    } else {
        cores.min(guided)
    }
}
