//! The session with the coordinator: connect in any order of starts, register, exchange, and again after every loss.
//! This file knows connections and pauses. What is said, the book decides; it must not know runners.
//!
//! One exchange is always held open at the coordinator, so that orders come at once. When there is something to report, a second
//! one is sent, which releases the first. There are never more than two: a third would only repeat what the second says.

use crate::book::Book;
use crate::config::AgentConfig;
use crate::shared::Shared;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use paceline_common::failure::RefusalKind;
use paceline_common::host;
use paceline_common::message::{AgentHello, ExchangeReply, PROTOCOL_VERSION};
use paceline_wire::agent_connector::{AgentConnector, AgentLink};
use paceline_wire::error::WireError;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The pause after the first failed attempt to connect; each further one doubles it …
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// … up to this, so that an agent is there soon after its coordinator, and a thousand waiting agents do not disturb it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// News that can wait, such as progress and log lines, go out at most this often.
const NEWS_INTERVAL: Duration = Duration::from_millis(500);
/// After an answer that said nothing, the next exchange that asks for nothing waits until this long after the last one: a long poll
/// takes far longer, and a misunderstanding does not become a busy loop.
const EMPTY_ANSWER_PAUSE: Duration = Duration::from_millis(20);

/// The agent's side of the session.
#[derive(Debug)]
pub struct Session<'a> {
    config: &'a AgentConfig,
    connector: &'a AgentConnector,
    shared: &'a Shared,
    /// Drawn once, so that the coordinator knows a reconnecting agent.
    number: u64,
    last_heard: Mutex<Instant>,
    is_connected: AtomicBool,
}

/// Why a connection ended.
enum End {
    /// Connect again; the sentence is for the log.
    Lost(String),
    /// The coordinator does not know this agent: register again at once.
    Unknown,
}

impl<'a> Session<'a> {
    /// Nothing is connected yet.
    pub fn new(config: &'a AgentConfig, connector: &'a AgentConnector, shared: &'a Shared) -> Self {
        Self {
            config,
            connector,
            shared,
            number: random_number(),
            last_heard: Mutex::new(Instant::now()),
            is_connected: AtomicBool::new(false),
        }
    }

