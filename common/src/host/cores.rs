//! How many cores may be used: the least of everything that limits them, and the name of the limit that decided.
//! This file must not know what the cores are used for.

use super::{Node, cgroup};
use std::fmt;
use std::path::Path;

/// A number of cores and what decided it. A hardware thread counts as a core, as it does in affinity masks and for SLURM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreCount {
    /// How many may be used; at least 1.
    pub n_cores: u32,
    /// How many the node has.
    pub n_on_node: u32,
    /// What decided: "--cores", "SLURM_CPUS_PER_TASK", "affinity mask", …
    pub reason: String,
}

impl fmt::Display for CoreCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "using {} of {} cores: {}", self.n_cores, self.n_on_node, self.reason)
    }
}

impl CoreCount {
    /// Asks `node`; `asked` is what the user wants at most.
    pub fn of(node: &impl Node, asked: Option<u32>) -> Self {
        let affinity = node.n_in_affinity_mask();
        let n_on_node = n_online(node).or(affinity).unwrap_or(1).max(1);
        // In the order in which a tie is explained: what the user said most directly comes first.
        let limits = [
            (asked, "--cores"),
            (env_count(node, "SLURM_CPUS_PER_TASK"), "SLURM_CPUS_PER_TASK"),
            (env_count(node, "SLURM_CPUS_ON_NODE"), "SLURM_CPUS_ON_NODE"),
            (affinity, "affinity mask"),
            (cgroup::cpu_quota(node).map(whole_cores), "cgroup CPU quota"),
        ];
        let binding = limits.into_iter().filter_map(|(limit, reason)| limit.map(|n| (n.max(1), reason))).min_by_key(|(n, _)| *n);
        match binding {
            // The mask of a process that nobody has bound names every core: that decides nothing.
            Some((n_cores, reason)) if n_cores < n_on_node || n_cores == n_on_node && reason != "affinity mask" => {
                Self { n_cores, n_on_node, reason: reason.to_owned() }
            }
            _ => Self { n_cores: n_on_node, n_on_node, reason: "all cores of the node".to_owned() },
        }
    }
}

/// A quota of 2.5 cores feeds three threads at five sixths, which is more than two threads get done.
fn whole_cores(quota: f64) -> u32 {
    quota.ceil().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn env_count(node: &impl Node, name: &str) -> Option<u32> {
    node.env(name)?.trim().parse().ok().filter(|n| *n > 0)
}

/// The hardware threads that are switched on, from a list such as "0-3,8-11".
fn n_online(node: &impl Node) -> Option<u32> {
    let text = node.read(Path::new("/sys/devices/system/cpu/online"))?;
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1),
        None => part.parse::<u32>().ok().map(|_| 1),
    };
    text.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::super::RecordedNode;
    use super::super::cgroup::fixtures;
    use super::*;

    fn explained(node: &RecordedNode, asked: Option<u32>) -> String {
        CoreCount::of(node, asked).to_string()
    }

    #[test]
    fn the_least_limit_decides_and_is_named() {
        let mut node = fixtures::slurm_v2();
        assert_eq!(explained(&node, None), "using 128 of 128 cores: all cores of the node");
        node.n_in_affinity_mask = Some(128);
        assert_eq!(explained(&node, None), "using 128 of 128 cores: all cores of the node");
        node.env.insert("SLURM_CPUS_ON_NODE".to_owned(), "32".to_owned());
        assert_eq!(explained(&node, None), "using 32 of 128 cores: SLURM_CPUS_ON_NODE");
        node.env.insert("SLURM_CPUS_PER_TASK".to_owned(), "16".to_owned());
        assert_eq!(explained(&node, None), "using 16 of 128 cores: SLURM_CPUS_PER_TASK");
        // A step that inherited one core although the job was promised sixteen.
        node.n_in_affinity_mask = Some(1);
        assert_eq!(explained(&node, None), "using 1 of 128 cores: affinity mask");
        node.n_in_affinity_mask = Some(16);
        assert_eq!(explained(&node, None), "using 16 of 128 cores: SLURM_CPUS_PER_TASK");
        assert_eq!(explained(&node, Some(8)), "using 8 of 128 cores: --cores");
        assert_eq!(explained(&node, Some(500)), "using 16 of 128 cores: SLURM_CPUS_PER_TASK");
    }

    #[test]
    fn quotas_are_rounded_up_to_whole_cores() {
        assert_eq!(explained(&fixtures::container_v2(), None), "using 3 of 128 cores: cgroup CPU quota");
        assert_eq!(explained(&fixtures::docker_v1(), None), "using 1 of 128 cores: cgroup CPU quota");
        assert_eq!(explained(&fixtures::slurm_v1(), None), "using 4 of 128 cores: cgroup CPU quota");
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut node = RecordedNode::default();
        assert_eq!(explained(&node, None), "using 1 of 1 cores: all cores of the node");
        for (cpus, n) in [("0-3,8-11\n", 8), ("0\n", 1), ("5-2\n", 1), ("\n", 1), ("0-,x", 1)] {
            node.files.insert("/sys/devices/system/cpu/online".into(), cpus.to_owned());
            node.env.insert("SLURM_CPUS_PER_TASK".to_owned(), "many".to_owned());
            node.env.insert("SLURM_CPUS_ON_NODE".to_owned(), "0".to_owned());
            assert_eq!(CoreCount::of(&node, None).n_cores, n, "{cpus:?}");
        }
        assert_eq!(CoreCount::of(&node, Some(0)).n_cores, 1);
    }
}
