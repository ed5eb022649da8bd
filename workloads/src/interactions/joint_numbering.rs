//! The ids of several tables, numbered as if they stood in one: what is called the same has the same number. This room must not know
//! what the tables are.

use super::numbering::{IdList, Numbered};
use crate::table::{Ids, TextColumn};
use paceline_common::failure::Failure;

/// The most ids of one kind: numbers are of 32 bits, and the greatest stands for none.
const MAX_IDS: usize = u32::MAX as usize - 1;

/// A table's column of ids.
pub(crate) struct IdColumn {
    /// One a row.
    pub(crate) ids: Ids,
    /// Whether the row takes part, one a row.
    pub(crate) is_kept: Vec<bool>,
}

impl IdColumn {
    fn n_kept(&self) -> usize {
        self.is_kept.iter().filter(|is_kept| **is_kept).count()
    }

    fn kept<'a, T: Copy>(&'a self, rows: &'a [T]) -> impl Iterator<Item = T> + 'a {
        rows.iter().zip(&self.is_kept).filter(|(_, is_kept)| **is_kept).map(|(&row, _)| row)
    }
}

/// Numbers the kept rows of each column: the distinct ids in ascending order, and for each column the places of its rows' ids among them.
/// Where one column holds whole numbers and another text, the whole numbers are taken as they are written. `what` is "user" or "item",
/// `table` names the files in a refusal.
pub(crate) fn number_together(columns: Vec<IdColumn>, what: &str, table: &str) -> Result<(IdList, Vec<Vec<u32>>), Failure> {
    let lens: Vec<usize> = columns.iter().map(IdColumn::n_kept).collect();
    let Numbered { ids, mut numbers } = Numbered::of(&joined(columns), |_| true, what, table)?;
    if ids.len() > MAX_IDS {
        return Err(Failure::bad_input(format!("{table}: has {} {what}s, where {MAX_IDS} are the most; split it", ids.len())));
    }
    let mut of_columns: Vec<Vec<u32>> = vec![];
    // From the end, so that each column's numbers are split off without moving those before.
    for len in lens.into_iter().rev() {
        of_columns.push(numbers.split_off(numbers.len() - len));
    }
    of_columns.reverse();
    Ok((ids, of_columns))
}

/// The kept rows of all columns, one column after the other. Takes the columns, of which large tables should not be held longer.
fn joined(columns: Vec<IdColumn>) -> Ids {
    if columns.iter().any(|column| matches!(column.ids, Ids::Text(_))) {
        return Ids::Text(joined_texts(&columns));
    }
    let mut numbers = Vec::with_capacity(columns.iter().map(IdColumn::n_kept).sum());
    for column in columns {
        if let Ids::Int(ids) = &column.ids {
            numbers.extend(column.kept(ids));
        }
    }
    Ids::Int(numbers)
}

fn joined_texts(columns: &[IdColumn]) -> TextColumn {
    let mut levels: Vec<String> = columns.iter().flat_map(distinct_texts).collect();
    levels.sort_unstable();
    levels.dedup();
    // Every text is among the levels, which were gathered from them.
    let code_of = |text: &String| levels.binary_search(text).unwrap_or_default() as u32;
    let mut codes = Vec::with_capacity(columns.iter().map(IdColumn::n_kept).sum());
    for column in columns {
        match &column.ids {
            Ids::Int(ids) => codes.extend(column.kept(ids).map(|id| code_of(&id.to_string()))),
            Ids::Text(texts) => {
                let new_codes: Vec<u32> = texts.levels.iter().map(code_of).collect();
                codes.extend(column.kept(&texts.codes).map(|code| new_codes[code as usize]));
            }
        }
    }
    TextColumn { codes, levels }
}

fn distinct_texts(column: &IdColumn) -> Vec<String> {
    match &column.ids {
        Ids::Text(texts) => texts.levels.clone(),
        Ids::Int(ids) => {
            let mut distinct: Vec<i64> = column.kept(ids).collect();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.iter().map(i64::to_string).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn column(ids: Ids, is_kept: &[bool]) -> IdColumn {
        IdColumn { ids, is_kept: is_kept.to_vec() }
    }

    #[test]
    fn equal_ids_of_two_tables_have_one_number() {
        let columns = vec![column(Ids::Int(vec![30, 7, 99]), &[true, true, false]), column(Ids::Int(vec![-5, 30]), &[true, true])];
        let (ids, numbers) = number_together(columns, "user", "t").unwrap();
        assert_eq!((ids, numbers), (IdList::Numbers(vec![-5, 7, 30]), vec![vec![2, 1], vec![0, 2]]));
    }

    #[test]
    fn whole_numbers_beside_texts_are_texts() {
        let texts = TextColumn { codes: vec![1, 0, 1], levels: vec!["30".to_owned(), "a".to_owned()] };
        let columns = vec![column(Ids::Int(vec![30, 7]), &[true, true]), column(Ids::Text(texts), &[true, true, false])];
        let (ids, numbers) = number_together(columns, "item", "t").unwrap();
        assert_eq!((ids, numbers), (IdList::Texts { bytes: b"307\0a\0".to_vec(), width: 2 }, vec![vec![0, 1], vec![2, 0]]));
    }
}
