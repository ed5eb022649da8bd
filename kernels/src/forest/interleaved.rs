//! The codes of a table row by row: what growing reads of a row lies in one or two cache lines, whatever features are drawn.
//! This room must not know what codes mean.

use super::columns::Codes;
use super::error::ForestError;
use super::lanes::{LanePlaces, Vector, VisitRows, prefetch};
use super::partition::RowIdx;
use std::cmp::Reverse;
use std::ops::Range;

/// Where a feature's code stands in a row, read as 16-bit words, the low byte first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    word: u16,
    shift: u16,
    mask: u16,
}

impl Place {
    /// Puts a code into a row where there are zeros.
    fn put(self, row: &mut [u8], code: u16) {
        let word = &mut row.as_chunks_mut::<2>().0[usize::from(self.word)];
        *word = (u16::from_le_bytes(*word) | code << self.shift).to_le_bytes();
    }

    /// The code in a row.
    #[inline(always)]
    pub fn code(self, row: &[u8]) -> u16 {
        u16::from_le_bytes(row.as_chunks::<2>().0[usize::from(self.word)]) >> self.shift & self.mask
    }
}

/// How the codes of a row are laid out: each in as few bits as the largest of its feature needs, the widest first, so that none is
/// in two words. Rows are padded with zeros to a power of two up to 64 bytes, then to a multiple of 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    places: Vec<Place>,
    /// Bytes of a row.
    pub(super) stride: usize,
}

/// How far ahead rows are asked for.
pub(super) const ROWS_AHEAD: usize = 16;
/// Rows that are turned round at once, so that what is read and written stays in the cache.
const ROWS_AT_ONCE: usize = 1024;

impl RowLayout {
    /// Of features with these largest codes.
    pub fn of_largest(largest_codes: impl IntoIterator<Item = u16>) -> Self {
        let widths: Vec<u32> = largest_codes.into_iter().map(|largest| u16::BITS - largest.leading_zeros()).collect();
        let mut widest_first: Vec<usize> = (0..widths.len()).collect();
        widest_first.sort_by_key(|&feature| Reverse(widths[feature]));
        let mut places = vec![Place::default(); widths.len()];
        let (mut word, mut shift) = (0, 0);
        for feature in widest_first {
            let width = widths[feature];
            if shift + width > u16::BITS {
                (word, shift) = (word + 1, 0);
            }
            places[feature] = Place { word, shift: shift as u16, mask: ((1u32 << width) - 1) as u16 };
            shift += width;
        }
        Self { places, stride: padded((usize::from(word) + 1) * 2) }
    }

