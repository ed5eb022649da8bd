//! The one book of the agent, shared by its session, its supervisor and the daemon's own loop; each is woken by every change.
//! This file must not know what stands in the book.

use crate::book::Book;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// The book and who waits for it.
#[derive(Debug)]
pub struct Shared {
    book: Mutex<Book>,
    /// Wakes the session.
    pub for_session: Notify,
    /// Wakes the supervisor.
    pub for_runner: Notify,
    /// Wakes the daemon's loop.
    pub for_daemon: Notify,
}

impl Shared {
    /// An empty book.
    pub fn new() -> Self {
        Self {
            book: Mutex::new(Book::new(Instant::now())),
            for_session: Notify::new(),
            for_runner: Notify::new(),
            for_daemon: Notify::new(),
        }
    }

    /// Looks into the book.
    pub fn read<R>(&self, look: impl FnOnce(&Book) -> R) -> R {
        look(&self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes something out of the book that concerns nobody else.
    pub fn take<R>(&self, take: impl FnOnce(&mut Book) -> R) -> R {
        take(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the book and wakes everyone.
    pub fn change<R>(&self, change: impl FnOnce(&mut Book) -> R) -> R {
        let result = self.take(change);
        self.for_session.notify_one();
        self.for_runner.notify_one();
        self.for_daemon.notify_one();
        result
    }

    /// Adds a line to the agent's own log and to the one that the coordinator keeps.
    pub fn note(&self, level: &str, text: &str) {
        match level {
            "error" => tracing::error!("{text}"),
            "warn" => tracing::warn!("{text}"),
            _ => tracing::info!("{text}"),
        }
        self.change(|book| book.log(level, text, None, None));
    }
}
