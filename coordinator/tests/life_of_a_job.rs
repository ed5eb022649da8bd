//! A job's way from submission to its end, with a scripted agent, in the process and over TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use paceline_common::failure::{Failure, RefusalKind};
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job_dir::JobDir;
use paceline_common::message::{AgentEvent, ExchangeReply, LogBatch, LogLine, PartBody};
use paceline_common::range_set::RangeSet;
use paceline_common::view::JobState;
use paceline_coordinator::CoordinatorConfig;
use paceline_wire::agent_connector::AgentConnector;
use paceline_wire::client::Client;
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::error::WireError;
use scripted::{ScriptedAgent, noop, over_tls, start};
use std::time::{Duration, Instant};

async fn one_job(client: &Client, agent: &mut ScriptedAgent, n_items: u64) -> JobId {
    let job = client.submit(noop(n_items)).await.unwrap();
    agent.work_until_over(job).await;
    let view = client.wait(job).await.unwrap();
    assert_eq!(view.state, JobState::Succeeded, "{view:?}");
    assert_eq!((view.n_committed, view.n_items), (n_items, Some(n_items)));
    job
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_to_its_end_within_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(CoordinatorConfig { keep_parts: true, ..CoordinatorConfig::new(&root) }).await;
    assert!(coordinator.addresses().is_empty() && !root.join("coordinator.json").exists() && !root.join("tls").exists());
    let client = coordinator.client();
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 2).await;
    let job = one_job(&client, &mut agent, 10_000_000).await;
    let all: RangeSet = agent.granted.iter().map(|grant| grant.range).collect();
    assert_eq!((all.len(), all.n_intervals()), (10_000_000, 1));
    let job_dir = JobDir::new(agent.granted[0].job_dir.clone());
    assert_eq!(job_dir.read_record().unwrap().job, job);
    let manifest = job_dir.read_manifest(StageIdx(0)).unwrap();
    assert_eq!(manifest.parts.len(), 1, "parts without bytes are one line");
    assert!(job_dir.summary_path().exists());
    let detail = client.job(job).await.unwrap();
    assert_eq!(detail.job.summary.unwrap().facts, [("items".to_owned(), "10000000".to_owned())]);
    assert!(matches!(client.job(JobId(99)).await, Err(WireError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_no_items_ends_by_itself_and_its_parts_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(CoordinatorConfig::new(dir.path().join("c"))).await;
    let client = coordinator.client();
    let job = client.submit(noop(0)).await.unwrap();
    let view = client.wait(job).await.unwrap();
    assert_eq!((view.state, view.n_items), (JobState::Succeeded, Some(0)));
    let begin = Instant::now();
    while view.job_dir.join("parts").exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "parts stay");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(view.job_dir.join("spec.json").exists() && view.job_dir.join("summary.json").exists());
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_to_its_end_over_tls_and_metrics_tell_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let mut config = over_tls(&root);
    config.http = Some("127.0.0.1:0".parse().unwrap());
    let coordinator = start(config).await;
    let client = Client::connect(&ClusterDir::open(&root).unwrap()).await.unwrap();
    let mut agent = ScriptedAgent::join(&AgentConnector::cluster(&root), 4).await;
    one_job(&client, &mut agent, 1).await;
    let running = client.submit(noop(5)).await.unwrap();
    agent.wait_for_work().await;
    let metrics = http_get(coordinator.http_address().unwrap(), "/metrics").await;
    for line in ["paceline_agents 1", "paceline_cores 4", "paceline_active_jobs 1", "paceline_job_items{job=\"2\",name=\"noop\"} 5"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(http_get(coordinator.http_address().unwrap(), "/api/agents").await.contains("\"host\":\"scripted\""));
    assert!(http_get(coordinator.http_address().unwrap(), "/healthz").await.contains("200 OK"));
    agent.work_until_over(running).await;
    let status = client.status().await.unwrap();
    assert_eq!((status.n_agents, status.n_jobs, status.n_active_jobs), (1, 2, 0));
    client.stop().await.unwrap();
    coordinator.stopped().await;
    coordinator.stop().await;
    assert!(!root.join("coordinator.json").exists());
    assert!(matches!(Client::connect(&ClusterDir::open(&root).unwrap()).await, Err(WireError::NotRunning(_))));
}

async fn http_get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_sent_again_until_the_agent_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(CoordinatorConfig::new(dir.path().join("c"))).await;
    let connector = coordinator.agent_connector();
    let mut agent = ScriptedAgent::join(&connector, 1).await;
    let job = coordinator.client().submit(noop(100)).await.unwrap();
    // The answer with the grant is lost, and so is the connection; the agent comes back at once.
    let lost = agent.link.exchange(agent.report()).await.unwrap();
    assert!(matches!(&lost, ExchangeReply::Orders(orders) if !orders.orders.is_empty()), "{lost:?}");
    let before = agent.agent;
    agent.rejoin(&connector).await;
    assert_eq!(agent.agent, before, "the same process keeps its number within the grace");
    let again = agent.exchange().await;
    assert_eq!(again, lost);
    // A report that arrives twice settles once.
    agent.finish_all();
    let report = agent.report();
    agent.link.exchange(report.clone()).await.unwrap();
    agent.link.exchange(report).await.unwrap();
    agent.work_until_over(job).await;
    let view = coordinator.client().wait(job).await.unwrap();
    assert_eq!((view.n_committed, view.n_duplicates_dropped), (100, 0));
    assert_eq!(coordinator.client().status().await.unwrap().n_stale_reports, 0);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_exchange_releases_the_one_before_it_and_work_wakes_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = CoordinatorConfig::new(dir.path().join("c"));
    config.timings.heartbeat_interval = Duration::from_secs(60);
    let coordinator = start(config).await;
    let agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    let (first, second, submitted) = tokio::join!(
        agent.link.exchange(agent.report()),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            agent.link.exchange(agent.report()).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            coordinator.client().submit(noop(1)).await
        }
    );
    assert_eq!(first.unwrap(), ExchangeReply::Superseded);
    submitted.unwrap();
    assert!(matches!(second.unwrap(), ExchangeReply::Orders(orders) if orders.orders.len() == 1));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leases_of_an_agent_whose_connection_closes_go_elsewhere_within_two_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(over_tls(&root)).await;
    let connector = AgentConnector::cluster(&root);
    let client = coordinator.client();
    let mut lost = ScriptedAgent::join(&connector, 1).await;
    let job = client.submit(noop(1)).await.unwrap();
    lost.wait_for_work().await;
    let mut other = ScriptedAgent::join(&connector, 1).await;
    let begin = Instant::now();
    drop(lost);
    other.wait_for_work().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    other.work_until_over(job).await;
    let agents = client.agents().await.unwrap();
    assert_eq!(agents.iter().map(|agent| agent.state.as_str()).collect::<Vec<_>>(), ["lost", "idle"]);
    other.say(AgentEvent::Leaving);
    other.exchange().await;
    assert_eq!(client.agents().await.unwrap()[1].state, "left");
    assert_eq!(other.exchange().await, ExchangeReply::UnknownAgent);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_found_at_work_ends_the_job_and_a_cancelled_one_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(CoordinatorConfig::new(dir.path().join("c"))).await;
    let client = coordinator.client();
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    let job = client.submit(noop(10)).await.unwrap();
    agent.wait_for_work().await;
    let lease = *agent.held.keys().next().unwrap();
    agent.held.clear();
    agent.say(AgentEvent::RangeFailed { lease, item: None, failure: Failure::bad_input("x.csv: has no column y; name another") });
    agent.exchange().await;
    let view = client.wait(job).await.unwrap();
    assert_eq!((view.state, view.reason.as_deref()), (JobState::BadInput, Some("x.csv: has no column y; name another")));
    let second = client.submit(noop(10)).await.unwrap();
    let (waited, cancelled) = tokio::join!(client.wait(second), client.cancel(second));
    assert_eq!((waited.unwrap().state, cancelled.unwrap().state), (JobState::Cancelled, JobState::Cancelled));
    assert!(matches!(client.retry(second).await, Err(WireError::Refused(refusal)) if refusal.kind == RefusalKind::Conflict));
    assert_eq!(client.jobs().await.unwrap().iter().map(|view| view.job).collect::<Vec<_>>(), [job, second]);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_item_is_set_aside_and_a_retry_finishes_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(over_tls(&root)).await;
    let client = coordinator.client();
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    let job = client.submit(noop(8)).await.unwrap();
    fail_item_3(&mut agent, job).await;
    let view = client.wait(job).await.unwrap();
    assert_eq!((view.state, view.n_quarantined, view.n_committed), (JobState::Failed, 1, 7), "{view:?}");
    assert_eq!(client.job(job).await.unwrap().quarantined[0].item, 3);
    // The retry works across a restart, too.
    drop((agent, client));
    coordinator.stop().await;
    let coordinator = start(over_tls(&root)).await;
    let client = coordinator.client();
    assert_eq!(client.wait(job).await.unwrap(), view);
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    assert_eq!(client.retry(job).await.unwrap().state, JobState::Running);
    agent.wait_for_work().await;
    assert!(agent.granted.iter().all(|grant| (grant.range.start, grant.range.end) == (3, 4)), "{:?}", agent.granted);
    agent.work_until_over(job).await;
    let view = client.wait(job).await.unwrap();
    assert_eq!((view.state, view.n_quarantined, view.n_committed), (JobState::Succeeded, 0, 8), "{view:?}");
    coordinator.stop().await;
}

