//! What agents say: registration, reports, and their end.

use super::{Driver, unix_ms};
use crate::command::{ConnectionId, Reply};
use crate::config::{MAX_HELD_LEASES, MAX_HELLO_TEXT_BYTES};
use crate::effects::Effect;
use crate::logs::LogLines;
use paceline_common::failure::{Failure, Refusal};
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::message::{
    AgentEvent, AgentHello, AgentOrders, AgentReport, ExchangeReply, LogBatch, LogLine, MAX_EVENTS_PER_REPORT, MAX_INLINE_BYTES,
    MAX_LOG_LINE_BYTES, MAX_LOG_LINES_PER_REPORT, PROTOCOL_VERSION, PartBody, Registered,
};
use paceline_common::view::StoredLogLine;
use paceline_scheduler::action::Action;
use paceline_scheduler::event::{Event, HeldLease};
use paceline_scheduler::view::LeaseStatus;
use std::collections::HashSet;
use std::time::Instant;

/// Longest name of a log level.
const MAX_LEVEL_BYTES: usize = 16;

impl Driver {
    pub(super) fn register(&mut self, connection: ConnectionId, hello: AgentHello) -> Result<Registered, Refusal> {
        check_hello(&hello)?;
        let (agent, abandon) = match self.agents.of_session(hello.session) {
            Some(agent) => {
                let known: HashSet<_> = self.scheduler.leases_of_agent(agent, self.clock.now()).iter().map(|lease| lease.lease).collect();
                let abandon = hello.held.iter().map(|grant| grant.lease).filter(|lease| !known.contains(lease)).collect();
                self.agents.rejoin(agent, connection, hello);
                (agent, abandon)
            }
            None => self.join(connection, hello),
        };
        let heartbeat_interval_ms = u64::try_from(self.parts.timings.heartbeat_interval.as_millis()).unwrap_or(u64::MAX);
        Ok(Registered { agent, epoch: self.parts.journal.epoch(), heartbeat_interval_ms, abandon })
    }

