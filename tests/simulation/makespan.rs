//! A large cluster without faults, for measuring: how much longer a job takes than it must.
//! Nodes are modelled thread by thread; costs are drawn item by item, so nothing of size n is kept here either.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures for the terminal")]

use super::faults::MS;
use super::node::{Life, Node, NodeLease};
use super::random::{Random, mix};
use paceline_common::ids::{AgentId, Epoch, JobId, LeaseId, StageIdx};
use paceline_common::message::LeaseProgress;
use paceline_scheduler::Scheduler;
use paceline_scheduler::action::{Action, Outcome};
use paceline_scheduler::event::{Event, JobTerms, Time};
use paceline_scheduler::policy::Policy;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One way over the network, either direction.
const LATENCY_NS: u64 = MS / 2;
const HEARTBEAT_NS: u64 = 1_000 * MS;
const SEED: u64 = 7;

/// A cluster and a job.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Agents.
    pub n_agents: usize,
    /// Cores of each.
    pub cores: u32,
    /// Spread of the agents' speeds (log-normal).
    pub speed_sigma: f64,
    /// Items of the one stage.
    pub n_items: u64,
    /// Median time of an item on a core of speed 1.
    pub median_cost_ns: f64,
    /// Spread of the items' costs (log-normal).
    pub cost_sigma: f64,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Virtual time from submission to end.
    pub makespan_s: f64,
    /// Total work over total speed, or the longest item on the fastest core if that is more.
    pub lower_bound_s: f64,
    /// Events that the scheduler handled.
    pub n_events: u64,
    /// Grants.
    pub n_grants: u64,
    /// Items computed twice.
    pub n_duplicates: u64,
    /// Shortenings asked.
    pub n_shortenings: u64,
    /// Most intervals, leases and such that were ever kept, looked at once a virtual second.
    pub n_kept_most: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    ItemDone { node: usize, lease: LeaseId, item: u64 },
    Up { what: usize },
    Down { node: usize, what: usize },
    Heartbeat { node: usize },
    Tick,
}

struct Cluster {
    setting: Setting,
    now: u64,
    n_queued: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Note)>>,
    /// Messages under way, by place; free places are used again.
    events: Vec<Option<Event>>,
    orders: Vec<Option<Action>>,
    free: (Vec<usize>, Vec<usize>),
    nodes: Vec<Node>,
    scheduler: Scheduler,
    outcome: Option<Outcome>,
    figures: Figures,
}

/// Runs one job on one cluster.
#[must_use]
pub fn measure(setting: Setting) -> Figures {
    let mut cluster = Cluster::new(setting);
    cluster.run();
    let status = cluster.scheduler.job(JobId(1), Time(cluster.now));
    cluster.figures.n_duplicates = status.map_or(0, |status| status.n_duplicates_dropped);
    cluster.figures.makespan_s = cluster.now as f64 * 1e-9;
    cluster.figures
}

fn cost_ns(setting: &Setting, item: u64) -> f64 {
    setting.median_cost_ns * Random::new(mix(item ^ mix(SEED))).lognormal(setting.cost_sigma)
}

impl Cluster {
    fn new(setting: Setting) -> Self {
        let mut random = Random::new(SEED);
        let mut node = || {
            let mut node = Node::draw(&mut random);
            (node.cores, node.speed) = (setting.cores, random.lognormal(setting.speed_sigma));
            node
        };
        let nodes: Vec<Node> = (0..setting.n_agents).map(|_| node()).collect();
        let total_speed: f64 = nodes.iter().map(|node| node.speed * f64::from(node.cores)).sum();
        let fastest = nodes.iter().map(|node| node.speed).fold(0.0, f64::max);
        let (work, longest) =
            (0..setting.n_items).map(|item| cost_ns(&setting, item)).fold((0.0, 0.0), |(sum, most): (f64, f64), c| (sum + c, most.max(c)));
        let figures = Figures {
            makespan_s: 0.0,
            lower_bound_s: (work / total_speed).max(longest / fastest) * 1e-9,
            n_events: 0,
            n_grants: 0,
            n_duplicates: 0,
            n_shortenings: 0,
            n_kept_most: 0,
        };
        Self {
            setting,
            now: 0,
            n_queued: 0,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            orders: Vec::new(),
            free: (Vec::new(), Vec::new()),
            nodes,
            scheduler: Scheduler::new(Policy::default(), Epoch(1)),
            outcome: None,
            figures,
        }
    }

    fn run(&mut self) {
        for node in 0..self.nodes.len() {
            let agent = AgentId(node as u64 + 1);
            (self.nodes[node].session, self.nodes[node].life) = (Some(agent), Life::Up);
            self.tell(Event::AgentJoined { agent, cores: self.setting.cores, held: vec![] });
            self.after(HEARTBEAT_NS * node as u64 / self.nodes.len() as u64, Note::Heartbeat { node });
        }
        let terms = JobTerms { priority: 100, max_cores: None, max_failures: None, tolerates_missing_items: vec![false] };
        self.tell(Event::JobSubmitted { job: JobId(1), terms });
        self.tell(Event::StageSized { job: JobId(1), stage: StageIdx(0), n_items: self.setting.n_items });
        self.after(0, Note::Tick);
        while self.outcome.is_none() {
            let Some(Reverse((at, _, note))) = self.queue.pop() else { break };
            self.now = at;
            self.happen(note);
        }
    }

