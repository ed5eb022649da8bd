//! The codes of a table row by row: what growing reads of a row lies in one or two cache lines, whatever features are drawn.
//! This room must not know what codes mean.

use super::columns::{BinnedColumns, Codes};
use super::lanes::prefetch;
use super::partition::RowIdx;

/// Where a feature's code stands in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    offset: usize,
    /// Whether it takes two bytes, the low one first.
    is_wide: bool,
}

/// How the codes of a row are laid out: those of one byte first, then those of two.
#[derive(Clone, Debug)]
pub(super) struct RowLayout {
    places: Vec<Place>,
    /// Bytes of a row.
    pub stride: usize,
}

/// How far ahead rows are asked for.
const ROWS_AHEAD: usize = 16;
/// Rows that are turned round at once, so that what is read and written stays in the cache.
const ROWS_AT_ONCE: usize = 1024;

impl RowLayout {
    pub fn of(columns: &BinnedColumns<'_>) -> Self {
        let is_wide = |codes: &Codes<'_>| matches!(codes, Codes::U16(_));
        let n_narrow = columns.as_slice().iter().filter(|column| !is_wide(&column.codes)).count();
        let (mut narrow_end, mut wide_end) = (0, n_narrow);
        let places = columns.as_slice().iter().map(|column| {
            let is_wide = is_wide(&column.codes);
            let end = if is_wide { &mut wide_end } else { &mut narrow_end };
            let offset = *end;
            *end += 1 + usize::from(is_wide);
            Place { offset, is_wide }
        });
        let places = places.collect();
        Self { places, stride: padded(wide_end) }
    }

    pub fn place(&self, feature: u32) -> Place {
        self.places[feature as usize]
    }
}

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// So many bytes that no row takes more lines than it must.
fn padded(row_bytes: usize) -> usize {
    if row_bytes <= LINE_BYTES { row_bytes.next_power_of_two() } else { row_bytes.next_multiple_of(LINE_BYTES) }
}

/// Bytes that begin with a cache line.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBytes {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl LineBytes {
    /// Makes it so long. What it holds then is not said.
    pub fn resize(&mut self, len: usize) {
        if self.bytes.len() < len + LINE_BYTES {
            self.bytes = vec![0; len + LINE_BYTES];
            self.start = self.bytes.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        }
        self.len = len;
    }

    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

/// All rows of a table.
#[derive(Debug)]
pub(super) struct InterleavedTable {
    pub layout: RowLayout,
    bytes: LineBytes,
}

impl InterleavedTable {
    pub fn of(columns: &BinnedColumns<'_>) -> Self {
        let layout = RowLayout::of(columns);
        let mut bytes = LineBytes::default();
        bytes.resize(columns.n_rows() * layout.stride);
        for (chunk_idx, rows) in bytes.as_mut_slice().chunks_mut(ROWS_AT_ONCE * layout.stride).enumerate() {
            let first = chunk_idx * ROWS_AT_ONCE;
            for (column, place) in columns.as_slice().iter().zip(&layout.places) {
                let rows = rows.chunks_exact_mut(layout.stride);
                match column.codes {
                    Codes::U8(codes) => rows.zip(&codes[first..]).for_each(|(row, &code)| row[place.offset] = code),
                    Codes::U16(codes) => {
                        rows.zip(&codes[first..])
                            .for_each(|(row, &code)| row[place.offset..place.offset + 2].copy_from_slice(&code.to_le_bytes()));
                    }
                }
            }
        }
        Self { layout, bytes }
    }

    pub fn rows(&self) -> Rows<'_> {
        Rows { bytes: self.bytes.as_slice(), stride: self.layout.stride }
    }
}

/// Rows behind one another.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub bytes: &'a [u8],
    pub stride: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub fn row(self, row: usize) -> &'a [u8] {
        &self.bytes[row * self.stride..][..self.stride]
    }

    /// Copies rows behind one another.
    #[inline(always)]
    pub fn copy_to<R: RowIdx>(self, rows: &[R], out: &mut [u8]) {
        // Lengths that are known beforehand need no call for every row.
        match self.stride {
            LINE_BYTES => self.copy_pieces::<LINE_BYTES, R>(rows, out),
            32 => self.copy_pieces::<32, R>(rows, out),
            16 => self.copy_pieces::<16, R>(rows, out),
            stride if stride.is_multiple_of(LINE_BYTES) => self.copy_pieces::<LINE_BYTES, R>(rows, out),
            _ => self.copy_pieces::<1, R>(rows, out),
        }
    }

    #[inline(always)]
    fn copy_pieces<const N: usize, R: RowIdx>(self, rows: &[R], out: &mut [u8]) {
        for ((position, row), out) in rows.iter().enumerate().zip(out.chunks_exact_mut(self.stride)) {
            self.prefetch_ahead(rows, position);
            let (from, _) = self.row(row.idx()).as_chunks::<N>();
            let (to, _) = out.as_chunks_mut::<N>();
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }

    /// Asks for a row that will be read some rows later: they lie apart, and no processor guesses where.
    #[inline(always)]
    pub fn prefetch_ahead<R: RowIdx>(self, rows: &[R], position: usize) {
        if let Some(later) = rows.get(position + ROWS_AHEAD) {
            let row = self.row(later.idx());
            row.iter().step_by(LINE_BYTES).for_each(prefetch);
        }
    }

    /// The code of a feature in a row.
    #[inline(always)]
    pub fn code<R: RowIdx>(self, place: Place, row: R) -> u16 {
        let row = self.row(row.idx());
        let low = u16::from(row[place.offset]);
        if place.is_wide { low | u16::from(row[place.offset + 1]) << 8 } else { low }
    }

    /// Visits the codes of several features, row by row, with what each row contributes.
    #[inline(always)]
    pub fn for_each_code<R: RowIdx, I: Copy>(
        self,
        places: &[Place],
        rows: &[R],
        item: impl Fn(R) -> I,
        mut visit: impl FnMut(usize, u16, I),
    ) {
        let any_is_wide = places.iter().any(|place| place.is_wide);
        for (position, &row) in rows.iter().enumerate() {
            self.prefetch_ahead(rows, position);
            let (bytes, item) = (self.row(row.idx()), item(row));
            if any_is_wide {
                places.iter().enumerate().for_each(|(lane, &place)| visit(lane, self.code(place, row), item));
            } else {
                places.iter().enumerate().for_each(|(lane, place)| visit(lane, u16::from(bytes[place.offset]), item));
            }
        }
    }

    /// The codes of several features in rows, row by row.
    #[inline(always)]
    pub fn gather<const N: usize, R: RowIdx>(self, places: &[Place], rows: &[R], out: &mut Vec<[u16; N]>) {
        out.clear();
        let mut offsets = [0; N];
        places.iter().zip(&mut offsets).for_each(|(place, offset)| *offset = place.offset);
        let n_places = places.len();
        out.extend(rows.iter().enumerate().map(|(position, row)| {
            self.prefetch_ahead(rows, position);
            let row = self.row(row.idx());
            let mut codes = [0; N];
            for (code, &offset) in codes.iter_mut().zip(&offsets).take(n_places) {
                *code = u16::from(row[offset]);
            }
            codes
        }));
        for (lane, place) in places.iter().enumerate().filter(|(_, place)| place.is_wide) {
            out.iter_mut().zip(rows).for_each(|(codes, &row)| codes[lane] = self.code(*place, row));
        }
    }
}
