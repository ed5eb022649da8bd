//! Whole columns put together batch by batch. The type of a CSV column is that of all its rows: it begins as numbers and becomes
//! text at the first cell that is none, in which case the numbers that went before are read a second time, as they were written.

use crate::table::cell::{self, Cell};
use crate::table::column::{Column, Ids, NumericColumn, NumericKind};
use crate::table::interner::Interner;
use crate::table::table_file::Batch;
use crate::table::typed::{self, IdValue};
use arrow_array::{Array, ArrayRef};
use paceline_common::failure::Failure;

/// Puts a column together.
pub(crate) trait Collector {
    /// Adds the rows of a batch. `place` is that of the column in the batch, `name` is for a refusal.
    fn push(&mut self, batch: &Batch<'_>, place: usize, name: &str) -> Result<(), Failure>;

    /// Whether the column turned out to be text after some of it was not kept as text: all rows must be pushed again.
    fn restart_as_text(&mut self) -> bool;
}

/// Puts a [`Column`] together.
pub(crate) enum ColumnCollector {
    /// So far numbers; `kind` is `None` while all are missing.
    Numbers { values: Vec<f64>, kind: Option<NumericKind> },
    /// Text.
    Texts(Interner),
    /// Text, but some rows were taken as numbers.
    TextLater,
}

impl ColumnCollector {
    /// A column of which nothing is known.
    pub(crate) fn new() -> Self {
        Self::Numbers { values: Vec::new(), kind: None }
    }

    /// The column.
    pub(crate) fn finish(self) -> Column {
        match self {
            Self::Numbers { values, kind } => Column::Numeric(NumericColumn { values, kind: kind.unwrap_or(NumericKind::Float) }),
            Self::Texts(interner) => Column::Text(interner.finish()),
            Self::TextLater => Column::Text(Interner::default().finish()),
        }
    }

    fn push_cell(&mut self, cell: &str) {
        match self {
            Self::Numbers { values, kind } => match cell::parse(cell) {
                Cell::Missing => values.push(f64::NAN),
                Cell::Number(value, its_kind) => {
                    if !push_number(values, kind, value, its_kind) {
                        *self = Self::TextLater;
                    }
                }
                Cell::Text(text) => {
                    *self = match kind {
                        None => {
                            let mut interner = Interner::with_missing(values.len());
                            interner.push(Some(text));
                            Self::Texts(interner)
                        }
                        Some(_) => Self::TextLater,
                    }
                }
            },
            Self::Texts(interner) => interner.push((!cell::is_missing(cell.trim_ascii())).then_some(cell)),
            Self::TextLater => {}
        }
    }

    fn push_typed(&mut self, array: &dyn Array) -> Option<()> {
        if let Self::Numbers { values, kind } = self {
            let from = values.len();
            if let Some(its_kind) = typed::append_numbers(array, values) {
                let joined = kind.map_or(Some(its_kind), |kind| kind.join(its_kind))?;
                if let Some(factor) = kind.and_then(|kind| kind.factor_to(joined)).filter(|&factor| factor != 1.0) {
                    values.iter_mut().take(from).for_each(|value| *value *= factor);
                }
                *kind = Some(joined);
                return Some(());
            }
            if kind.is_some() {
                return None;
            }
            *self = Self::Texts(Interner::with_missing(from));
        }
        match self {
            Self::Texts(interner) => typed::append_texts(array, interner),
            Self::Numbers { .. } | Self::TextLater => None,
        }
    }
}

/// Adds a number; `false` where it does not go with those before it.
fn push_number(values: &mut Vec<f64>, kind: &mut Option<NumericKind>, value: f64, its_kind: NumericKind) -> bool {
    if *kind != Some(its_kind) {
        let Some(joined) = kind.map_or(Some(its_kind), |kind| kind.join(its_kind)) else { return false };
        if let Some(factor) = kind.and_then(|kind| kind.factor_to(joined)).filter(|&factor| factor != 1.0) {
            values.iter_mut().for_each(|value| *value *= factor);
        }
        *kind = Some(joined);
        values.push(value * its_kind.factor_to(joined).unwrap_or(1.0));
        return true;
    }
    values.push(value);
    true
}

impl Collector for ColumnCollector {
    fn push(&mut self, batch: &Batch<'_>, place: usize, name: &str) -> Result<(), Failure> {
        let array = batch.column(place)?;
        let pushed = match batch.lines {
            Some(_) => typed::for_each_text(array.as_ref(), |cell| self.push_cell(cell.unwrap_or_default())),
            None => self.push_typed(array.as_ref()),
        };
        pushed.ok_or_else(|| unsupported(batch, array, name))
    }

