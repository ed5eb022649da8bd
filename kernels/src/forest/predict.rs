//! From rows to predictions. Rows are laid side by side in a small block that stays in the cache while all trees pass over it;
//! the result of a row is the mean over the trees, added in their order. This room must not know how trees are grown.

use super::binning::MISSING_LEVEL;
use super::columns::{BinnedColumns, Codes};
use super::error::ForestError;
use super::model::{FeatureKind, ForestView, TreeView, threshold_of, value_bits};
use super::tree::{CATEGORICAL, DEFAULT_LEFT, FEATURE_MASK, LEAF, LEAF_CLASS, LEAF_SHARES};
use std::ops::Range;

/// Values in a block: half a megabyte, less than a second-level cache.
const BLOCK_VALUES: usize = 1 << 16;
/// Rows that go down a tree side by side, so that the waits for memory of one are filled by the others.
const N_LANES: usize = 8;

/// The values of one feature, one per row.
#[derive(Clone, Copy, Debug)]
pub enum RawColumn<'a> {
    /// Numbers; NaN is a missing one.
    Numeric(&'a [f64]),
    /// Levels as in training; [`MISSING_LEVEL`], or any number that was no level then, is a missing one.
    Categorical(&'a [u32]),
}

impl RawColumn<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Categorical(levels) => levels.len(),
        }
    }
}

