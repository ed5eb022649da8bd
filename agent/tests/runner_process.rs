//! The runner as a process, spoken to in its protocol as `docs/runner-protocol.md` describes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use paceline_agent::runner::protocol::{FromRunner, ToRunner};
use paceline_common::ids::{JobId, LeaseId};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use support::{PATIENCE, grant, make_noop_job, runner_program};

struct Runner {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    dir: tempfile::TempDir,
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Runner {
    fn start() -> Self {
        // In its own group, as its agent starts it.
        let mut child = Command::new(runner_program()).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let stdin = child.stdin.take();
        Self { child, stdin, lines, dir: tempfile::tempdir().unwrap() }
    }

    fn ready(cores: u32, sleep_us: u64, crash_at: &[u64], fail_at: &[u64]) -> Self {
        let mut runner = Self::start();
        make_noop_job(runner.dir.path(), sleep_us, crash_at, fail_at);
        runner.say(&ToRunner::Hello { protocol_version: 1, cores, scratch: None });
        assert_eq!(runner.next(), FromRunner::Ready { protocol_version: 1 });
        runner
    }

    fn say(&mut self, message: &ToRunner) {
        self.write(&serde_json::to_string(message).unwrap());
    }

    fn write(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn grant(&mut self, lease: u64, start: u64, end: u64) {
        let grant = grant(lease, start, end, self.dir.path());
        self.say(&ToRunner::Grant(grant));
    }

    fn next_with_progress(&self) -> FromRunner {
        let line = self.lines.recv_timeout(PATIENCE).expect("the runner says nothing more");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn next(&self) -> FromRunner {
        loop {
            match self.next_with_progress() {
                FromRunner::Progress { .. } => {}
                message => return message,
            }
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "the runner does not exit");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn finished(lease: u64, end: u64) -> FromRunner {
    serde_json::from_str(&format!(r#"{{"type":"finished","lease":{lease},"end":{end},"part":{{"kind":"empty"}}}}"#)).unwrap()
}

#[test]
fn a_lease_is_computed_from_start_to_end_with_progress() {
    let mut runner = Runner::ready(2, 10_000, &[], &[]);
    runner.grant(1, 0, 150);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    let mut n_reports = 0;
    loop {
        match runner.next_with_progress() {
            FromRunner::Progress { leases, .. } => {
                let [progress] = leases[..] else { panic!("{leases:?}") };
                // At most one item of each of the two threads is claimed and not done.
                assert!(progress.claimed <= 150 && progress.claimed - progress.n_done <= 2, "{progress:?}");
                n_reports += 1;
            }
            message => {
                assert_eq!(message, finished(1, 150));
                break;
            }
        }
    }
    assert!(n_reports >= 1);
}

#[test]
fn a_shortened_lease_ends_exactly_where_it_said() {
    let mut runner = Runner::ready(2, 20_000, &[], &[]);
    runner.grant(1, 0, 100_000);
    runner.grant(2, 200_000, 200_010);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    std::thread::sleep(Duration::from_millis(100));
    runner.say(&ToRunner::Shorten { lease: LeaseId(2), end: 0 });
    assert_eq!(runner.next(), FromRunner::Shortened { lease: LeaseId(2), end: 200_000 });
    runner.say(&ToRunner::Shorten { lease: LeaseId(1), end: 0 });
    let FromRunner::Shortened { lease: LeaseId(1), end } = runner.next() else { panic!("not shortened") };
    assert!((1..100_000).contains(&end), "{end}");
    assert_eq!(runner.next(), finished(1, end));
    // Revoked before it begins: nothing is said of it, and the next one runs.
    runner.grant(3, 0, 100_000);
    runner.say(&ToRunner::Revoke { lease: LeaseId(3) });
    runner.say(&ToRunner::ForgetJob { job: JobId(1) });
    runner.grant(4, 0, 2);
    loop {
        match runner.next() {
            FromRunner::Started { lease } if lease != LeaseId(4) => assert_eq!(lease, LeaseId(3)),
            message => {
                assert_eq!(message, FromRunner::Started { lease: LeaseId(4) });
                break;
            }
        }
    }
    assert_eq!(runner.next(), finished(4, 2));
}

#[test]
fn a_failing_item_is_named() {
    let mut runner = Runner::ready(1, 1, &[], &[5]);
    runner.grant(1, 0, 10);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    let FromRunner::Failed { lease: LeaseId(1), item: Some(5), failure } = runner.next() else { panic!("not failed") };
    assert!(failure.message.contains("item 5"), "{failure}");
}

#[test]
fn a_job_that_cannot_be_opened_fails_its_leases_only() {
    let mut runner = Runner::ready(1, 0, &[], &[]);
    std::fs::write(runner.dir.path().join("spec.json"), "{").unwrap();
    runner.grant(1, 0, 10);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    let FromRunner::Failed { item: None, failure, .. } = runner.next() else { panic!("not failed") };
    assert!(failure.message.contains("spec.json"), "{failure}");
    make_noop_job(runner.dir.path(), 0, &[], &[]);
    runner.grant(2, 0, 10);
    assert_eq!((runner.next(), runner.next()), (FromRunner::Started { lease: LeaseId(2) }, finished(2, 10)));
}

#[test]
fn a_crash_comes_after_the_word_that_the_lease_began() {
    let mut runner = Runner::ready(2, 0, &[3], &[]);
    runner.grant(1, 0, 10);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    assert_eq!(runner.wait().signal(), Some(6));
    assert!(runner.lines.recv_timeout(PATIENCE).is_err(), "nothing follows");
}

#[test]
fn the_end_of_its_input_ends_it_in_the_middle_of_its_work() {
    let mut runner = Runner::ready(2, 30_000_000, &[], &[]);
    runner.grant(1, 0, 10);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    let begin = Instant::now();
    runner.stdin = None;
    // It takes its whole process group with it, by the one signal that cannot be held up.
    assert_eq!(runner.wait().signal(), Some(9));
    assert!(begin.elapsed() < Duration::from_secs(20), "it waited for its items");
}

#[test]
fn signals_to_the_whole_step_do_not_end_it() {
    let mut runner = Runner::ready(1, 50_000, &[], &[]);
    runner.grant(1, 0, 4);
    assert_eq!(runner.next(), FromRunner::Started { lease: LeaseId(1) });
    let pid = rustix::process::Pid::from_child(&runner.child);
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT, rustix::process::Signal::USR1, rustix::process::Signal::HUP]
    {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    assert_eq!(runner.next(), finished(1, 4));
}

#[test]
fn it_refuses_what_is_not_its_protocol() {
    for line in ["hello", "", r#"{"type":"hello","protocol_version":99,"cores":1}"#, r#"{"type":"revoke","lease":1}"#] {
        let mut runner = Runner::start();
        runner.write(line);
        assert_eq!(runner.wait().code(), Some(64), "{line}");
    }
    let too_long = "x".repeat(100_000);
    for line in ["nonsense", r#"{"type":"dance"}"#, r#"{"type":"grant","lease":-1}"#, &too_long] {
        let mut runner = Runner::ready(1, 0, &[], &[]);
        let _ = writeln!(runner.stdin.as_mut().unwrap(), "{line}");
        let FromRunner::Log { level, .. } = runner.next() else { panic!("no word of it") };
        assert_eq!((level.as_str(), runner.wait().code()), ("error", Some(64)), "{line}");
    }
}
