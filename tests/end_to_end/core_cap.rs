//! The cap on cores, seen from outside: while a job runs, the threads of the process and of its children are looked at again and
//! again. No more of those that do the work may ever be runnable than there are cores to use, whatever the workload.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use paceline_common::artifact::{self, NewArray};
use paceline_tests::binary::{checkout, paceline};
use paceline_tests::interactions::InteractionTable;
use paceline_tests::simulation::random::Random;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at the threads: often enough for thousands of looks, seldom enough to cost the cores little.
const LOOK_INTERVAL: Duration = Duration::from_millis(4);
/// A thread that uses this share of the busiest one's processor time does the work. The others pass on messages, write files and show
/// progress: they are runnable for moments, which under load are drawn out, and so they are judged by their processor time.
const WORKER_SHARE: f64 = 0.25;
/// What those others may use, of the time that the cores have; and once, at the start.
const COORDINATION_SHARE: f64 = 0.05;
const COORDINATION_AT_START_S: f64 = 0.25;
/// The unit of the times in `/proc/PID/stat`, fixed for user space on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Thread {
    process: u32,
    thread: u32,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    is_runnable: bool,
    cpu_s: f64,
}

/// All threads of a process and of its descendants. What ends meanwhile is left out.
fn look(process: u32, found: &mut HashMap<Thread, Look>) {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return };
    for task in tasks.flatten() {
        let Some(thread) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(look) = std::fs::read_to_string(task.path().join("stat")).ok().as_deref().and_then(parse_stat) {
            found.insert(Thread { process, thread }, look);
        }
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(|child| look(child, found));
    }
}

/// The state and the processor time of `proc_pid_stat(5)`. The name, which comes before them, may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<Look> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok());
    Some(Look { is_runnable: *fields.first()? == "R", cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND })
}

/// All that was seen of one job.
struct Watch {
    looks: Vec<HashMap<Thread, Look>>,
    wall_s: f64,
}

impl Watch {
    fn until_end(child: &mut Child) -> Self {
        let (begin, mut looks) = (Instant::now(), Vec::new());
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "the job ended with {status}");
                return Self { looks, wall_s: begin.elapsed().as_secs_f64() };
            }
            let mut threads = HashMap::new();
            look(child.id(), &mut threads);
            looks.push(threads);
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Processor time of every thread, as last seen.
    fn cpu_s(&self) -> HashMap<Thread, f64> {
        self.looks.iter().flatten().map(|(&thread, look)| (thread, look.cpu_s)).collect()
    }

    /// The threads that did the work.
    fn workers(&self) -> Vec<Thread> {
        let cpu_s = self.cpu_s();
        let most = cpu_s.values().copied().fold(0.0, f64::max);
        cpu_s.into_iter().filter(|&(_, cpu_s)| cpu_s >= WORKER_SHARE * most).map(|(thread, _)| thread).collect()
    }

    /// The most workers that were runnable at once.
    fn most_runnable(&self) -> usize {
        let workers = self.workers();
        let is_runnable = |look: &&HashMap<Thread, Look>, thread: &&Thread| look.get(thread).is_some_and(|look| look.is_runnable);
        self.looks.iter().map(|look| workers.iter().filter(|thread| is_runnable(&look, thread)).count()).max().unwrap_or(0)
    }
}

/// The command in one text; @NAME is a file in `folder`, but for @out, which is gone in the end.
fn watch(n_cores: usize, command: &str, folder: &Path) -> Watch {
    let outputs = tempfile::tempdir().unwrap();
    let word = |word: &str| match word.strip_prefix('@') {
        Some(name) => (if name == "out" { outputs.path() } else { folder }).join(name).to_str().unwrap().to_owned(),
        None => word.to_owned(),
    };
    let mut child = Command::new(paceline())
        .args(["run", "--cores", &n_cores.to_string(), "--output", "quiet"])
        .args(command.split_whitespace().map(word))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Watch::until_end(&mut child)
}

/// On one core and on two.
fn expect_cap(command: &str, folder: &Path) {
    let n_machine_cores = std::thread::available_parallelism().unwrap().get();
    for n_cores in 1..=n_machine_cores.min(2) {
        let watch = watch(n_cores, command, folder);
        let what = format!("{command} on {n_cores} of {n_machine_cores} cores");
        assert!(watch.looks.len() >= 50, "{what}: too short to be judged, {} looks", watch.looks.len());
        // Both ways: threads that never work at the same time would hold the cap too, and be of no use.
        assert_eq!(watch.most_runnable(), n_cores, "{what}: workers that were runnable at once, of {:?}", watch.workers());
        let cpu_s: f64 = watch.cpu_s().values().sum();
        let may_use_s = watch.wall_s * n_cores as f64 * (1.0 + COORDINATION_SHARE) + COORDINATION_AT_START_S;
        assert!(cpu_s <= may_use_s, "{what}: {cpu_s:.2} s of processor time in {:.2} s", watch.wall_s);
    }
}

/// Every job lasts for seconds, beside which the work of the other threads is little. One after the other, as each is to have the cores.
#[test]
fn no_more_threads_work_than_there_are_cores_to_use() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    std::os::unix::fs::symlink(checkout().join("data/flights.parquet"), folder.join("flights.parquet")).unwrap();
    let flights = "@flights.parquet ".repeat(4);
    let forest = format!("forest train --target outcome --data {flights} --out @out");
    expect_cap(&format!("{forest} --trees 1 --max-features all"), folder);
    expect_cap(&format!("{forest} --trees 5 --max-features sqrt"), folder);

    InteractionTable { n_users: 12_000, n_items: 3_000, max_rows_per_user: 40 }.write(&folder.join("interactions.csv"));
    expect_cap("als train --data @interactions.csv --factors 192 --cholesky --iterations 1 --out @out", folder);
    write_factors(&folder.join("factors"), 20_000, 40_000, 128);
    expect_cap("recommend --model @factors --top 10 --out @out", folder);
}

fn write_factors(path: &Path, n_users: usize, n_items: usize, n_factors: usize) {
    let mut random = Random::new(9);
    let mut draw = |n_rows: usize| -> Vec<f32> { (0..n_rows * n_factors).map(|_| random.unit() as f32 - 0.5).collect() };
    let (users, items) = (draw(n_users), draw(n_items));
    let arrays =
        [NewArray::new("user_factors", &[n_users, n_factors], &users), NewArray::new("item_factors", &[n_items, n_factors], &items)];
    artifact::write(path, "factors", 1, &BTreeMap::new(), &arrays).unwrap();
}
