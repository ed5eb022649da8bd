//! How messages become bytes: bincode in length-delimited frames, both bounded, over any byte stream.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::pin::Pin;

use bincode::Options;
use bytes::{Bytes, BytesMut};
use tarpc::serde_transport::{self, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::LengthDelimitedCodec;

/// Longest frame in bytes. The largest legal message is an agent's report with 256 inline parts of 16 KiB and 256 log lines of
/// 4 KiB, which is a little over 5 MiB; what is longer comes from no paceline and is refused before memory is set aside for it.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// bincode 1.x with variable-length integers. The limit also stops a short frame that claims a long list.
fn options() -> impl Options {
    bincode::DefaultOptions::new().with_limit(MAX_FRAME_BYTES as u64)
}

/// Encodes one value.
pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    options().serialize(value).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// Decodes one value; bytes left over are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    options().deserialize(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// The encoding as `tokio_serde` wants it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BincodeCodec;

impl<T: Serialize> tokio_serde::Serializer<T> for BincodeCodec {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, item: &T) -> io::Result<Bytes> {
        encode(item).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> tokio_serde::Deserializer<T> for BincodeCodec {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, source: &BytesMut) -> io::Result<T> {
        decode(source)
    }
}

/// A transport of messages over `stream`.
pub fn transport<S, Item, SinkItem>(stream: S) -> Transport<S, Item, SinkItem, BincodeCodec>
where
    S: AsyncRead + AsyncWrite,
    Item: DeserializeOwned,
    SinkItem: Serialize,
{
    let frames = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME_BYTES).new_framed(stream);
    serde_transport::new(frames, BincodeCodec)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::AgentId;
    use paceline_common::message::{
        AgentEvent, AgentReport, AgentUsage, LogBatch, LogLine, MAX_EVENTS_PER_REPORT, MAX_INLINE_BYTES, MAX_LOG_LINE_BYTES,
        MAX_LOG_LINES_PER_REPORT, PartBody,
    };

    #[test]
    fn the_largest_legal_report_fits_in_a_frame() {
        let event = AgentEvent::RangeFinished {
            lease: paceline_common::ids::LeaseId(u64::MAX),
            end: u64::MAX,
            part: PartBody::Inline(vec![255; MAX_INLINE_BYTES]),
        };
        let line = LogLine { at_ms: u64::MAX, job: None, lease: None, level: "error".to_owned(), text: "x".repeat(MAX_LOG_LINE_BYTES) };
        let report = AgentReport {
            agent: AgentId(u64::MAX),
            last_order_seq: u64::MAX,
            events: (0..MAX_EVENTS_PER_REPORT as u64).map(|seq| (seq, event.clone())).collect(),
            leases: Vec::new(),
            logs: LogBatch { seq: 1, lines: vec![line; MAX_LOG_LINES_PER_REPORT], n_dropped: 0 },
            usage: AgentUsage::default(),
        };
        let bytes = encode(&report).unwrap();
        assert!(bytes.len() < MAX_FRAME_BYTES * 3 / 4, "{} bytes", bytes.len());
        assert_eq!(decode::<AgentReport>(&bytes).unwrap(), report);
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic_or_a_large_allocation() {
        // A list that claims 2^63 entries in nine bytes.
        let claim = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert!(decode::<Vec<u64>>(&claim).is_err());
        assert!(decode::<String>(&claim).is_err());
        let sound = encode(&(7_u32, "text".to_owned())).unwrap();
        for cut in 0..sound.len() {
            assert!(decode::<(u32, String)>(&sound[..cut]).is_err());
        }
        let mut longer = sound.clone();
        longer.push(0);
        assert!(decode::<(u32, String)>(&longer).is_err(), "bytes left over must be refused");
    }
}
