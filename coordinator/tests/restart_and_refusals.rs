//! What a kill and a restart cost (nothing that was committed), and who is turned away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use paceline_common::ids::StageIdx;
use paceline_common::job_dir::JobDir;
use paceline_common::message::{AgentHello, MAX_INLINE_BYTES, PartBody, PartFile};
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use paceline_common::view::JobState;
use paceline_coordinator::{Coordinator, CoordinatorConfig, StopReason};
use paceline_wire::agent_connector::AgentConnector;
use paceline_wire::authority::{Identity, Role};
use paceline_wire::client::Client;
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::error::WireError;
use paceline_wire::opening::{self, Greeting, Opening, Service};
use paceline_wire::{connect, tls};
use scripted::{ScriptedAgent, noop, over_tls, start};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_coordinator_resumes_without_repeating_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let connector = AgentConnector::cluster(&root);
    let coordinator = start(over_tls(&root)).await;
    let client = Client::connect(&ClusterDir::open(&root).unwrap()).await.unwrap();
    let mut agent = ScriptedAgent::join(&connector, 2).await;
    let job = client.submit(noop(1_000_000)).await.unwrap();
    // Some ranges are committed and acknowledged, some are held, when the coordinator is killed.
    for _ in 0..4 {
        agent.wait_for_work().await;
        let lease = *agent.held.keys().next().unwrap();
        agent.finish(lease, PartBody::Empty);
        agent.exchange().await;
    }
    agent.wait_for_work().await;
    let held: RangeSet = agent.held.values().map(|grant| grant.range).collect();
    let committed: RangeSet =
        agent.granted.iter().filter(|grant| !agent.held.contains_key(&grant.lease)).map(|grant| grant.range).collect();
    assert!(!held.is_empty() && !committed.is_empty());
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait(job).await }
    });
    drop(coordinator);
    assert!(root.join("coordinator.json").exists(), "a kill withdraws nothing");

    let coordinator = start(over_tls(&root)).await;
    assert_eq!(coordinator.epoch().0, 2);
    agent.granted.clear();
    let before = agent.agent;
    agent.rejoin(&connector).await;
    assert!(agent.agent > before, "a new life gives new numbers");
    assert_eq!(agent.abandoned, [], "what is held is adopted");
    agent.work_until_over(job).await;
    for grant in &agent.granted {
        assert_eq!(committed.intersection(grant.range).count(), 0, "{} were committed before", grant.range);
        assert_eq!(held.intersection(grant.range).count(), 0, "{} were held", grant.range);
    }
    // A client that waited all along learns of the end from the new coordinator.
    let view = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
    assert_eq!((view.state, view.n_committed, view.n_duplicates_dropped), (JobState::Succeeded, 1_000_000, 0));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_acknowledgement_was_lost_with_the_coordinator_is_not_committed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let connector = AgentConnector::cluster(&root);
    let coordinator = start(over_tls(&root)).await;
    let mut agent = ScriptedAgent::join(&connector, 1).await;
    let job = coordinator.client().submit(noop(3)).await.unwrap();
    while agent.granted.iter().map(|grant| grant.range.len()).sum::<u64>() < 3 {
        agent.finish_all();
        // The answers are thrown away, apart from the grants in them: the agent keeps every event.
        let report = agent.report();
        let reply = agent.link.exchange(report).await.unwrap();
        if let paceline_common::message::ExchangeReply::Orders(mut orders) = reply {
            orders.acked_event_seq = 0;
            agent.take(&paceline_common::message::ExchangeReply::Orders(orders));
        }
    }
    agent.finish_all();
    agent.link.exchange(agent.report()).await.unwrap();
    drop(coordinator);
    let coordinator = start(over_tls(&root)).await;
    agent.rejoin(&connector).await;
    agent.exchange().await;
    let view = coordinator.client().wait(job).await.unwrap();
    assert_eq!((view.state, view.n_committed), (JobState::Succeeded, 3));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_coordinator_on_the_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let first = start(over_tls(&root)).await;
    let refused = Coordinator::start(CoordinatorConfig::new(&root)).await.unwrap_err();
    assert!(refused.is_conflict() && refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    first.stop().await;
    start(over_tls(&root)).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_ends_when_a_newer_one_has_taken_over_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let mut config = over_tls(&root);
    config.timings.fence_check_interval = Duration::from_millis(20);
    let coordinator = start(config).await;
    let cluster = ClusterDir::open(&root).unwrap();
    let mut file = cluster.read_coordinator().unwrap();
    file.epoch.0 += 1;
    cluster.write_coordinator(&file).unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(10), coordinator.stopped()).await.unwrap();
    assert!(matches!(reason, StopReason::Failed(why) if why.contains("newer coordinator")));
    coordinator.stop().await;
    assert_eq!(cluster.read_coordinator().unwrap(), file, "the newer one's address stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_certificates_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let coordinator = start(over_tls(&ours)).await;
    let other = start(over_tls(&theirs)).await;
    // Their clients are pointed at our address: neither side takes the other for its own.
    let file = ClusterDir::open(&ours).unwrap().read_coordinator().unwrap();
    ClusterDir::open(&theirs).unwrap().write_coordinator(&file).unwrap();
    let Err(WireError::CertificateRefused(sentence)) = Client::connect(&ClusterDir::open(&theirs).unwrap()).await else {
        panic!("connected")
    };
    assert!(sentence.contains(&file.addresses[0]) && sentence.contains("--cluster"), "{sentence}");
    // A peer that trusts our coordinator but has their certificate, as a stolen authority would: refused by our side.
    let mut mixed = Identity::read(&ClusterDir::open(&theirs).unwrap(), Role::Client).unwrap();
    mixed.authority = Identity::read(&ClusterDir::open(&ours).unwrap(), Role::Client).unwrap().authority;
    assert!(greeting_for(mixed, &file.addresses[0], Opening::new(Service::Control)).await.is_err());
    // No certificate at all: a plain connection is closed without an answer.
    let mut plain = TcpStream::connect(&file.addresses[0]).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(answer.len() < 16, "{answer:?}");
    other.stop().await;
    coordinator.stop().await;
}