    /// Of the features that these are the codes of.
    pub fn of_codes(columns: &[Codes<'_>]) -> Self {
        Self::of_largest(columns.iter().map(Codes::largest))
    }

    /// Features of a row.
    pub fn n_features(&self) -> usize {
        self.places.len()
    }

    /// Bytes of a row.
    pub fn stride_bytes(&self) -> usize {
        self.stride
    }

    /// Adds rows, of which `columns` holds the codes of every feature, to `out`. The same rows always give the same bytes.
    ///
    /// # Errors
    /// Columns that this is not the layout of, or that do not have these rows.
    pub fn append_rows(&self, columns: &[Codes<'_>], rows: Range<usize>, out: &mut Vec<u8>) -> Result<(), ForestError> {
        let others = ForestError::Setting("the columns are not those that the rows are laid out for");
        if self.places.len() != columns.len() {
            return Err(others);
        }
        if let Some(short) = columns.iter().find(|codes| codes.len() < rows.end) {
            return Err(ForestError::Length { what: "a binned column", got: short.len(), expected: rows.end });
        }
        let has_room = |(place, codes): (&Place, &Codes<'_>)| codes.slice(rows.clone()).largest() <= place.mask;
        if !self.places.iter().zip(columns).all(has_room) {
            return Err(others);
        }
        let begin = out.len();
        out.resize(begin + rows.len() * self.stride, 0);
        self.fill_rows(columns, rows.start, &mut out[begin..]);
        Ok(())
    }

    /// Fills `out`, which is zeros, with rows from `first_row` on.
    pub(super) fn fill_rows(&self, columns: &[Codes<'_>], first_row: usize, out: &mut [u8]) {
        for (chunk_idx, rows) in out.chunks_mut(ROWS_AT_ONCE * self.stride).enumerate() {
            let first = first_row + chunk_idx * ROWS_AT_ONCE;
            for (codes, place) in columns.iter().zip(&self.places) {
                let rows = rows.chunks_exact_mut(self.stride);
                match codes {
                    Codes::U8(codes) => rows.zip(&codes[first..]).for_each(|(row, &code)| place.put(row, code.into())),
                    Codes::U16(codes) => rows.zip(&codes[first..]).for_each(|(row, &code)| place.put(row, code)),
                }
            }
        }
    }

    /// Whether a feature, which has no code beyond `largest`, has one in these rows.
    pub(super) fn exceeds(&self, feature: usize, largest: usize, rows: &[u8]) -> bool {
        let place = self.places[feature];
        // Most features fill the bits that they have, and cannot.
        usize::from(place.mask) > largest && rows.chunks_exact(self.stride).any(|row| usize::from(place.code(row)) > largest)
    }

    /// The places of up to eight features.
    pub(super) fn lane_places(&self, features: &[u32]) -> LanePlaces {
        let mut places = LanePlaces::default();
        for (lane, &feature) in features.iter().enumerate() {
            let Place { word, shift, mask } = self.place(feature);
            (places.words[lane], places.shifts[lane], places.masks[lane]) = (word, shift, mask);
        }
        places
    }

    /// The place of a feature.
    pub(super) fn place(&self, feature: u32) -> Place {
        self.places[feature as usize]
    }
}

/// Bytes of a cache line.
pub(super) const LINE_BYTES: usize = 64;

/// So many bytes that no row takes more lines than it must.
fn padded(row_bytes: usize) -> usize {
    if row_bytes <= LINE_BYTES { row_bytes.next_power_of_two().max(2) } else { row_bytes.next_multiple_of(LINE_BYTES) }
}

/// Bytes that begin with a cache line.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBytes {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl LineBytes {
    /// Makes it so long: zeros the first time, and later what stood there or zeros.
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

    /// The codes of a feature, by row number.
    #[inline(always)]
    pub fn column<R: RowIdx>(self, place: Place) -> impl Fn(R) -> u16 + Copy + 'a {
        let (words, _) = self.bytes.as_chunks::<2>();
        let (n_words, word) = (self.stride / 2, usize::from(place.word));
        move |row| u16::from_le_bytes(words[row.idx() * n_words + word]) >> place.shift & place.mask
    }

    /// Visits rows with their codes in lanes.
    #[inline(always)]
    pub fn for_each_row<V: Vector, R: RowIdx>(self, vector: V, places: &LanePlaces, rows: &[R], visit: &mut impl VisitRows<R>) {
        // Lengths that are known beforehand make the place of a row a shift.
        match self.stride {
            64 => self.pick_each::<64, V, R>(vector, places, rows, visit),
            32 => self.pick_each::<32, V, R>(vector, places, rows, visit),
            16 => self.pick_each::<16, V, R>(vector, places, rows, visit),
            8 => self.pick_each::<8, V, R>(vector, places, rows, visit),
            _ => {
                for (position, &row) in rows.iter().enumerate() {
                    self.prefetch_ahead(rows, position);
                    let bytes = self.row(row.idx());
                    let place = |lane| Place { word: places.words[lane], shift: places.shifts[lane], mask: places.masks[lane] };
                    visit.visit(vector, row, vector.load_codes(&std::array::from_fn(|lane| place(lane).code(bytes))));
                }
            }
        }
    }

    #[inline(always)]
    fn pick_each<const N: usize, V: Vector, R: RowIdx>(self, vector: V, places: &LanePlaces, rows: &[R], visit: &mut impl VisitRows<R>) {
        let (bytes, _) = self.bytes.as_chunks::<N>();
        for (position, &row) in rows.iter().enumerate() {
            if let Some(later) = rows.get(position + ROWS_AHEAD).and_then(|later| bytes.get(later.idx())) {
                prefetch(later);
            }
            visit.visit(vector, row, vector.pick_codes(&bytes[row.idx()], places));
        }
    }
}
