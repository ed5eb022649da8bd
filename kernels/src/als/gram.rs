//! Gram matrices: the sum of the outer products of a side's factors with themselves. They give the implicit model the weight of all that was
//! not observed. This file must not know interactions.

use super::lanes::{Lanes, N_LANES, Processor, Simd, Work};
use super::outer::AddOuter;
use super::packed::{GROUP_ROWS, Layout, put_row};
use super::rows::MAX_FACTORS;
use crate::recommend::InstructionSet;
use thiserror::Error;

/// Rows whose outer products are summed in f32 before the sum is added in f64: few enough that its rounding stays far below that of the
/// factors, and that they stay in the cache.
const CHUNK_ROWS: usize = 256;

/// The Gram matrix of some rows, [n_factors, n_factors], symmetric.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    n_factors: usize,
    values: Vec<f64>,
}

/// Elements that are not those of a Gram matrix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a Gram matrix has {len} elements where {n_factors} factors ask for {}", n_factors * n_factors)]
pub struct GramShapeError {
    /// How many elements were given.
    pub len: usize,
    /// How many factors there are.
    pub n_factors: usize,
}

impl Gram {
    /// Of no rows.
    #[must_use]
    pub fn zero(n_factors: usize) -> Self {
        Self { n_factors, values: vec![0.0; n_factors * n_factors] }
    }

    /// Of a block of rows [n_rows, n_factors]; a last row that is not whole is left out. Whatever `n_factors` up to 1,024.
    #[must_use]
    pub fn of_block(rows: &[f32], n_factors: usize, set: InstructionSet) -> Self {
        let mut gram = Self::zero(n_factors);
        if n_factors == 0 || n_factors > MAX_FACTORS {
            return gram;
        }
        let layout = Layout::new(n_factors);
        let mut packed = vec![Lanes::ZERO; CHUNK_ROWS / GROUP_ROWS * layout.group_len()];
        let mut matrix = vec![Lanes::ZERO; layout.n_vectors * layout.group_len()];
        let processor = Processor::new(set);
        for chunk in rows.chunks(CHUNK_ROWS * n_factors) {
            matrix.fill(Lanes::ZERO);
            processor.run(ChunkGram { layout, n_factors, chunk, packed: &mut packed, matrix: &mut matrix });
            gram.add_upper(layout, &matrix);
        }
        gram.mirror();
        if gram.values.iter().all(|value| value.is_finite()) { gram } else { Self::in_double(rows, n_factors) }
    }

    fn add_upper(&mut self, layout: Layout, matrix: &[Lanes]) {
        for (row, values) in self.values.chunks_exact_mut(self.n_factors).enumerate() {
            for (column, value) in values.iter_mut().enumerate().skip(row) {
                *value += f64::from(matrix[layout.at(row, column / N_LANES)].0[column % N_LANES]);
            }
        }
    }

    fn mirror(&mut self) {
        for row in 1..self.n_factors {
            for column in 0..row {
                self.values[row * self.n_factors + column] = self.values[column * self.n_factors + row];
            }
        }
    }

    /// Of factors whose squares overflow f32. Slow, and never needed for sound factors.
    fn in_double(rows: &[f32], n_factors: usize) -> Self {
        let mut gram = Self::zero(n_factors);
        for row in rows.chunks_exact(n_factors) {
            for (values, &left) in gram.values.chunks_exact_mut(n_factors).zip(row) {
                values.iter_mut().zip(row).for_each(|(value, &right)| *value += f64::from(left) * f64::from(right));
            }
        }
        gram
    }

    /// Adds the elements of another one. Called block by block in their order, it gives the same sum on any node.
    pub fn add(&mut self, values: &[f64]) -> Result<(), GramShapeError> {
        if values.len() != self.values.len() {
            return Err(GramShapeError { len: values.len(), n_factors: self.n_factors });
        }
        self.values.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        Ok(())
    }

    /// How many factors.
    #[must_use]
    pub fn n_factors(&self) -> usize {
        self.n_factors
    }

    /// The elements, row by row.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The sum of squared scores of all users with all items, when this is the Gram matrix of one side and `other` that of the other:
    /// the trace of their product.
    #[must_use]
    pub fn sum_of_squared_scores(&self, other: &Self) -> f64 {
        self.values.iter().zip(&other.values).map(|(a, b)| a * b).sum()
    }

    /// In f32 and packed.
    pub(super) fn packed(&self) -> Vec<Lanes> {
        let layout = Layout::new(self.n_factors);
        let mut matrix = vec![Lanes::ZERO; layout.n_vectors * layout.group_len()];
        for (row, values) in self.values.chunks_exact(self.n_factors).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                matrix[layout.at(row, column / N_LANES)].0[column % N_LANES] = value as f32;
            }
        }
        matrix
    }
}

/// Adds the Gram matrix of one chunk of rows to `matrix`.
struct ChunkGram<'a> {
    layout: Layout,
    n_factors: usize,
    chunk: &'a [f32],
    packed: &'a mut [Lanes],
    matrix: &'a mut [Lanes],
}

impl Work for ChunkGram<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let n_rows = self.chunk.len() / self.n_factors;
        for (row, values) in self.chunk.chunks_exact(self.n_factors).enumerate() {
            put_row(simd, self.layout, values, row, self.packed);
        }
        for row in n_rows..n_rows.next_multiple_of(GROUP_ROWS) {
            put_row(simd, self.layout, &[], row, self.packed);
        }
        let n_groups = n_rows.div_ceil(GROUP_ROWS);
        let rows = &self.packed[..n_groups * self.layout.group_len()];
        let weights = [Lanes([1.0; N_LANES]); CHUNK_ROWS / GROUP_ROWS];
        AddOuter { layout: self.layout, rows, weights: &weights[..n_groups], matrix: self.matrix }.run(simd);
    }
}
