//! A coordinator by script: it hands out what the test says and writes down what the agent reports, over the real service.

use futures::StreamExt;
use paceline_common::failure::Refusal;
use paceline_common::ids::{AgentId, Epoch, LeaseId};
use paceline_common::message::{AgentEvent, AgentHello, AgentOrders, AgentReport, ExchangeReply, LeaseGrant, LogLine, Order, Registered};
use paceline_wire::agent_connector::AgentConnector;
use paceline_wire::local;
use paceline_wire::service::{AgentLink, AgentLinkClient, AgentLinkRequest, AgentLinkResponse};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const HOLD: Duration = Duration::from_millis(300);

#[derive(Default)]
struct State {
    agent: Option<AgentId>,
    n_agents: u64,
    hellos: Vec<AgentHello>,
    /// Each event once, by its number, as the scheduler would see it.
    events: Vec<AgentEvent>,
    last_event_seq: u64,
    logs: Vec<LogLine>,
    last_log_seq: u64,
    orders: Vec<(u64, Order)>,
    n_orders: u64,
    newest_exchange: u64,
    /// Leases named by the latest report.
    reported: Vec<LeaseId>,
    connection: Option<JoinHandle<()>>,
    is_away: bool,
    refusal: Option<Refusal>,
    /// So many exchanges with events are taken in, but their connection breaks before the answer.
    n_replies_to_lose: u32,
}

/// The script and its record.
#[derive(Clone, Default)]
pub struct Coordinator {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Coordinator {
    /// The way in for an agent.
    pub fn connector(&self) -> AgentConnector {
        let coordinator = self.clone();
        AgentConnector::in_process(move || coordinator.open())
    }

