//! The stage that writes: one item, the table of users and, where it is wanted, the table over all of them. This file must not know how
//! a number is computed.

use super::gathering::{Gathered, UserIds};
use super::measuring::UserMeasures;
use super::overall::{Measure, Overall};
use crate::publish::{self, StagedFile};
use crate::table::{OutputColumn, OutputType, TableFormat, TableWriter};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::evaluate::{Column, Cutoff};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Users handed to the table's writer at once.
const USERS_PER_APPEND: usize = 16_384;
const OPTIONAL_F64: OutputType = OutputType::Optional(&OutputType::F64);

/// The stage, opened.
pub(super) struct WriteTask {
    pub(super) gathered: StageParts,
    pub(super) measured: StageParts,
    /// What is measured of lists; none where there are no lists.
    pub(super) columns: Vec<Column>,
    pub(super) cutoffs: Vec<Cutoff>,
    /// Whether ratings were predicted.
    pub(super) has_predictions: bool,
    pub(super) users: (PathBuf, TableFormat),
    pub(super) summary: Option<(PathBuf, TableFormat)>,
}

/// What the stage leaves: the staged files, and what a person is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) users: StagedFile,
    pub(super) summary: Option<StagedFile>,
    pub(super) facts: Vec<(String, String)>,
}

impl Written {
    /// The result of the stage.
    pub(super) fn of(parts: &StageParts) -> Result<Self, Failure> {
        let bytes = parts.item(0)?.ok_or_else(|| Failure::storage("the tables of metrics were never written; submit the job again"))?;
        serde_json::from_slice(bytes).map_err(|e| Failure::storage(format!("the record of what was written is damaged: {e}")))
    }
}

impl StageTask for WriteTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let written = self.write().and_then(|written| {
            serde_json::to_vec(&written).map_err(|e| Failure::storage(format!("the record of what was written cannot be stored: {e}")))
        });
        outputs.push(&written.map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

impl WriteTask {
    fn write(&self) -> Result<Written, Failure> {
        let gathered = Gathered::of(&self.gathered)?;
        let mut overall = Overall::new(&self.columns, &self.cutoffs, self.has_predictions, gathered.facts.n_items);
        let (path, format) = &self.users;
        let n_rows = self.write_users(&gathered, path, *format, &mut overall)?;
        let users = publish::stage_file("", path, n_rows)?;
        let measures = overall.measures(gathered.in_catalog);
        let summary = self.summary.as_ref().map(|(path, format)| write_summary(&measures, path, *format)).transpose()?;
        let mut facts = overall.counts(n_rows);
        facts.extend(measures.iter().map(Measure::fact));
        facts.extend(overall.notices(&gathered.facts.left_out));
        Ok(Written { users, summary, facts })
    }

    fn write_users(&self, gathered: &Gathered<'_>, path: &Path, format: TableFormat, overall: &mut Overall) -> Result<u64, Failure> {
        let n_users = self.measured.n_items();
        let mut rows = UserRows::new(gathered.user_ids, self.columns.len(), self.has_predictions);
        let names: Vec<String> = self.columns.iter().map(Column::to_string).collect();
        let mut writer = TableWriter::create(path, format, &rows.schema(&names))?;
        for user in 0..n_users {
            let measured = UserMeasures::of(&self.measured, user)?;
            let (list, _) = gathered.lists.of(user as usize);
            overall.add(&measured, list)?;
            rows.add(user as usize, &measured);
            if rows.n_listed.len() == USERS_PER_APPEND {
                rows.append_to(&mut writer)?;
            }
        }
        rows.append_to(&mut writer)?;
        writer.finish()?;
        Ok(n_users)
    }
}

/// Rows of the table of users that are gathered before they are written.
struct UserRows<'a> {
    user_ids: UserIds<'a>,
    has_predictions: bool,
    id_numbers: Vec<i64>,
    id_texts: Vec<&'a str>,
    n_listed: Vec<u32>,
    n_relevant: Vec<u32>,
    n_compared: Vec<u32>,
    /// One for each column, and RMSE and MAE at the end; NaN where undefined.
    values: Vec<Vec<f64>>,
}

impl<'a> UserRows<'a> {
    fn new(user_ids: UserIds<'a>, n_columns: usize, has_predictions: bool) -> Self {
        let n_values = n_columns + if has_predictions { 2 } else { 0 };
        Self {
            user_ids,
            has_predictions,
            id_numbers: vec![],
            id_texts: vec![],
            n_listed: vec![],
            n_relevant: vec![],
            n_compared: vec![],
            values: vec![vec![]; n_values],
        }
    }

