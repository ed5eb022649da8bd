//! What the kernels read: the factors of one side in row blocks, and the interactions of the rows that are solved. It must not know
//! where they come from.

use thiserror::Error;

/// A matrix of factors [n_rows, n_factors] in blocks of rows, usually slices of mapped parts. All blocks but the last have the same
/// power of two of rows.
#[derive(Clone, Debug)]
pub struct FactorRows<'a> {
    blocks: Vec<&'a [f32]>,
    n_factors: usize,
    block_rows_log2: u32,
    n_rows: usize,
}

/// Blocks that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockShapeError {
    /// A row has no factors, or more than the kernels take.
    #[error("rows have {n_factors} factors, and from 1 to {MAX_FACTORS} are possible")]
    Factors {
        /// How many there are.
        n_factors: usize,
    },
    /// A block is not as long as its place demands.
    #[error("block {block} has {len} elements where {expected} are expected")]
    BlockLen {
        /// Which block.
        block: usize,
        /// How many elements it has.
        len: usize,
        /// How many it should have.
        expected: usize,
    },
}

/// Most factors that a row may have.
pub const MAX_FACTORS: usize = 1024;

impl<'a> FactorRows<'a> {
    /// `n_rows` rows of `n_factors`, in `blocks` of 2^`block_rows_log2` rows each; the last one ends with the rows.
    pub fn new(blocks: Vec<&'a [f32]>, n_rows: usize, n_factors: usize, block_rows_log2: u32) -> Result<Self, BlockShapeError> {
        if n_factors == 0 || n_factors > MAX_FACTORS {
            return Err(BlockShapeError::Factors { n_factors });
        }
        let block_rows_log2 = block_rows_log2.min(usize::BITS - 1);
        let block_rows = 1_usize << block_rows_log2;
        for block in 0..blocks.len().max(n_rows.div_ceil(block_rows)) {
            let expected = n_rows.saturating_sub(block.saturating_mul(block_rows)).min(block_rows) * n_factors;
            let len = blocks.get(block).map_or(0, |rows| rows.len());
            if len != expected {
                return Err(BlockShapeError::BlockLen { block, len, expected });
            }
        }
        Ok(Self { blocks, n_factors, block_rows_log2, n_rows })
    }

    /// All rows in one block.
    pub fn whole(rows: &'a [f32], n_factors: usize) -> Result<Self, BlockShapeError> {
        Self::new(vec![rows], rows.len() / n_factors.max(1), n_factors, usize::BITS - 1)
    }

    /// How many rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// How many factors a row has.
    #[must_use]
    pub fn n_factors(&self) -> usize {
        self.n_factors
    }

    /// The factors of row `index`; nothing where there is no such row.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [f32] {
        let in_block = (index & ((1 << self.block_rows_log2) - 1)) * self.n_factors;
        let block = self.blocks.get(index >> self.block_rows_log2);
        block.and_then(|rows| rows.get(in_block..in_block + self.n_factors)).unwrap_or_default()
    }
}

/// Who interacted with what, as compressed sparse rows: the entries of row r are `indptr[r]..indptr[r + 1]`. They have been checked
/// before, perhaps on another node; rows that the check would refuse make factors wrong, nothing worse.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interactions<'a> {
    indptr: &'a [u64],
    indices: &'a [u32],
    values: &'a [f32],
}

impl<'a> Interactions<'a> {
    /// Rows `indptr` [n_rows + 1] over `indices` and `values`, both `[n_entries]`: rows of the other side, and what was observed.
    #[must_use]
    pub fn trusted(indptr: &'a [u64], indices: &'a [u32], values: &'a [f32]) -> Self {
        Self { indptr, indices, values }
    }

    /// The entries of `row`; none for a row that does not exist.
    #[must_use]
    pub fn row(&self, row: usize) -> Entries<'a> {
        let entries = || {
            let range = *self.indptr.get(row)? as usize..*self.indptr.get(row + 1)? as usize;
            Some(Entries { indices: self.indices.get(range.clone())?, values: self.values.get(range)? })
        };
        entries().unwrap_or_default()
    }
}

/// The entries of one row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entries<'a> {
    /// Rows of the other side.
    pub indices: &'a [u32],
    /// What was observed with each.
    pub values: &'a [f32],
}

impl<'a> Entries<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// In pieces of at most `len`.
    pub(super) fn chunks(self, len: usize) -> impl Iterator<Item = Self> {
        self.indices.chunks(len).zip(self.values.chunks(len)).map(|(indices, values)| Self { indices, values })
    }
}
