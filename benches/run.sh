#!/usr/bin/env bash
# All measurements in one command; each prints its table as it goes. `--json` prints JSON instead.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --workspace --locked
printf '\n== the state machine alone\n'
target/release/bench-scheduler "$@"
printf '\n== histograms of a forest beside what caches and memory give\n'
target/release/bench-histograms "$@"
printf '\n== a simulated cluster of 1,000 agents: makespan over its lower bound\n'
target/release/simulate --makespan 1000000 10000000 100000000
printf '\n== a cluster of real processes on this machine\n'
target/release/bench-cluster "$@"
