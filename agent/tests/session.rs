//! A whole agent with a real runner against a coordinator by script, over the real service within the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use paceline_agent::{AgentConfig, AgentError, AgentExit, RunnerCommand, Shutdown, ShutdownHandle};
use paceline_common::failure::{Refusal, RunnerDeath};
use paceline_common::host::CoreCount;
use paceline_common::ids::{JobId, LeaseId};
use paceline_common::message::{AgentEvent, LeaseGrant, Order};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use support::coordinator::Coordinator;
use support::{PATIENCE, grant, make_noop_job, runner_program};
use tokio::task::JoinHandle;

struct Bench {
    coordinator: Coordinator,
    agent: JoinHandle<Result<AgentExit, AgentError>>,
    handle: ShutdownHandle,
    dir: tempfile::TempDir,
}

/// Two threads, and a runner whose command line tells whose it is.
fn config(mark: &Path) -> AgentConfig {
    AgentConfig {
        cores: CoreCount { n_cores: 2, n_on_node: 2, reason: "test".to_owned() },
        memory_limit: None,
        idle_timeout: None,
        time_limit: None,
        orphan_timeout: None,
        scratch: None,
        runner_command: RunnerCommand { program: runner_program(), args: vec![mark.into()] },
    }
}

impl Bench {
    fn start(sleep_us: u64) -> Self {
        Self::start_with(sleep_us, &[], |_| {})
    }

    fn start_with(sleep_us: u64, crash_at: &[u64], set: impl FnOnce(&mut AgentConfig)) -> Self {
        Self::with_coordinator(Coordinator::default(), sleep_us, crash_at, set)
    }

    fn with_coordinator(coordinator: Coordinator, sleep_us: u64, crash_at: &[u64], set: impl FnOnce(&mut AgentConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_noop_job(dir.path(), sleep_us, crash_at, &[]);
        let mut config = config(dir.path());
        set(&mut config);
        let (handle, shutdown) = Shutdown::channel();
        let agent = tokio::spawn(paceline_agent::run(config, coordinator.connector(), shutdown));
        Self { coordinator, agent, handle, dir }
    }

    fn lease(&self, lease: u64, start: u64, end: u64) -> LeaseGrant {
        grant(lease, start, end, self.dir.path())
    }

    fn grant(&self, lease: u64, start: u64, end: u64) {
        self.coordinator.grant(self.lease(lease, start, end));
    }

    async fn exit(self) -> Result<AgentExit, AgentError> {
        let exit = tokio::time::timeout(PATIENCE, self.agent).await.expect("the agent does not leave").unwrap();
        assert!(runners_of(self.dir.path()).is_empty(), "a runner outlived its agent");
        exit
    }
}

/// Processes whose command line names `mark`.
fn runners_of(mark: &Path) -> Vec<i32> {
    let mark = mark.to_str().unwrap().as_bytes();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_one = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.split(|&b| b == 0).any(|arg| arg == mark));
    pids.filter(is_one).collect()
}

fn kill_runner_of(bench: &Bench) {
    let [pid] = runners_of(bench.dir.path())[..] else { panic!("not one runner") };
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

fn is_finish(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::RangeFinished { .. })
}

