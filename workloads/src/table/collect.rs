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
pub(crate) struct IdCollector {
    ids: IdsSoFar,
    /// Rows without an id; `None` where such a row is refused.
    missing: Option<Vec<u64>>,
    n_rows: u64,
}

enum IdsSoFar {
    /// So far whole numbers.
    Ints(Vec<i64>),
    /// Text.
    Texts(Interner),
    /// Text, but some rows were taken as numbers.
    TextLater,
}

impl IdCollector {
    /// Ids of which nothing is known; every row needs one.
    pub(crate) fn new() -> Self {
        Self { ids: IdsSoFar::Ints(Vec::new()), missing: None, n_rows: 0 }
    }

    /// The same where a row may be without.
    pub(crate) fn with_gaps() -> Self {
        Self { missing: Some(Vec::new()), ..Self::new() }
    }

    /// The ids, and which rows have none: there the id is 0 or [`MISSING_CODE`](crate::table::MISSING_CODE).
    pub(crate) fn finish(self) -> (Ids, Vec<u64>) {
        let ids = match self.ids {
            IdsSoFar::Ints(ids) => Ids::Int(ids),
            IdsSoFar::Texts(interner) => Ids::Text(interner.finish()),
            IdsSoFar::TextLater => Ids::Text(Interner::default().finish()),
        };
        (ids, self.missing.unwrap_or_default())
    }

    /// Adds a cell of a CSV; `None` where it has no id.
    fn push_cell(&mut self, cell: Option<&str>) {
        match (&mut self.ids, cell) {
            (IdsSoFar::Texts(interner), _) => interner.push(cell),
            (IdsSoFar::Ints(ids), None) => ids.push(0),
            (IdsSoFar::Ints(ids), Some(text)) => match cell::canonical_int(text) {
                Some(id) => ids.push(id),
                None => self.ids = self.start_text(text),
            },
            (IdsSoFar::TextLater, _) => {}
        }
    }

    /// What becomes of the ids at the first that is no whole number.
    fn start_text(&self, text: &str) -> IdsSoFar {
        let n_missing = self.missing.as_ref().map_or(0, |missing| missing.len() as u64);
        if n_missing < self.n_rows {
            return IdsSoFar::TextLater;
        }
        let mut interner = Interner::with_missing(n_missing as usize);
        interner.push(Some(text));
        IdsSoFar::Texts(interner)
    }

    fn push_array(&mut self, array: &ArrayRef, flaws: &mut Flaws) -> Option<()> {
        if let IdsSoFar::Ints(ids) = &mut self.ids {
            let first_of_batch = ids.len();
            let mut row = 0;
            let pushed = typed::for_each_int(array, |id| {
                match id {
                    IdValue::Int(id) => ids.push(id),
                    IdValue::Missing => {
                        flaws.missing.push(row);
                        ids.push(0);
                    }
                    IdValue::TooLarge => _ = flaws.too_large.get_or_insert(row),
                }
                row += 1;
            });
            if pushed.is_some() {
                return pushed;
            }
            if first_of_batch > 0 {
                return None;
            }
            self.ids = IdsSoFar::Texts(Interner::default());
        }
        let IdsSoFar::Texts(interner) = &mut self.ids else { return None };
        if let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            flaws.missing.extend((0..array.len()).filter(|&row| nulls.is_null(row)));
        }
        typed::append_texts(array.as_ref(), interner)
    }
}

/// Rows of a batch that have no id, or one that cannot be kept.
#[derive(Default)]
struct Flaws {
    missing: Vec<usize>,
    too_large: Option<usize>,
}

impl Collector for IdCollector {
    fn push(&mut self, batch: &Batch<'_>, place: usize, name: &str) -> Result<(), Failure> {
        let array = batch.column(place)?;
        let mut flaws = Flaws::default();
        let pushed = if batch.lines.is_some() {
            let mut row = 0;
            typed::for_each_text(array.as_ref(), |cell| {
                let cell = cell.filter(|cell| !cell::is_missing(cell.trim_ascii()));
                if cell.is_none() {
                    flaws.missing.push(row);
                }
                self.push_cell(cell);
                if let (None, Some(missing)) = (cell, &mut self.missing) {
                    missing.push(self.n_rows);
                }
                self.n_rows += 1;
                row += 1;
            })
        } else {
            let first_row = self.n_rows;
            let pushed = self.push_array(array, &mut flaws);
            self.n_rows += array.len() as u64;
            if let Some(missing) = &mut self.missing {
                missing.extend(flaws.missing.iter().map(|&row| first_row + row as u64));
            }
            pushed
        };
        let first_missing = flaws.missing.first().filter(|_| self.missing.is_none());
        let missing = first_missing.map(|&row| (row, "is missing; every row needs one"));
        let too_large = flaws.too_large.map(|row| (row, "is above the largest id, 2^63 - 1; convert the column to text"));
        if let Some((row, why)) = missing.into_iter().chain(too_large).min() {
            let (path, place) = (batch.path.display(), batch.place(row));
            let message = format!("{path}: {place}: the id in column '{name}' {why}");
            return Err(Failure::bad_input(message));
        }
        pushed.ok_or_else(|| {
            let (path, what) = (batch.path.display(), typed::logical_type(array.data_type()));
            let message = format!("{path}: column '{name}' holds {}; ids must be whole numbers or text; convert the column", what.noun());
            Failure::bad_input(message)
        })
    }

    fn restart_as_text(&mut self) -> bool {
        let is_needed = matches!(self.ids, IdsSoFar::TextLater);
        if is_needed {
            self.ids = IdsSoFar::Texts(Interner::default());
            self.n_rows = 0;
            self.missing.iter_mut().for_each(Vec::clear);
        }
        is_needed
    }
}
