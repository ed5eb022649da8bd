//! Control groups, versions 1 and 2, also both at once: where this process's groups stand and what their files say.
//! This file knows the layout under `/proc` and `/sys/fs/cgroup`, not what a limit means for the work.

use super::Node;
use std::path::{Path, PathBuf};

/// The directories of this process's group for one controller, from its own up to the root of the mount: a limit may stand in any
/// of them, since an outer group binds the inner ones.
pub(super) struct GroupPath {
    /// Which version's file names apply.
    pub version: Version,
    /// Own group first.
    pub directories: Vec<PathBuf>,
}

/// Which version a hierarchy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// A line of `/proc/self/mountinfo` that mounts control groups.
struct Mount {
    version: Version,
    /// The group that shows at the mount point; not `/` in many containers.
    root: PathBuf,
    point: PathBuf,
    /// Version 1: the controllers.
    options: String,
}

/// The hierarchies that may limit `controller` ("cpu", "memory"): on a node with both versions mounted, both are looked at.
pub(super) fn group_paths(node: &impl Node, controller: &str) -> Vec<GroupPath> {
    let groups = node.read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let mounts = node.read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let mounts: Vec<Mount> = mounts.lines().filter_map(parse_mount).collect();
    groups.lines().filter_map(|line| group_path(line, controller, &mounts)).collect()
}

/// Resolves a line `hierarchy:controllers:path` of `/proc/self/cgroup`.
fn group_path(line: &str, controller: &str, mounts: &[Mount]) -> Option<GroupPath> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let version = if controllers.is_empty() { Version::V2 } else { Version::V1 };
    if version == Version::V1 && !controllers.split(',').any(|c| c == controller) {
        return None;
    }
    let has_controller = |mount: &&Mount| {
        mount.version == version && (version == Version::V2 || mount.options.split(',').any(|option| option == controller))
    };
    let mount = mounts.iter().find(has_controller)?;
    // A path outside of the mount's root belongs to a group that cannot be seen from here: the visible root is the nearest one.
    let own = mount.point.join(Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new("")));
    let directories = own.ancestors().take_while(|dir| dir.starts_with(&mount.point)).map(Path::to_owned).collect();
    Some(GroupPath { version, directories })
}

/// Reads `id parent major:minor root point options … - type source super-options`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let version = match right.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options = right.nth(1).unwrap_or_default().to_owned();
    Some(Mount { version, root: PathBuf::from(root), point: PathBuf::from(point), options })
}

/// The CPU quota in cores, the least along the path; fractions are kept.
pub(super) fn cpu_quota(node: &impl Node) -> Option<f64> {
    least(group_paths(node, "cpu").iter().flat_map(|group| group.directories.iter().filter_map(|dir| quota_of(node, group.version, dir))))
}

fn quota_of(node: &impl Node, version: Version, dir: &Path) -> Option<f64> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| *n > 0.0);
    match version {
        Version::V1 => Some(number(&node.read(&dir.join("cpu.cfs_quota_us"))?)? / number(&node.read(&dir.join("cpu.cfs_period_us"))?)?),
        Version::V2 => {
            let text = node.read(&dir.join("cpu.max"))?;
            // "max 100000" does not parse as a number: no limit.
            let (quota, period) = text.trim().split_once(' ')?;
            Some(number(quota)? / number(period)?)
        }
    }
}

fn least(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.fold(None, |least, value| Some(least.map_or(value, |l: f64| l.min(value))))
}

/// The memory limit in bytes, the least along the path. Version 1 writes "no limit" as a number near 2^63, which is as good as
/// any that exceeds the node's memory.
pub(super) fn memory_limit(node: &impl Node) -> Option<u64> {
    let groups = group_paths(node, "memory");
    let limits = groups.iter().flat_map(|group| {
        let file = if group.version == Version::V1 { "memory.limit_in_bytes" } else { "memory.max" };
        group.directories.iter().filter_map(move |dir| node.read(&dir.join(file))?.trim().parse::<u64>().ok())
    });
    limits.min()
}

/// How many processes were killed for memory in the own group; where no group counts them, on the whole node.
pub(super) fn n_oom_kills(node: &impl Node) -> Option<u64> {
    let of_groups = group_paths(node, "memory").into_iter().filter_map(|group| {
        let file = if group.version == Version::V1 { "memory.oom_control" } else { "memory.events" };
        counter(&node.read(&group.directories.first()?.join(file))?, "oom_kill")
    });
    of_groups.reduce(u64::saturating_add).or_else(|| counter(&node.read(Path::new("/proc/vmstat"))?, "oom_kill"))
}

/// The value beside `name` in a file of lines "name value".
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
pub(super) mod fixtures {
    //! Nodes as they are found.
    use super::super::RecordedNode;

    fn node(files: &[(&str, &str)]) -> RecordedNode {
        let files = files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
        RecordedNode { files, ..RecordedNode::default() }
    }

    pub const CPUS_128: (&str, &str) = ("/sys/devices/system/cpu/online", "0-127\n");
    pub const MEMINFO_512_GIB: (&str, &str) =
        ("/proc/meminfo", "MemTotal:       536870912 kB\nMemFree:        500000000 kB\nMemAvailable:   510000000 kB\n");

