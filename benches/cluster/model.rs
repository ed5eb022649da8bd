//! Two agents on one machine that map one model of 2 GiB: how much memory all processes hold together.

use crate::memory::total_pss_bytes;
use crate::noop::sample;
use paceline_benches::report::Report;
use paceline_common::artifact::{self, NewArray};
use paceline_tests::cluster::Cluster;
use std::collections::BTreeMap;
use std::path::Path;

const N_FACTORS: usize = 64;
/// 2 GiB of user factors. Few items, so that scoring every user, which touches every page, takes seconds.
const N_USERS: usize = (2 << 30) / (N_FACTORS * 4);
const N_ITEMS: usize = 1000;

/// Values between -1 and 1 from a multiplicative generator: the contents do not matter, only that no two pages are equal.
fn factors(n_rows: usize) -> Vec<f32> {
    let mut state = n_rows as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / ((1_u64 << 23) as f32) - 1.0
    };
    (0..n_rows * N_FACTORS).map(|_| next()).collect()
}

fn write_model(path: &Path) {
    let (users, items) = (factors(N_USERS), factors(N_ITEMS));
    let arrays =
        [NewArray::new("user_factors", &[N_USERS, N_FACTORS], &users), NewArray::new("item_factors", &[N_ITEMS, N_FACTORS], &items)];
    artifact::write(path, "factors", 1, &BTreeMap::new(), &arrays).unwrap();
}

/// Summed proportional set size of coordinator, agents and runners while they score every user, over the size of the model.
pub fn shared_memory(report: &mut Report) {
    let cluster = Cluster::with_agents(&[2, 2]);
    cluster.wait_for_agents(2);
    let (model, out) = (cluster.scratch().join("model.safetensors"), cluster.scratch().join("top"));
    write_model(&model);
    let model_mib = std::fs::metadata(&model).unwrap().len() as f64 / 1024.0 / 1024.0;
    let pids = cluster.pids();
    let (stop, peak) = sample(move || total_pss_bytes(&pids));
    cluster.succeed(&["submit", "--wait", "recommend", "--model", model.to_str().unwrap(), "--out", out.to_str().unwrap(), "--top", "1"]);
    drop(stop);
    let total_mib = peak.join().unwrap() as f64 / 1024.0 / 1024.0;
    report.row("size of the model that two agents map", model_mib, "MiB");
    report.row("summed PSS of all processes at its peak", total_mib, "MiB");
    report.row("of which above the model", total_mib - model_mib, "MiB");
    report.row("the bound, 1.05 × model + 200 MiB", 1.05 * model_mib + 200.0, "MiB");
}