async fn fail_item_3(agent: &mut ScriptedAgent, job: JobId) {
    let begin = Instant::now();
    while !agent.forgotten.contains(&job) {
        assert!(begin.elapsed() < Duration::from_secs(30), "the job does not end");
        for (lease, grant) in std::mem::take(&mut agent.held) {
            if grant.range.contains(3) {
                agent.say(AgentEvent::RangeFailed { lease, item: Some(3), failure: Failure::item("item 3 is poison") });
            } else {
                agent.say(AgentEvent::RangeFinished { lease, end: grant.range.end, part: PartBody::Inline(vec![1]) });
            }
        }
        agent.exchange().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_come_back_in_order_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(CoordinatorConfig::new(dir.path().join("c"))).await;
    let client = coordinator.client();
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    let job = client.submit(noop(5)).await.unwrap();
    agent.wait_for_work().await;
    let lease = agent.held.keys().next().copied();
    let line = |text: &str| LogLine { at_ms: 1, job: Some(job), lease, level: "info".to_owned(), text: text.to_owned() };
    agent.logs = LogBatch { seq: 1, lines: vec![line("one"), line("two")], n_dropped: 3 };
    let report = agent.report();
    agent.link.exchange(report.clone()).await.unwrap();
    // The same batch again is stored once.
    agent.link.exchange(report).await.unwrap();
    agent.work_until_over(job).await;
    let begin = Instant::now();
    let page = loop {
        let page = client.logs(job, 0).await.unwrap();
        if page.lines.len() == 2 {
            break page;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{page:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(page.lines.iter().map(|stored| stored.line.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(page.lines[0].place.as_deref().unwrap().starts_with("nothing, item"), "{page:?}");
    assert_eq!((page.n_dropped, page.is_last), (3, true));
    assert!(client.logs(job, page.next_offset).await.unwrap().lines.is_empty());
    coordinator.stop().await;
}
