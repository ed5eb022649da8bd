//! The first stage: one item that says of each row of the table what it is used for, and counts. It must not write a table.

use super::Method;
use crate::interactions::{InteractionSource, Numbered};
use crate::packed::{self, Packed};
use crate::table::{CellType, NumericKind, canonical_text};
use crate::workload::{ItemFailure, StageTask};
use paceline_common::artifact::NewArray;
use paceline_common::failure::Failure;
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_kernels::split::{
    Holdout, HoldoutScratch, Part, RowsByUser, TimesMissing, leave_out_untrained, split_at_time, time_of_test_share,
};
use serde::{Deserialize, Serialize};

const USES: &str = "uses";

/// What was found, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DividedFacts {
    n_rows: u64,
    n_users: usize,
    n_train: u64,
    n_test: u64,
    n_test_users: u64,
    n_without_ids: u64,
    n_without_time: u64,
    /// Rows that would be tested, of users with too few rows to train on.
    n_untrained: u64,
    /// The time from which on rows are tested, where there is one, as a person reads it.
    test_start: Option<String>,
    /// Of a CSV that becomes Parquet; empty for other data.
    pub(super) cell_types: Vec<CellType>,
}

impl DividedFacts {
    /// As a person reads it.
    pub(super) fn shown(&self, min_train: u32) -> Vec<(String, String)> {
        let counts = [
            ("rows".to_owned(), self.n_rows),
            ("users".to_owned(), self.n_users as u64),
            ("rows to train on".to_owned(), self.n_train),
            ("rows to test on".to_owned(), self.n_test),
            ("users to test on".to_owned(), self.n_test_users),
        ];
        let rows = if min_train == 1 { "row" } else { "rows" };
        let notices = [
            ("rows without a user or an item, left out".to_owned(), self.n_without_ids),
            ("rows without a time, left out".to_owned(), self.n_without_time),
            (format!("rows of users with fewer than {min_train} {rows} to train on, not tested"), self.n_untrained),
        ];
        let shown = counts.into_iter().chain(notices.into_iter().filter(|(_, n)| *n > 0)).map(|(what, n)| (what, n.to_string()));
        shown.chain(self.test_start.iter().map(|start| ("tested from".to_owned(), start.clone()))).collect()
    }
}

/// The one item of the stage.
pub(super) struct DivideTask {
    pub(super) source: InteractionSource,
    pub(super) method: Method,
    pub(super) seed: u64,
    pub(super) min_train: usize,
    /// Whether cells of a CSV must be given types.
    pub(super) needs_cell_types: bool,
}

impl StageTask for DivideTask {
    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        outputs.push(&self.divide().map_err(|failure| ItemFailure { item: block.start, failure })?);
        Ok(())
    }
}

/// The rows that take part, in the order of the table.
struct Rows {
    /// Where each stands in the table.
    places: Vec<usize>,
    users: Vec<u32>,
    n_users: usize,
    /// One a row where times are wanted: numbers in the order of the times.
    times: Vec<i64>,
    time_kind: NumericKind,
}

impl DivideTask {
    fn divide(&self) -> Result<Vec<u8>, Failure> {
        let mut facts = DividedFacts::default();
        let rows = self.read(&mut facts)?;
        let (by_time, test_start) = self.divide_by_time(&rows)?;
        facts.test_start = test_start;
        let of_rows = self.divide_by_user(&rows, by_time, &mut facts)?;
        let count = |wanted: Part| of_rows.iter().filter(|part| **part == wanted).count() as u64;
        (facts.n_train, facts.n_test, facts.n_untrained) = (count(Part::Train), count(Part::Test), count(Part::LeftOut));
        self.expect_rows_on_both_sides(&facts)?;
        if self.needs_cell_types {
            facts.cell_types = self.source.table().cell_types()?;
        }
        let mut uses = vec![code_of(Part::LeftOut); facts.n_rows as usize];
        rows.places.iter().zip(&of_rows).for_each(|(&place, &part)| uses[place] = code_of(part));
        packed::pack(&facts, &[NewArray::vector(USES, &uses)])
    }

    fn read(&self, facts: &mut DividedFacts) -> Result<Rows, Failure> {
        let table = self.source.path().display().to_string();
        let read = self.source.read()?;
        let n_rows = read.users.len();
        let mut is_kept = vec![true; n_rows];
        read.without_ids.iter().for_each(|&row| is_kept[row as usize] = false);
        let (times, time_kind) = read.times.unwrap_or((vec![], NumericKind::Float));
        is_kept.iter_mut().zip(&times).for_each(|(is_kept, time)| *is_kept &= !time.is_nan());
        let numbered = Numbered::of(&read.users, |row| is_kept[row], "user", &table)?;
        let places: Vec<usize> = (0..n_rows).filter(|&row| is_kept[row]).collect();
        facts.n_rows = n_rows as u64;
        facts.n_users = numbered.ids.len();
        facts.n_without_ids = read.without_ids.len() as u64;
        facts.n_without_time = (n_rows - places.len()) as u64 - facts.n_without_ids;
        let times = places.iter().filter_map(|&place| times.get(place)).map(|&time| order_of(time)).collect();
        Ok(Rows { places, users: numbered.numbers, n_users: facts.n_users, times, time_kind })
    }

    /// The use of each row where time alone decides, and from when on rows are tested; nothing where users are divided.
    fn divide_by_time(&self, rows: &Rows) -> Result<(Option<Vec<Part>>, Option<String>), Failure> {
        let start = match &self.method {
            Method::ByUser(_) => return Ok((None, None)),
            Method::FromTime { text, value, kind } => order_of(value * self.factor_to(rows.time_kind, *kind, text)?),
            // Without rows there is nothing to divide, which is refused later.
            Method::LatestShare(share) => time_of_test_share(&mut rows.times.clone(), *share).unwrap_or_default(),
        };
        let parts = rows.times.iter().map(|&time| split_at_time(time, start, None)).collect();
        Ok((Some(parts), Some(canonical_text(time_of(start), rows.time_kind))))
    }