fn died(events: &[AgentEvent]) -> Option<(Vec<LeaseId>, Vec<LeaseId>, RunnerDeath)> {
    events.iter().find_map(|event| match event {
        AgentEvent::RunnerDied { leases, unstarted, death } => Some((leases.clone(), unstarted.clone(), death.clone())),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_done_and_a_released_agent_leaves() {
    let bench = Bench::start(0);
    let hello = bench.coordinator.until_registered(1).await;
    assert_eq!((hello.cores, hello.cores_reason.as_str(), hello.held), (2, "test", vec![]));
    bench.grant(1, 0, 100_000);
    bench.grant(2, 100_000, 100_001);
    assert_eq!(bench.coordinator.until_finished(1).await, 100_000);
    assert_eq!(bench.coordinator.until_finished(2).await, 100_001);
    bench.coordinator.until_log("using 2 of 2 cores: test").await;
    bench.coordinator.order(Order::Release);
    let coordinator = bench.coordinator.clone();
    assert!(matches!(bench.exit().await, Ok(AgentExit::Released { .. })));
    assert_eq!(coordinator.events().last(), Some(&AgentEvent::Leaving));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_lose_and_double_nothing() {
    let bench = Bench::start(100);
    bench.coordinator.until_registered(1).await;
    bench.coordinator.lose_replies(6);
    for lease in 1..=20 {
        bench.grant(lease, lease * 10, lease * 10 + 10);
    }
    for lease in 1..=20 {
        bench.coordinator.until_finished(lease).await;
    }
    let finished: Vec<_> = bench.coordinator.events().into_iter().filter(is_finish).collect();
    assert_eq!(finished.len(), 20, "{finished:?}");
    assert!(bench.coordinator.n_registrations() > 1);
    bench.handle.leave_now("the test is over");
    assert!(matches!(bench.exit().await, Ok(AgentExit::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_coordinator_finds_the_leases_at_work_and_those_done_meanwhile() {
    let bench = Bench::start(20_000);
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 4);
    bench.grant(2, 100, 200);
    bench.coordinator.until_reported(2).await;
    bench.coordinator.go_away();
    // Lease 1 ends while nobody listens.
    tokio::time::sleep(Duration::from_millis(400)).await;
    bench.coordinator.forget_agents();
    bench.coordinator.come_back();
    let hello = bench.coordinator.until_registered(2).await;
    let held: BTreeSet<u64> = hello.held.iter().map(|grant| grant.lease.0).collect();
    assert_eq!(held, BTreeSet::from([1, 2]));
    // Orders of the new coordinator count from 1 again.
    bench.coordinator.order(Order::Shorten { lease: LeaseId(2), end: 0 });
    assert_eq!(bench.coordinator.until_finished(1).await, 4);
    let end = bench.coordinator.until_finished(2).await;
    assert!((101..200).contains(&end), "{end}");
    assert!(bench.coordinator.events().contains(&AgentEvent::LeaseShortened { lease: LeaseId(2), end }));
    assert_eq!(bench.coordinator.events().iter().filter(|event| is_finish(event)).count(), 2);
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_not_known_any_more_registers_again_and_works_on() {
    let bench = Bench::start(10_000);
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 100);
    bench.coordinator.until_reported(1).await;
    bench.coordinator.forget_agents();
    let hello = bench.coordinator.until_registered(2).await;
    assert_eq!(hello.held, vec![bench.lease(1, 0, 100)]);
    assert_eq!(bench.coordinator.until_finished(1).await, 100);
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_claimed_and_takes_nothing_new() {
    let bench = Bench::start(20_000);
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 10_000);
    bench.grant(2, 20_000, 20_100);
    bench.coordinator.until_reported(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.handle.drain("SIGTERM");
    bench.grant(3, 30_000, 30_100);
    let end = bench.coordinator.until_finished(1).await;
    assert!((1..10_000).contains(&end), "{end}");
    let given_back = |lease, start| AgentEvent::LeaseShortened { lease: LeaseId(lease), end: start };
    bench.coordinator.until("the leases not begun", |events| events.contains(&given_back(3, 30_000)).then_some(())).await;
    let events = bench.coordinator.events();
    assert!(events.contains(&given_back(2, 20_000)) && events.contains(&given_back(1, end)), "{events:?}");
    assert!(events.contains(&AgentEvent::DrainAsked { reason: "SIGTERM".to_owned() }));
    bench.coordinator.order(Order::Release);
    let exit = bench.exit().await.unwrap();
    assert_eq!(exit, AgentExit::Released { reason: "SIGTERM".to_owned() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_runner_is_explained_with_its_leases_and_replaced() {
    // Blocks of one item, so that lease 1 is in the middle of its work when it crashes.
    let bench = Bench::start_with(50_000, &[7], |_| {});
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 100);
    bench.grant(2, 200, 300);
    let (leases, unstarted, death) = bench.coordinator.until("a death", died).await;
    assert_eq!((leases, unstarted, death), (vec![LeaseId(1)], vec![LeaseId(2)], RunnerDeath::Signal(6)));
    bench.coordinator.until_log("killed by signal 6").await;
    // The next runner works, and dies again of the same item.
    bench.grant(3, 200, 204);
    assert_eq!(bench.coordinator.until_finished(3).await, 204);
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_costs_its_leases_only() {
    let bench = Bench::start(50_000);
    bench.coordinator.until_registered(1).await;
    for round in 1..=3 {
        bench.grant(round, 0, 1000);
        bench.coordinator.until_reported(round).await;
        // Long enough for its first item to begin.
        tokio::time::sleep(Duration::from_millis(200)).await;
        kill_runner_of(&bench);
        let is_it = |event: &AgentEvent| {
            *event == AgentEvent::RunnerDied { leases: vec![LeaseId(round)], unstarted: vec![], death: RunnerDeath::Signal(9) }
        };
        bench.coordinator.until("its death", |events| events.iter().any(is_it).then_some(())).await;
    }
    bench.grant(9, 0, 2);
    assert_eq!(bench.coordinator.until_finished(9).await, 2);
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_runner_outlives_an_agent_that_is_dropped() {
    let bench = Bench::start(1_000_000);
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 10);
    bench.coordinator.until_reported(1).await;
    assert_eq!(runners_of(bench.dir.path()).len(), 1);
    bench.agent.abort();
    tokio::time::timeout(PATIENCE, async {
        while !runners_of(bench.dir.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the runner lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_came_first_waits_for_its_coordinator() {
    let coordinator = Coordinator::default();
    coordinator.go_away();
    let bench = Bench::with_coordinator(coordinator, 0, &[], |_| {});
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.coordinator.come_back();
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 10);
    assert_eq!(bench.coordinator.until_finished(1).await, 10);
    bench.coordinator.until_log("trying again").await;
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_agent_says_why() {
    let coordinator = Coordinator::default();
    coordinator.refuse(Refusal::conflict("the agent speaks version 9"));
    let bench = Bench::with_coordinator(coordinator, 0, &[], |_| {});
    let error = bench.exit().await.unwrap_err();
    assert_eq!(error.to_string(), "the agent speaks version 9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_not_there_ends_the_agent_with_a_sentence() {
    let bench = Bench::start_with(0, &[], |config| config.runner_command.program = "/nowhere/paceline".into());
    let error = bench.exit().await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/paceline") && error.contains("cannot be started"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_no_runner_is_named_as_the_cause() {
    let bench =
        Bench::start_with(0, &[], |config| config.runner_command = RunnerCommand { program: "/bin/echo".into(), args: vec!["hi".into()] });
    bench.coordinator.until_registered(1).await;
    bench.coordinator.until_log("cannot be understood").await;
    bench.grant(1, 0, 10);
    let (leases, unstarted, _) = bench.coordinator.until("a death", died).await;
    assert_eq!((leases, unstarted), (vec![], vec![LeaseId(1)]));
    bench.agent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_orphaned_agents_leave() {
    let idle = Bench::start_with(0, &[], |config| config.idle_timeout = Some(Duration::from_millis(700)));
    let reason = |event: &AgentEvent| match event {
        AgentEvent::DrainAsked { reason } => Some(reason.clone()),
        _ => None,
    };
    let reason = idle.coordinator.until("a word of idling", |events| events.iter().find_map(reason)).await;
    assert!(reason.starts_with("idle for"), "{reason}");
    idle.coordinator.order(Order::Release);
    assert_eq!(idle.exit().await.unwrap(), AgentExit::Released { reason });

    let orphan = Bench::start_with(0, &[], |config| config.orphan_timeout = Some(Duration::from_millis(700)));
    orphan.coordinator.until_registered(1).await;
    orphan.coordinator.go_away();
    assert!(matches!(orphan.exit().await, Ok(AgentExit::Orphaned { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_near_its_end_drains_by_itself() {
    let bench = Bench::start_with(10_000, &[], |config| config.time_limit = Some(Duration::from_secs(3)));
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 100_000);
    let end = bench.coordinator.until_finished(1).await;
    assert!(end < 100_000);
    bench.coordinator.order(Order::Release);
    let Ok(AgentExit::Released { reason }) = bench.exit().await else { panic!("not released") };
    assert!(reason.contains("of its time are left"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_job_and_orders_for_ended_leases_do_no_harm() {
    let bench = Bench::start(0);
    bench.coordinator.until_registered(1).await;
    bench.grant(1, 0, 10);
    bench.coordinator.until_finished(1).await;
    bench.coordinator.order(Order::Shorten { lease: LeaseId(1), end: 3 });
    bench.coordinator.order(Order::Revoke { lease: LeaseId(1) });
    bench.coordinator.order(Order::ForgetJob { job: JobId(1) });
    bench.grant(2, 0, 10);
    bench.coordinator.until_finished(2).await;
    assert_eq!(bench.coordinator.events().len(), 2);
    bench.agent.abort();
}
