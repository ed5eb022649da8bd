//! Memory of processes as the kernel accounts it. Shared pages are divided among those who share them (PSS), so that a model mapped by
//! several processes counts once; summed resident sizes would count it for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Proportional set size of one process in bytes; 0 when it has ended.
fn pss_bytes(pid: u32) -> u64 {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:") * 1024
}

/// Resident size of one process in bytes; 0 when it has ended.
pub fn resident_bytes(pid: u32) -> u64 {
    field_kib(&format!("/proc/{pid}/status"), "VmRSS:") * 1024
}

fn field_kib(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|v| v.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// The processes named and all of their descendants.
fn with_descendants(pids: &[u32]) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let (mut found, mut queue) = (BTreeSet::new(), pids.to_vec());
    while let Some(pid) = queue.pop() {
        if found.insert(pid) {
            queue.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

/// Summed proportional set size of the processes named and all of their descendants, in bytes.
pub fn total_pss_bytes(pids: &[u32]) -> u64 {
    with_descendants(pids).into_iter().map(pss_bytes).sum()
}
