//! What agent and runner use, from `/proc`. Parsing is pure.
//! This file reads the short `status` and `stat` only: the kernel's exact sums over maps take long where a model has 40 GB.

use paceline_common::message::AgentUsage;

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Anonymous resident memory in bytes.
    pub anonymous_bytes: u64,
    /// File-backed resident memory in bytes, shared memory included.
    pub file_backed_bytes: u64,
    /// CPU time since its start, in milliseconds.
    pub cpu_ms: u64,
}

impl ProcessUsage {
    /// Asks the kernel about process `pid`; nothing where it is gone.
    pub fn of(pid: u32) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        Self::parse(&read("status"), &read("stat"), rustix::param::clock_ticks_per_second())
    }

    fn parse(status: &str, stat: &str, ticks_per_second: u64) -> Self {
        let size = |name: &str| {
            let kibibytes = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
            kibibytes.unwrap_or(0).saturating_mul(1024)
        };
        // The process's name stands in parentheses and may itself hold some: fields are counted behind the last one.
        let times = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11).take(2);
        let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Self {
            anonymous_bytes: size("RssAnon:"),
            file_backed_bytes: size("RssFile:") + size("RssShmem:"),
            cpu_ms: ticks.saturating_mul(1000) / ticks_per_second.max(1),
        }
    }
}

/// Sums over the agent and all runners that it has had.
#[derive(Debug, Default)]
pub struct UsageMeter {
    /// CPU time of runners that are dead.
    past_cpu_ms: u64,
    runner: Option<(u32, ProcessUsage)>,
}

impl UsageMeter {
    /// Looks at this process and at the runner, where there is one.
    pub fn measure(&mut self, runner_pid: Option<u32>, mapped_bytes: u64) -> AgentUsage {
        let own = ProcessUsage::of(std::process::id());
        let runner = runner_pid.map(|pid| (pid, ProcessUsage::of(pid)));
        self.sum(own, runner, mapped_bytes)
    }

    fn sum(&mut self, own: ProcessUsage, runner: Option<(u32, ProcessUsage)>, mapped_bytes: u64) -> AgentUsage {
        match (self.runner, runner) {
            (Some((before, last)), now) if now.map(|(pid, _)| pid) != Some(before) => self.past_cpu_ms += last.cpu_ms,
            _ => {}
        }
        self.runner = runner;
        let runner = runner.map(|(_, usage)| usage).unwrap_or_default();
        AgentUsage {
            anonymous_bytes: own.anonymous_bytes + runner.anonymous_bytes,
            file_backed_bytes: own.file_backed_bytes + runner.file_backed_bytes,
            mapped_bytes,
            cpu_ms: self.past_cpu_ms + own.cpu_ms + runner.cpu_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_as_they_are() {
        let status = "Name:\tpaceline\nVmRSS:\t  300 kB\nRssAnon:\t     120 kB\nRssFile:\t     170 kB\nRssShmem:\t       10 kB\n";
        let stat = "4711 (a) b (c) S 1 4711 4711 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 100 1000 50";
        let usage = ProcessUsage { anonymous_bytes: 120 << 10, file_backed_bytes: 180 << 10, cpu_ms: 2000 };
        assert_eq!(ProcessUsage::parse(status, stat, 100), usage);
        assert_eq!(ProcessUsage::parse("", "", 100), ProcessUsage::default());
        assert!(ProcessUsage::of(std::process::id()).anonymous_bytes > 0);
    }

    #[test]
    fn cpu_time_of_dead_runners_stays_counted() {
        let mut meter = UsageMeter::default();
        let cpu = |cpu_ms| ProcessUsage { cpu_ms, ..ProcessUsage::default() };
        let mut total = |own, runner| meter.sum(cpu(own), runner, 0).cpu_ms;
        assert_eq!(total(1, Some((7, cpu(100)))), 101);
        assert_eq!(total(2, Some((7, cpu(200)))), 202);
        assert_eq!(total(3, None), 203);
        assert_eq!(total(4, Some((9, cpu(10)))), 214);
        assert_eq!(total(5, Some((12, cpu(0)))), 215);
    }
}