    /// Whether a coordinator is there to be told anything.
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// How long the coordinator has not been heard.
    pub fn silent_for(&self) -> Duration {
        self.last_heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn heard(&self) {
        *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Keeps the session until something is wrong that waiting does not cure.
    pub async fn run(&self) -> WireError {
        let mut backoff = Backoff::new(self.number);
        let mut was_registered = false;
        let mut is_waiting_noted = false;
        loop {
            let error = match self.connect().await {
                Ok(link) => {
                    let how = if was_registered { "connected again" } else { "connected" };
                    self.shared.note("info", &format!("{how} to the coordinator at {}", link.address()));
                    (was_registered, is_waiting_noted) = (true, false);
                    backoff.reset();
                    self.is_connected.store(true, Ordering::Relaxed);
                    let end = self.exchange(&link).await;
                    self.is_connected.store(false, Ordering::Relaxed);
                    match end {
                        End::Unknown => continue,
                        End::Lost(why) => why,
                    }
                }
                Err(error) if is_worth_waiting(&error, was_registered) => error.to_string(),
                Err(error) => return error,
            };
            // Said once a wait, not once a try.
            if !std::mem::replace(&mut is_waiting_noted, true) {
                self.shared.note("warn", &format!("{error}; trying again until it is there"));
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
    }

    async fn connect(&self) -> Result<AgentLink, WireError> {
        let link = self.connector.connect().await?;
        let registered = link.register(self.hello()).await?;
        self.heard();
        self.shared.change(|book| book.registered(&registered));
        Ok(link)
    }

    fn hello(&self) -> AgentHello {
        AgentHello {
            protocol_version: PROTOCOL_VERSION,
            session: self.number,
            host: host::node_name(),
            pid: std::process::id(),
            cores: self.config.cores.n_cores,
            cores_reason: self.config.cores.reason.clone(),
            memory_limit_bytes: self.config.memory_limit.as_ref().map(|limit| limit.bytes),
            slurm_job: host::slurm_job(),
            held: self.shared.read(Book::held),
        }
    }

    /// Exchanges until the connection ends.
    async fn exchange(&self, link: &AgentLink) -> End {
        let mut in_flight = FuturesUnordered::new();
        let mut last_sent = Instant::now();
        // When an exchange that says nothing, and one that carries news, may be sent.
        let (mut idle_from, mut news_from) = (last_sent, last_sent);
        loop {
            let now = Instant::now();
            let (has_events, has_news) = self.shared.read(|book| (book.has_unsent_events(), book.has_news()));
            let is_due = has_events && in_flight.len() < 2
                || has_news && in_flight.len() < 2 && now >= news_from
                || in_flight.is_empty() && now >= idle_from;
            if is_due && let Some(report) = self.shared.take(Book::report) {
                in_flight.push(link.exchange(report));
                (last_sent, news_from) = (now, now + NEWS_INTERVAL);
                continue;
            }
            tokio::select! {
                Some(answer) = in_flight.next() => match self.answered(answer) {
                    Ok(said_something) => if !said_something { idle_from = last_sent + EMPTY_ANSWER_PAUSE },
                    Err(end) => return end,
                },
                () = self.shared.for_session.notified() => {}
                () = tokio::time::sleep_until(news_from.into()), if has_news && in_flight.len() < 2 => {}
                () = tokio::time::sleep_until(idle_from.into()), if in_flight.is_empty() => {}
            }
        }
    }

    /// Takes an answer into the book; whether it said anything new.
    fn answered(&self, answer: Result<ExchangeReply, WireError>) -> Result<bool, End> {
        match answer {
            Ok(ExchangeReply::Orders(orders)) => {
                self.heard();
                Ok(self.shared.change(|book| book.orders(orders, Instant::now())))
            }
            Ok(ExchangeReply::Superseded) => {
                self.heard();
                Ok(true)
            }
            Ok(ExchangeReply::UnknownAgent) if self.shared.read(Book::has_left) => Ok(false),
            Ok(ExchangeReply::UnknownAgent) => {
                self.shared.note("warn", "the coordinator does not know this agent any more: registering again");
                Err(End::Unknown)
            }
            Err(error) => Err(End::Lost(error.to_string())),
        }
    }
}

/// Whether to try again. What is wrong with a cluster directory ends an agent at its start, but not one that has work in hand: a
/// filesystem that is away for a moment looks the same.
fn is_worth_waiting(error: &WireError, was_registered: bool) -> bool {
    match error {
        WireError::Refused(refusal) => refusal.kind == RefusalKind::Internal,
        WireError::Directory(_) => was_registered,
        other => other.is_retryable(),
    }
}

/// Pauses that grow, each drawn between half and all of its length, so that agents that lost one coordinator do not come back as one.
#[derive(Debug)]
struct Backoff {
    next: Duration,
    state: u64,
}

impl Backoff {
    fn new(seed: u64) -> Self {
        Self { next: FIRST_PAUSE, state: seed }
    }

    fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }

    fn next_pause(&mut self) -> Duration {
        // Any spread will do: the constants are those of a common linear congruential generator.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = 0.5 + 0.5 * (self.state >> 40) as f64 / (1_u64 << 24) as f64;
        let pause = self.next.mul_f64(share);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// A number that no other agent has: the standard library keys its hashers from the system's random source.
fn random_number() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_common::failure::Refusal;

    #[test]
    fn pauses_grow_to_their_bound_and_differ_between_agents() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..20).map(|_| backoff.next_pause()).collect::<Vec<_>>()
        };
        let of_one = pauses(1);
        assert!(of_one[0] >= FIRST_PAUSE / 2 && of_one[0] <= FIRST_PAUSE, "{of_one:?}");
        assert!(of_one.iter().all(|pause| *pause <= LONGEST_PAUSE) && of_one[19] >= LONGEST_PAUSE / 2);
        assert_ne!(of_one, pauses(2));
    }

    #[test]
    fn only_what_may_pass_is_waited_for() {
        assert!(is_worth_waiting(&WireError::NotRunning(String::new()), false));
        assert!(is_worth_waiting(&WireError::Refused(Refusal::internal("")), false));
        assert!(!is_worth_waiting(&WireError::Refused(Refusal::bad_input("")), true));
        assert!(!is_worth_waiting(&WireError::Version(String::new()), true));
        assert!(!is_worth_waiting(&WireError::Directory(String::new()), false));
        assert!(is_worth_waiting(&WireError::Directory(String::new()), true));
    }
}
