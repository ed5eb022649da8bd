//! Runs the histories of the test command: every one must be sound, the same each time, and together they must contain what they are for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_tests::simulation::world;
use std::collections::BTreeMap;

const N_SEEDS: u64 = 2_500;

#[test]
fn every_history_is_sound_and_ends() {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..N_SEEDS {
        let counts = world::run(seed, false).0.unwrap_or_else(|violation| {
            panic!(
                "seed {seed}: at {:.3} ms: {}\nrun it again with: cargo run --release -p paceline-tests --bin simulate -- --seed {seed} --trace",
                violation.at_ns as f64 * 1e-6,
                violation.what
            )
        });
        counts.by_name.iter().for_each(|(name, n)| *totals.entry(name).or_default() += n);
    }
    // A simulation in which these do not happen often proves nothing about them.
    let expected = [
        "adoptions or grants to returned agents",
        "agents dropped",
        "commits in part",
        "disconnections",
        "drains",
        "freezes",
        "grants alone",
        "jobs cancelled",
        "jobs failed",
        "jobs succeeded",
        "jobs succeeded in part",
        "kills",
        "messages doubled",
        "messages lost",
        "partitions",
        "pauses",
        "quarantines",
        "releases",
        "restarts",
        "resumptions",
        "retries",
        "revocations",
        "runner deaths",
        "shortenings asked",
        "speculative grants",
        "storage failures",
    ];
    for name in expected {
        let n = totals.get(name).copied().unwrap_or(0);
        assert!(n >= 50, "only {n} {name} in {N_SEEDS} histories");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..50 {
        let (one, other) = (world::run(seed, false).0.unwrap(), world::run(seed, false).0.unwrap());
        assert_eq!(one, other, "seed {seed}");
    }
}
