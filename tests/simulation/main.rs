//! `simulate`: runs histories of the scheduler by their seeds, one of them with its trace, or a large cluster for measuring.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use paceline_tests::simulation::{makespan, world};
use std::collections::BTreeMap;
use std::process::ExitCode;

const USAGE: &str = "usage: simulate --seeds N [--from SEED] | --seed SEED [--trace] | --makespan [N_ITEMS…]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number_after = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--makespan") {
        let sizes: Vec<u64> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
        makespan::print(&sizes);
        ExitCode::SUCCESS
    } else if let Some(seed) = number_after("--seed") {
        one(seed, has("--trace"))
    } else if let Some(n_seeds) = number_after("--seeds") {
        many(number_after("--from").unwrap_or(0), n_seeds)
    } else {
        eprintln!("{USAGE}");
        ExitCode::from(2)
    }
}

fn one(seed: u64, wants_trace: bool) -> ExitCode {
    let (result, trace) = world::run(seed, wants_trace);
    trace.iter().for_each(|line| println!("{line}"));
    match result {
        Ok(counts) => {
            println!(
                "seed {seed}: sound; {} events, {:.1} s of virtual time, {:?}",
                counts.n_events,
                counts.ended_at_ns as f64 * 1e-9,
                counts.by_name
            );
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("seed {seed}: at {:.3} ms: {}", violation.at_ns as f64 * 1e-6, violation.what);
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, n_seeds: u64) -> ExitCode {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut n_events, mut n_failed) = (0, 0_u64);
    for seed in from..from + n_seeds {
        match world::run(seed, false).0 {
            Ok(counts) => {
                n_events += counts.n_events;
                counts.by_name.iter().for_each(|(name, n)| *totals.entry(name).or_default() += n);
            }
            Err(violation) => {
                n_failed += 1;
                println!("seed {seed}: at {:.3} ms: {}", violation.at_ns as f64 * 1e-6, violation.what);
                println!("  run it again with: cargo run --release -p paceline-tests --bin simulate -- --seed {seed} --trace");
            }
        }
    }
    println!("{n_seeds} histories, {n_events} events, {n_failed} broken");
    totals.iter().for_each(|(name, n)| println!("  {n:>10} {name}"));
    if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
