//! A table as its user sees it: one schema over all of its files, whole columns, and blocks of rows.

use crate::table::arrow_ipc::ArrowIpcFile;
use crate::table::block_index::BlockIndex;
use crate::table::cell;
use crate::table::cell_type::{CellType, CellTypeCollector};
use crate::table::collect::{Collector, ColumnCollector, IdCollector};
use crate::table::column::{Column, Ids, NumericColumn};
use crate::table::csv::CsvFile;
use crate::table::input_files::{self, InputFormat};
use crate::table::interner::Interner;
use crate::table::npy::NpyFile;
use crate::table::parquet::ParquetFile;
use crate::table::schema::{LogicalType, Schema};
use crate::table::table_file::{Batch, EachBatch, RowSpan, TableFile};
use crate::table::target::{BlockColumn, TargetSchema};
use arrow_array::ArrayRef;
use paceline_common::failure::Failure;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A table in one file or several, opened by its headers.
pub struct TableSource {
    paths: Vec<PathBuf>,
    files: Vec<Box<dyn TableFile>>,
    is_csv: bool,
    /// All columns of a CSV, once one of them was wanted: its rows are parsed as a whole or not at all.
    csv_columns: Mutex<Option<Vec<Arc<Column>>>>,
}

impl std::fmt::Debug for TableSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableSource").field("paths", &self.paths).field("schema", self.schema()).finish_non_exhaustive()
    }
}