    fn open(&self) -> AgentLinkClient {
        let (caller, server) = local::pair::<AgentLinkRequest, AgentLinkResponse>();
        let mut state = self.state.lock().unwrap();
        if !state.is_away {
            let channel = BaseChannel::with_defaults(server);
            let service = self.clone();
            let serve = async move {
                let mut calls = std::pin::pin!(channel.execute(service.serve()));
                let mut running = tokio::task::JoinSet::new();
                while let Some(call) = calls.next().await {
                    running.spawn(call);
                }
            };
            state.connection = Some(tokio::spawn(serve));
        }
        AgentLinkClient::new(tarpc::client::Config::default(), caller).spawn()
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let result = f(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    pub fn order(&self, order: Order) {
        self.with(|state| {
            state.n_orders += 1;
            state.orders.push((state.n_orders, order));
        });
    }

    pub fn grant(&self, grant: LeaseGrant) {
        self.order(Order::Grant(grant));
    }

    /// Waits until the record says what `found` looks for.
    pub async fn until<R>(&self, what: &str, found: impl Fn(&[AgentEvent]) -> Option<R>) -> R {
        self.until_state(what, |state| found(&state.events)).await
    }

    async fn until_state<R>(&self, what: &str, found: impl Fn(&State) -> Option<R>) -> R {
        let search = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if let Some(result) = found(&self.state.lock().unwrap()) {
                    return result;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(super::PATIENCE, search).await {
            Ok(result) => result,
            Err(_) => panic!("waited in vain for {what}; events: {:?}", self.events()),
        }
    }

    pub async fn until_finished(&self, lease: u64) -> u64 {
        let is_it = |event: &AgentEvent| match event {
            AgentEvent::RangeFinished { lease: id, end, .. } if id.0 == lease => Some(*end),
            _ => None,
        };
        self.until(&format!("the end of lease {lease}"), |events| events.iter().find_map(is_it)).await
    }

    pub async fn until_registered(&self, n_times: usize) -> AgentHello {
        self.until_state("a registration", |state| state.hellos.get(n_times - 1).cloned()).await
    }

    pub async fn until_log(&self, words: &str) -> LogLine {
        self.until_state(words, |state| state.logs.iter().find(|line| line.text.contains(words)).cloned()).await
    }

    pub async fn until_reported(&self, lease: u64) {
        self.until_state("a report that names the lease", |state| state.reported.contains(&LeaseId(lease)).then_some(())).await;
    }

    pub fn events(&self) -> Vec<AgentEvent> {
        self.state.lock().unwrap().events.clone()
    }

    pub fn n_registrations(&self) -> usize {
        self.state.lock().unwrap().hellos.len()
    }

    pub fn refuse(&self, refusal: Refusal) {
        self.with(|state| state.refusal = Some(refusal));
    }

    pub fn lose_replies(&self, n: u32) {
        self.with(|state| state.n_replies_to_lose = n);
    }

    /// Breaks the connection; without a way back until [`Self::come_back`].
    pub fn go_away(&self) {
        self.with(|state| {
            state.is_away = true;
            state.break_connection();
        });
    }

    pub fn come_back(&self) {
        self.with(|state| state.is_away = false);
    }

    /// As after a restart from the journal: no agent is known, orders not acknowledged are void.
    pub fn forget_agents(&self) {
        self.with(|state| {
            state.agent = None;
            state.orders.clear();
            state.n_orders = 0;
        });
    }
}

impl State {
    fn break_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abort();
        }
    }

    /// Takes a report in; whether it asks for an answer at once.
    fn take_in(&mut self, report: AgentReport) -> bool {
        let is_answered_at_once = !report.events.is_empty() || !report.logs.lines.is_empty();
        for (seq, event) in report.events {
            assert!(seq <= self.last_event_seq + 1, "a gap before event {seq}");
            if seq == self.last_event_seq + 1 {
                self.last_event_seq = seq;
                self.events.push(event);
            }
        }
        if report.logs.seq > self.last_log_seq {
            self.last_log_seq = report.logs.seq;
            self.logs.extend(report.logs.lines);
        }
        self.reported = report.leases.iter().map(|progress| progress.lease).collect();
        self.orders.retain(|(seq, _)| *seq > report.last_order_seq);
        is_answered_at_once
    }
}

impl AgentLink for Coordinator {
    async fn register(self, _: Context, hello: AgentHello) -> Result<Registered, Refusal> {
        self.with(|state| {
            if let Some(refusal) = state.refusal.clone() {
                return Err(refusal);
            }
            state.hellos.push(hello);
            if state.agent.is_none() {
                state.n_agents += 1;
                state.agent = Some(AgentId(state.n_agents));
            }
            let agent = state.agent.unwrap();
            Ok(Registered { agent, epoch: Epoch(1), heartbeat_interval_ms: HOLD.as_millis() as u64, abandon: vec![] })
        })
    }

    async fn exchange(self, _: Context, report: AgentReport) -> ExchangeReply {
        let agent = report.agent;
        let (is_answered_at_once, number) = self.with(|state| {
            if state.agent != Some(agent) {
                return (true, 0);
            }
            state.newest_exchange += 1;
            let has_events = !report.events.is_empty();
            let is_answered_at_once = state.take_in(report);
            if has_events && state.n_replies_to_lose > 0 {
                state.n_replies_to_lose -= 1;
                state.break_connection();
            }
            (is_answered_at_once, state.newest_exchange)
        });
        let deadline = tokio::time::Instant::now() + HOLD;
        loop {
            let changed = self.changed.notified();
            let answer = {
                let state = self.state.lock().unwrap();
                let is_due = is_answered_at_once || !state.orders.is_empty() || tokio::time::Instant::now() >= deadline;
                if state.agent != Some(agent) {
                    Some(ExchangeReply::UnknownAgent)
                } else if state.newest_exchange > number && !is_answered_at_once {
                    Some(ExchangeReply::Superseded)
                } else if is_due {
                    let (acked_event_seq, acked_log_seq) = (state.last_event_seq, state.last_log_seq);
                    Some(ExchangeReply::Orders(AgentOrders { acked_event_seq, acked_log_seq, orders: state.orders.clone() }))
                } else {
                    None
                }
            };
            if let Some(answer) = answer {
                return answer;
            }
            let _ = tokio::time::timeout_at(deadline, changed).await;
        }
    }
}