impl ForestView<'_> {
    /// Predicts rows given column by column. `out` is [n_rows, n_outputs]: the mean over the trees of the class shares in a row's
    /// leaf, or of the leaf's mean.
    ///
    /// # Errors
    /// Columns of a wrong number, kind or length.
    pub fn predict(&self, columns: &[RawColumn<'_>], out: &mut [f64]) -> Result<(), ForestError> {
        let n_rows = self.check_columns(columns, out.len(), self.n_outputs())?;
        let n_trees = self.n_trees() as f64;
        let mut block = RowBlock::new(self.n_features());
        for rows in block.chunks(n_rows) {
            block.load_raw(columns, rows.clone());
            let all_rows = block.all_rows();
            let sums = &mut out[rows.start * self.n_outputs()..rows.end * self.n_outputs()];
            sums.fill(0.0);
            for tree in &self.trees {
                block.descend(tree, &all_rows, |row, leaf| tree.add_leaf(leaf, self.n_outputs(), &mut sums[row * self.n_outputs()..]));
            }
            sums.iter_mut().for_each(|sum| *sum /= n_trees);
        }
        Ok(())
    }

    /// The leaf of each row in each tree, [n_rows, n_trees], as the number of the node within its tree.
    ///
    /// # Errors
    /// Columns of a wrong number, kind or length.
    pub fn leaves(&self, columns: &[RawColumn<'_>], out: &mut [u32]) -> Result<(), ForestError> {
        let n_rows = self.check_columns(columns, out.len(), self.n_trees())?;
        let mut block = RowBlock::new(self.n_features());
        for rows in block.chunks(n_rows) {
            block.load_raw(columns, rows.clone());
            let all_rows = block.all_rows();
            for (tree_idx, tree) in self.trees.iter().enumerate() {
                block.descend(tree, &all_rows, |row, leaf| out[(rows.start + row) * self.n_trees() + tree_idx] = leaf);
            }
        }
        Ok(())
    }

    fn check_columns(&self, columns: &[RawColumn<'_>], out_len: usize, per_row: usize) -> Result<usize, ForestError> {
        if columns.len() != self.n_features() {
            return Err(ForestError::Length { what: "the list of columns", got: columns.len(), expected: self.n_features() });
        }
        let n_rows = columns.first().map_or(0, RawColumn::len);
        for (feature, (column, kind)) in columns.iter().zip(&self.features).enumerate() {
            if column.len() != n_rows {
                return Err(ForestError::Length { what: "a column", got: column.len(), expected: n_rows });
            }
            if matches!(column, RawColumn::Numeric(_)) != matches!(kind, FeatureKind::Numeric) {
                return Err(ForestError::Column { feature, why: "is numeric in one of model and table, and categorical in the other" });
            }
        }
        if out_len != n_rows * per_row {
            return Err(ForestError::Length { what: "the room for predictions", got: out_len, expected: n_rows * per_row });
        }
        Ok(n_rows)
    }
}

/// The class with the largest share; of equal ones the lowest.
pub fn class_of(shares: &[f64]) -> u32 {
    let best =
        shares.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (class, &share)| if share > best.1 { (class, share) } else { best });
    best.0 as u32
}

/// Some rows, each one's values side by side as doubles: levels are whole numbers, what is missing is NaN.
pub(super) struct RowBlock {
    values: Vec<f64>,
    n_features: usize,
    n_rows: usize,
}

impl RowBlock {
    pub fn new(n_features: usize) -> Self {
        Self { values: Vec::new(), n_features, n_rows: 0 }
    }

    /// The blocks in which rows are to be loaded.
    pub fn chunks(&self, n_rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let chunk = (BLOCK_VALUES / self.n_features).clamp(N_LANES, 8192);
        (0..n_rows).step_by(chunk).map(move |start| start..n_rows.min(start + chunk))
    }

    fn load_raw(&mut self, columns: &[RawColumn<'_>], rows: Range<usize>) {
        self.begin(rows.len());
        for (feature, column) in columns.iter().enumerate() {
            match column {
                RawColumn::Numeric(values) => self.load(feature, values[rows.clone()].iter().copied()),
                RawColumn::Categorical(levels) => {
                    let value = |&level: &u32| if level == MISSING_LEVEL { f64::NAN } else { f64::from(level) };
                    self.load(feature, levels[rows.clone()].iter().map(value));
                }
            }
        }
    }

    /// Loads binned rows: each code as a number that every threshold of its column treats like the values in the bin.
    pub fn load_binned(&mut self, columns: &BinnedColumns<'_>, rows: Range<usize>) {
        self.begin(rows.len());
        for (feature, column) in columns.as_slice().iter().enumerate() {
            match column.codes {
                Codes::U8(codes) => self.load(feature, codes[rows.clone()].iter().map(|&code| column.representative(usize::from(code)))),
                Codes::U16(codes) => self.load(feature, codes[rows.clone()].iter().map(|&code| column.representative(usize::from(code)))),
            }
        }
    }

    fn begin(&mut self, n_rows: usize) {
        self.n_rows = n_rows;
        self.values.resize(n_rows * self.n_features, 0.0);
    }

    fn load(&mut self, feature: usize, values: impl Iterator<Item = f64>) {
        let places = self.values.iter_mut().skip(feature).step_by(self.n_features);
        places.zip(values).for_each(|(place, value)| *place = value);
    }

    /// All rows of the block.
    pub fn all_rows(&self) -> Vec<u32> {
        (0..self.n_rows as u32).collect()
    }

    /// Sends rows of the block down a tree and calls `arrived` with each row's number in the block and its leaf.
    pub fn descend(&self, tree: &TreeView<'_>, rows: &[u32], mut arrived: impl FnMut(usize, u32)) {
        for lanes in rows.chunks(N_LANES) {
            // Lanes beyond the last row repeat the first.
            let row_of = |lane: usize| lanes.get(lane).or(lanes.first()).map_or(0, |&row| row as usize);
            let values: [&[f64]; N_LANES] = std::array::from_fn(|lane| &self.values[row_of(lane) * self.n_features..][..self.n_features]);
            for (&row, leaf) in lanes.iter().zip(tree.descend(&values)) {
                arrived(row as usize, leaf);
            }
        }
    }
}

impl TreeView<'_> {
    /// The leaves of several rows. Every step of every lane goes forward in the tree or stands on a leaf, so it ends.
    fn descend(&self, rows: &[&[f64]; N_LANES]) -> [u32; N_LANES] {
        let mut at = [0u32; N_LANES];
        loop {
            let mut n_moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let next = self.next(*at, row);
                n_moved += u32::from(next != *at);
                *at = next;
            }
            if n_moved == 0 {
                return at;
            }
        }
    }

    /// The child that a row goes to, or the node itself when it is a leaf. Written so that it needs no branch but for categorical
    /// splits: where a row goes is as good as random, and a wrong guess would throw away the steps of the other lanes.
    #[inline]
    fn next(&self, at: u32, row: &[f64]) -> u32 {
        let node = self.nodes[at as usize];
        let head = node[0];
        // The feature of a leaf is 0, which every row has.
        let value = row[(head & FEATURE_MASK) as usize];
        let default_left = head & DEFAULT_LEFT != 0;
        let mut goes_left = (value <= threshold_of(node)) | (value.is_nan() & default_left);
        if head & CATEGORICAL != 0 {
            goes_left = self.set_has(node, value) != default_left;
        }
        let child = if goes_left { at + 1 } else { node[1] };
        if head & LEAF != 0 { at } else { child }
    }

    /// Adds what a leaf says to a row's sums.
    #[inline]
    pub fn add_leaf(&self, leaf: u32, n_outputs: usize, sums: &mut [f64]) {
        let node = self.nodes[leaf as usize];
        let bits = value_bits(node);
        match node[1] {
            LEAF_CLASS => sums[bits as usize] += 1.0,
            LEAF_SHARES => {
                let shares = &self.leaf_shares[bits as usize * n_outputs..][..n_outputs];
                sums.iter_mut().zip(shares).for_each(|(sum, &share)| *sum += f64::from(share));
            }
            _ => sums[0] += f64::from_bits(bits),
        }
    }
}