async fn greeting_for(identity: Identity, address: &str, opening: Opening) -> std::io::Result<Greeting> {
    let (connector, name) = tls::connector(identity).unwrap();
    let mut stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    opening::send(&mut stream, &opening).await?;
    opening::receive(&mut stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_opens_only_its_own_service_and_a_version_only_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(over_tls(&root)).await;
    let cluster = ClusterDir::open(&root).unwrap();
    let address = coordinator.addresses()[0].clone();
    let identity = |role| Identity::read(&cluster, role).unwrap();
    for (role, service, expected) in [
        (Role::Client, Service::Control, Greeting::Welcome),
        (Role::Agent, Service::AgentLink, Greeting::Welcome),
        (Role::Agent, Service::Control, Greeting::WrongRole),
        (Role::Client, Service::AgentLink, Greeting::WrongRole),
    ] {
        assert_eq!(greeting_for(identity(role), &address, Opening::new(service)).await.unwrap(), expected, "{role:?} {service:?}");
    }
    let old = Opening { protocol_version: 0, service: Service::Control };
    assert_eq!(greeting_for(identity(Role::Client), &address, old).await.unwrap(), Greeting::OtherVersion(1));
    // The coordinator's own certificate is no ticket for a caller.
    assert!(greeting_for(identity(Role::Coordinator), &address, Opening::new(Service::Control)).await.is_err());
    let link = AgentConnector::cluster(&root).connect().await.unwrap();
    let hello = ScriptedAgent::join(&coordinator.agent_connector(), 1).await.hello;
    let refused = link.register(AgentHello { protocol_version: 0, ..hello }).await.unwrap_err();
    assert!(refused.to_string().contains("version 0"), "{refused}");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_frame_ends_its_own_connection_only() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(over_tls(&root)).await;
    let cluster = ClusterDir::open(&root).unwrap();
    let client = Client::connect(&cluster).await.unwrap();
    client.status().await.unwrap();
    let mut stream = connect::open(&cluster, Service::Control).await.unwrap().stream;
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    stream.write_all(&[0; 4096]).await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection must be closed");
    // Bytes that are no call end it as well.
    let mut stream = connect::open(&cluster, Service::Control).await.unwrap().stream;
    stream.write_all(&[0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255]).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.is_ok());
    // Settings that are too long fail alone.
    let mut request = noop(1);
    request.settings_json = " ".repeat(2 << 20);
    assert!(matches!(client.submit(request).await, Err(WireError::Refused(_))));
    client.status().await.unwrap();
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inline_parts_reach_the_list_of_the_stage_across_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let connector = AgentConnector::cluster(&root);
    let config = || CoordinatorConfig { keep_parts: true, ..over_tls(&root) };
    let coordinator = start(config()).await;
    let mut agent = ScriptedAgent::join(&connector, 1).await;
    let job = coordinator.client().submit(noop(4)).await.unwrap();
    agent.wait_for_work().await;
    let (lease, grant) = agent.held.iter().next().map(|(lease, grant)| (*lease, grant.clone())).unwrap();
    agent.finish(lease, PartBody::Inline(vec![9; MAX_INLINE_BYTES]));
    agent.exchange().await;
    drop(coordinator);
    // A node that lost its power may have lost what was not synced, too: the journal is enough.
    let job_dir = JobDir::new(grant.job_dir);
    std::fs::write(job_dir.record_path(), "").unwrap();
    let coordinator = start(config()).await;
    assert_eq!(job_dir.read_record().unwrap().job, job);
    agent.rejoin(&connector).await;
    agent.work_until_over(job).await;
    let manifest = job_dir.read_manifest(StageIdx(0)).unwrap();
    let first = manifest.parts.iter().find(|part| part.items.start == grant.range.start).unwrap();
    assert_eq!(first.body, PartBody::Inline(vec![9; MAX_INLINE_BYTES]));
    let listed: RangeSet = manifest.parts.iter().map(|part| part.items).collect();
    assert_eq!(listed, RangeSet::of(ItemRange::new(0, 4)));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loose_permissions_and_addresses_on_the_network_are_refused_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    start(over_tls(&root)).await.stop().await;
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let key = root.join("tls").join("coordinator.key");
    chmod(&key, 0o644);
    let refused = Coordinator::start(over_tls(&root)).await.unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    chmod(&key, 0o600);
    chmod(&root, 0o755);
    let refused = Coordinator::start(over_tls(&root)).await.unwrap_err().to_string();
    assert!(refused.contains("chmod 700"), "{refused}");
    chmod(&root, 0o700);
    let config = CoordinatorConfig { http: Some("0.0.0.0:0".parse().unwrap()), ..CoordinatorConfig::new(&root) };
    let refused = Coordinator::start(config).await.unwrap_err().to_string();
    assert!(refused.contains("loopback"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_waits_through_a_clean_restart() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("c");
    let coordinator = start(over_tls(&root)).await;
    let client = Client::connect(&ClusterDir::open(&root).unwrap()).await.unwrap();
    let job = client.submit(noop(1)).await.unwrap();
    let waiting = tokio::spawn(async move { client.wait(job).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    coordinator.stop().await;
    let coordinator = start(over_tls(&root)).await;
    ScriptedAgent::join(&coordinator.agent_connector(), 1).await.work_until_over(job).await;
    let view = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(view.state, JobState::Succeeded);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_leads_out_of_the_jobs_directory_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let coordinator = start(CoordinatorConfig::new(dir.path().join("c"))).await;
    let mut agent = ScriptedAgent::join(&coordinator.agent_connector(), 1).await;
    let job = coordinator.client().submit(noop(1)).await.unwrap();
    for name in ["../../spec.json", "/etc/passwd", ".."] {
        agent.wait_for_work().await;
        let lease = *agent.held.keys().next().unwrap();
        agent.finish(lease, PartBody::File(PartFile { name: name.to_owned(), size_bytes: 1, crc32: 0 }));
        agent.exchange().await;
        assert_eq!(coordinator.client().job(job).await.unwrap().job.n_committed, 0, "{name}");
    }
    agent.work_until_over(job).await;
    coordinator.stop().await;
}
