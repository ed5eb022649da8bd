//! What an agent and its runner say to each other: one JSON object a line, described for people in `docs/runner-protocol.md`.
//! This file knows the words and their bounds, not what either side does with them.

use paceline_common::failure::Failure;
use paceline_common::ids::{JobId, LeaseId};
use paceline_common::message::{LeaseGrant, LeaseProgress, MAX_INLINE_BYTES, PartBody, PartFile};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};
use std::path::PathBuf;

/// The version of these messages; a runner that speaks another one exits.
pub const RUNNER_PROTOCOL_VERSION: u32 = 1;
/// Longest line in bytes without its end. The longest message is a part of [`MAX_INLINE_BYTES`] in hexadecimal and what stands around it.
pub const MAX_LINE_BYTES: usize = 2 * MAX_INLINE_BYTES + 32 * 1024;
/// Longest sentence in a message, so that no failure outgrows a line; the rest is cut and marked.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;
/// Most leases in one progress message, for the same reason.
pub const MAX_LEASES_PER_PROGRESS: usize = 256;

/// From the agent to the runner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToRunner {
    /// The first message: how to run.
    Hello {
        /// [`RUNNER_PROTOCOL_VERSION`] of the agent.
        protocol_version: u32,
        /// How many threads may run at once.
        cores: u32,
        /// Where inputs are copied to before they are mapped; absent where they are mapped where they stand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scratch: Option<PathBuf>,
    },
    /// Work on this.
    Grant(LeaseGrant),
    /// End the lease at `end`, or as soon after it as what is already claimed allows. Answered by `shortened`.
    Shorten {
        /// Which.
        lease: LeaseId,
        /// The new end.
        end: u64,
    },
    /// Stop working on it and throw its results away. Not answered.
    Revoke {
        /// Which.
        lease: LeaseId,
    },
    /// The job is over: close its inputs.
    ForgetJob {
        /// Which.
        job: JobId,
    },
}

/// From the runner to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromRunner {
    /// The first message: leases can come.
    Ready {
        /// [`RUNNER_PROTOCOL_VERSION`] of the runner.
        protocol_version: u32,
    },
    /// Work on this lease begins. Written before anything is done for it, so that a death finds the right leases.
    Started {
        /// Which.
        lease: LeaseId,
    },
    /// How far it is with leases that have moved, and what it has mapped.
    Progress {
        /// At most [`MAX_LEASES_PER_PROGRESS`].
        leases: Vec<LeaseProgress>,
        /// Bytes of inputs mapped now.
        mapped_bytes: u64,
    },
    /// The lease now ends at `end`: asked for, or because its results take too much memory. A lease that ends at its start is over.
    Shortened {
        /// Which.
        lease: LeaseId,
        /// Its end from now on.
        end: u64,
    },
    /// The lease is over; its part holds the items up to `end`.
    Finished {
        /// Which.
        lease: LeaseId,
        /// One past its last item.
        end: u64,
        /// The results.
        part: PartText,
    },
    /// The lease is over without a result.
    Failed {
        /// Which.
        lease: LeaseId,
        /// The item that failed, where one is known.
        item: Option<u64>,
        /// Why.
        failure: Failure,
    },
    /// A line for the log.
    Log {
        /// "error", "warn", "info" or "debug".
        level: String,
        /// The text.
        text: String,
        /// Of which job, where it belongs to one.
        #[serde(default)]
        job: Option<JobId>,
        /// Of which lease, where it belongs to one.
        #[serde(default)]
        lease: Option<LeaseId>,
    },
}

/// A part as text: bytes in hexadecimal, because JSON has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PartText {
    /// The stage yields nothing but the fact that it is done.
    Empty,
    /// A part file's bytes, at most [`MAX_INLINE_BYTES`].
    Inline {
        /// Two hexadecimal digits a byte.
        hex: String,
    },
    /// A part file in the stage's `parts` directory.
    File(PartFile),
}

impl From<PartBody> for PartText {
    fn from(part: PartBody) -> Self {
        match part {
            PartBody::Empty => Self::Empty,
            PartBody::Inline(bytes) => Self::Inline { hex: to_hex(&bytes) },
            PartBody::File(file) => Self::File(file),
        }
    }
}

