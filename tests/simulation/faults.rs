//! All that can go wrong in a history, in one struct, so that a history is read off it at a glance.

use super::random::Random;

/// One millisecond in nanoseconds.
pub const MS: u64 = 1_000_000;

/// Drawn from the seed; most histories have only some of the faults, so that each is also seen alone.
#[derive(Clone, Debug)]
pub struct Faults {
    /// When everything is healed.
    pub heal_at_ns: u64,
    /// A message is lost.
    pub p_drop: f64,
    /// A message comes twice.
    pub p_duplicate: f64,
    /// Every message takes at least this long...
    pub min_delay_ns: u64,
    /// ...and at most this long: more than the time between messages reorders them.
    pub max_delay_ns: u64,
    /// Mean time between kills of an agent, for the whole cluster; `None` for never. So for the following.
    pub kill_every_ns: Option<u64>,
    /// An agent stops as by SIGSTOP and later goes on.
    pub freeze_every_ns: Option<u64>,
    /// An agent is cut off for a while.
    pub partition_every_ns: Option<u64>,
    /// A new agent comes.
    pub join_every_ns: Option<u64>,
    /// An agent is asked to drain.
    pub drain_every_ns: Option<u64>,
    /// The coordinator dies and is started again.
    pub restart_every_ns: Option<u64>,
    /// The driver learns that a connection broke although the agent lives.
    pub disconnect_every_ns: Option<u64>,
    /// A lease meets a failure of storage.
    pub p_storage: f64,
    /// A lease meets a full disk.
    pub p_no_space: f64,
    /// Runners that die for no reason of an item: fewer than the attempts of an item, so that no innocent one is set aside.
    pub n_stray_deaths: u32,
    /// The first agent fails at everything.
    pub has_bad_node: bool,
    /// A job is cancelled by a person.
    pub p_cancel: f64,
    /// Failed jobs have their items repaired and are retried once all is healed.
    pub repairs: bool,
}

impl Faults {
    /// The faults of a seed.
    #[must_use]
    pub fn draw(random: &mut Random) -> Self {
        let heal_at_ns = random.between(2_000, 15_000) * MS;
        let mut every = |p: f64| random.chance(p).then(|| random.between(700, 10_000) * MS);
        let (kill_every_ns, freeze_every_ns, partition_every_ns) = (every(0.5), every(0.4), every(0.4));
        let (join_every_ns, drain_every_ns) = (every(0.5), every(0.3));
        let (restart_every_ns, disconnect_every_ns) = (every(0.3), every(0.3));
        let is_lossy = random.chance(0.5);
        let slow_network = random.chance(0.3);
        let mut often = |p: f64, most: f64| if random.chance(p) { random.unit() * most } else { 0.0 };
        Self {
            heal_at_ns,
            p_drop: if is_lossy { often(1.0, 0.3) } else { 0.0 },
            p_duplicate: often(0.5, 0.3),
            p_storage: often(0.3, 0.2),
            p_no_space: often(0.15, 0.05),
            p_cancel: often(0.2, 0.6),
            min_delay_ns: random.between(1, 1_000) * 1_000,
            max_delay_ns: if slow_network { random.between(20, 900) * MS } else { random.between(1, 5) * MS },
            kill_every_ns,
            freeze_every_ns,
            partition_every_ns,
            join_every_ns,
            drain_every_ns,
            restart_every_ns,
            disconnect_every_ns,
            n_stray_deaths: if random.chance(0.3) { random.between(1, 2) as u32 } else { 0 },
            has_bad_node: random.chance(0.15),
            repairs: random.chance(0.5),
        }
    }

    /// What is left of them once all is healed: a sound network with some delay.
    pub fn heal(&mut self) {
        *self = Self {
            heal_at_ns: self.heal_at_ns,
            min_delay_ns: self.min_delay_ns,
            max_delay_ns: self.max_delay_ns.min(5 * MS).max(self.min_delay_ns),
            repairs: self.repairs,
            p_drop: 0.0,
            p_duplicate: 0.0,
            kill_every_ns: None,
            freeze_every_ns: None,
            partition_every_ns: None,
            join_every_ns: None,
            drain_every_ns: None,
            restart_every_ns: None,
            disconnect_every_ns: None,
            p_storage: 0.0,
            p_no_space: 0.0,
            n_stray_deaths: 0,
            has_bad_node: false,
            p_cancel: 0.0,
        };
    }
}