    /// The columns of the table, those of lists called by `names`.
    fn schema<'n>(&self, names: &'n [String]) -> Vec<(&'n str, OutputType)> {
        let id_type = if matches!(self.user_ids, UserIds::Numbers(_)) { OutputType::I64 } else { OutputType::Text };
        let mut schema = vec![("user", id_type), ("n_listed", OutputType::U32), ("n_relevant", OutputType::U32)];
        schema.extend(names.iter().map(|name| (name.as_str(), OPTIONAL_F64)));
        if self.has_predictions {
            schema.extend([("rmse", OPTIONAL_F64), ("mae", OPTIONAL_F64), ("n_compared", OutputType::U32)]);
        }
        schema
    }

    fn add(&mut self, user: usize, measured: &UserMeasures<'_>) {
        match self.user_ids {
            UserIds::Numbers(ids) => self.id_numbers.push(ids.get(user).copied().unwrap_or_default()),
            UserIds::Texts { bytes, width } => self.id_texts.push(UserIds::text(bytes, width, user)),
        }
        // No user has 2^32 rows: the tables have fewer.
        self.n_listed.push(measured.facts.n_listed as u32);
        self.n_relevant.push(measured.facts.n_relevant as u32);
        self.n_compared.push(measured.errors.n_compared as u32);
        let of_list = measured.row.unwrap_or_default().iter().copied().chain(std::iter::repeat(f64::NAN));
        let errors = if self.has_predictions { vec![measured.errors.rmse(), measured.errors.mae()] } else { vec![] };
        let n_of_list = self.values.len() - errors.len();
        self.values.iter_mut().zip(of_list.take(n_of_list).chain(errors)).for_each(|(column, value)| column.push(value));
    }

    fn append_to(&mut self, writer: &mut TableWriter) -> Result<(), Failure> {
        let is_there: Vec<Vec<bool>> = self.values.iter().map(|column| column.iter().map(|value| !value.is_nan()).collect()).collect();
        let values: Vec<OutputColumn<'_>> = self.values.iter().map(|column| OutputColumn::F64(column)).collect();
        let ids = match self.user_ids {
            UserIds::Numbers(_) => OutputColumn::I64(&self.id_numbers),
            UserIds::Texts { .. } => OutputColumn::Text(&self.id_texts),
        };
        let mut columns = vec![ids, OutputColumn::U32(&self.n_listed), OutputColumn::U32(&self.n_relevant)];
        columns.extend(values.iter().zip(&is_there).map(|(values, is_there)| OutputColumn::Optional { values, is_there }));
        if self.has_predictions {
            columns.push(OutputColumn::U32(&self.n_compared));
        }
        writer.append(&columns)?;
        let Self { id_numbers, id_texts, n_listed, n_relevant, n_compared, values, .. } = self;
        id_numbers.clear();
        id_texts.clear();
        [n_listed, n_relevant, n_compared].into_iter().for_each(Vec::clear);
        values.iter_mut().for_each(Vec::clear);
        Ok(())
    }
}

/// Writes the table over all users: a row for each measure.
fn write_summary(measures: &[Measure], path: &Path, format: TableFormat) -> Result<StagedFile, Failure> {
    let schema =
        [("measure", OutputType::Text), ("value", OPTIONAL_F64), ("n_users", OutputType::I64), ("value_with_undefined_as_0", OPTIONAL_F64)];
    let names: Vec<&str> = measures.iter().map(|measure| measure.name.as_str()).collect();
    let n_users: Vec<i64> = measures.iter().map(|measure| measure.n_users as i64).collect();
    let values: Vec<f64> = measures.iter().map(|measure| measure.value).collect();
    let with_0: Vec<f64> = measures.iter().map(|measure| measure.with_undefined_as_0.unwrap_or(f64::NAN)).collect();
    let [is_defined, has_with_0] = [&values, &with_0].map(|values| values.iter().map(|value| !value.is_nan()).collect::<Vec<bool>>());
    let mut writer = TableWriter::create(path, format, &schema)?;
    writer.append(&[
        OutputColumn::Text(&names),
        OutputColumn::Optional { values: &OutputColumn::F64(&values), is_there: &is_defined },
        OutputColumn::I64(&n_users),
        OutputColumn::Optional { values: &OutputColumn::F64(&with_0), is_there: &has_with_0 },
    ])?;
    writer.finish()?;
    publish::stage_file("", path, measures.len() as u64)
}
