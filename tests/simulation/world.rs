//! Clock, network, nodes and coordinator around the real scheduler. Everything happens in the order of one queue, so a seed is a history.

use super::faults::{Faults, MS};
use super::load::JobLoad;
use super::node::{Life, Node};
use super::random::Random;
use super::truth::Truth;
use paceline_common::ids::{AgentId, Epoch, JobId, LeaseId, StageIdx};
use paceline_scheduler::Scheduler;
use paceline_scheduler::action::Action;
use paceline_scheduler::event::{Event, HeldLease};
use paceline_scheduler::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const HEARTBEAT_NS: u64 = 300 * MS;
pub(super) const REGISTER_RETRY_NS: u64 = 1_000 * MS;

/// Shorter waits than in production, so that a short history meets each of them.
pub(super) fn policy() -> Policy {
    Policy {
        silent_after_ns: 1_000 * MS,
        heartbeat_timeout_ns: 5_000 * MS,
        grant_grace_ns: 2_500 * MS,
        no_space_retry_ns: 3_000 * MS,
        max_exclusion_ns: 8_000 * MS,
        ..Policy::default()
    }
}

/// Something that will happen.
#[derive(Clone, Debug)]
pub(super) enum Note {
    ItemDone { node: usize, runner: u32, lease: LeaseId, job: JobId, stage: StageIdx, item: u64 },
    Up { node: usize, event: Event },
    Join { node: usize, held: Vec<HeldLease> },
    Down { node: usize, session: AgentId, order: Action },
    Welcome { node: usize, session: AgentId },
    Unwelcome { node: usize, session: AgentId },
    Heartbeat { node: usize },
    Register { node: usize },
    Thaw { node: usize },
    Mend { node: usize },
    Size { job: JobId, stage: StageIdx },
    Submit { job: JobId },
    Cancel { job: JobId },
    Fault(Mishap),
    Tick,
    Heal,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Mishap {
    Kill,
    Freeze,
    Partition,
    Join,
    Drain,
    Restart,
    Disconnect,
    StrayDeath,
}

/// How often what happened; so that a test can see that the histories are not empty of what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events given to the scheduler.
    pub n_events: u64,
    /// Every other figure by name.
    pub by_name: BTreeMap<&'static str, u64>,
    /// When the last job ended.
    pub ended_at_ns: u64,
    /// A hash of every action in order.
    pub actions_hash: u64,
}

/// A rule was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// When.
    pub at_ns: u64,
    /// Which.
    pub what: String,
}

/// One history.
pub struct World {
    pub(super) now: u64,
    pub(super) n_queued: u64,
    pub(super) queue: BTreeMap<(u64, u64), Note>,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) loads: Vec<JobLoad>,
    pub(super) nodes: Vec<Node>,
    pub(super) thaw_at: BTreeMap<usize, u64>,
    pub(super) seen: Vec<BTreeSet<LeaseId>>,
    pub(super) scheduler: Scheduler,
    pub(super) epoch: Epoch,
    pub(super) n_sessions: u64,
    pub(super) sessions: BTreeMap<AgentId, usize>,
    pub(super) truth: Truth,
    pub(super) crashes_soon: bool,
    pub(super) is_healed: bool,
    pub(super) counts: Counts,
    pub(super) trace: Option<Vec<String>>,
}

/// Runs the history of a seed. The trace has a line for every event and action, if it is wanted.
pub fn run(seed: u64, wants_trace: bool) -> (Result<Counts, Violation>, Vec<String>) {
    let mut world = World::new(seed, wants_trace);
    let result = world.live().map_err(|what| Violation { at_ns: world.now, what });
    (result.map(|()| world.counts.clone()), world.trace.unwrap_or_default())
}

