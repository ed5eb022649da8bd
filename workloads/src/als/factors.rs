//! Factors of one side as a stage leaves them: blocks of rows, an item each, with what the next stage needs to know of them. It knows
//! the blocks and their bytes, not how factors are found.

use paceline_common::failure::Failure;
use paceline_common::part::StageParts;
use paceline_kernels::als::{BlockLoss, FactorRows, Gram};
use std::ops::Range;

/// Blocks that a side has at least, where it has rows enough: several for each core.
const MIN_BLOCKS: usize = 256;
/// Rows of a block at least: fewer would make more messages than work.
const MIN_ROWS: usize = 64;
/// Rows of a block for each factor: a Gram matrix comes with every block, which must not be longer than the block itself.
const ROWS_PER_FACTOR: usize = 4;

/// How the rows of one side are cut into blocks: a function of the table and the number of factors alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) n_rows: usize,
    pub(super) n_factors: usize,
    rows_log2: u32,
}

impl Blocks {
    pub(super) fn new(n_rows: usize, n_factors: usize) -> Self {
        let rows = (n_rows / MIN_BLOCKS).max(MIN_ROWS).max(n_factors * ROWS_PER_FACTOR);
        Self { n_rows, n_factors, rows_log2: rows.next_power_of_two().ilog2() }
    }

    pub(super) fn n_blocks(self) -> u64 {
        self.n_rows.div_ceil(1 << self.rows_log2) as u64
    }

    pub(super) fn rows(self, block: u64) -> Range<usize> {
        let edge = |block: u64| self.n_rows.min((block as usize) << self.rows_log2);
        edge(block)..edge(block + 1)
    }

    /// Rows of one number each, in the same blocks.
    pub(super) fn of_numbers(self) -> Self {
        Self { n_factors: 1, ..self }
    }

    /// Rows in blocks.
    pub(super) fn view<'a>(self, blocks: Vec<&'a [f32]>) -> Result<FactorRows<'a>, Failure> {
        FactorRows::new(blocks, self.n_rows, self.n_factors, self.rows_log2)
            .map_err(|e| Failure::storage(format!("the factors of an earlier stage do not fit together: {e}; submit the job again")))
    }
}

/// What comes of a block of rows.
pub(super) struct SolvedBlock {
    /// [n_rows, n_factors].
    pub(super) factors: Vec<f32>,
    /// Of the block's rows, where the other side needs it.
    pub(super) gram: Option<Gram>,
    pub(super) loss: BlockLoss,
}

/// Both losses and the length of the Gram matrix.
const N_HEADER_WORDS: usize = 3;

impl SolvedBlock {
    /// The bytes of the block's item: two losses (f64), how many numbers the Gram matrix has (u64), they themselves (f64), and the factors
    /// (f32). Every thread of the next stage looks at all blocks, so that nothing but numbers stands in them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let gram = self.gram.as_ref().map_or(&[][..], Gram::values);
        let mut bytes = Vec::with_capacity(8 * (N_HEADER_WORDS + gram.len()) + 4 * self.factors.len());
        bytes.extend_from_slice(bytemuck::bytes_of(&[self.loss.squared_error, self.loss.penalty]));
        bytes.extend_from_slice(bytemuck::bytes_of(&(gram.len() as u64)));
        bytes.extend_from_slice(bytemuck::cast_slice(gram));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.factors));
        bytes
    }
}

/// A block where it is mapped.
struct BlockView<'a> {
    loss: BlockLoss,
    gram: &'a [f64],
    factors: &'a [f32],
}

impl<'a> BlockView<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(N_HEADER_WORDS * size_of::<u64>())?;
        let &[squared_error, penalty, n_gram] = bytemuck::try_cast_slice::<u8, u64>(header).ok()? else { return None };
        let (gram, factors) = rest.split_at_checked(usize::try_from(n_gram).ok()?.checked_mul(size_of::<f64>())?)?;
        Some(Self {
            loss: BlockLoss { squared_error: f64::from_bits(squared_error), penalty: f64::from_bits(penalty) },
            gram: bytemuck::try_cast_slice(gram).ok()?,
            factors: bytemuck::try_cast_slice(factors).ok()?,
        })
    }
}

