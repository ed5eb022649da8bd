//! The life of the runner: started at once, fed from the book, its death explained, started again. Its whole process group goes
//! when the agent goes.
//! This file knows processes and pipes. It must not know what leases are about.
//!
//! The runner keeps the agent's niceness. Lowering its priority would cost it a large part of its share where others compute on
//! the node too, and gains nothing: the agent's threads sleep nearly always, so the kernel's fair scheduler runs them at once when
//! they wake, however many threads of the runner are ready.

use crate::book::Book;
use crate::config::AgentConfig;
use crate::death::{MemoryFacts, explain};
use crate::lines::{Line, LineReader};
use crate::runner::protocol::{FromRunner, MAX_LINE_BYTES, RUNNER_PROTOCOL_VERSION, ToRunner};
use crate::shared::Shared;
use futures::FutureExt;
use futures::future::FusedFuture;
use paceline_common::failure::{Failure, RunnerDeath};
use paceline_common::host;
use paceline_common::message::MAX_LOG_LINE_BYTES;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

/// The first start after a death waits for nothing; then the pauses grow from this …
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// … to this: a runner that dies at every start costs the node nothing, and one that dies now and then costs little time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A runner that lived so long was not ill from its start.
const HEALTHY_LIFE: Duration = Duration::from_secs(30);
/// How long to wait for what a dead runner left on its standard error.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(200);

/// Starts runners, for ever.
#[derive(Debug)]
pub struct Supervisor<'a> {
    config: &'a AgentConfig,
    shared: &'a Shared,
    /// The running runner's process; 0 where there is none.
    pub pid: AtomicU32,
    /// Ends the runner for good when cancelled.
    pub stop: CancellationToken,
}