    /// A process that is not known, or no longer: it gets a number, and what it still works on is adopted where it can be.
    fn join(&mut self, connection: ConnectionId, hello: AgentHello) -> (AgentId, Vec<LeaseId>) {
        let held = hello
            .held
            .iter()
            .map(|grant| HeldLease { lease: grant.lease, job: grant.job, stage: grant.stage, range: grant.range, cores: grant.cores })
            .collect();
        let (cores, host, jobs) = (hello.cores, hello.host.clone(), hello.held.iter().map(|grant| grant.job).collect());
        let agent = self.agents.join(connection, hello);
        if let Some(session) = self.agents.get_mut(agent) {
            session.jobs = jobs;
        }
        tracing::info!(%agent, %host, cores, "an agent has joined");
        let actions = self.scheduler.handle(self.clock.now(), Event::AgentJoined { agent, cores, held });
        let (mut abandon, mut others) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Revoke { agent: whom, lease } if whom == agent => abandon.push(lease),
                other => others.push(other),
            }
        }
        self.act_all(others, None);
        (agent, abandon)
    }

    pub(super) fn exchange(&mut self, connection: ConnectionId, mut report: AgentReport, reply: Reply<ExchangeReply>) {
        let agent = report.agent;
        let Some(session) = self.agents.on_connection(agent, connection) else {
            self.effects.push(Effect::answer(reply, ExchangeReply::UnknownAgent));
            return;
        };
        session.outbox.acknowledge(report.last_order_seq);
        session.usage = report.usage;
        // What a report carries is acknowledged at once, so that the agent can let go of it.
        let owes_answer = !report.events.is_empty() || report.logs.seq > 0;
        self.store_logs(agent, std::mem::take(&mut report.logs));
        let is_leaving = self.take_events(agent, std::mem::take(&mut report.events));
        self.report_leases(agent, report);
        if is_leaving {
            self.say_goodbye(agent, reply);
            return;
        }
        let until = Instant::now() + self.parts.timings.heartbeat_interval;
        match self.agents.get_mut(agent) {
            Some(session) => session.hold(reply, until, owes_answer),
            // Dropped for what it reported.
            None => self.effects.push(Effect::answer(reply, ExchangeReply::UnknownAgent)),
        }
    }

    /// Takes the events that are new, in order; whether the agent is leaving.
    fn take_events(&mut self, agent: AgentId, events: Vec<(u64, AgentEvent)>) -> bool {
        let mut is_leaving = false;
        for (seq, event) in events.into_iter().take(MAX_EVENTS_PER_REPORT) {
            let Some(session) = self.agents.get_mut(agent) else { break };
            if seq <= session.settled_event {
                continue;
            }
            session.settled_event = seq;
            is_leaving |= matches!(event, AgentEvent::Leaving);
            self.take_event(agent, event);
        }
        is_leaving
    }

    fn take_event(&mut self, agent: AgentId, event: AgentEvent) {
        match event {
            AgentEvent::RangeFinished { lease, end, part } => match check_part(&part) {
                Ok(()) => self.tell_scheduler(Event::RangeFinished { agent, lease, end }, Some(part)),
                Err(failure) => self.tell_scheduler(Event::RangeFailed { agent, lease, item: None, failure }, None),
            },
            AgentEvent::LeaseShortened { lease, end } => self.tell_scheduler(Event::LeaseShortened { agent, lease, end }, None),
            AgentEvent::RangeFailed { lease, item, failure } => {
                self.tell_scheduler(Event::RangeFailed { agent, lease, item, failure }, None)
            }
            AgentEvent::RunnerDied { leases, unstarted, death } => {
                tracing::warn!(%agent, %death, n_leases = leases.len(), "a runner has died");
                self.tell_scheduler(Event::RunnerDied { agent, leases, unstarted, death }, None);
            }
            AgentEvent::DrainAsked { reason } => {
                tracing::info!(%agent, reason, "the agent is draining");
                self.tell_scheduler(Event::DrainAsked { agent }, None);
            }
            // Taken when its whole report has been.
            AgentEvent::Leaving => {}
        }
    }

    /// Everything that the agent holds: its own list, and what is on its way to it.
    fn report_leases(&mut self, agent: AgentId, report: AgentReport) {
        let Some(session) = self.agents.get(agent) else { return };
        let mut leases = report.leases;
        leases.truncate(MAX_HELD_LEASES);
        leases.extend(session.outbox.grants_under_way());
        self.tell_scheduler(Event::AgentReported { agent, leases }, None);
    }

    fn say_goodbye(&mut self, agent: AgentId, reply: Reply<ExchangeReply>) {
        let (acked_event_seq, acked_log_seq) = self.agents.get(agent).map_or((0, 0), |s| (s.settled_event, s.stored_log_batch));
        let orders = AgentOrders { acked_event_seq, acked_log_seq, orders: Vec::new() };
        self.effects.push(Effect::answer(reply, ExchangeReply::Orders(orders)));
        tracing::info!(%agent, "the agent has left");
        self.lose_agent(agent, "left");
    }

    /// An agent is gone, and the scheduler does not know it yet.
    pub(super) fn lose_agent(&mut self, agent: AgentId, state: &str) {
        let leases = self.scheduler.leases_of_agent(agent, self.clock.now());
        self.log_loss(agent, state, &leases);
        self.forget_agent(agent, state);
        self.tell_scheduler(Event::AgentLost { agent }, None);
    }

    /// Tells the log of each job that an agent is gone which was at work on it.
    pub(super) fn log_loss(&self, agent: AgentId, state: &str, leases: &[LeaseStatus]) {
        let Some(session) = self.agents.get(agent) else { return };
        let told = leases.iter().map(|lease| {
            let text = format!("agent {state} while it had {}; they go to others", lease.range);
            let (job, lease) = (Some(lease.job), Some(lease.lease));
            let line = LogLine { at_ms: unix_ms(), job, lease, level: "warn".to_owned(), text };
            self.placed(agent, &session.hello.host, leases, line)
        });
        if !self.parts.logs.store(told.collect()) {
            leases.iter().for_each(|lease| self.parts.logs.dropped().add(lease.job, 1));
        }
    }

    /// An agent is gone.
    pub(super) fn forget_agent(&mut self, agent: AgentId, state: &str) {
        if let Some(mut view) = self.agents.get(agent).map(|session| self.agent_view(agent, session)) {
            view.state = state.to_owned();
            view.n_leases = 0;
            self.agents.remove(agent, view);
        }
    }

    /// Hands log lines to their writer. Where it has no room the batch is not acknowledged, and comes again.
    fn store_logs(&mut self, agent: AgentId, batch: LogBatch) {
        let Some(session) = self.agents.get(agent) else { return };
        if session.has_stored(&batch) {
            return;
        }
        let n_newly_dropped = batch.n_dropped.saturating_sub(session.n_log_lines_dropped);
        let jobs: Vec<_> = session.jobs.iter().copied().collect();
        let host = session.hello.host.clone();
        let leases = self.scheduler.leases_of_agent(agent, self.clock.now());
        let lines: LogLines =
            batch.lines.into_iter().take(MAX_LOG_LINES_PER_REPORT).map(|line| self.placed(agent, &host, &leases, line)).collect();
        if !self.parts.logs.store(lines) {
            return;
        }
        // Which job the lost lines belonged to is not known; each of those at work there is told.
        jobs.into_iter().for_each(|job| self.parts.logs.dropped().add(job, n_newly_dropped));
        if let Some(session) = self.agents.get_mut(agent) {
            session.stored_log_batch = batch.seq;
            session.n_log_lines_dropped = batch.n_dropped.max(session.n_log_lines_dropped);
        }
    }

    /// A line with the job that it is stored with, and the place that it came from.
    fn placed(&self, agent: AgentId, host: &str, leases: &[LeaseStatus], mut line: LogLine) -> (Option<JobId>, StoredLogLine) {
        line.text.truncate(line.text.floor_char_boundary(MAX_LOG_LINE_BYTES));
        line.level.truncate(line.level.floor_char_boundary(MAX_LEVEL_BYTES));
        let job = line.job.filter(|job| self.jobs.contains_key(job) || self.ended.contains_key(job));
        let lease = leases.iter().find(|lease| Some(lease.lease) == line.lease);
        let place = lease.map(|lease| {
            let stage = self.jobs.get(&lease.job).and_then(|job| job.record.stage(lease.stage)).map(|plan| plan.name.clone());
            format!("{}, {}", stage.unwrap_or_default(), lease.range)
        });
        (job, StoredLogLine { host: host.to_owned(), agent, place, line })
    }
}

