//! From ids to numbers: the distinct ids in ascending order, and for each row the place of its own among them, so that numbers do not
//! depend on the order of rows. This room must not know what rows are.

use crate::table::{Ids, TextColumn};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use std::collections::HashMap;

/// The longest text that may be an id, in bytes: ids are stored at the width of the longest.
const MAX_ID_BYTES: usize = 1024;

/// Places of four bytes that a row may cost for ids to be looked up instead of searched.
const PLACES_PER_ROW: u64 = 4;

/// Distinct ids in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdList {
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Texts, padded with zeros to the same width.
    Texts { bytes: Vec<u8>, width: usize },
}

/// Ids with their rows' numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) ids: IdList,
    /// One a row that was kept.
    pub(crate) numbers: Vec<u32>,
}

impl IdList {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(ids) => ids.len(),
            Self::Texts { bytes, width } => bytes.len() / (*width).max(1),
        }
    }

    /// The ids as the array `name` of a model: int64, or uint8 [n, width].
    pub(crate) fn array<'a>(&'a self, name: &'a str) -> NewArray<'a> {
        match self {
            Self::Numbers(ids) => NewArray::vector(name, ids),
            Self::Texts { bytes, width } => NewArray::concatenated(name, &[self.len(), *width], &[bytes.as_slice()]),
        }
    }
}

impl Numbered {
    /// Numbers the rows that are kept. `what` is "user" or "item", `table` names the file; refused: a text that is too long.
    pub(crate) fn of(ids: &Ids, is_kept: impl Fn(usize) -> bool, what: &str, table: &str) -> Result<Self, Failure> {
        match ids {
            Ids::Int(ids) => Ok(Self::of_numbers(ids.iter().enumerate().filter(|(row, _)| is_kept(*row)).map(|(_, &id)| id))),
            Ids::Text(texts) => {
                let codes = texts.codes.iter().enumerate().filter(|(row, _)| is_kept(*row)).map(|(_, &code)| code);
                Self::of_texts(texts, codes.collect(), what, table)
            }
        }
    }

    fn of_numbers(ids: impl Iterator<Item = i64>) -> Self {
        let ids: Vec<i64> = ids.collect();
        let (least, greatest) = ids.iter().fold((i64::MAX, i64::MIN), |(least, greatest), &id| (least.min(id), greatest.max(id)));
        let span = greatest.saturating_sub(least).saturating_add(1).max(0).cast_unsigned();
        if span <= PLACES_PER_ROW * ids.len() as u64 { Self::of_dense(&ids, least, span as usize) } else { Self::of_sparse(&ids) }
    }

    /// Ids that lie close together, as most do, need no search: there is a place for each that could be.
    fn of_dense(ids: &[i64], least: i64, span: usize) -> Self {
        let place = |id: i64| (id - least) as usize;
        let mut numbers_by_place = vec![u32::MAX; span];
        ids.iter().for_each(|&id| numbers_by_place[place(id)] = 0);
        let mut distinct = vec![];
        for (id, number) in (least..).zip(&mut numbers_by_place).filter(|(_, number)| **number == 0) {
            *number = distinct.len() as u32;
            distinct.push(id);
        }
        Self { ids: IdList::Numbers(distinct), numbers: ids.iter().map(|&id| numbers_by_place[place(id)]).collect() }
    }

    fn of_sparse(ids: &[i64]) -> Self {
        let mut first_seen: HashMap<i64, u32> = HashMap::new();
        let mut numbers: Vec<u32> = ids
            .iter()
            .map(|&id| {
                let next = first_seen.len() as u32;
                *first_seen.entry(id).or_insert(next)
            })
            .collect();
        let mut sorted: Vec<(i64, u32)> = first_seen.into_iter().collect();
        sorted.sort_unstable();
        let mut places = vec![0; sorted.len()];
        for (place, (_, number)) in (0..).zip(&sorted) {
            places[*number as usize] = place;
        }
        numbers.iter_mut().for_each(|number| *number = places[*number as usize]);
        Self { ids: IdList::Numbers(sorted.into_iter().map(|(id, _)| id).collect()), numbers }
    }