    /// From the unit of the time that a person gave to that of the column.
    fn factor_to(&self, of_column: NumericKind, given: NumericKind, text: &str) -> Result<f64, Failure> {
        given.factor_to(of_column).ok_or_else(|| {
            let (path, column) = (self.source.path().display(), self.source.time_column().unwrap_or_default());
            let (holds, is) = (of_column.noun(), given.noun());
            Failure::bad_input(format!("{path}: column '{column}' holds {holds}, and --at {text} is of {is}; write it as the column does"))
        })
    }

    /// The use of each row: what `by_time` says, or else what is drawn user by user, less the tested rows of users with too few to train.
    fn divide_by_user(&self, rows: &Rows, by_time: Option<Vec<Part>>, facts: &mut DividedFacts) -> Result<Vec<Part>, Failure> {
        let path = self.source.path().display();
        let by_user = RowsByUser::new(&rows.users, 0..rows.n_users as u32)
            .ok_or_else(|| Failure::bad_input(format!("{path}: has 2^32 rows or more; split it by users first")))?;
        let mut divided = by_time.unwrap_or_else(|| vec![Part::Train; rows.users.len()]);
        let mut user_rows = UserRows::default();
        for (user, of_user) in (0..).zip(by_user.iter()) {
            user_rows.load(of_user, &divided, &rows.times);
            if let Method::ByUser(holdout) = self.method {
                let drawn = user_rows.draw(holdout, self.seed, user);
                drawn.map_err(|e| Failure::storage(format!("{path}: its times were lost while it was divided: {e}")))?;
            }
            leave_out_untrained(self.min_train, &mut user_rows.parts);
            facts.n_test_users += u64::from(user_rows.parts.contains(&Part::Test));
            of_user.iter().zip(&user_rows.parts).for_each(|(&row, &part)| divided[row as usize] = part);
        }
        Ok(divided)
    }

    fn expect_rows_on_both_sides(&self, facts: &DividedFacts) -> Result<(), Failure> {
        let path = self.source.path().display();
        let refused = |why: String| Err(Failure::bad_input(format!("{path}: {why}")));
        match (facts.n_train, facts.n_test) {
            (0, 0) if facts.n_untrained == 0 => {
                refused("no row has a user and an item, and a time where it is looked at; put some in".to_owned())
            }
            (_, 0) if facts.n_untrained > 0 => {
                let (n, min_train) = (facts.n_untrained, self.min_train);
                let why = format!("the {n} that would be are of users with fewer than {min_train} rows to train on");
                refused(format!("no row is left to test, as {why}; test fewer rows, or lower --min-train"))
            }
            (_, 0) => refused("no row would be tested; test more rows, or from an earlier time on".to_owned()),
            (0, _) => refused("no row would be left to train on; test fewer rows, or from a later time on".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Memory for the rows of one user after the other.
#[derive(Default)]
struct UserRows {
    parts: Vec<Part>,
    times: Vec<i64>,
    scratch: HoldoutScratch,
}

impl UserRows {
    fn load(&mut self, rows: &[u32], parts: &[Part], times: &[i64]) {
        self.parts.clear();
        self.parts.extend(rows.iter().map(|&row| parts[row as usize]));
        self.times.clear();
        self.times.extend(rows.iter().filter_map(|&row| times.get(row as usize)));
    }

    fn draw(&mut self, holdout: Holdout, seed: u64, user: u64) -> Result<(), TimesMissing> {
        holdout.split(seed, user, &self.times, &mut self.scratch, &mut self.parts)
    }
}

/// A whole number that is ordered as times are, as only their order matters: the bits of a float have the order of its value, but
/// for negative ones, where it is turned round.
fn order_of(time: f64) -> i64 {
    // Adding 0 makes no difference but to -0, which shall be equal to 0.
    let bits = (time + 0.0).to_bits().cast_signed();
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// The time of [`order_of`].
fn time_of(order: i64) -> f64 {
    f64::from_bits(if order < 0 { order ^ i64::MAX } else { order }.cast_unsigned())
}

/// As it is packed.
fn code_of(part: Part) -> u8 {
    match part {
        Part::Train => 0,
        Part::Test => 1,
        Part::LeftOut => 2,
    }
}

/// What the stage left, in place.
pub(super) struct Divided<'a> {
    pub(super) facts: DividedFacts,
    uses: &'a [u8],
}

impl<'a> Divided<'a> {
    /// Opens the result of the stage.
    pub(super) fn of(parts: &'a StageParts) -> Result<Self, Failure> {
        let bytes = parts.item(0)?.ok_or_else(|| Failure::storage("the table was never divided; submit the job again"))?;
        let packed = Packed::open(bytes)?;
        Ok(Self { facts: packed.facts()?, uses: packed.array(USES)? })
    }

    /// What a row of the table is used for.
    pub(super) fn use_of(&self, row: u64) -> Part {
        match self.uses.get(row as usize) {
            Some(0) => Part::Train,
            Some(1) => Part::Test,
            _ => Part::LeftOut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_of_times() {
        let times = [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, 0.0, f64::MIN_POSITIVE, 0.5, 1.7e9, 1.7e9 + 1e-6, f64::INFINITY];
        assert!(times.windows(2).all(|pair| order_of(pair[0]) < order_of(pair[1])));
        assert!(times.iter().all(|&time| time_of(order_of(time)) == time));
        assert_eq!(order_of(-0.0), order_of(0.0));
    }
}
