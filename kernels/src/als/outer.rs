//! Sums of outer products of packed rows: the matrices of normal equations. It must not know what they stand for.

use super::lanes::{Lanes, N_LANES, Simd, Work};
use super::packed::{GROUP_ROWS, Layout, PANEL_VECTORS};

/// Rows of a tile of the matrix that is kept in registers.
const TILE_ROWS: usize = 8;

/// Adds `weight * row' row` of all rows to the square `matrix`, which is packed as the rows are. Of each sixteen rows of the matrix only
/// the vectors from the diagonal on are touched. Each element is one chain over the rows in order.
pub(super) struct AddOuter<'a> {
    pub(super) layout: Layout,
    /// [n_groups, group_len]
    pub(super) rows: &'a [Lanes],
    /// `[n_groups]`
    pub(super) weights: &'a [Lanes],
    /// [n_vectors, group_len]
    pub(super) matrix: &'a mut [Lanes],
}

impl Work for AddOuter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (g, group) in self.matrix.chunks_exact_mut(self.layout.group_len()).enumerate() {
            add_to_group(simd, self.layout, self.rows, self.weights, g, group);
        }
    }
}

/// Adds to one group of sixteen rows of the matrix, the `g`-th.
#[inline(always)]
pub(super) fn add_to_group<S: Simd>(simd: S, layout: Layout, rows: &[Lanes], weights: &[Lanes], g: usize, group: &mut [Lanes]) {
    let mut v = g;
    while v < layout.n_vectors {
        let width = layout.panel_width(v) - v % PANEL_VECTORS;
        let n_columns = if S::IS_WIDE { width.min(2) } else { 1 };
        let tile = Tile { layout, rows, weights, row_vector: g, column_vector: v };
        if n_columns == 2 {
            tile.add::<S, TILE_ROWS, 2>(simd, 0, group);
            tile.add::<S, TILE_ROWS, 2>(simd, TILE_ROWS, group);
        } else if S::IS_WIDE {
            tile.add::<S, TILE_ROWS, 1>(simd, 0, group);
            tile.add::<S, TILE_ROWS, 1>(simd, TILE_ROWS, group);
        } else {
            for first in [0, 4, 8, 12] {
                tile.add::<S, 4, 1>(simd, first, group);
            }
        }
        v += n_columns;
    }
}

/// A few rows of one group of the matrix by one or two vectors.
#[derive(Clone, Copy)]
struct Tile<'a> {
    layout: Layout,
    rows: &'a [Lanes],
    weights: &'a [Lanes],
    row_vector: usize,
    column_vector: usize,
}

impl Tile<'_> {
    /// `N_ROWS` rows from row `first` of the group on.
    #[inline(always)]
    fn add<S: Simd, const N_ROWS: usize, const N_COLUMNS: usize>(self, simd: S, first: usize, group: &mut [Lanes]) {
        let Self { layout, rows, weights, row_vector, column_vector } = self;
        let mut sums = [[simd.splat(0.0); N_COLUMNS]; N_ROWS];
        for r in 0..N_ROWS {
            for c in 0..N_COLUMNS {
                sums[r][c] = simd.load(&group[layout.at(first + r, column_vector + c)].0);
            }
        }
        let (left_width, right_width) = (layout.panel_width(row_vector), layout.panel_width(column_vector));
        for (samples, weights) in rows.chunks_exact(layout.group_len()).zip(weights) {
            let left = &samples[Layout::panel_start(row_vector)..][..GROUP_ROWS * left_width];
            let right = &samples[Layout::panel_start(column_vector)..][..GROUP_ROWS * right_width];
            let (left, right) = (left.chunks_exact(left_width), right.chunks_exact(right_width));
            for ((left, right), &weight) in left.zip(right).zip(&weights.0) {
                let weight = simd.splat(weight);
                let right = &right[column_vector % PANEL_VECTORS..][..N_COLUMNS];
                let mut scaled = [weight; N_COLUMNS];
                for c in 0..N_COLUMNS {
                    scaled[c] = simd.mul(weight, simd.load(&right[c].0));
                }
                let left: &[f32; N_LANES] = &left[row_vector % PANEL_VECTORS].0;
                let left = &left[first..][..N_ROWS];
                for r in 0..N_ROWS {
                    let left = simd.splat(left[r]);
                    for c in 0..N_COLUMNS {
                        sums[r][c] = simd.mul_add(left, scaled[c], sums[r][c]);
                    }
                }
            }
        }
        for r in 0..N_ROWS {
            for c in 0..N_COLUMNS {
                simd.store(sums[r][c], &mut group[layout.at(first + r, column_vector + c)].0);
            }
        }
    }
}
