//! A coordinator and agents as real processes over real sockets on loopback, taken down when dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use crate::binary::paceline;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything on one machine may take before a test gives up: far above what is usual, since machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster directory with its processes.
#[derive(Debug)]
pub struct Cluster {
    directory: tempfile::TempDir,
    coordinator: Option<Child>,
    agents: Vec<Child>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// A directory without any process.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), coordinator: None, agents: Vec::new() }
    }

    /// A running coordinator and agents with these numbers of cores.
    pub fn with_agents(cores: &[u32]) -> Self {
        let mut cluster = Self::new();
        cluster.start_coordinator();
        for &n_cores in cores {
            cluster.start_agent(n_cores);
        }
        cluster
    }

    /// The cluster directory.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }

    /// A place for a test's own files, gone with the cluster.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// `paceline ARGS` on this cluster, not yet run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(paceline());
        command.args(args).env("PACELINE_CLUSTER", self.path()).env_remove("PACELINE_LOG").stdin(Stdio::null());
        command
    }

    /// Runs `paceline ARGS` to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `paceline ARGS`, which must succeed, and gives what it printed.
    pub fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "paceline {args:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `paceline ARGS --output json` tells.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.succeed(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?} printed no JSON ({e}): {text}"))
    }

    fn spawn(&self, log: &str, args: &[&str]) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join(log)).unwrap();
        self.command(args).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Starts the coordinator and waits until it answers.
    pub fn start_coordinator(&mut self) {
        self.coordinator = Some(self.spawn("coordinator.log", &["coordinator", "start", "--listen", "127.0.0.1:0"]));
        wait_for("the coordinator to answer", || self.run(&["coordinator", "status"]).status.success().then_some(()));
    }

    /// Starts an agent, without waiting for it, and gives its process number.
    pub fn start_agent(&mut self, cores: u32) -> u32 {
        let child = self.spawn(&format!("agent-{}.log", self.agents.len()), &["agent", "start", "--cores", &cores.to_string()]);
        let pid = child.id();
        self.agents.push(child);
        pid
    }

    /// Process numbers of the coordinator and of every agent.
    pub fn pids(&self) -> Vec<u32> {
        self.coordinator.iter().chain(&self.agents).map(Child::id).collect()
    }

    /// Kills the coordinator at once, as a power loss would.
    pub fn kill_coordinator(&mut self) {
        let mut child = self.coordinator.take().expect("a coordinator runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills an agent at once, by its process number.
    pub fn kill_agent(&mut self, pid: u32) {
        let child = self.agents.iter_mut().find(|a| a.id() == pid).expect("the agent is ours");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until this many agents are connected.
    pub fn wait_for_agents(&self, n_agents: u64) {
        wait_for("the agents to join", || (self.json(&["coordinator", "status"])["n_agents"] == n_agents).then_some(()));
    }

    /// What a process of the cluster has printed.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.agents.iter_mut().chain(self.coordinator.as_mut()) {
            // One that has ended already needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.directory.path()).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|e| e == "log") {
                    let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let tail: Vec<&str> = text.lines().rev().take(30).collect();
                    #[expect(clippy::print_stderr, reason = "a failing test shows what its processes said")]
                    {
                        eprintln!("--- {}", entry.file_name().to_string_lossy());
                        tail.iter().rev().for_each(|line| eprintln!("{line}"));
                    }
                }
            }
        }
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// blake3 of a file's bytes, in hex.
pub fn hash_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    blake3::hash(&bytes).to_hex().to_string()
}