/// Kills the runner's process group when dropped, and with it the children of a workload.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Fails only where nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl<'a> Supervisor<'a> {
    /// Nothing is started yet.
    pub fn new(config: &'a AgentConfig, shared: &'a Shared) -> Self {
        Self { config, shared, pid: AtomicU32::new(0), stop: CancellationToken::new() }
    }

    /// Keeps a runner running from `first` on until told to stop; then the last one is gone when this returns. Dropping the future
    /// kills it too, without waiting for its end.
    pub async fn run(&self, first: Child) {
        let mut next: std::io::Result<Child> = Ok(first);
        let mut pause = Duration::ZERO;
        loop {
            let begin = Instant::now();
            let death = match next {
                Ok(child) => self.live(child).await,
                Err(e) => RunnerDeath::NotStarted(e.to_string()),
            };
            if self.stop.is_cancelled() {
                return;
            }
            self.shared.note("warn", &format!("{death}; it is started again"));
            self.shared.change(|book| book.runner_died(death, Instant::now()));
            if begin.elapsed() >= HEALTHY_LIFE {
                pause = Duration::ZERO;
            }
            if self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            next = self.start();
        }
    }

    /// Starts the program.
    pub fn start(&self) -> std::io::Result<Child> {
        let command = &self.config.runner_command;
        let mut process = Command::new(&command.program);
        process.args(&command.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: an interrupt at the terminal drains the agent and does not reach the runner.
        process.process_group(0).kill_on_drop(true);
        // The runner computes as many items at once as there are cores; libraries inside an item must not multiply that.
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            process.env(name, "1");
        }
        process.spawn()
    }

    /// From start to death.
    async fn live(&self, mut child: Child) -> RunnerDeath {
        let n_oom_kills_before = host::n_oom_kills();
        self.pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
        let group = ProcessGroup(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw));
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return RunnerDeath::NotStarted("its streams are missing".to_owned());
        };
        let mut last_words = std::pin::pin!(self.pass_log(stderr).fuse());
        let mut writing = std::pin::pin!(self.write(stdin).fuse());
        let mut messages = std::pin::pin!(self.read(stdout).fuse());
        let mut stopped = std::pin::pin!(self.stop.cancelled().fuse());
        // The end of its messages is its end: whatever it was, it is settled by then.
        let broken = loop {
            futures::select! {
                broken = messages => break broken,
                () = stopped => break None,
                () = writing => {}
                () = last_words => {}
            }
        };
        if let Some(why) = broken {
            self.shared.note("error", &why);
        }
        drop(group);
        let status = child.wait().await;
        self.pid.store(0, Ordering::Relaxed);
        // Others may hold its standard error open; what it said itself is there at once.
        if !self.stop.is_cancelled() && !last_words.is_terminated() {
            let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await;
        }
        let limit_bytes = self.config.memory_limit.as_ref().map(|limit| limit.bytes);
        match status {
            Ok(status) => explain(status, MemoryFacts { n_oom_kills_before, n_oom_kills_after: host::n_oom_kills(), limit_bytes }),
            Err(e) => RunnerDeath::NotStarted(format!("it cannot be waited for: {e}")),
        }
    }

    /// Hands messages to the book until the stream ends; a sentence where the runner breaks the protocol.
    async fn read(&self, stdout: ChildStdout) -> Option<String> {
        let mut lines = LineReader::new(stdout, MAX_LINE_BYTES);
        loop {
            let message = match lines.next().await {
                Line::Whole(line) => serde_json::from_slice(line).map_err(|e| e.to_string()),
                Line::Cut(_) => Err(format!("it is longer than {MAX_LINE_BYTES} bytes")),
                Line::End => return None,
            };
            match message {
                Ok(FromRunner::Ready { protocol_version }) if protocol_version != RUNNER_PROTOCOL_VERSION => {
                    return Some(format!(
                        "the runner speaks version {protocol_version} of its protocol, and this agent {RUNNER_PROTOCOL_VERSION}; use one build of paceline"
                    ));
                }
                Ok(message) => self.shared.change(|book| book.runner_reported(message, Instant::now())),
                Err(why) => return Some(format!("a message of the runner cannot be understood: {why}; the runner is ended")),
            }
        }
    }

    /// Feeds the runner from the book until it takes no more.
    async fn write(&self, mut stdin: ChildStdin) {
        let hello = ToRunner::Hello {
            protocol_version: RUNNER_PROTOCOL_VERSION,
            cores: self.config.cores.n_cores,
            scratch: self.config.scratch.clone(),
        };
        let mut next = Some(hello);
        loop {
            while let Some(message) = next {
                match serde_json::to_vec(&message) {
                    Ok(mut line) => {
                        line.push(b'\n');
                        if stdin.write_all(&line).await.is_err() {
                            return;
                        }
                    }
                    Err(e) => self.untold(&message, &e),
                }
                next = self.shared.take(Book::next_for_runner);
            }
            self.shared.for_runner.notified().await;
            next = self.shared.take(Book::next_for_runner);
        }
    }

    /// JSON has no way to write a path that is not UTF-8: the lease fails here with that cause.
    fn untold(&self, message: &ToRunner, error: &serde_json::Error) {
        if let ToRunner::Grant(grant) = message {
            let sentence =
                format!("{}: cannot be passed to the runner: {error}; use a cluster directory with a plain name", grant.job_dir.display());
            let failure = Failure::bad_input(sentence);
            let failed = FromRunner::Failed { lease: grant.lease, item: None, failure };
            self.shared.change(|book| book.runner_reported(failed, Instant::now()));
        }
    }

    /// Puts what the runner writes on its standard error into the log.
    async fn pass_log(&self, stderr: ChildStderr) {
        let mut lines = LineReader::new(stderr, MAX_LOG_LINE_BYTES);
        loop {
            let line = match lines.next().await {
                Line::Whole(line) | Line::Cut(line) => line,
                Line::End => return,
            };
            let text = String::from_utf8_lossy(line);
            tracing::info!(target: "runner", "{text}");
            self.shared.change(|book| book.runner_said(&text));
        }
    }
}
