//! Jobs that do nothing: what remains is the scheduler, the wire, the journal and the start of the client.

use crate::memory;
use paceline_benches::report::{Report, median};
use paceline_tests::cluster::Cluster;
use std::time::{Duration, Instant};

const N_RUNS: usize = 21;

fn seconds_of(cluster: &Cluster, args: &[&str]) -> f64 {
    let begin = Instant::now();
    cluster.succeed(args);
    begin.elapsed().as_secs_f64()
}

fn submit(cluster: &Cluster, n_items: u64) -> f64 {
    seconds_of(cluster, &["submit", "--wait", "noop", "--items", &n_items.to_string()])
}

/// `submit --wait` to exit on a running cluster, beside the cost of starting the client alone.
pub fn latency(report: &mut Report) {
    let cluster = Cluster::with_agents(&[1, 1]);
    cluster.wait_for_agents(2);
    submit(&cluster, 1);
    for n_items in [1, 16, 64] {
        let times: Vec<f64> = (0..N_RUNS).map(|_| submit(&cluster, n_items)).collect();
        report.row(&format!("noop of {n_items} items, submit --wait to exit, median of {N_RUNS}"), median(&times) * 1e3, "ms");
    }
    let times: Vec<f64> = (0..N_RUNS).map(|_| seconds_of(&cluster, &["coordinator", "status"])).collect();
    report.row("coordinator status, the same start and connection without a job", median(&times) * 1e3, "ms");
}

/// Ten million items over two agents.
pub fn throughput(report: &mut Report) {
    let cluster = Cluster::with_agents(&[1, 1]);
    cluster.wait_for_agents(2);
    submit(&cluster, 1);
    let times: Vec<f64> = (0..5).map(|_| submit(&cluster, 10_000_000)).collect();
    report.row("noop of 10,000,000 items, 2 agents, submit --wait to exit, median of 5", median(&times), "s");
}

/// Resident memory of a fresh coordinator after a job of so many items.
pub fn coordinator_memory(report: &mut Report) {
    for n_items in [10_000, 1_000_000, 100_000_000] {
        let cluster = Cluster::with_agents(&[1, 1]);
        cluster.wait_for_agents(2);
        let pid = cluster.json(&["coordinator", "status"])["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap();
        let idle = memory::resident_bytes(pid);
        let (stop, peak) = sample(move || memory::resident_bytes(pid));
        submit(&cluster, n_items);
        drop(stop);
        let grown = peak.join().unwrap().saturating_sub(idle);
        report.row(&format!("coordinator's memory, noop of {n_items} items: growth at its peak"), grown as f64 / 1024.0 / 1024.0, "MiB");
    }
}

/// Takes samples in the background until the first value is dropped; the second yields the largest.
pub fn sample(probe: impl Fn() -> u64 + Send + 'static) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<u64>) {
    let (stop, stopped) = std::sync::mpsc::channel();
    let sampler = std::thread::spawn(move || {
        let mut peak = probe();
        while stopped.recv_timeout(Duration::from_millis(50)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            peak = peak.max(probe());
        }
        peak.max(probe())
    });
    (stop, sampler)
}
