//! What the tests of the binary share: running it in a place of its own, and taking down what was started.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its part of this")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far above what is usual, since machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A private place with a cluster directory's path in it, which does not exist until a coordinator makes it.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn cluster(&self) -> PathBuf {
        self.path().join("cluster")
    }

    /// `paceline ARGS` in this place, with nothing of the caller's settings.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("PACELINE_CLUSTER", self.cluster()).env("HOME", self.path()).env("TMPDIR", self.path());
        for name in ["PACELINE_LOG", "RUST_LOG", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of `paceline ARGS`, which must exit with `code`; and its standard error.
    pub fn exits(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "paceline {args:?}\n--- out\n{out}\n--- err\n{err}");
        assert_no_crash(&err);
        (out, err)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let (out, _) = self.exits(0, &[args, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?} printed no JSON document ({e}): {out}"))
    }

    /// Everything that stands in this place.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Errors are sentences: no panic, no backtrace, no Debug print of an error type.
pub fn assert_no_crash(err: &str) {
    for forbidden in ["panicked", "backtrace", "Err(", "Error {", "Some(", "RUST_BACKTRACE"] {
        assert!(!err.contains(forbidden), "standard error holds `{forbidden}`:\n{err}");
    }
}

/// The error sentence: the one line that begins so.
pub fn error_line(err: &str) -> &str {
    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "one error line is wanted:\n{err}");
    lines[0]
}

/// A coordinator and agents of a place; killed when dropped.
pub struct Daemons {
    children: Vec<Child>,
}

impl Daemons {
    pub fn start(place: &Place, n_agents: usize) -> Self {
        let mut daemons = Self { children: Vec::new() };
        daemons.spawn(place, "coordinator.log", &["coordinator", "start", "--listen", "127.0.0.1:0"]);
        wait_for("the coordinator", || place.run(&["coordinator", "status"]).status.success().then_some(()));
        for agent in 0..n_agents {
            daemons.spawn(place, &format!("agent-{agent}.log"), &["agent", "start", "--cores", "1"]);
        }
        wait_for("the agents", || (place.json(&["coordinator", "status"])["n_agents"] == n_agents).then_some(()));
        daemons
    }

    pub fn spawn(&mut self, place: &Place, log: &str, args: &[&str]) -> u32 {
        let log = std::fs::File::create(place.path().join(log)).unwrap();
        let child = place.command(args).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    /// The exit code of the process, once it has ended.
    pub fn wait(&mut self, pid: u32) -> Option<i32> {
        let child = self.children.iter_mut().find(|c| c.id() == pid).unwrap();
        wait_for("the process to end", || child.try_wait().unwrap()).code()
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended already needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

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

/// Sends a signal to a process that this test started.
pub fn send(signal: rustix::process::Signal, pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
