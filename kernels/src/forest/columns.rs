//! The columns that a forest is grown from: bin codes of one or two bytes, borrowed so that they can stand in a mapped file.
//! This room must not know how bins are chosen, nor what is done with them.

use super::error::ForestError;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// The codes of one column, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinCodes {
    /// Columns of at most 255 value bins.
    U8(Vec<u8>),
    /// Wider columns.
    U16(Vec<u16>),
}

impl BinCodes {
    /// The codes, borrowed.
    pub fn as_codes(&self) -> Codes<'_> {
        match self {
            Self::U8(codes) => Codes::U8(codes),
            Self::U16(codes) => Codes::U16(codes),
        }
    }
}

/// The codes of one column, one per row. A column of n value bins uses 0..n for values and n for a missing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes<'a> {
    /// One byte a code.
    U8(&'a [u8]),
    /// Two bytes a code.
    U16(&'a [u16]),
}

impl Codes<'_> {
    /// The codes of some rows, which must be there.
    pub(super) fn slice(&self, rows: Range<usize>) -> Codes<'_> {
        match self {
            Self::U8(codes) => Codes::U8(&codes[rows]),
            Self::U16(codes) => Codes::U16(&codes[rows]),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(codes) => codes.len(),
            Self::U16(codes) => codes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The largest code, 0 where there are no rows. Reads every code, in the calling rayon pool.
    pub fn largest(&self) -> u16 {
        match self {
            Self::U8(codes) => codes.par_iter().copied().max().map_or(0, u16::from),
            Self::U16(codes) => codes.par_iter().copied().max().unwrap_or(0),
        }
    }
}

/// How many bytes a code of a column takes in [`BinCodes`].
pub fn code_width_bytes(n_value_bins: usize) -> usize {
    if n_value_bins <= usize::from(u8::MAX) { 1 } else { 2 }
}

/// One binned column with what its codes mean.
#[derive(Clone, Copy, Debug)]
pub struct BinnedColumn<'a> {
    pub(super) codes: Codes<'a>,
    pub(super) meaning: BinMeaning<'a>,
}

/// What the codes of a column stand for.
#[derive(Clone, Copy, Debug)]
pub(super) enum BinMeaning<'a> {
    /// Code b: values above `thresholds[b - 1]` and not above `thresholds[b]`.
    Ordered { thresholds: &'a [f64] },
    /// Code b: level b.
    Levels { n_levels: usize },
}

impl BinMeaning<'_> {
    /// Bins of values or levels, the missing code not counted.
    pub fn n_value_bins(&self) -> usize {
        match self {
            Self::Ordered { thresholds } => thresholds.len() + 1,
            Self::Levels { n_levels } => *n_levels,
        }
    }
}

impl<'a> BinnedColumn<'a> {
    /// A numeric column. `thresholds` ascend and are one fewer than the value bins.
    pub fn numeric(codes: Codes<'a>, thresholds: &'a [f64]) -> Self {
        Self { codes, meaning: BinMeaning::Ordered { thresholds } }
    }

    /// A categorical column; code b is level b, code `n_levels` a missing one.
    pub fn categorical(codes: Codes<'a>, n_levels: usize) -> Self {
        Self { codes, meaning: BinMeaning::Levels { n_levels } }
    }

    /// Bins of values or levels, the missing code not counted. It is also the missing code itself.
    pub fn n_value_bins(&self) -> usize {
        self.meaning.n_value_bins()
    }

    /// Whether its codes are levels without an order.
    pub fn is_categorical(&self) -> bool {
        matches!(self.meaning, BinMeaning::Levels { .. })
    }

    fn check(&self, feature: usize, n_rows: usize) -> Result<(), ForestError> {
        if self.codes.len() != n_rows {
            return Err(ForestError::Length { what: "a binned column", got: self.codes.len(), expected: n_rows });
        }
        let wrong = |why| Err(ForestError::Column { feature, why });
        self.meaning.check().or_else(wrong)?;
        if usize::from(self.codes.largest()) > self.n_value_bins() {
            return wrong("has a code beyond its bins");
        }
        Ok(())
    }
}

/// The columns of a table, all of one length, every code within its column's bins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BinnedColumns<'a> {
    columns: Arc<[BinnedColumn<'a>]>,
    n_rows: usize,
}

impl<'a> BinnedColumns<'a> {
    /// Checks the columns, reading every code once, in the calling rayon pool.
    ///
    /// # Errors
    /// No column, no row, 2^31 rows or more, differing lengths, or codes outside their column's bins.
    pub fn new(columns: Vec<BinnedColumn<'a>>) -> Result<Self, ForestError> {
        let Some(first) = columns.first() else { return Err(ForestError::Setting("there is no feature column; name at least one")) };
        let n_rows = first.codes.len();
        if n_rows == 0 {
            return Err(ForestError::Setting("there are no rows; a forest needs at least one"));
        }
        if n_rows > i32::MAX as usize {
            return Err(ForestError::Setting("there are more than 2,147,483,647 rows; train on a sample of them"));
        }
        columns.par_iter().enumerate().try_for_each(|(feature, column)| column.check(feature, n_rows))?;
        Ok(Self { columns: columns.into(), n_rows })
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Columns.
    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    /// The codes of every column.
    pub fn codes(&self) -> Vec<Codes<'a>> {
        self.columns.iter().map(|column| column.codes).collect()
    }

    /// The columns in their order.
    pub fn as_slice(&self) -> &[BinnedColumn<'a>] {
        &self.columns
    }
}
