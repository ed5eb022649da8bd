//! The footer of an Arrow IPC file and the headers of its batches: how many rows stand where. Every length that the decoder would
//! allocate for is checked here against the file, so that a hostile one cannot ask for more memory than there is.

use crate::table::table_file::damaged;
use arrow_ipc::{Block, MessageHeader, RecordBatch, root_as_footer, root_as_message};
use arrow_schema::SchemaRef;
use paceline_common::failure::Failure;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// What stands where.
pub(crate) struct IpcLayout {
    /// The columns.
    pub arrow_schema: SchemaRef,
    /// Rows before each batch.
    pub batch_starts: Vec<u64>,
    /// Rows in all.
    pub n_rows: u64,
}

/// The trailer: the footer's length (i32) and the magic.
const TRAILER_BYTES: u64 = 10;

/// A file whose lengths are being checked.
struct Checked<'a> {
    path: &'a Path,
    file: File,
    size: u64,
}

/// Reads the layout of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<IpcLayout, Failure> {
    let file = File::open(path).map_err(|e| Failure::from_io("read", path, &e))?;
    let size = file.metadata().map_err(|e| Failure::from_io("read", path, &e))?.len();
    let mut checked = Checked { path, file, size };
    let footer_bytes = checked.footer()?;
    let footer = root_as_footer(&footer_bytes).map_err(|e| damaged(path, e))?;
    let ipc_schema = footer.schema().ok_or_else(|| damaged(path, "its footer holds no schema"))?;
    let arrow_schema = Arc::new(arrow_ipc::convert::try_fb_to_schema(ipc_schema).map_err(|e| damaged(path, e))?);
    for block in footer.dictionaries().into_iter().flatten() {
        checked.check_block(block)?;
    }
    let (mut batch_starts, mut n_rows) = (Vec::new(), 0u64);
    for block in footer.recordBatches().into_iter().flatten() {
        batch_starts.push(n_rows);
        let sum = n_rows.checked_add(checked.check_block(block)?);
        n_rows = sum.ok_or_else(|| damaged(path, "it claims more rows than can be counted"))?;
    }
    Ok(IpcLayout { arrow_schema, batch_starts, n_rows })
}

impl Checked<'_> {
    fn bytes_at(&mut self, offset: u64, len: u64) -> Result<Vec<u8>, Failure> {
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(damaged(self.path, "it points beyond its end"));
        }
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| (&self.file).take(len).read_to_end(&mut bytes));
        read.map_err(|e| Failure::from_io("read", self.path, &e))?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(damaged(self.path, "it became shorter while it was read")) }
    }

    fn footer(&mut self) -> Result<Vec<u8>, Failure> {
        let trailer_at = self.size.checked_sub(TRAILER_BYTES).ok_or_else(|| damaged(self.path, "it is too short for a footer"))?;
        let trailer = self.bytes_at(trailer_at, TRAILER_BYTES)?;
        let trailer: [u8; 10] = trailer.try_into().map_err(|_| damaged(self.path, "it is too short for a footer"))?;
        let len = arrow_ipc::reader::read_footer_length(trailer).map_err(|e| damaged(self.path, e))? as u64;
        let footer_at = trailer_at.checked_sub(len).ok_or_else(|| damaged(self.path, "its footer is longer than it is"))?;
        self.bytes_at(footer_at, len)
    }

    /// Checks the lengths in a block; returns its number of rows.
    fn check_block(&mut self, block: &Block) -> Result<u64, Failure> {
        let negative = || damaged(self.path, "a length in it is negative");
        let offset = u64::try_from(block.offset()).map_err(|_| negative())?;
        let header_len = u64::try_from(block.metaDataLength()).map_err(|_| negative())?;
        let body_len = u64::try_from(block.bodyLength()).map_err(|_| negative())?;
        let header = self.bytes_at(offset, header_len)?;
        let body_at = offset + header_len;
        if body_at.checked_add(body_len).is_none_or(|end| end > self.size) {
            return Err(damaged(self.path, "a batch reaches beyond its end"));
        }
        // Since 0.15 of the format a marker goes before the length of the header.
        const MARKER: [u8; 4] = [0xff; 4];
        let message = header.get(if header.starts_with(&MARKER) { 8 } else { 4 }..).unwrap_or_default();
        let message = root_as_message(message).map_err(|e| damaged(self.path, e))?;
        let batch = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()),
            _ => None,
        };
        let batch = batch.ok_or_else(|| damaged(self.path, "a block of it is no batch"))?;
        self.check_buffers(batch, body_at, body_len)?;
        u64::try_from(batch.length()).map_err(|_| negative())
    }

    /// A compressed buffer begins with its length when decoded (i64; -1 for one that is stored as it is).
    fn check_buffers(&mut self, batch: RecordBatch<'_>, body_at: u64, body_len: u64) -> Result<(), Failure> {
        if batch.compression().is_none() {
            return Ok(());
        }
        for buffer in batch.buffers().into_iter().flatten() {
            let (Ok(offset), Ok(len)) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length())) else {
                return Err(damaged(self.path, "a length in it is negative"));
            };
            if offset.checked_add(len).is_none_or(|end| end > body_len) {
                return Err(damaged(self.path, "a column reaches beyond its batch"));
            }
            if len < 8 {
                continue;
            }
            let prefix: [u8; 8] = self.bytes_at(body_at + offset, 8)?.try_into().unwrap_or_default();
            let decoded = u64::try_from(i64::from_le_bytes(prefix).max(0)).unwrap_or(0);
            if decoded > MAX_UNQUESTIONED_BYTES.max(len.saturating_mul(MAX_COMPRESSION_RATIO)) {
                return Err(damaged(self.path, format!("a column claims to unpack {len} bytes into {decoded}")));
            }
        }
        Ok(())
    }
}

/// A buffer of this size is believed whatever its compressed size: memory that is never touched costs nothing.
const MAX_UNQUESTIONED_BYTES: u64 = 1 << 30;
/// Larger ones are believed up to this ratio: real columns of a gigabyte do not compress better.
const MAX_COMPRESSION_RATIO: u64 = 1000;
