//! Log lines on their way to the coordinator, bounded in number, bytes and rate; what is lost is counted. Pure bookkeeping.
//! This file must not know where lines come from.

use crate::runner::protocol::cut;
use paceline_common::message::{LogBatch, LogLine, MAX_LOG_LINE_BYTES, MAX_LOG_LINES_PER_REPORT};
use std::collections::VecDeque;

/// Most lines that wait: a second's burst of a talkative library on every core, while a report a second takes 256.
const MAX_LINES: usize = 4096;
/// Most bytes that wait.
const MAX_BYTES: usize = 2 << 20;
/// Most bytes in one report, so that logs never crowd out the events beside them.
const MAX_BYTES_PER_REPORT: usize = 256 << 10;

/// Lines that wait, and the batch that is on its way.
#[derive(Debug, Default)]
pub struct LogRing {
    waiting: VecDeque<LogLine>,
    n_bytes: usize,
    n_dropped: u64,
    in_flight: LogBatch,
    last_seq: u64,
}

impl LogRing {
    /// Adds a line, cut where it is too long. When too many wait, the oldest goes: the newest tell how things ended.
    pub fn push(&mut self, mut line: LogLine) {
        line.text = cut(&line.text, MAX_LOG_LINE_BYTES);
        self.n_bytes += line.text.len();
        self.waiting.push_back(line);
        while self.waiting.len() > MAX_LINES || self.n_bytes > MAX_BYTES {
            let Some(lost) = self.waiting.pop_front() else { return };
            self.n_bytes -= lost.text.len();
            self.n_dropped += 1;
        }
    }

    /// The batch to report: the same one until it is acknowledged, then the next; an empty one where nothing waits.
    pub fn batch(&mut self) -> LogBatch {
        if self.in_flight.lines.is_empty() && !self.waiting.is_empty() {
            self.last_seq += 1;
            self.in_flight = LogBatch { seq: self.last_seq, lines: self.take_lines(), n_dropped: self.n_dropped };
        }
        self.in_flight.clone()
    }

    fn take_lines(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        let mut n_bytes = 0;
        while lines.len() < MAX_LOG_LINES_PER_REPORT
            && let Some(line) = self.waiting.front()
            && n_bytes + line.text.len() <= MAX_BYTES_PER_REPORT
        {
            n_bytes += line.text.len();
            lines.extend(self.waiting.pop_front());
        }
        self.n_bytes -= n_bytes;
        lines
    }

    /// Forgets the batch that is stored; whether there was one.
    pub fn acknowledge(&mut self, up_to_seq: u64) -> bool {
        let is_stored = !self.in_flight.lines.is_empty() && self.in_flight.seq <= up_to_seq;
        if is_stored {
            self.in_flight = LogBatch::default();
        }
        is_stored
    }

    /// Whether a line waits to be said.
    pub fn has_unsent(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { at_ms: 0, job: None, lease: None, level: "info".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_flood_is_bounded_and_its_losses_are_counted() {
        let mut ring = LogRing::default();
        (0..10_000).for_each(|i| ring.push(line(&i.to_string())));
        let batch = ring.batch();
        assert_eq!((batch.seq, batch.lines.len(), batch.n_dropped), (1, MAX_LOG_LINES_PER_REPORT, 10_000 - MAX_LINES as u64));
        assert_eq!(batch.lines[0].text, (10_000 - MAX_LINES).to_string());
        (0..1000).for_each(|_| ring.push(line(&"x".repeat(100_000))));
        assert!(ring.n_bytes <= MAX_BYTES);
        assert_eq!(ring.batch().seq, 1, "a batch on its way stays as it is");
        ring.acknowledge(1);
        let batch = ring.batch();
        assert!(batch.seq == 2 && batch.lines.iter().map(|line| line.text.len()).sum::<usize>() <= MAX_BYTES_PER_REPORT);
        assert!(batch.lines.iter().all(|line| line.text.len() <= MAX_LOG_LINE_BYTES));
        for seq in 2..10_000 {
            ring.acknowledge(seq);
            if ring.batch().lines.is_empty() {
                break;
            }
        }
        assert!(!ring.has_unsent() && ring.n_bytes == 0 && ring.batch().seq == 0);
    }
}