    fn after(&mut self, delay_ns: u64, note: Note) {
        self.n_queued += 1;
        self.queue.push(Reverse((self.now + delay_ns, self.n_queued, note)));
    }

    fn send_up(&mut self, event: Event) {
        let what = place(&mut self.events, &mut self.free.0, event);
        self.after(LATENCY_NS, Note::Up { what });
    }

    fn tell(&mut self, event: Event) {
        self.figures.n_events += 1;
        for action in self.scheduler.handle(Time(self.now), event) {
            match &action {
                Action::Grant { agent, .. } | Action::Shorten { agent, .. } | Action::Revoke { agent, .. } => {
                    self.figures.n_grants += u64::from(matches!(action, Action::Grant { .. }));
                    self.figures.n_shortenings += u64::from(matches!(action, Action::Shorten { .. }));
                    let node = agent.0 as usize - 1;
                    let what = place(&mut self.orders, &mut self.free.1, action);
                    self.after(LATENCY_NS, Note::Down { node, what });
                }
                Action::EndJob { outcome, .. } => self.outcome = Some(outcome.clone()),
                _ => {}
            }
        }
    }

    fn happen(&mut self, note: Note) {
        match note {
            Note::ItemDone { node, lease, item } => {
                if let Some(done) = self.nodes[node].complete(lease, item) {
                    self.hand_in(node, &done);
                }
                self.use_threads(node);
            }
            Note::Up { what } => {
                self.free.0.push(what);
                if let Some(event) = self.events[what].take() {
                    self.tell(event);
                }
            }
            Note::Down { node, what } => {
                self.free.1.push(what);
                if let Some(order) = self.orders[what].take() {
                    self.obey(node, &order);
                }
            }
            Note::Heartbeat { node } => {
                self.report(node);
                self.after(HEARTBEAT_NS, Note::Heartbeat { node });
            }
            Note::Tick => {
                self.tell(Event::Tick);
                self.figures.n_kept_most = self.figures.n_kept_most.max(self.scheduler.n_kept());
                self.after(self.scheduler.policy().tick_interval_ns, Note::Tick);
            }
        }
    }

    fn report(&mut self, node: usize) {
        let leases: Vec<LeaseProgress> = self.nodes[node].progress();
        self.send_up(Event::AgentReported { agent: AgentId(node as u64 + 1), leases });
    }

    fn hand_in(&mut self, node: usize, done: &NodeLease) {
        self.send_up(Event::RangeFinished { agent: AgentId(node as u64 + 1), lease: done.lease, end: done.range.end });
        self.report(node);
    }

    fn obey(&mut self, node: usize, order: &Action) {
        match order {
            Action::Grant { .. } => self.nodes[node].leases.extend(NodeLease::granted(order, None)),
            Action::Shorten { lease, end, .. } => {
                if let Some(end) = self.nodes[node].shorten(*lease, *end) {
                    self.send_up(Event::LeaseShortened { agent: AgentId(node as u64 + 1), lease: *lease, end });
                }
                if let Some(done) = self.nodes[node].take_if_complete(*lease) {
                    self.hand_in(node, &done);
                }
            }
            Action::Revoke { lease, .. } => {
                self.nodes[node].drop_lease(*lease);
            }
            _ => {}
        }
        self.use_threads(node);
    }

    fn use_threads(&mut self, node: usize) {
        while let Some((lease, _, _, item)) = self.nodes[node].claim() {
            let delay = (cost_ns(&self.setting, item) / self.nodes[node].speed) as u64 + 1;
            self.after(delay, Note::ItemDone { node, lease, item });
        }
    }
}

fn place<T>(slots: &mut Vec<Option<T>>, free: &mut Vec<usize>, value: T) -> usize {
    if let Some(place) = free.pop() {
        slots[place] = Some(value);
        return place;
    }
    slots.push(Some(value));
    slots.len() - 1
}

/// Measures jobs of these sizes, or of the usual ones, on 1,000 agents of 32 cores.
pub fn print(sizes: &[u64]) {
    let sizes = if sizes.is_empty() { &[100_000, 1_000_000, 10_000_000, 100_000_000][..] } else { sizes };
    println!("1,000 agents of 32 cores, speeds log-normal (sigma 0.5), item costs log-normal (median 100 ms, sigma 1), 0.5 ms each way");
    println!(
        "{:>12} {:>11} {:>11} {:>7} {:>9} {:>9} {:>10} {:>9} {:>9}",
        "items", "makespan s", "bound s", "ratio", "grants", "shorten", "duplicates", "events", "kept"
    );
    for &n_items in sizes {
        let setting = Setting { n_agents: 1_000, cores: 32, speed_sigma: 0.5, n_items, median_cost_ns: 100.0 * MS as f64, cost_sigma: 1.0 };
        let figures = measure(setting);
        println!(
            "{n_items:>12} {:>11.2} {:>11.2} {:>7.3} {:>9} {:>9} {:>10} {:>9} {:>9}",
            figures.makespan_s,
            figures.lower_bound_s,
            figures.makespan_s / figures.lower_bound_s,
            figures.n_grants,
            figures.n_shortenings,
            figures.n_duplicates,
            figures.n_events,
            figures.n_kept_most,
        );
    }
}
