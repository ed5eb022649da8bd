//! How an agent is asked to leave: first gently, then at once. Signals and embedding programs meet here.
//! This file must not know what draining means.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Nothing yet.
    #[default]
    Stay,
    /// Finish what is claimed, report it, leave.
    Drain(String),
    /// Leave at once.
    LeaveNow(String),
}

/// The receiving end.
#[derive(Debug)]
pub struct Shutdown {
    asks: watch::Receiver<Ask>,
    signals: Option<Signals>,
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
    hangup: Signal,
    is_draining: bool,
}

/// The asking end. Dropping it asks for nothing.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {
    asks: watch::Sender<Ask>,
}

impl ShutdownHandle {
    /// Asks the agent to finish what is claimed, to report it and to leave.
    pub fn drain(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.asks.send_if_modified(|ask| {
            let is_new = *ask == Ask::Stay;
            if is_new {
                *ask = Ask::Drain(reason);
            }
            is_new
        });
    }

    /// Asks the agent to leave at once; what is not finished is done elsewhere.
    pub fn leave_now(&self, reason: impl Into<String>) {
        self.asks.send_replace(Ask::LeaveNow(reason.into()));
    }
}

impl Shutdown {
    /// Asked by a program that runs the agent within itself.
    #[must_use]
    pub fn channel() -> (ShutdownHandle, Self) {
        let (sender, receiver) = watch::channel(Ask::Stay);
        (ShutdownHandle { asks: sender }, Self { asks: receiver, signals: None })
    }

    /// Asked by signals: SIGTERM, SIGINT, SIGUSR1 (which batch systems send ahead of the end) and SIGHUP (a closed terminal) drain;
    /// a second SIGTERM or SIGINT leaves at once. Must be called within a tokio runtime with io enabled.
    pub fn signals() -> io::Result<Self> {
        let (_, receiver) = watch::channel(Ask::Stay);
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            is_draining: false,
        };
        Ok(Self { asks: receiver, signals: Some(signals) })
    }

    /// Waits for the next thing asked.
    pub(crate) async fn asked(&mut self) -> Ask {
        if let Some(signals) = &mut self.signals {
            return signals.asked().await;
        }
        // Nobody asks any more once every handle is gone.
        if self.asks.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.asks.borrow_and_update().clone()
    }
}

impl Signals {
    async fn asked(&mut self) -> Ask {
        let (name, may_hurry) = tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", true),
            _ = self.interrupt.recv() => ("SIGINT", true),
            _ = self.user1.recv() => ("SIGUSR1", false),
            _ = self.hangup.recv() => ("SIGHUP", false),
        };
        if std::mem::replace(&mut self.is_draining, true) && may_hurry {
            Ask::LeaveNow(name.to_owned())
        } else {
            Ask::Drain(name.to_owned())
        }
    }
}
