//! An agent that does what a test says, over the real services: it registers, exchanges, and reports results that it never computed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test fails by panicking; not every test uses every helper"
)]

use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::job::JobRequest;
use paceline_common::message::{
    AgentEvent, AgentHello, AgentReport, AgentUsage, ExchangeReply, LeaseGrant, LeaseProgress, LogBatch, Order, PROTOCOL_VERSION, PartBody,
};
use paceline_coordinator::{Coordinator, CoordinatorConfig};
use paceline_wire::agent_connector::{AgentConnector, AgentLink};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub struct ScriptedAgent {
    pub link: AgentLink,
    pub hello: AgentHello,
    pub agent: AgentId,
    pub held: BTreeMap<LeaseId, LeaseGrant>,
    pub forgotten: Vec<JobId>,
    pub granted: Vec<LeaseGrant>,
    pub abandoned: Vec<LeaseId>,
    pub logs: LogBatch,
    pub last_order: u64,
    events: Vec<(u64, AgentEvent)>,
    last_event: u64,
}

impl ScriptedAgent {
    pub async fn join(connector: &AgentConnector, cores: u32) -> Self {
        static SESSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let hello = AgentHello {
            protocol_version: PROTOCOL_VERSION,
            session: SESSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            host: "scripted".to_owned(),
            pid: std::process::id(),
            cores,
            cores_reason: "told so".to_owned(),
            memory_limit_bytes: None,
            slurm_job: None,
            held: Vec::new(),
        };
        let link = connector.connect().await.expect("connect");
        let registered = link.register(hello.clone()).await.expect("register");
        Self {
            link,
            hello,
            agent: registered.agent,
            held: BTreeMap::new(),
            forgotten: Vec::new(),
            granted: Vec::new(),
            abandoned: registered.abandon,
            logs: LogBatch::default(),
            last_order: 0,
            events: Vec::new(),
            last_event: 0,
        }
    }

    /// Connects anew, as after a lost connection, naming what is held.
    pub async fn rejoin(&mut self, connector: &AgentConnector) {
        self.link = connector.connect().await.expect("connect");
        let hello = AgentHello { held: self.held.values().cloned().collect(), ..self.hello.clone() };
        let registered = self.link.register(hello).await.expect("register");
        if registered.agent != self.agent {
            self.last_order = 0;
            self.agent = registered.agent;
        }
        for lease in &registered.abandon {
            self.held.remove(lease);
        }
        self.abandoned = registered.abandon;
    }

    pub fn say(&mut self, event: AgentEvent) {
        self.last_event += 1;
        self.events.push((self.last_event, event));
    }

    /// Puts the whole of a held lease down as finished.
    pub fn finish(&mut self, lease: LeaseId, part: PartBody) {
        let grant = self.held.remove(&lease).expect("held");
        self.say(AgentEvent::RangeFinished { lease, end: grant.range.end, part });
    }

    pub fn finish_all(&mut self) {
        for lease in self.held.keys().copied().collect::<Vec<_>>() {
            self.finish(lease, PartBody::Empty);
        }
    }

    pub fn report(&self) -> AgentReport {
        let progress = |grant: &LeaseGrant| LeaseProgress { lease: grant.lease, claimed: grant.range.start, n_done: 0 };
        AgentReport {
            agent: self.agent,
            last_order_seq: self.last_order,
            events: self.events.clone(),
            leases: self.held.values().map(progress).collect(),
            logs: self.logs.clone(),
            usage: AgentUsage::default(),
        }
    }

    /// One exchange, with all that it brings taken in.
    pub async fn exchange(&mut self) -> ExchangeReply {
        let reply = self.link.exchange(self.report()).await.expect("exchange");
        self.take(&reply);
        reply
    }

    pub fn take(&mut self, reply: &ExchangeReply) {
        let ExchangeReply::Orders(orders) = reply else { return };
        self.events.retain(|(seq, _)| *seq > orders.acked_event_seq);
        if orders.acked_log_seq >= self.logs.seq {
            self.logs = LogBatch::default();
        }
        for (seq, order) in &orders.orders {
            if *seq <= self.last_order {
                continue;
            }
            assert_eq!(*seq, self.last_order + 1, "orders come without gaps");
            self.last_order = *seq;
            self.obey(order);
        }
    }

    fn obey(&mut self, order: &Order) {
        match order {
            Order::Grant(grant) => {
                self.granted.push(grant.clone());
                self.held.insert(grant.lease, grant.clone());
            }
            Order::Shorten { lease, end } => {
                if let Some(grant) = self.held.get_mut(lease) {
                    grant.range.end = grant.range.end.min(*end).max(grant.range.start);
                    let end = grant.range.end;
                    self.say(AgentEvent::LeaseShortened { lease: *lease, end });
                }
            }
            Order::Revoke { lease } => drop(self.held.remove(lease)),
            Order::ForgetJob { job } => self.forgotten.push(*job),
            Order::Release => {}
        }
    }

    /// Exchanges until something is held.
    pub async fn wait_for_work(&mut self) {
        let begin = Instant::now();
        while self.held.is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(20), "no work came");
            self.exchange().await;
        }
    }

    /// Works until a job is over, finishing every lease at once.
    pub async fn work_until_over(&mut self, job: JobId) {
        let begin = Instant::now();
        while !self.forgotten.contains(&job) {
            assert!(begin.elapsed() < Duration::from_secs(30), "the job does not end");
            self.finish_all();
            self.exchange().await;
        }
    }
}

pub fn noop(items: u64) -> JobRequest {
    JobRequest {
        workload: "noop".to_owned(),
        settings_json: format!("{{\"items\": {items}, \"sleep_us\": 0}}"),
        name: None,
        seed: 1,
        priority: 100,
        max_cores: None,
        max_failures: None,
    }
}

pub fn over_tls(root: &Path) -> CoordinatorConfig {
    CoordinatorConfig { listen: Some("127.0.0.1:0".parse().expect("address")), ..CoordinatorConfig::new(root) }
}

pub async fn start(config: CoordinatorConfig) -> Coordinator {
    Coordinator::start(config).await.expect("start")
}