    fn restart_as_text(&mut self) -> bool {
        let is_needed = matches!(self, Self::TextLater);
        if is_needed {
            *self = Self::Texts(Interner::default());
        }
        is_needed
    }
}

fn unsupported(batch: &Batch<'_>, array: &ArrayRef, name: &str) -> Failure {
    let (path, what) = (batch.path.display(), array.data_type());
    Failure::bad_input(format!("{path}: column '{name}' is of type {what}, which is neither a number nor text; leave it out or convert it"))
}

/// Puts [`Ids`] together.
pub(crate) enum IdCollector {
    /// So far whole numbers.
    Ints(Vec<i64>),
    /// Text.
    Texts(Interner),
    /// Text, but some rows were taken as numbers.
    TextLater,
}

impl IdCollector {
    /// Ids of which nothing is known.
    pub(crate) fn new() -> Self {
        Self::Ints(Vec::new())
    }

    /// The ids.
    pub(crate) fn finish(self) -> Ids {
        match self {
            Self::Ints(ids) => Ids::Int(ids),
            Self::Texts(interner) => Ids::Text(interner.finish()),
            Self::TextLater => Ids::Text(Interner::default().finish()),
        }
    }

    fn push_text(&mut self, text: &str) {
        match self {
            Self::Texts(interner) => interner.push(Some(text)),
            Self::Ints(ids) => match cell::canonical_int(text) {
                Some(id) => ids.push(id),
                None if ids.is_empty() => {
                    let mut interner = Interner::default();
                    interner.push(Some(text));
                    *self = Self::Texts(interner);
                }
                None => *self = Self::TextLater,
            },
            Self::TextLater => {}
        }
    }

    fn push_typed(&mut self, array: &ArrayRef, refuse: &mut impl FnMut(usize, &str)) -> Option<()> {
        if let Self::Ints(ids) = self {
            let mut row = 0;
            let pushed = typed::for_each_int(array, |id| {
                match id {
                    IdValue::Int(id) => ids.push(id),
                    IdValue::Missing => refuse(row, "is missing"),
                    IdValue::TooLarge => refuse(row, "is above the largest id, 2^63 - 1"),
                }
                row += 1;
            });
            if pushed.is_some() {
                return pushed;
            }
            if !ids.is_empty() {
                return None;
            }
            *self = Self::Texts(Interner::default());
        }
        let Self::Texts(interner) = self else { return None };
        if array.logical_null_count() > 0 {
            let row = (0..array.len()).find(|&row| array.logical_nulls().is_some_and(|nulls| nulls.is_null(row)));
            refuse(row.unwrap_or(0), "is missing");
        }
        typed::append_texts(array.as_ref(), interner)
    }
}

impl Collector for IdCollector {
    fn push(&mut self, batch: &Batch<'_>, place: usize, name: &str) -> Result<(), Failure> {
        let array = batch.column(place)?;
        let mut refused: Option<Failure> = None;
        let mut refuse = |row: usize, why: &str| {
            let (path, place) = (batch.path.display(), batch.place(row));
            let message = format!("{path}: {place}: the id in column '{name}' {why}; every row needs one");
            refused.get_or_insert(Failure::bad_input(message));
        };
        let pushed = if batch.lines.is_some() {
            let mut row = 0;
            typed::for_each_text(array.as_ref(), |cell| {
                let cell = cell.unwrap_or_default();
                if cell::is_missing(cell.trim_ascii()) {
                    refuse(row, "is missing");
                }
                self.push_text(cell);
                row += 1;
            })
        } else {
            self.push_typed(array, &mut refuse)
        };
        if let Some(failure) = refused {
            return Err(failure);
        }
        pushed.ok_or_else(|| {
            let (path, what) = (batch.path.display(), typed::logical_type(array.data_type()));
            let message = format!("{path}: column '{name}' holds {}; ids must be whole numbers or text", what.noun());
            Failure::bad_input(message)
        })
    }

    fn restart_as_text(&mut self) -> bool {
        let is_needed = matches!(self, Self::TextLater);
        if is_needed {
            *self = Self::Texts(Interner::default());
        }
        is_needed
    }
}
