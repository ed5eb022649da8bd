//! The narrowest type of a column that holds every cell of a CSV as it stands, for a copy of the table in a format with types.

use crate::table::cell::{self, Cell};
use crate::table::collect::Collector;
use crate::table::column::NumericKind;
use crate::table::table_file::Batch;
use crate::table::typed;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{Array, ArrayRef};
use paceline_common::failure::Failure;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What all cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CellType {
    /// Whole numbers in their only spelling, so that ids such as 007 stay text.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Bool,
    /// Anything else; dates too, as they are written.
    Text,
}

impl CellType {
    /// Of one cell; `None` where it has no value.
    fn of(text: &str) -> Option<Self> {
        Some(match cell::parse(text) {
            Cell::Missing => return None,
            Cell::Number(_, NumericKind::Integer) if cell::canonical_int(text.trim_ascii()).is_some() => Self::Integer,
            Cell::Number(_, NumericKind::Float) => Self::Float,
            Cell::Number(_, NumericKind::Bool) => Self::Bool,
            Cell::Number(..) | Cell::Text(_) => Self::Text,
        })
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            _ => Self::Text,
        }
    }

    /// The cells as values of this type; `None` where `cells` are no text.
    pub(crate) fn convert(self, cells: &dyn Array) -> Option<ArrayRef> {
        // A missing cell of a column of numbers is no value; in a column of text it stays what was written, but for the empty one.
        fn number(text: Option<&str>) -> Option<f64> {
            cell::number_or_moment(text?).map(|(value, _)| value)
        }
        let (mut integers, mut floats) = (Int64Builder::new(), Float64Builder::new());
        let (mut bools, mut texts) = (BooleanBuilder::new(), StringBuilder::new());
        typed::for_each_text(cells, |text| match self {
            Self::Integer => integers.append_option(text.and_then(|text| cell::canonical_int(text.trim_ascii()))),
            Self::Float => floats.append_option(number(text)),
            Self::Bool => bools.append_option(number(text).map(|value| value != 0.0)),
            Self::Text => texts.append_option(text.filter(|text| !text.is_empty())),
        })?;
        Some(match self {
            Self::Integer => Arc::new(integers.finish()),
            Self::Float => Arc::new(floats.finish()),
            Self::Bool => Arc::new(bools.finish()),
            Self::Text => Arc::new(texts.finish()),
        })
    }
}

/// Finds out what the cells of a column are.
#[derive(Default)]
pub(crate) struct CellTypeCollector {
    so_far: Option<CellType>,
}

impl CellTypeCollector {
    /// The type; that of numbers where no cell has a value.
    pub(crate) fn finish(self) -> CellType {
        self.so_far.unwrap_or(CellType::Float)
    }
}

impl Collector for CellTypeCollector {
    fn push(&mut self, batch: &Batch<'_>, place: usize, name: &str) -> Result<(), Failure> {
        let read = typed::for_each_text(batch.column(place)?.as_ref(), |text| {
            // Text it stays, whatever follows.
            if self.so_far != Some(CellType::Text)
                && let Some(found) = CellType::of(text.unwrap_or_default())
            {
                self.so_far = Some(self.so_far.map_or(found, |so_far| so_far.join(found)));
            }
        });
        read.ok_or_else(|| Failure::item(format!("{}: column '{name}' has no cells", batch.path.display())))
    }

    fn restart_as_text(&mut self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_keeps_every_cell() {
        for (cells, expected) in [
            (&["7", "", "-12"][..], CellType::Integer),
            (&["7", " 8"], CellType::Integer),
            (&["7", "2.5", "NA"], CellType::Float),
            (&["007", "7"], CellType::Text),
            (&["true", "False", ""], CellType::Bool),
            (&["true", "1"], CellType::Text),
            (&["2013-01-01"], CellType::Text),
            (&["", "NA"], CellType::Float),
        ] {
            let found = cells.iter().filter_map(|cell| CellType::of(cell)).reduce(CellType::join).unwrap_or(CellType::Float);
            assert_eq!(found, expected, "{cells:?}");
        }
    }
}
