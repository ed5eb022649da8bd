//! Measures a whole cluster of real processes on this machine: the scheduler's overhead by jobs that do nothing, the coordinator's memory
//! by the number of items, and the memory of two agents that share one model. Prints a table and, with `--json`, the same as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that cannot be made stops")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod memory;
mod model;
mod noop;

use paceline_benches::report::Report;

fn main() {
    let mut report = Report::new();
    noop::latency(&mut report);
    noop::throughput(&mut report);
    noop::coordinator_memory(&mut report);
    model::shared_memory(&mut report);
    report.print(std::env::args().any(|argument| argument == "--json"));
}