impl PartText {
    /// The part as it goes on to the coordinator; `None` where it breaks the protocol.
    #[must_use]
    pub fn into_body(self) -> Option<PartBody> {
        match self {
            Self::Empty => Some(PartBody::Empty),
            Self::Inline { hex } => from_hex(&hex).filter(|bytes| bytes.len() <= MAX_INLINE_BYTES).map(PartBody::Inline),
            Self::File(file) => Some(PartBody::File(file)),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<Vec<u8>>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `text`, cut to at most `max_bytes` at a character's boundary, with the cut marked.
#[must_use]
pub fn cut(text: &str, max_bytes: usize) -> String {
    const MARK: &str = " [cut]";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_bytes.saturating_sub(MARK.len()));
    format!("{}{MARK}", &text[..end])
}

/// Reads the next line of at most [`MAX_LINE_BYTES`] into `line`; `false` at the end of the stream, an error for a longer line.
pub fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    input.by_ref().take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', line)?;
    match line.pop() {
        None => Ok(false),
        Some(b'\n') => Ok(true),
        Some(_) if line.len() >= MAX_LINE_BYTES => {
            Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("a line is longer than {MAX_LINE_BYTES} bytes")))
        }
        // The writer died inside a line.
        Some(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::StageIdx;
    use paceline_common::range::ItemRange;

    #[test]
    fn messages_look_as_documented() {
        let grant = ToRunner::Grant(LeaseGrant {
            lease: LeaseId(7),
            job: JobId(1),
            stage: StageIdx(0),
            range: ItemRange::new(0, 100),
            cores: 4,
            alone: false,
            job_dir: "/c/jobs/1".into(),
        });
        let text = serde_json::to_string(&grant).unwrap();
        assert_eq!(
            text,
            r#"{"type":"grant","lease":7,"job":1,"stage":0,"range":{"start":0,"end":100},"cores":4,"alone":false,"job_dir":"/c/jobs/1"}"#
        );
        assert_eq!(serde_json::from_str::<ToRunner>(&text).unwrap(), grant);
        let finished = FromRunner::Finished { lease: LeaseId(7), end: 60, part: PartBody::Inline(vec![0, 171, 16]).into() };
        let text = serde_json::to_string(&finished).unwrap();
        assert_eq!(text, r#"{"type":"finished","lease":7,"end":60,"part":{"kind":"inline","hex":"00ab10"}}"#);
        assert_eq!(serde_json::from_str::<FromRunner>(&text).unwrap(), finished);
    }

    #[test]
    fn the_longest_messages_fit_a_line() {
        let part = PartBody::Inline(vec![255; MAX_INLINE_BYTES]);
        let longest = FromRunner::Finished { lease: LeaseId(u64::MAX), end: u64::MAX, part: part.clone().into() };
        assert!(serde_json::to_string(&longest).unwrap().len() <= MAX_LINE_BYTES);
        assert_eq!(PartText::from(part.clone()).into_body(), Some(part));
        let lease = LeaseProgress { lease: LeaseId(u64::MAX), claimed: u64::MAX, n_done: u64::MAX };
        let longest = FromRunner::Progress { leases: vec![lease; MAX_LEASES_PER_PROGRESS], mapped_bytes: u64::MAX };
        assert!(serde_json::to_string(&longest).unwrap().len() <= MAX_LINE_BYTES);
        // A control character takes six characters in JSON, the worst that text can do.
        let failure = Failure::item(cut(&"\u{1}".repeat(10_000), MAX_TEXT_BYTES));
        let longest = FromRunner::Failed { lease: LeaseId(u64::MAX), item: Some(u64::MAX), failure };
        assert!(serde_json::to_string(&longest).unwrap().len() <= MAX_LINE_BYTES);
    }

    #[test]
    fn lines_are_bounded_and_a_torn_one_is_the_end() {
        let mut line = Vec::new();
        let mut input: &[u8] = b"{}\n\n{\"torn";
        assert!(read_line(&mut input, &mut line).unwrap() && line == b"{}");
        assert!(read_line(&mut input, &mut line).unwrap() && line.is_empty());
        assert!(!read_line(&mut input, &mut line).unwrap());
        let long = [vec![b'x'; MAX_LINE_BYTES], b"\n".to_vec()].concat();
        assert!(read_line(&mut long.as_slice(), &mut line).unwrap());
        let too_long = [vec![b'x'; MAX_LINE_BYTES + 1], b"\n".to_vec()].concat();
        assert!(read_line(&mut too_long.as_slice(), &mut line).is_err());
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("kurz", 10), "kurz");
        let text = cut(&"ä".repeat(100), 21);
        assert!(text.len() <= 21 && text.ends_with(" [cut]"), "{text}");
        assert_eq!(PartText::Inline { hex: "0g".to_owned() }.into_body(), None);
        assert_eq!(PartText::Inline { hex: "123".to_owned() }.into_body(), None);
    }
}