impl TableSource {
    /// Opens files of one schema, or directories of them (sorted by name), as one table; rows follow in the order of the files.
    ///
    /// Reads headers only. Refuses a file that is missing, unreadable, damaged in its header or not what its name says; formats or
    /// schemas that differ between files; columns without a name or with the same name; and a table that has no row.
    pub fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        let listed = input_files::list(paths)?;
        let is_csv = listed.iter().all(|(_, format)| matches!(format, InputFormat::Csv(_)));
        let mut files: Vec<Box<dyn TableFile>> = Vec::with_capacity(listed.len());
        for (path, format) in &listed {
            let file = open_file(path, *format)?;
            if let Some(first) = files.first() {
                first.schema().check_same(first.path(), file.schema(), path)?;
            }
            files.push(file);
        }
        let paths: Vec<PathBuf> = listed.into_iter().map(|(path, _)| path).collect();
        if files.iter().all(|file| file.is_empty()) {
            let path = paths.first().map_or_else(String::new, |path| path.display().to_string());
            let others = if paths.len() > 1 { " and the files with it have" } else { ": has" };
            return Err(Failure::bad_input(format!("{path}{others} no rows; name a table with rows")));
        }
        Ok(Self { paths, files, is_csv, csv_columns: Mutex::new(None) })
    }

    /// The files in row order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The columns, in the order of the first file.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.files.first().map_or(&EMPTY_SCHEMA, |file| file.schema())
    }

    /// How many rows; `None` where only reading all of them tells.
    #[must_use]
    pub fn n_rows(&self) -> Option<u64> {
        self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.n_rows()?))
    }

    /// Whether a column is the row index that pandas writes beside the data, in any of the files.
    #[must_use]
    pub fn is_row_index(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.schema().row_index.contains(name))
    }

    /// The place of a column. The refusal names columns that look like it.
    pub fn column_idx(&self, name: &str) -> Result<usize, Failure> {
        self.schema().column_idx(name, self.first_path())
    }

    /// A whole column. For a CSV the first call parses all columns and keeps them as long as this table is open; the other formats
    /// read this column alone and keep nothing.
    pub fn read_column(&self, name: &str) -> Result<Arc<Column>, Failure> {
        let idx = self.column_idx(name)?;
        self.check_supported(idx)?;
        if !self.is_csv {
            let mut columns = self.collect(&[idx], ColumnCollector::new)?.into_iter();
            return columns.next().map(|column| Arc::new(column.finish())).ok_or_else(|| self.lost(name));
        }
        // The lock is held while the file is parsed: threads that want another column of it wait instead of parsing it again.
        let mut kept = self.csv_columns.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = match kept.take() {
            Some(columns) => columns,
            None => {
                let all: Vec<usize> = (0..self.schema().fields.len()).collect();
                self.collect(&all, ColumnCollector::new)?.into_iter().map(|column| Arc::new(column.finish())).collect()
            }
        };
        let column = columns.get(idx).cloned();
        *kept = Some(columns);
        column.ok_or_else(|| self.lost(name))
    }

    /// A whole column as text whatever it holds: numbers by their shortest spelling ("7", "2.5", "true", "2013-01-01").
    pub fn read_column_as_text(&self, name: &str) -> Result<Arc<Column>, Failure> {
        let column = self.read_column(name)?;
        Ok(match &*column {
            Column::Text(_) => column,
            Column::Numeric(numbers) => Arc::new(as_text(numbers)),
        })
    }

    /// Whole columns of ids, exact to the last digit, in one pass over the rows. Whole numbers are [`Ids::Int`] (from a CSV where
    /// every cell of the column is written as plainly as can be), everything else is text. A row without an id is refused.
    pub fn read_ids(&self, names: &[&str]) -> Result<Vec<Ids>, Failure> {
        Ok(self.collect_ids(names, IdCollector::new)?.into_iter().map(|(ids, _)| ids).collect())
    }

    /// The same where rows may be without an id: with each column, which rows those are, ascending. What stands there instead of an
    /// id means nothing.
    pub fn read_ids_with_gaps(&self, names: &[&str]) -> Result<Vec<(Ids, Vec<u64>)>, Failure> {
        self.collect_ids(names, IdCollector::with_gaps)
    }

    fn collect_ids(&self, names: &[&str], new: impl Fn() -> IdCollector) -> Result<Vec<(Ids, Vec<u64>)>, Failure> {
        let columns = names.iter().map(|name| self.column_idx(name)).collect::<Result<Vec<usize>, Failure>>()?;
        columns.iter().try_for_each(|&idx| self.check_supported(idx))?;
        Ok(self.collect(&columns, new)?.into_iter().map(IdCollector::finish).collect())
    }

    /// Whether [`Self::survey`] must read every byte.
    #[must_use]
    pub fn needs_scan(&self) -> bool {
        self.is_csv
    }

    /// Where blocks of `rows_per_block` rows begin. For a CSV this reads all rows, and refuses what is wrong with their shape.
    pub fn survey(&self, rows_per_block: u64) -> Result<BlockIndex, Failure> {
        let rows_per_block = rows_per_block.max(1);
        let files = self.files.iter().map(|file| file.survey(rows_per_block)).collect::<Result<_, Failure>>()?;
        Ok(BlockIndex::new(rows_per_block, files))
    }

    /// Refuses a target with a column that the table lacks, or that is of a type that cannot serve. Looks at headers only.
    pub fn check_target(&self, target: &TargetSchema) -> Result<(), Failure> {
        self.files.iter().try_for_each(|file| target.check(file.schema(), file.path()))
    }

    /// The rows of a block as the target's columns, in its order. Any thread may read any block; a compressed CSV is decoded from
    /// its start once per thread, all else is entered where the block begins.
    pub fn read_block(&self, index: &BlockIndex, block_idx: u64, target: &TargetSchema) -> Result<Vec<BlockColumn>, Failure> {
        let place = index.place(block_idx).filter(|_| index.n_files() == self.files.len());
        let place = place.and_then(|place| Some((place, self.files.get(place.file_idx)?)));
        let Some((place, file)) = place else {
            let path = self.first_path().display();
            return Err(Failure::item(format!("{path}: has no block {block_idx} by this index; run the job again")));
        };
        let columns = self.places_in(file.as_ref(), target.names())?;
        let (distinct, places) = distinct_columns(&columns);
        let mut block = target.empty_block();
        if !distinct.is_empty() {
            let rows = RowSpan::From(place.checkpoint, place.n_rows);
            file.read(&distinct, rows, &mut |batch| target.append(batch, &places, &mut block))?;
        }
        Ok(block)
    }

    /// Hands all rows on, batch by batch in row order, with the columns in the order of the schema.
    pub(crate) fn read_batches(&self, each: &mut EachBatch<'_>) -> Result<(), Failure> {
        for file in &self.files {
            let columns = self.places_in(file.as_ref(), self.schema().fields.iter().map(|field| field.name.as_str()))?;
            let (distinct, places) = distinct_columns(&columns);
            file.read(&distinct, RowSpan::All, &mut |batch| {
                let columns = places.iter().map(|&place| batch.column(place).cloned()).collect::<Result<Vec<ArrayRef>, Failure>>()?;
                each(&Batch { path: batch.path, first_row: batch.first_row, lines: batch.lines, columns: &columns })
            })?;
        }
        Ok(())
    }

    /// What the cells of each column of a CSV are; nothing for other formats, whose columns have types.
    pub(crate) fn cell_types(&self) -> Result<Vec<CellType>, Failure> {
        if !self.is_csv {
            return Ok(vec![]);
        }
        let all: Vec<usize> = (0..self.schema().fields.len()).collect();
        Ok(self.collect(&all, CellTypeCollector::default)?.into_iter().map(CellTypeCollector::finish).collect())
    }

    fn first_path(&self) -> &Path {
        self.paths.first().map_or(Path::new(""), PathBuf::as_path)
    }

    fn lost(&self, name: &str) -> Failure {
        Failure::item(format!("{}: column '{name}' was lost while it was read", self.first_path().display()))
    }

    fn check_supported(&self, idx: usize) -> Result<(), Failure> {
        for file in &self.files {
            if let Some(field) = self.schema().fields.get(idx)
                && let LogicalType::Unsupported(what) = &field.logical_type
            {
                let (path, name) = (file.path().display(), &field.name);
                let advice = "leave it out or convert it";
                let message = format!("{path}: column '{name}' is of type {what}, which is neither a number nor text; {advice}");
                return Err(Failure::bad_input(message));
            }
        }
        Ok(())
    }

    fn places_in<'a>(&self, file: &dyn TableFile, names: impl Iterator<Item = &'a str>) -> Result<Vec<usize>, Failure> {
        names.map(|name| file.schema().column_idx(name, file.path())).collect()
    }

    /// Runs all rows through a collector for each of the columns (places in the schema); those that turn out to be text only after
    /// rows were taken for numbers get all rows a second time.
    fn collect<C: Collector>(&self, columns: &[usize], new: impl Fn() -> C) -> Result<Vec<C>, Failure> {
        let name_of = |idx: usize| self.schema().fields.get(idx).map_or("", |field| field.name.as_str());
        let mut collectors: Vec<(&str, C)> = columns.iter().map(|&idx| (name_of(idx), new())).collect();
        let mut wanted: Vec<&mut (&str, C)> = collectors.iter_mut().collect();
        while !wanted.is_empty() {
            for file in &self.files {
                let columns = self.places_in(file.as_ref(), wanted.iter().map(|(name, _)| *name))?;
                let (distinct, places) = distinct_columns(&columns);
                file.read(&distinct, RowSpan::All, &mut |batch| {
                    wanted.iter_mut().zip(&places).try_for_each(|(wanted, &place)| wanted.1.push(batch, place, wanted.0))
                })?;
            }
            wanted.retain_mut(|(_, collector)| collector.restart_as_text());
        }
        Ok(collectors.into_iter().map(|(_, collector)| collector).collect())
    }
}

static EMPTY_SCHEMA: Schema = Schema { fields: Vec::new(), row_index: BTreeSet::new() };

fn open_file(path: &Path, format: InputFormat) -> Result<Box<dyn TableFile>, Failure> {
    Ok(match format {
        InputFormat::Parquet => Box::new(ParquetFile::open(path)?),
        InputFormat::Csv(compression) => Box::new(CsvFile::open(path, compression)?),
        InputFormat::ArrowIpc => Box::new(ArrowIpcFile::open(path)?),
        InputFormat::Npy => Box::new(NpyFile::open(path)?),
    })
}

/// Each column once, and where each of those asked for is among them.
fn distinct_columns(columns: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut distinct = columns.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let places = columns.iter().filter_map(|column| distinct.binary_search(column).ok()).collect();
    (distinct, places)
}

fn as_text(numbers: &NumericColumn) -> Column {
    let mut interner = Interner::default();
    for &value in &numbers.values {
        let text = (!value.is_nan()).then(|| cell::canonical_text(value, numbers.kind));
        interner.push(text.as_deref());
    }
    Column::Text(interner.finish())
}
