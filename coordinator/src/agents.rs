//! The agents' sessions as the driver keeps them: who is connected, which events were settled, which orders are on their way, and the
//! call that is held open until there is something to say.

use crate::command::{ConnectionId, Reply};
use crate::config::{MAX_GONE_AGENTS, Timings};
use crate::orders::Outbox;
use paceline_common::ids::{AgentId, Epoch, JobId};
use paceline_common::message::{AgentHello, AgentOrders, AgentUsage, ExchangeReply, LogBatch, Order};
use paceline_common::view::AgentView;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// One agent of this coordinator's life.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) hello: AgentHello,
    connection: Option<ConnectionId>,
    /// When the connection broke, where it is broken.
    disconnected_at: Option<Instant>,
    /// Events up to this number are settled.
    pub(crate) settled_event: u64,
    /// Log batches up to this number are stored.
    pub(crate) stored_log_batch: u64,
    /// Log lines that the agent says it has dropped.
    pub(crate) n_log_lines_dropped: u64,
    pub(crate) outbox: Outbox,
    /// The exchange that is held open, and until when.
    held_call: Option<(Reply<ExchangeReply>, Instant)>,
    /// Whether the call held is to be answered at the end of this round even without orders.
    owes_answer: bool,
    pub(crate) usage: AgentUsage,
    /// Jobs whose inputs it may have open.
    pub(crate) jobs: BTreeSet<JobId>,
}

/// All agents.
#[derive(Debug)]
pub(crate) struct Agents {
    sessions: BTreeMap<AgentId, Session>,
    by_session: HashMap<u64, AgentId>,
    by_connection: HashMap<ConnectionId, AgentId>,
    /// Agents that are lost or have left, oldest first, for listings.
    gone: VecDeque<AgentView>,
    last_id: u64,
    timings: Timings,
}

impl Agents {
    /// No agents yet, in this epoch.
    pub(crate) fn new(epoch: Epoch, timings: Timings) -> Self {
        Self {
            sessions: BTreeMap::new(),
            by_session: HashMap::new(),
            by_connection: HashMap::new(),
            gone: VecDeque::new(),
            last_id: epoch.first_id(),
            timings,
        }
    }

    /// The agent of a process that has registered before in this life and is still known.
    pub(crate) fn of_session(&self, session: u64) -> Option<AgentId> {
        self.by_session.get(&session).copied()
    }

    /// Takes on a process that is not known.
    pub(crate) fn join(&mut self, connection: ConnectionId, hello: AgentHello) -> AgentId {
        self.last_id += 1;
        let agent = AgentId(self.last_id);
        self.by_session.insert(hello.session, agent);
        self.by_connection.insert(connection, agent);
        let session = Session {
            hello,
            connection: Some(connection),
            disconnected_at: None,
            settled_event: 0,
            stored_log_batch: 0,
            n_log_lines_dropped: 0,
            outbox: Outbox::default(),
            held_call: None,
            owes_answer: false,
            usage: AgentUsage::default(),
            jobs: BTreeSet::new(),
        };
        self.sessions.insert(agent, session);
        agent
    }

    /// A known process is back on a new connection.
    pub(crate) fn rejoin(&mut self, agent: AgentId, connection: ConnectionId, hello: AgentHello) {
        let Some(session) = self.sessions.get_mut(&agent) else { return };
        if let Some(old) = session.connection.replace(connection) {
            self.by_connection.remove(&old);
        }
        self.by_connection.insert(connection, agent);
        session.disconnected_at = None;
        session.hello = hello;
    }

    /// The session of an agent that calls on a connection; `None` where it has to register first.
    pub(crate) fn on_connection(&mut self, agent: AgentId, connection: ConnectionId) -> Option<&mut Session> {
        self.sessions.get_mut(&agent).filter(|session| session.connection == Some(connection))
    }

