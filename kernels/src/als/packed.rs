//! Rows of factors as the kernels want them: gathered side by side, padded with zeros to whole vectors and to groups of sixteen. It
//! must not know what the rows are for.
//!
//! A group of sixteen rows stands in one piece, cut into panels of four vectors (the last one may be narrower): within a panel all
//! distances are constants, so a kernel needs one pointer for sixteen rows.

use super::lanes::{Lanes, N_LANES, Simd, Work, n_vectors, prefetch};
use super::rows::FactorRows;

/// Rows in a group.
pub(super) const GROUP_ROWS: usize = N_LANES;
/// Vectors of a row in a panel, but for the last one.
pub(super) const PANEL_VECTORS: usize = 4;
/// How many rows ahead the next ones are asked for: memory answers in about the time that it takes to copy so many.
const PREFETCH_DISTANCE: usize = 24;

/// Where the vectors of rows stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Vectors in a row.
    pub(super) n_vectors: usize,
}

impl Layout {
    /// For rows of `n_factors`.
    pub(super) fn new(n_factors: usize) -> Self {
        Self { n_vectors: n_vectors(n_factors) }
    }

    /// Vectors in a group.
    #[inline(always)]
    pub(super) fn group_len(self) -> usize {
        GROUP_ROWS * self.n_vectors
    }

    /// How wide the panel of vector `v` is.
    #[inline(always)]
    pub(super) fn panel_width(self, v: usize) -> usize {
        (self.n_vectors - v / PANEL_VECTORS * PANEL_VECTORS).min(PANEL_VECTORS)
    }

    /// Where the panel of vector `v` begins in its group.
    #[inline(always)]
    pub(super) fn panel_start(v: usize) -> usize {
        v / PANEL_VECTORS * PANEL_VECTORS * GROUP_ROWS
    }

    /// Where vector `v` of `row` stands.
    #[inline(always)]
    pub(super) fn at(self, row: usize, v: usize) -> usize {
        let in_group = row % GROUP_ROWS * self.panel_width(v) + v % PANEL_VECTORS;
        row / GROUP_ROWS * self.group_len() + Self::panel_start(v) + in_group
    }
}

/// Copies the rows `indices` of `from` side by side into `to`, which has room for whole groups. A row that `from` lacks counts as zeros.
pub(super) struct Gather<'a> {
    pub(super) from: &'a FactorRows<'a>,
    pub(super) indices: &'a [u32],
    pub(super) to: &'a mut [Lanes],
}

impl Work for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let layout = Layout::new(self.from.n_factors());
        for (row, &index) in self.indices.iter().enumerate() {
            if let Some(&ahead) = self.indices.get(row + PREFETCH_DISTANCE) {
                prefetch(self.from.row(ahead as usize));
            }
            put_row(simd, layout, self.from.row(index as usize), row, self.to);
        }
        for row in self.indices.len()..self.indices.len().next_multiple_of(GROUP_ROWS) {
            put_row(simd, layout, &[], row, self.to);
        }
    }
}

/// Writes `values`, and zeros after them, as `row`.
#[inline(always)]
pub(super) fn put_row<S: Simd>(simd: S, layout: Layout, values: &[f32], row: usize, to: &mut [Lanes]) {
    let group = &mut to[row / GROUP_ROWS * layout.group_len()..][..layout.group_len()];
    let (whole, rest) = values.as_chunks::<N_LANES>();
    for first in (0..layout.n_vectors).step_by(PANEL_VECTORS) {
        let width = layout.panel_width(first);
        let panel = &mut group[Layout::panel_start(first) + row % GROUP_ROWS * width..][..width];
        if let Some(whole) = whole.get(first..first + width) {
            for (values, lanes) in whole.iter().zip(panel) {
                simd.store(simd.load(values), &mut lanes.0);
            }
        } else {
            panel.fill(Lanes::ZERO);
            let whole = whole.get(first..).unwrap_or_default();
            for (values, lanes) in whole.iter().zip(&mut *panel) {
                lanes.0 = *values;
            }
            if let Some(lanes) = panel.get_mut(whole.len()).filter(|_| first <= values.len() / N_LANES) {
                lanes.0[..rest.len()].copy_from_slice(rest);
            }
        }
    }
}
