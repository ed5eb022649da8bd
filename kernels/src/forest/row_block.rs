//! Rows as bin codes, each row's codes side by side, so that a row of some dozens of features is one cache line while the trees
//! pass over it. A missing value has the largest code that fits, whatever the column. This room must not know trees.

use super::binning::MISSING_LEVEL;
use super::columns::{BinMeaning, BinnedColumn, Codes};
use super::predict::RawColumn;
use std::ops::Range;

/// A bin code as it stands in a block: one byte where every column of the forest has at most 255 value bins, else two.
pub(super) trait Code: Copy + Default + Eq + Into<u32> + Send + Sync + 'static {
    /// The code of a missing value. No value has it: a column of one-byte codes has at most 255 value bins.
    const MISSING: Self;
    /// From a code that fits.
    fn of(code: usize) -> Self;
}

impl Code for u8 {
    const MISSING: Self = Self::MAX;

    #[inline]
    fn of(code: usize) -> Self {
        code as Self
    }
}

impl Code for u16 {
    const MISSING: Self = Self::MAX;

    #[inline]
    fn of(code: usize) -> Self {
        code as Self
    }
}

/// A cache line.
const LINE_BYTES: usize = 64;
/// Rows that are turned from columns to rows at once: they stay in a first-level cache.
const TILE_ROWS: usize = 256;
/// Codes and sums of a block, and the leaves in one tree. They are passed over from end to end, so they need not leave a
/// second-level cache much room; the more rows, the less often a tree is fetched.
const BLOCK_BYTES: usize = 1 << 20;

/// Some rows as codes.
pub(super) struct RowBlock<C> {
    codes: Vec<C>,
    /// The first row begins at a cache line.
    start: usize,
    stride: usize,
    n_rows: usize,
}

impl<C: Code> RowBlock<C> {
    pub fn new(n_features: usize) -> Self {
        Self { codes: Vec::new(), start: 0, stride: stride::<C>(n_features), n_rows: 0 }
    }

    /// Rows per block where so many numbers per row are held beside the codes.
    pub fn max_rows(&self, n_outputs: usize) -> usize {
        let row_bytes = self.stride * size_of::<C>() + n_outputs * size_of::<f64>() + 2 * size_of::<u32>();
        (BLOCK_BYTES / row_bytes).clamp(64, 8192)
    }

    /// Codes from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The codes, row by row, with four bytes behind the last that may be read.
    pub fn codes(&self) -> &[C] {
        &self.codes[self.start..]
    }

    /// Loads rows of values.
    pub fn load_raw(&mut self, features: &[BinMeaning<'_>], columns: &[RawColumn<'_>], rows: Range<usize>) {
        self.load(columns.len(), rows, |feature, rows, codes| match (&columns[feature], &features[feature]) {
            (RawColumn::Numeric(values), BinMeaning::Ordered { thresholds }) => encode_values(thresholds, &values[rows], codes),
            (RawColumn::Categorical(levels), BinMeaning::Levels { n_levels }) => encode_levels(*n_levels, &levels[rows], codes),
            // Never where columns were checked against the forest.
            _ => codes.fill(C::MISSING),
        });
    }