    /// The levels are sorted already, but rows that were left out may have been the only ones of theirs.
    fn of_texts(texts: &TextColumn, codes: Vec<u32>, what: &str, table: &str) -> Result<Self, Failure> {
        let mut is_used = vec![false; texts.levels.len()];
        codes.iter().for_each(|&code| is_used[code as usize] = true);
        let used: Vec<&str> = texts.levels.iter().zip(&is_used).filter(|(_, used)| **used).map(|(level, _)| level.as_str()).collect();
        let width = used.iter().map(|id| id.len()).max().unwrap_or(0).max(1);
        if width > MAX_ID_BYTES {
            let message =
                format!("{table}: {what} ids are up to {width} bytes long, where {MAX_ID_BYTES} are the most; name another column");
            return Err(Failure::bad_input(message));
        }
        if let Some(id) = used.iter().find(|id| id.ends_with('\0')) {
            let message =
                format!("{table}: the {what} id {id:?} ends in a zero byte, by which ids are padded; drop it, or name another column");
            return Err(Failure::bad_input(message));
        }
        let mut bytes = vec![0; used.len() * width];
        bytes.chunks_exact_mut(width).zip(&used).for_each(|(padded, id)| padded[..id.len()].copy_from_slice(id.as_bytes()));
        let mut next = 0;
        let places: Vec<u32> = is_used
            .iter()
            .map(|&used| {
                next += u32::from(used);
                next.saturating_sub(1)
            })
            .collect();
        Ok(Self { ids: IdList::Texts { bytes, width }, numbers: codes.iter().map(|&code| places[code as usize]).collect() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn numbers_follow_the_order_of_ids_and_not_of_rows() {
        let ids = Ids::Int(vec![30, -5, 99, 30, 7]);
        let numbered = Numbered::of(&ids, |row| row != 2, "user", "t").unwrap();
        assert_eq!(numbered, Numbered { ids: IdList::Numbers(vec![-5, 7, 30]), numbers: vec![2, 0, 2, 1] });
        for ids in [vec![5, 3, 5, 4, 9], vec![i64::MIN, 0, i64::MAX, 0], vec![7]] {
            let numbered = Numbered::of(&Ids::Int(ids.clone()), |_| true, "user", "t").unwrap();
            let IdList::Numbers(distinct) = &numbered.ids else { panic!() };
            assert!(distinct.is_sorted_by(|a, b| a < b));
            assert!(numbered.numbers.iter().zip(&ids).all(|(&number, id)| distinct[number as usize] == *id));
        }
        let texts = TextColumn { codes: vec![2, 0, 1, 2], levels: ["a", "bc", "d"].map(str::to_owned).to_vec() };
        let numbered = Numbered::of(&Ids::Text(texts), |row| row != 2, "user", "t").unwrap();
        assert_eq!(numbered, Numbered { ids: IdList::Texts { bytes: b"ad".to_vec(), width: 1 }, numbers: vec![1, 0, 1] });
        assert_eq!(numbered.ids.len(), 2);
    }

    #[test]
    fn an_endless_id_is_refused() {
        let texts = TextColumn { codes: vec![0], levels: vec!["x".repeat(1025)] };
        let refused = Numbered::of(&Ids::Text(texts), |_| true, "item", "t.csv").unwrap_err();
        assert!(refused.message.starts_with("t.csv: item ids are up to 1025 bytes long"), "{refused}");
    }

    #[test]
    fn an_id_that_would_be_taken_for_a_shorter_one_is_refused() {
        let texts = |last: &str| TextColumn { codes: vec![0, 1], levels: vec!["a".to_owned(), last.to_owned()] };
        let refused = Numbered::of(&Ids::Text(texts("a\0")), |_| true, "user", "t.csv").unwrap_err();
        assert!(refused.message.starts_with(r#"t.csv: the user id "a\0" ends in a zero byte"#), "{refused}");
        assert!(Numbered::of(&Ids::Text(texts("a\0b")), |_| true, "user", "t.csv").is_ok());
    }
}