/// A part as an agent may report it: small where it is in the message, and a plain file of the job's directory where it is not.
fn check_part(part: &PartBody) -> Result<(), Failure> {
    match part {
        PartBody::Inline(bytes) if bytes.len() > MAX_INLINE_BYTES => {
            Err(Failure::storage(format!("a part of {} bytes came in a message, where at most {MAX_INLINE_BYTES} may", bytes.len())))
        }
        PartBody::File(file) if file.name.contains('/') || file.name.is_empty() || file.name.starts_with('.') || file.name.len() > 255 => {
            Err(Failure::storage(format!("{:?}: is not the name of a part file", file.name)))
        }
        _ => Ok(()),
    }
}

fn check_hello(hello: &AgentHello) -> Result<(), Refusal> {
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(Refusal::bad_input(format!(
            "{}: its agent speaks version {} of the protocol and this coordinator version {PROTOCOL_VERSION}; install the same paceline on both nodes",
            hello.host, hello.protocol_version
        )));
    }
    if hello.cores == 0 {
        return Err(Refusal::bad_input(format!("{}: an agent without cores cannot work; give it at least 1", hello.host)));
    }
    let texts = [Some(&hello.host), Some(&hello.cores_reason), hello.slurm_job.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_HELLO_TEXT_BYTES) {
        return Err(Refusal::bad_input(format!("an agent's host name or other text is longer than {MAX_HELLO_TEXT_BYTES} bytes")));
    }
    if hello.held.len() > MAX_HELD_LEASES {
        return Err(Refusal::bad_input(format!(
            "{}: names {} leases, of which at most {MAX_HELD_LEASES} are taken",
            hello.host,
            hello.held.len()
        )));
    }
    Ok(())
}