    /// The session of an agent.
    pub(crate) fn get_mut(&mut self, agent: AgentId) -> Option<&mut Session> {
        self.sessions.get_mut(&agent)
    }

    /// The session of an agent.
    pub(crate) fn get(&self, agent: AgentId) -> Option<&Session> {
        self.sessions.get(&agent)
    }

    /// Every agent that is known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AgentId, &Session)> {
        self.sessions.iter().map(|(agent, session)| (*agent, session))
    }

    /// A connection is closed. Its agent may come back within the grace.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId, now: Instant) {
        let Some(session) = self.by_connection.remove(&connection).and_then(|agent| self.sessions.get_mut(&agent)) else { return };
        session.connection = None;
        session.held_call = None;
        session.disconnected_at = Some(now);
    }

    /// Agents that were disconnected for longer than the grace.
    pub(crate) fn not_come_back(&self, now: Instant) -> Vec<AgentId> {
        let is_late = |at: Instant| now.saturating_duration_since(at) >= self.timings.reconnect_grace;
        self.iter().filter(|(_, session)| session.disconnected_at.is_some_and(is_late)).map(|(agent, _)| agent).collect()
    }

    /// Forgets an agent that is lost or has left; `view` is how it is listed from now on. A call that it holds tells it to
    /// register anew.
    pub(crate) fn remove(&mut self, agent: AgentId, view: AgentView) {
        let Some(session) = self.sessions.remove(&agent) else { return };
        self.by_session.remove(&session.hello.session);
        if let Some(connection) = session.connection {
            self.by_connection.remove(&connection);
        }
        if let Some((call, _)) = session.held_call {
            let _ = call.send(ExchangeReply::UnknownAgent);
        }
        if self.gone.len() == MAX_GONE_AGENTS {
            self.gone.pop_front();
        }
        self.gone.push_back(view);
    }

    /// Agents that are gone.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &AgentView> {
        self.gone.iter()
    }

    /// Queues an order for an agent.
    pub(crate) fn order(&mut self, agent: AgentId, order: Order) {
        if let Some(session) = self.sessions.get_mut(&agent) {
            if let Order::Grant(grant) = &order {
                session.jobs.insert(grant.job);
            }
            session.outbox.push(order);
        }
    }

    /// Tells every agent that may have something of a job open that it is over.
    pub(crate) fn forget_job(&mut self, job: JobId) {
        for session in self.sessions.values_mut() {
            if session.jobs.remove(&job) {
                session.outbox.push(Order::ForgetJob { job });
            }
        }
    }

    /// Answers every held call that has something to say or was held for long enough. Called when a round's records are on the disk.
    pub(crate) fn answer_calls(&mut self, now: Instant) {
        self.sessions.values_mut().for_each(|session| session.answer_if_due(now));
    }
}

impl Session {
    /// Holds a new exchange open; the one before it, if any, is released.
    pub(crate) fn hold(&mut self, call: Reply<ExchangeReply>, until: Instant, owes_answer: bool) {
        if let Some((older, _)) = self.held_call.replace((call, until)) {
            let _ = older.send(ExchangeReply::Superseded);
        }
        self.owes_answer |= owes_answer;
    }

    /// Whether the batch has been stored already, or there is nothing in it.
    pub(crate) fn has_stored(&self, batch: &LogBatch) -> bool {
        batch.seq <= self.stored_log_batch
    }

    fn answer_if_due(&mut self, now: Instant) {
        let is_due = |until: Instant| self.owes_answer || !self.outbox.is_empty() || now >= until;
        if let Some((call, _)) = self.held_call.take_if(|(_, until)| is_due(*until)) {
            let orders =
                AgentOrders { acked_event_seq: self.settled_event, acked_log_seq: self.stored_log_batch, orders: self.outbox.next_batch() };
            self.owes_answer = false;
            // Where the caller is gone, the orders stay in the outbox for its next call.
            let _ = call.send(ExchangeReply::Orders(orders));
        }
    }
}