/// All blocks of one side where they are mapped.
pub(super) struct SideParts {
    parts: StageParts,
    blocks: Blocks,
}

impl SideParts {
    pub(super) fn new(parts: StageParts, blocks: Blocks) -> Self {
        Self { parts, blocks }
    }

    fn block(&self, block: u64) -> Result<BlockView<'_>, Failure> {
        let bytes = self.parts.item(block)?;
        let bytes = bytes.ok_or_else(|| Failure::storage(format!("block {block} of the factors was set aside; submit the job again")))?;
        BlockView::decode(bytes).ok_or_else(|| Failure::storage(format!("block {block} of the factors is damaged; submit the job again")))
    }

    /// The factors of a block, [n_rows, n_factors].
    pub(super) fn factors_of(&self, block: u64) -> Result<&[f32], Failure> {
        Ok(self.block(block)?.factors)
    }

    /// All factors.
    pub(super) fn factors(&self) -> Result<FactorRows<'_>, Failure> {
        self.blocks.view(self.each_block()?)
    }

    /// The factors block by block.
    pub(super) fn each_block(&self) -> Result<Vec<&[f32]>, Failure> {
        (0..self.blocks.n_blocks()).map(|block| self.factors_of(block)).collect()
    }

    /// The Gram matrix of all rows: that of each block, added in their order.
    pub(super) fn gram(&self) -> Result<Gram, Failure> {
        let mut gram = Gram::zero(self.blocks.n_factors);
        for block in 0..self.blocks.n_blocks() {
            let added = gram.add(self.block(block)?.gram);
            added.map_err(|_| Failure::storage(format!("the Gram matrix of block {block} is damaged; submit the job again")))?;
        }
        Ok(gram)
    }

    /// The loss of all blocks, in their order.
    pub(super) fn loss(&self) -> Result<BlockLoss, Failure> {
        let mut loss = BlockLoss::default();
        for block in 0..self.blocks.n_blocks() {
            loss = loss.plus(self.block(block)?.loss);
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_block_comes_back_and_a_damaged_one_does_not() {
        let gram = Gram::of_block(&[1.0, 2.0, 3.0, 4.0], 2, paceline_kernels::recommend::InstructionSet::fastest());
        let loss = BlockLoss { squared_error: 0.1, penalty: 7.0 };
        for gram in [None, Some(gram)] {
            let block = SolvedBlock { factors: vec![1.5, -2.5], gram, loss };
            let bytes = block.encode();
            let mut words = vec![0_u64; bytes.len() / 8];
            bytemuck::cast_slice_mut(&mut words).copy_from_slice(&bytes);
            let aligned: &[u8] = bytemuck::cast_slice(&words);
            let view = BlockView::decode(aligned).expect("it is whole");
            assert_eq!((view.loss, view.factors), (loss, &block.factors[..]));
            assert_eq!(view.gram, block.gram.as_ref().map_or(&[][..], Gram::values));
            assert!(BlockView::decode(&aligned[..20]).is_none());
            assert!(BlockView::decode(&aligned[..aligned.len() - 1]).is_none());
        }
    }

    #[test]
    fn blocks_cover_all_rows_and_are_neither_tiny_nor_few() {
        for (n_rows, n_factors, expected_rows) in
            [(1, 1, 64), (138_493, 64, 1024), (26_744, 64, 256), (26_744, 128, 512), (1_000_000, 64, 4096)]
        {
            let blocks = Blocks::new(n_rows, n_factors);
            let rows: Vec<Range<usize>> = (0..blocks.n_blocks()).map(|block| blocks.rows(block)).collect();
            assert!(rows.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() == expected_rows), "{n_rows} × {n_factors}");
            assert_eq!((rows.first().map(|rows| rows.start), rows.last().map(|rows| rows.end)), (Some(0), Some(n_rows)));
        }
    }
}
