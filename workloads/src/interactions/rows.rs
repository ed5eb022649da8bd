//! Numbered pairs as compressed sparse rows, and the same rows turned round. This room must not know files, nor what a value means.

use rayon::prelude::*;

/// Compressed sparse rows: the columns of row r, ascending, and their values are at `indptr[r]..indptr[r + 1]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Csr {
    pub(crate) indptr: Vec<u64>,
    pub(crate) indices: Vec<u32>,
    pub(crate) values: Vec<f32>,
}

/// What several values of one pair come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// Their sum, as of counts.
    Sum,
    /// The last of them, as of ratings.
    Last,
}

impl Repeated {
    fn join(self, earlier: f32, later: f32) -> f32 {
        match self {
            Self::Sum => earlier + later,
            Self::Last => later,
        }
    }
}

impl Csr {
    /// Of pairs with values, in the order of the table. Also tells how many pairs were there before.
    pub(crate) fn of_pairs(n_rows: usize, rows: &[u32], columns: &[u32], values: &[f32], repeated: Repeated) -> (Self, u64) {
        let mut pairs = vec![(0, 0.0); rows.len()];
        let mut next = starts(n_rows, rows);
        for ((&row, &column), &value) in rows.iter().zip(columns).zip(values) {
            let place = &mut next[row as usize];
            pairs[*place] = (column, value);
            *place += 1;
        }
        // Every place is now behind the last pair of its row.
        let mut rest = pairs.as_mut_slice();
        let mut start = 0;
        let mut of_rows: Vec<&mut [(u32, f32)]> = Vec::with_capacity(n_rows);
        for end in next {
            let (row, behind) = rest.split_at_mut(end - start);
            of_rows.push(row);
            (rest, start) = (behind, end);
        }
        let lens: Vec<usize> = of_rows.par_iter_mut().map(|row| merge_repeated(row, repeated)).collect();
        let n_kept = lens.iter().sum();
        let mut csr =
            Self { indptr: Vec::with_capacity(n_rows + 1), indices: Vec::with_capacity(n_kept), values: Vec::with_capacity(n_kept) };
        csr.indptr.push(0);
        for (row, len) in of_rows.into_iter().zip(lens) {
            csr.indices.extend(row[..len].iter().map(|pair| pair.0));
            csr.values.extend(row[..len].iter().map(|pair| pair.1));
            csr.indptr.push(csr.indices.len() as u64);
        }
        (csr, (rows.len() - n_kept) as u64)
    }

    /// The same pairs, a row for each of `n_columns` columns.
    pub(crate) fn transposed(&self, n_columns: usize) -> Self {
        let mut next = starts(n_columns, &self.indices);
        let mut turned =
            Self { indptr: Vec::with_capacity(n_columns + 1), indices: vec![0; self.indices.len()], values: vec![0.0; self.values.len()] };
        for (row, ends) in (0..).zip(self.indptr.windows(2)) {
            let of_row = ends[0] as usize..ends[1] as usize;
            for (&column, &value) in self.indices[of_row.clone()].iter().zip(&self.values[of_row]) {
                let place = &mut next[column as usize];
                (turned.indices[*place], turned.values[*place]) = (row, value);
                *place += 1;
            }
        }
        turned.indptr.push(0);
        turned.indptr.extend(next.iter().map(|&end| end as u64));
        turned
    }
}

/// Where each of `n_rows` rows begins when rows are sorted.
fn starts(n_rows: usize, rows: &[u32]) -> Vec<usize> {
    let mut starts = vec![0; n_rows];
    rows.iter().for_each(|&row| starts[row as usize] += 1);
    let mut n_before = 0;
    for start in &mut starts {
        n_before += std::mem::replace(start, n_before);
    }
    starts
}

/// Sorts a row by column and joins what stands there several times; returns how many are left, at its beginning.
fn merge_repeated(row: &mut [(u32, f32)], repeated: Repeated) -> usize {
    // Stable, so that the last of the table is the last here.
    row.sort_by_key(|pair| pair.0);
    let mut n_kept = 0;
    for i in 0..row.len() {
        let (column, value) = row[i];
        if n_kept > 0 && row[n_kept - 1].0 == column {
            row[n_kept - 1].1 = repeated.join(row[n_kept - 1].1, value);
        } else {
            row[n_kept] = (column, value);
            n_kept += 1;
        }
    }
    n_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [u32; 6] = [2, 0, 2, 0, 2, 2];
    const COLUMNS: [u32; 6] = [3, 1, 0, 1, 3, 1];
    const VALUES: [f32; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    #[test]
    fn pairs_are_sorted_and_repeated_ones_joined() {
        let (csr, n_repeated) = Csr::of_pairs(3, &ROWS, &COLUMNS, &VALUES, Repeated::Sum);
        assert_eq!((csr.indptr, csr.indices, n_repeated), (vec![0, 1, 1, 4], vec![1, 0, 1, 3], 2));
        assert_eq!(csr.values, [10.0, 4.0, 32.0, 17.0]);
        let (csr, _) = Csr::of_pairs(3, &ROWS, &COLUMNS, &VALUES, Repeated::Last);
        assert_eq!(csr.values, [8.0, 4.0, 32.0, 16.0]);
    }

    #[test]
    fn turned_twice_is_the_same() {
        let (csr, _) = Csr::of_pairs(3, &ROWS, &COLUMNS, &VALUES, Repeated::Sum);
        let turned = csr.transposed(5);
        assert_eq!((&turned.indptr, &turned.indices), (&vec![0, 1, 3, 3, 4, 4], &vec![2, 0, 2, 2]));
        assert_eq!(turned.transposed(3), csr);
    }
}
