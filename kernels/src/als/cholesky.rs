//! The Cholesky factorisation of a packed matrix, sixteen rows at a time, and the solution of its equations. It must not know what the
//! equations stand for.
//!
//! The matrix A = U'U is given by its upper triangle, and U takes its place. The rows of a group are first freed of what the groups
//! before explain, which is a sum of outer products, and then of what earlier rows of their own group explain.

use super::lanes::{Lanes, N_LANES, Simd, Work};
use super::outer::add_to_group;
use super::packed::{GROUP_ROWS, Layout};
use super::rows::MAX_FACTORS;

/// The weights of rows that are subtracted.
static MINUS_ONES: [Lanes; MAX_FACTORS / GROUP_ROWS] = [Lanes([-1.0; N_LANES]); MAX_FACTORS / GROUP_ROWS];

/// Solves `matrix * x = right`, with x in the place of `right`; false where a pivot is no more than rounding of its diagonal element
/// can leave, so that x is worthless.
pub(super) struct SolveByCholesky<'a> {
    pub(super) n_factors: usize,
    /// [n_vectors, group_len]; the upper triangle counts.
    pub(super) matrix: &'a mut [Lanes],
    /// Room for `[n_vectors]`.
    pub(super) inverse_pivots: &'a mut [Lanes],
    /// `[n_vectors]`
    pub(super) right: &'a mut [Lanes],
}

impl Work for SolveByCholesky<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let layout = Layout::new(self.n_factors);
        for g in 0..layout.n_vectors {
            let (done, rest) = self.matrix.split_at_mut(g * layout.group_len());
            let group = &mut rest[..layout.group_len()];
            let mut smallest_pivots = [0.0; N_LANES];
            for (r, smallest) in smallest_pivots.iter_mut().enumerate() {
                *smallest = self.n_factors as f32 * f32::EPSILON * group[layout.at(r, g)].0[r];
            }
            add_to_group(simd, layout, done, &MINUS_ONES[..g], g, group);
            let n_rows = (self.n_factors - g * GROUP_ROWS).min(GROUP_ROWS);
            if !factor_group(simd, layout, g, &smallest_pivots[..n_rows], group, &mut self.inverse_pivots[g].0) {
                return false;
            }
        }
        forward(simd, layout, self.matrix, self.inverse_pivots, self.right);
        backward(simd, layout, self.matrix, self.inverse_pivots, self.right);
        true
    }
}

/// Factors the rows of group `g` among themselves. The part left of the diagonal becomes zero, and so do the inverse pivots of rows
/// that are only padding.
#[inline(always)]
fn factor_group<S: Simd>(
    simd: S,
    layout: Layout,
    g: usize,
    smallest_pivots: &[f32],
    group: &mut [Lanes],
    inverse_pivots: &mut [f32; N_LANES],
) -> bool {
    *inverse_pivots = [0.0; N_LANES];
    for (r, &smallest) in smallest_pivots.iter().enumerate() {
        let mut column = [0.0; GROUP_ROWS];
        for (above, value) in column[..r].iter_mut().enumerate() {
            *value = -group[layout.at(above, g)].0[r];
        }
        for v in g..layout.n_vectors {
            let mut row = simd.load(&group[layout.at(r, v)].0);
            for (above, &value) in column[..r].iter().enumerate() {
                row = simd.mul_add(simd.splat(value), simd.load(&group[layout.at(above, v)].0), row);
            }
            simd.store(row, &mut group[layout.at(r, v)].0);
        }
        let pivot = group[layout.at(r, g)].0[r];
        // Written so that NaN fails too.
        if !(pivot > smallest && pivot < f32::INFINITY) {
            return false;
        }
        inverse_pivots[r] = 1.0 / pivot.sqrt();
        let scale = simd.splat(inverse_pivots[r]);
        for v in g..layout.n_vectors {
            let lanes = &mut group[layout.at(r, v)].0;
            simd.store(simd.mul(scale, simd.load(lanes)), lanes);
        }
        group[layout.at(r, g)].0[..r].fill(0.0);
    }
    true
}

/// Solves U'z = right, row by row of U.
#[inline(always)]
fn forward<S: Simd>(simd: S, layout: Layout, upper: &[Lanes], inverse_pivots: &[Lanes], right: &mut [Lanes]) {
    for g in 0..layout.n_vectors {
        for r in 0..GROUP_ROWS {
            let solved = right[g].0[r] * inverse_pivots[g].0[r];
            let factor = simd.splat(-solved);
            for v in g..layout.n_vectors {
                let row = simd.load(&upper[layout.at(g * GROUP_ROWS + r, v)].0);
                let rest = simd.load(&right[v].0);
                simd.store(simd.mul_add(factor, row, rest), &mut right[v].0);
            }
            right[g].0[r] = solved;
        }
    }
}

/// Solves Ux = z, group by group from the last: what later groups contribute by vectors, what the group itself does by numbers.
#[inline(always)]
fn backward<S: Simd>(simd: S, layout: Layout, upper: &[Lanes], inverse_pivots: &[Lanes], right: &mut [Lanes]) {
    for g in (0..layout.n_vectors).rev() {
        let group = &upper[g * layout.group_len()..][..layout.group_len()];
        let mut sums = [simd.splat(0.0); GROUP_ROWS];
        for v in g + 1..layout.n_vectors {
            let solved = simd.load(&right[v].0);
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = simd.mul_add(simd.load(&group[layout.at(r, v)].0), solved, *sum);
            }
        }
        let minus = simd.splat(-1.0);
        let mut rest = [0.0; N_LANES];
        simd.store(simd.mul_add(minus, simd.sums(&sums), simd.load(&right[g].0)), &mut rest);
        for r in (0..GROUP_ROWS).rev() {
            let solved = rest[r] * inverse_pivots[g].0[r];
            right[g].0[r] = solved;
            for (above, rest) in rest[..r].iter_mut().enumerate() {
                *rest = (-solved).mul_add(group[layout.at(above, g)].0[r], *rest);
            }
        }
    }
}
