//! Measures the state machine alone: events per second of one core's time, with many agents. Everything is virtual but the time it takes.

use paceline_benches::report::Report;
use paceline_common::ids::{AgentId, Epoch, JobId, LeaseId, StageIdx};
use paceline_common::message::LeaseProgress;
use paceline_common::range::ItemRange;
use paceline_scheduler::Scheduler;
use paceline_scheduler::action::Action;
use paceline_scheduler::event::{Event, JobTerms, Time};
use paceline_scheduler::policy::Policy;
use std::collections::VecDeque;

const N_EVENTS: u64 = 2_000_000;
const N_CORES: u32 = 32;
/// Time between two events: with 1,000 agents a lease then lasts about as long as leases do.
const STEP_NS: u64 = 500_000;

fn main() {
    let as_json = std::env::args().any(|argument| argument == "--json");
    let mut report = Report::new();
    // First, while the process is small, so that what is resident is what these need.
    for n_items in [10_000, 1_000_000, 100_000_000] {
        let (n_kept, resident) = run_to_the_end(n_items);
        report.row(&format!("scheduler, 1000 agents, {n_items} items, most things kept"), n_kept as f64, "things");
        report.row(&format!("scheduler, 1000 agents, {n_items} items, resident memory of all"), resident as f64 / (1 << 20) as f64, "MiB");
    }
    for (n_agents, n_jobs) in [(10, 1), (100, 1), (1_000, 1), (1_000, 20), (10_000, 1)] {
        let rate = events_per_second(n_agents, n_jobs);
        report.row(&format!("scheduler, {n_agents} agents of {N_CORES} cores, {n_jobs} jobs"), rate, "events/s");
    }
    report.print(as_json);
}

/// A whole job, each agent doing an item a millisecond and core: how much was kept at most, and the memory at that time.
fn run_to_the_end(n_items: u64) -> (usize, u64) {
    const N_AGENTS: u64 = 1_000;
    let mut scheduler = Scheduler::new(Policy::default(), Epoch(1));
    let mut held: Vec<VecDeque<(LeaseId, ItemRange)>> = vec![VecDeque::new(); N_AGENTS as usize];
    let (mut actions, mut now) = (Vec::new(), 0);
    for agent in 1..=N_AGENTS {
        scheduler.handle_into(Time(0), Event::AgentJoined { agent: AgentId(agent), cores: N_CORES, held: vec![] }, &mut actions);
    }
    let terms = JobTerms { priority: 1, max_cores: None, max_failures: None, tolerates_missing_items: vec![false] };
    scheduler.handle_into(Time(0), Event::JobSubmitted { job: JobId(1), terms }, &mut actions);
    scheduler.handle_into(Time(0), Event::StageSized { job: JobId(1), stage: StageIdx(0), n_items }, &mut actions);
    let (mut n_kept, mut peak) = (0, 0);
    loop {
        take_grants(&mut actions, &mut held);
        // Whoever ends next: the agent with the shortest lease at work, near enough.
        let at_work = held.iter().enumerate().filter_map(|(agent, leases)| Some((leases.front()?.1.len(), agent)));
        let Some((len, agent)) = at_work.min() else { break };
        now += len * 1_000_000 / u64::from(N_CORES) / N_AGENTS + 1_000;
        let Some((lease, range)) = held[agent].pop_front() else { break };
        scheduler.handle_into(Time(now), Event::RangeFinished { agent: AgentId(agent as u64 + 1), lease, end: range.end }, &mut actions);
        if scheduler.n_kept() > n_kept {
            (n_kept, peak) = (scheduler.n_kept(), resident_bytes());
        }
    }
    (n_kept, peak)
}

fn resident_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let n_pages: u64 = told.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    n_pages * 4096
}

/// Every agent finishes its leases in the order of their grants and reports after each; every event leads to new grants.
fn events_per_second(n_agents: u64, n_jobs: u32) -> f64 {
    let mut scheduler = Scheduler::new(Policy::default(), Epoch(1));
    let mut held: Vec<VecDeque<(LeaseId, ItemRange)>> = vec![VecDeque::new(); n_agents as usize];
    let (mut now, mut actions) = (0, Vec::new());
    for job in 1..=n_jobs {
        let terms = JobTerms { priority: 50 + job, max_cores: None, max_failures: None, tolerates_missing_items: vec![false] };
        scheduler.handle_into(Time(now), Event::JobSubmitted { job: JobId(job), terms }, &mut actions);
        let n_items = 1 << 50;
        scheduler.handle_into(Time(now), Event::StageSized { job: JobId(job), stage: StageIdx(0), n_items }, &mut actions);
    }
    for agent in 1..=n_agents {
        scheduler.handle_into(Time(now), Event::AgentJoined { agent: AgentId(agent), cores: N_CORES, held: vec![] }, &mut actions);
    }
    let begun_ns = cpu_time_ns();
    let (mut n_events, mut agent, mut next_tick) = (0, 0, 0);
    while n_events < N_EVENTS {
        now += STEP_NS * 1_000 / n_agents;
        take_grants(&mut actions, &mut held);
        if now >= next_tick {
            scheduler.handle_into(Time(now), Event::Tick, &mut actions);
            next_tick = now + scheduler.policy().tick_interval_ns;
            n_events += 1;
        }
        agent = (agent + 1) % n_agents as usize;
        let id = AgentId(agent as u64 + 1);
        if let Some((lease, range)) = held[agent].pop_front() {
            scheduler.handle_into(Time(now), Event::RangeFinished { agent: id, lease, end: range.end }, &mut actions);
            n_events += 1;
        }
        let half = |range: &ItemRange| range.len() / 2;
        let leases = held[agent].iter().map(|(lease, range)| LeaseProgress {
            lease: *lease,
            claimed: range.start + half(range),
            n_done: half(range),
        });
        scheduler.handle_into(Time(now), Event::AgentReported { agent: id, leases: leases.take(1).collect() }, &mut actions);
        n_events += 1;
    }
    n_events as f64 / ((cpu_time_ns() - begun_ns) as f64 * 1e-9)
}

/// Time that this thread has spent on a core: what else runs on the machine does not count.
fn cpu_time_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn take_grants(actions: &mut Vec<Action>, held: &mut [VecDeque<(LeaseId, ItemRange)>]) {
    for action in actions.drain(..) {
        if let Action::Grant { agent, lease, range, .. } = action {
            held[agent.0 as usize - 1].push_back((lease, range));
        }
    }
}