impl World {
    fn new(seed: u64, wants_trace: bool) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::draw(&mut random);
        let n_jobs = random.between(1, 4) as u32;
        let loads = (1..=n_jobs).map(|job| JobLoad::draw(&mut random, job, faults.p_cancel, faults.heal_at_ns)).collect();
        let mut world = Self {
            now: 0,
            n_queued: 0,
            queue: BTreeMap::new(),
            random,
            faults,
            loads,
            nodes: Vec::new(),
            thaw_at: BTreeMap::new(),
            seen: Vec::new(),
            scheduler: Scheduler::new(policy(), Epoch(1)),
            epoch: Epoch(1),
            n_sessions: 0,
            sessions: BTreeMap::new(),
            truth: Truth::default(),
            crashes_soon: false,
            is_healed: false,
            counts: Counts::default(),
            trace: wants_trace.then(Vec::new),
        };
        world.say(|w| format!("{:?}\n{:#?}", w.faults, w.loads));
        world.begin();
        world
    }

    fn begin(&mut self) {
        for _ in 0..self.random.between(1, 6) {
            self.add_node();
        }
        if self.faults.has_bad_node {
            self.nodes[0].is_bad = true;
            self.add_node();
        }
        for load in self.loads.clone() {
            self.after(load.submit_at_ns, Note::Submit { job: load.job });
            if let Some(at) = load.cancel_at_ns {
                self.after(at, Note::Cancel { job: load.job });
            }
        }
        self.after(0, Note::Tick);
        self.after(self.faults.heal_at_ns, Note::Heal);
        for mishap in [Mishap::Kill, Mishap::Freeze, Mishap::Partition, Mishap::Join, Mishap::Drain, Mishap::Restart, Mishap::Disconnect] {
            self.await_mishap(mishap);
        }
        for _ in 0..self.faults.n_stray_deaths {
            let delay = self.random.below(self.faults.heal_at_ns);
            self.after(delay, Note::Fault(Mishap::StrayDeath));
        }
    }

    fn live(&mut self) -> Result<(), String> {
        let mut deadline = u64::MAX;
        while let Some(((at, _), note)) = self.queue.pop_first() {
            self.now = at;
            let heals = matches!(note, Note::Heal);
            self.happen(note)?;
            if heals {
                deadline = self.deadline_ns();
            }
            if self.is_healed && self.all_is_over()? {
                self.counts.ended_at_ns = self.now;
                return Ok(());
            }
            if self.now > deadline {
                return Err(format!("all was healed, and jobs did not end: {}", self.open_jobs()));
            }
        }
        Err("nothing happens any more".to_owned())
    }

    pub(super) fn after(&mut self, delay_ns: u64, note: Note) {
        self.n_queued += 1;
        self.queue.insert((self.now + delay_ns, self.n_queued), note);
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.counts.by_name.entry(name).or_default() += 1;
    }

    pub(super) fn say(&mut self, line: impl Fn(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>10.3} ms  {}", self.now as f64 / MS as f64, line(self));
            if let Some(trace) = &mut self.trace {
                trace.push(line);
            }
        }
    }

    fn happen(&mut self, note: Note) -> Result<(), String> {
        if let Some(node) = note.acts_in() {
            match self.nodes[node].life {
                Life::Dead => return Ok(()),
                // A stopped process does everything late.
                Life::Frozen => {
                    let delay = self.thaw_at.get(&node).copied().unwrap_or(self.now).saturating_sub(self.now) + 1;
                    self.after(delay, note);
                    return Ok(());
                }
                Life::Up => {}
            }
        }
        match note {
            Note::ItemDone { node, runner, lease, job, stage, item } => self.end_item(node, runner, lease, job, stage, item),
            Note::Up { node, event } => self.receive(node, event)?,
            Note::Join { node, held } => self.register(node, held)?,
            Note::Down { node, session, order } => self.obey(node, session, &order),
            Note::Welcome { node, session } => self.welcome(node, session),
            Note::Unwelcome { node, session } => self.reregister(node, session),
            Note::Heartbeat { node } => self.beat(node),
            Note::Register { node } => self.ask_to_join(node),
            Note::Thaw { node } => {
                self.nodes[node].life = if self.nodes[node].life == Life::Frozen { Life::Up } else { self.nodes[node].life }
            }
            Note::Mend { node } => self.nodes[node].is_cut_off = false,
            Note::Size { job, stage } => self.size(job, stage)?,
            Note::Submit { job } => self.submit(job)?,
            Note::Cancel { job } => {
                if self.truth.jobs.contains_key(&job) {
                    self.tell(Event::CancelAsked { job })?;
                }
            }
            Note::Fault(mishap) => self.suffer(mishap)?,
            Note::Tick => {
                self.tell(Event::Tick)?;
                self.after(100 * MS, Note::Tick);
            }
            Note::Heal => self.heal()?,
        }
        Ok(())
    }

    pub(super) fn delay(&mut self) -> u64 {
        self.random.between(self.faults.min_delay_ns, self.faults.max_delay_ns)
    }

    /// Puts a message on its way to or from a node, or loses it, or doubles it.
    pub(super) fn send(&mut self, node: usize, note: Note) {
        if self.nodes[node].is_cut_off || self.random.chance(self.faults.p_drop) {
            self.count("messages lost");
            return;
        }
        if self.random.chance(self.faults.p_duplicate) {
            let delay = self.delay();
            self.count("messages doubled");
            self.after(delay, note.clone());
        }
        let delay = self.delay();
        self.after(delay, note);
    }

    pub(super) fn send_up(&mut self, node: usize, event: impl FnOnce(AgentId) -> Event) {
        if let Some(session) = self.nodes[node].session {
            self.send(node, Note::Up { node, event: event(session) });
        }
    }
}

impl Note {
    /// The node whose process must run for this to happen.
    pub(super) fn acts_in(&self) -> Option<usize> {
        match self {
            Self::ItemDone { node, .. }
            | Self::Down { node, .. }
            | Self::Welcome { node, .. }
            | Self::Unwelcome { node, .. }
            | Self::Heartbeat { node }
            | Self::Register { node } => Some(*node),
            _ => None,
        }
    }
}