    /// SLURM's cgroup/v2 plugin: the job has the limits, the step and task below it have none of their own.
    pub fn slurm_v2() -> RecordedNode {
        let scope = "/sys/fs/cgroup/system.slice/slurmstepd.scope/job_4711";
        node(&[
            CPUS_128,
            MEMINFO_512_GIB,
            ("/proc/self/cgroup", "0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n"),
            (
                "/proc/self/mountinfo",
                "22 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/root rw,attr2\n\
                 26 22 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
            ),
            (&format!("{scope}/step_0/user/task_0/memory.max"), "max\n"),
            (&format!("{scope}/step_0/user/task_0/cpu.max"), "max 100000\n"),
            (&format!("{scope}/step_0/user/task_0/memory.events"), "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"),
            (&format!("{scope}/memory.max"), "68719476736\n"),
            (&format!("{scope}/cpu.max"), "max 100000\n"),
        ])
    }

    /// A container with a fractional quota; its own group is the root of what it sees.
    pub fn container_v2() -> RecordedNode {
        node(&[
            CPUS_128,
            MEMINFO_512_GIB,
            ("/proc/self/cgroup", "0::/\n"),
            (
                "/proc/self/mountinfo",
                "700 680 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n",
            ),
            ("/sys/fs/cgroup/cpu.max", "250000 100000\n"),
            ("/sys/fs/cgroup/memory.max", "4294967296\n"),
        ])
    }

    /// Version 1 with the usual joint mount of cpu and cpuacct; the user's slice has the tighter quota than the step.
    pub fn slurm_v1() -> RecordedNode {
        let memory = "/sys/fs/cgroup/memory/slurm/uid_1000/job_77";
        node(&[
            CPUS_128,
            MEMINFO_512_GIB,
            (
                "/proc/self/cgroup",
                "11:memory:/slurm/uid_1000/job_77/step_0/task_0\n4:cpu,cpuacct:/user.slice/user-1000.slice/session-3.scope\n1:name=systemd:/user.slice\n",
            ),
            (
                "/proc/self/mountinfo",
                "30 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                 31 25 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory\n",
            ),
            (&format!("{memory}/step_0/task_0/memory.limit_in_bytes"), "9223372036854771712\n"),
            (&format!("{memory}/step_0/task_0/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
            (&format!("{memory}/memory.limit_in_bytes"), "34359738368\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/user.slice/user-1000.slice/session-3.scope/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/user.slice/user-1000.slice/session-3.scope/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/user.slice/user-1000.slice/cpu.cfs_quota_us", "400000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/user.slice/user-1000.slice/cpu.cfs_period_us", "100000\n"),
        ])
    }

    /// A version 1 container without a namespace of its own: the mount shows the group itself, the path is the host's.
    pub fn docker_v1() -> RecordedNode {
        node(&[
            CPUS_128,
            MEMINFO_512_GIB,
            ("/proc/self/cgroup", "9:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"),
            (
                "/proc/self/mountinfo",
                "810 800 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:14 - cgroup cgroup rw,cpu,cpuacct\n\
                 811 800 0:31 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:15 - cgroup cgroup rw,memory\n\
                 812 800 0:32 / /sys/fs/cgroup/unified ro,nosuid - cgroup2 cgroup2 rw\n",
            ),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_least_along_the_path_in_either_version() {
        assert_eq!((cpu_quota(&fixtures::slurm_v2()), memory_limit(&fixtures::slurm_v2())), (None, Some(64 << 30)));
        assert_eq!((cpu_quota(&fixtures::container_v2()), memory_limit(&fixtures::container_v2())), (Some(2.5), Some(4 << 30)));
        assert_eq!((cpu_quota(&fixtures::slurm_v1()), memory_limit(&fixtures::slurm_v1())), (Some(4.0), Some(32 << 30)));
        assert_eq!((cpu_quota(&fixtures::docker_v1()), memory_limit(&fixtures::docker_v1())), (Some(0.5), Some(1 << 30)));
    }

    #[test]
    fn kills_are_counted_in_the_own_group_or_else_on_the_node() {
        assert_eq!(n_oom_kills(&fixtures::slurm_v2()), Some(2));
        assert_eq!(n_oom_kills(&fixtures::slurm_v1()), Some(5));
        let mut node = fixtures::container_v2();
        assert_eq!(n_oom_kills(&node), None);
        node.files.insert("/proc/vmstat".into(), "pgfault 7\noom_kill 9\noom_killed_x 3\n".to_owned());
        assert_eq!(n_oom_kills(&node), Some(9));
    }

    #[test]
    fn a_node_without_control_groups_has_no_limits() {
        let node = super::super::RecordedNode::default();
        assert_eq!((cpu_quota(&node), memory_limit(&node), n_oom_kills(&node)), (None, None, None));
        let mut odd = node;
        odd.files.insert("/proc/self/cgroup".into(), "nonsense\n0\n::\n".to_owned());
        odd.files.insert("/proc/self/mountinfo".into(), "1 2 - cgroup2\n - \n- - -".to_owned());
        assert_eq!((cpu_quota(&odd), memory_limit(&odd)), (None, None));
    }
}