    /// Loads rows that are codes of their columns already.
    pub fn load_binned(&mut self, columns: &[BinnedColumn<'_>], rows: Range<usize>) {
        self.load(columns.len(), rows, |feature, rows, codes| {
            let column = &columns[feature];
            let missing = column.n_value_bins();
            let code = |code: usize| if code == missing { C::MISSING } else { C::of(code) };
            match column.codes {
                Codes::U8(all) => codes.iter_mut().zip(&all[rows]).for_each(|(to, &from)| *to = code(usize::from(from))),
                Codes::U16(all) => codes.iter_mut().zip(&all[rows]).for_each(|(to, &from)| *to = code(usize::from(from))),
            }
        });
    }

    /// Lays down rows tile by tile; `column` yields the codes of a feature for some rows.
    fn load(&mut self, n_features: usize, rows: Range<usize>, column: impl Fn(usize, Range<usize>, &mut [C])) {
        self.begin(rows.len());
        let mut tile = [C::MISSING; TILE_ROWS];
        let codes = &mut self.codes[self.start..];
        for (tile_idx, first) in rows.clone().step_by(TILE_ROWS).enumerate() {
            let tile_rows = first..rows.end.min(first + TILE_ROWS);
            let to = &mut codes[tile_idx * TILE_ROWS * self.stride..];
            for feature in 0..n_features {
                let tile = &mut tile[..tile_rows.len()];
                column(feature, tile_rows.clone(), tile);
                to[feature..].iter_mut().step_by(self.stride).zip(tile).for_each(|(to, &mut code)| *to = code);
            }
        }
    }

    fn begin(&mut self, n_rows: usize) {
        self.n_rows = n_rows;
        let line = LINE_BYTES / size_of::<C>();
        let n_codes = n_rows * self.stride + 4 / size_of::<C>();
        if self.codes.len() < n_codes + line {
            self.codes = vec![C::default(); n_codes + line];
            // Where it cannot be told, rows only straddle lines.
            self.start = self.codes.as_ptr().align_offset(LINE_BYTES).min(line);
        }
    }
}

/// Short rows do not straddle cache lines, long ones begin at one.
fn stride<C>(n_features: usize) -> usize {
    let n_bytes = n_features * size_of::<C>();
    let padded = if n_bytes <= LINE_BYTES { n_bytes.next_power_of_two() } else { n_bytes.next_multiple_of(LINE_BYTES) };
    padded / size_of::<C>()
}

fn encode_levels<C: Code>(n_levels: usize, levels: &[u32], codes: &mut [C]) {
    // A level that training did not know goes where missing ones go.
    let code = |level: u32| if level == MISSING_LEVEL || level as usize >= n_levels { C::MISSING } else { C::of(level as usize) };
    codes.iter_mut().zip(levels).for_each(|(to, &level)| *to = code(level));
}

/// Columns of so few thresholds are compared with each of them.
const MAX_COUNTED: usize = 8;
/// Values that are searched for side by side.
const N_LANES: usize = 16;

/// The number of thresholds below each value.
fn encode_values<C: Code>(thresholds: &[f64], values: &[f64], codes: &mut [C]) {
    for (values, codes) in values.chunks(N_LANES).zip(codes.chunks_mut(N_LANES)) {
        // Lanes beyond the last value are not looked at.
        let mut lanes = [0.0; N_LANES];
        lanes[..values.len()].copy_from_slice(values);
        let n_below = if thresholds.len() <= MAX_COUNTED { count_below(thresholds, &lanes) } else { search(thresholds, &lanes) };
        for ((to, value), n_below) in codes.iter_mut().zip(values).zip(n_below) {
            *to = if value.is_nan() { C::MISSING } else { C::of(n_below as usize) };
        }
    }
}

fn count_below(thresholds: &[f64], values: &[f64; N_LANES]) -> [u32; N_LANES] {
    let mut n_below = [0; N_LANES];
    for &threshold in thresholds {
        n_below.iter_mut().zip(values).for_each(|(n, &value)| *n += u32::from(threshold < value));
    }
    n_below
}

/// A binary search whose steps are the same for all values, so that it has no branch to guess. `thresholds` is not empty.
fn search(thresholds: &[f64], values: &[f64; N_LANES]) -> [u32; N_LANES] {
    let mut n_below = [0u32; N_LANES];
    let mut n_left = thresholds.len();
    while n_left > 0 {
        // Of the last one it remains to be seen whether it is below; of more, the lower half is skipped where all of it is below.
        let half = n_left.div_ceil(2);
        for (n, &value) in n_below.iter_mut().zip(values) {
            let is_below = thresholds.get(*n as usize + half - 1).is_some_and(|&threshold| threshold < value);
            *n += if is_below { half as u32 } else { 0 };
        }
        n_left -= half;
    }
    n_below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    #[test]
    fn codes_are_the_thresholds_below_a_value() {
        let mut draws = Draws::new(1, 0, 0);
        for n in (0..40).chain([63, 64, 127, 254, 1000]) {
            let thresholds: Vec<f64> = (0..n).map(|i| f64::from(i) * 2.0 - 30.0).collect();
            let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, -30.0];
            let values: Vec<f64> = special.into_iter().chain((0..301).map(|_| draws.unit_f64() * 2500.0 - 40.0).map(f64::floor)).collect();
            let mut codes = vec![0u16; values.len()];
            encode_values(&thresholds, &values, &mut codes);
            for (value, code) in values.iter().zip(codes) {
                let expected = thresholds.iter().filter(|&threshold| threshold < value).count() as u16;
                assert_eq!(code, if value.is_nan() { u16::MISSING } else { expected }, "{value} among {n}");
            }
        }
    }
}
